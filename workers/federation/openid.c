/* Who holds an OpenID token. Spec: Server-Server API, "OpenID". */
#include "runtime/http.h"
#include "server/login.h"

/* GET …/openid/userinfo */
static hs_error *get_userinfo(hs_req *q, hs_res *r)
{
    hs_str token = hs_query(q, "access_token"), user_id;

    if (!token.p)
        return hs_err(q->a, 401, HS_M_MISSING_TOKEN, "Access Token required");

    HS_TRY(hs_openid_token_user(q->srv, q->a, token, &user_id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "sub", user_id);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_federation_openid[] = {
    { HS_GET, "v1", "/openid/userinfo", get_userinfo, .who = HS_AUTH_NONE, .servlet = "OpenIdUserInfo" },
    { 0 },
};
/* clang-format on */
