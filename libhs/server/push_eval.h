/* What an event does to unread counts, store-design §3.5: evaluated once per distinct rule set, not once per member. */
#ifndef HS_SERVER_PUSH_EVAL_H
#define HS_SERVER_PUSH_EVAL_H

#include "server/news.h"
#include "server/session.h"

typedef struct {
    int32_t d_notify, d_high;  /* advance of the room's running totals; 0 for what counts in a thread only */
    hs_nid thread;             /* root of the thread that the event is in; 0: the main timeline */
    int32_t thread_notify;     /* advance of that thread's running total */
    const hs_news_note *notes; /* users whose result differs from their base; the sender's among them */
    size_t notes_n;
} hs_push_outcome;

HS_NODISCARD hs_error *hs_push_open(hs_server *srv, hs_arena *a);
void hs_push_close(hs_server *srv);

/* Before the event is written. `room` is as it is before the event; ret->notes live in `a`. May suspend when rules or
 * members are not in memory: the caller holds the room's writing order meanwhile. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_eval_event(hs_server *srv, hs_arena *a, hs_room *room,
                                                      const hs_stored *event, hs_push_outcome *ret);
/* The actions by which an event notified somebody: what their rules of now say, or the usual ones where these say
 * otherwise by now. JSON. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_actions(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *event,
                                                   const hs_session *who, bool highlight, hs_str *ret);

#endif
