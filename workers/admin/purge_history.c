/* Purging history, for administrators. */
#include "server/purge_history.h"
#include "runtime/http.h"

static hs_error *purge(hs_req *q, hs_res *r, hs_str event_id)
{
    hs_str room_id = hs_path_param(q, "roomId"), id;
    hs_jv body, given;
    bool local = false;
    int64_t ts = 0;

    HS_TRY(hs_req_object_or_empty(q, &body));
    (void)hs_jv_bool(hs_jv_get(body, HS_S("delete_local_events")), &local);
    if (!event_id.p)
        event_id = hs_jv_str_or_null(hs_jv_get(body, HS_S("purge_up_to_event_id")));
    given = hs_jv_get(body, HS_S("purge_up_to_ts"));
    if (!event_id.p && !hs_jv_is(given))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "must specify purge_up_to_event_id or purge_up_to_ts");
    if (!event_id.p && !hs_jv_int(given, &ts))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "purge_up_to_ts must be an int");

    HS_TRY(event_id.p ? hs_purge_history_to_event(q->srv, q->a, room_id, event_id, local, &id)
                      : hs_purge_history_to_ts(q->srv, q->a, room_id, ts, local, &id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "purge_id", id);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/purge_history/{roomId} */
static hs_error *post_purge(hs_req *q, hs_res *r)
{
    return purge(q, r, (hs_str){ NULL, 0 });
}

/* POST /_synapse/admin/v1/purge_history/{roomId}/{eventId} */
static hs_error *post_purge_to(hs_req *q, hs_res *r)
{
    return purge(q, r, hs_path_param(q, "eventId"));
}

/* GET /_synapse/admin/v1/purge_history_status/{purgeId} */
static hs_error *get_status(hs_req *q, hs_res *r)
{
    hs_str id = hs_path_param(q, "purgeId");
    hs_job_row *row;

    HS_TRY(hs_job_get(q->srv, q->a, HS_JOB_PURGE_HISTORY, id, &row));
    if (!row)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "purge id '%.*s' not found", HS_FMT(id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "status", hs_job_status_name(row->status == HS_JOB_DUE ? HS_JOB_ACTIVE : row->status));
    hs_json_opt_str(j, "error", row->error);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_purge_history[] = {
    { HS_POST, "v1", "/purge_history/{roomId}", post_purge, .who = HS_AUTH_ADMIN, .servlet = "PurgeHistoryRestServlet" },
    { HS_POST, "v1", "/purge_history/{roomId}/{eventId}", post_purge_to, .who = HS_AUTH_ADMIN, .servlet = "PurgeHistoryRestServlet" },
    { HS_GET, "v1", "/purge_history_status/{purgeId}", get_status, .who = HS_AUTH_ADMIN, .servlet = "PurgeHistoryStatusRestServlet" },
    { 0 },
};
/* clang-format on */
