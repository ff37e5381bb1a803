/* Read receipts and the fully-read marker. Spec: Client-Server API, "Receipts", "Read and unread markers". */
#ifndef HS_SERVER_RECEIPTS_H
#define HS_SERVER_RECEIPTS_H

#include "server/room.h"
#include "server/session.h"

typedef struct {
    hs_str room_id, event_id;
    hs_str type;      /* m.read, m.read.private, m.fully_read */
    hs_str thread_id; /* "main" or a root's event id; p NULL: unthreaded */
} hs_receipt_wish;

/* 400 M_INVALID_PARAM for an unknown type or thread; moving backwards is a silent no-op. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_receipt_put(hs_server *srv, const hs_session *who, hs_arena *a,
                                                  const hs_receipt_wish *in);

/* The three at once; p NULL: not given. */
typedef struct {
    hs_str room_id, fully_read, read, read_private;
} hs_read_markers;
HS_NODISCARD HS_SUSPENDS hs_error *hs_read_markers_put(hs_server *srv, const hs_session *who, hs_arena *a,
                                                       const hs_read_markers *in);

/* Content of the m.receipt event of each of some rooms with what happened in since < pos <= upto, as `viewer` may see
 * it; p NULL: nothing. No round trip where the process remembers, one for all the others. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_receipts_content(hs_server *srv, hs_arena *a, const hs_nid *rooms, size_t n,
                                                       hs_nid viewer, int64_t since, int64_t upto, hs_str *ret);

#endif
