/* See account_data.h. */
#include "store/account_data.h"

/* clang-format off */
static const hs_stmt DATA_GET = {
    .name = "account_data_get",
    .sql = "SELECT content, pos FROM account_data WHERE user_nid = $1 AND room_nid = $2 AND type = $3",
    .params = "nnt", .cols = "bn", .big = "account_data",
};
static const hs_stmt DATA_AFTER = {
    .name = "account_data_after",
    .sql = "SELECT room_nid, type, content, pos FROM account_data WHERE user_nid = $1 AND pos > $2 AND pos <= $3"
           " UNION ALL SELECT 0, 'm.push_rules', rules, pos FROM push_ruleset"
           " WHERE user_nid = $1 AND pos > $2 AND pos <= $3 ORDER BY pos",
    .params = "nnn", .cols = "ntbn", .big = "account_data push_ruleset",
};
static const hs_stmt DATA_PUT = {
    .name = "account_data_put",
    .sql = "INSERT INTO account_data(user_nid, room_nid, type, content, pos) VALUES ($1, $2, $3, $4, hs_pos($5))"
           " ON CONFLICT (user_nid, room_nid, type) DO UPDATE SET content = excluded.content, pos = excluded.pos",
    .params = "nntbp", .big = "account_data",
};
/* Removed if it is the one that was seen; if it is not, what follows finds it there. */
static const hs_stmt DATA_REMOVE = {
    .name = "account_data_remove",
    .sql = "DELETE FROM account_data WHERE user_nid = $1 AND room_nid = $2 AND type = $3 AND pos = $4",
    .params = "nntn", .big = "account_data",
};
static const hs_stmt DATA_ADD = {
    .name = "account_data_add",
    .sql = "INSERT INTO account_data(user_nid, room_nid, type, content, pos) VALUES ($1, $2, $3, $4, hs_pos($5))",
    .params = "nntbp",
};
static const hs_stmt DATA_COUNT = {
    .name = "account_data_count",
    .sql = "SELECT count(*) FROM account_data WHERE user_nid = $1 AND room_nid = $2 AND type <> $3",
    .params = "nnt", .cols = "n", .big = "account_data",
};
static const hs_stmt FILTER_FIND = {
    .name = "filter_find",
    .sql = "SELECT filter_id FROM filter WHERE user_nid = $1 AND body = $2",
    .params = "nb", .cols = "n", .big = "filter",
};
static const hs_stmt FILTER_ADD = {
    .name = "filter_add",
    .sql = "INSERT INTO filter(user_nid, filter_id, body)"
           " SELECT $1, coalesce(max(filter_id) + 1, 0), $2 FROM filter WHERE user_nid = $1 HAVING count(*) < $3"
           " ON CONFLICT DO NOTHING",
    .params = "nbi", .big = "filter",
};
static const hs_stmt FILTER_FULL = {
    .name = "filter_full",
    .sql = "SELECT count(*) >= $2 FROM filter WHERE user_nid = $1",
    .params = "ni", .cols = "f", .big = "filter",
};
static const hs_stmt FILTER_GET = {
    .name = "filter_get",
    .sql = "SELECT body FROM filter WHERE user_nid = $1 AND filter_id = $2",
    .params = "nn", .cols = "b", .big = "filter",
};
/* clang-format on */

const hs_stmt *const hs_account_data_statements[] = {
    &DATA_GET,    &DATA_AFTER, &DATA_PUT,    &DATA_REMOVE, &DATA_ADD, &DATA_COUNT,
    &FILTER_FIND, &FILTER_ADD, &FILTER_FULL, &FILTER_GET,  NULL,
};

hs_error *hs_store_account_data_seen(hs_db *db, hs_arena *a, hs_nid user, hs_nid room, hs_str type, hs_str *ret,
                                     int64_t *ret_pos)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &DATA_GET, &rows, user, room, type));
    *ret = hs_rows_count(rows) ? hs_rows_str(rows, 0, 0) : hs_str_make(NULL, 0);
    *ret_pos = hs_rows_count(rows) ? hs_rows_i64(rows, 0, 1) : 0;
    return NULL;
}

hs_error *hs_store_account_data_get(hs_db *db, hs_arena *a, hs_nid user, hs_nid room, hs_str type, hs_str *ret)
{
    int64_t pos;

    return hs_store_account_data_seen(db, a, user, room, type, ret, &pos);
}

hs_error *hs_store_account_data_after(hs_db *db, hs_arena *a, hs_nid user, int64_t after, int64_t upto,
                                      hs_account_data_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_account_data_row *out;

    HS_TRY(hs_db_query(db, a, &DATA_AFTER, &rows, user, after, upto));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_account_data_row){
            .room = hs_rows_i64(rows, i, 0),
            .type = hs_rows_str(rows, i, 1),
            .content = hs_rows_str(rows, i, 2),
            .pos = hs_rows_i64(rows, i, 3),
        };

    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_account_data_put(hs_write *w, hs_nid user, hs_nid room, hs_str type, hs_str content, uint32_t at)
{
    return hs_write_after(w, &DATA_PUT, user, room, type, content, at);
}

hs_error *hs_store_account_data_change(hs_write *w, hs_nid user, hs_nid room, hs_str type, int64_t seen_pos,
                                       hs_str content, uint32_t at)
{
    if (seen_pos)
        HS_TRY(hs_write_after(w, &DATA_REMOVE, user, room, type, seen_pos));
    return hs_write_after(w, &DATA_ADD, user, room, type, content, at);
}

hs_error *hs_store_account_data_others(hs_db *db, hs_arena *a, hs_nid user, hs_nid room, hs_str type, int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &DATA_COUNT, &rows, user, room, type));
    *ret = hs_rows_i64(rows, 0, 0);
    return NULL;
}

hs_error *hs_store_filter_add(hs_db *db, hs_arena *a, hs_nid user, hs_str body, int32_t most, int64_t *ret_id)
{
    enum { ROUNDS = 50 };
    hs_rows *rows;
    uint64_t n;

    /* Several requests at once may draw the same number: all but one of them find it taken and draw again. */
    for (int round = 0; round < ROUNDS; round++) {
        HS_TRY(hs_db_query(db, a, &FILTER_FIND, &rows, user, body));
        if (hs_rows_count(rows)) {
            *ret_id = hs_rows_i64(rows, 0, 0);
            return NULL;
        }
        HS_TRY(hs_db_exec(db, a, &FILTER_ADD, &n, user, body, most));
        if (n)
            continue;
        HS_TRY(hs_db_query(db, a, &FILTER_FULL, &rows, user, most));
        if (hs_rows_bool(rows, 0, 0)) {
            *ret_id = -1;
            return NULL;
        }
    }
    return hs_err_internal(a, NULL, "a filter could not be numbered");
}

hs_error *hs_store_filter_get(hs_db *db, hs_arena *a, hs_nid user, int64_t id, hs_str *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &FILTER_GET, &rows, user, id));
    *ret = hs_rows_count(rows) ? hs_rows_str(rows, 0, 0) : hs_str_make(NULL, 0);
    return NULL;
}
