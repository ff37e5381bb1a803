/* A new main line that begins with a copy of what holds now, so that what has been replaced stays behind on the old
 * one. Works on state_line and state_tip of one room. store-design §1.2, rollover. */
#ifndef HS_STORE_STATE_ROLLOVER_H
#define HS_STORE_STATE_ROLLOVER_H

#include "store/state.h"

/* Is it time? When of the line up to `at`, its newest snapshot, more than HS_ROLLOVER_LEAST changes are kept, and more
 * than HS_ROLLOVER_FACTOR times as many as slots. A line with a base never. */
enum { HS_ROLLOVER_LEAST = 10000, HS_ROLLOVER_FACTOR = 4 };
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_rollover_due(hs_db *db, hs_arena *a, hs_nid room, hs_snap at, bool *ret);
/* `line` begins as a copy of `of`, the newest snapshot of the main line, which the unit's timeline row must have seen.
 */
HS_NODISCARD hs_error *hs_store_rollover(hs_write *w, hs_nid room, int32_t line, hs_snap of);

#endif
