/* Notices to users, for administrators. */
#include "server/server_notices.h"
#include "runtime/http.h"

static hs_error *send_notice(hs_req *q, hs_res *r, hs_str txn_id)
{
    hs_notice in = { .txn_id = txn_id };
    hs_jv body, user, type, key;
    hs_str event_id;

    HS_TRY(hs_req_object(q, &body));
    user = hs_jv_get(body, HS_S("user_id"));
    in.content = hs_jv_get(body, HS_S("content"));
    type = hs_jv_get(body, HS_S("type"));
    key = hs_jv_get(body, HS_S("state_key"));
    if (!hs_jv_is(user) || !hs_jv_is(in.content))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['%s']", hs_jv_is(user) ? "content" : "user_id");
    if (hs_jv_type_of(in.content) != HS_JV_OBJ)
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param 'content' must be an object");
    if ((hs_jv_is(type) && !hs_jv_str(type, &in.type)) ||
        (hs_jv_is(key) && hs_jv_type_of(key) != HS_JV_NULL && !hs_jv_str(key, &in.state_key)))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Params 'type' and 'state_key' must be strings");
    in.user_id = hs_jv_str_or_null(user);

    HS_TRY(hs_notice_send(q->srv, q->who, q->a, &in, &event_id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "event_id", event_id);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/send_server_notice */
static hs_error *post_notice(hs_req *q, hs_res *r)
{
    return send_notice(q, r, (hs_str){ NULL, 0 });
}

/* PUT /_synapse/admin/v1/send_server_notice/{txnId} */
static hs_error *put_notice(hs_req *q, hs_res *r)
{
    return send_notice(q, r, hs_path_param(q, "txnId"));
}

/* clang-format off */
const hs_route hs_routes_admin_server_notices[] = {
    { HS_POST, "v1", "/send_server_notice", post_notice, .who = HS_AUTH_ADMIN, .body = 65536, .servlet = "SendServerNoticeServlet" },
    { HS_PUT, "v1", "/send_server_notice/{txnId}", put_notice, .who = HS_AUTH_ADMIN, .body = 65536, .servlet = "SendServerNoticeServlet" },
    { 0 },
};
/* clang-format on */
