/* See peers.h. Silence is counted in our own ticks, so that a worker that was stopped for a while does not take the
 * others for dead. */
#include "server/peers.h"

#include "base/checked.h"
#include "bus/live.h"
#include "server/news.h"

#include <stdlib.h>

enum { HELLO_MS = 2000, MISSED_MAX = 3, TWINS_MAX = 15, PEERS_MAX = 1000, NAME_MAX_N = 256 };

typedef struct {
    hs_peer peer;
    char *name;
    unsigned twins; /* Hellos while another of that name was there */
} entry;

struct hs_peers {
    hs_server *srv;
    int64_t every_ms;
    uint64_t boot;
    hs_bus_subscription *sub;
    hs_bus_watch watch;
    hs_timer tick;
    hs_arena *a; /* of one message */
    entry *at;
    size_t n, cap;
    double lag; /* of our own Hellos: the bus', without another's clock */
    hs_metric *alive, *bus_lag, *peer_lag, *healthy, *published, *published_bytes, *received, *received_bytes, *dropped,
        *forged, *connects;
};

/* ── who is there ── */

static void drop(struct hs_peers *p, size_t i, const char *reason)
{
    hs_log(p->srv->log, HS_LOG_INFO, "peers.gone", "worker=%.*s reason=%s alive=%zu", HS_FMT(p->at[i].peer.worker),
           reason, p->n - 1);
    free(p->at[i].name);
    p->at[i] = p->at[--p->n];
}

static entry *find(const struct hs_peers *p, uint64_t boot)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->at[i].peer.boot == boot)
            return &p->at[i];
    return NULL;
}

/* Two that live under one name would share what is kept by name. For a while that is how it should be: one that drains
 * and the one that follows it. */
static void look_for_twin(struct hs_peers *p, entry *peer)
{
    bool twin = hs_str_eq(peer->peer.worker, p->srv->worker_name);

    for (size_t i = 0; i < p->n; i++)
        twin |= &p->at[i] != peer && hs_str_eq(p->at[i].peer.worker, peer->peer.worker) && !p->at[i].peer.missed;
    if (twin && ++peer->twins == TWINS_MAX)
        hs_log(p->srv->log, HS_LOG_ERROR, "peers.twin",
               "worker=%.*s: two processes have this name; each needs a worker_name of its own",
               HS_FMT(peer->peer.worker));
}

static entry *add(struct hs_peers *p, const hs_hello_msg *m)
{
    char *name;

    if (p->n == PEERS_MAX || m->worker.n > NAME_MAX_N)
        return NULL;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        entry *at = realloc(p->at, cap * sizeof *at);

        if (!at)
            return NULL;
        p->at = at;
        p->cap = cap;
    }
    name = malloc(m->worker.n + 1);
    if (!name)
        return NULL;
    if (m->worker.n)
        memcpy(name, m->worker.p, m->worker.n);
    p->at[p->n] = (entry){ .peer = { .worker = hs_str_make(name, m->worker.n), .boot = m->boot }, .name = name };
    hs_log(p->srv->log, HS_LOG_INFO, "peers.joined", "worker=%.*s roles=%u alive=%zu", HS_FMT(m->worker), m->roles,
           p->n + 1);
    return &p->at[p->n++];
}

static void hear(void *ud, hs_str bytes)
{
    struct hs_peers *p = ud;
    hs_hello_msg m;
    entry *peer;

    hs_arena_reset(p->a);
    hs_error *e = hs_hello_decode(p->a, bytes, &m);
    if (e) {
        hs_log_error(p->srv->log, HS_LOG_WARN, HS_S(""), "peers.hello", e);
        return;
    }
    double lag = (double)(hs_loop_wall(p->srv->loop) - m.sent_ms) / 1000;
    if (m.boot == p->boot) {
        p->lag = lag;
        return;
    }
    peer = find(p, m.boot);
    if (m.bye) {
        if (peer)
            drop(p, (size_t)(peer - p->at), "ended");
        return;
    }
    if (!peer)
        peer = add(p, &m);
    if (!peer)
        return;
    peer->peer.roles = m.roles;
    peer->peer.pos = m.pos;
    peer->peer.lag = lag;
    peer->peer.missed = 0;
    look_for_twin(p, peer);
}

static void say_hello(struct hs_peers *p, bool bye)
{
    hs_hello_msg m = { .worker = p->srv->worker_name,
                       .boot = p->boot,
                       .roles = p->srv->roles,
                       .pos = hs_fanout_position(p->srv),
                       .sent_ms = hs_loop_wall(p->srv->loop),
                       .bye = bye };
    hs_str bytes;

    hs_arena_reset(p->a);
    if (!hs_hello_encode(p->a, &m, &bytes))
        hs_bus_publish(p->srv->bus, HS_S(HS_BUS_HELLO), bytes);
}

static void on_tick(hs_timer *t)
{
    struct hs_peers *p = t->ud;

    (void)!hs_timer_arm(p->srv->loop, t, p->every_ms);
    for (size_t i = p->n; i-- > 0;)
        if (++p->at[i].peer.missed > MISSED_MAX)
            drop(p, i, "silent");
    if (hs_bus_healthy(p->srv->bus))
        say_hello(p, false);
}

