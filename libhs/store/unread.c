/* See unread.h. */
#include "store/unread.h"

#include "store/statements.h"

static const hs_stmt NOTE_INSERT = {
    .name = "note_insert",
    .sql = "INSERT INTO push_note(user_nid, room_nid, pos, event_nid, thread_nid, d_notify, d_high, actions)"
           " SELECT u, $1, hs_pos($2), $3, t, n, h, x FROM unnest($4::bigint[], $5::bigint[], $6::int[], $7::int[],"
           " $8::int[]) AS w(u, t, n, h, x)",
    .params = "npnNNIII",
    .big = "push_note",
};

hs_error *hs_store_notes_insert(hs_write *w, uint32_t at, hs_nid room, hs_nid event, const hs_note *notes, size_t n)
{
    enum { SLICE = 256 };
    hs_nid users[SLICE], threads[SLICE];
    int32_t notify[SLICE], high[SLICE], actions[SLICE];

    while (n) {
        size_t k = n < SLICE ? n : SLICE;

        for (size_t i = 0; i < k; i++) {
            users[i] = notes[i].user;
            threads[i] = notes[i].thread;
            notify[i] = notes[i].d_notify;
            high[i] = notes[i].d_high;
            actions[i] = notes[i].actions;
        }
        HS_TRY(hs_write_after(w, &NOTE_INSERT, room, at, event, (hs_nids){ users, k }, (hs_nids){ threads, k },
                              (hs_ints){ notify, k }, (hs_ints){ high, k }, (hs_ints){ actions, k }));
        notes += k;
        n -= k;
    }
    return NULL;
}

static const hs_stmt NOTES_REMOVE = {
    .name = "notes_remove",
    .sql = "DELETE FROM push_note WHERE user_nid = ANY($4::bigint[]) AND room_nid = $1 AND pos = $3 AND event_nid = $2"
           " AND (pos >= $5 OR d_high <> 0)",
    .params = "nnnNn",
    .big = "push_note",
};

static const hs_stmt NOTE_REDACT = {
    .name = "note_redact",
    /* What the event added to the totals, taken back from everybody who has not read it. Of one before position $4 the
     * notes of those whom it notified otherwise may have become part of others, unless it highlights. */
    .sql =
        "INSERT INTO push_note(user_nid, room_nid, pos, event_nid, thread_nid, d_notify, d_high, actions)"
        " SELECT 0, $1, $3, $2, 0, p.n_notify - t.n_notify, p.n_high - t.n_high, 0 FROM timeline t,"
        " LATERAL (SELECT n_notify, n_high FROM timeline WHERE room_nid = $1 AND pos < $3 ORDER BY pos DESC LIMIT 1) p"
        " WHERE t.room_nid = $1 AND t.pos = $3 AND (p.n_high <> t.n_high OR (p.n_notify <> t.n_notify AND $3 >= $4))"
        " ON CONFLICT (user_nid, room_nid, pos) DO NOTHING",
    .params = "nnnn",
    .big = "timeline push_note",
};

hs_error *hs_store_notes_redact(hs_write *w, hs_nid room, hs_nid event, int64_t event_pos, int64_t plain,
                                const hs_nid *members, size_t n)
{
    hs_nid everybody = 0;

    HS_TRY(hs_write_after(w, &NOTES_REMOVE, room, event, event_pos, (hs_nids){ members, n }, plain));
    HS_TRY(hs_write_after(w, &NOTES_REMOVE, room, event, event_pos, (hs_nids){ &everybody, 1 }, plain));
    return hs_write_after(w, &NOTE_REDACT, room, event, event_pos, plain);
}

#define READ_TYPES "type IN ('m.read', 'm.read.private', '')"

static const hs_stmt READS = {
    .name = "unread_reads",
    .sql = "SELECT DISTINCT ON (room_nid, thread_nid) room_nid, thread_nid, event_pos, n_notify, n_high FROM receipt"
           " WHERE room_nid = ANY($2::bigint[]) AND user_nid = $1 AND " READ_TYPES
           " ORDER BY room_nid, thread_nid, event_pos DESC",
    .params = "nN",
    .cols = "nnnii",
    .big = "receipt",
};

