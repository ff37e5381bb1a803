/* See purge_history.h. Where a user of ours has left, a marker stays in the timeline: it says at which state, which
 * they may still read. */
#include "store/purge_history.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt SLICE = {
    .name = "history_slice",
    .sql = "WITH head AS (SELECT coalesce(h.heads, ARRAY[h.event_nid]) AS at FROM (SELECT t.heads, t.event_nid FROM timeline t"
           "   WHERE t.room_nid = $1 AND t.pos > 0 ORDER BY t.pos DESC LIMIT 1) h),"
           " old AS MATERIALIZED (SELECT t.pos, t.depth, t.event_nid, e.slot IS NULL"
           "     AND ($5 OR (SELECT u.server_nid FROM user_id u WHERE u.user_nid = e.sender_nid) <> $4) AS drops"
           "   FROM (SELECT x.pos, x.depth, x.event_nid FROM timeline x WHERE x.room_nid = $1 AND x.depth >= $2 AND x.depth < $3"
           "     AND x.event_nid <> 0 AND x.event_nid <> ALL ((SELECT head.at FROM head)::bigint[]) ORDER BY x.depth, x.pos LIMIT $6) t"
           "   JOIN event e ON e.room_nid = $1 AND e.event_nid = t.event_nid),"
           " stays AS MATERIALIZED (SELECT m.left_pos AS pos FROM user_room m WHERE m.room_nid = $1 AND m.left_pos IS NOT NULL),"
           " places AS (DELETE FROM timeline WHERE room_nid = $1 AND pos IN (SELECT old.pos FROM old)"
           "   AND pos NOT IN (SELECT stays.pos FROM stays)),"
           " marks AS (UPDATE timeline SET event_nid = 0 WHERE room_nid = $1 AND pos IN (SELECT old.pos FROM old)"
           "   AND pos IN (SELECT stays.pos FROM stays)),"
           " kept AS (UPDATE event e SET flags = e.flags | 1, line = NULL, snap = NULL WHERE e.room_nid = $1"
           "   AND e.event_nid IN (SELECT old.event_nid FROM old WHERE NOT old.drops)),"
           " gone AS (SELECT array_agg(old.event_nid) AS at FROM old WHERE old.drops),"
           " events AS (DELETE FROM event WHERE room_nid = $1 AND event_nid = ANY ((SELECT gone.at FROM gone)::bigint[])),"
           " rel AS (DELETE FROM relation WHERE room_nid = $1 AND target_nid = ANY ((SELECT gone.at FROM gone)::bigint[])),"
           " thr AS (DELETE FROM thread WHERE room_nid = $1 AND root_nid = ANY ((SELECT gone.at FROM gone)::bigint[])),"
           " red AS (DELETE FROM redaction WHERE room_nid = $1 AND target_nid = ANY ((SELECT gone.at FROM gone)::bigint[])),"
           " sea AS (DELETE FROM event_search WHERE room_nid = $1 AND event_nid = ANY ((SELECT gone.at FROM gone)::bigint[])),"
           " xpi AS (DELETE FROM event_expiry WHERE room_nid = $1 AND event_nid = ANY ((SELECT gone.at FROM gone)::bigint[]))"
           " SELECT count(*), max(old.depth) FROM old",
    .params = "nnnnfi", .cols = "nn", .big = "timeline event relation thread redaction user_room user_id",
};
static const hs_stmt RELATIONS = {
    .name = "history_relations",
    .sql = "WITH part AS MATERIALIZED (SELECT x.target_nid, x.rel_type, x.event_nid FROM relation x WHERE x.room_nid = $1"
           "   AND x.target_nid >= $2 ORDER BY x.target_nid LIMIT $3),"
           " gone AS (DELETE FROM relation r USING part s WHERE r.room_nid = $1 AND r.target_nid = s.target_nid"
           "   AND r.rel_type = s.rel_type AND r.event_nid = s.event_nid AND NOT EXISTS (SELECT FROM event e"
           "   WHERE e.room_nid = $1 AND e.event_nid = s.event_nid))"
           " SELECT count(*), max(part.target_nid) FROM part",
    .params = "nni", .cols = "nn", .big = "relation event",
};
/* clang-format on */

const hs_stmt *const hs_purge_history_statements[] = { &SLICE, &RELATIONS, NULL };

hs_error *hs_store_history_slice(hs_tx *tx, hs_arena *a, const hs_history_cut *c, int64_t *io_depth, uint64_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &SLICE, &rows, c->room, *io_depth, c->depth, c->local_server, (int)c->local, c->limit));
    *ret_n = (uint64_t)hs_rows_i64(rows, 0, 0);
    if (!hs_rows_null(rows, 0, 1))
        *io_depth = hs_rows_i64(rows, 0, 1);
    return NULL;
}

hs_error *hs_store_history_relations(hs_tx *tx, hs_arena *a, hs_nid room, int64_t *io_target, int32_t limit,
                                     uint64_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &RELATIONS, &rows, room, *io_target, limit));
    *ret_n = (uint64_t)hs_rows_i64(rows, 0, 0);
    if (!hs_rows_null(rows, 0, 1))
        *io_target = hs_rows_i64(rows, 0, 1);
    return NULL;
}
