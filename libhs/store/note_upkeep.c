/* See note_upkeep.h. */
#include "store/note_upkeep.h"

#include "store/statements.h"

#define MARK_EVERY_MS (INT64_C(15) * 60 * 1000)

/* clang-format off */
static const hs_stmt HORIZON = {
    .name = "note_horizon",
    .sql = "SELECT coalesce((SELECT pos FROM note_mark WHERE ts <= $1 ORDER BY ts DESC LIMIT 1), 0),"
           " coalesce((SELECT pos FROM note_mark WHERE ts <= $2 ORDER BY ts DESC LIMIT 1), 0)",
    .params = "nn", .cols = "nn", .big = "note_mark",
};
static const hs_stmt MARK = {
    .name = "note_mark",
    .sql = "INSERT INTO note_mark SELECT $1, $2 WHERE coalesce((SELECT max(ts) FROM note_mark), 0) <= $1 - $3",
    .params = "nnn", .big = "note_mark",
};
/* The newest mark that is old enough stays: the horizon never moves back. */
static const hs_stmt MARKS_EXPIRE = {
    .name = "note_marks_expire",
    .sql = "DELETE FROM note_mark WHERE ts < (SELECT ts FROM note_mark WHERE ts <= $1 ORDER BY ts DESC LIMIT 1)",
    .params = "n", .big = "note_mark",
};
/* Unread notes of one user, room and thread become one for each `part`, since d_notify and d_high are small integers: a
 * part is 16,000 and what the note that goes over it adds, which is no more than that. */
static const hs_stmt SLICE = {
    .name = "notes_slice",
    .sql = "WITH s AS MATERIALIZED (SELECT user_nid, room_nid, pos, thread_nid, d_notify, d_high FROM push_note"
           "   WHERE user_nid > 0 AND (user_nid, room_nid, pos) > ($1, $2, $3) ORDER BY user_nid, room_nid, pos LIMIT $4 FOR UPDATE),"
           " k AS (SELECT DISTINCT user_nid, room_nid, thread_nid FROM s),"
           " r AS MATERIALIZED (SELECT k.*, (SELECT max(event_pos) FROM receipt c WHERE c.room_nid = k.room_nid AND c.user_nid = k.user_nid"
           "   AND c.thread_nid IN (-1, k.thread_nid) AND c.type IN ('m.read', 'm.read.private', '')) seen FROM k),"
           " old AS MATERIALIZED (SELECT s.*, r.seen, sum(CASE WHEN s.pos > r.seen THEN abs(s.d_notify) + abs(s.d_high) END)"
           "     OVER (PARTITION BY s.user_nid, s.room_nid, s.thread_nid ORDER BY s.pos) / 16000 part"
           "   FROM s JOIN (SELECT user_nid, room_nid, thread_nid, coalesce(seen, 0) seen FROM r) r USING (user_nid, room_nid, thread_nid)"
           "   WHERE s.pos < CASE WHEN s.d_high = 0 THEN $5 ELSE $6 END),"
           " one AS MATERIALIZED (SELECT user_nid, room_nid, thread_nid, part, max(pos) pos, sum(d_notify) notify, sum(d_high) high FROM old"
           "   WHERE pos > seen AND abs(d_notify) + abs(d_high) <= 16000 GROUP BY user_nid, room_nid, thread_nid, part HAVING count(*) > 1),"
           " kept AS (UPDATE push_note p SET d_notify = one.notify, d_high = one.high, event_nid = 0, actions = 0 FROM one"
           "   WHERE (p.user_nid, p.room_nid, p.pos) = (one.user_nid, one.room_nid, one.pos)),"
           " gone AS (DELETE FROM push_note p USING old LEFT JOIN one USING (user_nid, room_nid, thread_nid, part)"
           "   WHERE (p.user_nid, p.room_nid, p.pos) = (old.user_nid, old.room_nid, old.pos)"
           "   AND (old.pos <= old.seen OR (old.pos < one.pos AND abs(old.d_notify) + abs(old.d_high) <= 16000)))"
           " SELECT user_nid, room_nid, pos, (SELECT count(*) FROM s) FROM s ORDER BY user_nid DESC, room_nid DESC, pos DESC LIMIT 1",
    .params = "nnninn", .cols = "nnnn", .big = "push_note receipt",
};
/* clang-format on */

const hs_stmt *const hs_note_upkeep_statements[] = { &HORIZON, &MARK, &MARKS_EXPIRE, &SLICE, NULL };

hs_error *hs_store_note_horizon(hs_db *db, hs_arena *a, int64_t now, hs_note_horizon *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &HORIZON, &rows, now - HS_NOTES_PLAIN_MS, now - HS_NOTES_HIGH_MS));
    *ret = (hs_note_horizon){ .plain = hs_rows_i64(rows, 0, 0), .high = hs_rows_i64(rows, 0, 1) };
    return NULL;
}

hs_error *hs_store_note_mark(hs_tx *tx, hs_arena *a, int64_t now, int64_t pos)
{
    uint64_t n;

    HS_TRY(hs_tx_exec(tx, a, &MARK, &n, now, pos, MARK_EVERY_MS));
    return n ? hs_tx_exec(tx, a, &MARKS_EXPIRE, &n, now - HS_NOTES_HIGH_MS) : NULL;
}

hs_error *hs_store_notes_slice(hs_tx *tx, hs_arena *a, const hs_note_horizon *h, int32_t limit, hs_note_key *at,
                               bool *ret_end)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, &SLICE, &rows, at->user, at->room, at->pos, limit, h->plain, h->high));
    *ret_end = !hs_rows_count(rows) || hs_rows_i64(rows, 0, 3) < limit;
    if (hs_rows_count(rows))
        *at = (hs_note_key){ hs_rows_i64(rows, 0, 0), hs_rows_i64(rows, 0, 1), hs_rows_i64(rows, 0, 2) };
    return NULL;
}
