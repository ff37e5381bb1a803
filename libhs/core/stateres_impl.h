/* What the algorithms of state resolution share: maps of numbers, the split into agreed and conflicted state, the graph
 * of auth events. All of it lives in the arena of the call. */
#ifndef HS_CORE_STATERES_IMPL_H
#define HS_CORE_STATERES_IMPL_H

#include "base/vec.h"
#include "core/stateres.h"

#define HS_MAX_CONFLICTED 200000u
#define HS_MAX_GRAPH      2000000u

/* Number → number. A value of 0 means absent, and is what an absent key gives. */
typedef struct {
    int64_t key, value;
} hs_num_pair;
typedef struct {
    hs_num_pair *at;
    size_t n, cap;
} hs_num_map;

/* Inline, as walks through graphs do little else. */
static inline size_t hs_num_map_place_(const hs_num_map *m, int64_t key)
{
    size_t i = (size_t)(((uint64_t)key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (m->cap - 1);

    while (m->at[i].value && m->at[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

static inline int64_t hs_num_map_get(const hs_num_map *m, int64_t key)
{
    return m->cap ? m->at[hs_num_map_place_(m, key)].value : 0;
}
/* Room for n keys without growing. */
HS_NODISCARD hs_error *hs_num_map_reserve(hs_arena *a, hs_num_map *m, size_t n);
HS_NODISCARD hs_error *hs_num_map_put(hs_arena *a, hs_num_map *m, int64_t key, int64_t value);

/* What is sorted: by `a`, then `b`, then what `tie` says of the two values (may be NULL). */
typedef struct {
    int64_t a, b;
    uint32_t value;
} hs_sort_key;
HS_NODISCARD hs_error *hs_sort_keys(hs_arena *a, hs_sort_key *at, size_t n,
                                    int (*tie)(const void *ud, uint32_t x, uint32_t y), const void *ud);

typedef HS_VEC(hs_state_entry) hs_state_entries;

/* `agreed` is sorted by slot; `conflicted` has each differing entry once, sorted by slot. */
typedef struct {
    hs_state_entries agreed, conflicted;
} hs_state_split;

/* In version 1 a key that only some states have is no conflict. */
typedef enum { HS_ABSENT_IS_CONFLICT, HS_ABSENT_AGREES } hs_split_rule;
HS_NODISCARD hs_error *hs_state_split_sets(hs_arena *a, const hs_state_set *sets, size_t n, hs_split_rule rule,
                                           hs_state_split *ret);
/* The event at `slot` of a sorted state; 0: none. */
int64_t hs_state_at(const hs_state_entry *at, size_t n, int64_t slot);
/* `over` wins where both have the slot. */
HS_NODISCARD hs_error *hs_state_merge(hs_arena *a, const hs_state_entries *under, const hs_state_entries *over,
                                      hs_state_set *ret);
/* The entries of a map slot → event, sorted. */
HS_NODISCARD hs_error *hs_state_sorted(hs_arena *a, const hs_num_map *m, hs_state_entries *ret);

HS_NODISCARD hs_error *hs_state_resolve_v1(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n,
                                           hs_state_set *ret);
/* v2 and v2.1, by the traits of the room version. */
HS_NODISCARD hs_error *hs_state_resolve_v2(hs_arena *a, const hs_resolver *r, const hs_state_set *sets, size_t n,
                                           hs_state_set *ret);

#endif
