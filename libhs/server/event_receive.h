/* An event that another server made, as it comes over the network. */
#ifndef HS_SERVER_EVENT_RECEIVE_H
#define HS_SERVER_EVENT_RECEIVE_H

#include "server/room.h"

/* What is asked of other servers while an event is received. Each may suspend, and says what it could learn: less is no
 * error. */
typedef struct {
    /* Makes `keys` ready for the servers that must have signed the event. NULL: it is. */
    HS_SUSPENDS hs_error *(*load_keys)(void *ud, hs_arena *a, const hs_event *ev);
    hs_key_view keys;
    /* Events by id, as bytes, in any order. NULL: nobody is asked. */
    HS_SUSPENDS hs_error *(*events)(void *ud, hs_arena *a, hs_str room_id, hs_str origin, const hs_str *ids, size_t n,
                                    hs_str **ret, size_t *ret_n);
    /* The state of the room after an event that nobody gave us: ids of events. None, or NULL: not known. */
    HS_SUSPENDS hs_error *(*state)(void *ud, hs_arena *a, hs_str room_id, hs_str origin, hs_str event_id, hs_str **ret,
                                   size_t *ret_n);
    void *ud;
} hs_receive_world;

typedef enum {
    HS_RECEIVED_ACCEPTED,    /* in the timeline */
    HS_RECEIVED_SOFT_FAILED, /* in the graph, not shown */
    HS_RECEIVED_REJECTED,    /* kept, without effect */
    HS_RECEIVED_WAITS,       /* for what it names: comes in by itself once that is here */
} hs_received;

/* The one way in. Everything is hostile until it has been checked: shape and size (400 M_BAD_JSON, 413 M_TOO_LARGE),
 * signatures (403 M_FORBIDDEN), content hash (otherwise only its redacted form is taken), auth rules. What the event
 * names and is not here is asked for; events that waited for this one come in with it. `origin`: the server that handed
 * it over, which need not have made it. An event that is there already is left as it is. The room must be held by `a`
 * and may be another object afterwards. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_event_receive(hs_server *srv, hs_arena *a, hs_room *room,
                                                    const hs_receive_world *world, hs_str origin, hs_str json,
                                                    hs_received *ret);

#endif
