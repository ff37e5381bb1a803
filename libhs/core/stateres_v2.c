/* State resolution of room versions 2 to 11 (v2) and 12 (v2.1).
 *
 * Spec: Rooms, "State resolution" of versions 2 and 12. With the spec's words:
 *
 *   split        unconflicted state map, conflicted state set
 *   difference   auth difference: what is not in the auth chain of every state
 *   subgraph     v2.1: conflicted state subgraph, the events on auth paths between two conflicted ones
 *   → full conflicted set
 *   1 power      its power events and what of their auth chains is in it, in reverse topological power ordering
 *   2 check      iterative auth checks from the unconflicted state (v2) or from nothing (v2.1)
 *   3 mainline   the rest, in mainline ordering of the power levels so far
 *   4 check      again, going on
 *   5            the unconflicted state on top
 *
 * Nodes are indexes into one array; walks are loops over explicit stacks. Auth chains of hostile rooms may be long, and
 * in versions 1 and 2, where ids are chosen, even circular: each walk marks what it has met. */
#include "core/stateres_impl.h"

enum {
    F_AGREED = 1,     /* in the unconflicted state or its auth chains, so in every chain */
    F_CONFLICTED = 2, /* in the conflicted state set */
    F_FULL = 4,       /* in the full conflicted set */
    F_POWER = 8,      /* chosen in step 1 */
    F_REACHES = 16,   /* in the conflicted state subgraph */
    F_ENTERED = 32,   /* by the walk for F_REACHES */
    F_EXPANDED = 64,  /* `auth` is filled */
    F_LOADED = 128,   /* `ev` was asked for */
};

/* One cache line. */
typedef struct {
    int64_t nid;
    const hs_event *ev;
    int64_t slot;               /* of the event, when it is in a set, or F_LOADED and a state event; else 0 */
    int64_t power;              /* of the sender, for step 1 */
    uint32_t auth, auth_n;      /* its auth events: a range of work.edges */
    uint32_t in_sets, last_set; /* of the walk for the auth difference */
    uint32_t waits;             /* Kahn: auth events that are not out yet */
    int32_t mainline;           /* 0: not on it; else 1 for the oldest */
    uint8_t flags;
    bool mainline_known, wanted;
} node;

typedef HS_VEC(uint32_t) indexes;

/* The rules ask for the same few events again and again, with the same strings. */
enum { MEMO_MAX = 8 };
typedef struct {
    hs_str type, state_key;
    const hs_event *ev;
} looked_up;

/* The same bytes at the same place. */
static bool is_same_str(hs_str x, hs_str y)
{
    return x.p == y.p && x.n == y.n;
}

typedef struct {
    hs_arena *a;
    const hs_resolver *r;
    HS_VEC(node) nodes;
    indexes edges;     /* nodes */
    hs_num_map by_nid; /* → index + 1 */
    hs_state_split split;
    indexes full;
    hs_num_map resolved; /* slot → event, what the checks have let in */
    bool from_agreed;    /* v2: the unconflicted state is below `resolved` */
    const node *checking;
    size_t max_graph;
    int64_t power_slot, join_slot;
    looked_up memo[MEMO_MAX]; /* of the event that is checked */
    size_t memo_n;
    HS_VEC(int64_t) wanted; /* for the next call of load */
} work;

/* ── the graph ── */

static hs_error *node_for(work *w, int64_t nid, uint32_t *ret)
{
    int64_t known = hs_num_map_get(&w->by_nid, nid);

    if (!known) {
        if (w->nodes.n == w->max_graph)
            return hs_err_internal(w->a, NULL, "state resolution: more than %zu events in the auth graph",
                                   w->max_graph);
        HS_TRY(hs_vec_push(w->a, &w->nodes, (node){ .nid = nid }));
        known = (int64_t)w->nodes.n;
        HS_TRY(hs_num_map_put(w->a, &w->by_nid, nid, known));
    }
    *ret = (uint32_t)(known - 1);
    return NULL;
}

