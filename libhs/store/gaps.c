/* See gaps.h. */
#include "store/gaps.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt GAP_INSERT = {
    .name = "gap_insert",
    .sql = "INSERT INTO room_gap(room_nid, missing_nid, child_nid, depth) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    .params = "nnnn",
};
static const hs_stmt GAP_CLOSE = {
    .name = "gap_close",
    .sql = "DELETE FROM room_gap WHERE room_nid = $1 AND missing_nid = $2",
    .params = "nn", .big = "room_gap",
};
static const hs_stmt GAP_FOLLOWED = {
    .name = "gap_followed",
    .sql = "SELECT EXISTS (SELECT FROM room_gap g CROSS JOIN LATERAL (SELECT e.flags FROM event e WHERE e.room_nid = $1"
           "   AND e.event_nid = g.child_nid OFFSET 0) c WHERE g.room_nid = $1 AND g.missing_nid = $2 AND c.flags & 7 = 0)",
    .params = "nn", .cols = "f", .big = "room_gap event",
};
static const hs_stmt GAPS = {
    .name = "gaps",
    .sql = "SELECT g.missing_nid, g.child_nid, e.event_id, g.depth FROM (SELECT * FROM room_gap WHERE room_nid = $1"
           "   ORDER BY depth DESC, missing_nid LIMIT $2) g CROSS JOIN LATERAL (SELECT x.event_id FROM event x"
           "   WHERE x.room_nid = $1 AND x.event_nid = g.missing_nid OFFSET 0) e ORDER BY g.depth DESC, g.missing_nid",
    .params = "ni", .cols = "nntn", .big = "room_gap event",
};
static const hs_stmt STAGE_PUT = {
    .name = "stage_put",
    .sql = "INSERT INTO fed_stage(room_nid, seq, origin_nid, event_id, body, received_ts) VALUES ($1, $2, $3, $4, $5, $6)"
           " ON CONFLICT (room_nid, event_id) DO UPDATE SET origin_nid = excluded.origin_nid"
           " RETURNING (SELECT count(*) FROM fed_stage f WHERE f.room_nid = $1)",
    .params = "nnntbn", .cols = "n", .big = "fed_stage",
};
static const hs_stmt STAGE_PRUNE = {
    .name = "stage_prune",
    .sql = "WITH kept AS (SELECT s.event_id FROM fed_stage s WHERE s.room_nid = $1 AND NOT EXISTS (SELECT FROM fed_stage o"
           "   WHERE o.room_nid = $1 AND o.event_id <> s.event_id AND position(convert_to(s.event_id, 'UTF8') IN o.body) > 0)"
           "   ORDER BY s.seq DESC LIMIT $2)"
           " DELETE FROM fed_stage WHERE room_nid = $1 AND event_id NOT IN (SELECT kept.event_id FROM kept)",
    .params = "ni", .big = "fed_stage",
};
static const hs_stmt STAGE_OF = {
    .name = "stage_of",
    .sql = "SELECT seq, origin_nid, event_id, body, received_ts FROM fed_stage"
           " WHERE room_nid = $1 AND (event_id = $2 OR position(convert_to($2, 'UTF8') IN body) > 0) ORDER BY seq LIMIT $3",
    .params = "nti", .cols = "nntbn", .big = "fed_stage",
};
static const hs_stmt STAGE_GET = {
    .name = "stage_get",
    .sql = "SELECT seq, origin_nid, event_id, body, received_ts FROM fed_stage WHERE room_nid = $1 AND event_id = ANY($2)"
           " ORDER BY seq",
    .params = "nT", .cols = "nntbn", .big = "fed_stage",
};
static const hs_stmt STAGE_DROP = {
    .name = "stage_drop",
    .sql = "DELETE FROM fed_stage WHERE room_nid = $1 AND event_id = $2",
    .params = "nt", .big = "fed_stage",
};
static const hs_stmt STAGE_EXPIRE = {
    .name = "stage_expire",
    .sql = "DELETE FROM fed_stage WHERE ctid = ANY(ARRAY(SELECT ctid FROM fed_stage WHERE received_ts < $1 LIMIT 1000))",
    .params = "n",
};
/* clang-format on */

const hs_stmt *const hs_gaps_statements[] = {
    &GAP_INSERT, &GAP_CLOSE, &GAP_FOLLOWED, &GAPS,         &STAGE_PUT, &STAGE_PRUNE,
    &STAGE_OF,   &STAGE_GET, &STAGE_DROP,   &STAGE_EXPIRE, NULL,
};

hs_error *hs_store_gap_insert(hs_write *w, hs_nid room, hs_nid missing, hs_nid child, int64_t depth)
{
    return hs_write_before(w, &GAP_INSERT, room, missing, child, depth);
}

hs_error *hs_store_gap_close(hs_write *w, hs_nid room, hs_nid missing)
{
    return hs_write_before(w, &GAP_CLOSE, room, missing);
}

hs_error *hs_store_gap_followed(hs_db *db, hs_arena *a, hs_nid room, hs_nid missing, bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &GAP_FOLLOWED, &rows, room, missing));
    *ret = hs_rows_count(rows) && hs_rows_bool(rows, 0, 0);
    return NULL;
}

hs_error *hs_store_gaps(hs_db *db, hs_arena *a, hs_nid room, int32_t limit, hs_gap_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_gap_row *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &GAPS, &rows, room, limit));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_gap_row){ .missing = hs_rows_i64(rows, i, 0),
                               .child = hs_rows_i64(rows, i, 1),
                               .missing_id = hs_rows_str(rows, i, 2),
                               .depth = hs_rows_i64(rows, i, 3) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_stage_put(hs_db *db, hs_arena *a, const hs_stage_row *row)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &STAGE_PUT, &rows, row->room, row->seq, row->origin, row->event_id, row->body,
                       row->received_ts));
    if (!hs_rows_count(rows) || hs_rows_i64(rows, 0, 0) < HS_STAGE_MAX)
        return NULL;
    return hs_db_exec(db, a, &STAGE_PRUNE, NULL, row->room, (int32_t)HS_STAGE_KEPT);
}

static hs_error *read_stage(const hs_rows *rows, hs_arena *a, hs_nid room, hs_stage_row **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(rows);
    hs_stage_row *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_stage_row){ .room = room,
                                 .seq = hs_rows_i64(rows, i, 0),
                                 .origin = hs_rows_i64(rows, i, 1),
                                 .event_id = hs_rows_str(rows, i, 2),
                                 .body = hs_rows_str(rows, i, 3),
                                 .received_ts = hs_rows_i64(rows, i, 4) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_stage_of(hs_db *db, hs_arena *a, hs_nid room, hs_str event_id, int32_t limit, hs_stage_row **ret,
                            size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &STAGE_OF, &rows, room, event_id, limit));
    return read_stage(rows, a, room, ret, ret_n);
}

hs_error *hs_store_stage_get(hs_db *db, hs_arena *a, hs_nid room, hs_strs ids, hs_stage_row **ret, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &STAGE_GET, &rows, room, ids));
    return read_stage(rows, a, room, ret, ret_n);
}

hs_error *hs_store_stage_drop(hs_db *db, hs_arena *a, hs_nid room, hs_str event_id)
{
    return hs_db_exec(db, a, &STAGE_DROP, NULL, room, event_id);
}

hs_error *hs_store_stage_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n)
{
    return hs_tx_exec(tx, a, &STAGE_EXPIRE, ret_n, before_ts);
}
