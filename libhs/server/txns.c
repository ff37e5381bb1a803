/* Answers given lately to requests with a transaction id, so that a repeat neither asks the database nor races with the
 * first: the second waits for it. What has left this memory is still in the store, whose uniqueness decides
 * (event_persist.c). */
#include "server/txns.h"

#include "base/checked.h"
#include "server/caches.h"

#include <stdlib.h>

#define KEEP_MS    (INT64_C(30) * 60 * 1000)
#define TXNS_BYTES HS_MIB(64) /* at factor 1 */

typedef struct txn {
    struct txn *next; /* by age */
    int64_t until;
    bool busy;
    hs_txn *by; /* whose request is busy with it, and the request's arena */
    const hs_arena *a;
    hs_fiber_queue waiting;
    size_t key_n, id_n;
    char *key, *id;
} txn;

struct hs_txns {
    hs_server *srv;
    hs_map *map;
    txn *oldest, *newest;
    hs_cache cache;
};

static void expire(void *ud);

static size_t bytes_of(const txn *x)
{
    return sizeof *x + 2 * x->key_n + x->id_n + HS_CACHE_SLOT;
}

hs_error *hs_txns_open(hs_server *srv, struct hs_txns **ret)
{
    struct hs_txns *t;

    HS_TRY(hs_alloc(srv->arena, 1, &t));
    t->srv = srv;
    t->map = hs_map_open(srv->hash_seed);
    if (!t->map)
        return HS_ERR_NOMEM;
    hs_cache_open(srv->caches, &t->cache, "txns", TXNS_BYTES, expire, t);
    *ret = t;
    return NULL;
}

static void drop(struct hs_txns *t, txn *x)
{
    hs_map_remove(t->map, hs_str_make(x->key, x->key_n));
    free(x->key);
    free(x->id);
    free(x);
}

void hs_txns_close(struct hs_txns *t)
{
    if (!t)
        return;
    while (t->oldest) {
        txn *x = t->oldest;
        t->oldest = x->next;
        drop(t, x);
    }
    hs_map_close(t->map);
}

static void expire(void *ud)
{
    struct hs_txns *t = ud;
    int64_t now = hs_loop_now(t->srv->loop);

    while (t->oldest && (t->oldest->until < now || hs_cache_over(&t->cache))) {
        txn *x = t->oldest;
        t->oldest = x->next;
        if (!t->oldest)
            t->newest = NULL;
        hs_cache_removed(&t->cache, bytes_of(x));
        drop(t, x);
    }
}

static hs_error *key_of(hs_arena *a, const hs_session *who, hs_str room_id, hs_str txn_id, hs_str *ret)
{
    uint64_t user = (uint64_t)who->user;

    /* the device id and the room id hold no NUL: both came through the router */
    return hs_str_cat(a, ret, 6, hs_str_make((const char *)&user, sizeof user), who->device_id, HS_S("\0"), room_id,
                      HS_S("\0"), txn_id);
}

/* The request ended: with an answer it is remembered, without it the next of the same id may try. */
static void release(void *ud)
{
    hs_txn *h = ud;
    txn *x = h->entry;
    struct hs_txns *t = h->txns;

    if (!x)
        return;
    h->entry = NULL;
    hs_fiber_wake_all(&x->waiting);
    x->busy = false;
    x->by = NULL;
    x->a = NULL;
    if (!x->id_n) {
        drop(t, x);
        return;
    }
    x->until = hs_loop_now(t->srv->loop) + KEEP_MS;
    if (t->newest)
        t->newest->next = x;
    else
        t->oldest = x;
    t->newest = x;
    hs_cache_added(&t->cache, bytes_of(x));
}

hs_error *hs_txn_begin(hs_server *srv, hs_arena *a, struct hs_txns *t, const hs_session *who, hs_str room_id,
                       hs_str txn_id, hs_txn **ret, hs_str *ret_known)
{
    hs_str key;
    hs_txn *h;
    txn *x;

    *ret_known = hs_str_make(NULL, 0);
    *ret = NULL;
    if (!txn_id.p)
        return NULL;
    HS_TRY(key_of(a, who, room_id, txn_id, &key));
    expire(t);
    hs_cache_asked(&t->cache, hs_map_get(t->map, key) != NULL);
    while ((x = hs_map_get(t->map, key))) {
        if (!x->busy)
            return hs_str_dup(a, hs_str_make(x->id, x->id_n), ret_known);
        if (x->a == a) { /* the handler runs once more: it would wait for itself */
            *ret = x->by;
            return NULL;
        }
        hs_fiber_wait(srv->loop, &x->waiting);
    }

    HS_TRY(hs_alloc(a, 1, &h));
    x = calloc(1, sizeof *x);
    if (!x || !(x->key = malloc(key.n + 1)) || !hs_map_put(t->map, key, x, NULL)) {
        free(x ? x->key : NULL);
        free(x);
        return HS_ERR_NOMEM;
    }
    memcpy(x->key, key.p, key.n);
    x->key_n = key.n;
    x->busy = true;
    x->by = h;
    x->a = a;
    *h = (hs_txn){ .txns = t, .entry = x };
    hs_error *e = hs_arena_on_reset(a, release, h);
    if (e) {
        drop(t, x);
        return e;
    }
    *ret = h;
    return NULL;
}

hs_error *hs_txn_fail(hs_txn *h, hs_error *e)
{
    if (h && e)
        release(h);
    return e;
}

void hs_txn_answer(hs_txn *h, hs_str event_id)
{
    txn *x = h ? h->entry : NULL;

    if (!x || x->id || !(x->id = malloc(event_id.n + 1)))
        return;
    memcpy(x->id, event_id.p, event_id.n);
    x->id_n = event_id.n;
}
