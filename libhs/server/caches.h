/* What the caches of a server may take: each has an account with a budget of bytes, and stays within it by itself.
 *
 * A budget is the cache's own size at factor 1 times its factor: caches.per_cache_factors, else caches.global_factor,
 * with Synapse's environment variables beside them. docs/operate.md lists the caches and what makes their entries
 * invalid. Sizes are what was asked of malloc plus a share of the map; they are close, not exact. */
#ifndef HS_SERVER_CACHES_H
#define HS_SERVER_CACHES_H

#include "base/map.h"
#include "server/context.h"

/* Least recently used last. */
typedef struct hs_lru_link {
    struct hs_lru_link *prev, *next;
} hs_lru_link;

void hs_lru_init(hs_lru_link *head);
void hs_lru_touch(hs_lru_link *head, hs_lru_link *l); /* in or to the front */
void hs_lru_drop(hs_lru_link *l);

/* What an entry costs in a map beside its key and its value. */
#define HS_CACHE_SLOT ((size_t)64)

typedef struct hs_cache {
    struct hs_cache *next;
    const char *name;
    size_t base, budget, bytes, entries;
    uint64_t lookups, hits, evicted;
    hs_lru_link lru;        /* the owner's, to order its entries by */
    void (*trim)(void *ud); /* the budget has shrunk: evict what is over it */
    void *ud;
} hs_cache;

HS_NODISCARD hs_error *hs_caches_open(hs_server *srv, hs_arena *a);
/* Once all caches are open: says which factors of single caches are for none of them. */
void hs_caches_check(hs_server *srv);
/* After all caches have been closed. */
void hs_caches_close(hs_server *srv);
/* Budgets from a configuration that was read anew. */
void hs_caches_reload(hs_server *srv, const hs_config *config);

/* Fills in `c`, which its owner keeps as long as the server is open. `base`: bytes at factor 1. `all` NULL: a cache
 * that nobody counts, with half its base. */
void hs_cache_open(struct hs_caches *all, hs_cache *c, const char *name, size_t base, void (*trim)(void *ud), void *ud);

static inline void hs_cache_asked(hs_cache *c, bool hit)
{
    c->lookups++;
    c->hits += hit;
}
static inline void hs_cache_added(hs_cache *c, size_t bytes)
{
    c->entries++;
    c->bytes += bytes;
}
static inline void hs_cache_removed(hs_cache *c, size_t bytes)
{
    c->entries--;
    c->bytes -= bytes;
}
/* An entry that stays has become larger or smaller. */
static inline void hs_cache_resized(hs_cache *c, size_t was, size_t is)
{
    c->bytes += is - was;
}
static inline bool hs_cache_over(const hs_cache *c)
{
    return c->bytes > c->budget;
}
/* The entry to evict next; NULL when the cache is within its budget or empty. */
static inline hs_lru_link *hs_cache_oldest(const hs_cache *c)
{
    return hs_cache_over(c) && c->lru.prev != &c->lru ? c->lru.prev : NULL;
}

#endif