static const hs_stmt SUMS = {
    .name = "unread_sums",
    .sql = "SELECT n.room_nid, n.thread_nid, sum(n.d_notify)::bigint, sum(n.d_high)::bigint"
           " FROM unnest($2::bigint[]) w(room_nid)"
           " CROSS JOIN LATERAL (SELECT coalesce(max(event_pos), 0) p FROM receipt WHERE room_nid = w.room_nid"
           " AND user_nid = $1 AND thread_nid = -1 AND " READ_TYPES ") r"
           " CROSS JOIN (VALUES (0::bigint), ($1)) v(user_nid)"
           " JOIN push_note n ON n.user_nid = v.user_nid AND n.room_nid = w.room_nid AND n.pos > r.p"
           " LEFT JOIN LATERAL (SELECT max(event_pos) p FROM receipt WHERE room_nid = w.room_nid AND user_nid = $1"
           " AND thread_nid = n.thread_nid AND " READ_TYPES ") t ON true"
           " WHERE n.pos > coalesce(t.p, 0) GROUP BY n.room_nid, n.thread_nid",
    .params = "nN",
    .cols = "nnnn",
    .big = "receipt push_note",
};

hs_error *hs_store_unread(hs_db *db, hs_arena *a, hs_nid user, const hs_nid *rooms, size_t n, hs_unread_rows *ret)
{
    hs_pipe *p;
    hs_rows *reads, *sums;
    hs_unread_rows out = { 0 };

    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, &READS, &reads, user, (hs_nids){ rooms, n }));
    HS_TRY(hs_pipe_add(p, &SUMS, &sums, user, (hs_nids){ rooms, n }));
    HS_TRY(hs_pipe_run(p));

    out.reads_n = hs_rows_count(reads);
    out.sums_n = hs_rows_count(sums);
    HS_TRY(hs_alloc(a, out.reads_n, &out.reads));
    HS_TRY(hs_alloc(a, out.sums_n, &out.sums));
    for (size_t i = 0; i < out.reads_n; i++) {
        out.reads[i] = (hs_read_row){ hs_rows_i64(reads, i, 0), hs_rows_i64(reads, i, 1), hs_rows_i64(reads, i, 2),
                                      hs_rows_i64(reads, i, 3), hs_rows_i64(reads, i, 4) };
    }
    for (size_t i = 0; i < out.sums_n; i++) {
        out.sums[i] = (hs_note_sum){ hs_rows_i64(sums, i, 0), hs_rows_i64(sums, i, 1), hs_rows_i64(sums, i, 2),
                                     hs_rows_i64(sums, i, 3) };
    }
    *ret = out;
    return NULL;
}

static const hs_stmt IGNORED_CLEAR = {
    .name = "ignored_clear",
    .sql = "DELETE FROM ignored WHERE user_nid = $1",
    .params = "n",
    .big = "ignored",
};

static const hs_stmt IGNORED_PUT = {
    .name = "ignored_put",
    .sql = "INSERT INTO ignored(user_nid, ignored_nid) SELECT $1, x FROM unnest($2::bigint[]) x ON CONFLICT DO NOTHING",
    .params = "nN",
    .big = "ignored",
};

hs_error *hs_store_ignored_put(hs_write *w, hs_nid user, const hs_nid *ignored, size_t n)
{
    HS_TRY(hs_write_after(w, &IGNORED_CLEAR, user));
    return n ? hs_write_after(w, &IGNORED_PUT, user, (hs_nids){ ignored, n }) : NULL;
}

static const hs_stmt IGNORED = {
    .name = "ignored",
    .sql = "SELECT ignored_nid FROM ignored WHERE user_nid = $1",
    .params = "n",
    .cols = "n",
    .big = "ignored",
};

static const hs_stmt IGNORED_BY = {
    .name = "ignored_by",
    .sql = "SELECT user_nid FROM ignored WHERE ignored_nid = $1",
    .params = "n",
    .cols = "n",
    .big = "ignored",
};

static hs_error *column(hs_db *db, hs_arena *a, const hs_stmt *s, hs_nid user, hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *at;
    size_t n;

    HS_TRY(hs_db_query(db, a, s, &rows, user));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &at));
    for (size_t i = 0; i < n; i++)
        at[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ at, n };
    return NULL;
}

hs_error *hs_store_ignored(hs_db *db, hs_arena *a, hs_nid user, hs_nids *ret)
{
    return column(db, a, &IGNORED, user, ret);
}

hs_error *hs_store_ignored_by(hs_db *db, hs_arena *a, hs_nid user, hs_nids *ret)
{
    return column(db, a, &IGNORED_BY, user, ret);
}

const hs_stmt *const hs_unread_statements[] = {
    &NOTE_INSERT, &NOTES_REMOVE, &NOTE_REDACT, &READS, &SUMS, &IGNORED_CLEAR, &IGNORED_PUT, &IGNORED, &IGNORED_BY, NULL,
};
