/* See state_purge.h.
 *
 * A lookup at snapshot n of a line needs the rows of state_past with until > n. So of a line whose oldest snapshot in
 * use is `low`, those with until <= low are of no use. Who begins a line looks at `low` of its base with a lock
 * (hs_line_insert), which the first statement here waits for: what the second one counts is all there is. */
#include "store/state_purge.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt LOCK = {
    .name = "state_purge_lock",
    .sql = "SELECT line FROM state_line WHERE room_nid = $1 ORDER BY line FOR UPDATE",
    .params = "n", .cols = "i", .big = "state_line",
};
/* Which snapshots are in use, by line: the oldest. The events of a room are read once for it. */
#define IN_USE                                                                                                         \
    "WITH used AS (SELECT u.line, min(u.snap) AS low FROM ("                                                           \
    "   SELECT e.line, e.snap FROM event e WHERE e.room_nid = $1 AND e.line IS NOT NULL"                               \
    "   UNION ALL SELECT t.line, t.snap FROM timeline t WHERE t.room_nid = $1"                                         \
    "   UNION ALL SELECT b.base_line, b.base_snap FROM state_line b WHERE b.room_nid = $1 AND b.base_line IS NOT NULL" \
    "   ) u GROUP BY u.line)"
static const hs_stmt LOWS = {
    .name = "state_purge_lows",
    .sql = IN_USE
           " UPDATE state_line l SET low = u.low FROM used u WHERE l.room_nid = $1 AND l.line = u.line AND l.low < u.low",
    .params = "n", .big = "state_line",
};
static const hs_stmt LINES = {
    .name = "state_purge_lines",
    .sql = IN_USE
           ", gone AS (DELETE FROM state_line l WHERE l.room_nid = $1 AND NOT EXISTS (SELECT FROM used u WHERE u.line = l.line)"
           "   RETURNING l.line)"
           ", tips AS (DELETE FROM state_tip WHERE room_nid = $1 AND line = ANY(ARRAY(SELECT g.line FROM gone g)))"
           " DELETE FROM state_past WHERE room_nid = $1 AND line = ANY(ARRAY(SELECT g.line FROM gone g))",
    .params = "n", .big = "state_line state_tip state_past",
};
static const hs_stmt PAST = {
    .name = "state_purge_past",
    .sql = "DELETE FROM state_past WHERE ctid = ANY(ARRAY(SELECT p.ctid FROM state_line l CROSS JOIN LATERAL (SELECT x.ctid"
           "   FROM state_past x WHERE x.room_nid = $1 AND x.line = l.line AND x.until <= l.low LIMIT $2) p"
           "   WHERE l.room_nid = $1 AND l.low > 0 LIMIT $2))",
    .params = "ni", .big = "state_line state_past",
};
/* clang-format on */

const hs_stmt *const hs_state_purge_statements[] = { &LOCK, &LOWS, &LINES, &PAST, NULL };

hs_error *hs_store_state_purge(hs_tx *tx, hs_arena *a, hs_nid room, int32_t limit, uint64_t *ret_n)
{
    uint64_t raised, lines, past;
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &LOCK, &rows, room));
    HS_TRY(hs_tx_exec(tx, a, &LINES, &lines, room));
    HS_TRY(hs_tx_exec(tx, a, &LOWS, &raised, room));
    HS_TRY(hs_tx_exec(tx, a, &PAST, &past, room, limit));
    *ret_n = lines + raised + past;
    return NULL;
}
