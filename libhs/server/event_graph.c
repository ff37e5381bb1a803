/* One event into the graph of its room: which state it meets, where that state and the one after it are kept
 * (event_place.c), and what the room's state is afterwards.
 *
 *   before    what the parents' states resolve to
 *   after     before, with the event; a rejected event changes nothing
 *   covered   what is no head once the event is in: its parents, and what they follow as far as they are not in the
 *             timeline themselves. So a soft-failed event's child does not leave a head behind it
 *   current   what the states of all heads resolve to */
#include "server/event_graph.h"

#include "server/event_accept.h"
#include "server/event_place.h"
#include "server/names.h"
#include "server/sticky.h"
#include "store/events.h"
#include "store/gaps.h"

#include <stdlib.h>

enum {
    TRIES = 6,
    COVERED_MAX = 1000, /* events that are looked behind: what is not in the timeline can be made without end */
};

typedef struct {
    hs_server *srv;
    hs_arena *a;
    hs_room *room;
    const hs_event *ev;
    hs_room_write *w;
    hs_nid nid, sender;
    bool refill;   /* a stub or an outlier is stored */
    bool followed; /* by events of the timeline, which were there first */
    int64_t slot;
    hs_known *prev, *auth;
    hs_nids prev_nids, auth_nids;
    HS_VEC(hs_nid) covered, missing;
    hs_state_set *prev_states;
    hs_resolved before;
    hs_placing placing;
    hs_snap before_at, after_at;
    hs_state_set after;
    hs_stored *stored;
    hs_nid redacts;
    hs_str redacts_later; /* an event that is not here */
    hs_nids redactions;   /* of this event, which were there first … */
    bool *may_redact;     /* … and whether they may */
    hs_nid redacted_by;
    uint32_t flags;
} adding;

/* ── what is there ── */

static hs_error *load_known(hs_server *srv, hs_arena *a, hs_room *room, hs_known *at, size_t n)
{
    hs_nid *nids;
    hs_stored **events;
    size_t *where, m = 0;

    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &events));
    HS_TRY(hs_alloc(a, n, &where));
    for (size_t i = 0; i < n; i++) {
        if (!at[i].nid || at[i].ev || (at[i].flags & HS_EV_STUB))
            continue;
        where[m] = i;
        nids[m++] = at[i].nid;
    }
    HS_TRY(hs_events_load_as(srv, a, room->nid, room->rv, nids, m, events));
    for (size_t i = 0; i < m; i++)
        at[where[i]].ev = events[i];
    return NULL;
}

/* PostgreSQL has no NUL in texts, and no event has so long an id. */
static bool can_be_stored(hs_str id)
{
    return id.n && id.n <= 255 && !memchr(id.p, 0, id.n);
}

hs_error *hs_graph_find(hs_server *srv, hs_arena *a, hs_room *room, const hs_str *ids, size_t n, hs_known *ret)
{
    hs_str *ask;
    hs_event_row *rows;
    size_t *where, m = 0;

    HS_TRY(hs_alloc(a, n, &ask));
    HS_TRY(hs_alloc(a, n, &where));
    for (size_t i = 0; i < n; i++) {
        hs_stored *s = hs_cache_event_named(srv->rooms, ids[i]);
        ret[i] = (hs_known){ .line = -1 };
        if (s && s->room == room->nid && s->line >= 0 && !(s->flags & HS_EV_OUTLIER)) {
            HS_TRY(hs_stored_hold(a, s));
            ret[i] = (hs_known){ .nid = s->nid, .ev = s, .flags = s->flags, .line = s->line, .snap = s->snap };
        } else if (can_be_stored(ids[i])) { /* what is aside in memory may have come in by another worker */
            where[m] = i;
            ask[m++] = ids[i];
        }
    }
    if (!m)
        return NULL;
    HS_TRY(hs_alloc(a, m, &rows));
    HS_TRY(hs_store_events_by_id(srv->db, a, room->nid, ask, m, rows));
    for (size_t i = 0; i < m; i++)
        if (rows[i].event)
            ret[where[i]] = (hs_known){
                .nid = rows[i].event, .flags = (uint32_t)rows[i].flags, .line = rows[i].line, .snap = rows[i].snap
            };
    return load_known(srv, a, room, ret, n);
}