/* Makes nodes of the auth events. Both arrays may move: take pointers again after it. */
static hs_error *expand(work *w, uint32_t i)
{
    const int64_t *nids = NULL;

    if (w->nodes.at[i].flags & F_EXPANDED)
        return NULL;
    size_t n = w->r->auth(w->r->ud, w->nodes.at[i].nid, &nids);
    uint32_t from = (uint32_t)w->edges.n;
    for (size_t k = 0; k < n; k++) {
        uint32_t to;
        HS_TRY(node_for(w, nids[k], &to));
        HS_TRY(hs_vec_push(w->a, &w->edges, to));
    }
    w->nodes.at[i].auth = from;
    w->nodes.at[i].auth_n = (uint32_t)n;
    w->nodes.at[i].flags |= F_EXPANDED;
    return NULL;
}

static uint32_t auth_node(const work *w, const node *n, uint32_t k)
{
    return w->edges.at[n->auth + k];
}

/* ── events, of which callers may want to hear beforehand ── */

static hs_error *want(work *w, uint32_t i)
{
    node *n = &w->nodes.at[i];

    if (!w->r->load || n->wanted)
        return NULL;
    n->wanted = true;
    HS_TRY(hs_vec_push(w->a, &w->wanted, n->nid));
    return NULL;
}

/* With the auth events of what the node stands for. */
static hs_error *want_auth(work *w, uint32_t i)
{
    if (!w->r->load)
        return NULL;
    HS_TRY(expand(w, i));
    for (uint32_t k = 0; k < w->nodes.at[i].auth_n; k++)
        HS_TRY(want(w, auth_node(w, &w->nodes.at[i], k)));
    return NULL;
}

static hs_error *load_wanted(work *w)
{
    size_t n = w->wanted.n;

    w->wanted.n = 0;
    return n ? w->r->load(w->r->ud, w->wanted.at, n) : NULL;
}

/* NULL: unknown. */
static const hs_event *event_of(work *w, uint32_t i)
{
    node *n = &w->nodes.at[i];

    if (!(n->flags & F_LOADED)) {
        n->ev = w->r->event(w->r->ud, n->nid);
        if (n->ev && n->ev->is_state && !n->slot)
            n->slot = w->r->slot(w->r->ud, n->ev->type, n->ev->state_key);
        n->flags |= F_LOADED;
    }
    return n->ev;
}

/* ── the full conflicted set ── */

static hs_error *mark_agreed(work *w)
{
    indexes todo = { 0 };

    for (size_t k = 0; k < w->split.agreed.n; k++) {
        uint32_t i;
        HS_TRY(node_for(w, w->split.agreed.at[k].event, &i));
        if (!(w->nodes.at[i].flags & F_AGREED))
            HS_TRY(hs_vec_push(w->a, &todo, i));
        w->nodes.at[i].flags |= F_AGREED;
    }
    while (todo.n) {
        uint32_t i = todo.at[--todo.n];
        HS_TRY(expand(w, i));
        for (uint32_t k = 0; k < w->nodes.at[i].auth_n; k++) {
            uint32_t next = auth_node(w, &w->nodes.at[i], k);
            if (w->nodes.at[next].flags & F_AGREED)
                continue;
            w->nodes.at[next].flags |= F_AGREED;
            HS_TRY(hs_vec_push(w->a, &todo, next));
        }
    }
    return NULL;
}

/* Counts the node for the set whose stamp it is, once. */
static hs_error *enter(work *w, indexes *todo, uint32_t i, uint32_t stamp)
{
    node *at = &w->nodes.at[i];

    if ((at->flags & F_AGREED) || at->last_set == stamp)
        return NULL;
    at->last_set = stamp;
    at->in_sets++;
    HS_TRY(hs_vec_push(w->a, todo, i));
    return NULL;
}

/* Counts, for each node that is not agreed, in how many states' chains it is: in those of the conflicted entries, as
 * what the states agree on has nothing else above it. */
static hs_error *count_chains(work *w, const hs_state_set *sets, size_t n)
{
    const hs_state_entries *conflicted = &w->split.conflicted;
    indexes todo = { 0 };

    for (size_t s = 0; s < n; s++) {
        uint32_t stamp = (uint32_t)s + 1;
        for (size_t k = 0, c = 0; k < sets[s].n; k++) {
            uint32_t i;
            while (c < conflicted->n && conflicted->at[c].slot < sets[s].at[k].slot)
                c++;
            if (c == conflicted->n)
                break;
            if (conflicted->at[c].slot != sets[s].at[k].slot)
                continue;
            HS_TRY(node_for(w, sets[s].at[k].event, &i));
            HS_TRY(enter(w, &todo, i, stamp));
            while (todo.n) {
                i = todo.at[--todo.n];
                HS_TRY(expand(w, i));
                for (uint32_t p = 0; p < w->nodes.at[i].auth_n; p++)
                    HS_TRY(enter(w, &todo, auth_node(w, &w->nodes.at[i], p), stamp));
            }
        }
    }
    return NULL;
}

