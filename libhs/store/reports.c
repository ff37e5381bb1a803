/* See reports.h. */
#include "store/reports.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt REPORT_ADD = {
    .name = "report_add",
    .sql = "INSERT INTO report(report_nid, kind, ts, reporter_nid, room_nid, event_nid, target_nid, event_id, reason, score)"
           " SELECT nextval('report_seq'), $1, $2, $3, nullif($4, 0), nullif($5, 0), nullif($6, 0), $7, $8, $9"
           "  WHERE (SELECT count(*) FROM (SELECT 1 FROM report WHERE reporter_nid = $3 LIMIT $10) old) < $10",
    .params = "tnnnnnttoi", .big = "report",
};
#define COLS " r.report_nid, r.ts, u.mxid, t.mxid, r.reason, r.room_nid, r.event_nid, o.room_id, r.event_id, s.canonical_alias, s.name, r.score"
#define COL_TYPES "nntttnnttttn"
#define FROM " FROM report r JOIN user_id u ON u.user_nid = r.reporter_nid LEFT JOIN user_id t ON t.user_nid = r.target_nid" \
             " LEFT JOIN room o ON o.room_nid = r.room_nid LEFT JOIN room_summary s ON s.room_nid = r.room_nid"
#define WANTED " WHERE r.kind = $1 AND ($2 IS NULL OR position($2 in u.mxid) > 0) AND ($3 IS NULL OR position($3 in o.room_id) > 0)" \
               " AND ($4 IS NULL OR t.mxid = $4) AND ($5 IS NULL OR position($5 in t.mxid) > 0)"
#define UNREAD "-event -timeline -room_member -user_room"
static const hs_stmt REPORTS_LIST = {
    .name = "reports_list",
    .sql = "SELECT" COLS FROM WANTED " ORDER BY r.ts, r.report_nid LIMIT $6 OFFSET $7",
    .params = "tttttnn", .cols = COL_TYPES, .big = UNREAD,
};
static const hs_stmt REPORTS_LIST_DOWN = {
    .name = "reports_list_down",
    .sql = "SELECT" COLS FROM WANTED " ORDER BY r.ts DESC, r.report_nid DESC LIMIT $6 OFFSET $7",
    .params = "tttttnn", .cols = COL_TYPES, .big = UNREAD,
};
static const hs_stmt REPORTS_COUNT = {
    .name = "reports_count",
    .sql = "SELECT count(*)" FROM WANTED,
    .params = "ttttt", .cols = "n", .big = UNREAD,
};
static const hs_stmt REPORT_GET = {
    .name = "report_get",
    .sql = "SELECT" COLS FROM " WHERE r.kind = $1 AND r.report_nid = $2",
    .params = "tn", .cols = COL_TYPES, .big = "report room room_summary user_id",
};
static const hs_stmt REPORT_REMOVE = {
    .name = "report_remove",
    .sql = "DELETE FROM report WHERE kind = $1 AND report_nid = $2",
    .params = "tn", .big = "report",
};
/* clang-format on */

const hs_stmt *const hs_reports_statements[] = {
    &REPORT_ADD, &REPORTS_LIST, &REPORTS_LIST_DOWN, &REPORTS_COUNT, &REPORT_GET, &REPORT_REMOVE, NULL,
};

hs_error *hs_store_report_add(hs_db *db, hs_arena *a, const hs_report_new *row, int32_t most, bool *ret_kept)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &REPORT_ADD, &n, hs_str_c(row->kind), row->ts, row->reporter, row->room, row->event,
                      row->target, row->event_id, row->reason, row->score, most));
    *ret_kept = n > 0;
    return NULL;
}

static hs_report_row read_report(const hs_rows *r, size_t i)
{
    return (hs_report_row){
        .id = hs_rows_i64(r, i, 0),
        .ts = hs_rows_i64(r, i, 1),
        .reporter = hs_rows_str(r, i, 2),
        .target = hs_rows_str(r, i, 3),
        .reason = hs_rows_str(r, i, 4),
        .room = hs_rows_i64(r, i, 5),
        .event = hs_rows_i64(r, i, 6),
        .room_id = hs_rows_str(r, i, 7),
        .event_id = hs_rows_str(r, i, 8),
        .canonical_alias = hs_rows_str(r, i, 9),
        .name = hs_rows_str(r, i, 10),
        .has_score = !hs_rows_null(r, i, 11),
        .score = hs_rows_i64(r, i, 11),
    };
}

hs_error *hs_store_reports_list(hs_db *db, hs_arena *a, const hs_report_query *q, hs_report_row **ret, size_t *ret_n,
                                int64_t *ret_total)
{
    const hs_str kind = hs_str_c(q->kind);
    hs_report_row *out;
    hs_rows *rows, *total;
    hs_pipe *p;

    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, q->descending ? &REPORTS_LIST_DOWN : &REPORTS_LIST, &rows, kind, q->reporter, q->room_id,
                       q->target, q->target_part, q->limit, q->from));
    HS_TRY(hs_pipe_add(p, &REPORTS_COUNT, &total, kind, q->reporter, q->room_id, q->target, q->target_part));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = read_report(rows, i);
    *ret = out;
    *ret_n = n;
    *ret_total = hs_rows_i64(total, 0, 0);
    return NULL;
}

hs_error *hs_store_report_get(hs_db *db, hs_arena *a, const char *kind, int64_t id, hs_report_row **ret)
{
    hs_rows *rows;

    *ret = NULL;
    HS_TRY(hs_db_query(db, a, &REPORT_GET, &rows, hs_str_c(kind), id));
    if (!hs_rows_count(rows))
        return NULL;
    HS_TRY(hs_alloc(a, 1, ret));
    **ret = read_report(rows, 0);
    return NULL;
}

hs_error *hs_store_report_remove(hs_db *db, hs_arena *a, const char *kind, int64_t id, bool *ret_found)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &REPORT_REMOVE, &n, hs_str_c(kind), id));
    *ret_found = n > 0;
    return NULL;
}
