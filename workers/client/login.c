/* Login, logout. Spec: Client-Server API, "Legacy API", "Login". */
#include "server/login.h"
#include "runtime/http.h"
#include "server/uia.h"
#include "workers/http/sets.h"

/* GET …/login */
static hs_error *get_login(hs_req *q, hs_res *r)
{
    const hs_config *c = q->srv->config;

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "flows");
    if (c->login_via_existing_session) {
        hs_json_obj(j);
        hs_json_str(j, "type", HS_S("m.login.token"));
        hs_json_bool(j, "get_login_token", true);
        hs_json_end(j);
    }
    if (c->password_enabled && c->password_localdb_enabled && !c->password_only_for_reauth) {
        hs_json_obj(j);
        hs_json_str(j, "type", HS_S("m.login.password"));
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* POST …/login */
static hs_error *post_login(hs_req *q, hs_res *r)
{
    hs_jv body;
    hs_identity who;
    hs_login_result login;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_login(q->srv, q->a, body, q->client_ip, &who, &login));
    q->requester = who.user_id;

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "user_id", who.user_id);
    hs_json_str(j, "access_token", login.access_token);
    hs_json_str(j, "home_server", q->srv->server_name);
    hs_json_str(j, "device_id", login.device_id);
    if (login.expires_in_ms)
        hs_json_int(j, "expires_in_ms", login.expires_in_ms);
    hs_json_opt_str(j, "refresh_token", login.refresh_token);
    if (q->srv->config->serve_client_wellknown) {
        hs_json_obj_at(j, "well_known");
        hs_well_known_write(q->srv, j);
        hs_json_end(j);
    }
    hs_json_end(j);
    return NULL;
}

/* POST …/refresh */
static hs_error *post_refresh(hs_req *q, hs_res *r)
{
    hs_login_result pair;
    hs_str token;
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));
    if (!hs_jv_is(hs_jv_get(body, HS_S("refresh_token"))))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['refresh_token']");
    if (!hs_jv_str(hs_jv_get(body, HS_S("refresh_token")), &token))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Invalid param: refresh_token");

    HS_TRY(hs_login_refresh(q->srv, q->a, token, &pair));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "access_token", pair.access_token);
    hs_json_str(j, "refresh_token", pair.refresh_token);
    if (pair.expires_in_ms)
        hs_json_int(j, "expires_in_ms", pair.expires_in_ms);
    hs_json_end(j);
    return NULL;
}

/* POST …/tokenrefresh: of a time before. */
static hs_error *post_old_refresh(hs_req *q, hs_res *r)
{
    (void)r;
    return hs_err(q->a, 403, HS_M_FORBIDDEN, "tokenrefresh is no longer supported.");
}

/* POST …/login/get_token */
static hs_error *post_get_token(hs_req *q, hs_res *r)
{
    const hs_config *c = q->srv->config;
    hs_uia_in in = { .kind = HS_UIA_REAUTH, .method = HS_S("POST"), .path = q->path, .who = q->who };
    hs_uia uia = { .complete = true };
    hs_str token;

    if (!c->login_via_existing_session)
        return hs_err(q->a, 404, HS_M_UNRECOGNIZED, "Unrecognized request");
    HS_TRY(hs_req_object(q, &in.body));

    if (c->login_via_existing_session_ui_auth)
        HS_TRY(hs_uia_check(q->srv, q->a, &in, &uia));
    if (!uia.complete) {
        hs_res_bytes(r, 401, HS_S("application/json"), uia.answer);
        return NULL;
    }
    HS_TRY(hs_login_token_new(q->srv, q->a, q->who, &token));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "login_token", token);
    hs_json_int(j, "expires_in", c->login_via_existing_session_timeout_ms / 1000);
    hs_json_int(j, "expires_in_ms", c->login_via_existing_session_timeout_ms);
    hs_json_end(j);
    return NULL;
}

/* GET …/password_policy */
static hs_error *get_password_policy(hs_req *q, hs_res *r)
{
    const hs_config *c = q->srv->config;
    const struct {
        const char *name;
        bool on;
    } RULES[] = {
        { "m.require_digit", c->password_require_digit },
        { "m.require_symbol", c->password_require_symbol },
        { "m.require_lowercase", c->password_require_lowercase },
        { "m.require_uppercase", c->password_require_uppercase },
    };

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    if (c->password_policy_enabled && c->password_minimum_length)
        hs_json_int(j, "m.minimum_length", c->password_minimum_length);
    for (size_t i = 0; c->password_policy_enabled && i < sizeof RULES / sizeof *RULES; i++)
        if (RULES[i].on)
            hs_json_bool(j, RULES[i].name, true);
    hs_json_end(j);
    return NULL;
}

/* POST …/logout */
static hs_error *post_logout(hs_req *q, hs_res *r)
{
    HS_TRY(hs_logout(q->srv, q->a, q->who));
    hs_res_empty(r);
    return NULL;
}

/* POST …/logout/all */
static hs_error *post_logout_all(hs_req *q, hs_res *r)
{
    HS_TRY(hs_logout_all(q->srv, q->a, q->who));
    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_login[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/login", get_login, .who = HS_AUTH_NONE, .servlet = "LoginRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/login", post_login, .who = HS_AUTH_NONE, .rate = HS_RC_LOGIN, .servlet = "LoginRestServlet" },
    { HS_POST, "v1", "/login/get_token", post_get_token, .who = HS_AUTH_USER, .servlet = "LoginTokenRequestServlet" },
    { HS_POST, "unstable", "/org.matrix.msc3882/login/token", post_get_token, .who = HS_AUTH_USER, .servlet = "LoginTokenRequestServlet" },
    { HS_GET, "r0 v3 unstable", "/password_policy", get_password_policy, .who = HS_AUTH_NONE, .servlet = "PasswordPolicyServlet" },
    { HS_POST, "r0 v3 unstable", "/refresh", post_refresh, .who = HS_AUTH_NONE, .servlet = "RefreshTokenServlet" },
    { HS_POST, "r0 v3 unstable", "/tokenrefresh", post_old_refresh, .who = HS_AUTH_NONE, .servlet = "TokenRefreshRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/logout", post_logout, .who = HS_AUTH_USER, .locked = true, .servlet = "LogoutRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/logout/all", post_logout_all, .who = HS_AUTH_USER, .locked = true, .servlet = "LogoutAllRestServlet" },
    { 0 },
};
/* clang-format on */
