/* See stateres.h: the choice of the algorithm, and the parts that all share. */
#include "core/stateres_impl.h"

/* ── number → number, open addressing ── */

static hs_error *resize(hs_arena *a, hs_num_map *m, size_t cap)
{
    hs_num_map grown = { .n = m->n, .cap = cap };

    HS_TRY(hs_alloc(a, grown.cap, &grown.at));
    for (size_t i = 0; i < m->cap; i++)
        if (m->at[i].value)
            grown.at[hs_num_map_place_(&grown, m->at[i].key)] = m->at[i];
    *m = grown;
    return NULL;
}

hs_error *hs_num_map_reserve(hs_arena *a, hs_num_map *m, size_t n)
{
    size_t cap = 64;

    while (cap / 2 < n && cap < SIZE_MAX / 4)
        cap *= 2;
    return cap > m->cap ? resize(a, m, cap) : NULL;
}

hs_error *hs_num_map_put(hs_arena *a, hs_num_map *m, int64_t key, int64_t value)
{
    if (m->n * 2 >= m->cap)
        HS_TRY(resize(a, m, m->cap ? m->cap * 2 : 64));
    hs_num_pair *at = &m->at[hs_num_map_place_(m, key)];
    m->n += !at->value;
    *at = (hs_num_pair){ key, value };
    return NULL;
}

/* ── sorting: merges of runs that double, with the comparison in place; qsort's calls cost more than the rest ── */

typedef struct {
    int (*tie)(const void *ud, uint32_t x, uint32_t y);
    const void *ud;
} tie_break;

/* Both numbers as one, so that the usual comparison has no branch to guess. */
static unsigned __int128 whole_key(const hs_sort_key *k)
{
    const uint64_t sign = UINT64_C(1) << 63;

    return (unsigned __int128)((uint64_t)k->a ^ sign) << 64 | ((uint64_t)k->b ^ sign);
}

static bool goes_first(const hs_sort_key *x, const hs_sort_key *y, const tie_break *t)
{
    unsigned __int128 a = whole_key(x), b = whole_key(y);

    if (__builtin_expect(a == b, 0))
        return !t->tie || t->tie(t->ud, x->value, y->value) <= 0;
    return a < b;
}

static void merge_runs(const hs_sort_key *from, size_t mid, size_t end, hs_sort_key *to, const tie_break *t)
{
    const hs_sort_key *l = from, *r = from + mid, *l_end = r, *r_end = from + end;

    while (l < l_end && r < r_end) {
        bool left = goes_first(l, r, t);
        const hs_sort_key *next = left ? l : r;
        *to++ = *next;
        l += left;
        r += !left;
    }
    while (l < l_end)
        *to++ = *l++;
    while (r < r_end)
        *to++ = *r++;
}

/* Short runs to begin with. */
static void insert_run(hs_sort_key *at, size_t n, const tie_break *t)
{
    for (size_t i = 1; i < n; i++) {
        hs_sort_key k = at[i];
        size_t j = i;
        for (; j > 0 && !goes_first(&at[j - 1], &k, t); j--)
            at[j] = at[j - 1];
        at[j] = k;
    }
}

enum { RUN = 8 };

hs_error *hs_sort_keys(hs_arena *a, hs_sort_key *at, size_t n, int (*tie)(const void *ud, uint32_t x, uint32_t y),
                       const void *ud)
{
    const tie_break t = { tie, ud };
    hs_sort_key *from = at, *to;

    if (n < 2)
        return NULL;
    for (size_t i = 0; i < n; i += RUN)
        insert_run(at + i, n - i < RUN ? n - i : RUN, &t);
    if (n <= RUN)
        return NULL;
    HS_TRY(hs_alloc(a, n, &to));
    for (size_t run = RUN; run < n; run *= 2) {
        for (size_t i = 0; i < n; i += 2 * run) {
            size_t left = n - i, end = left < 2 * run ? left : 2 * run;
            merge_runs(from + i, run < end ? run : end, end, to + i, &t);
        }
        hs_sort_key *swap = from;
        from = to;
        to = swap;
    }
    if (from != at)
        memcpy(at, from, n * sizeof *at);
    return NULL;
}

