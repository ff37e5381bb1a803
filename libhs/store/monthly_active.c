/* See monthly_active.h. */
#include "store/monthly_active.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt ACTIVITY = {
    .name = "activity",
    .sql = "SELECT active_ts, created_ts, flags, kind FROM account WHERE user_nid = $1",
    .params = "n", .cols = "nnit", .big = "account",
};
static const hs_stmt ACTIVE_COUNT = {
    .name = "active_count",
    .sql = "SELECT count(*) FROM account WHERE active_ts > $1",
    .params = "n", .cols = "n", .big = "account",
};
static const hs_stmt ACTIVE_SET = {
    .name = "active_set",
    .sql = "UPDATE account SET active_ts = $2 WHERE user_nid = $1 AND (active_ts IS NULL OR active_ts <= $3) RETURNING user_nid",
    .params = "nnn", .cols = "n", .big = "account",
};
/* clang-format on */

const hs_stmt *const hs_monthly_active_statements[] = { &ACTIVITY, &ACTIVE_COUNT, &ACTIVE_SET, NULL };

hs_error *hs_store_activity(hs_db *db, hs_arena *a, hs_nid user, hs_activity *ret, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACTIVITY, &rows, user));
    *ret_found = hs_rows_count(rows) > 0;
    if (*ret_found)
        *ret = (hs_activity){ .active_ts = hs_rows_i64(rows, 0, 0),
                              .created_ts = hs_rows_i64(rows, 0, 1),
                              .flags = (unsigned)hs_rows_i64(rows, 0, 2),
                              .kind = hs_rows_str(rows, 0, 3) };
    return NULL;
}

hs_error *hs_store_active_count(hs_db *db, hs_arena *a, int64_t since_ts, int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACTIVE_COUNT, &rows, since_ts));
    *ret = hs_rows_i64(rows, 0, 0);
    return NULL;
}

hs_error *hs_store_active_set(hs_db *db, hs_arena *a, hs_nid user, int64_t ts, int64_t before_ts, bool *ret_set)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ACTIVE_SET, &rows, user, ts, before_ts));
    *ret_set = hs_rows_count(rows) > 0;
    return NULL;
}
