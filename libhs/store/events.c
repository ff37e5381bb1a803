/* Events, their edges, redactions and transaction ids. */
#include "store/events.h"

#include "store/event_cols.h"

/* clang-format off */
static const hs_stmt EVENTS = {
    .name = "events",
    .sql = "SELECT" HS_EVENT_COLS ", e.prev, e.auth FROM unnest($2) WITH ORDINALITY w(nid, i)"
           " LEFT JOIN event e ON e.room_nid = $1 AND e.event_nid = w.nid ORDER BY w.i",
    .params = "nN", .cols = HS_EVENT_LETTERS "NN", .big = "event redaction",
};
static const hs_stmt EVENTS_BY_ID = {
    .name = "events_by_id",
    .sql = "SELECT" HS_EVENT_COLS ", e.prev, e.auth FROM unnest($2) WITH ORDINALITY w(id, i)"
           " LEFT JOIN LATERAL (SELECT * FROM event x WHERE x.event_id = w.id AND ($1 = 0 OR x.room_nid = $1)"
           "   ORDER BY x.room_nid LIMIT 1) e ON true ORDER BY w.i",
    .params = "nT", .cols = HS_EVENT_LETTERS "NN", .big = "event redaction",
};
static const hs_stmt EVENT_INSERT = {
    .name = "event_insert",
    .sql = "INSERT INTO event(room_nid, event_nid, depth, origin_ts, received_ts, sender_nid, slot, line, snap, flags, prev,"
           " auth, event_id, type, state_key, json)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, NULLIF($8, -1), CASE WHEN $8 <> -1 THEN $9 END, $10, $11, $12, $13, $14, $15,"
           " $16)",
    .params = "nnnnnnoiiiNNtttb",
};
static const hs_stmt EVENT_FILL = {
    .name = "event_fill",
    .sql = "SELECT hs_event_fill($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    .params = "nnnnnnoiiiNNttb", .cols = "f",
};
static const hs_stmt EVENT_STUB = {
    .name = "event_stub",
    .sql = "INSERT INTO event(room_nid, event_nid, depth, origin_ts, received_ts, sender_nid, flags, event_id, type)"
           " VALUES ($1, $2, 0, 0, $3, 0, 16, $4, '')",
    .params = "nnnt",
};
static const hs_stmt EVENT_STATE = {
    .name = "event_state",
    .sql = "UPDATE event SET line = $3, snap = $4 WHERE room_nid = $1 AND event_nid = $2 AND flags & 17 <> 0",
    .params = "nnii", .big = "event",
};
static const hs_stmt EVENT_FLAG = {
    .name = "event_flag",
    .sql = "UPDATE event SET flags = flags | $3 WHERE room_nid = $1 AND event_nid = $2",
    .params = "nni", .big = "event",
};
static const hs_stmt EVENT_CENSOR = {
    .name = "event_censor",
    .sql = "UPDATE event SET json = $3, flags = flags | 64 WHERE room_nid = $1 AND event_nid = $2",
    .params = "nnb", .big = "event",
};
static const hs_stmt REDACTION_CENSORED = {
    .name = "redaction_censored",
    .sql = "UPDATE redaction SET status = 3 WHERE room_nid = $1 AND target_nid = $2 AND status = 1",
    .params = "nn", .big = "redaction",
};
static const hs_stmt REDACTION_INSERT = {
    .name = "redaction_insert",
    .sql = "INSERT INTO redaction(room_nid, target_nid, event_nid, status, ts) VALUES ($1, $2, $3, $4, $5)"
           " ON CONFLICT (room_nid, target_nid, event_nid) DO UPDATE SET status = excluded.status",
    .params = "nnnsn",
};
static const hs_stmt REDACTIONS_UNCHECKED = {
    .name = "redactions_unchecked",
    .sql = "SELECT event_nid FROM redaction WHERE room_nid = $1 AND target_nid = $2 AND status = 0 ORDER BY event_nid",
    .params = "nn", .cols = "n", .big = "redaction",
};
static const hs_stmt REDACTIONS_DUE = {
    .name = "redactions_due",
    .sql = "SELECT room_nid, target_nid, event_nid FROM redaction WHERE status = 1 AND ts < $1 ORDER BY ts LIMIT $2",
    .params = "ni", .cols = "nnn", .big = "redaction",
};
static const hs_stmt AUTH_CHAIN = {
    .name = "auth_chain",
    .sql = "WITH RECURSIVE c(nid, auth) AS ("
           " SELECT e.event_nid, e.auth FROM event e WHERE e.room_nid = $1 AND e.event_nid = ANY($2)"
           " UNION"
           " SELECT e.event_nid, e.auth FROM c CROSS JOIN LATERAL unnest(c.auth) x(nid)"
           "   JOIN event e ON e.room_nid = $1 AND e.event_nid = x.nid)"
           " SELECT nid, auth FROM c ORDER BY nid",
    .params = "nN", .cols = "nN", .big = "event",
};
static const hs_stmt AUTH_GRAPH = {
    .name = "auth_graph",
    .sql = "SELECT event_nid, auth FROM event WHERE room_nid = $1 AND slot IS NOT NULL ORDER BY event_nid",
    .params = "n", .cols = "nN", .big = "event",
};
#define NEAR_COLS "SELECT event_nid, origin_ts, depth FROM event WHERE room_nid = $1 AND line IS NOT NULL AND (flags & 22) = 0"
static const hs_stmt NEAR[] = {
    { .name = "events_after_time",
      .sql = NEAR_COLS " AND (origin_ts, depth, event_nid) > ($2, $3, $4) ORDER BY origin_ts, depth, event_nid LIMIT $5",
      .params = "nnnni", .cols = "nnn", .big = "event" },
    { .name = "events_before_time",
      .sql = NEAR_COLS " AND (origin_ts, depth, event_nid) < ($2, $3, $4)"
             " ORDER BY origin_ts DESC, depth DESC, event_nid DESC LIMIT $5",
      .params = "nnnni", .cols = "nnn", .big = "event" },
};
static const hs_stmt TXN_GET = {
    .name = "txn_get",
    .sql = "SELECT room_nid, event_nid, result, ts FROM txn_id"
           " WHERE user_nid = $1 AND device_id = $2 AND scope = $3 AND txn_id = $4",
    .params = "ntnt", .cols = "nnbn", .big = "txn_id",
};
static const hs_stmt TXN_INSERT = {
    .name = "txn_insert",
    .sql = "INSERT INTO txn_id(user_nid, device_id, scope, txn_id, room_nid, event_nid, result, ts)"
           " VALUES ($1, $2, $3, $4, NULLIF($5, 0), NULLIF($6, 0), $7, $8)",
    .params = "ntntnnbn",
};
static const hs_stmt TXNS_OF_EVENTS = {
    .name = "txns_of_events",
    .sql = "SELECT t.txn_id FROM unnest($4) WITH ORDINALITY w(nid, i)"
           " LEFT JOIN txn_id t ON t.room_nid = $1 AND t.event_nid = w.nid AND t.user_nid = $2 AND t.device_id = $3"
           " ORDER BY w.i",
    .params = "nntN", .cols = "t", .big = "txn_id",
};
static const hs_stmt TXNS_EXPIRE = {
    .name = "txns_expire",
    .sql = "DELETE FROM txn_id WHERE ctid = ANY(ARRAY(SELECT ctid FROM txn_id WHERE ts < $1 LIMIT 5000))",
    .params = "n", /* by the block range index; a table that is mostly expired is read whole, and may be */
};
/* clang-format on */

