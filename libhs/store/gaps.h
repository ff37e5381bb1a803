/* What a room's graph lacks: parents that nobody has given us, and events that wait for theirs. Owns: room_gap,
 * fed_stage. */
#ifndef HS_STORE_GAPS_H
#define HS_STORE_GAPS_H

#include "store/write.h"

/* `child` was taken in although `missing`, which it follows, is a stub or an outlier. */
HS_NODISCARD hs_error *hs_store_gap_insert(hs_write *w, hs_nid room, hs_nid missing, hs_nid child, int64_t depth);
/* It is missing no longer. */
HS_NODISCARD hs_error *hs_store_gap_close(hs_write *w, hs_nid room, hs_nid missing);
/* Does an event of the timeline follow it? */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_gap_followed(hs_db *db, hs_arena *a, hs_nid room, hs_nid missing,
                                                         bool *ret);
typedef struct {
    hs_nid missing, child;
    hs_str missing_id;
    int64_t depth;
} hs_gap_row;
/* The gaps of a room, the deepest first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_gaps(hs_db *db, hs_arena *a, hs_nid room, int32_t limit, hs_gap_row **ret,
                                                 size_t *ret_n);

/* ── events that wait ── checked (signatures, hash), but what they name is not here */
enum { HS_STAGE_MAX = 200, HS_STAGE_KEPT = 100 };
typedef struct {
    hs_nid room, seq, origin;
    hs_str event_id;
    hs_str body; /* canonical */
    int64_t received_ts;
} hs_stage_row;
/* Durable when this returns. A room in which HS_STAGE_MAX wait keeps the newest HS_STAGE_KEPT of those that no other
 * one names: what they name is asked for again with them. So nobody keeps others from waiting. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_stage_put(hs_db *db, hs_arena *a, const hs_stage_row *row);
/* Those that name an event, and the event itself, in the order in which they came. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_stage_of(hs_db *db, hs_arena *a, hs_nid room, hs_str event_id,
                                                     int32_t limit, hs_stage_row **ret, size_t *ret_n);
/* Those of these ids that wait. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_stage_get(hs_db *db, hs_arena *a, hs_nid room, hs_strs ids,
                                                      hs_stage_row **ret, size_t *ret_n);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_stage_drop(hs_db *db, hs_arena *a, hs_nid room, hs_str event_id);
/* Forgets a slice of what has waited since before `before_ts`; *ret_n 0: that was all. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_stage_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n);

#endif
