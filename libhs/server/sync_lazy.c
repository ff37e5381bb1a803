/* Which member events a lazily loading device has been sent lately. */
#include "server/sync_part.h"
#include "server/sync_recent.h"

#include <stdlib.h>

enum { SENT_MAX = 128, IDLE_MS = 1800000 };

struct hs_lazy {
    hs_lru_link lru;
    int64_t used_ms;
    size_t n;
    struct {
        hs_nid event;
        int64_t pos;
    } sent[SENT_MAX]; /* oldest first */
    size_t key_n;
    char key[];
};

static size_t bytes_of(const hs_lazy *l)
{
    return sizeof *l + 2 * l->key_n + HS_CACHE_SLOT;
}

static void forget(struct hs_waiters *w, hs_lazy *l)
{
    hs_map_remove(w->lazies, hs_str_make(l->key, l->key_n));
    hs_lru_drop(&l->lru);
    hs_cache_removed(&w->lazy_cache, bytes_of(l));
    free(l);
}

static hs_lazy *lazy_of_link(hs_lru_link *l)
{
    return (hs_lazy *)(void *)((char *)l - offsetof(hs_lazy, lru));
}

void hs_lazy_trim(void *ud)
{
    struct hs_waiters *w = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&w->lazy_cache)); w->lazy_cache.evicted++)
        forget(w, lazy_of_link(l));
}

void hs_lazy_clear(struct hs_waiters *w)
{
    while (w->lazy_cache.lru.prev != &w->lazy_cache.lru)
        forget(w, lazy_of_link(w->lazy_cache.lru.prev));
}

static hs_lazy *lazy_new(struct hs_waiters *w, hs_str key)
{
    hs_lazy *l = calloc(1, sizeof *l + key.n);

    if (!l)
        return NULL;
    memcpy(l->key, key.p, key.n);
    l->key_n = key.n;
    hs_lazy_trim(w); /* before, so that this one stays */
    if (!hs_map_put(w->lazies, key, l, NULL)) {
        free(l);
        return NULL;
    }
    hs_cache_added(&w->lazy_cache, bytes_of(l));
    return l;
}

hs_lazy *hs_lazy_of(hs_server *srv, hs_nid user, hs_str device_id)
{
    struct hs_waiters *w = srv->waiters;
    char key[sizeof user + 256];
    size_t n = device_id.n < 256 ? device_id.n : 256;
    int64_t now = hs_loop_now(srv->loop);
    hs_lazy *l;

    memcpy(key, &user, sizeof user);
    if (n)
        memcpy(key + sizeof user, device_id.p, n);
    l = hs_map_get(w->lazies, hs_str_make(key, sizeof user + n));
    hs_cache_asked(&w->lazy_cache, l != NULL);
    if (!l)
        l = lazy_new(w, hs_str_make(key, sizeof user + n));
    if (!l)
        return NULL;
    hs_lru_touch(&w->lazy_cache.lru, &l->lru);
    if (l->used_ms && now - l->used_ms > IDLE_MS)
        l->n = 0;
    l->used_ms = now;
    return l;
}

void hs_lazy_start(hs_lazy *l, bool has_since, int64_t since)
{
    size_t kept = 0;

    for (size_t i = 0; has_since && i < l->n; i++) {
        if (l->sent[i].pos <= since)
            l->sent[kept++] = l->sent[i];
    }
    l->n = kept;
}

void hs_lazy_forget(hs_server *srv, hs_nid user, hs_str device_id)
{
    hs_lazy *l = hs_lazy_of(srv, user, device_id);

    if (l)
        l->n = 0;
}

bool hs_lazy_sent(const hs_lazy *l, hs_nid event)
{
    for (size_t i = l->n; i > 0; i--) {
        if (l->sent[i - 1].event == event)
            return true;
    }
    return false;
}

void hs_lazy_mark(hs_lazy *l, hs_nid event, int64_t pos)
{
    if (hs_lazy_sent(l, event))
        return;
    if (l->n == SENT_MAX) {
        memmove(&l->sent[0], &l->sent[1], (SENT_MAX - 1) * sizeof l->sent[0]);
        l->n--;
    }
    l->sent[l->n].event = event;
    l->sent[l->n].pos = pos;
    l->n++;
}
