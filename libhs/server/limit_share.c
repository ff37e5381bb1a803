/* See limit_share.h. Uses gather for a moment and go over the bus as one message: which buckets, how often. Nobody is
 * asked and nobody waits, so limits cost a message nothing; the price is what may slip through. A bucket that is less
 * than half full is told of within LATER_MS, a fuller one at once, which takes the bus about a millisecond: whoever
 * sends one request after the other gets at most a few beyond the burst; whoever sends them all in the same moment gets
 * the burst once from each worker. What slipped through was counted, and has to leak before anything else is let
 * through: over time the rate is exact. A worker that starts, or was cut off from the bus, counts from there. */
#include "server/limit_share.h"

#include "base/checked.h"
#include "bus/live.h"
#include "server/peers.h"

#include <stdlib.h>

enum { LATER_MS = 50, AT_ONCE = 1000, USES_MAX = 1000000, KEY_MAX = 300 };

typedef struct {
    uint32_t n;
} counter;

struct hs_limit_share {
    hs_server *srv;
    hs_bus_subscription *sub;
    hs_timer timer;
    bool armed, urgent;
    hs_map *uses; /* kind and key → counter */
    hs_arena *a;  /* of one message */
};

static void forget_uses(struct hs_limit_share *s)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(s->uses, &it, &key, &v))
        free(v);
    hs_map_close(s->uses);
    s->uses = hs_map_open(s->srv->hash_seed);
}

static hs_error *encode(struct hs_limit_share *s, hs_str *ret)
{
    hs_limits_msg m = { .boot = hs_peers_boot(s->srv) };
    size_t it = 0;
    hs_str key;
    void *v;

    HS_TRY(hs_alloc(s->a, hs_map_count(s->uses), &m.uses));
    while (hs_map_next(s->uses, &it, &key, &v))
        m.uses[m.n++] = (hs_limit_use_msg){ key, ((const counter *)v)->n };
    return hs_limits_encode(s->a, &m, ret);
}

static void send(struct hs_limit_share *s)
{
    hs_str bytes;

    if (s->armed)
        hs_timer_disarm(s->srv->loop, &s->timer);
    s->armed = s->urgent = false;
    if (!s->uses || !hs_map_count(s->uses))
        return;
    hs_arena_reset(s->a);
    if (!encode(s, &bytes))
        hs_bus_publish(s->srv->bus, HS_S(HS_BUS_LIMITS), bytes);
    forget_uses(s);
}

static void due(hs_timer *t)
{
    struct hs_limit_share *s = t->ud;

    s->armed = false;
    send(s);
}

static void arm(struct hs_limit_share *s, bool urgent)
{
    if (s->armed && (s->urgent || !urgent))
        return;
    if (s->armed)
        hs_timer_disarm(s->srv->loop, &s->timer);
    s->urgent = urgent;
    s->armed = !hs_timer_arm(s->srv->loop, &s->timer, urgent ? 0 : LATER_MS);
    if (!s->armed)
        send(s);
}

void hs_limit_share_note(hs_server *srv, hs_limit kind, hs_str key, bool urgent)
{
    struct hs_limit_share *s = srv->limit_share;
    char buf[KEY_MAX];
    size_t n = key.n < KEY_MAX - 1 ? key.n : KEY_MAX - 1;
    counter *c;
    hs_str k;

    if (!s || !srv->shared || !s->uses)
        return;
    buf[0] = (char)kind;
    if (n)
        memcpy(buf + 1, key.p, n);
    k = hs_str_make(buf, n + 1);
    c = hs_map_get(s->uses, k);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c || !hs_map_put(s->uses, k, c, NULL)) {
            free(c); /* without memory the others do not hear of it */
            return;
        }
    }
    c->n++;
    if (hs_map_count(s->uses) >= AT_ONCE)
        send(s);
    else
        arm(s, urgent);
}

static void hear(void *ud, hs_str bytes)
{
    struct hs_limit_share *s = ud;
    hs_limits_msg m;

    hs_arena_reset(s->a);
    hs_error *e = hs_limits_decode(s->a, bytes, &m);
    if (e) {
        hs_log_error(s->srv->log, HS_LOG_WARN, HS_S(""), "limits.unreadable", e);
        return;
    }
    if (m.boot == hs_peers_boot(s->srv))
        return;
    for (size_t i = 0; i < m.n; i++) {
        hs_str key = m.uses[i].key;

        if (key.n && key.n <= KEY_MAX && (unsigned char)key.p[0] < HS_LIMIT_KINDS && m.uses[i].n <= USES_MAX)
            hs_limit_add(s->srv, (hs_limit)(unsigned char)key.p[0], hs_str_from(key, 1), m.uses[i].n);
    }
}

hs_error *hs_limit_share_open(hs_server *srv, hs_arena *a)
{
    struct hs_limit_share *s;

    (void)a;
    if (!srv->bus) /* nobody to tell */
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return HS_ERR_NOMEM;
    srv->limit_share = s;
    s->srv = srv;
    s->timer = (hs_timer){ .fn = due, .ud = s };
    s->uses = hs_map_open(srv->hash_seed);
    s->a = hs_arena_open(HS_MIB(4));
    s->sub = hs_bus_subscribe(srv->bus, HS_S(HS_BUS_LIMITS), hear, s);
    return s->uses && s->a && s->sub ? NULL : HS_ERR_NOMEM;
}

void hs_limit_share_close(hs_server *srv)
{
    struct hs_limit_share *s = srv->limit_share;

    if (!s)
        return;
    if (s->uses && s->a)
        send(s); /* what was let through until now */
    hs_bus_unsubscribe(s->sub);
    if (s->uses) {
        forget_uses(s);
        hs_map_close(s->uses);
    }
    if (s->a)
        hs_arena_close(s->a);
    free(s);
    srv->limit_share = NULL;
}
