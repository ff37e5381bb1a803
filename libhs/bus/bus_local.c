/* The bus of a single process: messages wait for the end of the loop's turn and go to the subscribers then, so that
 * nobody is called from inside a publisher. */
#include "bus/bus_impl.h"

#include <stdlib.h>

typedef struct message {
    struct message *next;
    hs_blob *channel, *bytes;
} message;

typedef struct {
    hs_bus bus;
    message *first, *last;
    hs_post deliver;
    bool waits;
} local;

static void free_message(message *m)
{
    hs_blob_unref(m->channel);
    hs_blob_unref(m->bytes);
    free(m);
}

static void drop_all(message *m)
{
    while (m) {
        message *next = m->next;
        free_message(m);
        m = next;
    }
}

static void deliver(hs_post *p)
{
    local *l = p->ud;
    message *m = l->first, *next;

    l->waits = false;
    l->first = l->last = NULL;
    for (; m; m = next) {
        next = m->next;
        if (l->bus.health == HS_BUS_UP)
            hs_bus_deliver(&l->bus, hs_blob_str(m->channel), hs_blob_str(m->bytes));
        else
            l->bus.stats.dropped++;
        free_message(m);
    }
    hs_bus_unref(&l->bus);
}

static void publish(hs_bus *b, hs_str channel, hs_str bytes)
{
    local *l = (local *)b;
    message *m = calloc(1, sizeof *m);

    if (m) {
        m->channel = hs_blob_new(channel);
        m->bytes = hs_blob_new(bytes);
    }
    if (!m || !m->channel || !m->bytes) {
        if (m)
            free_message(m);
        b->stats.dropped++;
        return;
    }
    if (l->last)
        l->last->next = m;
    else
        l->first = m;
    l->last = m;
    if (!l->waits) {
        l->waits = true;
        b->refs++;
        hs_loop_defer(b->loop, &l->deliver);
    }
}

static void close_local(hs_bus *b)
{
    local *l = (local *)b;

    drop_all(l->first);
    l->first = l->last = NULL;
}

static void free_local(hs_bus *b)
{
    free(b);
}

hs_bus *hs_bus_local_open(hs_loop *loop)
{
    static const hs_bus_transport transport = { .publish = publish, .close = close_local, .free = free_local };
    local *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    hs_bus_init(&l->bus, loop, &transport, HS_BUS_UP);
    l->bus.stats.connects = 1;
    l->deliver = (hs_post){ .fn = deliver, .ud = l };
    return &l->bus;
}

void hs_bus_local_set_down(hs_bus *b, bool down)
{
    hs_bus_set_health(b, down ? HS_BUS_DOWN : HS_BUS_UP);
}
