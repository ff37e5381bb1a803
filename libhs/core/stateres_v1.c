/* State resolution of room version 1. Spec: Rooms, version 1, "State resolution".
 *
 * R starts as what does not conflict. Power levels, then join rules, then members: the conflicting events of a key go
 * from the least depth up, each must be allowed by R with the one before it, and the first that is not ends it. Then
 * everything else: the greatest depth that R allows. */
#include "core/stateres_impl.h"

#include <stdlib.h>

typedef struct {
    int64_t slot;
    const hs_event *ev;
    int64_t nid;
    uint8_t sha1[20];
} candidate;

typedef struct {
    const hs_resolver *r;
    const hs_state_split *split;
    hs_num_map resolved;
    int64_t slot, nid; /* the key at work and what is accepted for it so far */
} work;

/* SHA-1, which only this order needs. */
static void sha1_block(uint32_t h[5], const uint8_t block[64])
{
    uint32_t w[80], v[5];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    for (int i = 16; i < 80; i++) {
        uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
        w[i] = x << 1 | x >> 31;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (v[1] & v[2]) | (~v[1] & v[3]);
            k = 0x5a827999;
        } else if (i < 40) {
            f = v[1] ^ v[2] ^ v[3];
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
            k = 0x8f1bbcdc;
        } else {
            f = v[1] ^ v[2] ^ v[3];
            k = 0xca62c1d6;
        }
        uint32_t t = (v[0] << 5 | v[0] >> 27) + f + v[4] + k + w[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = v[1] << 30 | v[1] >> 2;
        v[1] = v[0];
        v[0] = t;
    }
    for (int i = 0; i < 5; i++)
        h[i] += v[i];
}

