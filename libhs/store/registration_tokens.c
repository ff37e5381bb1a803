/* See registration_tokens.h. A use is counted by one statement that looks at the limit again under the row's lock, so
 * no two registrations share the last one. */
#include "store/registration_tokens.h"

#define COLUMNS "token, uses_allowed, pending, completed, expires_ts"
#define VALID   "((uses_allowed IS NULL OR pending + completed < uses_allowed) AND (expires_ts IS NULL OR expires_ts >= "

/* clang-format off */
/* There are as many as administrators made: a list reads them all. $1: 0 all, 1 valid ones, 2 the others. */
static const hs_stmt TOKENS_LIST = {
    .name = "registration_tokens_list",
    .sql = "SELECT " COLUMNS " FROM registration_token"
           " WHERE $1 = 0 OR ($1 = 1) = " VALID "$2)) ORDER BY token",
    .params = "in", .cols = "tiiin",
};
static const hs_stmt TOKEN_GET = {
    .name = "registration_token_get",
    .sql = "SELECT " COLUMNS " FROM registration_token WHERE token = $1",
    .params = "t", .cols = "tiiin", .big = "registration_token",
};
static const hs_stmt TOKEN_INSERT = {
    .name = "registration_token_insert",
    .sql = "INSERT INTO registration_token(token, uses_allowed, pending, completed, expires_ts)"
           " VALUES ($1, $2::bigint::int, 0, 0, $3) ON CONFLICT DO NOTHING",
    .params = "too",
};
static const hs_stmt TOKEN_UPDATE = {
    .name = "registration_token_update",
    .sql = "UPDATE registration_token SET uses_allowed = CASE WHEN $2 THEN $3::bigint::int ELSE uses_allowed END,"
           " expires_ts = CASE WHEN $4 THEN $5 ELSE expires_ts END WHERE token = $1 RETURNING " COLUMNS,
    .params = "tfofo", .cols = "tiiin", .big = "registration_token",
};
static const hs_stmt TOKEN_REMOVE = {
    .name = "registration_token_remove",
    .sql = "DELETE FROM registration_token WHERE token = $1",
    .params = "t", .big = "registration_token",
};
static const hs_stmt TOKEN_TAKE = {
    .name = "registration_token_take",
    .sql = "WITH mine AS MATERIALIZED (SELECT FROM uia_session WHERE session_id = $1"
           "   AND NOT done ? 'm.login.registration_token' FOR UPDATE),"
           " taken AS (UPDATE registration_token SET pending = pending + 1"
           "   WHERE token = $2 AND " VALID "$3)) AND EXISTS (SELECT FROM mine) RETURNING token)"
           " UPDATE uia_session s SET done = s.done || jsonb_build_object('m.login.registration_token', taken.token)"
           "   FROM taken WHERE s.session_id = $1",
    .params = "ttn", .big = "registration_token uia_session",
};
static const hs_stmt TOKEN_COMPLETE = {
    .name = "registration_token_complete",
    .sql = "UPDATE registration_token SET pending = greatest(pending - 1, 0), completed = completed + 1 WHERE token = $1",
    .params = "t", .big = "registration_token",
};
/* clang-format on */

const hs_stmt *const hs_registration_tokens_statements[] = {
    &TOKENS_LIST, &TOKEN_GET, &TOKEN_INSERT, &TOKEN_UPDATE, &TOKEN_REMOVE, &TOKEN_TAKE, &TOKEN_COMPLETE, NULL,
};

static void token_row(const hs_rows *rows, size_t i, hs_registration_token *ret)
{
    *ret = (hs_registration_token){
        .token = hs_rows_str(rows, i, 0),
        .has_uses = !hs_rows_null(rows, i, 1),
        .uses_allowed = hs_rows_i64(rows, i, 1),
        .pending = hs_rows_i64(rows, i, 2),
        .completed = hs_rows_i64(rows, i, 3),
        .has_expiry = !hs_rows_null(rows, i, 4),
        .expires_ts = hs_rows_i64(rows, i, 4),
    };
}

static hs_error *one_or_none(hs_arena *a, const hs_rows *rows, hs_registration_token **ret)
{
    *ret = NULL;
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    token_row(rows, 0, *ret);
    return NULL;
}

hs_error *hs_store_registration_tokens_list(hs_db *db, hs_arena *a, hs_tokens_filter which, int64_t now_ts,
                                            hs_registration_token **ret, size_t *ret_n)
{
    hs_registration_token *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &TOKENS_LIST, &rows, (int32_t)which, now_ts));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        token_row(rows, i, &out[i]);
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_registration_token_get(hs_db *db, hs_arena *a, hs_str token, hs_registration_token **ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &TOKEN_GET, &rows, token));
    return one_or_none(a, rows, ret);
}

hs_error *hs_store_registration_token_insert(hs_db *db, hs_arena *a, const hs_registration_token *t, bool *ret_new)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &TOKEN_INSERT, &n, t->token, t->has_uses ? &t->uses_allowed : NULL,
                      t->has_expiry ? &t->expires_ts : NULL));
    *ret_new = n > 0;
    return NULL;
}

hs_error *hs_store_registration_token_update(hs_db *db, hs_arena *a, const hs_registration_token *t, bool set_uses,
                                             bool set_expiry, hs_registration_token **ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_call(db, a, &TOKEN_UPDATE, &rows, t->token, (int)set_uses, t->has_uses ? &t->uses_allowed : NULL,
                      (int)set_expiry, t->has_expiry ? &t->expires_ts : NULL));
    return one_or_none(a, rows, ret);
}

hs_error *hs_store_registration_token_remove(hs_db *db, hs_arena *a, hs_str token, bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &TOKEN_REMOVE, &n, token));
    *ret_found = n > 0;
    return NULL;
}

hs_error *hs_store_registration_token_take(hs_db *db, hs_arena *a, hs_str session_id, hs_str token, int64_t now_ts,
                                           bool *ret_taken)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &TOKEN_TAKE, &n, session_id, token, now_ts));
    *ret_taken = n > 0;
    return NULL;
}

hs_error *hs_store_registration_token_complete(hs_tx *tx, hs_arena *a, hs_str token)
{
    return hs_tx_exec(tx, a, &TOKEN_COMPLETE, NULL, token);
}
