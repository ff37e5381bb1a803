/* Rooms, for administrators: lists, details, what is in them, blocking, and acting in them. */
#include "runtime/http.h"
#include "server/admin_rooms.h"
#include "server/room_block.h"
#include "server/timeline.h"
#include "workers/admin/query.h"

/* ── what is shown ── */

static void show_str(hs_json_out *j, const char *key, hs_str v)
{
    if (v.p)
        hs_json_str(j, key, v);
    else
        hs_json_null(j, key);
}

static void show_room(hs_json_out *j, const hs_listed_room *r)
{
    hs_json_str(j, "room_id", r->room_id);
    show_str(j, "name", r->name);
    show_str(j, "canonical_alias", r->canonical_alias);
    hs_json_int(j, "joined_members", r->joined);
    hs_json_int(j, "joined_local_members", r->local_joined);
    hs_json_str(j, "version", r->version);
    show_str(j, "creator", r->creator);
    show_str(j, "encryption", r->encryption);
    hs_json_bool(j, "federatable", r->federatable);
    hs_json_bool(j, "public", r->published);
    show_str(j, "join_rules", r->join_rules);
    show_str(j, "guest_access", r->guest_access);
    show_str(j, "history_visibility", r->history_visibility);
    hs_json_int(j, "state_events", r->state_events);
    show_str(j, "room_type", r->room_type);
}

/* ── lists ── */

static const struct {
    const char *name;
    hs_room_order order;
    bool largest_first;
} ORDERS[] = {
    { "alphabetical", HS_ROOM_ORDER_NAME, false },
    { "size", HS_ROOM_ORDER_JOINED, true },
    { "name", HS_ROOM_ORDER_NAME, false },
    { "canonical_alias", HS_ROOM_ORDER_ALIAS, false },
    { "joined_members", HS_ROOM_ORDER_JOINED, true },
    { "joined_local_members", HS_ROOM_ORDER_LOCAL_JOINED, true },
    { "version", HS_ROOM_ORDER_VERSION, true },
    { "creator", HS_ROOM_ORDER_CREATOR, false },
    { "encryption", HS_ROOM_ORDER_ENCRYPTION, false },
    { "federatable", HS_ROOM_ORDER_FEDERATABLE, false },
    { "public", HS_ROOM_ORDER_PUBLIC, false },
    { "join_rules", HS_ROOM_ORDER_JOIN_RULES, false },
    { "guest_access", HS_ROOM_ORDER_GUEST_ACCESS, false },
    { "history_visibility", HS_ROOM_ORDER_HISTORY_VISIBILITY, false },
    { "state_events", HS_ROOM_ORDER_STATE_EVENTS, true },
};
enum { ORDERS_N = sizeof ORDERS / sizeof *ORDERS };

static hs_error *bad_order(hs_req *q)
{
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, q->a);
    for (size_t i = 0; i < ORDERS_N; i++) {
        hs_buf_add(&b, i ? HS_S(", '") : HS_S("'"));
        hs_buf_add(&b, hs_str_c(ORDERS[i].name));
        hs_buf_addc(&b, '\'');
    }
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'order_by' must be one of [%.*s]", HS_FMT(text));
}

static hs_error *read_order(hs_req *q, hs_room_list_query *ret)
{
    hs_str by = hs_query(q, "order_by"), dir = hs_query(q, "dir");

    if (!by.p)
        by = HS_S("name");
    for (size_t i = 0; i < ORDERS_N; i++) {
        if (!hs_str_eq(by, hs_str_c(ORDERS[i].name)))
            continue;
        if (dir.p && !hs_str_eq(dir, HS_S("f")) && !hs_str_eq(dir, HS_S("b")))
            return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'dir' must be one of ['b', 'f']");
        ret->order = ORDERS[i].order;
        ret->descending = ORDERS[i].largest_first != hs_str_eq(dir, HS_S("b"));
        return NULL;
    }
    return bad_order(q);
}

static hs_error *read_either(hs_req *q, const char *name, hs_tristate *ret)
{
    bool v = false;

    if (!hs_query(q, name).p)
        return NULL;
    HS_TRY(hs_query_bool(q, name, &v));
    *ret = v ? HS_ONLY : HS_WITHOUT;
    return NULL;
}