static void sha1(hs_str s, uint8_t ret[20])
{
    uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    uint8_t last[128] = { 0 };
    size_t whole = s.n / 64 * 64, rest = s.n - whole, n = rest < 56 ? 64 : 128;

    for (size_t i = 0; i < whole; i += 64)
        sha1_block(h, (const uint8_t *)s.p + i);
    if (rest)
        memcpy(last, s.p + whole, rest);
    last[rest] = 0x80;
    for (size_t i = 0; i < 8; i++)
        last[n - 1 - i] = (uint8_t)((uint64_t)s.n * 8 >> (8 * i));
    for (size_t i = 0; i < n; i += 64)
        sha1_block(h, last + i);
    for (size_t i = 0; i < 20; i++)
        ret[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* Ascending depth, then descending hash. */
static int by_depth(const void *x, const void *y)
{
    const candidate *a = x, *b = y;

    if (a->slot != b->slot)
        return a->slot < b->slot ? -1 : 1;
    if (a->ev->depth != b->ev->depth)
        return a->ev->depth < b->ev->depth ? -1 : 1;
    return memcmp(b->sha1, a->sha1, sizeof a->sha1);
}

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    work *w = ud;
    int64_t slot = w->r->slot(w->r->ud, type, state_key);
    int64_t nid = slot == w->slot ? w->nid : hs_num_map_get(&w->resolved, slot);

    if (!nid)
        nid = hs_state_at(w->split->agreed.at, w->split->agreed.n, slot);
    return nid ? w->r->event(w->r->ud, nid) : NULL;
}

/* One key of the kinds that affect authorization: each is allowed by the one before it. */
static int64_t resolve_auth(work *w, const hs_state_view *view, const candidate *c, size_t n)
{
    w->slot = c[0].slot;
    w->nid = c[0].nid;
    for (size_t i = 1; i < n && hs_auth_check(c[i].ev, view).ok; i++)
        w->nid = c[i].nid;
    return w->nid;
}

static int64_t resolve_normal(work *w, const hs_state_view *view, const candidate *c, size_t n)
{
    size_t i = n - 1;

    w->slot = c[0].slot;
    w->nid = 0;
    while (i > 0 && !hs_auth_check(c[i].ev, view).ok)
        i--; /* when none is allowed, the least depth stays */
    return c[i].nid;
}

static int kind_of(const hs_event *ev)
{
    switch (ev->kind) {
    case HS_KIND_POWER_LEVELS:
        return 0;
    case HS_KIND_JOIN_RULES:
        return 1;
    case HS_KIND_MEMBER:
        return 2;
    case HS_KIND_CREATE:
    case HS_KIND_OTHER:
        break;
    }
    return 3;
}

/* Tells the caller of the conflicted events, then of what the rules will look up in the agreed state for them. */
static hs_error *load(hs_arena *a, const hs_resolver *r, const hs_state_split *split)
{
    HS_VEC(int64_t) nids = { 0 };
    hs_num_map known = { 0 };

    if (!r->load)
        return NULL;
    HS_TRY(hs_vec_push(a, &nids, r->create));
    for (size_t i = 0; i < split->conflicted.n; i++)
        HS_TRY(hs_vec_push(a, &nids, split->conflicted.at[i].event));
    HS_TRY(r->load(r->ud, nids.at, nids.n));
    for (size_t i = 0; i < nids.n; i++)
        HS_TRY(hs_num_map_put(a, &known, nids.at[i], 1));
    nids.n = 0;
    for (size_t i = 0; i < split->conflicted.n; i++) {
        const hs_event *ev = r->event(r->ud, split->conflicted.at[i].event);
        hs_state_key_pair keys[HS_AUTH_TYPES_MAX];
        if (!ev)
            continue; /* candidates() says so */
        size_t n = hs_auth_types(ev->rv, ev->type, ev->sender, ev->state_key, ev->is_state, ev->content, keys);
        for (size_t k = 0; k < n; k++) {
            int64_t slot = r->slot(r->ud, keys[k].type, keys[k].state_key);
            int64_t nid = hs_state_at(split->agreed.at, split->agreed.n, slot);
            if (!nid || hs_num_map_get(&known, nid))
                continue;
            HS_TRY(hs_num_map_put(a, &known, nid, 1));
            HS_TRY(hs_vec_push(a, &nids, nid));
        }
    }
    return nids.n ? r->load(r->ud, nids.at, nids.n) : NULL;
}

static hs_error *candidates(hs_arena *a, const hs_resolver *r, const hs_state_entries *from, candidate **ret)
{
    candidate *out;

    HS_TRY(hs_alloc(a, from->n, &out));
    for (size_t i = 0; i < from->n; i++) {
        out[i] = (candidate){ .slot = from->at[i].slot, .nid = from->at[i].event };
        out[i].ev = r->event(r->ud, out[i].nid);
        if (!out[i].ev)
            return hs_err_internal(a, NULL, "state resolution: event %lld is unknown", (long long)out[i].nid);
        sha1(out[i].ev->event_id, out[i].sha1);
    }
    if (from->n)
        qsort(out, from->n, sizeof *out, by_depth);
    *ret = out;
    return NULL;
}

/* The keys of a kind do not see each other's results: they have no order. */
static hs_error *resolve_kind(hs_arena *a, work *w, const hs_state_view *view, int kind, const candidate *c, size_t n)
{
    hs_state_entries done = { 0 };
    size_t end;

    for (size_t from = 0; from < n; from = end) {
        end = from + 1;
        while (end < n && c[end].slot == c[from].slot)
            end++;
        if (kind_of(c[from].ev) != kind)
            continue;
        int64_t nid =
            kind < 3 ? resolve_auth(w, view, c + from, end - from) : resolve_normal(w, view, c + from, end - from);
        HS_TRY(hs_vec_push(a, &done, (hs_state_entry){ c[from].slot, nid }));
    }
    for (size_t i = 0; i < done.n; i++)
        HS_TRY(hs_num_map_put(a, &w->resolved, done.at[i].slot, done.at[i].event));
    return NULL;
}

hs_error *hs_state_resolve_v1(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n, hs_state_set *ret)
{
    hs_state_split split = { 0 };
    work w = { .r = r, .split = &split };
    hs_state_view view = { .get = get, .ud = &w };
    hs_state_entries resolved = { 0 };
    candidate *c;

    HS_TRY(hs_state_split_sets(a, sets, n, HS_ABSENT_AGREES, &split));
    if (split.conflicted.n > (r->max_conflicted ? r->max_conflicted : HS_MAX_CONFLICTED))
        return hs_err_internal(a, NULL, "state resolution: %zu conflicted events are too many", split.conflicted.n);
    HS_TRY(load(a, r, &split));
    HS_TRY(candidates(a, r, &split.conflicted, &c));
    view.create = r->event(r->ud, r->create);
    if (!view.create)
        return hs_err_internal(a, NULL, "state resolution: the create event is unknown");

    for (int kind = 0; kind < 4; kind++)
        HS_TRY(resolve_kind(a, &w, &view, kind, c, split.conflicted.n));
    HS_TRY(hs_state_sorted(a, &w.resolved, &resolved));
    return hs_state_merge(a, &split.agreed, &resolved, ret);
}
