/* Resolving the states of a fork.
 *
 * The resolver (core/stateres) asks for events without suspending, so all it can ask for is loaded before: the
 * conflicted events with their auth chains, and what the auth rules look up for any of these. The graph itself is one
 * index-only read of the room's state events. */
#include "server/event_state.h"

#include "base/vec.h"
#include "server/cache.h"
#include "store/events.h"

typedef struct {
    hs_server *srv;
    hs_arena *a;
    hs_room *room;
    hs_auth_row *graph; /* ascending by event */
    size_t graph_n;
    bool *wanted; /* by index in the graph */
    const hs_stored *extra;
    HS_VEC(size_t) stack;
} resolving;

hs_nid hs_state_set_get(const hs_state_set *set, int64_t slot)
{
    bool found;
    size_t i = hs_state_search(set->at, set->n, slot, &found);

    return found ? set->at[i].event : 0;
}

hs_error *hs_state_set_diff(hs_arena *a, const hs_state_set *from, const hs_state_set *to, hs_state_change **ret,
                            size_t *ret_n)
{
    HS_VEC(hs_state_change) out = { 0 };
    size_t i = 0, k = 0;

    while (i < from->n || k < to->n) {
        hs_state_change c = { 0 };
        bool left = i < from->n && (k == to->n || from->at[i].slot <= to->at[k].slot);
        bool right = k < to->n && (i == from->n || to->at[k].slot <= from->at[i].slot);
        c.slot = left ? from->at[i].slot : to->at[k].slot;
        c.before = left ? from->at[i].event : 0;
        c.after = right ? to->at[k].event : 0;
        i += left;
        k += right;
        if (c.before != c.after)
            HS_TRY(hs_vec_push(a, &out, c));
    }
    *ret = out.at;
    *ret_n = out.n;
    return NULL;
}

/* ── the auth graph ── */

static size_t graph_find(const resolving *r, hs_nid nid)
{
    size_t low = 0, high = r->graph_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->graph[mid].event < nid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < r->graph_n && r->graph[low].event == nid ? low : SIZE_MAX;
}

/* Marks the event and all that its auth events lead to. */
static hs_error *want_chain(resolving *r, hs_nid nid)
{
    size_t i = graph_find(r, nid);

    if (i == SIZE_MAX || r->wanted[i])
        return NULL;
    r->wanted[i] = true;
    HS_TRY(hs_vec_push(r->a, &r->stack, i));
    while (r->stack.n) {
        const hs_auth_row *row = &r->graph[r->stack.at[--r->stack.n]];
        for (size_t k = 0; k < row->auth.n; k++) {
            size_t j = graph_find(r, row->auth.at[k]);
            if (j == SIZE_MAX || r->wanted[j])
                continue;
            r->wanted[j] = true;
            HS_TRY(hs_vec_push(r->a, &r->stack, j));
        }
    }
    return NULL;
}

static hs_error *want_conflicted(resolving *r, const hs_state_set *sets, size_t n)
{
    for (size_t s = 1; s < n; s++) {
        hs_state_change *diff;
        size_t diff_n;
        HS_TRY(hs_state_set_diff(r->a, &sets[0], &sets[s], &diff, &diff_n));
        for (size_t i = 0; i < diff_n; i++) {
            if (diff[i].before)
                HS_TRY(want_chain(r, diff[i].before));
            if (diff[i].after)
                HS_TRY(want_chain(r, diff[i].after));
        }
    }
    return NULL;
}

/* The mainline is made of the power levels of the resolved state, conflicted or not. */
static hs_error *want_rules(resolving *r, const hs_state_set *sets, size_t n)
{
    static const hs_str TYPES[] = { HS_S_INIT("m.room.create"), HS_S_INIT("m.room.power_levels"),
                                    HS_S_INIT("m.room.join_rules") };

    for (size_t s = 0; s < n; s++)
        for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
            hs_nid nid = hs_state_set_get(&sets[s], hs_slot(r->srv->slot_key, TYPES[i], HS_S("")));
            if (nid)
                HS_TRY(want_chain(r, nid));
        }
    return NULL;
}

