/* Tokens by which others ask who somebody is. Spec: Client-Server API, "OpenID". */
#include "runtime/http.h"
#include "server/login.h"

/* POST …/user/{userId}/openid/request_token */
static hs_error *post_request_token(hs_req *q, hs_res *r)
{
    int64_t expires_s;
    hs_str token;
    hs_jv body;

    if (!hs_str_eq(hs_path_param(q, "userId"), q->who->user_id))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Cannot request tokens for other users.");
    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_openid_token_new(q->srv, q->a, q->who, &token, &expires_s));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "access_token", token);
    hs_json_str(j, "token_type", HS_S("Bearer"));
    hs_json_str(j, "matrix_server_name", q->srv->server_name);
    hs_json_int(j, "expires_in", expires_s);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_openid[] = {
    { HS_POST, "r0 v3 unstable", "/user/{userId}/openid/request_token", post_request_token, .who = HS_AUTH_USER, .servlet = "IdTokenServlet" },
    { 0 },
};
/* clang-format on */
