/* Registration. Spec: Client-Server API, "Account registration"; and Synapse's registration by a shared secret. */
#include "server/register.h"
#include "runtime/http.h"
#include "server/registration_tokens.h"
#include "workers/http/hooks.h"

static void write_registered(hs_req *q, hs_res *r, const hs_registered *done)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_str(j, "user_id", done->who.user_id);
    hs_json_str(j, "home_server", q->srv->server_name);
    if (done->logged_in) {
        hs_json_str(j, "access_token", done->login.access_token);
        hs_json_str(j, "device_id", done->login.device_id);
        hs_json_opt_str(j, "refresh_token", done->login.refresh_token);
        if (done->login.expires_in_ms)
            hs_json_int(j, "expires_in_ms", done->login.expires_in_ms);
    }
    hs_json_end(j);
}

/* POST …/register */
static hs_error *post_register(hs_req *q, hs_res *r)
{
    hs_register_in in = {
        .has_token = hs_http_has_token(q),
        .client_ip = q->client_ip,
        .method = HS_S("POST"),
        .path = q->path,
    };
    hs_str kind = hs_query(q, "kind");
    hs_registered done;

    HS_TRY(hs_req_object(q, &in.body));
    in.guest = hs_str_eq(kind, HS_S("guest"));
    if (kind.p && !in.guest && !hs_str_eq(kind, HS_S("user")))
        return hs_err(q->a, 400, HS_M_UNRECOGNIZED, "Do not understand membership kind: %.*s", HS_FMT(kind));

    HS_TRY(hs_register(q->srv, q->a, &in, &done));

    if (done.uia_answer.p)
        hs_res_bytes(r, 401, HS_S("application/json"), done.uia_answer);
    else
        write_registered(q, r, &done);
    return NULL;
}

/* GET …/register/available */
static hs_error *get_available(hs_req *q, hs_res *r)
{
    hs_str username = hs_query(q, "username");

    if (!username.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter 'username'");

    HS_TRY(hs_username_available(q->srv, q->a, username));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "available", true);
    hs_json_end(j);
    return NULL;
}

/* GET …/register/m.login.registration_token/validity */
static hs_error *get_token_validity(hs_req *q, hs_res *r)
{
    hs_str token = hs_query(q, "token");
    bool valid;

    if (!token.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter 'token'");

    HS_TRY(hs_registration_token_valid(q->srv, q->a, token, &valid));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "valid", valid);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/register */
static hs_error *get_nonce(hs_req *q, hs_res *r)
{
    hs_str nonce;

    HS_TRY(hs_register_nonce(q->srv, q->a, &nonce));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "nonce", nonce);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/register */
static hs_error *post_by_secret(hs_req *q, hs_res *r)
{
    hs_jv body;
    hs_registered done;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_register_by_secret(q->srv, q->a, body, &done));

    write_registered(q, r, &done);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_register[] = {
    { HS_POST, "r0 v3 unstable", "/register", post_register, .who = HS_AUTH_NONE, .rate = HS_RC_REGISTRATION, .servlet = "RegisterRestServlet" },
    { HS_GET, "r0 v3 unstable", "/register/available", get_available, .who = HS_AUTH_NONE, .servlet = "UsernameAvailabilityRestServlet" },
    { HS_GET, "v1 unstable", "/register/m.login.registration_token/validity", get_token_validity, .who = HS_AUTH_NONE, .rate = HS_RC_REGISTRATION_TOKEN, .servlet = "RegistrationTokenValidityRestServlet" },
    { 0 },
};

const hs_route hs_routes_register_by_secret[] = {
    { HS_GET, "v1", "/register", get_nonce, .who = HS_AUTH_NONE, .servlet = "UserRegisterServlet" },
    { HS_POST, "v1", "/register", post_by_secret, .who = HS_AUTH_SECRET, .servlet = "UserRegisterServlet" },
    { 0 },
};
/* clang-format on */
