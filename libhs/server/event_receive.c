/* Receiving an event into a room's graph, where it may fork it: which state it meets, on which line that state is kept,
 * and what the room's state is afterwards. store-design §1.2.
 *
 *   before    what the parents' states resolve to. Stored as it is if one snapshot is that state; else as a new line
 * over the main one. after     before, with the event. It extends the main line only when `before` is the main line's
 * newest snapshot, another line when it is that one's newest, and otherwise begins a line of one row. current   what
 * the states of all heads resolve to, written as the next snapshot of the main line: as many rows as it changes. */
#include "server/event_receive.h"

#include "server/event_accept.h"
#include "server/event_state.h"
#include "server/event_write.h"
#include "server/names.h"

#define STALE_TRIES 3

typedef struct {
    hs_server *srv;
    hs_arena *a;
    hs_room *room;
    const hs_event *ev;
    hs_room_write *w;
    hs_nid nid, sender;
    int64_t slot;
    hs_stored **prev, **auth;
    hs_nids prev_nids, auth_nids;
    hs_resolved before;
    hs_snap before_at, after_at, main; /* main: the main line's newest, as this unit leaves it */
    hs_state_set after;
    hs_stored *stored;
    uint32_t flags;
    int32_t new_line; /* -1: none made yet */
    HS_VEC(hs_state_row) rows;
} receiving;

/* ── what it names ── */

static hs_error *find_all(receiving *r, const hs_str *ids, size_t n, hs_stored ***ret, hs_nids *ret_nids)
{
    hs_stored **events;
    hs_nid *nids;

    HS_TRY(hs_alloc(r->a, n, &events));
    HS_TRY(hs_alloc(r->a, n, &nids));
    for (size_t i = 0; i < n; i++) {
        HS_TRY(hs_event_find(r->srv, r->a, r->room->nid, ids[i], &events[i]));
        if (!events[i])
            return hs_err(r->a, 404, HS_M_NOT_FOUND, "Event %.*s is missing", HS_FMT(ids[i]));
        nids[i] = events[i]->nid;
    }
    *ret = events;
    *ret_nids = (hs_nids){ .at = nids, .n = n };
    return NULL;
}

/* 5: the state before it */
static hs_error *resolve_before(receiving *r)
{
    size_t n = r->prev_nids.n;
    hs_snap *snaps;

    if (!n)
        return hs_err(r->a, 400, HS_M_BAD_JSON, "An event without parents begins another room");
    HS_TRY(hs_alloc(r->a, n, &snaps));
    for (size_t i = 0; i < n; i++) {
        if (r->prev[i]->line < 0)
            return hs_err(r->a, 404, HS_M_NOT_FOUND, "The state at event %.*s is missing",
                          HS_FMT(r->prev[i]->ev->event_id));
        snaps[i] = (hs_snap){ .line = r->prev[i]->line, .snap = r->prev[i]->snap };
    }
    return hs_state_resolve_snaps(r->srv, r->a, r->room, snaps, n, &r->before);
}

/* 4, 6 and 7 */
static hs_error *check(receiving *r)
{
    hs_state_set now = { .at = r->room->state, .n = r->room->state_n };
    hs_state_view before, current;
    const hs_event **auth;
    bool *rejected;

    HS_TRY(hs_alloc(r->a, r->auth_nids.n, &auth));
    HS_TRY(hs_alloc(r->a, r->auth_nids.n, &rejected));
    for (size_t i = 0; i < r->auth_nids.n; i++) {
        auth[i] = r->auth[i]->ev;
        rejected[i] = r->auth[i]->flags & HS_EV_REJECTED;
    }
    HS_TRY(hs_state_set_view(r->srv, r->a, r->room, &r->before.set, r->ev, &before));
    HS_TRY(hs_state_set_view(r->srv, r->a, r->room, &now, r->ev, &current));
    hs_accept_in in = { .origin = HS_ORIGIN_REMOTE,
                        .event = r->ev,
                        .auth = auth,
                        .auth_rejected = rejected,
                        .auth_n = r->auth_nids.n,
                        .before = &before,
                        .current = &current };
    return hs_event_accept(r->a, &in, &r->flags);
}

/* ── lines ── */

static bool is_same(hs_snap x, hs_snap y)
{
    return x.line == y.line && x.snap == y.snap;
}

static hs_error *new_line(receiving *r, hs_snap base, int32_t *ret)
{
    if (r->new_line < 0)
        HS_TRY(hs_store_line_next(r->srv->db, r->a, r->room->nid, &r->new_line));
    else
        r->new_line++;
    HS_TRY(hs_store_line_insert(r->w->unit, r->room->nid, r->new_line, base, HS_LINE_FORK));
    *ret = r->new_line;
    return NULL;
}