const hs_stmt *const hs_events_statements[] = {
    &EVENTS,
    &EVENTS_BY_ID,
    &EVENT_INSERT,
    &EVENT_FILL,
    &EVENT_STUB,
    &EVENT_STATE,
    &EVENT_FLAG,
    &EVENT_CENSOR,
    &REDACTION_CENSORED,
    &REDACTION_INSERT,
    &REDACTIONS_UNCHECKED,
    &REDACTIONS_DUE,
    &AUTH_CHAIN,
    &AUTH_GRAPH,
    &TXN_GET,
    &TXN_INSERT,
    &TXNS_OF_EVENTS,
    &TXNS_EXPIRE,
    &NEAR[0],
    &NEAR[1],
    NULL,
};

void hs_event_row_read(const hs_rows *r, size_t row, size_t col, hs_event_row *ret)
{
    bool outlier = hs_rows_null(r, row, col + 10);

    *ret = (hs_event_row){
        .room = hs_rows_i64(r, row, col),
        .event = hs_rows_i64(r, row, col + 1),
        .event_id = hs_rows_str(r, row, col + 2),
        .type = hs_rows_str(r, row, col + 3),
        .state_key = hs_rows_str(r, row, col + 4),
        .sender = hs_rows_i64(r, row, col + 5),
        .slot = hs_rows_i64(r, row, col + 6),
        .depth = hs_rows_i64(r, row, col + 7),
        .origin_ts = hs_rows_i64(r, row, col + 8),
        .received_ts = hs_rows_i64(r, row, col + 9),
        .line = outlier ? -1 : (int32_t)hs_rows_i64(r, row, col + 10),
        .snap = outlier ? 0 : (int32_t)hs_rows_i64(r, row, col + 11),
        .flags = (int32_t)hs_rows_i64(r, row, col + 12),
        .json = hs_rows_str(r, row, col + 13),
        .redacted_by = hs_rows_i64(r, row, col + 14),
    };
}

