/* Reading the order of a room's events; rows are written by hs_commit (ticket.c). */
#include "store/timeline.h"

#include "store/event_cols.h"

/* clang-format off */
#define ROW_COLS    " t.room_nid, t.pos, t.depth, t.line, t.snap, t.event_nid, t.n_notify, t.n_high"
#define ROW_LETTERS "nnniinii"
enum { ROW_COLS_N = 8 };

static const hs_stmt HEAD = {
    .name = "timeline_head",
    .sql = "SELECT" ROW_COLS ", t.heads, t.delta FROM timeline t"
           " WHERE t.room_nid = $1 AND t.pos > 0 AND t.pos <= $2 ORDER BY t.pos DESC LIMIT 1",
    .params = "nn", .cols = ROW_LETTERS "NN", .big = "timeline",
};

static const hs_stmt ROOM_NOW = {
    .name = "room_now",
    .sql = "SELECT" ROW_COLS ", t.heads, t.delta, r.room_id, r.version, s.joined, s.invited, coalesce(l.copy_line, -1),"
           " coalesce(l.copy_snap, 0),"
           " (SELECT array_agg(u.user_nid ORDER BY u.user_nid) FROM user_room u WHERE u.room_nid = $1 AND u.membership = 2)"
           " FROM room r LEFT JOIN LATERAL (SELECT * FROM timeline x WHERE x.room_nid = $1 AND x.pos > 0"
           "   ORDER BY x.pos DESC LIMIT 1) t ON true LEFT JOIN room_summary s ON s.room_nid = $1"
           " LEFT JOIN state_line l ON l.room_nid = $1 AND l.line = t.line"
           " WHERE r.room_nid = $1 AND r.flags & 4 = 0",
    .params = "n", .cols = ROW_LETTERS "NNttiiiiN", .big = "timeline room room_summary user_room state_line",
};

static const hs_stmt TOPS = {
    .name = "room_tops",
    .sql = "SELECT p.room_nid, coalesce(t.line, 0), coalesce(t.snap, 0), coalesce(cardinality(t.heads), 1)"
           " FROM (SELECT r.room_nid, r.flags FROM room r WHERE r.room_nid > $1 ORDER BY r.room_nid LIMIT $2) p"
           " LEFT JOIN LATERAL (SELECT x.line, x.snap, x.heads FROM timeline x WHERE x.room_nid = p.room_nid AND x.pos > 0"
           "   AND p.flags & 4 = 0 ORDER BY x.pos DESC LIMIT 1) t ON true ORDER BY p.room_nid",
    .params = "ni", .cols = "niii", .big = "timeline room",
};

