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
static const hs_stmt THREEPIDS_SET = {
    .name = "threepids_set",
    .sql = "WITH want AS (SELECT DISTINCT m, x FROM unnest($2, $3) w(m, x)),"
           " gone AS (DELETE FROM threepid t WHERE t.user_nid = $1 AND NOT EXISTS (SELECT FROM want WHERE m = t.medium AND x = t.address))"
           " INSERT INTO threepid(medium, address, user_nid, validated_ts, added_ts) SELECT m, x, $1, $4, $4 FROM want"
           " ON CONFLICT (medium, address) DO UPDATE SET user_nid = excluded.user_nid, validated_ts = excluded.validated_ts,"
           "   added_ts = excluded.added_ts WHERE threepid.user_nid <> excluded.user_nid",
    .params = "nTTn", .big = "threepid",
};
/* clang-format on */

const hs_stmt *const hs_threepids_statements[] = { &THREEPIDS_LIST, &THREEPID_USER, &THREEPID_REMOVE, &THREEPIDS_SET,
                                                   NULL };

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

hs_error *hs_store_threepids_set(hs_db *db, hs_arena *a, hs_nid user, hs_strs media, hs_strs addresses, int64_t ts)
{
    return hs_db_exec(db, a, &THREEPIDS_SET, NULL, user, media, addresses, ts);
}
