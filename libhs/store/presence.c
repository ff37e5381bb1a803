/* See presence.h. */
#include "store/presence.h"

/* clang-format off */
static const hs_stmt PRESENCE_GET = {
    .name = "presence_get",
    .sql = "SELECT active_ts, status FROM presence WHERE user_nid = $1",
    .params = "n", .cols = "nt", .big = "presence",
};
static const hs_stmt PRESENCE_PUT = {
    .name = "presence_put",
    .sql = "INSERT INTO presence(user_nid, state, active_ts, status)"
           " SELECT w.nid, 0, w.ts, nullif(w.status, '') FROM unnest($1, $2, $3) w(nid, ts, status)"
           " ON CONFLICT (user_nid) DO UPDATE SET active_ts = greatest(presence.active_ts, excluded.active_ts), status = excluded.status",
    .params = "NNT", .big = "presence",
};
/* clang-format on */

const hs_stmt *const hs_presence_statements[] = { &PRESENCE_GET, &PRESENCE_PUT, NULL };

hs_error *hs_store_presence_get(hs_db *db, hs_arena *a, hs_nid user, hs_presence_row *ret, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &PRESENCE_GET, &rows, user));
    *ret = (hs_presence_row){ .user = user };
    *ret_found = hs_rows_count(rows) > 0;
    if (*ret_found) {
        ret->active_ms = hs_rows_i64(rows, 0, 0);
        ret->status = hs_rows_str(rows, 0, 1);
    }
    return NULL;
}

hs_error *hs_store_presence_put(hs_db *db, hs_arena *a, const hs_presence_row *rows, size_t n)
{
    hs_nid *users;
    int64_t *ts;
    hs_str *status;

    HS_TRY(hs_alloc(a, n, &users));
    HS_TRY(hs_alloc(a, n, &ts));
    HS_TRY(hs_alloc(a, n, &status));
    for (size_t i = 0; i < n; i++) {
        users[i] = rows[i].user;
        ts[i] = rows[i].active_ms;
        status[i] = rows[i].status.p ? rows[i].status : HS_S("");
    }
    return hs_db_exec(db, a, &PRESENCE_PUT, NULL, (hs_nids){ users, n }, (hs_nids){ ts, n }, (hs_strs){ status, n });
}