/* GET /_synapse/admin/v1/rooms */
static hs_error *get_rooms(hs_req *q, hs_res *r)
{
    hs_room_list_query in = { .search = hs_query(q, "search_term"), .limit = 100 };
    hs_listed_room *rooms;
    int64_t total;
    size_t n;

    HS_TRY(hs_admin_query_count(q, "from", &in.from));
    HS_TRY(hs_admin_query_count(q, "limit", &in.limit));
    HS_TRY(read_order(q, &in));
    if (in.search.p && !in.search.n)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "search_term cannot be an empty string");
    HS_TRY(hs_admin_query_text(q, "search_term", in.search));
    HS_TRY(read_either(q, "public_rooms", &in.published));
    HS_TRY(read_either(q, "empty_rooms", &in.empty));

    HS_TRY(hs_admin_rooms(q->srv, q->a, &in, &rooms, &n, &total));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "offset", in.from);
    hs_json_arr_at(j, "rooms");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        show_room(j, &rooms[i]);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_int(j, "total_rooms", total);
    if (in.from < total && total - in.from > in.limit)
        hs_json_int(j, "next_batch", in.from + in.limit);
    if (in.from > 0)
        hs_json_int(j, "prev_batch", in.from > in.limit ? in.from - in.limit : 0);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/rooms/{roomId} */
