/* Tokens that a registration may need, for administrators. */
#include "server/registration_tokens.h"
#include "runtime/http.h"

static void show(hs_json_out *j, const hs_registration_token *t)
{
    hs_json_obj(j);
    hs_json_str(j, "token", t->token);
    if (t->has_uses)
        hs_json_int(j, "uses_allowed", t->uses_allowed);
    else
        hs_json_null(j, "uses_allowed");
    hs_json_int(j, "pending", t->pending);
    hs_json_int(j, "completed", t->completed);
    if (t->has_expiry)
        hs_json_int(j, "expiry_time", t->expires_ts);
    else
        hs_json_null(j, "expiry_time");
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/registration_tokens */
static hs_error *get_tokens(hs_req *q, hs_res *r)
{
    hs_tokens_filter which = HS_TOKENS_ALL;
    hs_registration_token *tokens;
    bool valid = false;
    size_t n;

    HS_TRY(hs_query_bool(q, "valid", &valid));
    if (hs_query(q, "valid").p)
        which = valid ? HS_TOKENS_VALID : HS_TOKENS_INVALID;

    HS_TRY(hs_registration_tokens_list(q->srv, q->a, which, &tokens, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "registration_tokens");
    for (size_t i = 0; i < n; i++)
        show(j, &tokens[i]);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/registration_tokens/new */
static hs_error *post_token(hs_req *q, hs_res *r)
{
    hs_registration_token token;
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_registration_token_new(q->srv, q->a, body, &token));

    show(hs_res_json(r, 200), &token);
    return NULL;
}

/* GET /_synapse/admin/v1/registration_tokens/{token} */
static hs_error *get_token(hs_req *q, hs_res *r)
{
    hs_registration_token *token;

    HS_TRY(hs_registration_token_get(q->srv, q->a, hs_path_param(q, "token"), &token));

    show(hs_res_json(r, 200), token);
    return NULL;
}

/* PUT /_synapse/admin/v1/registration_tokens/{token} */
static hs_error *put_token(hs_req *q, hs_res *r)
{
    hs_registration_token *token;
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_registration_token_update(q->srv, q->a, hs_path_param(q, "token"), body, &token));

    show(hs_res_json(r, 200), token);
    return NULL;
}

/* DELETE /_synapse/admin/v1/registration_tokens/{token} */
static hs_error *delete_token(hs_req *q, hs_res *r)
{
    HS_TRY(hs_registration_token_remove(q->srv, q->a, hs_path_param(q, "token")));
    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_registration_tokens[] = {
    { HS_GET, "v1", "/registration_tokens", get_tokens, .who = HS_AUTH_ADMIN, .servlet = "ListRegistrationTokensRestServlet" },
    { HS_POST, "v1", "/registration_tokens/new", post_token, .who = HS_AUTH_ADMIN, .servlet = "NewRegistrationTokenRestServlet" },
    { HS_GET, "v1", "/registration_tokens/{token}", get_token, .who = HS_AUTH_ADMIN, .servlet = "RegistrationTokenRestServlet" },
    { HS_PUT, "v1", "/registration_tokens/{token}", put_token, .who = HS_AUTH_ADMIN, .servlet = "RegistrationTokenRestServlet" },
    { HS_DELETE, "v1", "/registration_tokens/{token}", delete_token, .who = HS_AUTH_ADMIN, .servlet = "RegistrationTokenRestServlet" },
    { 0 },
};
/* clang-format on */
