/* A cache from a number to a list of numbers, such as whom a user ignores. */
#ifndef HS_SERVER_NID_LISTS_H
#define HS_SERVER_NID_LISTS_H

#include "server/caches.h"

typedef struct {
    hs_map *map;
    hs_cache cache;
    uint64_t changes; /* counts drops: a list that was read before one is not kept after it */
    uint64_t seed;
} hs_nid_lists;

HS_NODISCARD hs_error *hs_nid_lists_open(hs_server *srv, hs_nid_lists *l, const char *name, size_t base);
void hs_nid_lists_close(hs_nid_lists *l); /* one that was never opened (zero) is fine */
/* A copy in `a`. *ret_mark is for hs_nid_lists_put, when *ret_found is false. */
HS_NODISCARD hs_error *hs_nid_lists_get(hs_nid_lists *l, hs_arena *a, hs_nid key, hs_nids *ret, bool *ret_found,
                                        uint64_t *ret_mark);
/* What was read after `mark` was given; not kept if anything has been dropped since. */
void hs_nid_lists_put(hs_nid_lists *l, hs_nid key, hs_nids list, uint64_t mark);
void hs_nid_lists_drop(hs_nid_lists *l, hs_nid key);
void hs_nid_lists_clear(hs_nid_lists *l);

#endif
