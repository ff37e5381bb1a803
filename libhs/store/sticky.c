/* See sticky.h. */
#include "store/sticky.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt PUT = {
    .name = "sticky_put",
    .sql = "INSERT INTO sticky_event(room_nid, event_nid, pos, sender_nid, expires_ts, soft) VALUES ($1, $2, hs_pos($3), $4, $5, false)"
           " ON CONFLICT (room_nid, event_nid) DO UPDATE SET pos = excluded.pos, expires_ts = excluded.expires_ts, soft = false",
    .params = "nnpnn", .big = "sticky_event",
};
static const hs_stmt PUT_SOFT = {
    .name = "sticky_put_soft",
    .sql = "INSERT INTO sticky_event(room_nid, event_nid, pos, sender_nid, expires_ts, soft) VALUES ($1, $2, 0, $3, $4, true)"
           " ON CONFLICT (room_nid, event_nid) DO NOTHING",
    .params = "nnnn", .big = "sticky_event",
};
static const hs_stmt SOFT = {
    .name = "sticky_soft",
    .sql = "SELECT event_nid FROM sticky_event WHERE room_nid = $1 AND soft AND ($2 OR sender_nid = ANY ($3)) AND expires_ts > $4"
           " ORDER BY event_nid LIMIT 1000",
    .params = "nfNn", .cols = "n", .big = "sticky_event",
};
static const hs_stmt RELEASE = {
    .name = "sticky_release",
    .sql = "UPDATE sticky_event SET soft = false, pos = hs_pos($1) WHERE room_nid = $2 AND event_nid = $3 AND soft",
    .params = "pnn", .big = "sticky_event",
};
static const hs_stmt READ = {
    .name = "sticky_read",
    .sql = "SELECT s.room_nid, s.event_nid, s.pos FROM unnest($1) r(room_nid) CROSS JOIN LATERAL"
           " (SELECT room_nid, event_nid, pos FROM sticky_event x WHERE x.room_nid = r.room_nid AND NOT x.soft AND x.pos > $2"
           "   AND x.pos <= $3 AND x.expires_ts > $4 ORDER BY x.pos LIMIT $5) s ORDER BY s.pos LIMIT $5",
    .params = "Nnnni", .cols = "nnn", .big = "sticky_event",
};
static const hs_stmt ROOMS = {
    .name = "sticky_rooms",
    .sql = "SELECT room_nid, max(pos), max(expires_ts) FROM sticky_event WHERE expires_ts > $1 AND NOT soft GROUP BY room_nid",
    .params = "n", .cols = "nnn", .big = "sticky_event",
};
static const hs_stmt EXPIRE = {
    .name = "sticky_expire",
    .sql = "DELETE FROM sticky_event WHERE ctid = ANY (ARRAY(SELECT ctid FROM sticky_event WHERE expires_ts < $1"
           " ORDER BY expires_ts LIMIT 1000))",
    .params = "n", .big = "sticky_event",
};
/* clang-format on */

const hs_stmt *const hs_sticky_statements[] = { &PUT, &PUT_SOFT, &SOFT, &RELEASE, &READ, &ROOMS, &EXPIRE, NULL };

hs_error *hs_store_sticky_put(hs_write *w, uint32_t at, hs_nid room, hs_nid event, hs_nid sender, int64_t expires_ts)
{
    return hs_write_after(w, &PUT, room, event, at, sender, expires_ts);
}

hs_error *hs_store_sticky_put_soft(hs_write *w, hs_nid room, hs_nid event, hs_nid sender, int64_t expires_ts)
{
    return hs_write_before(w, &PUT_SOFT, room, event, sender, expires_ts);
}

hs_error *hs_store_sticky_soft(hs_db *db, hs_arena *a, hs_nid room, bool all, hs_nids senders, int64_t now,
                               hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *out;

    HS_TRY(hs_db_query(db, a, &SOFT, &rows, room, all, senders, now));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ out, n };
    return NULL;
}

hs_error *hs_store_sticky_release(hs_write *w, uint32_t at, hs_nid room, hs_nid event)
{
    return hs_write_after(w, &RELEASE, at, room, event);
}

hs_error *hs_store_sticky(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, int64_t after, int64_t upto,
                          int64_t now, int32_t limit, hs_sticky_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_sticky_row *out;

    HS_TRY(hs_db_query(db, a, &READ, &rows, (hs_nids){ rooms, n }, after, upto, now, limit));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_sticky_row){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_sticky_rooms(hs_db *db, hs_arena *a, int64_t now, hs_sticky_room **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_sticky_room *out;

    HS_TRY(hs_db_query(db, a, &ROOMS, &rows, now));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_sticky_room){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_sticky_expire(hs_tx *tx, hs_arena *a, int64_t now, uint64_t *ret_n)
{
    return hs_tx_exec(tx, a, &EXPIRE, ret_n, now);
}