static hs_error *add_rows(receiving *r, hs_snap at, const hs_state_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        HS_TRY(hs_vec_push(r->a, &r->rows,
                           (hs_state_row){ .at = at,
                                           .slot = changes[i].slot,
                                           .event = changes[i].after ? changes[i].after : HS_STATE_GONE }));
    return NULL;
}

static hs_error *place_before(receiving *r)
{
    hs_state_set now = { .at = r->room->state, .n = r->room->state_n };
    hs_state_change *diff;
    int32_t line;
    size_t n;

    if (r->before.at.line >= 0) {
        r->before_at = r->before.at;
        return NULL;
    }
    HS_TRY(hs_state_set_diff(r->a, &now, &r->before.set, &diff, &n));
    if (!n) {
        r->before_at = r->main;
        return NULL;
    }
    HS_TRY(new_line(r, r->main, &line));
    r->before_at = (hs_snap){ .line = line, .snap = 1 };
    return add_rows(r, r->before_at, diff, n);
}

static hs_error *is_newest(receiving *r, hs_snap at, bool *ret)
{
    int32_t newest;

    *ret = at.line == r->new_line;
    if (*ret || at.line == r->room->line)
        return NULL;
    HS_TRY(hs_store_line_newest(r->srv->db, r->a, r->room->nid, at.line, &newest));
    *ret = newest == at.snap;
    return NULL;
}

static hs_error *with_event(receiving *r)
{
    const hs_state_set *from = &r->before.set;
    bool found;
    size_t i = hs_state_search(from->at, from->n, r->slot, &found);
    hs_state_entry *to;

    HS_TRY(hs_alloc(r->a, from->n + 1, &to));
    if (i)
        memcpy(to, from->at, i * sizeof *to);
    to[i] = (hs_state_entry){ .slot = r->slot, .event = r->nid };
    if (i + found < from->n)
        memcpy(to + i + 1, from->at + i + found, (from->n - i - found) * sizeof *to);
    r->after = (hs_state_set){ .at = to, .n = from->n + 1 - found };
    return NULL;
}

static hs_error *place_after(receiving *r)
{
    bool newest;

    r->after_at = r->before_at;
    r->after = r->before.set;
    if (!r->ev->is_state ||
        r->flags) /* a soft-failed event's own state is not kept: its children meet the one before it */
        return NULL;
    HS_TRY(with_event(r));
    if (is_same(r->before_at, r->main)) {
        r->after_at.snap++;
        r->main = r->after_at;
    } else {
        HS_TRY(is_newest(r, r->before_at, &newest));
        if (newest) {
            r->after_at.snap++;
        } else {
            int32_t line;
            HS_TRY(new_line(r, r->before_at, &line));
            r->after_at = (hs_snap){ .line = line, .snap = 1 };
        }
    }
    return hs_vec_push(r->a, &r->rows, (hs_state_row){ .at = r->after_at, .slot = r->slot, .event = r->nid });
}

/* ── the room's state afterwards ── */

static hs_error *current_state(receiving *r, hs_state_set *ret)
{
    hs_room *room = r->room;
    hs_state_set *sets;
    size_t n = 0;

    HS_TRY(hs_alloc(r->a, room->heads.n + 1, &sets));
    sets[n++] = r->after;
    for (size_t i = 0; i < room->heads.n; i++) {
        const hs_stored *head = room->head_events[i];
        bool followed = false;
        for (size_t k = 0; k < r->prev_nids.n; k++)
            followed = followed || r->prev_nids.at[k] == head->nid;
        if (!followed)
            HS_TRY(hs_room_snapshot(r->srv, r->a, room, head->line, head->snap, &sets[n++]));
    }
    if (n == 1) {
        *ret = sets[0];
        return NULL;
    }
    return hs_state_resolve_sets(r->srv, r->a, room, sets, n, r->stored, r->auth_nids, ret);
}

static hs_error *swaps_of(receiving *r, const hs_state_change *diff, size_t n, hs_state_swap **ret)
{
    hs_state_swap *out;
    hs_nid *nids;
    hs_stored **events;

    HS_TRY(hs_alloc(r->a, n, &out));
    HS_TRY(hs_alloc(r->a, 2 * n, &nids));
    HS_TRY(hs_alloc(r->a, 2 * n, &events));
    for (size_t i = 0; i < n; i++) {
        nids[2 * i] = diff[i].before;
        nids[2 * i + 1] = diff[i].after == r->nid ? 0 : diff[i].after;
    }
    HS_TRY(hs_events_load_as(r->srv, r->a, r->room->nid, r->room->rv, nids, 2 * n, events));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_state_swap){ .slot = diff[i].slot,
                                  .was = events[2 * i],
                                  .now = diff[i].after == r->nid ? r->stored : events[2 * i + 1] };
    *ret = out;
    return NULL;
}

