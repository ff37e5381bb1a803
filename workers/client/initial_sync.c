/* What clients used before /sync: all rooms or one as a whole, an event by its id alone. Spec: Client-Server API,
 * initialSync, roomInitialSync, getOneEvent (all deprecated). */
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

static void show_list(hs_json_out *j, const char *key, hs_strs events)
{
    hs_json_arr_at(j, key);
    for (size_t i = 0; i < events.n; i++)
        hs_json_v_raw(j, events.at[i]);
    hs_json_end(j);
}

static void show_receipts(hs_json_out *j, const hs_room_snapshot_answer *room)
{
    if (!room->receipts.p)
        return;
    hs_json_obj(j);
    hs_json_str(j, "type", HS_S("m.receipt"));
    hs_json_str(j, "room_id", room->access.room->id);
    hs_json_raw(j, "content", room->receipts);
    hs_json_end(j);
}

/* What both forms say of a room, into an object that is open. */
static void show_room(hs_json_out *j, const hs_show *how, hs_room_snapshot_answer *room)
{
    show_messages(j, how, &room->messages);
    hs_json_key(j, HS_S("state"));
    hs_state_show(j, how, room->state, room->state_n);
    show_list(j, "account_data", room->account_data);
}

static void show_head(hs_json_out *j, const hs_room *room, hs_membership membership, bool published)
{
    hs_json_str(j, "room_id", room->id);
    hs_json_str(j, "membership", hs_membership_str(membership));
    hs_json_str(j, "visibility", published ? HS_S("public") : HS_S("private"));
}

static hs_error *read_limit(hs_req *q, int64_t *ret)
{
    bool has;

    *ret = 10;
    HS_TRY(hs_query_i64(q, "limit", &has, ret));
    if (*ret < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");
    return NULL;
}

/* GET …/rooms/{roomId}/initialSync */
static hs_error *get_room(hs_req *q, hs_res *r)
{
    hs_show how = { .flags = HS_SHOW_ROOM_ID, .viewer = q->who, .now = hs_loop_wall(q->loop) };
    hs_room_snapshot_answer room;
    int64_t limit;
    hs_json_out *j;

    HS_TRY(read_limit(q, &limit));

    HS_TRY(hs_initial_sync_room(q->srv, q->who, q->a, hs_path_param(q, "roomId"), limit, &room));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    show_head(j, room.access.room, room.access.at_leave ? HS_MEMBER_LEAVE : HS_MEMBER_JOIN, room.published);
    show_room(j, &how, &room);
    hs_json_arr_at(j, "receipts");
    show_receipts(j, &room);
    hs_json_end(j);
    hs_json_arr_at(j, "presence"); /* /sync has it */
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

static hs_error *check_tokens(hs_req *q)
{
    static const char *const NAMES[] = { "from", "to" };

    for (size_t i = 0; i < 2; i++) {
        hs_str s = hs_query(q, NAMES[i]);
        hs_sync_token t;

        if (s.n && !(i == 0 && hs_str_eq(s, HS_S("END"))) && hs_sync_token_read(q->a, s, &t))
            return hs_err(q->a, 400, HS_M_UNKNOWN, "'%s' parameter is invalid", NAMES[i]);
    }
    return NULL;
}

static hs_error *show_invite(hs_req *q, hs_json_out *j, const hs_show *how, hs_initial_room *room)
{
    hs_dressed invite = { .event = room->invite };

    HS_TRY(hs_timeline_dress(q->srv, q->a, q->who, HS_DRESS_REPLACED, &invite, 1));
    hs_json_str(j, "inviter", room->invite->ev->sender);
    hs_json_key(j, HS_S("invite"));
    hs_event_show(j, how, &invite);
    return NULL;
}

/* As with Synapse nothing is said of the device that asks. */
static void forget_device(hs_messages_page *m)
{
    for (size_t i = 0; i < m->chunk_n; i++)
        m->chunk[i].txn_id = m->chunk[i].delay_id = hs_str_make(NULL, 0);
}

static hs_error *show_all(hs_req *q, hs_json_out *j, const hs_show *how, hs_initial_answer *all)
{
    hs_json_arr_at(j, "rooms");
    for (size_t i = 0; i < all->rooms_n; i++) {
        hs_initial_room *room = &all->rooms[i];

        forget_device(&room->room.messages);
        hs_json_obj(j);
        show_head(j, room->room.access.room, room->membership, room->room.published);
        if (room->invite)
            HS_TRY(show_invite(q, j, how, room));
        else
            show_room(j, how, &room->room);
        hs_json_end(j);
    }
    hs_json_end(j);
    show_list(j, "presence", all->presence);
    show_list(j, "account_data", all->account_data);
    hs_json_arr_at(j, "receipts");
    for (size_t i = 0; i < all->rooms_n; i++)
        show_receipts(j, &all->rooms[i].room);
    hs_json_end(j);
    return NULL;
}

/* GET …/initialSync */
static hs_error *get_all(hs_req *q, hs_res *r)
{
    hs_show how = { .viewer = q->who, .now = hs_loop_wall(q->loop) };
    hs_initial_answer all;
    bool archived = false;
    int64_t limit;
    hs_json_out *j;
    hs_str end;

    HS_TRY(read_limit(q, &limit));
    HS_TRY(check_tokens(q));
    HS_TRY(hs_query_bool(q, "archived", &archived));
    how.flags = hs_query(q, "raw").p ? HS_SHOW_FEDERATION : HS_SHOW_ROOM_ID;

    HS_TRY(hs_initial_sync(q->srv, q->who, q->a, limit, archived, &all));
    HS_TRY(hs_sync_token_write(q->a, &all.end, &end));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    HS_TRY(show_all(q, j, &how, &all));
    hs_json_str(j, "end", end);
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
    { HS_GET, PREFIXES, "/initialSync", get_all, .who = HS_AUTH_USER, .servlet = "InitialSyncRestServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/initialSync", get_room,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomInitialSyncRestServlet" },
    { HS_GET, PREFIXES, "/events/{eventId}", get_event, .who = HS_AUTH_USER, .servlet = "EventRestServlet" },
    { 0 },
};
/* clang-format on */