static hs_error *find_all(adding *r, const hs_str *ids, size_t n, hs_known **ret, hs_nids *ret_nids)
{
    hs_nid *nids;

    HS_TRY(hs_alloc(r->a, n, ret));
    HS_TRY(hs_alloc(r->a, n, &nids));
    HS_TRY(hs_graph_find(r->srv, r->a, r->room, ids, n, *ret));
    for (size_t i = 0; i < n; i++)
        nids[i] = (*ret)[i].nid;
    *ret_nids = (hs_nids){ .at = nids, .n = n };
    return NULL;
}

static hs_error *find_auth(adding *r)
{
    HS_TRY(find_all(r, r->ev->auth, r->ev->auth_n, &r->auth, &r->auth_nids));
    for (size_t i = 0; i < r->auth_nids.n; i++)
        if (!r->auth[i].ev)
            return hs_err(r->a, 404, HS_M_NOT_FOUND, "Event %.*s is missing", HS_FMT(r->ev->auth[i]));
    return NULL;
}

/* The event itself: as something that others have named, or not at all. */
static hs_error *find_itself(adding *r, bool *ret_done)
{
    hs_known known;

    HS_TRY(hs_graph_find(r->srv, r->a, r->room, &r->ev->event_id, 1, &known));
    *ret_done = known.nid && !(known.flags & (HS_EV_STUB | HS_EV_OUTLIER));
    r->flags = known.flags & (HS_EV_REJECTED | HS_EV_SOFT_FAILED);
    if (*ret_done)
        return NULL;
    r->refill = known.nid != 0;
    r->nid = known.nid;
    r->followed = false;
    if (r->refill)
        return hs_store_gap_followed(r->srv->db, r->a, r->room->nid, r->nid, &r->followed);
    return hs_db_new_nid(r->srv->db, r->a, &r->nid);
}

static bool contains(const hs_nid *at, size_t n, hs_nid nid)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] == nid)
            return true;
    return false;
}

/* Parents, and the parents of those that are not in the timeline. */
static hs_error *find_covered(adding *r)
{
    uint32_t odd = 0;
    size_t from = 0;

    r->covered.n = r->missing.n = 0;
    for (size_t i = 0; i < r->prev_nids.n; i++) {
        HS_TRY(hs_vec_push(r->a, &r->covered, r->prev_nids.at[i]));
        odd |= r->prev[i].flags & ~(uint32_t)(HS_EV_REDACTED | HS_EV_CENSORED);
    }
    if (!odd) /* as a rule */
        return NULL;
    while (from < r->covered.n && r->covered.n < COVERED_MAX) {
        size_t n = r->covered.n - from;
        hs_event_row *rows;
        HS_TRY(hs_alloc(r->a, n, &rows));
        HS_TRY(hs_store_events(r->srv->db, r->a, r->room->nid, r->covered.at + from, n, rows));
        from = r->covered.n;
        for (size_t i = 0; i < n; i++) {
            if (rows[i].flags & (HS_EVENT_STUB | HS_EVENT_OUTLIER)) {
                HS_TRY(hs_vec_push(r->a, &r->missing, rows[i].event));
                continue;
            }
            if (!(rows[i].flags & (HS_EVENT_REJECTED | HS_EVENT_SOFT_FAILED)))
                continue;
            for (size_t k = 0; k < rows[i].prev.n; k++)
                if (!contains(r->covered.at, r->covered.n, rows[i].prev.at[k]))
                    HS_TRY(hs_vec_push(r->a, &r->covered, rows[i].prev.at[k]));
        }
    }
    return NULL;
}

/* 5: the state before it */
static hs_error *resolve_before(adding *r)
{
    size_t n = r->prev_nids.n;
    hs_snap *snaps;

    HS_TRY(hs_alloc(r->a, n, &snaps));
    for (size_t i = 0; i < n; i++) {
        if (r->prev[i].line < 0)
            return hs_err(r->a, 404, HS_M_NOT_FOUND, "The state at event %.*s is missing", HS_FMT(r->ev->prev[i]));
        snaps[i] = (hs_snap){ .line = r->prev[i].line, .snap = r->prev[i].snap };
    }
    return hs_state_resolve_snaps(r->srv, r->a, r->room, snaps, n, &r->before);
}

/* ── judging ── */

