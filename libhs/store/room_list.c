/* See room_list.h. A list looks at every room, in tables with one row a room; what happened in them is not read. */
#include "store/room_list.h"

#include "store/members.h"
#include "store/pattern.h"
#include "store/statements.h"

/* clang-format off */
#define COLS " r.room_nid, r.room_id, r.version, u.mxid, s.name, s.canonical_alias, s.topic, s.avatar, s.encryption," \
             " s.join_rules, s.guest_access, s.history_visibility, s.room_type, s.successor, coalesce(s.federatable, true)," \
             " p.room_nid IS NOT NULL, coalesce(s.joined, 0), coalesce(s.local_joined, 0), coalesce(s.state_events, 0)"
#define COL_TYPES "nttttttttttttt" "ff" "iii"
enum { COLS_N = 19 };
#define UNREAD "-event -timeline -state_tip -state_past -room_member -user_room"
#define PUBLISHED " LEFT JOIN published p ON p.room_nid = r.room_nid AND p.appservice_id = '' AND p.network_id = ''"
#define FROM " FROM room_summary s JOIN room r ON r.room_nid = s.room_nid" PUBLISHED " LEFT JOIN user_id u ON u.user_nid = r.creator_nid"
/* $1 what is searched as a pattern, $2 the same for aliases, $3 as a room id; $4 published, $5 empty: hs_tristate */
#define WANTED " WHERE r.flags & 4 = 0 AND ($1 IS NULL OR lower(s.name) LIKE $1 OR lower(s.canonical_alias) LIKE $2 OR r.room_id = $3)" \
               " AND ($4 = 0 OR (p.room_nid IS NOT NULL) = ($4 = 1)) AND ($5 = 0 OR (s.joined = 0) = ($5 = 1))"
/* $6: hs_room_order. Of the two keys one is the same for all. */
#define TEXT " CASE $6 WHEN 0 THEN s.name WHEN 1 THEN s.canonical_alias WHEN 4 THEN r.version WHEN 5 THEN u.mxid WHEN 6 THEN s.encryption" \
             " WHEN 9 THEN s.join_rules WHEN 10 THEN s.guest_access WHEN 11 THEN s.history_visibility END"
#define NUMBER " CASE $6 WHEN 2 THEN s.joined WHEN 3 THEN s.local_joined WHEN 7 THEN coalesce(s.federatable, true)::int" \
               " WHEN 8 THEN (p.room_nid IS NOT NULL)::int WHEN 12 THEN s.state_events END"
#define ORDERED(dir) " ORDER BY" TEXT dir "," NUMBER dir ", r.room_id" dir " LIMIT $7 OFFSET $8"
static const hs_stmt ROOM_LIST = {
    .name = "room_list",
    .sql = "SELECT" COLS FROM WANTED ORDERED(""),
    .params = "tttiiinn", .cols = COL_TYPES, .big = UNREAD,
};
static const hs_stmt ROOM_LIST_DOWN = {
    .name = "room_list_down",
    .sql = "SELECT" COLS FROM WANTED ORDERED(" DESC"),
    .params = "tttiiinn", .cols = COL_TYPES, .big = UNREAD,
};
static const hs_stmt ROOM_COUNT = {
    .name = "room_list_count",
    .sql = "SELECT count(*)" FROM WANTED,
    .params = "tttii", .cols = "n", .big = UNREAD,
};
static const hs_stmt ROOM_DETAILS = {
    .name = "room_details",
    .sql = "SELECT" COLS ","
           " (SELECT count(*) FROM user_room m JOIN device d ON d.user_nid = m.user_nid AND NOT d.hidden"
           " WHERE m.room_nid = r.room_nid AND m.membership = $2),"
           " NOT EXISTS (SELECT FROM user_room m WHERE m.room_nid = r.room_nid AND m.flags & 1 = 0)"
           " FROM room r LEFT JOIN room_summary s ON s.room_nid = r.room_nid" PUBLISHED
           " LEFT JOIN user_id u ON u.user_nid = r.creator_nid WHERE r.room_id = $1 AND r.flags & 4 = 0",
    .params = "ts", .cols = COL_TYPES "nf", .big = "room room_summary user_room device user_id",
};
/* clang-format on */

const hs_stmt *const hs_room_list_statements[] = { &ROOM_LIST, &ROOM_LIST_DOWN, &ROOM_COUNT, &ROOM_DETAILS, NULL };

static hs_listed_room read_room(const hs_rows *r, size_t i)
{
    return (hs_listed_room){ .room = hs_rows_i64(r, i, 0),
                             .room_id = hs_rows_str(r, i, 1),
                             .version = hs_rows_str(r, i, 2),
                             .creator = hs_rows_str(r, i, 3),
                             .name = hs_rows_str(r, i, 4),
                             .canonical_alias = hs_rows_str(r, i, 5),
                             .topic = hs_rows_str(r, i, 6),
                             .avatar = hs_rows_str(r, i, 7),
                             .encryption = hs_rows_str(r, i, 8),
                             .join_rules = hs_rows_str(r, i, 9),
                             .guest_access = hs_rows_str(r, i, 10),
                             .history_visibility = hs_rows_str(r, i, 11),
                             .room_type = hs_rows_str(r, i, 12),
                             .successor = hs_rows_str(r, i, 13),
                             .federatable = hs_rows_bool(r, i, 14),
                             .published = hs_rows_bool(r, i, 15),
                             .joined = (int32_t)hs_rows_i64(r, i, 16),
                             .local_joined = (int32_t)hs_rows_i64(r, i, 17),
                             .state_events = (int32_t)hs_rows_i64(r, i, 18) };
}

hs_error *hs_store_room_list(hs_db *db, hs_arena *a, const hs_room_list_query *q, hs_listed_room **ret, size_t *ret_n,
                             int64_t *ret_total)
{
    hs_str text, in_name = { NULL, 0 }, in_alias = { NULL, 0 };
    const int32_t published = (int32_t)q->published, empty = (int32_t)q->empty;
    hs_listed_room *out;
    hs_rows *rows, *total;
    hs_pipe *p;

    if (q->search.p) {
        HS_TRY(hs_store_pattern(a, q->search, &text));
        HS_TRY(hs_str_cat(a, &in_name, 3, HS_S("%"), text, HS_S("%")));
        HS_TRY(hs_str_cat(a, &in_alias, 3, HS_S("#%"), text, HS_S("%:%")));
    }
    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, q->descending ? &ROOM_LIST_DOWN : &ROOM_LIST, &rows, in_name, in_alias, q->search, published,
                       empty, (int32_t)q->order, q->limit, q->from));
    HS_TRY(hs_pipe_add(p, &ROOM_COUNT, &total, in_name, in_alias, q->search, published, empty));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = read_room(rows, i);
    *ret = out;
    *ret_n = n;
    *ret_total = hs_rows_i64(total, 0, 0);
    return NULL;
}

hs_error *hs_store_room_details(hs_db *db, hs_arena *a, hs_str room_id, hs_room_details *ret, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ROOM_DETAILS, &rows, room_id, (int32_t)HS_MEMBER_JOIN));
    *ret_found = hs_rows_count(rows) > 0;
    if (*ret_found)
        *ret = (hs_room_details){ .row = read_room(rows, 0),
                                  .local_devices = hs_rows_i64(rows, 0, COLS_N),
                                  .forgotten = hs_rows_bool(rows, 0, COLS_N + 1) };
    return NULL;
}