/* The auth edges among some nodes the other way: lists through two arrays. */
typedef struct {
    uint32_t above, next; /* next: an index of `edges` + 1 */
} upward;
typedef struct {
    uint32_t *first; /* by node; an index + 1 */
    HS_VEC(upward) edges;
} uppers;

/* The edges between nodes with `flag`, of which `set` are all. */
static hs_error *find_uppers(work *w, const indexes *set, uint8_t flag, uppers *ret)
{
    uppers out = { .first = NULL };

    HS_TRY(hs_alloc(w->a, w->nodes.n, &out.first));
    for (size_t k = 0; k < set->n; k++) {
        const node *at = &w->nodes.at[set->at[k]];
        for (uint32_t p = 0; p < at->auth_n; p++) {
            uint32_t below = auth_node(w, at, p);
            if (!(w->nodes.at[below].flags & flag))
                continue;
            HS_TRY(hs_vec_push(w->a, &out.edges, (upward){ set->at[k], out.first[below] }));
            out.first[below] = (uint32_t)out.edges.n;
        }
    }
    *ret = out;
    return NULL;
}

static hs_error *mark(work *w, indexes *list, uint32_t i, uint8_t flag)
{
    if (w->nodes.at[i].flags & flag)
        return NULL;
    w->nodes.at[i].flags |= flag;
    HS_TRY(hs_vec_push(w->a, list, i));
    return NULL;
}

/* v2.1: sets F_REACHES on the conflicted events and what is on an auth path from one to another: down from all of them
 * first, then, among what that has met, up from all of them. */
static hs_error *mark_subgraph(work *w)
{
    indexes below = { 0 }, above = { 0 };
    uppers up;

    for (size_t k = 0; k < w->split.conflicted.n; k++) {
        uint32_t i;
        HS_TRY(node_for(w, w->split.conflicted.at[k].event, &i));
        HS_TRY(mark(w, &below, i, F_ENTERED));
        HS_TRY(mark(w, &above, i, F_REACHES));
    }
    for (size_t k = 0; k < below.n; k++) {
        HS_TRY(expand(w, below.at[k]));
        for (uint32_t p = 0; p < w->nodes.at[below.at[k]].auth_n; p++)
            HS_TRY(mark(w, &below, auth_node(w, &w->nodes.at[below.at[k]], p), F_ENTERED));
    }
    HS_TRY(find_uppers(w, &below, F_ENTERED, &up));
    for (size_t k = 0; k < above.n; k++)
        for (uint32_t e = up.first[above.at[k]]; e; e = up.edges.at[e - 1].next)
            HS_TRY(mark(w, &above, up.edges.at[e - 1].above, F_REACHES));
    return NULL;
}

static hs_error *find_full_conflicted(work *w, const hs_state_set *sets, size_t n)
{
    size_t max = w->r->max_conflicted ? w->r->max_conflicted : HS_MAX_CONFLICTED;

    HS_TRY(mark_agreed(w));
    HS_TRY(count_chains(w, sets, n));
    for (size_t k = 0; k < w->split.conflicted.n; k++) {
        uint32_t i;
        HS_TRY(node_for(w, w->split.conflicted.at[k].event, &i));
        w->nodes.at[i].flags |= F_CONFLICTED;
        w->nodes.at[i].slot = w->split.conflicted.at[k].slot;
    }
    if (w->r->rv->stateres == HS_STATERES_V2_1)
        HS_TRY(mark_subgraph(w));

    for (uint32_t i = 0; i < w->nodes.n; i++) {
        const node *at = &w->nodes.at[i];
        bool differs = !(at->flags & F_AGREED) && at->in_sets > 0 && at->in_sets < n;
        if (!differs && !(at->flags & (F_CONFLICTED | F_REACHES)))
            continue;
        HS_TRY(hs_vec_push(w->a, &w->full, i));
        if (w->full.n > max)
            return hs_err_internal(w->a, NULL, "state resolution: more than %zu conflicted events", max);
        HS_TRY(want(w, i));
    }
    HS_TRY(load_wanted(w));
    return NULL;
}

