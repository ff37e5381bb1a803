/* What clients used before /sync: a room as a whole, an event by its id alone. Spec: Client-Server API,
 * roomInitialSync, getOneEvent (both deprecated). */
#include "server/initial_sync.h"

#include "runtime/http.h"

static void show_messages(hs_json_out *j, const hs_show *how, hs_messages_page *m)
{
    for (size_t i = 0; i < m->chunk_n / 2; i++) {
        hs_dressed t = m->chunk[i];

        m->chunk[i] = m->chunk[m->chunk_n - 1 - i];
        m->chunk[m->chunk_n - 1 - i] = t;
    }
    hs_json_obj_at(j, "messages");
    hs_json_key(j, HS_S("chunk"));
    hs_dressed_show(j, how, m->chunk, m->chunk_n);
    hs_json_str(j, "start", m->end.p ? m->end : m->start);
    hs_json_str(j, "end", m->start);
    hs_json_end(j);
}

/* GET …/rooms/{roomId}/initialSync */
static hs_error *get_room(hs_req *q, hs_res *r)
{
    hs_show how = { .flags = HS_SHOW_ROOM_ID, .viewer = q->who, .now = hs_loop_wall(q->loop) };
    hs_room_snapshot_answer room;
    int64_t limit = 10;
    hs_json_out *j;
    bool has;

    HS_TRY(hs_query_i64(q, "limit", &has, &limit));
    if (limit < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");

    HS_TRY(hs_initial_sync_room(q->srv, q->who, q->a, hs_path_param(q, "roomId"), limit, &room));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "room_id", room.access.room->id);
    hs_json_str(j, "membership", hs_membership_str(room.access.at_leave ? HS_MEMBER_LEAVE : HS_MEMBER_JOIN));
    hs_json_str(j, "visibility", room.published ? HS_S("public") : HS_S("private"));
    show_messages(j, &how, &room.messages);
    hs_json_key(j, HS_S("state"));
    hs_state_show(j, &how, room.state, room.state_n);
    hs_json_arr_at(j, "account_data");
    for (size_t i = 0; i < room.account_data_n; i++)
        hs_json_v_raw(j, room.account_data[i]);
    hs_json_end(j);
    hs_json_arr_at(j, "receipts");
    if (room.receipts.p) {
        hs_json_obj(j);
        hs_json_str(j, "type", HS_S("m.receipt"));
        hs_json_str(j, "room_id", room.access.room->id);
        hs_json_raw(j, "content", room.receipts);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_arr_at(j, "presence"); /* /sync has it */
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET …/events/{eventId} */
static hs_error *get_event(hs_req *q, hs_res *r)
{
    hs_show how = { .flags = HS_SHOW_ROOM_ID, .viewer = q->who, .now = hs_loop_wall(q->loop) };
    hs_dressed event;

    HS_TRY(hs_initial_sync_event(q->srv, q->who, q->a, hs_path_param(q, "eventId"), &event));
    HS_TRY(hs_timeline_dress(q->srv, q->a, q->who, HS_DRESS_REPLACED, &event, 1));

    hs_event_show(hs_res_json(r, 200), &how, &event);
    return NULL;
}

/* clang-format off */
#define PREFIXES "api/v1 r0 v3 unstable"
const hs_route hs_routes_initial_sync[] = {
    { HS_GET, PREFIXES, "/rooms/{roomId}/initialSync", get_room,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomInitialSyncRestServlet" },
    { HS_GET, PREFIXES, "/events/{eventId}", get_event, .who = HS_AUTH_USER, .servlet = "EventRestServlet" },
    { 0 },
};
/* clang-format on */
