/* See user_directory.h. Up to 10,000 users who match are ranked; who may see them is asked in order of rank, until the
 * page is full (OFFSET 0 keeps the planner from asking before it ranks). */
#include "store/user_directory.h"

/* clang-format off */
#define RANK \
    "3 * ts_rank_cd('{0.1, 0.1, 0.9, 1.0}', d.vec, hs_directory_query($2, 'exact'), 8)" \
    " + ts_rank_cd('{0.1, 0.1, 0.9, 1.0}', d.vec, hs_directory_query($2, 'prefix'), 8)"

static const hs_stmt SEARCH = {
    .name = "user_search",
    .sql = "SELECT r.mxid, r.displayname, r.avatar_url FROM ("
           "  SELECT d.user_nid, u.mxid, d.displayname, d.avatar_url"
           "    FROM (SELECT * FROM user_directory WHERE vec @@ hs_directory_query($2, 'either') LIMIT 10000) d"
           "    JOIN user_id u ON u.user_nid = d.user_nid LEFT JOIN account a ON a.user_nid = d.user_nid"
           "   WHERE coalesce(a.flags & $3, 0) = 0 AND coalesce(a.kind, '') <> 'support' AND (a.user_nid IS NOT NULL OR NOT $4)"
           "   ORDER BY CASE WHEN d.displayname IS NOT NULL THEN 1.2 ELSE 1.0 END * CASE WHEN d.avatar_url IS NOT NULL THEN 1.2 ELSE 1.0 END"
           "            * (" RANK ") * CASE WHEN $5 AND a.user_nid IS NOT NULL THEN 2.0 ELSE 1.0 END DESC, u.mxid OFFSET 0) r"
           " WHERE CASE WHEN $6 THEN r.user_nid <> $1 ELSE EXISTS ("
           "  SELECT 1 FROM room_member m JOIN room_summary s ON s.room_nid = m.room_nid"
           "   WHERE m.user_nid = r.user_nid AND m.membership = 2 AND (s.join_rules = 'public' OR s.history_visibility = 'world_readable'"
           "      OR (r.user_nid <> $1 AND EXISTS (SELECT 1 FROM user_room o WHERE o.user_nid = $1 AND o.room_nid = m.room_nid AND o.membership = 2)))) END"
           " LIMIT $7",
    .params = "ntifffi", .cols = "ttt", .big = "user_directory user_id account room_member room_summary user_room",
};
/* clang-format on */

const hs_stmt *const hs_user_directory_statements[] = { &SEARCH, NULL };

hs_error *hs_store_user_search(hs_db *db, hs_arena *a, const hs_user_search *in, hs_user_found **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_user_found *out;

    HS_TRY(hs_db_query(db, a, &SEARCH, &rows, in->searcher, in->term, in->hidden, in->local_only, in->prefer_local,
                       in->all, in->limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_user_found){ hs_rows_str(rows, i, 0), hs_rows_str(rows, i, 1), hs_rows_str(rows, i, 2) };

    *ret = out;
    *ret_n = n;
    return NULL;
}