/* What is no state event cannot become state, wherever its author has put it. */
static hs_error *keep_state_events(work *w)
{
    size_t kept = 0;

    for (size_t k = 0; k < w->full.n; k++) {
        uint32_t i = w->full.at[k];
        const hs_event *ev = event_of(w, i);
        if (!ev)
            return hs_err_internal(w->a, NULL, "state resolution: event %lld is unknown",
                                   (long long)w->nodes.at[i].nid);
        if (!ev->is_state)
            continue;
        w->nodes.at[i].flags |= F_FULL;
        w->full.at[kept++] = i;
        HS_TRY(want_auth(w, i));
    }
    w->full.n = kept;
    return load_wanted(w);
}

/* What the rules will look up in the agreed state for any of the events to be checked. */
static hs_error *load_looked_up(work *w)
{
    if (!w->r->load)
        return NULL;
    for (size_t k = 0; k < w->full.n; k++) {
        const hs_event *ev = w->nodes.at[w->full.at[k]].ev;
        hs_state_key_pair keys[HS_AUTH_TYPES_MAX];
        size_t n = hs_auth_types(ev->rv, ev->type, ev->sender, ev->state_key, ev->is_state, ev->content, keys);
        for (size_t j = 0; j < n; j++) {
            int64_t slot = w->r->slot(w->r->ud, keys[j].type, keys[j].state_key);
            int64_t nid = hs_state_at(w->split.agreed.at, w->split.agreed.n, slot);
            uint32_t i;
            if (!nid)
                continue;
            HS_TRY(node_for(w, nid, &i));
            HS_TRY(want(w, i));
        }
    }
    return load_wanted(w);
}

/* ── views of state ── */

static const hs_event *auth_event(work *w, const node *n, int64_t slot, bool skip_rejected)
{
    for (uint32_t k = 0; k < n->auth_n; k++) {
        uint32_t i = auth_node(w, n, k);
        const hs_event *ev = event_of(w, i);
        if (!ev || !ev->is_state || w->nodes.at[i].slot != slot)
            continue;
        if (!skip_rejected || !w->r->rejected(w->r->ud, w->nodes.at[i].nid))
            return ev;
    }
    return NULL;
}

/* The state that the auth events of one event make. */
static const hs_event *get_auth(void *ud, hs_str type, hs_str state_key)
{
    work *w = ud;

    return auth_event(w, w->checking, w->r->slot(w->r->ud, type, state_key), false);
}

static int64_t resolved_at(const work *w, int64_t slot)
{
    int64_t nid = hs_num_map_get(&w->resolved, slot);

    if (!nid && w->from_agreed)
        nid = hs_state_at(w->split.agreed.at, w->split.agreed.n, slot);
    return nid;
}

/* Most questions are about the checked event's own key, power levels and join rules. */
static int64_t slot_of(const work *w, hs_str type, hs_str state_key)
{
    const hs_event *ev = w->checking->ev;

    if (hs_str_eq(ev->state_key, state_key) && hs_str_eq(ev->type, type))
        return w->checking->slot;
    if (!state_key.n && hs_str_eq(type, HS_S("m.room.power_levels")))
        return w->power_slot;
    if (!state_key.n && hs_str_eq(type, HS_S("m.room.join_rules")))
        return w->join_slot;
    return w->r->slot(w->r->ud, type, state_key);
}

static const hs_event *look_up(work *w, hs_str type, hs_str state_key)
{
    int64_t slot = slot_of(w, type, state_key), nid = resolved_at(w, slot);

    if (nid && !w->r->rejected(w->r->ud, nid)) {
        const hs_event *ev = w->r->event(w->r->ud, nid);
        if (ev)
            return ev;
    }
    return auth_event(w, w->checking, slot, true);
}

/* Iterative auth checks: the state so far, and the event's own auth events where it has nothing. */
static const hs_event *get_resolved(void *ud, hs_str type, hs_str state_key)
{
    work *w = ud;
    const hs_event *ev;

    for (size_t i = 0; i < w->memo_n; i++)
        if (is_same_str(w->memo[i].state_key, state_key) && is_same_str(w->memo[i].type, type))
            return w->memo[i].ev;
    ev = look_up(w, type, state_key);
    if (w->memo_n < MEMO_MAX)
        w->memo[w->memo_n++] = (looked_up){ type, state_key, ev };
    return ev;
}

