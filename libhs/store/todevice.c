/* See todevice.h. */
#include "store/todevice.h"

/* clang-format off */
static const hs_stmt TODEVICE_TARGETS = {
    .name = "todevice_targets",
    .sql = "SELECT w.i - 1, d.user_nid, d.device_id"
           "  FROM unnest($1, $2, $3) WITH ORDINALITY w(mxid, device_id, everyone, i)"
           "  JOIN user_id u ON u.mxid = w.mxid"
           "  CROSS JOIN LATERAL (SELECT x.user_nid, x.device_id FROM device x"
           "    WHERE x.user_nid = u.user_nid AND x.device_id = w.device_id AND w.everyone = 0 AND NOT x.hidden"
           "    UNION ALL SELECT x.user_nid, x.device_id FROM device x"
           "    WHERE x.user_nid = u.user_nid AND w.everyone = 1 AND NOT x.hidden) d"
           " ORDER BY w.i, d.device_id LIMIT $4",
    .params = "TTIi", .cols = "nnt", .big = "user_id device",
};
static const hs_stmt TODEVICE_PUT = {
    .name = "todevice_put",
    .sql = "INSERT INTO to_device(user_nid, device_id, pos, msg)"
           " SELECT w.user_nid, w.device_id, hs_pos($5), m.msg"
           "  FROM unnest($1, $2, $3) w(user_nid, device_id, which)"
           "  JOIN unnest($4) WITH ORDINALITY m(msg, i) ON m.i = w.which + 1"
           " WHERE EXISTS (SELECT FROM device d"
           "   WHERE d.user_nid = w.user_nid AND d.device_id = w.device_id AND NOT d.hidden)",
    .params = "NTIBp", .big = "device",
};
static const hs_stmt TODEVICE_AFTER = {
    .name = "todevice_after",
    .sql = "SELECT pos, msg FROM to_device WHERE user_nid = $1 AND device_id = $2 AND pos > $3 AND pos <= $4"
           " ORDER BY pos LIMIT $5",
    .params = "ntnni", .cols = "nb", .big = "to_device",
};
static const hs_stmt TODEVICE_DELETE = {
    .name = "todevice_delete",
    .sql = "DELETE FROM to_device WHERE user_nid = $1 AND device_id = $2 AND pos <= $3",
    .params = "ntn", .big = "to_device",
};
/* clang-format on */

const hs_stmt *const hs_todevice_statements[] = {
    &TODEVICE_TARGETS, &TODEVICE_PUT, &TODEVICE_AFTER, &TODEVICE_DELETE, NULL,
};

hs_error *hs_store_todevice_targets(hs_db *db, hs_arena *a, hs_strs user_ids, hs_strs device_ids, hs_ints everyone,
                                    int32_t limit, hs_todevice_target **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_todevice_target *out;

    HS_TRY(hs_db_query(db, a, &TODEVICE_TARGETS, &rows, user_ids, device_ids, everyone, limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_todevice_target){
            .of = (size_t)hs_rows_i64(rows, i, 0),
            .user = hs_rows_i64(rows, i, 1),
            .device_id = hs_rows_str(rows, i, 2),
        };

    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_todevice_put(hs_write *w, hs_nids users, hs_strs device_ids, hs_ints which, hs_strs msgs,
                                uint32_t at)
{
    return hs_write_after(w, &TODEVICE_PUT, users, device_ids, which, msgs, at);
}

hs_error *hs_store_todevice_after(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id, int64_t after, int64_t upto,
                                  int32_t limit, hs_todevice_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_todevice_row *out;

    HS_TRY(hs_db_query(db, a, &TODEVICE_AFTER, &rows, user, device_id, after, upto, limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_todevice_row){ hs_rows_i64(rows, i, 0), hs_rows_str(rows, i, 1) };

    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_todevice_delete(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id, int64_t upto)
{
    return hs_db_exec(db, a, &TODEVICE_DELETE, NULL, user, device_id, upto);
}
