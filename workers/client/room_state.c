/* Reading and setting a room's state; members. Spec: Client-Server API, "Getting events for a room", "Sending events to
 * a room". */
#include "server/room_state.h"
#include "runtime/http.h"
#include "server/room_member.h"
#include "server/room_send.h"
#include "server/sync.h"
#include "server/timeline.h"
#include "workers/client/delayed.h"

static hs_show show_of(const hs_req *q)
{
    return (hs_show){ .flags = HS_SHOW_ROOM_ID, .viewer = q->who, .now = hs_loop_wall(q->loop) };
}

/* GET …/rooms/{roomId}/state */
static hs_error *get_state(hs_req *q, hs_res *r)
{
    hs_show how = show_of(q);
    hs_room_access access;
    hs_stored **events;
    size_t n;

    HS_TRY(hs_room_access_check(q->srv, q->who, q->a, hs_path_param(q, "roomId"), &access));
    HS_TRY(hs_room_state_list(q->srv, q->a, &access, &events, &n));

    return hs_events_show(q->srv, q->a, hs_res_json(r, 200), access.room, &how, false, events, n);
}

static hs_error *get_one(hs_req *q, hs_res *r, hs_str type, hs_str state_key)
{
    hs_str format = hs_query(q, "format");
    hs_show how = show_of(q);
    hs_dressed dressed = { 0 };
    hs_room_access access;
    hs_stored *s;

    HS_TRY(hs_room_access_check(q->srv, q->who, q->a, hs_path_param(q, "roomId"), &access));
    HS_TRY(hs_room_state_one(q->srv, q->a, &access, type, state_key, &s));
    if (!s)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "Event not found.");
    if (!hs_str_eq(format, HS_S("event"))) {
        hs_json_v_raw(hs_res_json(r, 200), hs_jv_raw(s->ev->content));
        return NULL;
    }
    dressed.event = s;
    HS_TRY(hs_timeline_dress(q->srv, q->a, q->who, HS_DRESS_REPLACED, &dressed, 1));
    hs_event_show(hs_res_json(r, 200), &how, &dressed);
    return NULL;
}

/* GET …/rooms/{roomId}/state/{eventType} */
static hs_error *get_state_type(hs_req *q, hs_res *r)
{
    return get_one(q, r, hs_path_param(q, "eventType"), HS_S(""));
}

/* GET …/rooms/{roomId}/state/{eventType}/{stateKey} */
static hs_error *get_state_key(hs_req *q, hs_res *r)
{
    return get_one(q, r, hs_path_param(q, "eventType"), hs_path_param(q, "stateKey"));
}

