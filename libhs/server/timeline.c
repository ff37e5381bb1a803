/* See timeline.h. */
#include "server/timeline.h"

#include "base/vec.h"
#include "server/relations.h"
#include "server/room_state.h"
#include "server/sync.h"
#include "server/timeline_state.h"
#include "store/members.h"
#include "store/state.h"

/* ── tokens ── */
/* What follows the letter of a t or f token. */
static bool read_numbers(hs_str rest, hs_page_bound bound, hs_page_token *ret)
{
    hs_page_token t = { .has_depth = true };
    bool synapse = bound == HS_PAGE_UPTO && hs_str_find(rest, '-', 1) < hs_str_find(rest, '_', 0);
    hs_str depth = hs_str_split(&rest, synapse ? '-' : '_'), pos;

    if (!rest.p)
        return false;
    pos = hs_str_split(&rest, '_');
    if (!hs_str_to_i64(depth, &t.depth) || !hs_str_to_i64(pos, &t.pos))
        return false;
    if (rest.p && !synapse) { /* what follows in Synapse's are its other streams */
        t.bound = bound;
        if (!hs_str_to_i64(rest, &t.bound_pos))
            return false;
    }
    *ret = t;
    return true;
}

hs_error *hs_page_token_read(hs_arena *a, hs_str s, hs_page_token *ret)
{
    hs_page_token t = { .has_depth = false };
    hs_sync_token sync;

    if (s.n > 1 && (s.p[0] == 't' || s.p[0] == 'f')) {
        if (!read_numbers(hs_str_from(s, 1), s.p[0] == 't' ? HS_PAGE_UPTO : HS_PAGE_AFTER, ret))
            return hs_err(a, 400, HS_M_UNKNOWN, "Invalid stream token");
        return NULL;
    }
    if (!(s.n > 1 && s.p[0] == 's' && hs_str_to_i64(hs_str_from(s, 1), &t.pos))) { /* may be negative, in history */
        HS_TRY(hs_sync_token_read(a, s, &sync));
        t.pos = sync.pos;
    }
    *ret = t;
    return NULL;
}

hs_error *hs_page_token_write(hs_arena *a, const hs_page_token *t, hs_str *ret)
{
    if (!t->has_depth)
        return hs_str_fmt(a, ret, "s%lld", (long long)t->pos);
    if (t->bound == HS_PAGE_WHOLE)
        return hs_str_fmt(a, ret, "t%lld_%lld", (long long)t->depth, (long long)t->pos);
    return hs_str_fmt(a, ret, "%c%lld_%lld_%lld", t->bound == HS_PAGE_UPTO ? 't' : 'f', (long long)t->depth,
                      (long long)t->pos, (long long)t->bound_pos);
}

/* A bare position becomes the point after the newest event that is not after it. */
hs_error *hs_page_token_point(hs_server *srv, hs_arena *a, hs_nid room, const hs_page_token *t, hs_topo *ret)
{
    hs_timeline_row row;
    bool found;

    if (t->has_depth) {
        *ret = (hs_topo){ t->depth, t->pos };
        return NULL;
    }
    HS_TRY(hs_store_head_at(srv->db, a, room, t->pos, &row, &found));
    *ret = found ? (hs_topo){ row.depth, row.pos } : (hs_topo){ INT64_MIN, INT64_MIN };
    return NULL;
}

static hs_error *read_token(hs_arena *a, hs_str token, const char *name, hs_page_token *ret)
{
    if (hs_page_token_read(a, token, ret))
        return hs_err(a, 400, HS_M_UNKNOWN, "'%s' parameter is invalid", name);
    return NULL;
}

static const hs_span EVERYTHING = {
    .low = { INT64_MIN, INT64_MIN },
    .high = { INT64_MAX, INT64_MAX },
    .after = INT64_MIN,
    .upto = INT64_MAX,
};