static hs_error *load_wanted(resolving *r, hs_stored ***ret, size_t *ret_n)
{
    hs_nid *nids;
    hs_stored **events;
    size_t n = 0;

    HS_TRY(hs_alloc(r->a, r->graph_n, &nids));
    HS_TRY(hs_alloc(r->a, r->graph_n, &events));
    for (size_t i = 0; i < r->graph_n; i++)
        if (r->wanted[i])
            nids[n++] = r->graph[i].event;
    HS_TRY(hs_events_load_as(r->srv, r->a, r->room->nid, r->room->rv, nids, n, events));
    *ret = events;
    *ret_n = n;
    return NULL;
}

/* What the rules will look up in the partially resolved state for any of the wanted events. */
static hs_error *want_looked_up(resolving *r, hs_stored *const *events, size_t n, const hs_state_set *sets,
                                size_t sets_n)
{
    for (size_t i = 0; i < n; i++) {
        hs_state_key_pair keys[HS_AUTH_TYPES_MAX];
        if (!events[i])
            continue;
        const hs_event *ev = events[i]->ev;
        size_t keys_n = hs_auth_types(ev->rv, ev->type, ev->sender, ev->state_key, ev->is_state, ev->content, keys);
        for (size_t k = 0; k < keys_n; k++) {
            int64_t slot = hs_slot(r->srv->slot_key, keys[k].type, keys[k].state_key);
            for (size_t s = 0; s < sets_n; s++) {
                hs_nid nid = hs_state_set_get(&sets[s], slot);
                if (nid)
                    HS_TRY(want_chain(r, nid));
            }
        }
    }
    return NULL;
}

/* ── the resolver's questions ── */

static const hs_stored *stored(const resolving *r, int64_t nid)
{
    return r->extra && r->extra->nid == nid ? r->extra : hs_cache_event_get(r->srv->rooms, nid);
}

static const hs_event *ask_event(void *ud, int64_t nid)
{
    const hs_stored *s = stored(ud, nid);

    return s ? s->ev : NULL;
}

static bool ask_rejected(void *ud, int64_t nid)
{
    const hs_stored *s = stored(ud, nid);

    return s && (s->flags & HS_EV_REJECTED);
}

static size_t ask_auth(void *ud, int64_t nid, const int64_t **ret)
{
    const resolving *r = ud;
    size_t i = graph_find(r, nid);

    if (i == SIZE_MAX)
        return 0;
    *ret = r->graph[i].auth.at;
    return r->graph[i].auth.n;
}

static int64_t ask_slot(void *ud, hs_str type, hs_str state_key)
{
    return hs_slot(((const resolving *)ud)->srv->slot_key, type, state_key);
}

/* Numbers rise with time, so an event that is not stored yet comes last. */
static hs_error *add_extra(resolving *r, const hs_stored *extra, hs_nids auth)
{
    hs_auth_row *graph;

    r->extra = extra;
    if (!extra)
        return NULL;
    HS_TRY(hs_alloc(r->a, r->graph_n + 1, &graph));
    if (r->graph_n)
        memcpy(graph, r->graph, r->graph_n * sizeof *graph);
    size_t at = r->graph_n;
    while (at > 0 && graph[at - 1].event > extra->nid) {
        graph[at] = graph[at - 1];
        at--;
    }
    graph[at] = (hs_auth_row){ .event = extra->nid, .auth = auth };
    r->graph = graph;
    r->graph_n++;
    return NULL;
}

