/* What users have uploaded and how large rooms are, for administrators. */
#ifndef HS_SERVER_ADMIN_STATISTICS_H
#define HS_SERVER_ADMIN_STATISTICS_H

#include "server/session.h"
#include "store/statistics.h"

/* `q->limit` is cut at 10,000. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_uploaders(hs_server *srv, hs_arena *a, hs_uploader_query *q,
                                                      hs_uploader **ret, size_t *ret_n, int64_t *ret_total);
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_uploads(hs_server *srv, hs_arena *a, const hs_session *target,
                                                    hs_upload_order order, bool descending, int64_t from, int64_t limit,
                                                    hs_upload **ret, size_t *ret_n, int64_t *ret_total);
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_largest_rooms(hs_server *srv, hs_arena *a, hs_room_size **ret,
                                                          size_t *ret_n);

#endif
