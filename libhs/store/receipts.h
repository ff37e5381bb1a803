/* Read receipts. Owns: receipt.
 *
 * One row per (room, user, type, thread). thread -1: unthreaded, 0: the main timeline, else the root's number. Type ""
 * is implicit: where the user joined. A row carries the room's running totals at its event, store-design §3.5. */
#ifndef HS_STORE_RECEIPTS_H
#define HS_STORE_RECEIPTS_H

#include "store/write.h"

enum { HS_RECEIPT_UNTHREADED = -1, HS_RECEIPT_MAIN = 0 };

typedef struct {
    hs_nid room, user;
    hs_str type;
    hs_nid thread, event;
    int64_t ts;
    int64_t pos;                         /* of the receipt itself */
    int64_t event_pos;                   /* of the event that was read */
    hs_str user_id, event_id, thread_id; /* read only; thread_id of a thread's root, else p NULL */
} hs_receipt_row;

/* Sets a receipt unless there is one at or after row->event_pos; the totals are taken from the timeline. */
HS_NODISCARD hs_error *hs_store_receipt_put(hs_write *w, uint32_t at, const hs_receipt_row *row);
/* The implicit one: everything up to position `at` of this unit, an event's of the room, counts as read. */
HS_NODISCARD hs_error *hs_store_receipt_join(hs_write *w, uint32_t at, hs_nid room, hs_nid user, hs_nid event,
                                             int64_t ts);
/* *ret_pos: event position of the user's receipt of that type and thread; 0: none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_receipt_pos(hs_db *db, hs_arena *a, hs_nid room, hs_nid user, hs_str type,
                                                        hs_nid thread, int64_t *ret_pos);
/* Explicit receipts of some rooms with after < pos <= upto, by room. Private ones of `viewer` only. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_receipts_after(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n,
                                                           hs_nid viewer, int64_t after, int64_t upto,
                                                           hs_receipt_row **ret, size_t *ret_n);

#endif