static hs_error *put_one(hs_req *q, hs_res *r, hs_str state_key)
{
    hs_send in = { .room_id = hs_path_param(q, "roomId"),
                   .type = hs_path_param(q, "eventType"),
                   .state_key = state_key };
    hs_str event_id;
    bool later;

    HS_TRY(hs_delayed_request(q, r, &in, &later));
    if (later)
        return NULL;
    HS_TRY(hs_req_object(q, &in.content));
    if (q->who->is_appservice)
        HS_TRY(hs_query_i64(q, "ts", &in.has_ts, &in.ts));

    HS_TRY(hs_room_send_state(q->srv, q->who, q->a, &in, &event_id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "event_id", event_id);
    hs_json_end(j);
    return NULL;
}

/* PUT …/rooms/{roomId}/state/{eventType} */
static hs_error *put_state_type(hs_req *q, hs_res *r)
{
    return put_one(q, r, HS_S(""));
}

/* PUT …/rooms/{roomId}/state/{eventType}/{stateKey} */
static hs_error *put_state_key(hs_req *q, hs_res *r)
{
    return put_one(q, r, hs_path_param(q, "stateKey"));
}

/* GET …/rooms/{roomId}/members */
static hs_error *get_members(hs_req *q, hs_res *r)
{
    hs_str at = hs_query(q, "at");
    hs_members_filter f = { .membership = hs_membership_parse(hs_query(q, "membership")),
                            .not_membership = hs_membership_parse(hs_query(q, "not_membership")) };
    hs_show how = show_of(q);
    hs_room_access access;
    hs_page_token token;
    hs_stored **events;
    size_t n;

    if (at.n) {
        HS_TRY(hs_page_token_read(q->a, at, &token));
        f.at_pos = token.pos;
    }

    HS_TRY(hs_room_access_check(q->srv, q->who, q->a, hs_path_param(q, "roomId"), &access));
    HS_TRY(hs_room_members(q->srv, q->who, q->a, &access, &f, &events, &n));
    if (hs_query(q, "membership").n && f.membership == HS_MEMBER_NONE)
        n = 0; /* nobody has a membership that is none */

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_key(j, HS_S("chunk"));
    HS_TRY(hs_events_show(q->srv, q->a, j, access.room, &how, false, events, n));
    hs_json_end(j);
    return NULL;
}

static void member_value(hs_json_out *j, const char *key, hs_jv content, const char *member)
{
    hs_str v = hs_jv_str_or_null(hs_jv_get(content, hs_str_c(member)));

    hs_json_str_or_null(j, key, v);
}

/* GET …/rooms/{roomId}/joined_members */
static hs_error *get_joined_members(hs_req *q, hs_res *r)
{
    hs_members_filter f = { .membership = HS_MEMBER_JOIN };
    hs_str room_id = hs_path_param(q, "roomId");
    hs_room_access access;
    hs_stored **events;
    size_t n;

    HS_TRY(hs_room_access_check(q->srv, q->who, q->a, room_id, &access));
    if (access.membership != HS_MEMBER_JOIN)
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s", HS_FMT(q->who->user_id),
                      HS_FMT(room_id));
    HS_TRY(hs_room_members(q->srv, q->who, q->a, &access, &f, &events, &n));
    if (hs_query(q, "membership").n && f.membership == HS_MEMBER_NONE)
        n = 0; /* nobody has a membership that is none */

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_obj_at(j, "joined");
    for (size_t i = 0; i < n; i++) {
        hs_json_key(j, events[i]->ev->state_key);
        hs_json_obj(j);
        member_value(j, "avatar_url", events[i]->ev->content, "avatar_url");
        member_value(j, "display_name", events[i]->ev->content, "displayname");
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET …/joined_rooms */
static hs_error *get_joined_rooms(hs_req *q, hs_res *r)
{
    hs_strs rooms;

    HS_TRY(hs_rooms_joined(q->srv, q->a, q->who->user, &rooms));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "joined_rooms");
    for (size_t i = 0; i < rooms.n; i++)
        hs_json_v_str(j, rooms.at[i]);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
#define PREFIXES "api/v1 r0 v3 unstable"
const hs_route hs_routes_room_state[] = {
    { HS_GET, PREFIXES, "/rooms/{roomId}/state", get_state,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomStateRestServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/state/{eventType}", get_state_type,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomStateEventRestServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/state/{eventType}/{stateKey...}", get_state_key,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomStateEventRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/state/{eventType}", put_state_type,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .body = HS_KIB(128), .servlet = "RoomStateEventRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/state/{eventType}/{stateKey...}", put_state_key,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .body = HS_KIB(128), .servlet = "RoomStateEventRestServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/members", get_members,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RoomMemberListRestServlet" },
    { HS_GET, PREFIXES, "/rooms/{roomId}/joined_members", get_joined_members,
      .who = HS_AUTH_USER, .servlet = "JoinedRoomMemberListRestServlet" },
    { HS_GET, PREFIXES, "/joined_rooms", get_joined_rooms,
      .who = HS_AUTH_USER, .guest = true, .servlet = "JoinedRoomsRestServlet" },
    { 0 },
};
/* clang-format on */
