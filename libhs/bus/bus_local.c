/* The bus of a single process: messages wait for the end of the loop's turn and go to the subscribers then, so that
 * nobody is called from inside a publisher. */
#include "bus/bus.h"

#include <stdlib.h>

struct hs_bus_subscription {
    hs_bus_subscription *next;
    hs_bus *bus;
    char *channel;
    size_t channel_n;
    hs_bus_fn *fn; /* NULL: ended, removed when nobody walks the list */
    void *ud;
};

typedef struct message {
    struct message *next;
    hs_blob *channel, *bytes;
} message;

struct hs_bus {
    hs_loop *loop;
    hs_bus_subscription *subscriptions;
    message *first, *last;
    hs_post deliver;
    bool waits, walking, closed;
};

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
        free(s->channel);
        free(s);
    }
}

static void free_message(message *m)
{
    hs_blob_unref(m->channel);
    hs_blob_unref(m->bytes);
    free(m);
}

static void free_bus(hs_bus *b)
{
    for (hs_bus_subscription *s = b->subscriptions; s; s = s->next)
        s->fn = NULL;
    drop_ended(b);
    while (b->first) {
        message *m = b->first;
        b->first = m->next;
        free_message(m);
    }
    free(b);
}

static void deliver(hs_post *p)
{
    hs_bus *b = p->ud;
    message *m = b->first, *next;

    b->waits = false;
    b->first = b->last = NULL;
    b->walking = true;
    for (; m; m = next) {
        next = m->next;
        for (hs_bus_subscription *s = b->subscriptions; s && !b->closed; s = s->next)
            if (s->fn && hs_str_eq(hs_str_make(s->channel, s->channel_n), hs_blob_str(m->channel)))
                s->fn(s->ud, hs_blob_str(m->bytes));
        free_message(m);
    }
    b->walking = false;
    if (b->closed && !b->waits)
        free_bus(b);
    else
        drop_ended(b);
}

hs_bus *hs_bus_local_open(hs_loop *loop)
{
    hs_bus *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->loop = loop;
    b->deliver = (hs_post){ .fn = deliver, .ud = b };
    return b;
}

void hs_bus_close(hs_bus *b)
{
    if (!b)
        return;
    b->closed = true;
    if (b->waits && !b->walking && !hs_fiber_self(b->loop)) { /* the loop still holds our post */
        hs_loop_turn(b->loop, 0);
        return;
    }
    if (!b->waits && !b->walking)
        free_bus(b);
}

hs_bus_subscription *hs_bus_subscribe(hs_bus *b, hs_str channel, hs_bus_fn *fn, void *ud)
{
    hs_bus_subscription *s = calloc(1, sizeof *s), **at = &b->subscriptions;

    if (!s)
        return NULL;
    s->channel = malloc(channel.n + 1);
    if (!s->channel) {
        free(s);
        return NULL;
    }
    memcpy(s->channel, channel.p, channel.n);
    s->channel_n = channel.n;
    s->bus = b;
    s->fn = fn;
    s->ud = ud;
    while (*at)
        at = &(*at)->next;
    *at = s;
    return s;
}

void hs_bus_unsubscribe(hs_bus_subscription *s)
{
    if (!s)
        return;
    s->fn = NULL;
    if (!s->bus->walking)
        drop_ended(s->bus);
}

void hs_bus_publish(hs_bus *b, hs_str channel, hs_str bytes)
{
    message *m = calloc(1, sizeof *m);

    if (!m)
        return;
    m->channel = hs_blob_new(channel);
    m->bytes = hs_blob_new(bytes);
    if (!m->channel || !m->bytes || b->closed) {
        free_message(m);
        return;
    }
    if (b->last)
        b->last->next = m;
    else
        b->first = m;
    b->last = m;
    if (!b->waits) {
        b->waits = true;
        hs_loop_defer(b->loop, &b->deliver);
    }
}

bool hs_bus_healthy(const hs_bus *b)
{
    return !b->closed;
}