static hs_error *read_all(const hs_rows *rows, hs_arena *a, size_t n, hs_event_row *ret)
{
    if (hs_rows_count(rows) != n)
        return hs_err_internal(a, NULL, "%zu events for %zu asked", hs_rows_count(rows), n);
    for (size_t i = 0; i < n; i++) {
        hs_event_row_read(rows, i, 0, &ret[i]);
        HS_TRY(hs_rows_nids(rows, a, i, HS_EVENT_COLS_N, &ret[i].prev));
        HS_TRY(hs_rows_nids(rows, a, i, HS_EVENT_COLS_N + 1, &ret[i].auth));
    }
    return NULL;
}

hs_error *hs_store_events(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *nids, size_t n, hs_event_row *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &EVENTS, &rows, room, (hs_nids){ nids, n }));
    return read_all(rows, a, n, ret);
}

hs_error *hs_store_events_by_id(hs_db *db, hs_arena *a, hs_nid room, const hs_str *event_ids, size_t n,
                                hs_event_row *ret)
{
    hs_str *ids;
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_alloc(a, n, &ids));
    memcpy(ids, event_ids, n * sizeof *ids);
    HS_TRY(hs_db_query(db, a, &EVENTS_BY_ID, &rows, room, (hs_strs){ ids, n }));
    return read_all(rows, a, n, ret);
}

hs_error *hs_store_event_insert(hs_write *w, const hs_event_row *row)
{
    return hs_write_before(w, &EVENT_INSERT, row->room, row->event, row->depth, row->origin_ts, row->received_ts,
                           row->sender, row->state_key.p ? &row->slot : (const int64_t *)NULL, row->line, row->snap,
                           row->flags, row->prev, row->auth, row->event_id, row->type, row->state_key, row->json);
}

hs_error *hs_store_event_fill(hs_write *w, const hs_event_row *row)
{
    return hs_write_before(w, &EVENT_FILL, row->room, row->event, row->depth, row->origin_ts, row->received_ts,
                           row->sender, row->state_key.p ? &row->slot : (const int64_t *)NULL, row->line, row->snap,
                           row->flags, row->prev, row->auth, row->type, row->state_key, row->json);
}

hs_error *hs_store_event_stub(hs_write *w, hs_nid room, hs_nid event, hs_str event_id, int64_t received_ts)
{
    return hs_write_before(w, &EVENT_STUB, room, event, received_ts, event_id);
}

hs_error *hs_store_event_state(hs_write *w, hs_nid room, hs_nid event, int32_t line, int32_t snap)
{
    return hs_write_before(w, &EVENT_STATE, room, event, line, snap);
}

hs_error *hs_store_event_flag(hs_write *w, hs_nid room, hs_nid event, int32_t flags)
{
    return hs_write_before(w, &EVENT_FLAG, room, event, flags);
}

hs_error *hs_store_event_censor(hs_write *w, hs_nid room, hs_nid event, hs_str json)
{
    HS_TRY(hs_write_before(w, &EVENT_CENSOR, room, event, json));
    return hs_write_before(w, &REDACTION_CENSORED, room, event);
}

