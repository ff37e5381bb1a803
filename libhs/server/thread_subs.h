/* Threads that a user follows. MSC4306 (one thread), MSC4308 (all of them, newest first). */
#ifndef HS_SERVER_THREAD_SUBS_H
#define HS_SERVER_THREAD_SUBS_H

#include "server/session.h"
#include "store/thread_subs.h"

/* All: 404 M_NOT_FOUND when the user can not see the thread's root. */
/* 404 M_NOT_FOUND when the user does not follow it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_thread_sub_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                     hs_str root_id, bool *ret_automatic);
/* cause: the event in the thread for which the client follows it by itself; p NULL: somebody wished it. 400
 * MSC4306_NOT_IN_THREAD for another event, 409 MSC4306_CONFLICTING_UNSUBSCRIPTION when it came before the user left the
 * thread. A wish goes before what a client did by itself. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_thread_subscribe(hs_server *srv, const hs_session *who, hs_arena *a,
                                                       hs_str room_id, hs_str root_id, hs_str cause);
HS_NODISCARD HS_SUSPENDS hs_error *hs_thread_unsubscribe(hs_server *srv, const hs_session *who, hs_arena *a,
                                                         hs_str room_id, hs_str root_id);

/* A page backwards; from, to: tokens, p NULL: none. *ret_end: p NULL when that was all. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_thread_subs_list(hs_server *srv, const hs_session *who, hs_arena *a, hs_str from,
                                                       hs_str to, int64_t limit, hs_thread_sub_row **ret, size_t *ret_n,
                                                       hs_str *ret_end);

#endif
