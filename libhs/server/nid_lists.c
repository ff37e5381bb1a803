/* See nid_lists.h. */
#include "server/nid_lists.h"

#include <stdlib.h>

typedef struct {
    hs_lru_link lru;
    hs_nid key;
    size_t n;
    hs_nid at[];
} entry;

static entry *entry_of(hs_lru_link *l)
{
    return (entry *)(void *)((char *)l - offsetof(entry, lru));
}

static size_t bytes_of(const entry *e)
{
    return sizeof *e + e->n * sizeof *e->at + HS_CACHE_SLOT;
}

static void forget(hs_nid_lists *l, entry *e)
{
    hs_map_remove_n(l->map, (uint64_t)e->key);
    hs_lru_drop(&e->lru);
    hs_cache_removed(&l->cache, bytes_of(e));
    free(e);
}

static void trim(void *ud)
{
    hs_nid_lists *l = ud;

    for (hs_lru_link *last; (last = hs_cache_oldest(&l->cache)); l->cache.evicted++)
        forget(l, entry_of(last));
}

hs_error *hs_nid_lists_open(hs_server *srv, hs_nid_lists *l, const char *name, size_t base)
{
    *l = (hs_nid_lists){ .map = hs_map_open(srv->hash_seed) };
    hs_cache_open(srv->caches, &l->cache, name, base, trim, l);
    return l->map ? NULL : HS_ERR_NOMEM;
}

void hs_nid_lists_clear(hs_nid_lists *l)
{
    l->changes++;
    while (l->cache.lru.prev != &l->cache.lru)
        forget(l, entry_of(l->cache.lru.prev));
}

void hs_nid_lists_close(hs_nid_lists *l)
{
    if (!l->map)
        return;
    hs_nid_lists_clear(l);
    hs_map_close(l->map);
    l->map = NULL;
}

void hs_nid_lists_drop(hs_nid_lists *l, hs_nid key)
{
    entry *e = hs_map_get_n(l->map, (uint64_t)key);

    l->changes++;
    if (e)
        forget(l, e);
}

hs_error *hs_nid_lists_get(hs_nid_lists *l, hs_arena *a, hs_nid key, hs_nids *ret, bool *ret_found, uint64_t *ret_mark)
{
    entry *e = hs_map_get_n(l->map, (uint64_t)key);
    hs_nid *copy;

    hs_cache_asked(&l->cache, e != NULL);
    *ret_found = e != NULL;
    *ret_mark = l->changes;
    if (!e)
        return NULL;
    hs_lru_touch(&l->cache.lru, &e->lru);
    HS_TRY(hs_alloc(a, e->n, &copy));
    if (e->n)
        memcpy(copy, e->at, e->n * sizeof *copy);
    *ret = (hs_nids){ copy, e->n };
    return NULL;
}

void hs_nid_lists_put(hs_nid_lists *l, hs_nid key, hs_nids list, uint64_t mark)
{
    entry *e;

    if (mark != l->changes || hs_map_get_n(l->map, (uint64_t)key))
        return;
    e = malloc(sizeof *e + list.n * sizeof *e->at);
    if (!e)
        return;
    *e = (entry){ .key = key, .n = list.n };
    if (list.n)
        memcpy(e->at, list.at, list.n * sizeof *e->at);
    if (!hs_map_put_n(l->map, (uint64_t)key, e, NULL)) {
        free(e);
        return;
    }
    hs_cache_added(&l->cache, bytes_of(e));
    hs_lru_touch(&l->cache.lru, &e->lru);
    trim(l);
}