static const hs_stmt FORWARD = {
    .name = "timeline_forward",
    .sql = "SELECT" ROW_COLS " FROM timeline t WHERE t.room_nid = $1 AND t.event_nid <> 0 AND t.pos > $2 AND t.pos <= $3"
           " ORDER BY t.pos LIMIT $4",
    .params = "nnni", .cols = ROW_LETTERS, .big = "timeline",
};
static const hs_stmt BACKWARD = {
    .name = "timeline_backward",
    .sql = "SELECT" ROW_COLS " FROM timeline t WHERE t.room_nid = $1 AND t.event_nid <> 0 AND t.pos > $2 AND t.pos <= $3"
           " ORDER BY t.pos DESC LIMIT $4",
    .params = "nnni", .cols = ROW_LETTERS, .big = "timeline",
};
static const hs_stmt TOPO_FORWARD = {
    .name = "timeline_topo_forward",
    .sql = "SELECT" ROW_COLS " FROM timeline t WHERE t.room_nid = $1 AND t.event_nid <> 0"
           " AND (t.depth, t.pos) > ($2, $3) AND (t.depth, t.pos) <= ($4, $5) AND t.pos > $6 AND t.pos <= $7"
           " ORDER BY t.depth, t.pos LIMIT $8",
    .params = "nnnnnnni", .cols = ROW_LETTERS, .big = "timeline",
};
static const hs_stmt TOPO_BACKWARD = {
    .name = "timeline_topo_backward",
    .sql = "SELECT" ROW_COLS " FROM timeline t WHERE t.room_nid = $1 AND t.event_nid <> 0"
           " AND (t.depth, t.pos) > ($2, $3) AND (t.depth, t.pos) <= ($4, $5) AND t.pos > $6 AND t.pos <= $7"
           " ORDER BY t.depth DESC, t.pos DESC LIMIT $8",
    .params = "nnnnnnni", .cols = ROW_LETTERS, .big = "timeline",
};
static const hs_stmt SHALLOWEST = {
    .name = "timeline_shallowest",
    .sql = "SELECT count(*), min(x.depth) FROM (SELECT t.depth FROM timeline t WHERE t.room_nid = $1 AND t.pos > $2"
           " AND t.pos <= $3 ORDER BY t.pos LIMIT $4) x",
    .params = "nnni", .cols = "nn", .big = "timeline",
};
/* The inner query picks the rows, so that the join is of `limit` rows whatever the planner thinks. */
static const hs_stmt MANY = {
    .name = "timeline_many",
    .sql = "SELECT" ROW_COLS "," HS_EVENT_COLS " FROM unnest($1) WITH ORDINALITY w(room, i)"
           " CROSS JOIN LATERAL (SELECT * FROM timeline x WHERE x.room_nid = w.room AND x.event_nid <> 0"
           "   AND x.pos > $2 AND x.pos <= $3 ORDER BY x.pos DESC LIMIT $4) t"
           " JOIN event e ON e.room_nid = t.room_nid AND e.event_nid = t.event_nid ORDER BY w.i, t.pos DESC",
    .params = "Nnni", .cols = ROW_LETTERS HS_EVENT_LETTERS, .big = "timeline event redaction",
};
/* By the event's depth, which saves an index on event_nid: rows of one depth are few, and the index holds event_nid. */
static const hs_stmt OF_EVENTS = {
    .name = "timeline_of_events",
    .sql = "SELECT" ROW_COLS " FROM unnest($2) WITH ORDINALITY w(nid, i)"
           " LEFT JOIN event e ON e.room_nid = $1 AND e.event_nid = w.nid"
           " LEFT JOIN LATERAL (SELECT * FROM timeline x WHERE x.room_nid = $1 AND x.depth = e.depth"
           "   AND x.event_nid = w.nid LIMIT 1) t ON true ORDER BY w.i",
    .params = "nN", .cols = ROW_LETTERS, .big = "timeline event",
};
static const hs_stmt WITH_NEWS = {
    .name = "timeline_with_news",
    .sql = "SELECT w.room FROM unnest($1) WITH ORDINALITY w(room, i) CROSS JOIN LATERAL (SELECT FROM timeline t"
           " WHERE t.room_nid = w.room AND t.pos > $2 AND t.pos <= $3 LIMIT 1) x ORDER BY w.i",
    .params = "Nnn", .cols = "n", .big = "timeline",
};
static const hs_stmt ROOMS_AFTER = {
    .name = "timeline_rooms_after",
    .sql = "SELECT room_nid, max(pos) FROM timeline WHERE pos > $1 GROUP BY room_nid",
    .params = "n", .cols = "nn", /* by the block range index on pos: once, at start */
};
static const hs_stmt STREAM = {
    .name = "timeline_stream",
    .sql = "SELECT t.room_nid, t.event_nid, t.pos FROM unnest($1) r(room_nid) CROSS JOIN LATERAL"
           " (SELECT room_nid, event_nid, pos FROM timeline x WHERE x.room_nid = r.room_nid AND x.pos > $2 AND x.pos <= $3"
           "   AND x.event_nid <> 0 ORDER BY x.pos LIMIT $4) t ORDER BY t.pos LIMIT $4",
    .params = "Nnni", .cols = "nnn", .big = "timeline",
};
/* clang-format on */

const hs_stmt *const hs_timeline_statements[] = {
    &HEAD,       &ROOM_NOW, &TOPS,      &FORWARD,   &BACKWARD,    &TOPO_FORWARD, &TOPO_BACKWARD,
    &SHALLOWEST, &MANY,     &OF_EVENTS, &WITH_NEWS, &ROOMS_AFTER, &STREAM,       NULL,
};

static void read_row(const hs_rows *r, size_t row, hs_timeline_row *ret)
{
    *ret = (hs_timeline_row){
        .room = hs_rows_i64(r, row, 0),
        .pos = hs_rows_i64(r, row, 1),
        .depth = hs_rows_i64(r, row, 2),
        .line = (int32_t)hs_rows_i64(r, row, 3),
        .snap = (int32_t)hs_rows_i64(r, row, 4),
        .event = hs_rows_i64(r, row, 5),
        .n_notify = (int32_t)hs_rows_i64(r, row, 6),
        .n_high = (int32_t)hs_rows_i64(r, row, 7),
    };
}

static hs_error *read_rows(const hs_rows *rows, hs_arena *a, hs_timeline_row **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(rows);
    hs_timeline_row *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        read_row(rows, i, &out[i]);
    *ret = out;
    *ret_n = n;
    return NULL;
}

static hs_error *read_joined(const hs_rows *rows, hs_arena *a, hs_timeline_row **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(rows);
    hs_timeline_row *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++) {
        read_row(rows, i, &out[i]);
        hs_event_row_read(rows, i, ROW_COLS_N, &out[i].ev);
    }
    *ret = out;
    *ret_n = n;
    return NULL;
}

static hs_error *read_head(const hs_rows *rows, hs_arena *a, hs_timeline_row *ret)
{
    hs_nid *head;

    read_row(rows, 0, ret);
    HS_TRY(hs_rows_nids(rows, a, 0, ROW_COLS_N, &ret->heads));
    HS_TRY(hs_rows_nids(rows, a, 0, ROW_COLS_N + 1, &ret->delta));
    if (!ret->heads.n && ret->event) {
        HS_TRY(hs_alloc(a, 1, &head));
        *head = ret->event;
        ret->heads = (hs_nids){ head, 1 };
    }
    return NULL;
}

