/* See external_ids.h. */
#include "store/external_ids.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt EXTERNAL_IDS = {
    .name = "external_ids",
    .sql = "SELECT provider, external_id FROM external_id WHERE user_nid = $1 ORDER BY provider, external_id",
    .params = "n", .cols = "tt", .big = "external_id",
};
static const hs_stmt EXTERNAL_ID_FIND = {
    .name = "external_id_find",
    .sql = "SELECT u.mxid FROM external_id x JOIN user_id u USING (user_nid) WHERE x.provider = $1 AND x.external_id = $2",
    .params = "tt", .cols = "t", .big = "external_id user_id",
};
static const hs_stmt EXTERNAL_IDS_DROP = {
    .name = "external_ids_drop",
    .sql = "DELETE FROM external_id x WHERE x.user_nid = $1"
           "   AND NOT EXISTS (SELECT FROM unnest($2, $3) w(p, e) WHERE p = x.provider AND e = x.external_id)",
    .params = "nTT", .big = "external_id",
};
static const hs_stmt EXTERNAL_IDS_ADD = {
    .name = "external_ids_add",
    .sql = "INSERT INTO external_id(provider, external_id, user_nid) SELECT DISTINCT p, e, $1 FROM unnest($2, $3) w(p, e)"
           " ON CONFLICT (provider, external_id) DO NOTHING",
    .params = "nTT",
};
static const hs_stmt EXTERNAL_IDS_FOREIGN = {
    .name = "external_ids_foreign",
    .sql = "SELECT count(*) FROM unnest($2, $3) w(p, e) JOIN LATERAL (SELECT x.user_nid FROM external_id x"
           " WHERE x.provider = w.p AND x.external_id = w.e LIMIT 1) x ON true WHERE x.user_nid <> $1",
    .params = "nTT", .cols = "n", .big = "external_id",
};
/* clang-format on */

const hs_stmt *const hs_external_ids_statements[] = {
    &EXTERNAL_IDS, &EXTERNAL_ID_FIND, &EXTERNAL_IDS_DROP, &EXTERNAL_IDS_ADD, &EXTERNAL_IDS_FOREIGN, NULL,
};

hs_error *hs_store_external_ids(hs_db *db, hs_arena *a, hs_nid user, hs_external_id_row **ret, size_t *ret_n)
{
    hs_external_id_row *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &EXTERNAL_IDS, &rows, user));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_external_id_row){ hs_rows_str(rows, i, 0), hs_rows_str(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_external_ids_set(hs_db *db, hs_arena *a, hs_nid user, hs_strs providers, hs_strs ids,
                                    bool *ret_taken)
{
    hs_rows *rows;
    hs_tx *tx;

    HS_TRY(hs_tx_begin(db, a, &tx));
    HS_TRY(hs_tx_exec(tx, a, &EXTERNAL_IDS_DROP, NULL, user, providers, ids));
    HS_TRY(hs_tx_exec(tx, a, &EXTERNAL_IDS_ADD, NULL, user, providers, ids));
    HS_TRY(hs_tx_query(tx, a, &EXTERNAL_IDS_FOREIGN, &rows, user, providers, ids));
    *ret_taken = hs_rows_i64(rows, 0, 0) > 0;
    return *ret_taken ? NULL : hs_tx_commit(tx);
}

hs_error *hs_store_external_id_find(hs_db *db, hs_arena *a, hs_str provider, hs_str id, hs_str *ret_user_id)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &EXTERNAL_ID_FIND, &rows, provider, id));
    *ret_user_id = hs_rows_count(rows) ? hs_rows_str(rows, 0, 0) : hs_str_make(NULL, 0);
    return NULL;
}