static hs_error *auth_of(adding *r, const hs_event ***ret, bool **ret_rejected)
{
    HS_TRY(hs_alloc(r->a, r->auth_nids.n, ret));
    HS_TRY(hs_alloc(r->a, r->auth_nids.n, ret_rejected));
    for (size_t i = 0; i < r->auth_nids.n; i++) {
        (*ret)[i] = r->auth[i].ev->ev;
        (*ret_rejected)[i] = r->auth[i].flags & HS_EV_REJECTED;
    }
    return NULL;
}

/* A slot is a hash: two different keys in one would mix their states up. */
static hs_error *check_slot(adding *r)
{
    hs_nid nid = r->ev->is_state ? hs_state_set_get(&r->before.set, r->slot) : 0;
    hs_stored *was;

    if (!nid)
        return NULL;
    HS_TRY(hs_events_load_as(r->srv, r->a, r->room->nid, r->room->rv, &nid, 1, &was));
    if (was && (!hs_str_eq(was->ev->type, r->ev->type) || !hs_str_eq(was->ev->state_key, r->ev->state_key)))
        return hs_err(r->a, 400, HS_M_UNKNOWN, "This state key can not be used in this room");
    return NULL;
}

/* Step 7 of core/README.md: what is redacted, if this redaction may. Of what is not here that is said when it comes. */
static hs_error *check_redaction(adding *r, const hs_state_view *before)
{
    hs_known target;

    r->redacts = 0;
    r->redacts_later = hs_str_make(NULL, 0);
    if (!r->ev->redacts.p || r->flags)
        return NULL;
    HS_TRY(hs_graph_find(r->srv, r->a, r->room, &r->ev->redacts, 1, &target));
    if (!target.ev || (target.flags & HS_EV_OUTLIER)) {
        if (can_be_stored(r->ev->redacts) && !hs_str_eq(r->ev->redacts, r->ev->event_id))
            r->redacts_later = r->ev->redacts;
        return NULL;
    }
    if (target.ev->ev->kind != HS_KIND_CREATE && hs_auth_redaction_ok(r->room->rv, before, r->ev, target.ev->ev))
        r->redacts = target.nid;
    return NULL;
}

/* Redactions of this event that have waited for it, each judged by the state that it was sent in. */
static hs_error *find_redactions(adding *r)
{
    hs_stored **events;

    r->redacted_by = 0;
    r->redactions.n = 0;
    if (!r->refill || r->flags || r->ev->kind == HS_KIND_CREATE)
        return NULL;
    HS_TRY(hs_store_redactions_unchecked(r->srv->db, r->a, r->room->nid, r->nid, &r->redactions));
    HS_TRY(hs_alloc(r->a, r->redactions.n, &events));
    HS_TRY(hs_alloc(r->a, r->redactions.n, &r->may_redact));
    HS_TRY(hs_events_load_as(r->srv, r->a, r->room->nid, r->room->rv, r->redactions.at, r->redactions.n, events));
    for (size_t i = 0; i < r->redactions.n; i++) {
        hs_state_view view;
        hs_state_set set;
        if (!events[i] || events[i]->line < 0)
            continue;
        HS_TRY(hs_room_snapshot(r->srv, r->a, r->room, events[i]->line, events[i]->snap, &set));
        HS_TRY(hs_state_set_view(r->srv, r->a, r->room, &set, events[i]->ev, &view));
        r->may_redact[i] = hs_auth_redaction_ok(r->room->rv, &view, events[i]->ev, r->ev);
        if (r->may_redact[i] && !r->redacted_by)
            r->redacted_by = events[i]->nid;
    }
    return NULL;
}

static hs_error *write_redactions(adding *r)
{
    int64_t ts = hs_loop_wall(r->srv->loop);
    hs_nid room = r->room->nid;
    hs_known target;

    for (size_t i = 0; i < r->redactions.n; i++)
        HS_TRY(hs_store_redaction_insert(r->w->unit, room, r->nid, r->redactions.at[i],
                                         r->may_redact[i] ? HS_REDACTION_APPLIED : HS_REDACTION_REFUSED, ts));
    if (!r->redacts_later.p)
        return NULL;
    HS_TRY(hs_graph_find(r->srv, r->a, r->room, &r->redacts_later, 1, &target));
    if (!target.nid) {
        HS_TRY(hs_db_new_nid(r->srv->db, r->a, &target.nid));
        HS_TRY(hs_store_event_stub(r->w->unit, room, target.nid, r->redacts_later, ts));
    }
    return hs_store_redaction_insert(r->w->unit, room, target.nid, r->nid, HS_REDACTION_UNCHECKED, ts);
}

