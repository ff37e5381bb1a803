/* Asks Sentinels where a master is, and hears from them when it moves. */
#ifndef HS_BUS_REDIS_SENTINEL_H
#define HS_BUS_REDIS_SENTINEL_H

#include "bus/bus_redis.h"
#include "bus/redis_link.h"

typedef struct hs_redis_sentinel hs_redis_sentinel;

/* On the loop, never inside a function below. */
typedef struct {
    void (*found)(void *ud, hs_str host, uint16_t port); /* each answer, and each move */
    void (*failed)(void *ud, hs_str why);                /* this one did not answer; the next is asked */
} hs_redis_sentinel_calls;

/* Texts and options stay the caller's and outlive it. NULL without memory. */
hs_redis_sentinel *hs_redis_sentinel_open(hs_loop *loop, const hs_bus_redis_options *o, const hs_tls_client *tls,
                                          const hs_redis_sentinel_calls *calls, void *ud);
/* The master that was named does not do: asks the next Sentinel, if none is being asked already. */
void hs_redis_sentinel_doubt(hs_redis_sentinel *s);
void hs_redis_sentinel_close(hs_redis_sentinel *s); /* NULL is fine */

#endif