/* ── step 1: reverse topological power ordering ── */

static bool is_power_event(const hs_event *ev)
{
    if (ev->kind == HS_KIND_POWER_LEVELS || ev->kind == HS_KIND_JOIN_RULES || ev->kind == HS_KIND_CREATE)
        return true;
    return (ev->membership == HS_MEMBER_LEAVE || ev->membership == HS_MEMBER_BAN) &&
           !hs_str_eq(ev->sender, ev->state_key);
}

/* Sets F_POWER on the power events and on what of their auth chains is in the full conflicted set. */
static hs_error *choose_power(work *w, indexes *ret)
{
    indexes todo = { 0 }, out = { 0 };

    for (size_t k = 0; k < w->full.n; k++)
        if (is_power_event(w->nodes.at[w->full.at[k]].ev))
            HS_TRY(hs_vec_push(w->a, &todo, w->full.at[k]));
    while (todo.n) {
        uint32_t i = todo.at[--todo.n];
        if ((w->nodes.at[i].flags & F_POWER) || !(w->nodes.at[i].flags & F_FULL))
            continue;
        w->nodes.at[i].flags |= F_POWER;
        HS_TRY(hs_vec_push(w->a, &out, i));
        HS_TRY(expand(w, i));
        for (uint32_t k = 0; k < w->nodes.at[i].auth_n; k++)
            HS_TRY(hs_vec_push(w->a, &todo, auth_node(w, &w->nodes.at[i], k)));
    }
    *ret = out;
    return NULL;
}

/* Greater power first, then older, then the smaller id. */
static bool before(const work *w, uint32_t x, uint32_t y)
{
    const node *a = &w->nodes.at[x], *b = &w->nodes.at[y];

    if (a->power != b->power)
        return a->power > b->power;
    if (a->ev->origin_ts != b->ev->origin_ts)
        return a->ev->origin_ts < b->ev->origin_ts;
    return hs_str_cmp(a->ev->event_id, b->ev->event_id) < 0;
}

static hs_error *heap_push(work *w, indexes *h, uint32_t i)
{
    HS_TRY(hs_vec_push(w->a, h, i));
    for (size_t at = h->n - 1; at > 0;) {
        size_t up = (at - 1) / 2;
        if (!before(w, h->at[at], h->at[up]))
            break;
        uint32_t t = h->at[at];
        h->at[at] = h->at[up];
        h->at[up] = t;
        at = up;
    }
    return NULL;
}

static uint32_t heap_pop(const work *w, indexes *h)
{
    uint32_t top = h->at[0];

    h->at[0] = h->at[--h->n];
    for (size_t at = 0;;) {
        size_t least = at, left = 2 * at + 1;
        for (size_t c = left; c < left + 2 && c < h->n; c++)
            if (before(w, h->at[c], h->at[least]))
                least = c;
        if (least == at)
            return top;
        uint32_t t = h->at[at];
        h->at[at] = h->at[least];
        h->at[least] = t;
        at = least;
    }
}

/* "looking at their respective auth_events" */
static hs_error *find_power(work *w, uint32_t i, const hs_event *create)
{
    hs_state_view view = { .get = get_auth, .ud = w, .create = create };

    HS_TRY(expand(w, i));
    w->checking = &w->nodes.at[i];
    w->nodes.at[i].power = hs_auth_power(w->r->rv, &view, w->nodes.at[i].ev->sender);
    return NULL;
}

/* Kahn's algorithm over the auth edges inside `set`. */
static hs_error *sort_by_power(work *w, const indexes *set, const hs_event *create, indexes *ret)
{
    indexes heap = { 0 }, out = { 0 };
    uppers up;

    for (size_t k = 0; k < set->n; k++)
        HS_TRY(find_power(w, set->at[k], create));
    HS_TRY(find_uppers(w, set, F_POWER, &up));
    for (size_t e = 0; e < up.edges.n; e++)
        w->nodes.at[up.edges.at[e].above].waits++;
    for (size_t k = 0; k < set->n; k++)
        if (!w->nodes.at[set->at[k]].waits)
            HS_TRY(heap_push(w, &heap, set->at[k]));
    while (heap.n) {
        uint32_t i = heap_pop(w, &heap);
        HS_TRY(hs_vec_push(w->a, &out, i));
        for (uint32_t e = up.first[i]; e; e = up.edges.at[e - 1].next)
            if (--w->nodes.at[up.edges.at[e - 1].above].waits == 0)
                HS_TRY(heap_push(w, &heap, up.edges.at[e - 1].above));
    }
    *ret = out;
    return NULL;
}

