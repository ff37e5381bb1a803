/* See purge.h. Each slice finds its rows by an index that the room leads, goes on where the one before it ended (what
 * was deleted there may still be walked over as long as some old snapshot needs it), and takes them by their place. */
#include "store/purge.h"

#include "store/statements.h"

/* clang-format off */
#define GONE(table, key, where) \
    "WITH gone AS (DELETE FROM " table " WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM " table " x WHERE x.room_nid = $1" where \
    " LIMIT $3)) RETURNING " key " AS k) SELECT count(*), max(k) FROM gone"
/* In order of a key: the slice begins at the last key of the one before, which may have more rows. */
#define BY_KEY(t, key) \
    static const hs_stmt PURGE_##t = { .name = "purge_" #t, \
        .sql = GONE(#t, #key "::bigint", " AND x." #key " >= $2 ORDER BY x." #key), .params = "nni", .cols = "nn", .big = #t }
#define BY_INT(t, key) \
    static const hs_stmt PURGE_##t = { .name = "purge_" #t, \
        .sql = GONE(#t, #key "::bigint", " AND x." #key " >= greatest($2, 0)::int ORDER BY x." #key), .params = "nni", .cols = "nn", .big = #t }
#define SLICE(t, key, where) \
    static const hs_stmt PURGE_##t = { .name = "purge_" #t, \
        .sql = GONE(#t, #key "::bigint", where " ORDER BY x." #key), .params = "nni", .cols = "nn", .big = #t }
/* Few rows, or none that an order could be made of. */
#define AS_THEY_COME(t) \
    static const hs_stmt PURGE_##t = { .name = "purge_" #t, \
        .sql = GONE(#t, "NULL::bigint", " AND $2 IS NOT NULL"), .params = "nni", .cols = "nn", .big = #t }

BY_KEY(event, event_nid);
BY_KEY(timeline, pos);
BY_KEY(relation, target_nid);
BY_KEY(thread, root_nid);
BY_KEY(redaction, target_nid);
BY_KEY(receipt, user_nid);
BY_KEY(room_member, user_nid);
BY_KEY(room_server, server_nid);
BY_KEY(ban_redaction, user_nid);
BY_KEY(event_search, event_nid);
BY_KEY(event_expiry, event_nid);
BY_KEY(sticky_event, event_nid);
BY_KEY(room_gap, missing_nid);
BY_KEY(fed_stage, seq);
BY_INT(state_line, line);
BY_INT(state_tip, line);
BY_INT(state_past, line);
SLICE(account_data, user_nid, " AND x.room_nid <> 0 AND x.user_nid >= $2"); /* as its index says */
SLICE(txn_id, event_nid, " AND $2 IS NOT NULL"); /* some have none */
AS_THEY_COME(delayed_event);
AS_THEY_COME(partial_room);
AS_THEY_COME(published);
AS_THEY_COME(alias);
AS_THEY_COME(report);
AS_THEY_COME(room_summary);

static const hs_stmt *const TABLES[] = {
    &PURGE_timeline,      &PURGE_event,         &PURGE_state_past,   &PURGE_state_tip,      &PURGE_state_line,
    &PURGE_relation,      &PURGE_thread,        &PURGE_redaction,    &PURGE_receipt,        &PURGE_room_member,
    &PURGE_room_server,   &PURGE_ban_redaction, &PURGE_event_search, &PURGE_event_expiry,   &PURGE_room_gap,
    &PURGE_fed_stage,     &PURGE_txn_id,        &PURGE_account_data, &PURGE_delayed_event,  &PURGE_partial_room,
    &PURGE_published,     &PURGE_alias,         &PURGE_report,       &PURGE_sticky_event,   &PURGE_room_summary,
};
enum { TABLES_N = sizeof TABLES / sizeof *TABLES };

/* Led by the user. */
#define OF_USERS(t) \
    static const hs_stmt PURGE_##t = { .name = "purge_" #t, \
        .sql = "DELETE FROM " #t " WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM unnest($2) u(user_nid) CROSS JOIN LATERAL" \
               " (SELECT y.ctid FROM " #t " y WHERE y.user_nid = u.user_nid AND y.room_nid = $1 LIMIT $3) x LIMIT $3))", \
        .params = "nNi", .big = #t }
OF_USERS(push_note);
OF_USERS(thread_sub);

static const hs_stmt SEAL = {
    .name = "room_seal",
    .sql = "UPDATE room SET flags = flags | 4 WHERE room_nid = $1",
    .params = "n", .big = "room",
};
static const hs_stmt USERS = {
    .name = "purge_users",
    .sql = "SELECT user_nid FROM user_room WHERE room_nid = $1 AND user_nid > $2 ORDER BY user_nid LIMIT $3",
    .params = "nni", .cols = "n", .big = "user_room",
};
static const hs_stmt PRESENT = {
    .name = "purge_present",
    .sql = "SELECT user_nid, membership = 2 FROM user_room WHERE room_nid = $1 AND membership IN (1, 2, 5) AND user_nid > $2"
           " ORDER BY user_nid LIMIT $3",
    .params = "nni", .cols = "nf", .big = "user_room",
};
static const hs_stmt USER_ROOMS = {
    .name = "purge_user_rooms",
    .sql = "DELETE FROM user_room WHERE room_nid = $1 AND user_nid = ANY ($2)",
    .params = "nN", .big = "user_room",
};
static const hs_stmt ROOM = {
    .name = "purge_room",
    .sql = "DELETE FROM room WHERE room_nid = $1",
    .params = "n", .big = "room",
};
/* clang-format on */

const hs_stmt *const hs_purge_statements[] = {
    &PURGE_timeline,
    &PURGE_event,
    &PURGE_state_past,
    &PURGE_state_tip,
    &PURGE_state_line,
    &PURGE_relation,
    &PURGE_thread,
    &PURGE_redaction,
    &PURGE_receipt,
    &PURGE_room_member,
    &PURGE_room_server,
    &PURGE_ban_redaction,
    &PURGE_event_search,
    &PURGE_event_expiry,
    &PURGE_sticky_event,
    &PURGE_room_gap,
    &PURGE_fed_stage,
    &PURGE_txn_id,
    &PURGE_account_data,
    &PURGE_delayed_event,
    &PURGE_partial_room,
    &PURGE_published,
    &PURGE_alias,
    &PURGE_report,
    &PURGE_room_summary,
    &PURGE_push_note,
    &PURGE_thread_sub,
    &SEAL,
    &USERS,
    &PRESENT,
    &USER_ROOMS,
    &ROOM,
    NULL,
};

hs_error *hs_store_room_seal(hs_write *w, hs_nid room)
{
    return hs_write_before(w, &SEAL, room);
}

static hs_error *numbers(const hs_rows *rows, hs_arena *a, hs_nids *ret)
{
    size_t n = hs_rows_count(rows);
    hs_nid *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ out, n };
    return NULL;
}

hs_error *hs_store_room_users(hs_db *db, hs_arena *a, hs_nid room, hs_nid after, int32_t limit, hs_nids *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &USERS, &rows, room, after, limit));
    return numbers(rows, a, ret);
}

hs_error *hs_store_room_present(hs_db *db, hs_arena *a, hs_nid room, hs_nid after, int32_t limit, hs_nids *ret,
                                bool **ret_joined)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &PRESENT, &rows, room, after, limit));
    HS_TRY(hs_alloc(a, hs_rows_count(rows), ret_joined));
    for (size_t i = 0; i < hs_rows_count(rows); i++)
        (*ret_joined)[i] = hs_rows_bool(rows, i, 1);
    return numbers(rows, a, ret);
}

