/* See push_rules.h. */
#include "store/push_rules.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt RULES_GET = {
    .name = "push_rules_get",
    .sql = "SELECT rules, pos FROM push_ruleset WHERE user_nid = $1",
    .params = "n", .cols = "bn", .big = "push_ruleset",
};
/* Removed if it is the one that was seen; if it is not, what follows finds it there. */
static const hs_stmt RULES_REMOVE = {
    .name = "push_rules_remove",
    .sql = "DELETE FROM push_ruleset WHERE user_nid = $1 AND pos = $2",
    .params = "nn", .big = "push_ruleset",
};
static const hs_stmt RULES_PUT = {
    .name = "push_rules_put",
    .sql = "INSERT INTO push_ruleset(user_nid, shape, rules, pos) VALUES ($1, $2, $3, hs_pos($4))",
    .params = "nnbp",
};
static const hs_stmt SHAPES = {
    .name = "push_shapes",
    .sql = "SELECT user_nid, shape FROM push_ruleset WHERE user_nid = ANY($1)",
    .params = "N", .cols = "nn", .big = "push_ruleset",
};
static const hs_stmt CHANGES = {
    .name = "push_changes",
    .sql = "SELECT user_nid, rules FROM push_ruleset WHERE user_nid = ANY($1)",
    .params = "N", .cols = "nb", .big = "push_ruleset",
};
/* clang-format on */

const hs_stmt *const hs_push_rules_statements[] = { &RULES_GET, &RULES_REMOVE, &RULES_PUT, &SHAPES, &CHANGES, NULL };

hs_error *hs_store_push_rules_get(hs_db *db, hs_arena *a, hs_nid user, hs_push_rules_row *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &RULES_GET, &rows, user));
    *ret = (hs_push_rules_row){ .changes = HS_S("") };
    if (hs_rows_count(rows))
        *ret = (hs_push_rules_row){ hs_rows_str(rows, 0, 0), hs_rows_i64(rows, 0, 1) };
    return NULL;
}

hs_error *hs_store_push_rules_put(hs_write *w, hs_nid user, int64_t seen_pos, int64_t shape, hs_str changes,
                                  uint32_t at)
{
    if (seen_pos)
        HS_TRY(hs_write_after(w, &RULES_REMOVE, user, seen_pos));
    return hs_write_after(w, &RULES_PUT, user, shape, changes, at);
}

hs_error *hs_store_push_shapes(hs_db *db, hs_arena *a, hs_nids users, hs_push_shape_row **ret, size_t *ret_n)
{
    hs_push_shape_row *out;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &SHAPES, &rows, users));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_push_shape_row){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_push_changes(hs_db *db, hs_arena *a, hs_nids users, hs_push_changes_row **ret, size_t *ret_n)
{
    hs_push_changes_row *out;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &CHANGES, &rows, users));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_push_changes_row){ hs_rows_i64(rows, i, 0), hs_rows_str(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}
