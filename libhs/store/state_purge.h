/* Forgetting states that no event has any more. Works on state_line, state_tip and state_past of one room. */
#ifndef HS_STORE_STATE_PURGE_H
#define HS_STORE_STATE_PURGE_H

#include "store/state.h"

/* Drops lines that neither an event, nor the room's head, nor another line names, and what changed in a line before the
 * oldest snapshot that one of them names. For after the events are gone (deleted, or made outliers: line NULL). One
 * slice of at most `limit` rows of state_past in one transaction; *ret_n: rows and lines that went; 0: that was all.
 * What is written to the room meanwhile is not in the way. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_state_purge(hs_tx *tx, hs_arena *a, hs_nid room, int32_t limit,
                                                        uint64_t *ret_n);

#endif
