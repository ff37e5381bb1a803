/* See event_stream.h. Which rooms have news is asked of memory; rows and events are read only where there are some. */
#include "server/event_stream.h"

#include "base/vec.h"
#include "server/presence.h"
#include "server/receipts.h"
#include "store/account_data.h"

typedef struct {
    hs_server *srv;
    const hs_session *who;
    hs_arena *a;
    const hs_event_stream_in *in;
    hs_event_stream_page *out;
    hs_room *only; /* the room that was asked for; NULL: all that are joined */
    HS_VEC(hs_su_room) joined;
    HS_VEC(hs_stream_row) own; /* the user's own member events in rooms that are not theirs (any more) */
    int64_t upto;
    bool data_news;
    hs_typing_view typing;
    HS_VEC(hs_str) others;
    HS_VEC(hs_room *) fresh;  /* just joined by the user … */
    HS_VEC(hs_nid) newcomers; /* … and who has joined them */
} stream;

hs_sync_token hs_event_stream_now(const hs_server *srv)
{
    hs_typing_view now = hs_typing_look(srv, 0, 0);
    int64_t pos = hs_fanout_position(srv);

    return (hs_sync_token){ .pos = pos, .boot = now.boot, .serial = now.serial, .to_device = 0, .sticky = pos };
}

/* ── which rooms ── */
static hs_error *world_readable(hs_server *srv, hs_arena *a, hs_room *room, bool *ret)
{
    hs_nid nid = hs_room_state_nid(srv, room, HS_S("m.room.history_visibility"), HS_S(""));
    hs_stored *e = NULL;

    if (nid)
        HS_TRY(hs_events_load(srv, a, room->nid, &nid, 1, &e));
    *ret = e &&
           hs_str_eq(hs_jv_str_or_null(hs_jv_get(e->ev->content, HS_S("history_visibility"))), HS_S("world_readable"));
    return NULL;
}

static hs_error *find_rooms(stream *s)
{
    const hs_sync_token *from = &s->in->from;
    hs_sync_user *u;
    bool readable = false;

    if (s->in->room_id.p) {
        HS_TRY(hs_room_find(s->srv, s->a, s->in->room_id, &s->only));
        if (s->only)
            HS_TRY(world_readable(s->srv, s->a, s->only, &readable));
    }
    HS_TRY(hs_sync_user_get(s->srv, s->a, s->who->user, &u));
    s->upto = hs_fanout_position(s->srv);
    s->typing = hs_typing_look(s->srv, from->boot, from->serial);
    s->data_news = from->pos < u->floor || u->account_pos > from->pos;
    for (size_t i = 0; i < u->rooms_n; i++) {
        const hs_su_room *me = &u->rooms[i];

        if (me->membership == HS_MEMBER_JOIN && (!s->only || me->room == s->only->nid))
            HS_TRY(hs_vec_push(s->a, &s->joined, *me));
        else if (me->pos > from->pos && me->pos <= s->upto)
            HS_TRY(hs_vec_push(s->a, &s->own, ((hs_stream_row){ me->room, me->event, me->pos })));
    }
    if (!s->in->room_id.p || s->joined.n)
        return NULL;
    if (!readable)
        return hs_err(s->a, 403, HS_M_FORBIDDEN, "Non-joined access not allowed");
    s->out->looks_in = true;
    return hs_vec_push(s->a, &s->joined, ((hs_su_room){ .room = s->only->nid }));
}

/* ── events ── */
static hs_error *rows_of(stream *s, hs_stream_row **ret, size_t *ret_n)
{
    bool known = s->in->from.pos >= hs_fanout_floor(s->srv);
    hs_nid *rooms;
    size_t n = 0;

    *ret_n = 0;
    HS_TRY(hs_alloc(s->a, s->joined.n, &rooms));
    for (size_t i = 0; i < s->joined.n; i++)
        if (!known || hs_fanout_room_position(s->srv, s->joined.at[i].room) > s->in->from.pos)
            rooms[n++] = s->joined.at[i].room;
    if (!n)
        return NULL;
    return hs_store_timeline_stream(s->srv->db, s->a, rooms, n, s->in->from.pos, s->upto, (int32_t)s->in->limit, ret,
                                    ret_n);
}

