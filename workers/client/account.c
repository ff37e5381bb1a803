/* Who one is, and the own password. Spec: Client-Server API, "Current account information", "Account management". */
#include "server/account.h"
#include "runtime/http.h"

/* GET …/account/whoami */
static hs_error *get_whoami(hs_req *q, hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_str(j, "user_id", q->who->user_id);
    hs_json_bool(j, "is_guest", (q->who->flags & HS_ACCOUNT_GUEST) != 0);
    if (q->who->device_id.n)
        hs_json_str(j, "device_id", q->who->device_id);
    hs_json_end(j);
    return NULL;
}

/* POST …/account/password. Without a token it is a reset by e-mail, which nobody can complete: none is sent. */
static hs_error *post_password(hs_req *q, hs_res *r)
{
    hs_uia_in in = {
        .kind = q->who ? HS_UIA_REAUTH : HS_UIA_RESET,
        .method = HS_S("POST"),
        .path = q->path,
        .who = q->who,
    };
    hs_str uia;

    HS_TRY(hs_req_object(q, &in.body));

    HS_TRY(hs_account_change_password(q->srv, q->a, &in, &uia));

    if (uia.p)
        hs_res_bytes(r, 401, HS_S("application/json"), uia);
    else
        hs_res_empty(r);
    return NULL;
}

/* POST …/account/deactivate */
static hs_error *post_deactivate(hs_req *q, hs_res *r)
{
    hs_uia_in in = { .kind = HS_UIA_REAUTH, .method = HS_S("POST"), .path = q->path, .who = q->who };
    hs_str uia;

    HS_TRY(hs_req_object(q, &in.body));
    if (!q->who)
        return hs_err(q->a, 401, HS_M_MISSING_TOKEN, "Missing access token");

    HS_TRY(hs_account_deactivate(q->srv, q->a, &in, &uia));
    if (uia.p) {
        hs_res_bytes(r, 401, HS_S("application/json"), uia);
        return NULL;
    }

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "id_server_unbind_result", HS_S("success"));
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_account[] = {
    { HS_GET, "r0 v3 unstable", "/account/whoami", get_whoami, .who = HS_AUTH_USER, .guest = true, .servlet = "WhoamiRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/deactivate", post_deactivate, .who = HS_AUTH_OPTIONAL, .servlet = "DeactivateAccountRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/password", post_password, .who = HS_AUTH_OPTIONAL, .servlet = "PasswordRestServlet" },
    { 0 },
};
/* clang-format on */