hs_error *hs_store_head_at(hs_db *db, hs_arena *a, hs_nid room, int64_t pos, hs_timeline_row *ret, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &HEAD, &rows, room, pos));
    *ret_found = hs_rows_count(rows) > 0;
    if (!*ret_found)
        return NULL;
    return read_head(rows, a, ret);
}

hs_error *hs_store_head(hs_db *db, hs_arena *a, hs_nid room, hs_timeline_row *ret, bool *ret_found)
{
    return hs_store_head_at(db, a, room, INT64_MAX, ret, ret_found);
}

hs_error *hs_store_room_tops(hs_db *db, hs_arena *a, hs_nid after, int32_t limit, hs_room_top **ret, size_t *ret_n)
{
    hs_room_top *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &TOPS, &rows, after, limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_room_top){ .room = hs_rows_i64(rows, i, 0),
                                .line = (int32_t)hs_rows_i64(rows, i, 1),
                                .snap = (int32_t)hs_rows_i64(rows, i, 2),
                                .heads_n = (int32_t)hs_rows_i64(rows, i, 3) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_room_now(hs_db *db, hs_arena *a, hs_nid room, hs_room_now *ret, bool *ret_found)
{
    hs_rows *rows;
    hs_room_now out = { 0 };

    HS_TRY(hs_db_query(db, a, &ROOM_NOW, &rows, room));
    *ret_found = hs_rows_count(rows) > 0;
    if (!*ret_found)
        return NULL;
    out.has_head = !hs_rows_null(rows, 0, 0);
    if (out.has_head)
        HS_TRY(read_head(rows, a, &out.head));
    out.room_id = hs_rows_str(rows, 0, ROW_COLS_N + 2);
    out.version = hs_rows_str(rows, 0, ROW_COLS_N + 3);
    out.joined = hs_rows_i64(rows, 0, ROW_COLS_N + 4);
    out.invited = hs_rows_i64(rows, 0, ROW_COLS_N + 5);
    out.copy_line = (int32_t)hs_rows_i64(rows, 0, ROW_COLS_N + 6);
    out.copy_snap = (int32_t)hs_rows_i64(rows, 0, ROW_COLS_N + 7);
    HS_TRY(hs_rows_nids(rows, a, 0, ROW_COLS_N + 8, &out.local_members));
    *ret = out;
    return NULL;
}

hs_error *hs_store_timeline(hs_db *db, hs_arena *a, hs_nid room, int64_t low, int64_t high, hs_direction dir,
                            int32_t limit, hs_timeline_row **ret, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, dir == HS_FORWARD ? &FORWARD : &BACKWARD, &rows, room, low, high, limit));
    return read_rows(rows, a, ret, ret_n);
}

hs_error *hs_store_timeline_topo(hs_db *db, hs_arena *a, hs_nid room, const hs_span *span, hs_direction dir,
                                 int32_t limit, hs_timeline_row **ret, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, dir == HS_FORWARD ? &TOPO_FORWARD : &TOPO_BACKWARD, &rows, room, span->low.depth,
                       span->low.pos, span->high.depth, span->high.pos, span->after, span->upto, limit));
    return read_rows(rows, a, ret, ret_n);
}

hs_error *hs_store_timeline_shallowest(hs_db *db, hs_arena *a, hs_nid room, int64_t low, int64_t high, int32_t limit,
                                       int64_t *ret_depth, bool *ret_known)
{
    hs_rows *rows;
    int64_t n;

    HS_TRY(hs_db_query(db, a, &SHALLOWEST, &rows, room, low, high, limit));
    n = hs_rows_i64(rows, 0, 0);
    *ret_known = n > 0 && n < limit;
    if (*ret_known)
        *ret_depth = hs_rows_i64(rows, 0, 1);
    return NULL;
}

hs_error *hs_store_timelines(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, int64_t low, int64_t high,
                             int32_t limit, hs_timeline_row **ret, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MANY, &rows, (hs_nids){ rooms, n }, low, high, limit));
    return read_joined(rows, a, ret, ret_n);
}

hs_error *hs_store_timeline_of(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *nids, size_t n, hs_timeline_row *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &OF_EVENTS, &rows, room, (hs_nids){ nids, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        read_row(rows, i, &ret[i]);
    return NULL;
}

hs_error *hs_store_rooms_with_news(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, int64_t low, int64_t high,
                                   hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *out;
    size_t found;

    HS_TRY(hs_db_query(db, a, &WITH_NEWS, &rows, (hs_nids){ rooms, n }, low, high));
    found = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, found, &out));
    for (size_t i = 0; i < found; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ out, found };
    return NULL;
}

hs_error *hs_store_rooms_after(hs_db *db, hs_arena *a, int64_t low, hs_room_pos **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_room_pos *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &ROOMS_AFTER, &rows, low));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_room_pos){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_timeline_stream(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, int64_t low, int64_t high,
                                   int32_t limit, hs_stream_row **ret, size_t *ret_n)
{
    hs_stream_row *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &STREAM, &rows, (hs_nids){ rooms, n }, low, high, limit));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_stream_row){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2) };
    *ret = out;
    *ret_n = n;
    return NULL;
}
