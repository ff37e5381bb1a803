/* See retention.h. */
#include "store/retention.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt RETAINED = {
    .name = "rooms_retained",
    .sql = "SELECT r.room_nid, r.room_id, s.retention_max FROM (SELECT x.room_nid, x.retention_max FROM room_summary x"
           " WHERE x.room_nid > $1 ORDER BY x.room_nid LIMIT $2) s JOIN room r ON r.room_nid = s.room_nid AND r.flags & 4 = 0"
           " ORDER BY s.room_nid",
    .params = "ni", .cols = "ntn", .big = "room_summary room",
};
/* $3: the slot. The chain is a room's newest line and its bases, as in state.c, here of many rooms at once. */
static const hs_stmt POLICIES = {
    .name = "room_policies",
    .sql = "WITH RECURSIVE page AS MATERIALIZED (SELECT x.room_nid, x.pos, x.retention_max FROM room_summary x WHERE x.room_nid > $1"
           " ORDER BY x.room_nid LIMIT $2),"
           " chain AS (SELECT p.room_nid, 0 AS depth, t.line, t.snap FROM page p CROSS JOIN LATERAL"
           "   (SELECT x.line, x.snap FROM timeline x WHERE x.room_nid = p.room_nid ORDER BY x.pos DESC LIMIT 1) t"
           "   WHERE p.retention_max IS NULL"
           " UNION ALL SELECT c.room_nid, c.depth + 1, l.base_line, l.base_snap FROM chain c"
           "   JOIN state_line l ON l.room_nid = c.room_nid AND l.line = c.line WHERE l.base_line IS NOT NULL AND c.depth < 64),"
           " said AS (SELECT DISTINCT ON (c.room_nid) c.room_nid, h.event_nid FROM chain c CROSS JOIN LATERAL"
           "   (SELECT t.event_nid FROM state_tip t WHERE t.room_nid = c.room_nid AND t.line = c.line AND t.slot = $3"
           "     AND t.since <= c.snap UNION ALL (SELECT q.event_nid FROM state_past q WHERE q.room_nid = c.room_nid"
           "     AND q.line = c.line AND q.slot = $3 AND q.until > c.snap ORDER BY q.until LIMIT 1)) h"
           "   WHERE h.event_nid <> 0 ORDER BY c.room_nid, c.depth)"
           " SELECT p.room_nid, p.pos, e.json FROM page p LEFT JOIN said s ON s.room_nid = p.room_nid"
           " LEFT JOIN LATERAL (SELECT v.json FROM event v WHERE v.room_nid = s.room_nid AND v.event_nid = s.event_nid"
           "   AND v.flags & 8 = 0) e ON true ORDER BY p.room_nid",
    .params = "nin", .cols = "nnb", .big = "room_summary timeline state_line state_tip state_past event",
};
static const hs_stmt POLICY_SET = {
    .name = "room_policy_set",
    .sql = "UPDATE room_summary SET retention_max = $3 WHERE room_nid = $1 AND pos = $2 AND retention_max IS NULL",
    .params = "nnn", .big = "room_summary",
};
/* clang-format on */

const hs_stmt *const hs_retention_statements[] = { &RETAINED, &POLICIES, &POLICY_SET, NULL };

hs_error *hs_store_retained_rooms(hs_db *db, hs_arena *a, hs_nid after, int32_t limit, hs_retained_room **ret,
                                  size_t *ret_n)
{
    hs_retained_room *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &RETAINED, &rows, after, limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_retained_room){ .room = hs_rows_i64(rows, i, 0),
                                     .room_id = hs_rows_str(rows, i, 1),
                                     .max_ms = hs_rows_i64(rows, i, 2) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_room_policies(hs_db *db, hs_arena *a, int64_t slot, hs_nid after, int32_t limit,
                                 hs_room_policy **ret, size_t *ret_n)
{
    hs_room_policy *out;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &POLICIES, &rows, after, limit, slot));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_room_policy){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1), hs_rows_str(rows, i, 2) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_room_policy_set(hs_write *w, hs_nid room, int64_t pos, int64_t max_ms)
{
    return hs_write_after(w, &POLICY_SET, room, pos, max_ms);
}
