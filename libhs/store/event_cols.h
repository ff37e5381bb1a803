/* The columns of an event row as several statements read them. Inside the store only. */
#ifndef HS_STORE_EVENT_COLS_H
#define HS_STORE_EVENT_COLS_H

#include "store/events.h"

/* Of `event e`, in this order. */
#define HS_EVENT_COLS                                                                                                  \
    " e.room_nid, e.event_nid, e.event_id, e.type, e.state_key, e.sender_nid, e.slot, e.depth, e.origin_ts,"           \
    " e.received_ts, e.line, e.snap, e.flags, e.json,"                                                                 \
    " CASE WHEN e.flags & 8 <> 0 THEN (SELECT min(r.event_nid) FROM redaction r WHERE r.room_nid = e.room_nid"         \
    "   AND r.target_nid = e.event_nid AND r.status IN (1, 3)) END"
#define HS_EVENT_LETTERS "nntttnnnnniiibn"
enum { HS_EVENT_COLS_N = 15 };

/* Reads them from column `col` on; everything points into the rows. */
void hs_event_row_read(const hs_rows *rows, size_t row, size_t col, hs_event_row *ret);

#endif
