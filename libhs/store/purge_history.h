/* Taking old events out of a room: those of the timeline below a depth, in slices. Works on timeline, event and the
 * tables that name events. */
#ifndef HS_STORE_PURGE_HISTORY_H
#define HS_STORE_PURGE_HISTORY_H

#include "store/write.h"

typedef struct {
    hs_nid room, local_server;
    int64_t depth; /* what is below it */
    bool local;    /* messages of our own users go too; else they stay, outside of the timeline */
    int32_t limit;
} hs_history_cut;
/* A slice, from depth *io_depth on. State events, and the heads of the room, stay events; all but the heads leave the
 * timeline. *ret_n: events that left it; fewer than the limit: that was all. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_history_slice(hs_tx *tx, hs_arena *a, const hs_history_cut *c,
                                                          int64_t *io_depth, uint64_t *ret_n);
/* Relations of events that are there no longer; *ret_n: rows looked at, from *io_target on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_history_relations(hs_tx *tx, hs_arena *a, hs_nid room, int64_t *io_target,
                                                              int32_t limit, uint64_t *ret_n);

#endif