/* The room's present state. Over a gap it is that of all heads and of the event together: we may have missed much, and
 * still gaps are easily made. */
static hs_error *present(adding *r, hs_state_set *ret)
{
    hs_room *room = r->room;
    hs_state_set *sets;

    *ret = (hs_state_set){ .at = room->state, .n = room->state_n };
    if (!r->missing.n)
        return NULL;
    HS_TRY(hs_alloc(r->a, room->heads.n + 1, &sets));
    for (size_t i = 0; i < room->heads.n; i++)
        HS_TRY(hs_room_snapshot(r->srv, r->a, room, room->head_events[i]->line, room->head_events[i]->snap, &sets[i]));
    sets[room->heads.n] = r->before.set;
    return hs_state_resolve_sets(r->srv, r->a, room, sets, room->heads.n + 1, NULL, (hs_nids){ .at = NULL }, ret);
}

/* 4, 6 and 7 */
static hs_error *check(adding *r)
{
    hs_state_set now;
    hs_state_view before, current;
    const hs_event **auth;
    bool *rejected;

    HS_TRY(auth_of(r, &auth, &rejected));
    HS_TRY(present(r, &now));
    HS_TRY(hs_state_set_view(r->srv, r->a, r->room, &r->before.set, r->ev, &before));
    HS_TRY(hs_state_set_view(r->srv, r->a, r->room, &now, r->ev, &current));
    hs_accept_in in = { .origin = HS_ORIGIN_REMOTE,
                        .event = r->ev,
                        .auth = auth,
                        .auth_rejected = rejected,
                        .auth_n = r->auth_nids.n,
                        .before = &before,
                        .current = &current };
    HS_TRY(hs_event_accept(r->a, &in, &r->flags));
    HS_TRY(check_slot(r));
    return check_redaction(r, &before);
}

/* ── its states ── */

static hs_error *with_event(adding *r)
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

/* The snapshots that a resolved state may be near to: the room's, and its parents'. */
static hs_error *place_before(adding *r)
{
    hs_state_set now = { .at = r->room->state, .n = r->room->state_n };
    hs_place_near *near;

    r->before_at = hs_place_on_main(&r->placing, r->before.at);
    if (r->before.at.line >= 0)
        return NULL;
    HS_TRY(hs_alloc(r->a, r->before.from_n + 1, &near));
    near[0] = (hs_place_near){ .at = r->placing.main, .set = &now };
    for (size_t i = 0; i < r->before.from_n; i++)
        near[i + 1] = (hs_place_near){ .at = r->before.from_at[i], .set = &r->before.from[i] };
    return hs_place_state(&r->placing, &r->before.set, near, r->before.from_n + 1, &r->before_at);
}

static hs_error *place(adding *r)
{
    hs_state_entry own = { .slot = r->slot, .event = r->nid };

    hs_place_open(&r->placing, r->w);
    r->placing.may = r->flags ? HS_PLACE_APART : r->followed ? HS_PLACE_BRANCH : HS_PLACE_HEAD;
    HS_TRY(place_before(r));
    r->after_at = r->before_at;
    r->after = r->before.set;
    if (!r->ev->is_state || (r->flags & HS_EV_REJECTED))
        return NULL;
    HS_TRY(with_event(r));
    return hs_place_next(&r->placing, r->before_at, own, &r->after, &r->after_at);
}

/* ── the room's state afterwards ── */