/* Puts the user's own between the others, and ends the page where there are enough. */
static hs_error *merge(stream *s, const hs_stream_row *rows, size_t n, hs_stream_row **ret, size_t *ret_n)
{
    size_t limit = (size_t)s->in->limit, k = 0;

    HS_TRY(hs_alloc(s->a, n + s->own.n, ret));
    for (size_t i = 0; i < n; i++)
        (*ret)[k++] = rows[i];
    for (size_t i = 0; i < s->own.n; i++) {
        size_t at = k;

        if (n == limit && s->own.at[i].pos > rows[n - 1].pos)
            continue;
        for (; at > 0 && (*ret)[at - 1].pos > s->own.at[i].pos; at--)
            (*ret)[at] = (*ret)[at - 1];
        (*ret)[at] = s->own.at[i];
        k++;
    }
    if (k >= limit) {
        k = limit;
        s->upto = (*ret)[k - 1].pos;
    }
    *ret_n = k;
    return NULL;
}

/* Whoever is invited, or has to go, is told. */
static bool is_own(const stream *s, const hs_stored *e)
{
    return e->ev->kind == HS_KIND_MEMBER && hs_str_eq(e->ev->state_key, s->who->user_id);
}

static hs_error *note_join(stream *s, hs_room *room, const hs_stored *e)
{
    if (e->ev->kind != HS_KIND_MEMBER || e->ev->membership != HS_MEMBER_JOIN)
        return NULL;
    if (is_own(s, e))
        return hs_vec_push(s->a, &s->fresh, room);
    return hs_vec_push(s->a, &s->newcomers, e->sender);
}

/* Those of one room: events[i] stays NULL for what is not seen. */
static hs_error *see_room(stream *s, hs_nid nid, const hs_stream_row *rows, size_t n, hs_dressed *ret)
{
    hs_room *room;
    hs_nid *nids;
    hs_stored **events;
    hs_membership *memberships;
    size_t *where, k = 0, m = 0;
    bool *visible;

    HS_TRY(hs_room_load(s->srv, s->a, nid, &room));
    if (!room)
        return NULL;
    HS_TRY(hs_alloc(s->a, n, &nids));
    HS_TRY(hs_alloc(s->a, n, &where));
    HS_TRY(hs_alloc(s->a, n, &events));
    HS_TRY(hs_alloc(s->a, n, &memberships));
    HS_TRY(hs_alloc(s->a, n, &visible));
    for (size_t i = 0; i < n; i++) {
        if (rows[i].room != nid)
            continue;
        where[k] = i;
        nids[k++] = rows[i].event;
    }
    HS_TRY(hs_events_load(s->srv, s->a, nid, nids, k, events));
    for (size_t i = 0; i < k; i++) {
        if (!events[i])
            continue;
        where[m] = where[i];
        events[m++] = events[i];
    }
    HS_TRY(hs_timeline_visible(s->srv, s->a, room, s->who, HS_SEES_PAST_STAYS, events, m, visible, memberships));
    for (size_t i = 0; i < m; i++) {
        if (!visible[i] && !is_own(s, events[i]))
            continue;
        ret[where[i]] = (hs_dressed){ .event = events[i], .membership = memberships[i], .pos = rows[where[i]].pos };
        HS_TRY(note_join(s, room, events[i]));
    }
    return NULL;
}

static hs_error *read_events(stream *s)
{
    hs_stream_row *rows = NULL, *all;
    hs_dressed *events;
    size_t n, k = 0;

    HS_TRY(rows_of(s, &rows, &n));
    HS_TRY(merge(s, rows, n, &all, &n));
    HS_TRY(hs_alloc(s->a, n, &events));
    for (size_t i = 0; i < n; i++) {
        bool seen = false;

        for (size_t p = 0; p < i && !seen; p++)
            seen = all[p].room == all[i].room;
        if (!seen)
            HS_TRY(see_room(s, all[i].room, all, n, events));
    }
    for (size_t i = 0; i < n; i++)
        if (events[i].event)
            events[k++] = events[i];
    s->out->events = events;
    s->out->events_n = k;
    return hs_timeline_dress(s->srv, s->a, s->who, HS_DRESS_REPLACED, events, k);
}

/* ── what else ── */
/* room_id.p NULL: of no room */
static hs_error *add_other(stream *s, hs_str type, hs_str content, hs_str room_id)
{
    hs_json_out j;
    hs_str text;
    hs_buf b;

    hs_buf_init(&b, s->a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "type", type);
    hs_json_opt_str(&j, "room_id", room_id);
    hs_json_raw(&j, "content", content);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_vec_push(s->a, &s->others, text);
}

static hs_error *room_name(stream *s, hs_nid nid, hs_str *ret)
{
    hs_room *room;

    HS_TRY(hs_room_load(s->srv, s->a, nid, &room));
    *ret = room ? room->id : hs_str_make(NULL, 0);
    return NULL;
}