/* Leaves of the span what is before the token (dir backward) or after it. */
static void span_cut(hs_span *io, const hs_page_token *t, hs_direction dir)
{
    hs_topo at = { t->depth, t->pos };

    if (dir == HS_BACKWARD) {
        if (t->has_depth)
            io->high = at;
        if (!t->has_depth || t->bound == HS_PAGE_UPTO)
            io->upto = t->has_depth ? t->bound_pos : t->pos;
    } else {
        if (t->has_depth)
            io->low = at;
        if (!t->has_depth || t->bound == HS_PAGE_AFTER)
            io->after = t->has_depth ? t->bound_pos : t->pos;
    }
}

/* What is left of a span whose next page begins at a point. */
static hs_error *write_rest(hs_arena *a, hs_topo edge, const hs_span *span, hs_direction dir, hs_str *ret)
{
    hs_page_token t = { .has_depth = true, .depth = edge.depth, .pos = edge.pos };

    if (dir == HS_BACKWARD && span->upto != INT64_MAX) {
        t.bound = HS_PAGE_UPTO;
        t.bound_pos = span->upto;
    } else if (dir == HS_FORWARD && span->after != INT64_MIN) {
        t.bound = HS_PAGE_AFTER;
        t.bound_pos = span->after;
    }
    return hs_page_token_write(a, &t, ret);
}

/* ── one event ── */
hs_error *hs_timeline_find(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str event_id,
                           hs_room **ret_room, hs_dressed *ret, bool *ret_visible)
{
    hs_room *room;
    hs_stored *event = NULL;

    *ret = (hs_dressed){ .event = NULL };
    *ret_visible = false;
    HS_TRY(hs_room_find(srv, a, room_id, &room));
    if (room)
        HS_TRY(hs_event_find(srv, a, room->nid, event_id, &event));
    if (!event || event->room != room->nid ||
        (event->flags & (HS_EV_OUTLIER | HS_EV_REJECTED | HS_EV_STUB | HS_EV_SOFT_FAILED)))
        return NULL;
    *ret_room = room;
    ret->event = event;
    return hs_timeline_visible(srv, a, room, who, HS_SEES_NOW_ONLY, &event, 1, ret_visible, &ret->membership);
}

hs_error *hs_timeline_event(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str event_id,
                            hs_room **ret_room, hs_dressed *ret)
{
    hs_dressed event;
    bool visible;

    HS_TRY(hs_timeline_find(srv, who, a, room_id, event_id, ret_room, &event, &visible));
    if (!visible)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Event not found.");
    *ret = event;
    return NULL;
}

/* ── pages ── */
typedef struct {
    hs_dressed *at;
    size_t n;
    hs_topo edge; /* of the last row looked at */
    bool more, any_rows;
} page;

static bool wanted(const hs_event_filter *f, const hs_stored *e)
{
    return !f || hs_event_filter_match(f, e->ev->type, e->ev->sender, e->ev->room_id, e->ev->content);
}