static hs_error *current_state(adding *r, hs_state_set *ret)
{
    hs_room *room = r->room;
    hs_state_set *sets;
    hs_snap *snaps;
    bool fewer = false;
    size_t n = 0;

    HS_TRY(hs_alloc(r->a, room->heads.n + 1, &sets));
    HS_TRY(hs_alloc(r->a, room->heads.n + 1, &snaps));
    for (size_t i = 0; i < room->heads.n; i++)
        fewer = fewer || contains(r->covered.at, r->covered.n, room->heads.at[i]);
    if (r->followed && !fewer) {
        *ret = (hs_state_set){ .at = room->state, .n = room->state_n };
        return NULL;
    }
    if (!r->followed) {
        snaps[n] = r->after_at;
        sets[n++] = r->after;
    }
    for (size_t i = 0; i < room->heads.n; i++) {
        const hs_stored *head = room->head_events[i];
        bool known = false;
        for (size_t k = 0; k < n; k++)
            known = known || (snaps[k].line == head->line && snaps[k].snap == head->snap);
        if (known || contains(r->covered.at, r->covered.n, head->nid))
            continue;
        snaps[n] = (hs_snap){ .line = head->line, .snap = head->snap };
        HS_TRY(hs_room_snapshot(r->srv, r->a, room, head->line, head->snap, &sets[n++]));
    }
    if (n <= 1) {
        *ret = n ? sets[0] : r->after;
        return NULL;
    }
    return hs_state_resolve_sets(r->srv, r->a, room, sets, n, r->stored, r->auth_nids, ret);
}

static hs_error *swaps_of(adding *r, const hs_state_change *diff, size_t n, hs_state_swap **ret)
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

/* Who is in a room changes by events; where a resolution does it, somebody will ask why. */
static void note_resets(const adding *r, const hs_state_swap *swaps, size_t n)
{
    struct hs_rooms *c = r->srv->rooms;

    for (size_t i = 0; i < n; i++) {
        const hs_stored *was = swaps[i].was, *now = swaps[i].now;
        if (now == r->stored || (was ? was : now)->ev->kind != HS_KIND_MEMBER ||
            (was && now && was->ev->membership == now->ev->membership))
            continue;
        c->resets_n++;
        hs_metric_add(c->resets, 1);
        hs_log(r->srv->log, HS_LOG_WARN, "room.membership_reset", "room=%.*s user=%.*s was=%.*s now=%.*s by=%.*s",
               HS_FMT(r->room->id), HS_FMT((was ? was : now)->ev->state_key),
               HS_FMT(was ? was->ev->event_id : HS_S("")), HS_FMT(now ? now->ev->event_id : HS_S("")),
               HS_FMT(r->ev->event_id));
    }
}

/* Heads as they are told: nothing where they are not what the event's parents say. */
static hs_error *cover(adding *r, hs_event_rows_in *in)
{
    in->covers = (hs_nids){ .at = r->covered.at, .n = r->covered.n };
    in->heads_by_hand = r->covered.n > r->prev_nids.n || r->followed;
    if (!r->followed)
        return NULL;
    HS_TRY(hs_vec_push(r->a, &r->covered, r->nid));
    in->covers = (hs_nids){ .at = r->covered.at, .n = r->covered.n };
    return NULL;
}

/* 8: persist */
static hs_error *add_event(adding *r)
{
    hs_state_set now = { .at = r->room->state, .n = r->room->state_n }, current = now, on_main = now;
    hs_snap main_was = r->placing.main;
    hs_push_outcome push = { 0 };
    hs_event_rows_in in = { .event = r->stored,
                            .refill = r->refill,
                            .prev = r->prev_nids,
                            .auth = r->auth_nids,
                            .redacts = r->redacts,
                            .push = &push };
    hs_state_change *diff;
    hs_state_swap *swaps;
    size_t n;

    for (size_t i = 0; i < r->missing.n; i++)
        HS_TRY(hs_store_gap_insert(r->w->unit, r->room->nid, r->missing.at[i], r->nid, r->ev->depth));
    if (r->refill)
        HS_TRY(hs_store_gap_close(r->w->unit, r->room->nid, r->nid));
    HS_TRY(write_redactions(r));
    if (r->flags) {
        HS_TRY(hs_sticky_soft(r->srv, r->w->unit, r->stored));
        return hs_event_rows_insert(r->w, &in);
    }
    if (main_was.snap != r->room->snap)
        on_main = r->after;
    HS_TRY(current_state(r, &current));
    HS_TRY(hs_place_current(&r->placing, &on_main, &current));
    HS_TRY(hs_state_set_diff(r->a, &now, &current, &diff, &n));
    HS_TRY(swaps_of(r, diff, n, &swaps));
    note_resets(r, swaps, n);
    HS_TRY(hs_push_eval_event(r->srv, r->a, r->room, r->stored, &push));
    HS_TRY(cover(r, &in));
    in.after = r->placing.main;
    in.rows = r->placing.rows.at;
    in.rows_n = r->placing.rows.n;
    in.changes = swaps;
    in.changes_n = n;
    for (size_t i = 0; i < n; i++)
        HS_TRY(hs_vec_push(r->a, &r->w->overlay, (hs_overlay){ .slot = swaps[i].slot, .event = swaps[i].now }));
    HS_TRY(hs_event_rows_add(r->w, &in));
    return hs_sticky_recheck(r->w, &in);
}

