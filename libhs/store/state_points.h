/* Single slots at single snapshots, of many rooms at once: what state events of a whole sync replaced. Reads the tables
 * of store/state.h. */
#ifndef HS_STORE_STATE_POINTS_H
#define HS_STORE_STATE_POINTS_H

#include "store/state.h"

typedef struct {
    hs_nid room;
    hs_snap at;
    int64_t slot;
} hs_state_point;

/* ret[i]: the event there, 0 for none. One round trip, and one for each point on a line that began as a branch and has
 * nothing of its own in the slot. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_points(hs_db *db, hs_arena *a, const hs_state_point *points, size_t n,
                                                         hs_nid *ret);

/* Live events that changed a slot at low < pos <= high, oldest first: a user's own memberships since a token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_slot_events(hs_db *db, hs_arena *a, hs_nid room, int64_t slot, int64_t low,
                                                        int64_t high, hs_nid **ret, size_t *ret_n);

#endif
