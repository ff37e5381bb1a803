/* See receipts.h. */
#include "store/receipts.h"

#include "store/statements.h"

static const hs_stmt RECEIPT_PUT = {
    .name = "receipt_put",
    /* The totals at the event: those of the newest row not after it. Older than what is there: no change. */
    .sql = "INSERT INTO receipt AS r(room_nid, user_nid, type, thread_nid, event_nid, ts, pos, event_pos, n_notify, "
           "n_high)"
           " SELECT $1, $2, $3, $4, $5, $6, hs_pos($7), $8, coalesce(t.n_notify, 0), coalesce(t.n_high, 0)"
           " FROM (VALUES (1)) one LEFT JOIN LATERAL (SELECT n_notify, n_high FROM timeline"
           " WHERE room_nid = $1 AND pos <= $8 ORDER BY pos DESC LIMIT 1) t ON true"
           " ON CONFLICT (room_nid, user_nid, type, thread_nid) DO UPDATE SET event_nid = excluded.event_nid,"
           " ts = excluded.ts, pos = excluded.pos, event_pos = excluded.event_pos, n_notify = excluded.n_notify,"
           " n_high = excluded.n_high WHERE r.event_pos < excluded.event_pos",
    .params = "nntnnnpn",
    .big = "timeline receipt",
};

hs_error *hs_store_receipt_put(hs_write *w, uint32_t at, const hs_receipt_row *row)
{
    return hs_write_after(w, &RECEIPT_PUT, row->room, row->user, row->type, row->thread, row->event, row->ts, at,
                          row->event_pos);
}

static const hs_stmt RECEIPT_JOIN = {
    .name = "receipt_join",
    .sql = "INSERT INTO receipt(room_nid, user_nid, type, thread_nid, event_nid, ts, pos, event_pos, n_notify, n_high)"
           " SELECT $1, $2, '', -1, $3, $4, j.pos, j.pos, t.n_notify, t.n_high FROM (SELECT hs_pos($5) AS pos) j"
           " JOIN LATERAL (SELECT n_notify, n_high FROM timeline WHERE room_nid = $1 AND pos = j.pos) t ON true"
           " ON CONFLICT (room_nid, user_nid, type, thread_nid) DO UPDATE SET event_nid = excluded.event_nid,"
           " ts = excluded.ts, pos = excluded.pos, event_pos = excluded.event_pos, n_notify = excluded.n_notify,"
           " n_high = excluded.n_high",
    .params = "nnnnp",
    .big = "timeline receipt",
};

hs_error *hs_store_receipt_join(hs_write *w, uint32_t at, hs_nid room, hs_nid user, hs_nid event, int64_t ts)
{
    return hs_write_after(w, &RECEIPT_JOIN, room, user, event, ts, at);
}

static const hs_stmt RECEIPT_POS = {
    .name = "receipt_pos",
    .sql = "SELECT event_pos FROM receipt WHERE room_nid = $1 AND user_nid = $2 AND type = $3 AND thread_nid = $4",
    .params = "nntn",
    .cols = "n",
    .big = "receipt",
};

hs_error *hs_store_receipt_pos(hs_db *db, hs_arena *a, hs_nid room, hs_nid user, hs_str type, hs_nid thread,
                               int64_t *ret_pos)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &RECEIPT_POS, &rows, room, user, type, thread));
    *ret_pos = hs_rows_count(rows) ? hs_rows_i64(rows, 0, 0) : 0;
    return NULL;
}

static const hs_stmt RECEIPTS_AFTER = {
    .name = "receipts_after",
    .sql = "SELECT r.room_nid, r.user_nid, r.type, r.thread_nid, r.event_nid, r.ts, r.pos, r.event_pos, u.mxid, "
           "e.event_id,"
           " t.event_id FROM unnest($1::bigint[]) WITH ORDINALITY w(room_nid, i)"
           " JOIN receipt r ON r.room_nid = w.room_nid AND r.pos > $3 AND r.pos <= $4"
           " JOIN user_id u ON u.user_nid = r.user_nid"
           " JOIN event e ON e.room_nid = r.room_nid AND e.event_nid = r.event_nid"
           " LEFT JOIN event t ON t.room_nid = r.room_nid AND t.event_nid = r.thread_nid AND r.thread_nid > 0"
           " WHERE r.type <> '' AND (r.type <> 'm.read.private' OR r.user_nid = $2) ORDER BY w.i, r.pos",
    .params = "Nnnn",
    .cols = "nntnnnnnttt",
    .big = "receipt event user_id",
};

hs_error *hs_store_receipts_after(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, hs_nid viewer, int64_t after,
                                  int64_t upto, hs_receipt_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_receipt_row *out;
    size_t count;

    HS_TRY(hs_db_query(db, a, &RECEIPTS_AFTER, &rows, (hs_nids){ rooms, n }, viewer, after, upto));
    count = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, count, &out));
    for (size_t i = 0; i < count; i++) {
        out[i] = (hs_receipt_row){
            .room = hs_rows_i64(rows, i, 0),
            .user = hs_rows_i64(rows, i, 1),
            .type = hs_rows_str(rows, i, 2),
            .thread = hs_rows_i64(rows, i, 3),
            .event = hs_rows_i64(rows, i, 4),
            .ts = hs_rows_i64(rows, i, 5),
            .pos = hs_rows_i64(rows, i, 6),
            .event_pos = hs_rows_i64(rows, i, 7),
            .user_id = hs_rows_str(rows, i, 8),
            .event_id = hs_rows_str(rows, i, 9),
            .thread_id = hs_rows_str(rows, i, 10),
        };
    }
    *ret = out;
    *ret_n = count;
    return NULL;
}

const hs_stmt *const hs_receipts_statements[] = {
    &RECEIPT_PUT, &RECEIPT_JOIN, &RECEIPT_POS, &RECEIPTS_AFTER, NULL,
};
