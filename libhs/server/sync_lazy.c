/* Which member events a lazily loading device has been sent lately. */
#include "server/sync_part.h"
#include "server/sync_recent.h"

#include <stdlib.h>

enum { SENT_MAX = 128, DEVICES_MAX = 50000, IDLE_MS = 1800000 };

struct hs_lazy {
    int64_t used_ms;
    size_t n;
    struct {
        hs_nid event;
        int64_t pos;
    } sent[SENT_MAX]; /* oldest first */
};

static void sweep(struct hs_waiters *w, uint64_t seed, int64_t limit)
{
    hs_map *kept = hs_map_open(seed);
    size_t it = 0;
    hs_str key;
    void *v;

    if (!kept)
        return;
    while (hs_map_next(w->lazies, &it, &key, &v)) {
        hs_lazy *l = v;

        if (l->used_ms < limit || !hs_map_put(kept, key, l, NULL))
            free(l);
    }
    hs_map_close(w->lazies);
    w->lazies = kept;
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
    if (!l) {
        if (hs_map_count(w->lazies) && hs_map_count(w->lazies) % DEVICES_MAX == 0)
            sweep(w, srv->hash_seed, now - IDLE_MS);
        l = calloc(1, sizeof *l);
        if (l && !hs_map_put(w->lazies, hs_str_make(key, sizeof user + n), l, NULL)) {
            free(l);
            l = NULL;
        }
    }
    if (l) {
        if (l->used_ms && now - l->used_ms > IDLE_MS)
            l->n = 0;
        l->used_ms = now;
    }
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