/* ── steps 2 and 4: iterative auth checks ── */

static hs_error *check_all(work *w, const indexes *order, const hs_event *create)
{
    hs_state_view view = { .get = get_resolved, .ud = w, .create = create };

    for (size_t k = 0; k < order->n; k++) {
        HS_TRY(expand(w, order->at[k]));
        const node *n = &w->nodes.at[order->at[k]];
        /* The specification would let an event in that was refused by the state before it; Synapse does not, and a
         * rejected event that becomes state would have to be un-rejected everywhere. */
        if (w->r->rejected(w->r->ud, n->nid))
            continue;
        w->checking = n;
        w->memo_n = 0;
        if (hs_auth_check(n->ev, &view).ok)
            HS_TRY(hs_num_map_put(w->a, &w->resolved, n->slot, n->nid));
    }
    return NULL;
}

/* ── step 3: mainline ordering ── */

#define NO_NODE UINT32_MAX

static hs_error *power_parent(work *w, uint32_t i, uint32_t *ret)
{
    *ret = NO_NODE;
    HS_TRY(expand(w, i));
    HS_TRY(want_auth(w, i));
    HS_TRY(load_wanted(w));
    for (uint32_t k = 0; k < w->nodes.at[i].auth_n; k++) {
        uint32_t up = auth_node(w, &w->nodes.at[i], k);
        const hs_event *ev = event_of(w, up);
        if (ev && ev->is_state && w->nodes.at[up].slot == w->power_slot) {
            *ret = up;
            return NULL;
        }
    }
    return NULL;
}

static hs_error *mark_mainline(work *w)
{
    int64_t nid = resolved_at(w, w->power_slot);
    indexes line = { 0 };
    uint32_t i;

    if (!nid)
        return NULL;
    HS_TRY(node_for(w, nid, &i));
    while (i != NO_NODE && !w->nodes.at[i].mainline_known) {
        w->nodes.at[i].mainline_known = true;
        HS_TRY(hs_vec_push(w->a, &line, i));
        HS_TRY(power_parent(w, i, &i));
    }
    for (size_t k = 0; k < line.n; k++)
        w->nodes.at[line.at[k]].mainline = (int32_t)(line.n - k);
    return NULL;
}

/* Follows the power levels until one whose place is known; all on the way get the same place. */
static hs_error *mainline_of(work *w, uint32_t i, int32_t *ret)
{
    indexes way = { 0 };
    int32_t place = 0;

    for (;;) {
        HS_TRY(power_parent(w, i, &i));
        if (i == NO_NODE)
            break;
        if (w->nodes.at[i].mainline_known) {
            place = w->nodes.at[i].mainline;
            break;
        }
        w->nodes.at[i].mainline_known = true; /* a circle ends here, with 0 */
        HS_TRY(hs_vec_push(w->a, &way, i));
    }
    for (size_t k = 0; k < way.n; k++)
        w->nodes.at[way.at[k]].mainline = place;
    *ret = place;
    return NULL;
}

static int by_id(const void *ud, uint32_t x, uint32_t y)
{
    const work *w = ud;

    return hs_str_cmp(w->nodes.at[x].ev->event_id, w->nodes.at[y].ev->event_id);
}

static hs_error *sort_by_mainline(work *w, indexes *ret)
{
    hs_sort_key *rest;
    size_t n = 0;
    indexes out = { 0 };

    HS_TRY(mark_mainline(w));
    HS_TRY(hs_alloc(w->a, w->full.n, &rest));
    for (size_t k = 0; k < w->full.n; k++) {
        uint32_t i = w->full.at[k];
        int32_t place;
        if (w->nodes.at[i].flags & F_POWER)
            continue;
        HS_TRY(mainline_of(w, i, &place));
        rest[n++] = (hs_sort_key){ .a = place, .b = w->nodes.at[i].ev->origin_ts, .value = i };
    }
    HS_TRY(hs_sort_keys(w->a, rest, n, by_id, w));
    for (size_t k = 0; k < n; k++)
        HS_TRY(hs_vec_push(w->a, &out, rest[k].value));
    *ret = out;
    return NULL;
}

