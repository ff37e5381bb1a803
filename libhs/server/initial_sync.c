/* See initial_sync.h. */
#include "server/initial_sync.h"

#include "base/vec.h"
#include "server/event_stream.h"
#include "server/news.h"
#include "server/presence.h"
#include "server/receipts.h"
#include "store/account_data.h"
#include "store/events.h"
#include "store/members.h"
#include "store/rooms.h"

typedef struct {
    hs_account_data_row *at;
    size_t n;
} data_rows;

static hs_error *read_data(hs_server *srv, hs_arena *a, hs_nid user, data_rows *ret)
{
    return hs_store_account_data_after(srv->db, a, user, INT64_MIN, INT64_MAX, &ret->at, &ret->n);
}

/* Tags that were all taken away, and the push rules, are no account data. */
static bool is_shown(const hs_account_data_row *row)
{
    return !hs_str_eq(row->type, HS_S("m.push_rules")) &&
           !(hs_str_eq(row->type, HS_S("m.tag")) && hs_str_eq(row->content, HS_S("{\"tags\":{}}")));
}

/* Room 0: what is of no room. */
static hs_error *data_events(hs_arena *a, const data_rows *rows, hs_nid room, hs_strs *ret)
{
    HS_VEC(hs_str) out = { 0 };
    hs_json_out j;
    hs_str text;
    hs_buf b;

    for (size_t i = 0; i < rows->n; i++) {
        const hs_account_data_row *row = &rows->at[i];

        if (row->room != room || !is_shown(row))
            continue;
        hs_buf_init(&b, a);
        hs_json_out_init(&j, &b);
        hs_json_obj(&j);
        hs_json_str(&j, "type", row->type);
        hs_json_raw(&j, "content", row->content);
        hs_json_end(&j);
        HS_TRY(hs_buf_flatten(&b, &text));
        HS_TRY(hs_vec_push(a, &out, text));
    }
    *ret = (hs_strs){ out.at, out.n };
    return NULL;
}

static hs_error *read_room(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, int64_t limit,
                           const data_rows *data, hs_room_snapshot_answer *ret)
{
    hs_messages_query q = { .room_id = room_id, .limit = limit };
    hs_room_snapshot_answer out = { 0 };
    hs_nid room;

    HS_TRY(hs_room_access_check(srv, who, a, room_id, &out.access));
    room = out.access.room->nid;
    HS_TRY(hs_messages_get(srv, who, a, &q, &out.messages));
    HS_TRY(hs_room_state_list(srv, a, &out.access, &out.state, &out.state_n));
    HS_TRY(data_events(a, data, room, &out.account_data));
    if (out.access.membership == HS_MEMBER_JOIN)
        HS_TRY(hs_receipts_content(srv, a, &room, 1, who->user, INT64_MIN, hs_fanout_position(srv), &out.receipts));
    HS_TRY(hs_store_published_get(srv->db, a, room, &out.published));
    *ret = out;
    return NULL;
}

hs_error *hs_initial_sync_room(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, int64_t limit,
                               hs_room_snapshot_answer *ret)
{
    data_rows data;

    HS_TRY(read_data(srv, a, who->user, &data));
    return read_room(srv, who, a, room_id, limit, &data, ret);
}

/* ── all rooms ── */
static bool is_wanted(const hs_su_room *me, bool archived)
{
    return me->membership == HS_MEMBER_JOIN || me->membership == HS_MEMBER_INVITE ||
           (archived && me->membership == HS_MEMBER_LEAVE && !(me->flags & HS_USER_ROOM_FORGOTTEN));
}

/* Copied: what is in memory may change while this request waits. */
static hs_error *wanted_rooms(hs_server *srv, hs_arena *a, hs_nid user, bool archived, hs_su_room **ret, size_t *ret_n)
{
    hs_sync_user *u;
    size_t n = 0;

    HS_TRY(hs_sync_user_get(srv, a, user, &u));
    HS_TRY(hs_alloc(a, u->rooms_n, ret));
    for (size_t i = 0; i < u->rooms_n; i++)
        if (is_wanted(&u->rooms[i], archived))
            (*ret)[n++] = u->rooms[i];
    *ret_n = n;
    return NULL;
}

/* *ret_found false: it has gone meanwhile, or is not the user's to see any more. */
static hs_error *read_one(hs_server *srv, const hs_session *who, hs_arena *a, const hs_su_room *me, int64_t limit,
                          const data_rows *data, hs_initial_room *ret, bool *ret_found)
{
    hs_initial_room out = { .membership = me->membership };
    hs_room *room;

    *ret_found = false;
    HS_TRY(hs_room_load(srv, a, me->room, &room));
    if (!room)
        return NULL;
    if (me->membership == HS_MEMBER_INVITE) {
        HS_TRY(hs_events_load(srv, a, me->room, &me->event, 1, &out.invite));
        HS_TRY(hs_store_published_get(srv->db, a, me->room, &out.room.published));
        out.room.access.room = room;
        *ret_found = out.invite != NULL;
    } else {
        hs_error *e = read_room(srv, who, a, room->id, limit, data, &out.room);

        if (e && e->status != 403)
            return e;
        *ret_found = !e;
    }
    *ret = out;
    return NULL;
}

static hs_error *read_presence(hs_server *srv, const hs_session *who, hs_arena *a, hs_strs *ret)
{
    hs_typing_view all = hs_typing_look(srv, 0, 0);
    hs_sync_filter *filter;
    hs_strs events;
    hs_str *out;

    HS_TRY(hs_sync_filter_get(srv, who, a, hs_str_make(NULL, 0), &filter));
    HS_TRY(hs_presence_news(srv, a, who, &all, NULL, &filter->filter.presence, NULL, 0, (hs_nids){ NULL, 0 }, &events));
    HS_TRY(hs_alloc(a, events.n, &out));
    for (size_t i = 0; i < events.n; i++)
        HS_TRY(hs_presence_in_old_form(a, events.at[i], &out[i]));
    *ret = (hs_strs){ out, events.n };
    return NULL;
}

hs_error *hs_initial_sync(hs_server *srv, const hs_session *who, hs_arena *a, int64_t limit, bool archived,
                          hs_initial_answer *ret)
{
    hs_initial_answer out = { .end = hs_event_stream_now(srv) };
    hs_su_room *rooms;
    data_rows data;
    size_t n;

    HS_TRY(wanted_rooms(srv, a, who->user, archived, &rooms, &n));
    HS_TRY(read_data(srv, a, who->user, &data));
    HS_TRY(hs_alloc(a, n, &out.rooms));
    for (size_t i = 0; i < n; i++) {
        bool found;

        HS_TRY(read_one(srv, who, a, &rooms[i], limit, &data, &out.rooms[out.rooms_n], &found));
        out.rooms_n += found;
    }
    HS_TRY(data_events(a, &data, 0, &out.account_data));
    HS_TRY(read_presence(srv, who, a, &out.presence));
    *ret = out;
    return NULL;
}

hs_error *hs_initial_sync_event(hs_server *srv, const hs_session *who, hs_arena *a, hs_str event_id, hs_dressed *ret)
{
    hs_room *room = NULL;
    hs_event_row row;

    HS_TRY(hs_store_events_by_id(srv->db, a, 0, &event_id, 1, &row));
    if (row.event)
        HS_TRY(hs_room_load(srv, a, row.room, &room));
    if (!room)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Event not found.");
    return hs_timeline_event(srv, who, a, room->id, event_id, &room, ret);
}
