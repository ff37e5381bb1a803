/* See state_rollover.h. */
#include "store/state_rollover.h"

#include "store/statements.h"

/* clang-format off */
/* A snapshot is one change as a rule. Of the slots only so many are counted as there may be. */
static const hs_stmt DUE = {
    .name = "rollover_due",
    .sql = "SELECT $3 - l.low > $4 AND l.base_line IS NULL AND $5 * (SELECT count(*) FROM (SELECT FROM state_tip t"
           "   WHERE t.room_nid = $1 AND t.line = $2 LIMIT ($3 - l.low) / $5 + 1) x) < $3 - l.low"
           " FROM state_line l WHERE l.room_nid = $1 AND l.line = $2",
    .params = "niiii", .cols = "f", .big = "state_line state_tip",
};
static const hs_stmt LINE = {
    .name = "rollover_line",
    .sql = "INSERT INTO state_line(room_nid, line, flags, copy_line, copy_snap) VALUES ($1, $2, $3, $4, $5)",
    .params = "niiii",
};
static const hs_stmt TIP = {
    .name = "rollover_tip",
    .sql = "INSERT INTO state_tip(room_nid, line, since, slot, event_nid)"
           " SELECT $1, $2, 0, t.slot, t.event_nid FROM state_tip t WHERE t.room_nid = $1 AND t.line = $3 AND t.event_nid > 0"
           " ORDER BY t.slot",
    .params = "nii", .big = "state_tip",
};
/* clang-format on */

const hs_stmt *const hs_state_rollover_statements[] = { &DUE, &LINE, &TIP, NULL };

hs_error *hs_store_rollover_due(hs_db *db, hs_arena *a, hs_nid room, hs_snap at, bool *ret)
{
    hs_rows *rows;

    *ret = false;
    if (at.snap <= HS_ROLLOVER_LEAST)
        return NULL;
    HS_TRY(hs_db_query(db, a, &DUE, &rows, room, at.line, at.snap, HS_ROLLOVER_LEAST, HS_ROLLOVER_FACTOR));
    *ret = hs_rows_count(rows) && hs_rows_bool(rows, 0, 0);
    return NULL;
}

hs_error *hs_store_rollover(hs_write *w, hs_nid room, int32_t line, hs_snap of)
{
    HS_TRY(hs_write_before(w, &LINE, room, line, HS_LINE_ROLLOVER, of.line, of.snap));
    return hs_write_before(w, &TIP, room, line, of.line);
}
