/* How long rooms keep messages, as room_summary says it. Reads room, timeline, the state lines and event; writes
 * room_summary.retention_max, which rooms.c owns. */
#ifndef HS_STORE_RETENTION_H
#define HS_STORE_RETENTION_H

#include "store/write.h"

/* Rooms after `after`, in order of number. */
typedef struct {
    hs_nid room;
    hs_str room_id;
    int64_t max_ms; /* 0: it does not say */
} hs_retained_room;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_retained_rooms(hs_db *db, hs_arena *a, hs_nid after, int32_t limit,
                                                           hs_retained_room **ret, size_t *ret_n);

/* Rooms after `after` with what their state has in the slot of m.room.retention now, where the summary says nothing. */
typedef struct {
    hs_nid room;
    int64_t pos;  /* of the summary */
    hs_str event; /* as it is stored; p NULL: none, or it was redacted */
} hs_room_policy;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_policies(hs_db *db, hs_arena *a, int64_t slot, hs_nid after,
                                                          int32_t limit, hs_room_policy **ret, size_t *ret_n);
/* To the summary, unless it has been written since `pos`. */
HS_NODISCARD hs_error *hs_store_room_policy_set(hs_write *w, hs_nid room, int64_t pos, int64_t max_ms);

#endif
