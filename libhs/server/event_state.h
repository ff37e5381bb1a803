/* The state before an event, when its parents may disagree. Spec: Rooms, "State resolution". */
#ifndef HS_SERVER_EVENT_STATE_H
#define HS_SERVER_EVENT_STATE_H

#include "server/room.h"
#include "server/room_state.h"
#include "store/state.h"

typedef struct {
    hs_snap at;       /* where it is stored; line -1: nowhere, it was resolved from several */
    hs_state_set set; /* sorted by slot */
    /* the different snapshots that it was resolved from, and their states */
    const hs_snap *from_at;
    const hs_state_set *from;
    size_t from_n;
} hs_resolved;

/* The state that n snapshots of a room make together: theirs if they are one, else what the room version's algorithm
 * says. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_state_resolve_snaps(hs_server *srv, hs_arena *a, hs_room *room,
                                                          const hs_snap *snaps, size_t n, hs_resolved *ret);
/* The same of states at hand. `extra`: an event that is in one of them but not in the store yet, with its auth events;
 * NULL for none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_state_resolve_sets(hs_server *srv, hs_arena *a, hs_room *room,
                                                         const hs_state_set *sets, size_t n, const hs_stored *extra,
                                                         hs_nids extra_auth, hs_state_set *ret);
/* Event number at a slot; 0: none. */
hs_nid hs_state_set_get(const hs_state_set *set, int64_t slot);
/* What takes `from` to `to`, sorted by slot; 0: none there. */
HS_NODISCARD hs_error *hs_state_set_diff(hs_arena *a, const hs_state_set *from, const hs_state_set *to,
                                         hs_state_change **ret, size_t *ret_n);
/* A view of a state that the auth rules may ask about one event: loads what hs_auth_types names. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_state_set_view(hs_server *srv, hs_arena *a, hs_room *room,
                                                     const hs_state_set *set, const hs_event *ev, hs_state_view *ret);

#endif
