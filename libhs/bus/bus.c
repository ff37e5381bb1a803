/* What all transports of the bus have in common: who listens to what, and who wants to know of its health. */
#include "bus/bus_impl.h"

#include <stdlib.h>

#define CLOSE_TURNS 50 /* of 10 ms: for what comes back to a bus that is closed */

void hs_bus_unref(hs_bus *b)
{
    if (--b->refs)
        return;
    if (b->gone)
        *b->gone = true;
    b->transport->free(b);
}

/* ── health ── */

static void tell(hs_bus *b, bool healthy)
{
    for (hs_bus_watch *w = b->watches; w; w = b->next_watch) {
        b->next_watch = w->next;
        w->fn(w, healthy);
    }
}

static void tell_health(hs_post *p)
{
    hs_bus *b = p->ud;

    b->news_waits = false;
    /* Down and up again within a turn is told too: something may have been lost. */
    if (b->fell) {
        b->fell = false;
        tell(b, false);
    }
    if (b->health == HS_BUS_UP)
        tell(b, true);
    hs_bus_unref(b);
}

void hs_bus_init(hs_bus *b, hs_loop *loop, const hs_bus_transport *transport, hs_bus_health health)
{
    b->transport = transport;
    b->loop = loop;
    b->refs = 1;
    b->news = (hs_post){ .fn = tell_health, .ud = b };
    b->health = health;
}

void hs_bus_set_health(hs_bus *b, hs_bus_health health)
{
    if (b->health == health || b->closed)
        return;
    b->health = health;
    b->fell = b->fell || health == HS_BUS_DOWN;
    if (b->news_waits || health == HS_BUS_JOINING)
        return;
    b->news_waits = true;
    b->refs++;
    hs_loop_defer(b->loop, &b->news);
}

bool hs_bus_healthy(const hs_bus *b)
{
    return b->health == HS_BUS_UP && !b->closed;
}

void hs_bus_watch_start(hs_bus *b, hs_bus_watch *w)
{
    w->next = b->watches;
    b->watches = w;
}

void hs_bus_watch_stop(hs_bus *b, hs_bus_watch *w)
{
    hs_bus_watch **at = &b->watches;

    while (*at && *at != w)
        at = &(*at)->next;
    if (!*at)
        return;
    if (b->next_watch == w)
        b->next_watch = w->next;
    *at = w->next;
}

/* ── subscriptions ── */

static hs_str channel_of(const hs_bus_subscription *s)
{
    return hs_str_make(s->channel, s->channel_n);
}

static bool has_channel(const hs_bus *b, hs_str channel)
{
    for (const hs_bus_subscription *s = b->subscriptions; s; s = s->next)
        if (s->fn && hs_str_eq(channel_of(s), channel))
            return true;
    return false;
}

bool hs_bus_first_of_channel(const hs_bus_subscription *s)
{
    const hs_bus_subscription *first = s->bus->subscriptions;

    while (first != s && !(first->fn && hs_str_eq(channel_of(first), channel_of(s))))
        first = first->next;
    return s->fn && first == s;
}

static void drop_ended(hs_bus *b)
{
    hs_bus_subscription **at = &b->subscriptions;

    while (*at) {
        hs_bus_subscription *s = *at;
        if (s->fn) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        free(s);
    }
}

hs_bus_subscription *hs_bus_subscribe(hs_bus *b, hs_str channel, hs_bus_fn *fn, void *ud)
{
    hs_bus_subscription *s = calloc(1, sizeof *s + channel.n), **at = &b->subscriptions;
    bool first;

    if (!s)
        return NULL;
    first = !has_channel(b, channel);
    memcpy(s->channel, channel.p, channel.n);
    s->channel_n = channel.n;
    s->bus = b;
    s->fn = fn;
    s->ud = ud;
    while (*at)
        at = &(*at)->next;
    *at = s;
    if (first && b->transport->join)
        b->transport->join(b, channel_of(s));
    return s;
}

void hs_bus_unsubscribe(hs_bus_subscription *s)
{
    if (!s)
        return;
    hs_bus *b = s->bus;
    s->fn = NULL;
    if (b->transport->leave && !has_channel(b, channel_of(s)))
        b->transport->leave(b, channel_of(s));
    if (!b->walking)
        drop_ended(b);
}

/* ── messages ── */

void hs_bus_publish(hs_bus *b, hs_str channel, hs_str message)
{
    if (b->closed)
        return;
    b->stats.published++;
    b->stats.published_bytes += message.n;
    b->transport->publish(b, channel, message);
}

void hs_bus_deliver(hs_bus *b, hs_str channel, hs_str bytes)
{
    bool heard = false;

    b->walking = true;
    for (hs_bus_subscription *s = b->subscriptions; s && !b->closed; s = s->next) {
        if (!s->fn || !hs_str_eq(channel_of(s), channel))
            continue;
        heard = true;
        s->fn(s->ud, bytes);
    }
    b->walking = false;
    drop_ended(b);
    if (heard) {
        b->stats.received++;
        b->stats.received_bytes += bytes.n;
    }
}

const hs_bus_stats *hs_bus_stats_of(const hs_bus *b)
{
    return &b->stats;
}

void hs_bus_close(hs_bus *b)
{
    bool gone = false, inside;

    if (!b)
        return;
    inside = b->walking || hs_fiber_self(b->loop);
    b->closed = true;
    b->watches = b->next_watch = NULL;
    for (hs_bus_subscription *s = b->subscriptions; s; s = s->next)
        s->fn = NULL;
    if (!b->walking)
        drop_ended(b);
    b->transport->close(b);
    b->gone = &gone;
    hs_loop *loop = b->loop;
    hs_bus_unref(b);
    for (int i = 0; i < CLOSE_TURNS && !gone && !inside; i++)
        hs_loop_turn(loop, 10);
    if (!gone)
        b->gone = NULL;
}