static hs_error *make_stored(adding *r)
{
    hs_stored_facts f = { .nid = r->nid,
                          .room = r->room->nid,
                          .sender = r->sender,
                          .flags = r->flags | (r->redacted_by ? HS_EV_REDACTED : 0),
                          .redacted_by = r->redacted_by,
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

static hs_error *attempt(adding *r, hs_write_result *ret)
{
    HS_TRY(hs_room_write_begin(r->srv, r->a, r->room, &r->w));
    r->w->seen_pos = r->room->pos; /* it may sit on a branch: what was resolved holds for these heads only */
    HS_TRY(find_all(r, r->ev->prev, r->ev->prev_n, &r->prev, &r->prev_nids));
    HS_TRY(find_auth(r));
    HS_TRY(find_covered(r));
    HS_TRY(resolve_before(r));
    HS_TRY(check(r));
    HS_TRY(find_redactions(r));
    HS_TRY(place(r));
    HS_TRY(make_stored(r));
    HS_TRY(add_event(r));
    HS_TRY(hs_room_write_finish(r->w));
    return hs_write_commit(r->w->unit, ret);
}

static void added(adding *r)
{
    if (r->refill) /* as an outlier it may be in memory still */
        hs_cache_event_forget(r->srv->rooms, r->nid);
}

hs_error *hs_graph_add(hs_server *srv, hs_arena *a, hs_room *room, const hs_event *ev, uint32_t *ret_flags)
{
    adding r = { .srv = srv, .a = a, .room = room, .ev = ev };
    bool done;

    if (!ev->prev_n)
        return hs_err(a, 400, HS_M_BAD_JSON, "An event without parents begins another room");
    HS_TRY(hs_user_nid(srv, a, ev->sender, &r.sender));
    r.slot = ev->is_state ? hs_slot(srv->slot_key, ev->type, ev->state_key) : 0;
    for (int i = 0; i < TRIES; i++) {
        hs_write_result res = { 0 };
        HS_TRY(find_itself(&r, &done));
        if (done) {
            *ret_flags = r.flags;
            return NULL;
        }
        hs_lock_exclusive(srv->loop, &r.room->lock);
        hs_error *e = attempt(&r, &res);
        hs_unlock(&r.room->lock);
        if (e)
            return e;
        if (res.status == HS_WRITE_OK) {
            if (r.flags)
                added(&r);
            *ret_flags = r.flags;
            return NULL;
        }
        HS_TRY(hs_room_refresh(srv, a, r.room, &r.room));
    }
    return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast; try again");
}

/* ── beside the graph ── */

static hs_error *write_outlier(adding *r, hs_write_result *ret)
{
    hs_event_rows_in in = { .refill = r->refill };

    HS_TRY(hs_room_write_begin(r->srv, r->a, r->room, &r->w));
    r->after_at = (hs_snap){ .line = -1 };
    HS_TRY(make_stored(r));
    in.event = r->stored;
    in.auth = r->auth_nids;
    HS_TRY(hs_event_rows_insert(r->w, &in));
    return hs_write_commit(r->w->unit, ret);
}

hs_error *hs_graph_add_outlier(hs_server *srv, hs_arena *a, hs_room *room, const hs_event *ev, uint32_t *ret_flags)
{
    adding r = { .srv = srv, .a = a, .room = room, .ev = ev };
    const hs_event **auth;
    bool *rejected;
    hs_known known;
    hs_stored *create;

    HS_TRY(hs_events_load_as(srv, a, room->nid, room->rv, &room->create, 1, &create));
    HS_TRY(hs_user_nid(srv, a, ev->sender, &r.sender));
    r.slot = ev->is_state ? hs_slot(srv->slot_key, ev->type, ev->state_key) : 0;
    HS_TRY(find_auth(&r));
    HS_TRY(auth_of(&r, &auth, &rejected));
    hs_accept_in in = { .origin = HS_ORIGIN_REMOTE,
                        .event = ev,
                        .auth = auth,
                        .auth_rejected = rejected,
                        .auth_n = r.auth_nids.n,
                        .create = create ? create->ev : NULL };
    HS_TRY(hs_event_accept(a, &in, &r.flags));
    r.flags |= HS_EV_OUTLIER;
    for (int i = 0; i < TRIES; i++) {
        hs_write_result res = { 0 };
        HS_TRY(hs_graph_find(srv, a, room, &ev->event_id, 1, &known));
        *ret_flags = known.flags & (HS_EV_REJECTED | HS_EV_SOFT_FAILED);
        if (known.ev)
            return NULL;
        *ret_flags = r.flags & HS_EV_REJECTED;
        /* What is known of a stub is its state; that stays, and the event comes as a whole when it is a parent's turn.
         */
        if (known.nid)
            return NULL;
        HS_TRY(hs_db_new_nid(srv->db, a, &r.nid));
        HS_TRY(write_outlier(&r, &res));
        if (res.status == HS_WRITE_OK)
            return NULL;
    }
    return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast; try again");
}

static int by_slot(const void *x, const void *y)
{
    const hs_state_entry *a = x, *b = y;

    return (a->slot > b->slot) - (a->slot < b->slot);
}

/* The events as a state: what is rejected is left out, and of two for one key the second. */
static void as_state(hs_server *srv, const hs_known *known, size_t n, hs_state_entry *ret, size_t *ret_n)
{
    size_t m = 0, kept = 0;

    for (size_t i = 0; i < n; i++) {
        const hs_event *ev = known[i].ev->ev;
        if (ev->is_state && !(known[i].flags & HS_EV_REJECTED))
            ret[m++] =
                (hs_state_entry){ .slot = hs_slot(srv->slot_key, ev->type, ev->state_key), .event = known[i].nid };
    }
    qsort(ret, m, sizeof *ret, by_slot);
    for (size_t i = 0; i < m; i++)
        if (!kept || ret[kept - 1].slot != ret[i].slot)
            ret[kept++] = ret[i];
    *ret_n = kept;
}

static hs_error *write_gap(hs_server *srv, hs_arena *a, hs_room *room, hs_str missing, const hs_state_entry *state,
                           size_t n, hs_write_result *ret)
{
    hs_room_write *w;
    hs_known known;
    int32_t line;

    HS_TRY(hs_graph_find(srv, a, room, &missing, 1, &known));
    if (known.line >= 0) {
        ret->status = HS_WRITE_OK;
        return NULL;
    }
    HS_TRY(hs_room_write_begin(srv, a, room, &w));
    if (!known.nid) {
        HS_TRY(hs_db_new_nid(srv->db, a, &known.nid));
        HS_TRY(hs_store_event_stub(w->unit, room->nid, known.nid, missing, hs_loop_wall(srv->loop)));
    }
    HS_TRY(hs_store_line_next(srv->db, a, room->nid, &line));
    HS_TRY(hs_store_line_insert_full(w->unit, room->nid, line, state, n, HS_LINE_GAP));
    HS_TRY(hs_store_event_state(w->unit, room->nid, known.nid, line, 0));
    return hs_write_commit(w->unit, ret);
}

hs_error *hs_graph_add_gap(hs_server *srv, hs_arena *a, hs_room *room, hs_str missing, const hs_str *state, size_t n,
                           bool *ret_taken)
{
    hs_known *known;
    hs_state_entry *entries;
    hs_state_set set;

    *ret_taken = false;
    HS_TRY(hs_alloc(a, n, &known));
    HS_TRY(hs_alloc(a, n, &entries));
    HS_TRY(hs_graph_find(srv, a, room, state, n, known));
    for (size_t i = 0; i < n; i++)
        if (!known[i].ev)
            return NULL;
    as_state(srv, known, n, entries, &n);
    set = (hs_state_set){ .at = entries, .n = n };
    if (hs_state_set_get(&set, hs_slot(srv->slot_key, HS_S("m.room.create"), HS_S(""))) != room->create)
        return NULL;
    for (int i = 0; i < TRIES; i++) {
        hs_write_result res = { 0 };
        HS_TRY(write_gap(srv, a, room, missing, entries, n, &res));
        if (res.status == HS_WRITE_OK) {
            *ret_taken = true;
            return NULL;
        }
    }
    return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast; try again");
}