hs_error *hs_state_resolve_sets(hs_server *srv, hs_arena *a, hs_room *room, const hs_state_set *sets, size_t n,
                                const hs_stored *extra, hs_nids extra_auth, hs_state_set *ret)
{
    resolving r = { .srv = srv, .a = a, .room = room };
    hs_stored **events;
    size_t events_n;

    HS_TRY(hs_store_auth_graph(srv->db, a, room->nid, &r.graph, &r.graph_n));
    HS_TRY(add_extra(&r, extra, extra_auth));
    HS_TRY(hs_alloc(a, r.graph_n, &r.wanted));
    HS_TRY(want_conflicted(&r, sets, n));
    HS_TRY(want_rules(&r, sets, n));
    HS_TRY(load_wanted(&r, &events, &events_n));
    HS_TRY(want_looked_up(&r, events, events_n, sets, n));
    HS_TRY(load_wanted(&r, &events, &events_n));

    hs_resolver ask = { .rv = room->rv,
                        .event = ask_event,
                        .rejected = ask_rejected,
                        .auth = ask_auth,
                        .slot = ask_slot,
                        .create = room->create,
                        .ud = &r };
    return hs_state_resolve(a, &ask, sets, n, ret);
}

hs_error *hs_state_resolve_snaps(hs_server *srv, hs_arena *a, hs_room *room, const hs_snap *snaps, size_t n,
                                 hs_resolved *ret)
{
    hs_state_set *sets;
    hs_snap *distinct;
    size_t m = 0;

    HS_TRY(hs_alloc(a, n, &sets));
    HS_TRY(hs_alloc(a, n, &distinct));
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t k = 0; k < m; k++)
            seen = seen || (distinct[k].line == snaps[i].line && distinct[k].snap == snaps[i].snap);
        if (seen)
            continue;
        HS_TRY(hs_room_snapshot(srv, a, room, snaps[i].line, snaps[i].snap, &sets[m]));
        distinct[m++] = snaps[i];
    }
    if (m == 1) {
        *ret = (hs_resolved){ .at = distinct[0], .set = sets[0] };
        return NULL;
    }
    ret->at = (hs_snap){ .line = -1 };
    return hs_state_resolve_sets(srv, a, room, sets, m, NULL, (hs_nids){ .at = NULL }, &ret->set);
}

/* ── asking a state ── */

typedef struct {
    hs_server *srv;
    const hs_state_set *set;
} set_view;

static const hs_event *set_view_get(void *ud, hs_str type, hs_str state_key)
{
    const set_view *v = ud;
    hs_nid nid = hs_state_set_get(v->set, hs_slot(v->srv->slot_key, type, state_key));
    const hs_stored *s = nid ? hs_cache_event_get(v->srv->rooms, nid) : NULL;

    return s ? s->ev : NULL;
}

hs_error *hs_state_set_view(hs_server *srv, hs_arena *a, hs_room *room, const hs_state_set *set, const hs_event *ev,
                            hs_state_view *ret)
{
    hs_state_key_pair keys[HS_AUTH_TYPES_MAX + 1];
    hs_nid nids[HS_AUTH_TYPES_MAX + 1];
    hs_stored *events[HS_AUTH_TYPES_MAX + 1];
    size_t n = hs_auth_types(room->rv, ev->type, ev->sender, ev->state_key, ev->is_state, ev->content, keys + 1), m = 0;
    set_view *v;

    keys[0] = (hs_state_key_pair){ HS_S("m.room.create"), HS_S("") };
    for (size_t i = 0; i <= n; i++) {
        nids[m] = hs_state_set_get(set, hs_slot(srv->slot_key, keys[i].type, keys[i].state_key));
        m += nids[m] != 0;
    }
    HS_TRY(
        hs_events_load_as(srv, a, room->nid, room->rv, nids, m, events)); /* held by `a`: in the cache while it lives */
    HS_TRY(hs_alloc(a, 1, &v));
    *v = (set_view){ .srv = srv, .set = set };
    *ret = (hs_state_view){ .get = set_view_get, .ud = v, .create = set_view_get(v, keys[0].type, keys[0].state_key) };
    return NULL;
}
