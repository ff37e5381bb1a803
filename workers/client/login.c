/* Login, logout. Spec: Client-Server API, "Legacy API", "Login". */
#include "server/login.h"
#include "runtime/http.h"
#include "workers/http/sets.h"

/* GET …/login */
static hs_error *get_login(hs_req *q, hs_res *r)
{
    const hs_config *c = q->srv->config;

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "flows");
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
    if (q->srv->config->serve_client_wellknown) {
        hs_json_obj_at(j, "well_known");
        hs_well_known_write(q->srv, j);
        hs_json_end(j);
    }
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
    { HS_POST, "api/v1 r0 v3 unstable", "/logout", post_logout, .who = HS_AUTH_USER, .locked = true, .servlet = "LogoutRestServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/logout/all", post_logout_all, .who = HS_AUTH_USER, .locked = true, .servlet = "LogoutAllRestServlet" },
    { 0 },
};
/* clang-format on */
