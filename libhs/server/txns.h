/* Idempotency of requests with a transaction id, in memory. */
#ifndef HS_SERVER_TXNS_H
#define HS_SERVER_TXNS_H

#include "server/session.h"

struct hs_txns;
HS_NODISCARD hs_error *hs_txns_open(hs_server *srv, struct hs_txns **ret);
void hs_txns_close(struct hs_txns *t);

/* A request under way; ends with the arena. */
typedef struct {
    struct hs_txns *txns;
    void *entry;
} hs_txn;
/* txn_id.p NULL: nothing to do, *ret NULL. *ret_known.p set: the answer that was given before; else the caller goes on
 * and says hs_txn_answer. Waits for another request of the same id; within one request it may be begun again. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_txn_begin(hs_server *srv, hs_arena *a, struct hs_txns *t, const hs_session *who,
                                                hs_str room_id, hs_str txn_id, hs_txn **ret, hs_str *ret_known);
/* Gives `e` back. If there is one, the next of the same id may try now: the memory of a request may stay longer than
 * it. h may be NULL. */
HS_NODISCARD hs_error *hs_txn_fail(hs_txn *h, hs_error *e);
void hs_txn_answer(hs_txn *h, hs_str event_id); /* h may be NULL */

#endif