hs_error *hs_store_purge_of_users(hs_tx *tx, hs_arena *a, hs_nid room, hs_nids users, int32_t limit, uint64_t *ret_n)
{
    uint64_t notes, subs;

    HS_TRY(hs_tx_exec(tx, a, &PURGE_push_note, &notes, room, users, limit));
    HS_TRY(hs_tx_exec(tx, a, &PURGE_thread_sub, &subs, room, users, limit));
    *ret_n = notes + subs;
    return NULL;
}

hs_error *hs_store_purge_user_rooms(hs_write *w, hs_nid room, hs_nids users)
{
    return hs_write_before(w, &USER_ROOMS, room, users);
}

size_t hs_store_purge_tables(void)
{
    return TABLES_N;
}

const char *hs_store_purge_table(size_t i)
{
    return TABLES[i]->big;
}

hs_error *hs_store_purge_slice(hs_tx *tx, hs_arena *a, size_t table, hs_nid room, int64_t *io_cursor, int32_t limit,
                               uint64_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_tx_query(tx, a, TABLES[table], &rows, room, *io_cursor, limit));
    *ret_n = (uint64_t)hs_rows_i64(rows, 0, 0);
    if (!hs_rows_null(rows, 0, 1))
        *io_cursor = hs_rows_i64(rows, 0, 1);
    return NULL;
}

hs_error *hs_store_purge_room(hs_tx *tx, hs_arena *a, hs_nid room)
{
    return hs_tx_exec(tx, a, &ROOM, NULL, room);
}
