/* See leases.h. Turns go by the executing connection: they write and give rows. */
#include "store/leases.h"

/* clang-format off */
static const hs_stmt LEASE_TURN = {
    .name = "lease_turn",
    .sql = "SELECT duty, shard, epoch, keep FROM hs_lease_turn($1, $2, $3, $4)",
    .params = "tnTI", .cols = "tinf",
};
static const hs_stmt LEASE_GIVE = {
    .name = "lease_give",
    .sql = "UPDATE lease SET holder = '', epoch = epoch + 1"
           " WHERE duty = $2 AND shard = $3 AND holder = $1 AND epoch = $4",
    .params = "ttin",
};
static const hs_stmt LEASE_LEAVE = {
    .name = "lease_leave",
    .sql = "WITH gone AS (DELETE FROM lease_member WHERE holder = $1)"
           " UPDATE lease SET holder = '', epoch = epoch + 1 WHERE holder = $1",
    .params = "t",
};
static const hs_stmt LEASE_FENCE = {
    .name = "lease_fence",
    .sql = "SELECT hs_fence($1, $2, $3)",
    .params = "tin", .cols = "f",
};
static const hs_stmt LEASE_HOLDS = {
    .name = "lease_holds",
    .sql = "SELECT hs_lease_holds($1, $2, $3)",
    .params = "tin", .cols = "f",
};
/* clang-format on */

const hs_stmt *const hs_leases_statements[] = {
    &LEASE_TURN, &LEASE_GIVE, &LEASE_LEAVE, &LEASE_FENCE, &LEASE_HOLDS, NULL,
};

hs_error *hs_store_lease_turn(hs_db *db, hs_arena *a, hs_str me, int64_t ttl_ms, hs_strs duties, hs_ints shards,
                              hs_lease_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_lease_row *out;
    size_t n;

    HS_TRY(hs_db_call(db, a, &LEASE_TURN, &rows, me, ttl_ms, duties, shards));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_lease_row){ .duty = hs_rows_str(rows, i, 0),
                                 .shard = (int32_t)hs_rows_i64(rows, i, 1),
                                 .epoch = hs_rows_i64(rows, i, 2),
                                 .keep = hs_rows_bool(rows, i, 3) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_lease_give(hs_db *db, hs_arena *a, hs_str me, hs_str duty, int32_t shard, int64_t epoch)
{
    return hs_db_exec(db, a, &LEASE_GIVE, NULL, me, duty, shard, epoch);
}

hs_error *hs_store_lease_leave(hs_db *db, hs_arena *a, hs_str me)
{
    return hs_db_exec(db, a, &LEASE_LEAVE, NULL, me);
}

hs_error *hs_store_lease_fence(hs_write *w, hs_str duty, int32_t shard, int64_t epoch)
{
    return hs_write_before(w, &LEASE_FENCE, duty, shard, epoch);
}

hs_error *hs_store_lease_holds(hs_tx *tx, hs_arena *a, hs_str duty, int32_t shard, int64_t epoch, bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &LEASE_HOLDS, &rows, duty, shard, epoch));
    *ret = hs_rows_bool(rows, 0, 0);
    return NULL;
}