/* Up to `limit` rows of a span that pass the filter, of them those that may be seen. */
static hs_error *read_page(hs_server *srv, hs_arena *a, hs_room *room, const hs_session *who, hs_sees sees,
                           const hs_span *span, hs_direction dir, int64_t limit, const hs_event_filter *filter,
                           page *ret)
{
    enum { ROUNDS = 5 };
    hs_span left = *span;
    hs_topo *from = dir == HS_BACKWARD ? &left.high : &left.low;
    page p = { .more = false };
    hs_stored **events;
    int64_t *positions;
    bool *visible, *keep;
    hs_membership *memberships;
    size_t n = 0;

    HS_TRY(hs_alloc(a, (size_t)limit, &events));
    HS_TRY(hs_alloc(a, (size_t)limit, &positions));
    for (int round = 0; round < ROUNDS && (int64_t)n < limit; round++) {
        hs_timeline_row *rows;
        hs_stored **loaded;
        hs_nid *nids;
        size_t rows_n;
        int32_t batch = (int32_t)limit + 1;

        HS_TRY(hs_store_timeline_topo(srv->db, a, room->nid, &left, dir, batch, &rows, &rows_n));
        HS_TRY(hs_alloc(a, rows_n, &nids));
        HS_TRY(hs_alloc(a, rows_n, &loaded));
        for (size_t i = 0; i < rows_n; i++)
            nids[i] = rows[i].event;
        if (rows_n)
            HS_TRY(hs_events_load(srv, a, room->nid, nids, rows_n, loaded));
        p.any_rows |= rows_n > 0;
        p.more = false;
        for (size_t i = 0; i < rows_n; i++) {
            if ((int64_t)n == limit) {
                p.more = true;
                break;
            }
            /* The point before this row (backward) or after it (forward): where the next page begins. */
            *from = (hs_topo){ rows[i].depth, dir == HS_BACKWARD ? rows[i].pos - 1 : rows[i].pos };
            if (loaded[i] && wanted(filter, loaded[i])) {
                positions[n] = rows[i].pos;
                events[n++] = loaded[i];
            }
        }
        if (p.more || (int64_t)rows_n < batch)
            break;
        p.more = true;
    }
    HS_TRY(hs_alloc(a, n, &visible));
    HS_TRY(hs_alloc(a, n, &memberships));
    HS_TRY(hs_alloc(a, n, &keep));
    HS_TRY(hs_alloc(a, n, &p.at));
    HS_TRY(hs_timeline_visible(srv, a, room, who, sees, events, n, visible, memberships));
    if (filter)
        HS_TRY(hs_relations_filter(srv, a, room->nid, filter, events, n, keep));
    for (size_t i = 0; i < n; i++) {
        if (visible[i] && (!filter || keep[i]))
            p.at[p.n++] = (hs_dressed){ .event = events[i], .membership = memberships[i], .pos = positions[i] };
    }
    p.edge = *from;
    *ret = p;
    return NULL;
}

/* Of the state at an event what may be seen event by event. */
static hs_error *only_visible(hs_server *srv, hs_arena *a, hs_room *room, const hs_session *who, hs_stored **io,
                              size_t *io_n)
{
    bool *visible;
    hs_membership *memberships;
    size_t kept = 0;

    HS_TRY(hs_alloc(a, *io_n, &visible));
    HS_TRY(hs_alloc(a, *io_n, &memberships));
    HS_TRY(hs_timeline_visible(srv, a, room, who, HS_SEES_NOW_ONLY, io, *io_n, visible, memberships));
    for (size_t i = 0; i < *io_n; i++) {
        if (visible[i])
            io[kept++] = io[i];
    }
    *io_n = kept;
    return NULL;
}

/* Member events of the senders of some events, at the snapshot of `at`; plus all else of the state when `full`. */
static hs_error *lazy_state(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *at,
                            const hs_dressed *const *lists, const size_t *lists_n, size_t lists_count, hs_stored ***ret,
                            size_t *ret_n)
{
    HS_VEC(int64_t) slots = { 0 };
    hs_nid *nids;
    hs_stored **events;
    size_t n = 0;

    for (size_t l = 0; l < lists_count; l++) {
        for (size_t i = 0; i < lists_n[l]; i++) {
            int64_t slot = hs_slot(srv->slot_key, HS_S("m.room.member"), lists[l][i].event->ev->sender);
            size_t k = 0;

            while (k < slots.n && slots.at[k] != slot)
                k++;
            if (k == slots.n)
                HS_TRY(hs_vec_push(a, &slots, slot));
        }
    }
    HS_TRY(hs_alloc(a, slots.n, &nids));
    HS_TRY(hs_alloc(a, slots.n, &events));
    if (slots.n && at->line >= 0)
        HS_TRY(hs_store_state_slots(srv->db, a, room->nid, (hs_snap){ at->line, at->snap }, slots.at, slots.n, nids));
    for (size_t i = 0; i < slots.n; i++) {
        if (nids[i] > 0)
            nids[n++] = nids[i];
    }
    if (n)
        HS_TRY(hs_events_load(srv, a, room->nid, nids, n, events));
    *ret = events;
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (events[i])
            events[(*ret_n)++] = events[i];
    }
    return NULL;
}

