/* See threepids.h. */
#include "store/threepids.h"

/* clang-format off */
static const hs_stmt THREEPIDS_LIST = {
    .name = "threepids_list",
    .sql = "SELECT medium, address, validated_ts, added_ts FROM threepid WHERE user_nid = $1 ORDER BY added_ts, medium, address",
    .params = "n", .cols = "ttnn", .big = "threepid",
};
static const hs_stmt THREEPID_USER = {
    .name = "threepid_user",
    .sql = "SELECT user_nid FROM threepid WHERE medium = $1 AND address = $2",
    .params = "tt", .cols = "n", .big = "threepid",
};
static const hs_stmt THREEPID_REMOVE = {
    .name = "threepid_remove",
    .sql = "DELETE FROM threepid WHERE user_nid = $1 AND medium = $2 AND address = $3",
    .params = "ntt", .big = "threepid",
};
/* clang-format on */

const hs_stmt *const hs_threepids_statements[] = { &THREEPIDS_LIST, &THREEPID_USER, &THREEPID_REMOVE, NULL };

hs_error *hs_store_threepids_list(hs_db *db, hs_arena *a, hs_nid user, hs_threepid_row **ret, size_t *ret_n)
{
    hs_threepid_row *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &THREEPIDS_LIST, &rows, user));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_threepid_row){
            .medium = hs_rows_str(rows, i, 0),
            .address = hs_rows_str(rows, i, 1),
            .validated_ts = hs_rows_i64(rows, i, 2),
            .added_ts = hs_rows_i64(rows, i, 3),
        };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_threepid_user(hs_db *db, hs_arena *a, hs_str medium, hs_str address, hs_nid *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &THREEPID_USER, &rows, medium, address));
    *ret = hs_rows_count(rows) ? hs_rows_i64(rows, 0, 0) : 0;
    return NULL;
}

hs_error *hs_store_threepid_remove(hs_db *db, hs_arena *a, hs_nid user, hs_str medium, hs_str address)
{
    return hs_db_exec(db, a, &THREEPID_REMOVE, NULL, user, medium, address);
}
