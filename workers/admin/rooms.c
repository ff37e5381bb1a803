/* Rooms, for administrators: lists, details, what is in them, blocking, and acting in them. */
#include "runtime/http.h"
#include "server/admin_rooms.h"
#include "server/room_block.h"
#include "server/timeline.h"
#include "workers/admin/list.h"

/* ── what is shown ── */

static void show_room(hs_json_out *j, const hs_listed_room *r)
{
    hs_json_str(j, "room_id", r->room_id);
    hs_json_str_or_null(j, "name", r->name);
    hs_json_str_or_null(j, "canonical_alias", r->canonical_alias);
    hs_json_int(j, "joined_members", r->joined);
    hs_json_int(j, "joined_local_members", r->local_joined);
    hs_json_str(j, "version", r->version);
    hs_json_str_or_null(j, "creator", r->creator);
    hs_json_str_or_null(j, "encryption", r->encryption);
    hs_json_bool(j, "federatable", r->federatable);
    hs_json_bool(j, "public", r->published);
    hs_json_str_or_null(j, "join_rules", r->join_rules);
    hs_json_str_or_null(j, "guest_access", r->guest_access);
    hs_json_str_or_null(j, "history_visibility", r->history_visibility);
    hs_json_int(j, "state_events", r->state_events);
    hs_json_str_or_null(j, "room_type", r->room_type);
}

/* ── lists ── */

static const hs_admin_order ORDERS[] = {
    { "alphabetical", HS_ROOM_ORDER_NAME, 0, false },
    { "size", HS_ROOM_ORDER_JOINED, 0, true },
    { "name", HS_ROOM_ORDER_NAME, 0, false },
    { "canonical_alias", HS_ROOM_ORDER_ALIAS, 0, false },
    { "joined_members", HS_ROOM_ORDER_JOINED, 0, true },
    { "joined_local_members", HS_ROOM_ORDER_LOCAL_JOINED, 0, true },
    { "version", HS_ROOM_ORDER_VERSION, 0, true },
    { "creator", HS_ROOM_ORDER_CREATOR, 0, false },
    { "encryption", HS_ROOM_ORDER_ENCRYPTION, 0, false },
    { "federatable", HS_ROOM_ORDER_FEDERATABLE, 0, false },
    { "public", HS_ROOM_ORDER_PUBLIC, 0, false },
    { "join_rules", HS_ROOM_ORDER_JOIN_RULES, 0, false },
    { "guest_access", HS_ROOM_ORDER_GUEST_ACCESS, 0, false },
    { "history_visibility", HS_ROOM_ORDER_HISTORY_VISIBILITY, 0, false },
    { "state_events", HS_ROOM_ORDER_STATE_EVENTS, 0, true },
    { 0 },
};

static hs_error *read_either(hs_req *q, const char *name, hs_tristate *ret)
{
    bool v = false;

    if (!hs_query(q, name).p)
        return NULL;
    HS_TRY(hs_query_bool(q, name, &v));
    *ret = v ? HS_ONLY : HS_WITHOUT;
    return NULL;
}

static hs_error *read_list(hs_req *q, hs_room_list_query *in, hs_admin_page *page)
{
    HS_TRY(hs_admin_page_read(q, page));
    HS_TRY(hs_admin_page_order(q, ORDERS, "name", page));
    in->from = page->from;
    in->limit = page->limit;
    in->order = (hs_room_order)page->order->order;
    in->descending = page->descending;
    if (in->search.p && !in->search.n)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "search_term cannot be an empty string");
    HS_TRY(hs_admin_query_text(q, "search_term", in->search));
    HS_TRY(read_either(q, "public_rooms", &in->published));
    return read_either(q, "empty_rooms", &in->empty);
}

static void show_listed(hs_json_out *j, const void *row)
{
    hs_json_obj(j);
    show_room(j, row);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/rooms */
static hs_error *get_rooms(hs_req *q, hs_res *r)
{
    hs_room_list_query in = { .search = hs_query(q, "search_term") };
    hs_listed_room *rooms;
    hs_admin_page page;
    int64_t total;
    size_t n;

    HS_TRY(read_list(q, &in, &page));

    HS_TRY(hs_admin_rooms(q->srv, q->a, &in, &rooms, &n, &total));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "offset", page.from);
    hs_admin_rows(j, "rooms", rooms, sizeof *rooms, n, show_listed);
    hs_json_int(j, "total_rooms", total);
    if (hs_admin_page_more(&page, total))
        hs_json_int(j, "next_batch", page.from + page.limit);
    if (page.from > 0)
        hs_json_int(j, "prev_batch", page.from > page.limit ? page.from - page.limit : 0);
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
    hs_json_str_or_null(j, "avatar", d.row.avatar);
    hs_json_str_or_null(j, "topic", d.row.topic);
    hs_json_int(j, "joined_local_devices", d.local_devices);
    hs_json_bool(j, "forgotten", d.forgotten);
    hs_json_bool(j, "tombstoned", tombstoned);
    hs_json_str_or_null(j, "replacement_room", d.row.successor);
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
