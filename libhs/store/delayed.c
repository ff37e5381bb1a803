/* See delayed.h. */
#include "store/delayed.h"

#include "store/statements.h"

/* clang-format off */
#define COLS " d.delay_id, d.user_nid, d.room_nid, u.mxid, r.room_id, d.device_id, d.type, d.state_key, d.content, d.delay_ms," \
             " d.send_ts, coalesce(d.origin_ts, 0), d.sticky_ms"
#define LETTERS "tnntttttbnnnn"
#define NAMES " JOIN user_id u ON u.user_nid = d.user_nid JOIN room r ON r.room_nid = d.room_nid"

static const hs_stmt LOCK_USER = {
    .name = "delayed_lock_user",
    .sql = "SELECT user_nid FROM account WHERE user_nid = $1 FOR NO KEY UPDATE",
    .params = "n", .cols = "n", .big = "account",
};
static const hs_stmt COUNT = {
    .name = "delayed_count",
    .sql = "SELECT n, CASE WHEN n >= $2 THEN (SELECT send_ts FROM delayed_event WHERE user_nid = $1 ORDER BY send_ts"
           " OFFSET n - $2 LIMIT 1) - hs_now_ms() END FROM (SELECT count(*) n FROM delayed_event WHERE user_nid = $1) x",
    .params = "nn", .cols = "nn", .big = "delayed_event",
};
static const hs_stmt ADD = {
    .name = "delayed_add",
    .sql = "INSERT INTO delayed_event(user_nid, delay_id, device_id, room_nid, type, state_key, content, delay_ms, send_ts,"
           " origin_ts, sticky_ms, status) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, hs_now_ms() + $8, NULLIF($9, 0),"
           " CASE WHEN $10 THEN $11 END, 0)",
    .params = "nttnttbnnfn",
};
static const hs_stmt CANCEL = {
    .name = "delayed_cancel",
    .sql = "DELETE FROM delayed_event WHERE delay_id = $1 AND status = 0",
    .params = "t", .big = "delayed_event",
};
static const hs_stmt RESTART = {
    .name = "delayed_restart",
    .sql = "UPDATE delayed_event SET send_ts = hs_now_ms() + delay_ms WHERE delay_id = $1 AND status = 0",
    .params = "t", .big = "delayed_event",
};
static const hs_stmt CLAIM = {
    .name = "delayed_claim",
    .sql = "WITH d AS (UPDATE delayed_event SET status = 1, claim_ts = hs_now_ms(), send_ts = hs_now_ms()"
           "   WHERE delay_id = $1 AND status = 0 RETURNING *) SELECT" COLS " FROM d" NAMES,
    .params = "t", .cols = LETTERS, .big = "delayed_event user_id room",
};
static const hs_stmt DUE = {
    .name = "delayed_due",
    .sql = "WITH d AS (UPDATE delayed_event SET status = 1, claim_ts = hs_now_ms() WHERE delay_id = ANY(ARRAY("
           "   SELECT delay_id FROM delayed_event WHERE status = 0 AND send_ts <= (SELECT hs_now_ms()) ORDER BY send_ts LIMIT $1)"
           " || ARRAY(SELECT delay_id FROM delayed_event WHERE status = 1 AND claim_ts <= (SELECT hs_now_ms()) - $2 LIMIT $1))"
           " RETURNING *) SELECT" COLS " FROM d" NAMES " ORDER BY d.send_ts, d.delay_id",
    .params = "in", .cols = LETTERS, .big = "delayed_event user_id room",
};
static const hs_stmt END = {
    .name = "delayed_end",
    .sql = "DELETE FROM delayed_event WHERE delay_id = $1 AND status = 1",
    .params = "t", .big = "delayed_event",
};
static const hs_stmt OF = {
    .name = "delayed_of",
    .sql = "SELECT" COLS " FROM delayed_event d" NAMES " WHERE d.user_nid = $1 AND d.status = 0 AND ($2::text IS NULL OR d.delay_id = $2)"
           " ORDER BY d.send_ts, d.delay_id",
    .params = "nt", .cols = LETTERS, .big = "delayed_event user_id room",
};
static const hs_stmt VOID = {
    .name = "delayed_void",
    .sql = "DELETE FROM delayed_event WHERE room_nid = $1 AND type = $2 AND state_key = $3 AND user_nid <> $4 AND status = 0",
    .params = "nttn", .big = "delayed_event",
};
/* clang-format on */