/* 8: persist */
static hs_error *add_event(receiving *r)
{
    hs_state_set now = { .at = r->room->state, .n = r->room->state_n }, current, on_main = now;
    hs_push_outcome push = { 0 };
    hs_event_rows_in in = { .event = r->stored, .prev = r->prev_nids, .auth = r->auth_nids, .push = &push };
    hs_state_change *diff;
    hs_state_swap *swaps;
    size_t n;

    if (r->flags)
        return hs_event_rows_insert(r->w, &in);
    if (r->after_at.line == r->main.line)
        on_main = r->after;
    HS_TRY(current_state(r, &current));
    HS_TRY(hs_state_set_diff(r->a, &on_main, &current, &diff, &n));
    if (n) {
        r->main.snap++;
        HS_TRY(add_rows(r, r->main, diff, n));
    }
    HS_TRY(hs_state_set_diff(r->a, &now, &current, &diff, &n));
    HS_TRY(swaps_of(r, diff, n, &swaps));
    HS_TRY(hs_push_eval_event(r->srv, r->a, r->room, r->stored, &push));
    in.after = r->main;
    in.rows = r->rows.at;
    in.rows_n = r->rows.n;
    in.changes = swaps;
    in.changes_n = n;
    for (size_t i = 0; i < n; i++)
        HS_TRY(hs_vec_push(r->a, &r->w->overlay, (hs_overlay){ .slot = swaps[i].slot, .event = swaps[i].now }));
    return hs_event_rows_add(r->w, &in);
}

static hs_error *make_stored(receiving *r)
{
    hs_stored_facts f = { .nid = r->nid,
                          .room = r->room->nid,
                          .sender = r->sender,
                          .flags = r->flags,
                          .received_ts = hs_loop_wall(r->srv->loop),
                          .slot = r->slot,
                          .line = r->after_at.line,
                          .snap = r->after_at.snap };
    hs_stored *s;

    HS_TRY(hs_stored_make(r->srv->rooms, r->a, r->room->rv, &f, r->ev->json, r->ev->event_id, &s));
    hs_error *e = hs_stored_hold(r->a, s);
    hs_stored_unref(s);
    r->stored = s;
    return e;
}

static hs_error *attempt(receiving *r, hs_write_result *ret)
{
    r->new_line = -1;
    r->rows.n = 0;
    r->main = (hs_snap){ .line = r->room->line, .snap = r->room->snap };
    HS_TRY(hs_room_write_begin(r->srv, r->a, r->room, &r->w));
    r->w->seen_pos = r->room->pos; /* it may sit on a branch: what was resolved holds for these heads only */
    HS_TRY(find_all(r, r->ev->prev, r->ev->prev_n, &r->prev, &r->prev_nids));
    HS_TRY(find_all(r, r->ev->auth, r->ev->auth_n, &r->auth, &r->auth_nids));
    HS_TRY(resolve_before(r));
    HS_TRY(check(r));
    HS_TRY(place_before(r));
    HS_TRY(place_after(r));
    HS_TRY(make_stored(r));
    HS_TRY(add_event(r));
    HS_TRY(hs_room_write_finish(r->w));
    return hs_write_commit(r->w->unit, ret);
}

hs_error *hs_event_receive(hs_server *srv, hs_arena *a, hs_room *room, const hs_event *ev, uint32_t *ret_flags)
{
    receiving r = { .srv = srv, .a = a, .room = room, .ev = ev };
    hs_stored *known;

    HS_TRY(hs_user_nid(srv, a, ev->sender, &r.sender));
    r.slot = ev->is_state ? hs_slot(srv->slot_key, ev->type, ev->state_key) : 0;
    for (int i = 0; i < STALE_TRIES; i++) {
        hs_write_result res = { 0 };
        HS_TRY(hs_event_find(srv, a, room->nid, ev->event_id, &known));
        if (known && !(known->flags & HS_EV_OUTLIER)) {
            *ret_flags = known->flags & (HS_EV_REJECTED | HS_EV_SOFT_FAILED);
            return NULL;
        }
        HS_TRY(hs_db_new_nid(srv->db, a, &r.nid));
        hs_lock_exclusive(srv->loop, &room->lock);
        hs_error *e = attempt(&r, &res);
        hs_unlock(&room->lock);
        if (e)
            return e;
        /* more than the event may have changed: what is held in memory by user is read again */
        if (res.status == HS_WRITE_OK && !r.flags)
            hs_cache_room_drop(srv, room);
        if (res.status == HS_WRITE_OK) {
            *ret_flags = r.flags;
            return NULL;
        }
        HS_TRY(hs_room_refresh(srv, a, room, &r.room));
        room = r.room;
    }
    return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast; try again");
}