/* Who has left pages back from there: what came after is not theirs, even where everybody may read it. */
static hs_error *clamp_to_stay(hs_server *srv, const hs_session *who, hs_arena *a, const hs_room_access *access,
                               hs_span *io)
{
    hs_user_room row;
    bool found;

    if (access->membership != HS_MEMBER_LEAVE)
        return NULL;
    HS_TRY(hs_store_user_room(srv->db, a, who->user, access->room->nid, &row, &found));
    if (found && row.left_pos < io->upto)
        io->upto = row.left_pos;
    return NULL;
}

/* What came after a position is found in the order of depths; all that came before need not be passed over first. */
static hs_error *skip_older(hs_server *srv, hs_arena *a, hs_nid room, hs_span *io)
{
    enum { LOOK_AT = 1000 };
    int64_t depth;
    bool known;

    if (io->after == INT64_MIN || io->low.depth != INT64_MIN)
        return NULL;
    HS_TRY(hs_store_timeline_shallowest(srv->db, a, room, io->after, io->upto, LOOK_AT, &depth, &known));
    if (known)
        io->low = (hs_topo){ depth, INT64_MIN };
    return NULL;
}

/* Which part of the room a request asks for, and the token of its beginning. */
static hs_error *messages_span(hs_server *srv, const hs_session *who, hs_arena *a, const hs_messages_query *in,
                               const hs_room_access *access, hs_span *ret, hs_str *ret_start)
{
    hs_direction dir = in->forwards ? HS_FORWARD : HS_BACKWARD;
    hs_span span = EVERYTHING;
    hs_page_token from = { .has_depth = in->forwards, .pos = in->forwards ? 0 : hs_fanout_position(srv) }, to;

    *ret_start = in->from;
    if (in->from.p && !hs_str_eq(in->from, HS_S("END"))) {
        HS_TRY(read_token(a, in->from, "from", &from));
        span_cut(&span, &from, dir);
    } else if (!in->forwards) {
        span_cut(&span, &from, dir);
        HS_TRY(clamp_to_stay(srv, who, a, access, &span));
        from.pos = span.upto;
        HS_TRY(hs_page_token_write(a, &from, ret_start));
    } else {
        HS_TRY(hs_page_token_write(a, &from, ret_start));
    }
    if (in->to.p) {
        HS_TRY(read_token(a, in->to, "to", &to));
        span_cut(&span, &to, in->forwards ? HS_BACKWARD : HS_FORWARD);
    }
    if (in->forwards)
        HS_TRY(skip_older(srv, a, access->room->nid, &span));
    else
        HS_TRY(clamp_to_stay(srv, who, a, access, &span));
    *ret = span;
    return NULL;
}

hs_error *hs_messages_get(hs_server *srv, const hs_session *who, hs_arena *a, const hs_messages_query *in,
                          hs_messages_page *ret)
{
    hs_direction dir = in->forwards ? HS_FORWARD : HS_BACKWARD;
    hs_room_access access;
    hs_messages_page out = { 0 };
    hs_span span;
    int64_t limit = in->limit > HS_PAGE_LIMIT ? HS_PAGE_LIMIT : in->limit;
    page p;

    HS_TRY(hs_room_access_check(srv, who, a, in->room_id, &access));
    out.room = access.room;
    HS_TRY(messages_span(srv, who, a, in, &access, &span, &out.start));
    HS_TRY(read_page(srv, a, access.room, who, HS_SEES_PAST_STAYS, &span, dir, limit, in->filter, &p));

    if (!limit)
        out.end = out.start;
    else if (p.more || p.any_rows)
        HS_TRY(write_rest(a, p.edge, &span, dir, &out.end));
    HS_TRY(hs_timeline_dress(srv, a, who, HS_DRESS_BUNDLE | HS_DRESS_REPLACED, p.at, p.n));
    out.chunk = p.at;
    out.chunk_n = p.n;
    if (in->filter && in->filter->lazy_load_members && p.n) {
        const hs_dressed *lists[] = { p.at };
        size_t counts[] = { p.n };

        HS_TRY(lazy_state(srv, a, access.room, p.at[0].event, lists, counts, 1, &out.state, &out.state_n));
    }
    *ret = out;
    return NULL;
}

