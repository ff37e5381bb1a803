/* Who waits for news: parked /sync requests, and what the process remembers of recent news per room and user so that
 * they can be answered without the database.
 *
 * A parked request is one hs_waiter of a few hundred bytes; it hangs on its user. News about a room touches the waiters
 * of the room's local members only. Loop thread only. */
#ifndef HS_SERVER_SYNC_WAIT_H
#define HS_SERVER_SYNC_WAIT_H

#include "runtime/http.h"
#include "server/news.h"

typedef struct hs_waiter hs_waiter;

HS_NODISCARD hs_error *hs_waiters_open(hs_server *srv, hs_arena *a);
void hs_waiters_close(hs_server *srv);

/* Registers a wait of `user` for anything newer than `pos` (and ephemeral news newer than `serial`), at most
 * timeout_ms. fn(ud) runs once, from the loop, when something came or the time is over; the waiter is dead then. When
 * there is something already, fn runs at the next turn of the loop. */
HS_NODISCARD hs_error *hs_wait_for_news(hs_server *srv, hs_arena *a, hs_nid user, int64_t pos, uint64_t serial,
                                        int64_t timeout_ms, void (*fn)(void *ud), void *ud, hs_waiter **ret);
/* Takes a waiter back before its fn ran. */
void hs_wait_cancel(hs_server *srv, hs_waiter *w);

/* Wakes those who wait for a user's own news, or for a room's ephemeral news (typing). */
void hs_waiters_wake_user(hs_server *srv, hs_nid user);
void hs_waiters_wake_room(hs_server *srv, hs_nid room);
size_t hs_waiters_count(const hs_server *srv);

#endif
