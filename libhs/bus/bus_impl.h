/* Between bus.c (subscriptions and watches, the same for all) and the transports. */
#ifndef HS_BUS_BUS_IMPL_H
#define HS_BUS_BUS_IMPL_H

#include "bus/bus.h"

typedef struct {
    /* Carries a message; it is counted already. */
    void (*publish)(hs_bus *b, hs_str channel, hs_str bytes);
    /* A channel got its first subscriber, or lost its last. NULL: of no interest. */
    void (*join)(hs_bus *b, hs_str channel);
    void (*leave)(hs_bus *b, hs_str channel);
    /* Stops all work. No subscription is left. */
    void (*close)(hs_bus *b);
    /* Frees the struct: nobody refers to it any more. */
    void (*free)(hs_bus *b);
} hs_bus_transport;

struct hs_bus_subscription {
    hs_bus_subscription *next;
    hs_bus *bus;
    hs_bus_fn *fn; /* NULL: ended, removed when nobody walks the list */
    void *ud;
    size_t channel_n;
    char channel[];
};

/* JOINING: all is well but for a subscription that is not confirmed yet. Not healthy, but nothing has been lost either:
 * the watches hear only that it is healthy again. */
typedef enum { HS_BUS_DOWN, HS_BUS_JOINING, HS_BUS_UP } hs_bus_health;

/* First member of each transport's own struct. */
struct hs_bus {
    const hs_bus_transport *transport;
    hs_loop *loop;
    unsigned refs; /* the owner's, and one for each post or fiber that will come back to it */
    hs_bus_subscription *subscriptions;
    hs_bus_watch *watches, *next_watch;
    hs_bus_stats stats;
    hs_post news; /* of health */
    hs_bus_health health;
    bool walking, closed, fell, news_waits;
    bool *gone; /* set when the struct is freed */
};

void hs_bus_init(hs_bus *b, hs_loop *loop, const hs_bus_transport *transport, hs_bus_health health);
void hs_bus_unref(hs_bus *b);
/* To all who subscribed to it. A transport looks at b->closed afterwards; it holds a reference meanwhile. */
void hs_bus_deliver(hs_bus *b, hs_str channel, hs_str bytes);
/* Whether s lives and is the first subscription of its channel: to walk the channels. */
bool hs_bus_first_of_channel(const hs_bus_subscription *s);
/* The watches hear of it at the end of the turn. */
void hs_bus_set_health(hs_bus *b, hs_bus_health health);

#endif
