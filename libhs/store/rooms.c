/* Rooms, what lists show of them, and which are published. */
#include "store/rooms.h"

#include "store/rooms_cols.h"

/* clang-format off */
static const hs_stmt ROOM_INSERT = {
    .name = "room_insert",
    .sql = "INSERT INTO room(room_nid, room_id, version, creator_nid, flags, created_ts)"
           " VALUES ($1, $2, $3, NULLIF($4, 0), $5, $6)",
    .params = "nttnin",
};
#define ROOM_COLS " r.room_nid, r.room_id, r.version, r.creator_nid, r.flags, r.created_ts"
static const hs_stmt ROOMS = {
    .name = "rooms",
    .sql = "SELECT" ROOM_COLS " FROM unnest($1) WITH ORDINALITY w(nid, i) LEFT JOIN room r ON r.room_nid = w.nid"
           " ORDER BY w.i",
    .params = "N", .cols = "nttnin", .big = "room",
};
static const hs_stmt ROOM_BY_ID = {
    .name = "room_by_id",
    .sql = "SELECT" ROOM_COLS " FROM room r WHERE r.room_id = $1",
    .params = "t", .cols = "nttnin", .big = "room",
};
static const hs_stmt SUMMARY_PUT = {
    .name = "room_summary_put",
    .sql = "INSERT INTO room_summary(room_nid, name, canonical_alias, topic, avatar, join_rules, history_visibility,"
           " guest_access, encryption, room_type, successor, federatable, heroes, joined, invited, knocked, banned,"
           " local_joined, state_events, bump_pos, pos, retention_max)"
           " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, 0, 0, 0, 0, hs_pos($14), hs_pos($14), NULLIF($16, 0))"
           " ON CONFLICT (room_nid) DO UPDATE SET name = $2, canonical_alias = $3, topic = $4, avatar = $5,"
           " join_rules = $6, history_visibility = $7, guest_access = $8, encryption = $9, room_type = $10,"
           " successor = $11, federatable = $12, heroes = $13, pos = excluded.pos,"
           " retention_max = excluded.retention_max,"
           " bump_pos = CASE WHEN $15 THEN excluded.pos ELSE room_summary.bump_pos END",
    .params = "nttttttttttfNpfn",
};
static const hs_stmt SUMMARY_COUNTS = {
    .name = "room_summary_counts",
    .sql = "INSERT INTO room_summary AS s (room_nid, joined, invited, knocked, banned, local_joined, state_events, bump_pos,"
           " pos) VALUES ($1, $2, $3, $4, $5, $6, $7, hs_pos($8), hs_pos($8))"
           " ON CONFLICT (room_nid) DO UPDATE SET joined = s.joined + $2, invited = s.invited + $3,"
           " knocked = s.knocked + $4, banned = s.banned + $5, local_joined = s.local_joined + $6,"
           " state_events = s.state_events + $7, pos = excluded.pos",
    .params = "niiiiiip",
};
static const hs_stmt SUMMARIES = {
    .name = "room_summaries",
    .sql = "SELECT" HS_SUMMARY_COLS " FROM unnest($1) WITH ORDINALITY w(nid, i)"
           " LEFT JOIN room_summary s ON s.room_nid = w.nid ORDER BY w.i",
    .params = "N", .cols = HS_SUMMARY_LETTERS, .big = "room_summary",
};
static const hs_stmt PUBLISHED_GET = {
    .name = "published_get",
    .sql = "SELECT 1::bigint FROM published WHERE room_nid = $1 AND appservice_id = '' AND network_id = ''",
    .params = "n", .cols = "n", .big = "published",
};
static const hs_stmt PUBLISHED_ADD = {
    .name = "published_add",
    .sql = "INSERT INTO published(room_nid, appservice_id, network_id) VALUES ($1, '', '')"
           " ON CONFLICT (room_nid, appservice_id, network_id) DO NOTHING",
    .params = "n",
};
static const hs_stmt PUBLISHED_REMOVE = {
    .name = "published_remove",
    .sql = "DELETE FROM published WHERE room_nid = $1 AND appservice_id = '' AND network_id = ''",
    .params = "n", .big = "published",
};
static const hs_stmt PUBLISHED_MOVE = {
    .name = "published_move",
    .sql = "UPDATE published SET room_nid = $2 WHERE room_nid = $1 AND appservice_id = '' AND network_id = ''",
    .params = "nn", .big = "published",
};
/* clang-format on */

const hs_stmt *const hs_rooms_statements[] = {
    &ROOM_INSERT,      &ROOMS,          &ROOM_BY_ID,    &SUMMARY_PUT,
    &SUMMARY_COUNTS,   &SUMMARIES,      &PUBLISHED_GET, &PUBLISHED_ADD,
    &PUBLISHED_REMOVE, &PUBLISHED_MOVE, NULL,
};