static hs_error *get_room(hs_req *q, hs_res *r)
{
    hs_room_details d;
    bool tombstoned;

    HS_TRY(hs_admin_room(q->srv, q->a, hs_path_param(q, "roomId"), &d, &tombstoned));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    show_room(j, &d.row);
    show_str(j, "avatar", d.row.avatar);
    show_str(j, "topic", d.row.topic);
    hs_json_int(j, "joined_local_devices", d.local_devices);
    hs_json_bool(j, "forgotten", d.forgotten);
    hs_json_bool(j, "tombstoned", tombstoned);
    show_str(j, "replacement_room", d.row.successor);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/rooms/{roomId}/members */
static hs_error *get_members(hs_req *q, hs_res *r)
{
    hs_strs members;

    HS_TRY(hs_admin_room_members(q->srv, q->a, hs_path_param(q, "roomId"), &members));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "members");
    for (size_t i = 0; i < members.n; i++)
        hs_json_v_str(j, members.at[i]);
    hs_json_end(j);
    hs_json_int(j, "total", (int64_t)members.n);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/rooms/{roomId}/state */
static hs_error *get_state(hs_req *q, hs_res *r)
{
    hs_show how = { .flags = HS_SHOW_ROOM_ID, .now = hs_loop_wall(q->loop) };
    hs_str type = hs_query(q, "type");
    hs_stored **events;
    hs_room *room;
    size_t n;

    HS_TRY(hs_admin_room_state(q->srv, q->a, hs_path_param(q, "roomId"), type.n ? type : (hs_str){ NULL, 0 }, &room,
                               &events, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_key(j, HS_S("state"));
    HS_TRY(hs_events_show(q->srv, q->a, j, room, &how, false, events, n));
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/fetch_event/{eventId} */
static hs_error *get_event(hs_req *q, hs_res *r)
{
    hs_str event;

    HS_TRY(hs_admin_event(q->srv, q->a, hs_path_param(q, "eventId"), &event));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_raw(j, "event", event);
    hs_json_end(j);
    return NULL;
}

/* ── blocking ── */

/* GET /_synapse/admin/v1/rooms/{roomId}/block */
static hs_error *get_block(hs_req *q, hs_res *r)
{
    hs_str by;

    HS_TRY(hs_room_block_get(q->srv, q->a, hs_path_param(q, "roomId"), &by));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "block", by.p != NULL);
    hs_json_opt_str(j, "user_id", by);
    hs_json_end(j);
    return NULL;
}

/* PUT /_synapse/admin/v1/rooms/{roomId}/block */
static hs_error *put_block(hs_req *q, hs_res *r)
{
    hs_jv body, given;
    bool block;

    HS_TRY(hs_req_object(q, &body));
    given = hs_jv_get(body, HS_S("block"));
    if (!hs_jv_is(given))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['block']");
    if (!hs_jv_bool(given, &block))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param 'block' must be a boolean.");

    HS_TRY(hs_room_block_put(q->srv, q->who, q->a, hs_path_param(q, "roomId"), block));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "block", block);
    hs_json_end(j);
    return NULL;
}

/* ── acting in rooms ── */

/* GET /_synapse/admin/v1/rooms/{roomIdentifier}/forward_extremities */
static hs_error *get_extremities(hs_req *q, hs_res *r)
{
    hs_stored **heads;
    size_t n;

    HS_TRY(hs_admin_room_heads(q->srv, q->a, hs_path_param(q, "roomIdentifier"), &heads, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "count", (int64_t)n);
    hs_json_arr_at(j, "results");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "event_id", heads[i]->ev->event_id);
        hs_json_int(j, "state_group", heads[i]->line < 0 ? 0 : ((int64_t)heads[i]->line << 32) + heads[i]->snap);
        hs_json_int(j, "depth", heads[i]->ev->depth);
        hs_json_int(j, "received_ts", heads[i]->received_ts);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* DELETE /_synapse/admin/v1/rooms/{roomIdentifier}/forward_extremities */
static hs_error *delete_extremities(hs_req *q, hs_res *r)
{
    size_t n;

    HS_TRY(hs_admin_room_heads_clear(q->srv, q->a, hs_path_param(q, "roomIdentifier"), &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "deleted", (int64_t)n);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/join/{roomIdentifier} */
static hs_error *post_join(hs_req *q, hs_res *r)
{
    hs_jv body, user;
    hs_str room_id;

    HS_TRY(hs_req_object(q, &body));
    user = hs_jv_get(body, HS_S("user_id"));
    if (!hs_jv_is(user))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['user_id']");

    HS_TRY(hs_admin_room_join(q->srv, q->who, q->a, hs_path_param(q, "roomIdentifier"), hs_jv_str_or_null(user),
                              &room_id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "room_id", room_id);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/rooms/{roomIdentifier}/make_room_admin */
static hs_error *post_make_room_admin(hs_req *q, hs_res *r)
{
    hs_jv body, user;

    HS_TRY(hs_req_object_or_empty(q, &body));
    user = hs_jv_get(body, HS_S("user_id"));

    HS_TRY(hs_admin_room_make_admin(q->srv, q->a, hs_path_param(q, "roomIdentifier"),
                                    hs_jv_is(user) ? hs_jv_str_or_null(user) : q->who->user_id));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_rooms[] = {
    { HS_GET, "v1", "/rooms", get_rooms, .who = HS_AUTH_ADMIN, .servlet = "ListRoomRestServlet" },
    { HS_GET, "v1", "/rooms/{roomId}", get_room, .who = HS_AUTH_ADMIN, .servlet = "RoomRestServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/members", get_members, .who = HS_AUTH_ADMIN, .servlet = "RoomMembersRestServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/state", get_state, .who = HS_AUTH_ADMIN, .servlet = "RoomStateRestServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/block", get_block, .who = HS_AUTH_ADMIN, .servlet = "BlockRoomRestServlet" },
    { HS_PUT, "v1", "/rooms/{roomId}/block", put_block, .who = HS_AUTH_ADMIN, .servlet = "BlockRoomRestServlet" },
    { HS_GET, "v1", "/rooms/{roomIdentifier}/forward_extremities", get_extremities, .who = HS_AUTH_ADMIN, .servlet = "ForwardExtremitiesRestServlet" },
    { HS_DELETE, "v1", "/rooms/{roomIdentifier}/forward_extremities", delete_extremities, .who = HS_AUTH_ADMIN, .servlet = "ForwardExtremitiesRestServlet" },
    { HS_POST, "v1", "/rooms/{roomIdentifier}/make_room_admin", post_make_room_admin, .who = HS_AUTH_ADMIN, .servlet = "MakeRoomAdminRestServlet" },
    { HS_POST, "v1", "/join/{roomIdentifier}", post_join, .who = HS_AUTH_ADMIN, .servlet = "JoinRoomAliasServlet" },
    { HS_GET, "v1", "/fetch_event/{eventId}", get_event, .who = HS_AUTH_ADMIN, .servlet = "EventRestServlet" },
    { 0 },
};
/* clang-format on */
