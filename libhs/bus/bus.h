/* What workers tell each other: messages on named channels, to everybody who subscribed, the sender included.
 *
 * The bus is news, PostgreSQL is truth: a message may be lost or repeated, and nothing is written on its word alone.
 * Messages of one sender on one channel arrive in order. One process has bus_local.c; several share a Redis. Loop
 * thread only. */
#ifndef HS_BUS_BUS_H
#define HS_BUS_BUS_H

#include "runtime/loop.h"

#define HS_BUS_FEED "hs:feed" /* what was written: feed.h */

typedef struct hs_bus hs_bus;
typedef struct hs_bus_subscription hs_bus_subscription;
typedef void hs_bus_fn(void *ud, hs_str message);

/* Within one process. NULL without memory. */
hs_bus *hs_bus_local_open(hs_loop *loop);
/* A bus that is down is not healthy and loses what is published: where there are other workers and no Redis, and in
 * tests. */
void hs_bus_local_set_down(hs_bus *b, bool down);
/* Ends all subscriptions and watches. */
void hs_bus_close(hs_bus *b);

/* fn runs on the loop for each message from now on, never inside hs_bus_publish. `channel` is copied. NULL without
 * memory. */
hs_bus_subscription *hs_bus_subscribe(hs_bus *b, hs_str channel, hs_bus_fn *fn, void *ud);
void hs_bus_unsubscribe(hs_bus_subscription *s); /* NULL is fine; also from inside fn */
/* The bytes are copied. Without memory, or when too much waits already, the message is lost, as messages may be. */
void hs_bus_publish(hs_bus *b, hs_str channel, hs_str message);

/* Whether messages get through at the moment; if not, positions have to be polled. It is said within about 2 s of the
 * loss, also when the other side just falls silent. What was published before a bus became healthy may be lost: whoever
 * is told that it is healthy again catches up once more from PostgreSQL. */
bool hs_bus_healthy(const hs_bus *b);

/* Told of each change of hs_bus_healthy, on the loop, never inside another function of the bus; of a subscription made
 * meanwhile only that all is well again, once it is confirmed. The struct belongs to the caller and stays where it is
 * until hs_bus_watch_stop or the bus is closed. fn may stop its own watch. */
typedef struct hs_bus_watch {
    struct hs_bus_watch *next;
    void (*fn)(struct hs_bus_watch *w, bool healthy);
    void *ud;
} hs_bus_watch;
void hs_bus_watch_start(hs_bus *b, hs_bus_watch *w);
void hs_bus_watch_stop(hs_bus *b, hs_bus_watch *w);

/* Since the bus was opened. Bytes are those of the messages. */
typedef struct {
    uint64_t published, published_bytes, received, received_bytes;
    uint64_t dropped;  /* published here and thrown away: down for too long, or the other side reads too slowly */
    uint64_t forged;   /* received, but not made by a worker of this server */
    uint64_t connects; /* times that a connection was made, the first included */
} hs_bus_stats;
const hs_bus_stats *hs_bus_stats_of(const hs_bus *b);

#endif
