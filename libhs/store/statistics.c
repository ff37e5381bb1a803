/* See statistics.h. A list of those who upload looks at all media of this server. */
#include "store/statistics.h"

#include "store/pattern.h"
#include "store/statements.h"

/* clang-format off */
/* $1, $2 when; $3 a name as a pattern for ids, $4 for display names */
#define UPLOADERS \
    " FROM (SELECT m.user_nid, count(*) n, sum(m.length)::bigint length FROM media m WHERE m.server_nid = 0 AND m.length IS NOT NULL" \
    "   AND m.created_ts >= $1 AND m.created_ts <= $2 GROUP BY m.user_nid) c" \
    " JOIN user_id u ON u.user_nid = c.user_nid LEFT JOIN profile p ON p.user_nid = c.user_nid" \
    " WHERE ($3 IS NULL OR lower(u.mxid) LIKE $3 OR lower(p.displayname) LIKE $4)"
#define ORDERED(dir) " ORDER BY CASE $5 WHEN 0 THEN u.mxid WHEN 1 THEN p.displayname END" dir \
                     ", CASE $5 WHEN 2 THEN c.n WHEN 3 THEN c.length END" dir ", u.mxid LIMIT $6 OFFSET $7"
static const hs_stmt UPLOADERS_UP = {
    .name = "uploaders",
    .sql = "SELECT u.mxid, p.displayname, c.n, c.length" UPLOADERS ORDERED(""),
    .params = "nnttinn", .cols = "ttnn",
};
static const hs_stmt UPLOADERS_DOWN = {
    .name = "uploaders_down",
    .sql = "SELECT u.mxid, p.displayname, c.n, c.length" UPLOADERS ORDERED(" DESC"),
    .params = "nnttinn", .cols = "ttnn",
};
static const hs_stmt UPLOADERS_COUNT = {
    .name = "uploaders_count",
    .sql = "SELECT count(*)" UPLOADERS,
    .params = "nntt", .cols = "n",
};
#define UPLOAD_COLS " m.media_id, m.type, m.upload_name, m.length, m.created_ts, m.access_ts, q.mxid, m.flags & 2 <> 0"
#define UPLOADS " FROM media m LEFT JOIN user_id q ON q.user_nid = m.quarantined_by WHERE m.server_nid = 0 AND m.user_nid = $1 AND m.length IS NOT NULL"
#define UPLOADS_ORDERED(dir) \
    " ORDER BY CASE $2 WHEN 1 THEN m.media_id WHEN 2 THEN m.upload_name WHEN 5 THEN m.type WHEN 6 THEN q.mxid END" dir \
    ", CASE $2 WHEN 0 THEN m.created_ts WHEN 3 THEN m.access_ts WHEN 4 THEN m.length WHEN 7 THEN (m.flags & 2)::bigint END" dir \
    ", m.media_id LIMIT $3 OFFSET $4"
static const hs_stmt UPLOADS_UP = {
    .name = "uploads",
    .sql = "SELECT" UPLOAD_COLS UPLOADS UPLOADS_ORDERED(""),
    .params = "ninn", .cols = "tttnnntf", .big = "media",
};
static const hs_stmt UPLOADS_DOWN = {
    .name = "uploads_down",
    .sql = "SELECT" UPLOAD_COLS UPLOADS UPLOADS_ORDERED(" DESC"),
    .params = "ninn", .cols = "tttnnntf", .big = "media",
};
static const hs_stmt UPLOADS_COUNT = {
    .name = "uploads_count",
    .sql = "SELECT count(*)" UPLOADS,
    .params = "n", .cols = "n", .big = "media",
};
static const hs_stmt LARGEST_ROOMS = {
    .name = "largest_rooms",
    .sql = "SELECT r.room_id, sum(s.bytes * s.part)::bigint FROM ("
           "  SELECT pg_total_relation_size(format('%I.%I', schemaname, tablename)::regclass) AS bytes,"
           "         unnest(most_common_vals::text::bigint[]) AS room, unnest(most_common_freqs) AS part FROM pg_stats"
           "   WHERE schemaname = current_schema() AND attname = 'room_nid' AND tablename IN"
           "     ('event', 'timeline', 'state_tip', 'state_past', 'event_search', 'relation', 'receipt', 'push_note')) s"
           " JOIN room r ON r.room_nid = s.room GROUP BY r.room_id ORDER BY 2 DESC, 1 LIMIT 10",
    .params = "", .cols = "tn", .big = "event timeline",
};
/* clang-format on */

const hs_stmt *const hs_statistics_statements[] = {
    &UPLOADERS_UP, &UPLOADERS_DOWN, &UPLOADERS_COUNT, &UPLOADS_UP, &UPLOADS_DOWN, &UPLOADS_COUNT, &LARGEST_ROOMS, NULL,
};

hs_error *hs_store_uploaders(hs_db *db, hs_arena *a, const hs_uploader_query *q, hs_uploader **ret, size_t *ret_n,
                             int64_t *ret_total)
{
    hs_str text, in_local = { NULL, 0 }, in_name = { NULL, 0 };
    hs_uploader *out;
    hs_rows *rows, *total;
    hs_pipe *p;

    if (q->search.p) {
        HS_TRY(hs_store_pattern(a, q->search, &text));
        HS_TRY(hs_str_cat(a, &in_local, 3, HS_S("@%"), text, HS_S("%:%")));
        HS_TRY(hs_str_cat(a, &in_name, 3, HS_S("%"), text, HS_S("%")));
    }
    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, q->descending ? &UPLOADERS_DOWN : &UPLOADERS_UP, &rows, q->from_ts, q->until_ts, in_local,
                       in_name, (int32_t)q->order, q->limit, q->from));
    HS_TRY(hs_pipe_add(p, &UPLOADERS_COUNT, &total, q->from_ts, q->until_ts, in_local, in_name));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_uploader){ hs_rows_str(rows, i, 0), hs_rows_str(rows, i, 1), hs_rows_i64(rows, i, 2),
                                hs_rows_i64(rows, i, 3) };
    *ret = out;
    *ret_n = n;
    *ret_total = hs_rows_i64(total, 0, 0);
    return NULL;
}

hs_error *hs_store_uploads(hs_db *db, hs_arena *a, hs_nid user, hs_upload_order order, bool descending, int64_t from,
                           int64_t limit, hs_upload **ret, size_t *ret_n, int64_t *ret_total)
{
    hs_rows *rows, *total;
    hs_upload *out;
    hs_pipe *p;

    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, descending ? &UPLOADS_DOWN : &UPLOADS_UP, &rows, user, (int32_t)order, limit, from));
    HS_TRY(hs_pipe_add(p, &UPLOADS_COUNT, &total, user));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_upload){
            .media_id = hs_rows_str(rows, i, 0),
            .type = hs_rows_str(rows, i, 1),
            .name = hs_rows_str(rows, i, 2),
            .length = hs_rows_i64(rows, i, 3),
            .created_ts = hs_rows_i64(rows, i, 4),
            .access_ts = hs_rows_i64(rows, i, 5),
            .quarantined_by = hs_rows_str(rows, i, 6),
            .safe = hs_rows_bool(rows, i, 7),
        };
    *ret = out;
    *ret_n = n;
    *ret_total = hs_rows_i64(total, 0, 0);
    return NULL;
}

hs_error *hs_store_largest_rooms(hs_db *db, hs_arena *a, hs_room_size **ret, size_t *ret_n)
{
    hs_room_size *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &LARGEST_ROOMS, &rows));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_room_size){ hs_rows_str(rows, i, 0), hs_rows_i64(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}
