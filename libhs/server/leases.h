/* Once-only duties: work that exactly one worker does at a time (expiry, a destination's queue, pushers), cut in shards
 * that the workers share.
 *
 * A worker takes a turn in PostgreSQL every second: it renews itself for 3 s of PostgreSQL's clock and learns what it
 * holds. Who is killed is followed within 4 s, who stops cleanly within one; a new worker has its part within about 3
 * s. A holder stops by its own clock half a second before anybody else can have taken over.
 *
 * That is for speed. What makes it safe is the fence: every write of a duty carries the lease's epoch and is refused in
 * its own transaction when the lease has moved on, so that a holder that was paused between looking and writing writes
 * nothing. What a duty does outside of PostgreSQL (a request to another server) cannot be fenced: it is to be
 * repeatable. */
#ifndef HS_SERVER_LEASES_H
#define HS_SERVER_LEASES_H

#include "server/context.h"

enum { HS_LEASE_SHARDS_MAX = 1024 };

typedef struct hs_lease hs_lease; /* one shard of a duty, as long as this worker holds it */

typedef struct {
    const char *name; /* stable: it is in the database, and a label of metrics */
    int32_t shards;   /* the same in all workers, 1 to HS_LEASE_SHARDS_MAX */
    unsigned roles;   /* HS_ROLE_*: only workers with one of these take part */
    int64_t first_ms; /* from getting the lease to the first call of run */
    int64_t every_ms; /* from the end of one call to the next; at least 1 */
    /* On a fiber of its own, one call at a time for each shard, as long as the lease is held. It returns soon once
     * hs_lease_ok says no. An error is logged, and the next call comes later (1 s to 60 s). `a` is reset between calls.
     */
    hs_error *(*run)(hs_lease *l, hs_arena *a, void *ud);
    /* May be NULL. The lease must end: wakes a `run` that waits for something else than hs_lease_sleep. Not suspending.
     */
    void (*stop)(hs_lease *l, void *ud);
    void *ud;
} hs_duty;

HS_NODISCARD hs_error *hs_leases_open(hs_server *srv, hs_arena *a);
/* Takes the first turn soon; after all that duties need is open. */
HS_NODISCARD hs_error *hs_leases_start(hs_server *srv);
/* Ends what runs, waits for it, and gives everything back. What duties need must still be open. */
void hs_leases_close(hs_server *srv);
/* For tests: turns and validity in ms, instead of 1,000 and 3,000. */
void hs_leases_set_times(hs_server *srv, int64_t every_ms, int64_t ttl_ms);

/* Takes part in a duty, if the worker's roles say so. Before or after hs_leases_start; `d` is copied. */
HS_NODISCARD hs_error *hs_lease_duty(hs_server *srv, const hs_duty *d);
/* The shard's lease, if this worker holds it now; else NULL. */
hs_lease *hs_lease_of(hs_server *srv, const char *duty, int32_t shard);

int32_t hs_lease_shard(const hs_lease *l);
/* Whether it is still surely ours, by this worker's monotonic clock. */
bool hs_lease_ok(const hs_lease *l);
/* Inside `run`: sleeps until `ms` are over, or the lease must end; then false. */
HS_SUSPENDS bool hs_lease_sleep(hs_lease *l, int64_t ms);

/* Makes a unit HS_WRITE_FENCED if the lease has moved on when it is written. Every unit of a duty begins with this. */
HS_NODISCARD hs_error *hs_lease_fence(const hs_lease *l, hs_write *w);
/* The same as the first statement of a transaction: 503 if the lease has moved on. The transaction must not idle 2 s.
 */
HS_NODISCARD HS_SUSPENDS hs_error *hs_lease_fence_tx(const hs_lease *l, hs_arena *a, hs_tx *tx);

#endif
