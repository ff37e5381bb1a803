/* See thread_subs.h. */
#include "store/thread_subs.h"

/* clang-format off */
static const hs_stmt SUB_GET = {
    .name = "thread_sub_get",
    .sql = "SELECT subscribed, automatic, coalesce(unsub_pos, 0) FROM thread_sub WHERE user_nid = $1 AND room_nid = $2 AND root_nid = $3",
    .params = "nnn", .cols = "ffn", .big = "thread_sub",
};
static const hs_stmt SUB_PUT = {
    .name = "thread_sub_put",
    .sql = "INSERT INTO thread_sub(user_nid, room_nid, root_nid, subscribed, automatic, unsub_pos, pos)"
           " VALUES ($1, $2, $3, $4, $5, CASE WHEN $4 THEN NULL ELSE hs_pos($6) END, hs_pos($6))"
           " ON CONFLICT (user_nid, room_nid, root_nid) DO UPDATE SET subscribed = excluded.subscribed,"
           " automatic = excluded.automatic, unsub_pos = excluded.unsub_pos, pos = excluded.pos",
    .params = "nnnffp", .big = "thread_sub",
};
static const hs_stmt SUB_LIST = {
    .name = "thread_sub_list",
    .sql = "SELECT s.pos, r.room_id, e.event_id, s.subscribed, s.automatic"
           " FROM (SELECT * FROM thread_sub WHERE user_nid = $1 AND pos > $2 AND pos <= $3 ORDER BY pos DESC LIMIT $4) s"
           " JOIN room r ON r.room_nid = s.room_nid JOIN event e ON e.room_nid = s.room_nid AND e.event_nid = s.root_nid"
           " ORDER BY s.pos DESC",
    .params = "nnni", .cols = "nttff", .big = "thread_sub room event",
};
static const hs_stmt FOLLOWERS = {
    .name = "thread_followers",
    .sql = "SELECT user_nid FROM thread_sub WHERE room_nid = $1 AND root_nid = $2 AND subscribed ORDER BY user_nid",
    .params = "nn", .cols = "n", .big = "thread_sub",
};
/* clang-format on */

const hs_stmt *const hs_thread_subs_statements[] = { &SUB_GET, &SUB_PUT, &SUB_LIST, &FOLLOWERS, NULL };

hs_error *hs_store_thread_sub_get(hs_db *db, hs_arena *a, hs_nid user, hs_nid room, hs_nid root, hs_thread_sub *ret,
                                  bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &SUB_GET, &rows, user, room, root));
    *ret = (hs_thread_sub){ 0 };
    *ret_found = hs_rows_count(rows) > 0;
    if (*ret_found)
        *ret = (hs_thread_sub){ hs_rows_bool(rows, 0, 0), hs_rows_bool(rows, 0, 1), hs_rows_i64(rows, 0, 2) };
    return NULL;
}

hs_error *hs_store_thread_sub_put(hs_write *w, uint32_t at, hs_nid user, hs_nid room, hs_nid root,
                                  const hs_thread_sub *in)
{
    return hs_write_after(w, &SUB_PUT, user, room, root, in->subscribed, in->automatic, at);
}

hs_error *hs_store_thread_subs(hs_db *db, hs_arena *a, hs_nid user, int64_t after, int64_t upto, int32_t limit,
                               hs_thread_sub_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_thread_sub_row *out;

    HS_TRY(hs_db_query(db, a, &SUB_LIST, &rows, user, after, upto, limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_thread_sub_row){
            .pos = hs_rows_i64(rows, i, 0),
            .room_id = hs_rows_str(rows, i, 1),
            .root_id = hs_rows_str(rows, i, 2),
            .subscribed = hs_rows_bool(rows, i, 3),
            .automatic = hs_rows_bool(rows, i, 4),
        };

    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_thread_followers(hs_db *db, hs_arena *a, hs_nid room, hs_nid root, hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *at;

    HS_TRY(hs_db_query(db, a, &FOLLOWERS, &rows, room, root));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &at));
    for (size_t i = 0; i < n; i++)
        at[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ at, n };
    return NULL;
}