const hs_stmt *const hs_delayed_statements[] = {
    &LOCK_USER, &COUNT, &ADD, &CANCEL, &RESTART, &CLAIM, &DUE, &END, &OF, &VOID, NULL,
};

static hs_error *read_rows(const hs_rows *r, hs_arena *a, hs_delayed_row **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(r);
    hs_delayed_row *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_delayed_row){
            .delay_id = hs_rows_str(r, i, 0),
            .user = hs_rows_i64(r, i, 1),
            .room = hs_rows_i64(r, i, 2),
            .user_id = hs_rows_str(r, i, 3),
            .room_id = hs_rows_str(r, i, 4),
            .device_id = hs_rows_str(r, i, 5),
            .type = hs_rows_str(r, i, 6),
            .state_key = hs_rows_str(r, i, 7),
            .content = hs_rows_str(r, i, 8),
            .delay_ms = hs_rows_i64(r, i, 9),
            .send_ts = hs_rows_i64(r, i, 10),
            .origin_ts = hs_rows_i64(r, i, 11),
            .is_sticky = !hs_rows_null(r, i, 12),
            .sticky_ms = hs_rows_i64(r, i, 12),
        };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_delayed_room(hs_tx *tx, hs_arena *a, hs_nid user, int64_t most, bool *ret_full, int64_t *ret_wait_ms)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &LOCK_USER, &rows, user));
    HS_TRY(hs_tx_query(tx, a, &COUNT, &rows, user, most));
    *ret_full = hs_rows_i64(rows, 0, 0) >= most;
    *ret_wait_ms = hs_rows_i64(rows, 0, 1);
    return NULL;
}

hs_error *hs_store_delayed_add(hs_tx *tx, hs_arena *a, const hs_delayed_row *row)
{
    return hs_tx_exec(tx, a, &ADD, NULL, row->user, row->delay_id, row->device_id, row->room, row->type, row->state_key,
                      row->content, row->delay_ms, row->origin_ts, row->is_sticky, row->sticky_ms);
}

static hs_error *touch(hs_db *db, hs_arena *a, const hs_stmt *s, hs_str delay_id, bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, s, &n, delay_id));
    *ret_found = n > 0;
    return NULL;
}

hs_error *hs_store_delayed_cancel(hs_db *db, hs_arena *a, hs_str delay_id, bool *ret_found)
{
    return touch(db, a, &CANCEL, delay_id, ret_found);
}

hs_error *hs_store_delayed_restart(hs_db *db, hs_arena *a, hs_str delay_id, bool *ret_found)
{
    return touch(db, a, &RESTART, delay_id, ret_found);
}

hs_error *hs_store_delayed_claim(hs_db *db, hs_arena *a, hs_str delay_id, hs_delayed_row *ret)
{
    hs_delayed_row *at;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &CLAIM, &rows, delay_id));
    HS_TRY(read_rows(rows, a, &at, &n));
    *ret = n ? at[0] : (hs_delayed_row){ 0 };
    return NULL;
}

hs_error *hs_store_delayed_due(hs_db *db, hs_arena *a, int32_t limit, int64_t stale_ms, hs_delayed_row **ret,
                               size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &DUE, &rows, limit, stale_ms));
    return read_rows(rows, a, ret, ret_n);
}

hs_error *hs_store_delayed_end(hs_db *db, hs_arena *a, hs_str delay_id)
{
    return hs_db_exec(db, a, &END, NULL, delay_id);
}

hs_error *hs_store_delayed_of(hs_db *db, hs_arena *a, hs_nid user, hs_str delay_id, hs_delayed_row **ret, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &OF, &rows, user, delay_id));
    return read_rows(rows, a, ret, ret_n);
}

hs_error *hs_store_delayed_void(hs_write *w, hs_nid room, hs_str type, hs_str state_key, hs_nid sender)
{
    return hs_write_after(w, &VOID, room, type, state_key, sender);
}