hs_error *hs_context_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id, hs_str event_id,
                         int64_t limit, const hs_event_filter *filter, hs_event_context *ret)
{
    hs_event_context out = { 0 };
    hs_timeline_row at;
    hs_span earlier = EVERYTHING, later = EVERYTHING;
    page before = { 0 }, after = { 0 };
    int64_t n_before, n_after;
    hs_stored *last;
    bool visible;

    limit = limit < 0 ? 0 : limit > HS_PAGE_LIMIT ? HS_PAGE_LIMIT : limit;
    n_before = limit / 2;
    n_after = limit - n_before;
    HS_TRY(hs_timeline_find(srv, who, a, room_id, event_id, &out.room, &out.event, &visible));
    if (!visible)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Event not found.");
    HS_TRY(hs_store_timeline_of(srv->db, a, out.room->nid, &out.event.event->nid, 1, &at));
    if (!at.pos)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Event not found.");
    later.low = (hs_topo){ at.depth, at.pos };
    earlier.high = (hs_topo){ at.depth, at.pos - 1 };
    out.event.pos = at.pos;
    HS_TRY(read_page(srv, a, out.room, who, HS_SEES_NOW_ONLY, &earlier, HS_BACKWARD, n_before, filter, &before));
    HS_TRY(read_page(srv, a, out.room, who, HS_SEES_NOW_ONLY, &later, HS_FORWARD, n_after, filter, &after));
    HS_TRY(hs_timeline_dress(srv, a, who, HS_DRESS_BUNDLE | HS_DRESS_REPLACED, before.at, before.n));
    HS_TRY(hs_timeline_dress(srv, a, who, HS_DRESS_BUNDLE | HS_DRESS_REPLACED, &out.event, 1));
    HS_TRY(hs_timeline_dress(srv, a, who, HS_DRESS_BUNDLE | HS_DRESS_REPLACED, after.at, after.n));
    out.before = before.at;
    out.before_n = before.n;
    out.after = after.at;
    out.after_n = after.n;
    HS_TRY(write_rest(a, before.edge, &earlier, HS_BACKWARD, &out.start));
    HS_TRY(write_rest(a, after.edge, &later, HS_FORWARD, &out.end));

    last = after.n ? after.at[after.n - 1].event : out.event.event;
    if (last->line >= 0) {
        hs_state_set state;
        hs_nid *nids;
        hs_stored **members;
        size_t members_n, n = 0;
        bool lazy = filter && filter->lazy_load_members;
        const hs_dressed *lists[] = { before.at, &out.event, after.at };
        size_t counts[] = { before.n, 1, after.n };

        HS_TRY(hs_room_snapshot(srv, a, out.room, last->line, last->snap, &state));
        HS_TRY(hs_alloc(a, state.n, &nids));
        for (size_t i = 0; i < state.n; i++) {
            if (!lazy || !hs_slot_is_member(state.at[i].slot))
                nids[n++] = state.at[i].event;
        }
        HS_TRY(lazy_state(srv, a, out.room, last, lists, counts, lazy ? 3 : 0, &members, &members_n));
        HS_TRY(hs_alloc(a, n + members_n, &out.state));
        if (n)
            HS_TRY(hs_events_load(srv, a, out.room->nid, nids, n, out.state));
        if (members_n)
            memcpy(out.state + n, members, members_n * sizeof *members);
        for (size_t i = 0; i < n + members_n; i++) {
            if (out.state[i] && wanted(filter, out.state[i]))
                out.state[out.state_n++] = out.state[i];
        }
        HS_TRY(hs_timeline_state_visible(srv, a, out.room, who, last,
                                         after.n ? after.at[after.n - 1].membership : out.event.membership, &visible));
        if (!visible)
            HS_TRY(only_visible(srv, a, out.room, who, out.state, &out.state_n));
        out.state_bare = !visible;
    }
    *ret = out;
    return NULL;
}
