/* See state_points.h. */
#include "store/state_points.h"

#include "store/statements.h"

static const hs_stmt STATE_POINTS = {
    .name = "state_points",
    .sql = "SELECT coalesce(t.event_nid, CASE WHEN p.since <= w.snap THEN p.event_nid END, 0), l.base_line IS NOT NULL"
           " FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[]) WITH ORDINALITY w(room_nid, line, snap, "
           "slot, i)"
           " LEFT JOIN state_tip t ON t.room_nid = w.room_nid AND t.line = w.line AND t.slot = w.slot AND t.since <= "
           "w.snap"
           " LEFT JOIN LATERAL (SELECT event_nid, since FROM state_past WHERE room_nid = w.room_nid AND line = w.line"
           " AND slot = w.slot AND until > w.snap ORDER BY until LIMIT 1) p ON t.event_nid IS NULL"
           " LEFT JOIN state_line l ON l.room_nid = w.room_nid AND l.line = w.line ORDER BY w.i",
    .params = "NIIN",
    .cols = "nf",
    .big = "state_tip state_past",
};

hs_error *hs_store_state_points(hs_db *db, hs_arena *a, const hs_state_point *points, size_t n, hs_nid *ret)
{
    hs_rows *rows;
    hs_nid *rooms, *slots;
    int32_t *lines, *snaps;

    HS_TRY(hs_alloc(a, n, &rooms));
    HS_TRY(hs_alloc(a, n, &slots));
    HS_TRY(hs_alloc(a, n, &lines));
    HS_TRY(hs_alloc(a, n, &snaps));
    for (size_t i = 0; i < n; i++) {
        rooms[i] = points[i].room;
        lines[i] = points[i].at.line;
        snaps[i] = points[i].at.snap;
        slots[i] = points[i].slot;
    }
    HS_TRY(hs_db_query(db, a, &STATE_POINTS, &rows, (hs_nids){ rooms, n }, (hs_ints){ lines, n }, (hs_ints){ snaps, n },
                       (hs_nids){ slots, n }));
    if (hs_rows_count(rows) != n)
        return hs_err_internal(a, NULL, "%zu state points gave %zu rows", n, hs_rows_count(rows));
    for (size_t i = 0; i < n; i++) {
        hs_nid event = hs_rows_i64(rows, i, 0);

        if (!event && hs_rows_bool(rows, i, 1))
            HS_TRY(hs_store_state_slot_at(db, a, points[i].room, points[i].slot, &points[i].at, 1, &event));
        ret[i] = event == HS_STATE_GONE ? 0 : event;
    }
    return NULL;
}

static const hs_stmt SLOT_EVENTS = {
    .name = "slot_events",
    .sql = "SELECT t.event_nid FROM timeline t JOIN event e ON e.room_nid = t.room_nid AND e.event_nid = t.event_nid"
           " WHERE t.room_nid = $1 AND t.pos > $3 AND t.pos <= $4 AND e.slot = $2 ORDER BY t.pos",
    .params = "nnnn",
    .cols = "n",
    .big = "timeline event",
};

hs_error *hs_store_slot_events(hs_db *db, hs_arena *a, hs_nid room, int64_t slot, int64_t low, int64_t high,
                               hs_nid **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_nid *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &SLOT_EVENTS, &rows, room, slot, low, high));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = out;
    *ret_n = n;
    return NULL;
}

const hs_stmt *const hs_state_points_statements[] = {
    &STATE_POINTS,
    &SLOT_EVENTS,
    NULL,
};
