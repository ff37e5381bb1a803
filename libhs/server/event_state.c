/* Resolving the states of a fork.
 *
 * The auth graph is one index-only read of the room's state events. Of the events themselves the resolver
 * (core/stateres) says in bulk which it will ask for, and they are loaded then: the conflicted ones, not their whole
 * chains. */
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
    const hs_stored *extra;
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

static hs_error *load(void *ud, const int64_t *nids, size_t n)
{
    const resolving *r = ud;
    hs_nid *stored_nids;
    hs_stored **events;
    size_t m = 0;

    HS_TRY(hs_alloc(r->a, n, &stored_nids));
    HS_TRY(hs_alloc(r->a, n, &events));
    for (size_t i = 0; i < n; i++)
        if (!r->extra || nids[i] != r->extra->nid)
            stored_nids[m++] = nids[i];
    /* held by the arena: in the cache while it lives */
    return hs_events_load_as(r->srv, r->a, r->room->nid, r->room->rv, stored_nids, m, events);
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

    HS_TRY(hs_store_auth_graph(srv->db, a, room->nid, &r.graph, &r.graph_n));
    HS_TRY(add_extra(&r, extra, extra_auth));

    hs_resolver ask = { .rv = room->rv,
                        .event = ask_event,
                        .rejected = ask_rejected,
                        .auth = ask_auth,
                        .slot = ask_slot,
                        .load = load,
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
    *ret = (hs_resolved){ .at = { .line = -1 }, .from_at = distinct, .from = sets, .from_n = m };
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
