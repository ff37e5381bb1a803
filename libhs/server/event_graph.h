/* An event that somebody else made, into the graph of its room. Signatures, hash and size have been checked. */
#ifndef HS_SERVER_EVENT_GRAPH_H
#define HS_SERVER_EVENT_GRAPH_H

#include "server/room.h"

/* What is stored of an event. */
typedef struct {
    hs_nid nid;    /* 0: nothing */
    hs_stored *ev; /* NULL: a stub */
    uint32_t flags;
    int32_t line, snap; /* the state after it; line -1: not known */
} hs_known;

/* In the order asked. Held by `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_graph_find(hs_server *srv, hs_arena *a, hs_room *room, const hs_str *ids,
                                                 size_t n, hs_known *ret);
/* An event whose auth events are all stored and whose parents' states are all known (404 M_NOT_FOUND otherwise).
 * *ret_flags: HS_EV_REJECTED, HS_EV_SOFT_FAILED or 0; an event that is there already keeps its own. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_graph_add(hs_server *srv, hs_arena *a, hs_room *room, const hs_event *ev,
                                                uint32_t *ret_flags);
/* One that only authorises others: judged by its own auth events, which are all stored, without a place in the room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_graph_add_outlier(hs_server *srv, hs_arena *a, hs_room *room, const hs_event *ev,
                                                        uint32_t *ret_flags);
/* The state after an event that is missing, as another server says: the events by id, all stored. *ret_taken false: it
 * is no state of this room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_graph_add_gap(hs_server *srv, hs_arena *a, hs_room *room, hs_str missing,
                                                    const hs_str *state, size_t n, bool *ret_taken);

#endif