/* ── states ── */

int64_t hs_state_at(const hs_state_entry *at, size_t n, int64_t slot)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (at[mid].slot < slot)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && at[low].slot == slot ? at[low].event : 0;
}

/* What the sets say about one slot. */
static hs_error *split_slot(hs_arena *a, const hs_state_set *sets, size_t n, size_t *at, int64_t slot,
                            hs_split_rule rule, hs_state_split *out)
{
    size_t from = out->conflicted.n, present = 0;

    for (size_t i = 0; i < n; i++) {
        if (at[i] == sets[i].n || sets[i].at[at[i]].slot != slot)
            continue;
        hs_state_entry e = sets[i].at[at[i]];
        bool known = false;
        for (size_t j = from; j < out->conflicted.n && !known; j++)
            known = out->conflicted.at[j].event == e.event;
        if (!known)
            HS_TRY(hs_vec_push(a, &out->conflicted, e));
        present++;
        while (at[i] < sets[i].n && sets[i].at[at[i]].slot == slot)
            at[i]++;
    }
    if (out->conflicted.n == from + 1 && (present == n || rule == HS_ABSENT_AGREES)) {
        HS_TRY(hs_vec_push(a, &out->agreed, out->conflicted.at[from]));
        out->conflicted.n = from;
    }
    return NULL;
}

hs_error *hs_state_split_sets(hs_arena *a, const hs_state_set *sets, size_t n, hs_split_rule rule, hs_state_split *ret)
{
    hs_state_split out = { 0 };
    size_t *at;

    HS_TRY(hs_alloc(a, n, &at));
    HS_TRY(hs_alloc(a, sets[0].n, &out.agreed.at));
    out.agreed.cap = sets[0].n;
    for (;;) {
        bool more = false;
        int64_t slot = INT64_MAX;
        for (size_t i = 0; i < n; i++) {
            if (at[i] == sets[i].n)
                continue;
            more = true;
            if (sets[i].at[at[i]].slot < slot)
                slot = sets[i].at[at[i]].slot;
        }
        if (!more)
            break;
        HS_TRY(split_slot(a, sets, n, at, slot, rule, &out));
    }
    *ret = out;
    return NULL;
}

hs_error *hs_state_merge(hs_arena *a, const hs_state_entries *under, const hs_state_entries *over, hs_state_set *ret)
{
    hs_state_entry *out;
    size_t n = 0, u = 0, o = 0;

    HS_TRY(hs_alloc(a, under->n + over->n, &out));
    while (u < under->n || o < over->n) {
        if (o == over->n || (u < under->n && under->at[u].slot < over->at[o].slot)) {
            out[n++] = under->at[u++];
            continue;
        }
        if (u < under->n && under->at[u].slot == over->at[o].slot)
            u++;
        out[n++] = over->at[o++];
    }
    *ret = (hs_state_set){ out, n };
    return NULL;
}

hs_error *hs_state_sorted(hs_arena *a, const hs_num_map *m, hs_state_entries *ret)
{
    hs_state_entries out = { 0 };
    hs_sort_key *keys;
    size_t n = 0;

    HS_TRY(hs_alloc(a, m->n, &keys));
    for (size_t i = 0; i < m->cap; i++)
        if (m->at[i].value)
            keys[n++] = (hs_sort_key){ .a = m->at[i].key, .b = m->at[i].value };
    HS_TRY(hs_sort_keys(a, keys, n, NULL, NULL));
    HS_TRY(hs_alloc(a, n, &out.at));
    out.n = out.cap = n;
    for (size_t i = 0; i < n; i++)
        out.at[i] = (hs_state_entry){ keys[i].a, keys[i].b };
    *ret = out;
    return NULL;
}

hs_error *hs_state_resolve(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n, hs_state_set *ret)
{
    if (n == 0) {
        *ret = (hs_state_set){ 0 };
        return NULL;
    }
    if (n == 1) {
        *ret = sets[0];
        return NULL;
    }
    if (r->rv->stateres == HS_STATERES_V1)
        return hs_state_resolve_v1(a, r, sets, n, ret);
    return hs_state_resolve_v2(a, r, sets, n, ret);
}
