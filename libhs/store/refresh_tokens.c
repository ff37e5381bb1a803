/* See refresh_tokens.h. A chain has two links at most: a client that did not hear the answer may ask again with the
 * token that it has, and what it was not told of ends then. */
#include "store/refresh_tokens.h"

/* clang-format off */
static const hs_stmt REFRESH_FIND = {
    .name = "refresh_find",
    .sql = "SELECT t.refresh_nid, t.user_nid, t.device_id, c.localpart, c.flags, t.expires_ts, t.session_expires_ts,"
           "   coalesce(n.next_nid IS NOT NULL OR a.used, false)"
           "  FROM refresh_token t JOIN account c USING (user_nid)"
           "  LEFT JOIN refresh_token n ON n.refresh_nid = t.next_nid"
           "  LEFT JOIN access_token a ON a.user_nid = t.user_nid AND a.device_id = t.device_id AND a.refresh_nid = t.next_nid"
           " WHERE t.token_sha256 = $1",
    .params = "b", .cols = "nnttinnf", .big = "refresh_token account access_token",
};
static const hs_stmt REFRESH_LOGIN = {
    .name = "refresh_login",
    .sql = "WITH made AS (INSERT INTO refresh_token(token_sha256, refresh_nid, user_nid, device_id, expires_ts, session_expires_ts)"
           "   VALUES ($1, $2, $3, $4, nullif($5, 0), nullif($6, 0)))"
           " UPDATE access_token SET refresh_nid = $2 WHERE token_sha256 = $7",
    .params = "bnntnnb", .big = "access_token",
};
/* After the ticket, as the removal of devices: one of the two comes first, and sees what the other has done. */
static const hs_stmt REFRESH_FOLLOW = {
    .name = "refresh_follow",
    .sql = "WITH t AS MATERIALIZED (SELECT * FROM refresh_token WHERE refresh_nid = $1),"
           " gone AS (DELETE FROM refresh_token r USING t WHERE r.user_nid = t.user_nid AND r.device_id = t.device_id"
           "   AND (r.refresh_nid = t.next_nid OR r.next_nid = t.refresh_nid) RETURNING r.refresh_nid),"
           " ended AS (DELETE FROM access_token a USING t WHERE a.user_nid = t.user_nid AND a.device_id = t.device_id"
           "   AND a.refresh_nid IN (SELECT refresh_nid FROM gone)),"
           " moved AS (UPDATE refresh_token SET next_nid = $3 WHERE refresh_nid = $1),"
           " made AS (INSERT INTO refresh_token(token_sha256, refresh_nid, user_nid, device_id, expires_ts, session_expires_ts)"
           "   SELECT $2, $3, user_nid, device_id, nullif($4, 0), nullif($5, 0) FROM t)"
           " INSERT INTO access_token(token_sha256, user_nid, device_id, created_ts, expires_ts, refresh_nid)"
           "   SELECT $6, user_nid, device_id, $7, nullif($8, 0), $3 FROM t",
    .params = "nbnnnbnn", .big = "refresh_token access_token",
};
static const hs_stmt REFRESH_USED = {
    .name = "refresh_used",
    .sql = "UPDATE access_token SET used = true WHERE token_sha256 = $1",
    .params = "b", .big = "access_token",
};
/* clang-format on */

const hs_stmt *const hs_refresh_tokens_statements[] = {
    &REFRESH_FIND, &REFRESH_LOGIN, &REFRESH_FOLLOW, &REFRESH_USED, NULL,
};

hs_error *hs_store_refresh_find(hs_db *db, hs_arena *a, hs_str token_sha256, hs_refresh_row **ret)
{
    hs_rows *rows;

    *ret = NULL;
    HS_TRY(hs_db_query(db, a, &REFRESH_FIND, &rows, token_sha256));
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    **ret = (hs_refresh_row){
        .nid = hs_rows_i64(rows, 0, 0),
        .user = hs_rows_i64(rows, 0, 1),
        .device_id = hs_rows_str(rows, 0, 2),
        .localpart = hs_rows_str(rows, 0, 3),
        .flags = (unsigned)hs_rows_i64(rows, 0, 4),
        .expires_ts = hs_rows_i64(rows, 0, 5),
        .session_expires_ts = hs_rows_i64(rows, 0, 6),
        .over = hs_rows_bool(rows, 0, 7),
    };
    return NULL;
}

hs_error *hs_store_refresh_login(hs_write *w, hs_nid user, hs_str device_id, const hs_refresh_new *n)
{
    return hs_write_before(w, &REFRESH_LOGIN, n->refresh_sha256, n->nid, user, device_id, n->refresh_expires_ts,
                           n->session_expires_ts, n->access_sha256);
}

hs_error *hs_store_refresh_follow(hs_write *w, hs_nid of, const hs_refresh_new *n)
{
    return hs_write_after(w, &REFRESH_FOLLOW, of, n->refresh_sha256, n->nid, n->refresh_expires_ts,
                          n->session_expires_ts, n->access_sha256, n->now_ts, n->access_expires_ts);
}

hs_error *hs_store_refresh_used(hs_db *db, hs_arena *a, hs_str access_sha256)
{
    return hs_db_exec(db, a, &REFRESH_USED, NULL, access_sha256);
}