/* ── redactions ── */

hs_error *hs_store_redaction_insert(hs_write *w, hs_nid room, hs_nid target, hs_nid event, hs_redaction_status status,
                                    int64_t ts)
{
    return hs_write_before(w, &REDACTION_INSERT, room, target, event, (int32_t)status, ts);
}

hs_error *hs_store_redactions_unchecked(hs_db *db, hs_arena *a, hs_nid room, hs_nid target, hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &REDACTIONS_UNCHECKED, &rows, room, target));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ .at = out, .n = n };
    return NULL;
}

hs_error *hs_store_redactions_due(hs_db *db, hs_arena *a, int64_t before_ts, int32_t limit, hs_redaction_row **ret,
                                  size_t *ret_n)
{
    hs_rows *rows;
    hs_redaction_row *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &REDACTIONS_DUE, &rows, before_ts, limit));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_redaction_row){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

/* ── the auth graph ── */

static hs_error *read_auth(const hs_rows *rows, hs_arena *a, hs_auth_row **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(rows);
    hs_auth_row *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++) {
        out[i].event = hs_rows_i64(rows, i, 0);
        HS_TRY(hs_rows_nids(rows, a, i, 1, &out[i].auth));
    }
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_auth_chain(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *nids, size_t n, hs_auth_row **ret,
                              size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &AUTH_CHAIN, &rows, room, (hs_nids){ nids, n }));
    return read_auth(rows, a, ret, ret_n);
}

hs_error *hs_store_auth_graph(hs_db *db, hs_arena *a, hs_nid room, hs_auth_row **ret, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &AUTH_GRAPH, &rows, room));
    return read_auth(rows, a, ret, ret_n);
}

/* ── transaction ids ── */

static hs_str or_empty(hs_str s)
{
    return s.p ? s : HS_S("");
}

hs_error *hs_store_txn_get(hs_db *db, hs_arena *a, hs_txn_row *io, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &TXN_GET, &rows, io->user, or_empty(io->device_id), io->scope, io->txn_id));
    *ret_found = hs_rows_count(rows) > 0;
    if (!*ret_found)
        return NULL;
    io->room = hs_rows_i64(rows, 0, 0);
    io->event = hs_rows_i64(rows, 0, 1);
    io->result = hs_rows_str(rows, 0, 2);
    io->ts = hs_rows_i64(rows, 0, 3);
    return NULL;
}

hs_error *hs_store_txn_insert(hs_write *w, const hs_txn_row *row)
{
    return hs_write_before(w, &TXN_INSERT, row->user, or_empty(row->device_id), row->scope, row->txn_id, row->room,
                           row->event, row->result, row->ts);
}

hs_error *hs_store_txn_keep(hs_tx *tx, hs_arena *a, const hs_txn_row *row)
{
    return hs_tx_exec(tx, a, &TXN_INSERT, NULL, row->user, or_empty(row->device_id), row->scope, row->txn_id, row->room,
                      row->event, row->result, row->ts);
}

hs_error *hs_store_txns_of_events(hs_db *db, hs_arena *a, hs_nid room, hs_nid user, hs_str device_id,
                                  const hs_nid *nids, size_t n, hs_str *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &TXNS_OF_EVENTS, &rows, room, user, or_empty(device_id), (hs_nids){ nids, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        ret[i] = hs_rows_str(rows, i, 0);
    return NULL;
}

hs_error *hs_store_txns_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n)
{
    return hs_tx_exec(tx, a, &TXNS_EXPIRE, ret_n, before_ts);
}

hs_error *hs_store_events_near(hs_db *db, hs_arena *a, hs_nid room, bool forwards, hs_event_time from, int32_t limit,
                               hs_event_time *ret, size_t *ret_n)
{
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &NEAR[!forwards], &rows, room, from.ts, from.depth, from.event, limit));
    n = hs_rows_count(rows);
    for (size_t i = 0; i < n; i++)
        ret[i] = (hs_event_time){ hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2), hs_rows_i64(rows, i, 0) };
    *ret_n = n;
    return NULL;
}
