/* See uia.h. The parameters are kept as the text that they are: not all JSON is jsonb. */
#include "store/uia.h"

#define COLUMNS "method, uri, client #>> '{}', coalesce(server, '{}')::text, done::text, created_ts"

/* clang-format off */
static const hs_stmt UIA_INSERT = {
    .name = "uia_insert",
    .sql = "INSERT INTO uia_session(session_id, created_ts, method, uri, client, server)"
           " VALUES ($1, $2, $3, $4, to_jsonb($5::text), $6::text::jsonb)",
    .params = "tntttt",
};
static const hs_stmt UIA_GET = {
    .name = "uia_get",
    .sql = "SELECT " COLUMNS " FROM uia_session WHERE session_id = $1",
    .params = "t", .cols = "tttttn", .big = "uia_session",
};
static const hs_stmt UIA_LOCK = {
    .name = "uia_lock",
    .sql = "SELECT " COLUMNS " FROM uia_session WHERE session_id = $1 FOR UPDATE",
    .params = "t", .cols = "tttttn", .big = "uia_session",
};
static const hs_stmt UIA_SET_CLIENT = {
    .name = "uia_set_client",
    .sql = "UPDATE uia_session SET client = to_jsonb($2::text) WHERE session_id = $1",
    .params = "tt", .big = "uia_session",
};
static const hs_stmt UIA_REMEMBER = {
    .name = "uia_remember",
    .sql = "UPDATE uia_session SET server = coalesce(server, '{}') || $2::text::jsonb WHERE session_id = $1",
    .params = "tt", .big = "uia_session",
};
static const hs_stmt UIA_STAGE_DONE = {
    .name = "uia_stage_done",
    .sql = "UPDATE uia_session SET done = done || jsonb_build_object($2::text, $3::text::jsonb) WHERE session_id = $1",
    .params = "ttt", .big = "uia_session",
};
static const hs_stmt UIA_REMOVE = {
    .name = "uia_remove",
    .sql = "DELETE FROM uia_session WHERE session_id = $1",
    .params = "t", .big = "uia_session",
};
/* A token whose registration came to its end has `true` in its place. */
static const hs_stmt UIA_EXPIRE = {
    .name = "uia_expire",
    .sql = "WITH gone AS (DELETE FROM uia_session WHERE session_id = ANY"
           "   (ARRAY(SELECT session_id FROM uia_session WHERE created_ts < $1 ORDER BY created_ts LIMIT 1000))"
           "   RETURNING done -> 'm.login.registration_token' AS token),"
           " held AS (SELECT token #>> '{}' AS token, count(*) AS n FROM gone"
           "   WHERE jsonb_typeof(token) = 'string' GROUP BY 1),"
           " freed AS (UPDATE registration_token r SET pending = greatest(r.pending - held.n, 0)::int"
           "   FROM held WHERE r.token = held.token)"
           " SELECT count(*) FROM gone",
    .params = "n", .cols = "n", .big = "uia_session registration_token",
};
/* clang-format on */

const hs_stmt *const hs_uia_statements[] = {
    &UIA_INSERT, &UIA_GET, &UIA_LOCK, &UIA_SET_CLIENT, &UIA_REMEMBER, &UIA_STAGE_DONE, &UIA_REMOVE, &UIA_EXPIRE, NULL,
};

static hs_error *session_row(hs_arena *a, const hs_rows *rows, hs_uia_row **ret)
{
    *ret = NULL;
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    **ret = (hs_uia_row){
        .method = hs_rows_str(rows, 0, 0),
        .uri = hs_rows_str(rows, 0, 1),
        .client = hs_rows_str(rows, 0, 2),
        .server = hs_rows_str(rows, 0, 3),
        .done = hs_rows_str(rows, 0, 4),
        .created_ts = hs_rows_i64(rows, 0, 5),
    };
    return NULL;
}

hs_error *hs_store_uia_insert(hs_db *db, hs_arena *a, hs_str session_id, const hs_uia_row *row)
{
    return hs_db_exec(db, a, &UIA_INSERT, NULL, session_id, row->created_ts, row->method, row->uri, row->client,
                      row->server);
}

hs_error *hs_store_uia_get(hs_db *db, hs_arena *a, hs_str session_id, hs_uia_row **ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &UIA_GET, &rows, session_id));
    return session_row(a, rows, ret);
}

hs_error *hs_store_uia_lock(hs_tx *tx, hs_arena *a, hs_str session_id, hs_uia_row **ret)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &UIA_LOCK, &rows, session_id));
    return session_row(a, rows, ret);
}

hs_error *hs_store_uia_set_client(hs_db *db, hs_arena *a, hs_str session_id, hs_str client)
{
    return hs_db_exec(db, a, &UIA_SET_CLIENT, NULL, session_id, client);
}

hs_error *hs_store_uia_remember(hs_db *db, hs_arena *a, hs_str session_id, hs_str members)
{
    return hs_db_exec(db, a, &UIA_REMEMBER, NULL, session_id, members);
}

hs_error *hs_store_uia_remember_tx(hs_tx *tx, hs_arena *a, hs_str session_id, hs_str members)
{
    return hs_tx_exec(tx, a, &UIA_REMEMBER, NULL, session_id, members);
}

hs_error *hs_store_uia_stage_done(hs_db *db, hs_arena *a, hs_str session_id, hs_str stage, hs_str result,
                                  bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &UIA_STAGE_DONE, &n, session_id, stage, result));
    *ret_found = n > 0;
    return NULL;
}

hs_error *hs_store_uia_stage_done_tx(hs_tx *tx, hs_arena *a, hs_str session_id, hs_str stage, hs_str result)
{
    return hs_tx_exec(tx, a, &UIA_STAGE_DONE, NULL, session_id, stage, result);
}

hs_error *hs_store_uia_remove(hs_db *db, hs_arena *a, hs_str session_id, bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &UIA_REMOVE, &n, session_id));
    *ret_found = n > 0;
    return NULL;
}

hs_error *hs_store_uia_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &UIA_EXPIRE, &rows, before_ts));
    *ret_n = (uint64_t)hs_rows_i64(rows, 0, 0);
    return NULL;
}
