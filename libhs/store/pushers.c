/* See pushers.h. */
#include "store/pushers.h"

#include "store/params.h"
#include "store/statements.h"

/* clang-format off */
static const hs_stmt LIST = {
    .name = "pushers_list",
    .sql = "SELECT app_id, pushkey, kind, device_id, token_nid, profile_tag, app_name, device_name, lang, data::text FROM pusher"
           " WHERE user_nid = $1 ORDER BY created_ts, app_id, pushkey",
    .params = "n", .cols = "ttttnttttt", .big = "pusher",
};
static const hs_stmt PUT = {
    .name = "pusher_put",
    .sql = "INSERT INTO pusher(user_nid, app_id, pushkey, kind, device_id, token_nid, profile_tag, app_name, device_name, lang, data,"
           " enabled, created_ts, last_pos)"
           " SELECT $1, $2, $3, $4, $5, nullif($6, 0), $7, $8, $9, $10, $11::text::jsonb, true, $12, $13"
           "  WHERE (SELECT count(*) FROM pusher WHERE user_nid = $1 AND (app_id, pushkey) <> ($2, $3)) < $14"
           " ON CONFLICT (app_id, pushkey, user_nid) DO UPDATE SET kind = excluded.kind, profile_tag = excluded.profile_tag,"
           " app_name = excluded.app_name, device_name = excluded.device_name, lang = excluded.lang, data = excluded.data,"
           " enabled = true, created_ts = excluded.created_ts, last_pos = excluded.last_pos, failing_ts = NULL",
    .params = "nttttnttttt" "nni", .big = "pusher",
};
static const hs_stmt REMOVE = {
    .name = "pusher_remove",
    .sql = "DELETE FROM pusher WHERE app_id = $2 AND pushkey = $3 AND user_nid = $1",
    .params = "ntt", .big = "pusher",
};
static const hs_stmt TAKE_OVER = {
    .name = "pusher_take_over",
    .sql = "DELETE FROM pusher WHERE app_id = $2 AND pushkey = $3 AND user_nid <> $1",
    .params = "ntt", .big = "pusher",
};
static const hs_stmt EMAIL_OK = {
    .name = "pusher_email_ok",
    .sql = "SELECT 1::bigint FROM threepid WHERE medium = 'email' AND address = $2 AND user_nid = $1",
    .params = "nt", .cols = "n", .big = "threepid",
};
static const hs_stmt END = {
    .name = "pushers_end",
    .sql = "DELETE FROM pusher WHERE user_nid = $1 AND device_id = ANY ($2)",
    .params = "nT", .big = "pusher",
};
static const hs_stmt END_OTHERS = {
    .name = "pushers_end_others",
    .sql = "DELETE FROM pusher WHERE user_nid = $1 AND device_id IS DISTINCT FROM $2",
    .params = "nt", .big = "pusher",
};
static const hs_stmt END_TOKEN = {
    .name = "pushers_end_token",
    .sql = "DELETE FROM pusher p USING access_token t WHERE t.token_sha256 = $1 AND p.user_nid = t.user_nid AND p.token_nid = $2"
           "   AND p.device_id IS NULL",
    .params = "bn", .big = "pusher access_token",
};
/* clang-format on */

const hs_stmt *const hs_pushers_statements[] = {
    &LIST, &PUT, &REMOVE, &TAKE_OVER, &EMAIL_OK, &END, &END_OTHERS, &END_TOKEN, NULL,
};

hs_error *hs_store_pushers_list(hs_db *db, hs_arena *a, hs_nid user, hs_pusher_row **ret, size_t *ret_n)
{
    hs_pusher_row *out;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &LIST, &rows, user));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_pusher_row){
            .app_id = hs_rows_str(rows, i, 0),
            .pushkey = hs_rows_str(rows, i, 1),
            .kind = hs_rows_str(rows, i, 2),
            .device_id = hs_rows_str(rows, i, 3),
            .token = hs_rows_i64(rows, i, 4),
            .profile_tag = hs_rows_str(rows, i, 5),
            .app_name = hs_rows_str(rows, i, 6),
            .device_name = hs_rows_str(rows, i, 7),
            .lang = hs_rows_str(rows, i, 8),
            .data = hs_rows_str(rows, i, 9),
        };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_pusher_put(hs_db *db, hs_arena *a, hs_nid user, const hs_pusher_row *row, int64_t now_ts,
                              int64_t pos, int32_t most, bool *ret_kept)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &PUT, &n, user, row->app_id, row->pushkey, row->kind, row->device_id, row->token,
                      row->profile_tag, row->app_name, row->device_name, row->lang, row->data, now_ts, pos, most));
    *ret_kept = n > 0;
    return NULL;
}

hs_error *hs_store_pusher_remove(hs_db *db, hs_arena *a, hs_nid user, hs_str app_id, hs_str pushkey)
{
    return hs_db_exec(db, a, &REMOVE, NULL, user, app_id, pushkey);
}

hs_error *hs_store_pusher_take_over(hs_db *db, hs_arena *a, hs_nid user, hs_str app_id, hs_str pushkey)
{
    return hs_db_exec(db, a, &TAKE_OVER, NULL, user, app_id, pushkey);
}

hs_error *hs_store_pusher_email_ok(hs_db *db, hs_arena *a, hs_nid user, hs_str address, bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &EMAIL_OK, &rows, user, address));
    *ret = hs_rows_count(rows) > 0;
    return NULL;
}

hs_error *hs_store_pushers_end(hs_write *w, hs_nid user, hs_strs device_ids)
{
    return hs_write_after(w, &END, user, device_ids);
}

hs_error *hs_store_pushers_end_others(hs_write *w, hs_nid user, hs_str keep)
{
    return hs_write_after(w, &END_OTHERS, user, keep);
}

hs_error *hs_store_pushers_end_token(hs_write *w, hs_str token_sha256)
{
    return hs_write_before(w, &END_TOKEN, token_sha256, hs_store_pusher_token(token_sha256));
}

int64_t hs_store_pusher_token(hs_str token_sha256)
{
    return (int64_t)(hs_get_be(token_sha256.p, 8) >> 1 | 1);
}
