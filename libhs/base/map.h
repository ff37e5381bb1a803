/* A seeded hash map from bytes or 64-bit numbers to pointers, for caches and indexes. Owns copies of its keys. */
#ifndef HS_BASE_MAP_H
#define HS_BASE_MAP_H

#include <hs/error.h>

typedef struct hs_map hs_map;

/* seed: any random number, so that nobody outside can choose colliding keys. NULL without memory. */
hs_map *hs_map_open(uint64_t seed);
void hs_map_close(hs_map *m);
size_t hs_map_count(const hs_map *m);

void *hs_map_get(const hs_map *m, hs_str key); /* NULL when absent */
/* false without memory. Replaces; *old (may be NULL) gets what was there. v must not be NULL. */
HS_NODISCARD bool hs_map_put(hs_map *m, hs_str key, void *v, void **old);
void *hs_map_remove(hs_map *m, hs_str key); /* what was there */
/* Walks all entries in no order; `it` starts at 0. The map must not change during the walk. */
bool hs_map_next(const hs_map *m, size_t *it, hs_str *key, void **v);

/* The same with numbers as keys (their eight bytes). */
static inline hs_str hs_map_num_(const uint64_t *k)
{
    return hs_str_make((const char *)k, sizeof *k);
}
static inline void *hs_map_get_n(const hs_map *m, uint64_t k)
{
    return hs_map_get(m, hs_map_num_(&k));
}
HS_NODISCARD static inline bool hs_map_put_n(hs_map *m, uint64_t k, void *v, void **old)
{
    return hs_map_put(m, hs_map_num_(&k), v, old);
}
static inline void *hs_map_remove_n(hs_map *m, uint64_t k)
{
    return hs_map_remove(m, hs_map_num_(&k));
}

#endif