hs_error *hs_store_room_insert(hs_write *w, const hs_room_row *row)
{
    return hs_write_before(w, &ROOM_INSERT, row->room, row->room_id, row->version, row->creator, row->flags,
                           row->created_ts);
}

static void read_room(const hs_rows *r, size_t row, hs_room_row *ret)
{
    *ret = (hs_room_row){
        .room = hs_rows_i64(r, row, 0),
        .room_id = hs_rows_str(r, row, 1),
        .version = hs_rows_str(r, row, 2),
        .creator = hs_rows_i64(r, row, 3),
        .flags = (int32_t)hs_rows_i64(r, row, 4),
        .created_ts = hs_rows_i64(r, row, 5),
    };
}

hs_error *hs_store_rooms(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, hs_room_row *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &ROOMS, &rows, (hs_nids){ rooms, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        read_room(rows, i, &ret[i]);
    return NULL;
}

hs_error *hs_store_room_by_id(hs_db *db, hs_arena *a, hs_str room_id, hs_room_row *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ROOM_BY_ID, &rows, room_id));
    if (hs_rows_count(rows))
        read_room(rows, 0, ret);
    else
        *ret = (hs_room_row){ 0 };
    return NULL;
}

/* ── summaries ── */

hs_error *hs_store_summary_put(hs_write *w, uint32_t at, const hs_room_summary *s)
{
    return hs_write_after(w, &SUMMARY_PUT, s->room, s->name, s->canonical_alias, s->topic, s->avatar, s->join_rules,
                          s->history_visibility, s->guest_access, s->encryption, s->room_type, s->successor,
                          (int)s->federatable, s->heroes, at, (int)(s->bump_pos == -1), s->retention_max);
}

hs_error *hs_store_summary_counts(hs_write *w, uint32_t at, hs_nid room, const hs_summary_delta *d)
{
    return hs_write_after(w, &SUMMARY_COUNTS, room, d->joined, d->invited, d->knocked, d->banned, d->local_joined,
                          d->state_events, at);
}

hs_error *hs_room_summary_read(const hs_rows *r, hs_arena *a, size_t row, hs_room_summary *ret)
{
    *ret = (hs_room_summary){
        .room = hs_rows_i64(r, row, 0),
        .name = hs_rows_str(r, row, 1),
        .canonical_alias = hs_rows_str(r, row, 2),
        .topic = hs_rows_str(r, row, 3),
        .avatar = hs_rows_str(r, row, 4),
        .join_rules = hs_rows_str(r, row, 5),
        .history_visibility = hs_rows_str(r, row, 6),
        .guest_access = hs_rows_str(r, row, 7),
        .encryption = hs_rows_str(r, row, 8),
        .room_type = hs_rows_str(r, row, 9),
        .successor = hs_rows_str(r, row, 10),
        .federatable = hs_rows_bool(r, row, 11),
        .joined = (int32_t)hs_rows_i64(r, row, 13),
        .invited = (int32_t)hs_rows_i64(r, row, 14),
        .knocked = (int32_t)hs_rows_i64(r, row, 15),
        .banned = (int32_t)hs_rows_i64(r, row, 16),
        .local_joined = (int32_t)hs_rows_i64(r, row, 17),
        .state_events = (int32_t)hs_rows_i64(r, row, 18),
        .bump_pos = hs_rows_i64(r, row, 19),
        .pos = hs_rows_i64(r, row, 20),
    };
    return hs_rows_nids(r, a, row, 12, &ret->heroes);
}

hs_error *hs_store_summaries(hs_db *db, hs_arena *a, const hs_nid *rooms, size_t n, hs_room_summary *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &SUMMARIES, &rows, (hs_nids){ rooms, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        HS_TRY(hs_room_summary_read(rows, a, i, &ret[i]));
    return NULL;
}

/* ── published ── */

hs_error *hs_store_published_get(hs_db *db, hs_arena *a, hs_nid room, bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &PUBLISHED_GET, &rows, room));
    *ret = hs_rows_count(rows) > 0;
    return NULL;
}

hs_error *hs_store_published_add(hs_db *db, hs_arena *a, hs_nid room)
{
    return hs_db_exec(db, a, &PUBLISHED_ADD, NULL, room);
}

hs_error *hs_store_published_remove(hs_db *db, hs_arena *a, hs_nid room)
{
    return hs_db_exec(db, a, &PUBLISHED_REMOVE, NULL, room);
}

hs_error *hs_store_published_move(hs_write *w, hs_nid from, hs_nid to)
{
    return hs_write_after(w, &PUBLISHED_MOVE, from, to);
}

hs_error *hs_store_published_insert(hs_write *w, hs_nid room)
{
    return hs_write_before(w, &PUBLISHED_ADD, room);
}
