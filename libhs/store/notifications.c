/* See notifications.h. */
#include "store/notifications.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt ROOMS = {
    .name = "notify_rooms",
    .sql = "SELECT u.room_nid, u.membership, u.pos, coalesce(r.since, 0), coalesce(r.seen, 0) FROM"
           " (SELECT m.room_nid, m.membership, t.pos FROM user_room m"
           "   CROSS JOIN LATERAL (SELECT pos FROM timeline WHERE room_nid = m.room_nid AND pos >= $4 AND pos < $2 ORDER BY pos DESC LIMIT 1) t"
           "   WHERE m.user_nid = $1 AND m.membership IN (1, 2) AND m.flags & 1 = 0 ORDER BY t.pos DESC LIMIT $3) u"
           " CROSS JOIN LATERAL (SELECT max(event_pos) FILTER (WHERE type = '') since,"
           "   max(event_pos) FILTER (WHERE type IN ('m.read', 'm.read.private')) seen"
           "   FROM receipt WHERE room_nid = u.room_nid AND user_nid = $1) r"
           " ORDER BY u.pos DESC",
    .params = "nnin", .cols = "nsnnn", .big = "user_room timeline receipt",
};
static const hs_stmt ROWS = {
    .name = "notify_rows",
    .sql = "SELECT w.room, t.pos, t.event_nid, t.n_notify, t.n_high"
           " FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w(room, since, i) CROSS JOIN LATERAL"
           " (SELECT pos, event_nid, n_notify, n_high FROM timeline WHERE room_nid = w.room AND pos >= w.since AND pos < $3"
           "   ORDER BY pos DESC LIMIT $4) t ORDER BY w.i, t.pos DESC",
    .params = "NNni", .cols = "nnnii", .big = "timeline",
};
static const hs_stmt NOTES = {
    .name = "notify_notes",
    .sql = "SELECT w.room, n.pos, n.event_nid, u.user_nid, n.d_notify, n.d_high"
           " FROM unnest($1::bigint[]) WITH ORDINALITY AS w(room, i) CROSS JOIN (VALUES (0::bigint), ($2)) u(user_nid) CROSS JOIN LATERAL"
           " (SELECT pos, event_nid, d_notify, d_high FROM push_note WHERE user_nid = u.user_nid AND room_nid = w.room AND pos >= $5 AND pos < $3"
           "   ORDER BY pos DESC LIMIT $4) n ORDER BY w.i, n.pos DESC",
    .params = "Nnnin", .cols = "nnnnss", .big = "push_note",
};
/* clang-format on */

const hs_stmt *const hs_notifications_statements[] = { &ROOMS, &ROWS, &NOTES, NULL };

hs_error *hs_store_notify_rooms(hs_db *db, hs_arena *a, hs_nid user, int64_t from, int64_t before, int32_t limit,
                                hs_notify_room **ret, size_t *ret_n)
{
    hs_notify_room *out;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &ROOMS, &rows, user, before, limit, from));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_notify_room){ .room = hs_rows_i64(rows, i, 0),
                                   .membership = (hs_membership)hs_rows_i64(rows, i, 1),
                                   .pos = hs_rows_i64(rows, i, 2),
                                   .since = hs_rows_i64(rows, i, 3),
                                   .read = hs_rows_i64(rows, i, 4) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_notify_rows(hs_db *db, hs_arena *a, hs_nid user, hs_nids rooms, hs_nids since, int64_t from,
                               int64_t before, int32_t limit, hs_notify_rows *ret)
{
    hs_rows *rows, *notes;
    hs_pipe *p;

    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, &ROWS, &rows, rooms, since, before, limit));
    HS_TRY(hs_pipe_add(p, &NOTES, &notes, rooms, user, before, limit, from));
    HS_TRY(hs_pipe_run(p));
    *ret = (hs_notify_rows){ .rows_n = hs_rows_count(rows), .notes_n = hs_rows_count(notes) };
    HS_TRY(hs_alloc(a, ret->rows_n, &ret->rows));
    HS_TRY(hs_alloc(a, ret->notes_n, &ret->notes));
    for (size_t i = 0; i < ret->rows_n; i++)
        ret->rows[i] = (hs_notify_row){ .room = hs_rows_i64(rows, i, 0),
                                        .pos = hs_rows_i64(rows, i, 1),
                                        .event = hs_rows_i64(rows, i, 2),
                                        .n_notify = (int32_t)hs_rows_i64(rows, i, 3),
                                        .n_high = (int32_t)hs_rows_i64(rows, i, 4) };
    for (size_t i = 0; i < ret->notes_n; i++)
        ret->notes[i] = (hs_notify_row){ .room = hs_rows_i64(notes, i, 0),
                                         .pos = hs_rows_i64(notes, i, 1),
                                         .event = hs_rows_i64(notes, i, 2),
                                         .user = hs_rows_i64(notes, i, 3),
                                         .n_notify = (int32_t)hs_rows_i64(notes, i, 4),
                                         .n_high = (int32_t)hs_rows_i64(notes, i, 5) };
    return NULL;
}
