/* See spaces.h. */
#include "store/spaces.h"

#include "store/rooms_cols.h"
#include "store/statements.h"

/* clang-format off */
static const hs_stmt CARDS = {
    .name = "room_cards",
    .sql = "SELECT" HS_SUMMARY_COLS ", r.room_id, r.version, u.membership FROM unnest($1) WITH ORDINALITY w(nid, i)"
           " LEFT JOIN room_summary s ON s.room_nid = w.nid AND s.local_joined > 0 LEFT JOIN room r ON r.room_nid = s.room_nid"
           " LEFT JOIN user_room u ON u.user_nid = $2 AND u.room_nid = s.room_nid AND u.flags & 1 = 0 ORDER BY w.i",
    .params = "Nn", .cols = HS_SUMMARY_LETTERS "tts", .big = "room room_summary user_room",
};
static const hs_stmt JOINED_ANY = {
    .name = "joined_any",
    .sql = "SELECT EXISTS (SELECT FROM unnest($2) w(id) JOIN room r ON r.room_id = w.id"
           " JOIN user_room u ON u.user_nid = $1 AND u.room_nid = r.room_nid AND u.membership = 2)",
    .params = "nT", .cols = "f", .big = "room user_room",
};
/* What has expired goes with it, a few at a time. */
static const hs_stmt WALK_PUT = {
    .name = "space_walk_put",
    .sql = "WITH old AS (DELETE FROM space_walk WHERE ctid = ANY(ARRAY(SELECT ctid FROM space_walk WHERE expires_ts < $6 LIMIT 20)))"
           " INSERT INTO space_walk(token_sha256, user_nid, params, queue, done, expires_ts) VALUES ($1, $2, $3, $4, $5, $7)",
    .params = "bntNNnn", .big = "space_walk",
};
static const hs_stmt WALK_GET = {
    .name = "space_walk_get",
    .sql = "SELECT queue, done FROM space_walk WHERE token_sha256 = $1 AND user_nid = $2 AND params = $3 AND expires_ts > $4",
    .params = "bntn", .cols = "NN", .big = "space_walk",
};
/* clang-format on */

const hs_stmt *const hs_spaces_statements[] = { &CARDS, &JOINED_ANY, &WALK_PUT, &WALK_GET, NULL };

hs_error *hs_store_room_cards(hs_db *db, hs_arena *a, hs_nid user, const hs_nid *rooms, size_t n, hs_room_card *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &CARDS, &rows, (hs_nids){ rooms, n }, user));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++) {
        ret[i] = (hs_room_card){ .room_id = hs_rows_str(rows, i, HS_SUMMARY_COLS_N),
                                 .version = hs_rows_str(rows, i, HS_SUMMARY_COLS_N + 1),
                                 .membership = (hs_membership)hs_rows_i64(rows, i, HS_SUMMARY_COLS_N + 2) };
        HS_TRY(hs_room_summary_read(rows, a, i, &ret[i].summary));
        ret[i].room = ret[i].summary.room;
    }
    return NULL;
}

hs_error *hs_store_joined_any(hs_db *db, hs_arena *a, hs_nid user, hs_strs room_ids, bool *ret)
{
    hs_rows *rows;

    *ret = false;
    if (!room_ids.n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &JOINED_ANY, &rows, user, room_ids));
    *ret = hs_rows_bool(rows, 0, 0);
    return NULL;
}

hs_error *hs_store_walk_put(hs_db *db, hs_arena *a, hs_str token_sha256, hs_nid user, hs_str params, hs_nids queue,
                            hs_nids done, int64_t now_ts, int64_t expires_ts)
{
    return hs_db_exec(db, a, &WALK_PUT, NULL, token_sha256, user, params, queue, done, now_ts, expires_ts);
}

hs_error *hs_store_walk_get(hs_db *db, hs_arena *a, hs_str token_sha256, hs_nid user, hs_str params, int64_t now_ts,
                            hs_nids *ret_queue, hs_nids *ret_done, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &WALK_GET, &rows, token_sha256, user, params, now_ts));
    *ret_found = hs_rows_count(rows) > 0;
    if (!*ret_found)
        return NULL;
    HS_TRY(hs_rows_nids(rows, a, 0, 0, ret_queue));
    return hs_rows_nids(rows, a, 0, 1, ret_done);
}
