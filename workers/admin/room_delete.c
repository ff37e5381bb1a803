/* Deleting rooms, for administrators. */
#include "server/room_delete.h"
#include "runtime/http.h"

static hs_error *read_bool(hs_req *q, hs_jv body, const char *name, bool *io)
{
    hs_jv v = hs_jv_get(body, hs_str_c(name));

    if (hs_jv_is(v) && !hs_jv_bool(v, io))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param '%s' must be a boolean, if given", name);
    return NULL;
}

static hs_error *read_text(hs_req *q, hs_jv body, const char *name, hs_str *ret)
{
    hs_jv v = hs_jv_get(body, hs_str_c(name));

    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL && !hs_jv_str(v, ret))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param '%s' must be a string, if given", name);
    return NULL;
}

static hs_error *read_body(hs_req *q, hs_room_deletion *ret)
{
    hs_jv body;

    *ret = (hs_room_deletion){ .room_id = hs_path_param(q, "roomId"), .purge = true };
    HS_TRY(hs_req_object(q, &body));
    HS_TRY(read_bool(q, body, "block", &ret->block));
    HS_TRY(read_bool(q, body, "purge", &ret->purge));
    HS_TRY(read_bool(q, body, "force_purge", &ret->force_purge));
    HS_TRY(read_text(q, body, "new_room_user_id", &ret->new_room_user_id));
    HS_TRY(read_text(q, body, "room_name", &ret->room_name));
    return read_text(q, body, "message", &ret->message);
}

/* DELETE /_synapse/admin/v1/rooms/{roomId} */
static hs_error *delete_now(hs_req *q, hs_res *r)
{
    hs_room_deletion in;
    hs_str result;

    HS_TRY(read_body(q, &in));

    HS_TRY(hs_room_delete_now(q->srv, q->who, q->a, &in, &result));

    hs_json_v_raw(hs_res_json(r, 200), result);
    return NULL;
}

/* DELETE /_synapse/admin/v2/rooms/{roomId} */
static hs_error *delete_later(hs_req *q, hs_res *r)
{
    hs_room_deletion in;
    hs_str id;

    HS_TRY(read_body(q, &in));

    HS_TRY(hs_room_delete(q->srv, q->who, q->a, &in, &id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "delete_id", id);
    hs_json_end(j);
    return NULL;
}

static void show_status(hs_json_out *j, const hs_job_row *row)
{
    hs_json_obj(j);
    hs_json_str(j, "delete_id", row->id);
    hs_json_str(j, "room_id", row->resource);
    hs_json_str(j, "status", hs_job_status_name(row->status));
    if (row->result.p)
        hs_json_raw(j, "shutdown_room", row->result);
    else
        hs_json_null(j, "shutdown_room");
    hs_json_opt_str(j, "error", row->error);
    hs_json_end(j);
}

/* GET /_synapse/admin/v2/rooms/{roomId}/delete_status */
static hs_error *get_status_of_room(hs_req *q, hs_res *r)
{
    hs_str room_id = hs_path_param(q, "roomId");
    hs_job_row *rows;
    size_t n;

    HS_TRY(hs_room_delete_list(q->srv, q->a, room_id, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "results");
    for (size_t i = 0; i < n; i++)
        show_status(j, &rows[i]);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v2/rooms/delete_status/{deleteId} */
static hs_error *get_status(hs_req *q, hs_res *r)
{
    hs_str id = hs_path_param(q, "deleteId");
    hs_job_row *row;

    HS_TRY(hs_job_get(q->srv, q->a, HS_JOB_DELETE_ROOM, id, &row));
    if (!row)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "delete id '%.*s' not found", HS_FMT(id));

    show_status(hs_res_json(r, 200), row);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_room_delete[] = {
    { HS_DELETE, "v1", "/rooms/{roomId}", delete_now, .who = HS_AUTH_ADMIN, .body = 65536, .servlet = "RoomRestServlet" },
    { HS_DELETE, "v2", "/rooms/{roomId}", delete_later, .who = HS_AUTH_ADMIN, .body = 65536, .servlet = "RoomRestV2Servlet" },
    { HS_GET, "v2", "/rooms/{roomId}/delete_status", get_status_of_room, .who = HS_AUTH_ADMIN, .servlet = "DeleteRoomStatusByRoomIdRestServlet" },
    { HS_GET, "v2", "/rooms/delete_status/{deleteId}", get_status, .who = HS_AUTH_ADMIN, .servlet = "DeleteRoomStatusByDeleteIdRestServlet" },
    { 0 },
};
/* clang-format on */