hs_error *hs_presence_in_old_form(hs_arena *a, hs_str event, hs_str *ret)
{
    hs_json_out j;
    hs_jv v;
    hs_buf b;

    HS_TRY(hs_tape_parse(a, event, HS_JSON_OBJECT, &v));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "type", HS_S("m.presence"));
    hs_json_obj_at(&j, "content");
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(v, HS_S("content")), &it);) {
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_str(&j, "user_id", hs_jv_str_or_null(hs_jv_get(v, HS_S("sender"))));
    hs_json_end(&j);
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

static hs_error *read_presence(stream *s)
{
    hs_sync_filter *all;
    hs_strs events;
    hs_str text;

    HS_TRY(hs_sync_filter_get(s->srv, s->who, s->a, hs_str_make(NULL, 0), &all));
    HS_TRY(hs_presence_news(s->srv, s->a, s->who, &s->typing, NULL, &all->filter.presence, s->fresh.at, s->fresh.n,
                            (hs_nids){ s->newcomers.at, s->newcomers.n }, &events));
    for (size_t i = 0; i < events.n; i++) {
        HS_TRY(hs_presence_in_old_form(s->a, events.at[i], &text));
        HS_TRY(hs_vec_push(s->a, &s->others, text));
    }
    return NULL;
}

static hs_error *read_typing(stream *s)
{
    hs_str content, name;

    for (size_t i = 0; s->typing.tells && i < s->joined.n; i++) {
        uint64_t serial = hs_typing_room_serial(s->srv, s->joined.at[i].room);

        if (!serial || serial <= s->typing.since)
            continue;
        HS_TRY(hs_typing_content(s->srv, s->a, s->joined.at[i].room, &content));
        HS_TRY(room_name(s, s->joined.at[i].room, &name));
        HS_TRY(add_other(s, HS_S("m.typing"), content, name));
    }
    return NULL;
}

static hs_error *read_receipts(stream *s)
{
    int64_t since = s->in->from.pos;
    bool known = since >= hs_sync_rooms_floor(s->srv);
    hs_str *contents, name;
    hs_nid *rooms;
    size_t n = 0;

    HS_TRY(hs_alloc(s->a, s->joined.n, &rooms));
    for (size_t i = 0; i < s->joined.n; i++) {
        const hs_sync_room *r = hs_sync_room_peek(s->srv, s->joined.at[i].room);

        if (!known || (r && r->receipts_pos > since))
            rooms[n++] = s->joined.at[i].room;
    }
    if (!n)
        return NULL;
    HS_TRY(hs_alloc(s->a, n, &contents));
    HS_TRY(hs_receipts_content(s->srv, s->a, rooms, n, s->who->user, since, s->upto, contents));
    for (size_t i = 0; i < n; i++) {
        if (!contents[i].p)
            continue;
        HS_TRY(room_name(s, rooms[i], &name));
        HS_TRY(add_other(s, HS_S("m.receipt"), contents[i], name));
    }
    return NULL;
}

static hs_error *read_data(stream *s)
{
    hs_account_data_row *rows;
    hs_str name;
    size_t n;

    if (!s->data_news)
        return NULL;
    HS_TRY(hs_store_account_data_after(s->srv->db, s->a, s->who->user, s->in->from.pos, s->upto, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        name = hs_str_make(NULL, 0);
        if (hs_str_eq(rows[i].type, HS_S("m.push_rules"))) /* not as account data */
            continue;
        if (rows[i].room)
            HS_TRY(room_name(s, rows[i].room, &name));
        HS_TRY(add_other(s, rows[i].type, rows[i].content, name));
    }
    return NULL;
}

hs_error *hs_event_stream(hs_server *srv, const hs_session *who, hs_arena *a, const hs_event_stream_in *in,
                          hs_event_stream_page *ret)
{
    hs_event_stream_page out = { 0 };
    stream s = { .srv = srv, .who = who, .a = a, .in = in, .out = &out };

    HS_TRY(find_rooms(&s));
    HS_TRY(read_events(&s));
    HS_TRY(read_presence(&s));
    HS_TRY(read_typing(&s));
    HS_TRY(read_receipts(&s));
    HS_TRY(read_data(&s));
    out.others = (hs_strs){ s.others.at, s.others.n };
    out.end = (hs_sync_token){ s.upto, s.typing.boot, s.typing.serial, in->from.to_device, in->from.sticky };
    *ret = out;
    return NULL;
}