/* What was let in, by slot: mostly conflicted slots, which are in that order already. What the auth difference has
 * brought along for other slots is sorted. */
static hs_error *in_order(work *w, hs_state_entries *ret)
{
    const hs_state_entries *c = &w->split.conflicted;
    hs_state_entries known = { 0 }, others = { 0 };
    hs_num_map rest = { 0 };
    hs_state_set all;

    for (size_t k = 0; k < c->n; k++) {
        int64_t nid = k && c->at[k].slot == c->at[k - 1].slot ? 0 : hs_num_map_get(&w->resolved, c->at[k].slot);
        if (nid)
            HS_TRY(hs_vec_push(w->a, &known, (hs_state_entry){ c->at[k].slot, nid }));
    }
    *ret = known;
    if (known.n == w->resolved.n)
        return NULL;
    for (size_t i = 0; i < w->resolved.cap; i++)
        if (w->resolved.at[i].value && !hs_state_at(known.at, known.n, w->resolved.at[i].key))
            HS_TRY(hs_num_map_put(w->a, &rest, w->resolved.at[i].key, w->resolved.at[i].value));
    HS_TRY(hs_state_sorted(w->a, &rest, &others));
    HS_TRY(hs_state_merge(w->a, &others, &known, &all));
    *ret = (hs_state_entries){ .at = (hs_state_entry *)(uintptr_t)all.at, .n = all.n, .cap = all.n };
    return NULL;
}

/* What is in the states, and four auth events of each: as a rule that is the graph. */
static hs_error *reserve(work *w)
{
    size_t n = w->split.agreed.n + w->split.conflicted.n;

    HS_TRY(hs_num_map_reserve(w->a, &w->by_nid, n + 16));
    HS_TRY(hs_alloc(w->a, n + 16, &w->nodes.at));
    HS_TRY(hs_alloc(w->a, 4 * n, &w->edges.at));
    w->nodes.cap = n + 16;
    w->edges.cap = 4 * n;
    return hs_num_map_reserve(w->a, &w->resolved, w->split.conflicted.n);
}

hs_error *hs_state_resolve_v2(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n, hs_state_set *ret)
{
    work w = { .a = a,
               .r = r,
               .from_agreed = r->rv->stateres == HS_STATERES_V2,
               .power_slot = r->slot(r->ud, HS_S("m.room.power_levels"), HS_S("")),
               .join_slot = r->slot(r->ud, HS_S("m.room.join_rules"), HS_S("")),
               .max_graph = r->max_graph ? r->max_graph : HS_MAX_GRAPH };
    indexes power = { 0 }, order = { 0 }, rest = { 0 };
    hs_state_entries resolved = { 0 };

    HS_TRY(hs_state_split_sets(a, sets, n, HS_ABSENT_IS_CONFLICT, &w.split));
    if (!w.split.conflicted.n) {
        *ret = (hs_state_set){ w.split.agreed.at, w.split.agreed.n };
        return NULL;
    }
    uint32_t of_create;
    HS_TRY(reserve(&w));
    HS_TRY(node_for(&w, r->create, &of_create));
    HS_TRY(want(&w, of_create));
    HS_TRY(find_full_conflicted(&w, sets, n));
    const hs_event *create = event_of(&w, of_create);
    if (!create)
        return hs_err_internal(a, NULL, "state resolution: the create event is unknown");

    HS_TRY(keep_state_events(&w));
    HS_TRY(load_looked_up(&w));
    HS_TRY(choose_power(&w, &power)); /* 1 */
    HS_TRY(sort_by_power(&w, &power, create, &order));
    HS_TRY(check_all(&w, &order, create)); /* 2 */
    HS_TRY(sort_by_mainline(&w, &rest));   /* 3 */
    HS_TRY(check_all(&w, &rest, create));  /* 4 */
    HS_TRY(in_order(&w, &resolved));
    return hs_state_merge(a, &resolved, &w.split.agreed, ret); /* 5 */
}