static void on_health(hs_bus_watch *w, bool healthy)
{
    if (healthy)
        say_hello(w->ud, false);
}

/* ── metrics ── */

static void collect(void *ud)
{
    struct hs_peers *p = ud;
    const hs_bus_stats *s = hs_bus_stats_of(p->srv->bus);
    double worst = 0;

    for (size_t i = 0; i < p->n; i++)
        worst = p->at[i].peer.lag > worst ? p->at[i].peer.lag : worst;
    hs_metric_set(p->alive, (double)p->n);
    hs_metric_set(p->bus_lag, p->lag);
    hs_metric_set(p->peer_lag, worst);
    hs_metric_set(p->healthy, hs_bus_healthy(p->srv->bus));
    hs_metric_set(p->published, (double)s->published);
    hs_metric_set(p->published_bytes, (double)s->published_bytes);
    hs_metric_set(p->received, (double)s->received);
    hs_metric_set(p->received_bytes, (double)s->received_bytes);
    hs_metric_set(p->dropped, (double)s->dropped);
    hs_metric_set(p->forged, (double)s->forged);
    hs_metric_set(p->connects, (double)s->connects);
}

static void open_metrics(struct hs_peers *p, hs_metrics *m)
{
    p->alive = hs_metric_get(m, HS_GAUGE, "hs_peers_alive", "Other workers that are heard", NULL);
    p->bus_lag = hs_metric_get(m, HS_GAUGE, "hs_bus_lag_seconds", "Time of a message through the bus and back", NULL);
    p->peer_lag =
        hs_metric_get(m, HS_GAUGE, "hs_bus_peer_lag_seconds",
                      "Time of a message from another worker, the slowest; the clocks' difference included", NULL);
    p->healthy = hs_metric_get(m, HS_GAUGE, "hs_bus_healthy", "Whether messages get through", NULL);
    p->published = hs_metric_get(m, HS_COUNTER, "hs_bus_published_total", "Messages published", NULL);
    p->published_bytes = hs_metric_get(m, HS_COUNTER, "hs_bus_published_bytes_total", "Their bytes", NULL);
    p->received = hs_metric_get(m, HS_COUNTER, "hs_bus_received_total", "Messages received, our own included", NULL);
    p->received_bytes = hs_metric_get(m, HS_COUNTER, "hs_bus_received_bytes_total", "Their bytes", NULL);
    p->dropped = hs_metric_get(m, HS_COUNTER, "hs_bus_dropped_total", "Messages that did not get out", NULL);
    p->forged =
        hs_metric_get(m, HS_COUNTER, "hs_bus_forged_total", "Messages that no worker of this server has made", NULL);
    p->connects = hs_metric_get(m, HS_COUNTER, "hs_bus_connects_total", "Connections made, the first included", NULL);
    hs_metrics_collector(m, collect, p);
}

/* ── opening ── */

hs_error *hs_peers_open(hs_server *srv, hs_arena *a)
{
    struct hs_peers *p = calloc(1, sizeof *p);

    (void)a;
    if (!p)
        return HS_ERR_NOMEM;
    srv->peers = p;
    p->srv = srv;
    p->every_ms = HELLO_MS;
    p->boot = hs_random_u64();
    p->tick = (hs_timer){ .fn = on_tick, .ud = p };
    p->watch = (hs_bus_watch){ .fn = on_health, .ud = p };
    if (!srv->bus)
        return NULL;
    if (srv->metrics)
        open_metrics(p, srv->metrics);
    if (!srv->shared)
        return NULL;
    p->a = hs_arena_open(HS_KIB(64));
    p->sub = p->a ? hs_bus_subscribe(srv->bus, HS_S(HS_BUS_HELLO), hear, p) : NULL;
    if (!p->sub)
        return HS_ERR_NOMEM;
    hs_bus_watch_start(srv->bus, &p->watch);
    return hs_timer_arm(srv->loop, &p->tick, 0);
}

void hs_peers_close(hs_server *srv)
{
    struct hs_peers *p = srv->peers;

    if (!p)
        return;
    if (p->sub) {
        say_hello(p, true);
        hs_bus_watch_stop(srv->bus, &p->watch);
    }
    hs_bus_unsubscribe(p->sub);
    hs_timer_disarm(srv->loop, &p->tick);
    if (srv->metrics)
        hs_metrics_forget(srv->metrics, p);
    while (p->n)
        free(p->at[--p->n].name);
    free(p->at);
    hs_arena_close(p->a);
    free(p);
    srv->peers = NULL;
}

size_t hs_peers_alive(const hs_server *srv)
{
    return srv->peers->n;
}

const hs_peer *hs_peers_at(const hs_server *srv, size_t i)
{
    return i < srv->peers->n ? &srv->peers->at[i].peer : NULL;
}

void hs_peers_set_times(hs_server *srv, int64_t every_ms)
{
    srv->peers->every_ms = every_ms;
    (void)!hs_timer_arm(srv->loop, &srv->peers->tick, 0);
}

bool hs_peers_has(const hs_server *srv, uint64_t boot)
{
    return boot == srv->peers->boot || find(srv->peers, boot) != NULL;
}

uint64_t hs_peers_boot(const hs_server *srv)
{
    return srv->peers->boot;
}
