/* An event that somebody else made: another server, or history that is brought in. */
#ifndef HS_SERVER_EVENT_RECEIVE_H
#define HS_SERVER_EVENT_RECEIVE_H

#include "server/room.h"

/* Steps 4 to 8 of event_accept.c, for a PDU whose shape, hash and signatures have been checked and whose parents and
 * auth events are all stored (404 M_NOT_FOUND otherwise: fetch them first). Known events are left as they are.
 * *ret_flags: HS_EV_REJECTED, HS_EV_SOFT_FAILED or 0. The room must be held by `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_event_receive(hs_server *srv, hs_arena *a, hs_room *room, const hs_event *ev,
                                                    uint32_t *ret_flags);

#endif
