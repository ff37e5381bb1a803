/* What workers tell each other: messages on named channels, to everybody who subscribed, the sender included.
 *
 * The bus is news, PostgreSQL is truth: a message may be lost or repeated, and nothing is written on its word alone.
 * Messages of one sender on one channel arrive in order. One process has bus_local.c; several share a Redis. */
#ifndef HS_BUS_BUS_H
#define HS_BUS_BUS_H

#include "runtime/loop.h"

#define HS_BUS_FEED "hs:feed" /* what was written: feed.h */

typedef struct hs_bus hs_bus;
typedef struct hs_bus_subscription hs_bus_subscription;
typedef void hs_bus_fn(void *ud, hs_str message);

/* Within one process. NULL without memory. */
hs_bus *hs_bus_local_open(hs_loop *loop);
/* Ends all subscriptions. */
void hs_bus_close(hs_bus *b);

/* fn runs on the loop for each message from now on, never inside hs_bus_publish. `channel` is copied. NULL without
 * memory. */
hs_bus_subscription *hs_bus_subscribe(hs_bus *b, hs_str channel, hs_bus_fn *fn, void *ud);
void hs_bus_unsubscribe(hs_bus_subscription *s); /* NULL is fine; also from inside fn */
/* The bytes are copied. Without memory the message is lost, as messages may be. */
void hs_bus_publish(hs_bus *b, hs_str channel, hs_str message);
/* Whether messages get through at the moment; if not, positions have to be polled. */
bool hs_bus_healthy(const hs_bus *b);

#endif
