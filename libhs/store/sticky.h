/* Sticky events (MSC4354). Owns: sticky_event. Times are those of the events, which the server's clock has judged. */
#ifndef HS_STORE_STICKY_H
#define HS_STORE_STICKY_H

#include "store/write.h"

typedef struct {
    hs_nid room, event;
    int64_t pos;
} hs_sticky_row;

/* An event of the unit, with its position in it; a soft-failed one has none. */
HS_NODISCARD hs_error *hs_store_sticky_put(hs_write *w, uint32_t at, hs_nid room, hs_nid event, hs_nid sender,
                                           int64_t expires_ts);
HS_NODISCARD hs_error *hs_store_sticky_put_soft(hs_write *w, hs_nid room, hs_nid event, hs_nid sender,
                                                int64_t expires_ts);

/* Soft-failed ones of a room that have not expired: of these senders, or with `all` of anybody. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_sticky_soft(hs_db *db, hs_arena *a, hs_nid room, bool all, hs_nids senders,
                                                        int64_t now, hs_nids *ret);
/* One of them counts from here on. */
HS_NODISCARD hs_error *hs_store_sticky_release(hs_write *w, uint32_t at, hs_nid room, hs_nid event);

/* Of rooms, with positions in (after, upto], what has not expired; by position, at most `limit`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_sticky(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, int64_t after,
                                                   int64_t upto, int64_t now, int32_t limit, hs_sticky_row **ret,
                                                   size_t *ret_n);

typedef struct {
    hs_nid room;
    int64_t last, until; /* its newest position, and when the last of them expires */
} hs_sticky_room;
/* The rooms that have any. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_sticky_rooms(hs_db *db, hs_arena *a, int64_t now, hs_sticky_room **ret,
                                                         size_t *ret_n);
/* Forgets a slice of what expired before `now`; *ret_n 0: that was all. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_sticky_expire(hs_tx *tx, hs_arena *a, int64_t now, uint64_t *ret_n);

#endif
