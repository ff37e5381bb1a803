/* See stateres.h: the choice of the algorithm, and the parts that all share. */
#include "core/stateres_impl.h"

#include <stdlib.h>

/* ── number → number, open addressing ── */

static size_t place(const hs_num_map *m, int64_t key)
{
    size_t i = (size_t)(((uint64_t)key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (m->cap - 1);

    while (m->values[i] && m->keys[i] != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

int64_t hs_num_map_get(const hs_num_map *m, int64_t key)
{
    return m->cap ? m->values[place(m, key)] : 0;
}

hs_error *hs_num_map_put(hs_arena *a, hs_num_map *m, int64_t key, int64_t value)
{
    if (m->n * 2 >= m->cap) {
        hs_num_map grown = { .n = m->n, .cap = m->cap ? m->cap * 2 : 64 };
        HS_TRY(hs_alloc(a, grown.cap, &grown.keys));
        HS_TRY(hs_alloc(a, grown.cap, &grown.values));
        for (size_t i = 0; i < m->cap; i++) {
            if (!m->values[i])
                continue;
            size_t to = place(&grown, m->keys[i]);
            grown.keys[to] = m->keys[i];
            grown.values[to] = m->values[i];
        }
        *m = grown;
    }
    size_t at = place(m, key);
    m->n += !m->values[at];
    m->keys[at] = key;
    m->values[at] = value;
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

static int by_slot(const void *x, const void *y)
{
    const hs_state_entry *a = x, *b = y;

    return (a->slot > b->slot) - (a->slot < b->slot);
}

hs_error *hs_state_sorted(hs_arena *a, const hs_num_map *m, hs_state_entries *ret)
{
    hs_state_entries out = { 0 };

    for (size_t i = 0; i < m->cap; i++)
        if (m->values[i])
            HS_TRY(hs_vec_push(a, &out, (hs_state_entry){ m->keys[i], m->values[i] }));
    if (out.n)
        qsort(out.at, out.n, sizeof *out.at, by_slot);
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
