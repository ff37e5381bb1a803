/* See admin_statistics.h. */
#include "server/admin_statistics.h"

enum { LIST_MAX = 10000 };

hs_error *hs_admin_uploaders(hs_server *srv, hs_arena *a, hs_uploader_query *q, hs_uploader **ret, size_t *ret_n,
                             int64_t *ret_total)
{
    if (q->limit > LIST_MAX)
        q->limit = LIST_MAX;
    return hs_store_uploaders(srv->db, a, q, ret, ret_n, ret_total);
}

hs_error *hs_admin_uploads(hs_server *srv, hs_arena *a, const hs_session *target, hs_upload_order order,
                           bool descending, int64_t from, int64_t limit, hs_upload **ret, size_t *ret_n,
                           int64_t *ret_total)
{
    return hs_store_uploads(srv->db, a, target->user, order, descending, from, limit < LIST_MAX ? limit : LIST_MAX, ret,
                            ret_n, ret_total);
}

hs_error *hs_admin_largest_rooms(hs_server *srv, hs_arena *a, hs_room_size **ret, size_t *ret_n)
{
    return hs_store_largest_rooms(srv->db, a, ret, ret_n);
}
