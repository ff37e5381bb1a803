/* Events that are sent later, unless they are called off or put off (MSC4140): "I have left the call", should the
 * client die. A row each; one worker at a time sends what is due. Each is sent once: its id is the transaction id of
 * the event, so that whoever sends it again, after a crash in between, is given the event that is there. */
#ifndef HS_SERVER_DELAYED_H
#define HS_SERVER_DELAYED_H

#include "server/room_send.h"
#include "store/delayed.h"

HS_NODISCARD hs_error *hs_delayed_open(hs_server *srv, hs_arena *a);
/* The server takes delayed events: max_event_delay_duration is set. */
bool hs_delayed_enabled(const hs_server *srv);

/* Under which ids events of a room were sent for the user; p NULL: they were not delayed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_ids(hs_server *srv, hs_arena *a, hs_nid room, hs_nid user,
                                                  const hs_nid *events, size_t n, hs_str *ret);

/* The answer that a request with this transaction id was given before; p NULL: none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_answer(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                     hs_str txn_id, hs_str *ret_delay_id);
/* in->state_key.p NULL: a message. 403 M_FORBIDDEN when delayed events are off or the room is not the user's, 400
 * DELAY_TOO_LARGE, 429 when the user has as many as may be. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_add(hs_server *srv, const hs_session *who, hs_arena *a, const hs_send *in,
                                                  int64_t delay_ms, hs_str *ret_delay_id);

/* Whoever knows the id may do these. 404 M_NOT_FOUND when it does not wait (any more). */
typedef enum { HS_DELAYED_CANCEL, HS_DELAYED_RESTART, HS_DELAYED_SEND } hs_delayed_action;
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_update(hs_server *srv, hs_arena *a, hs_str delay_id,
                                                     hs_delayed_action action);
/* The user's own that wait, in the order in which they are due. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_list(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   hs_delayed_row **ret, size_t *ret_n);
HS_NODISCARD HS_SUSPENDS hs_error *hs_delayed_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str delay_id,
                                                  hs_delayed_row *ret);

#endif
