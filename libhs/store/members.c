/* Who is in which room now: room_member by room, user_room by local user. Membership numbers are hs_membership's. */
#include "store/members.h"

/* clang-format off */
static const hs_stmt MEMBER_PUT = {
    .name = "member_put",
    .sql = "INSERT INTO room_member(room_nid, user_nid, membership, event_nid, pos) VALUES ($1, $2, $3, $4, hs_pos($5))"
           " ON CONFLICT (room_nid, user_nid) DO UPDATE SET membership = excluded.membership,"
           " event_nid = excluded.event_nid, pos = excluded.pos",
    .params = "nnsnp",
};
static const hs_stmt MEMBER_REMOVE = {
    .name = "member_remove",
    .sql = "DELETE FROM room_member WHERE room_nid = $1 AND user_nid = $2",
    .params = "nn", .big = "room_member",
};
/* 2: join, 3: leave, 4: ban; flag 1: forgotten */
static const hs_stmt USER_ROOM_PUT = {
    .name = "user_room_put",
    .sql = "INSERT INTO user_room AS u (user_nid, room_nid, membership, event_nid, sender_nid, pos, flags, stripped)"
           " VALUES ($1, $2, $3, $4, $5, hs_pos($6), $7, $8)"
           " ON CONFLICT (user_nid, room_nid) DO UPDATE SET membership = excluded.membership,"
           " event_nid = excluded.event_nid, sender_nid = excluded.sender_nid, pos = excluded.pos,"
           " flags = u.flags & ~1 | excluded.flags, stripped = excluded.stripped,"
           " left_pos = CASE WHEN excluded.membership = 2 THEN NULL"
           "   WHEN u.membership = 2 AND excluded.membership IN (3, 4) THEN excluded.pos ELSE u.left_pos END",
    .params = "nnsnnpib",
};
static const hs_stmt USER_ROOM_FLAGS = {
    .name = "user_room_flags",
    .sql = "UPDATE user_room SET flags = flags & ~$4 | $3, pos = hs_pos($5) WHERE user_nid = $1 AND room_nid = $2",
    .params = "nniip", .big = "user_room",
};
#define USER_ROOM_COLS                                                                                                 \
    " user_nid, room_nid, membership, event_nid, sender_nid, pos, flags, stripped, left_pos FROM user_room"
#define USER_ROOM_LETTERS "nnsnnnibn"
static const hs_stmt USER_ROOM = {
    .name = "user_room",
    .sql = "SELECT" USER_ROOM_COLS " WHERE user_nid = $1 AND room_nid = $2",
    .params = "nn", .cols = USER_ROOM_LETTERS, .big = "user_room",
};
static const hs_stmt USER_ROOMS = {
    .name = "user_rooms",
    .sql = "SELECT" USER_ROOM_COLS " WHERE user_nid = $1 AND (1 << membership) & $2 <> 0 AND flags & 1 = 0 ORDER BY room_nid",
    .params = "ni", .cols = USER_ROOM_LETTERS, .big = "user_room",
};
static const hs_stmt USER_ROOMS_AFTER = {
    .name = "user_rooms_after",
    .sql = "SELECT" USER_ROOM_COLS " WHERE user_nid = $1 AND pos > $2 ORDER BY pos",
    .params = "nn", .cols = USER_ROOM_LETTERS, .big = "user_room",
};
static const hs_stmt MEMBERS = {
    .name = "members",
    .sql = "SELECT room_nid, user_nid, membership, event_nid, pos FROM room_member"
           " WHERE room_nid = $1 AND (1 << membership) & $2 <> 0 ORDER BY user_nid",
    .params = "ni", .cols = "nnsnn", .big = "room_member",
};
static const hs_stmt MEMBERS_FIRST = {
    .name = "members_first",
    .sql = "SELECT user_nid FROM room_member WHERE room_nid = $1 AND (1 << membership) & $2 <> 0"
           " ORDER BY membership = 1, pos LIMIT $3",
    .params = "nin", .cols = "n", .big = "room_member",
};
static const hs_stmt MEMBERS_GET = {
    .name = "members_get",
    .sql = "SELECT m.membership FROM unnest($2) WITH ORDINALITY w(nid, i)"
           " LEFT JOIN room_member m ON m.room_nid = $1 AND m.user_nid = w.nid ORDER BY w.i",
    .params = "nN", .cols = "s", .big = "room_member",
};
static const hs_stmt MEMBER_COUNTS = {
    .name = "member_counts",
    .sql = "SELECT count(*) FILTER (WHERE membership = 2), count(*) FILTER (WHERE membership = 1),"
           " count(*) FILTER (WHERE membership = 5), count(*) FILTER (WHERE membership = 4),"
           " count(*) FILTER (WHERE membership = 3),"
           " (SELECT count(*) FROM user_room u WHERE u.room_nid = $1 AND u.membership = 2)"
           " FROM room_member WHERE room_nid = $1",
    .params = "n", .cols = "nnnnnn", .big = "room_member user_room",
};
static const hs_stmt SHARED_ROOMS = {
    .name = "shared_rooms",
    .sql = "SELECT m.room_nid FROM room_member m JOIN LATERAL (SELECT FROM room_member o WHERE o.room_nid = m.room_nid"
           "   AND o.user_nid = $2 AND o.membership = 2 LIMIT 1) o ON true"
           " WHERE m.user_nid = $1 AND m.membership = 2 ORDER BY m.room_nid",
    .params = "nn", .cols = "n", .big = "room_member",
};
static const hs_stmt SHARE_ROOM = {
    .name = "users_share_room",
    .sql = "SELECT x.yes IS NOT NULL FROM unnest($2) WITH ORDINALITY w(nid, i) LEFT JOIN LATERAL ("
           "   SELECT 1 AS yes FROM room_member m JOIN LATERAL (SELECT FROM room_member o WHERE o.room_nid = m.room_nid"
           "     AND o.user_nid = w.nid AND o.membership = 2 LIMIT 1) o ON true"
           "   WHERE m.user_nid = $1 AND m.membership = 2 LIMIT 1) x ON true ORDER BY w.i",
    .params = "nN", .cols = "f", .big = "room_member",
};
static const hs_stmt LOCAL_NEIGHBOURS = {
    .name = "local_neighbours",
    .sql = "SELECT DISTINCT o.user_nid FROM user_room m CROSS JOIN LATERAL (SELECT x.user_nid FROM user_room x"
           "   WHERE x.room_nid = m.room_nid AND x.membership = 2 AND x.user_nid <> $1 OFFSET 0) o"
           " WHERE m.user_nid = $1 AND m.membership = 2 ORDER BY o.user_nid",
    .params = "n", .cols = "n", .big = "user_room",
};
static const hs_stmt ROOM_REMEMBERED = {
    .name = "room_remembered",
    .sql = "SELECT 1::bigint FROM user_room WHERE room_nid = $1 AND flags & 1 = 0 LIMIT 1",
    .params = "n", .cols = "n", .big = "user_room",
};
static const hs_stmt STRIPPED_OF = {
    .name = "stripped_of",
    .sql = "SELECT user_nid, stripped FROM user_room WHERE room_nid = $1 AND membership IN (1, 5) AND stripped IS NOT NULL"
           " ORDER BY pos DESC LIMIT 1000",
    .params = "n", .cols = "nb", .big = "user_room",
};
static const hs_stmt STRIPPED_PUT = {
    .name = "stripped_put",
    .sql = "UPDATE user_room SET stripped = $3 WHERE user_nid = $1 AND room_nid = $2 AND membership IN (1, 5)",
    .params = "nnb", .big = "user_room",
};
static const hs_stmt MADE_FOR = {
    .name = "room_made_for",
    .sql = "SELECT u.room_nid FROM user_room u JOIN room r ON r.room_nid = u.room_nid AND r.creator_nid = $2 AND r.flags & 4 = 0"
           " JOIN user_room m ON m.user_nid = $2 AND m.room_nid = u.room_nid AND m.membership = 2"
           " WHERE u.user_nid = $1 AND u.membership IN (1, 2, 3) ORDER BY u.membership = 3, u.pos DESC LIMIT 1",
    .params = "nn", .cols = "n", .big = "user_room room",
};
/* clang-format on */

const hs_stmt *const hs_members_statements[] = {
    &MADE_FOR,    &MEMBER_PUT,    &MEMBER_REMOVE,    &USER_ROOM_PUT, &USER_ROOM_FLAGS,
    &USER_ROOM,   &USER_ROOMS,    &USER_ROOMS_AFTER, &MEMBERS,       &MEMBERS_FIRST,
    &MEMBERS_GET, &MEMBER_COUNTS, &SHARED_ROOMS,     &SHARE_ROOM,    &LOCAL_NEIGHBOURS,
    &STRIPPED_OF, &STRIPPED_PUT,  &ROOM_REMEMBERED,  NULL,
};

_Static_assert(HS_MEMBER_INVITE == 1 && HS_MEMBER_JOIN == 2 && HS_MEMBER_LEAVE == 3 && HS_MEMBER_BAN == 4 &&
                   HS_MEMBER_KNOCK == 5 && HS_USER_ROOM_FORGOTTEN == 1,
               "numbers in the statements and in the tables");

hs_error *hs_store_member_put(hs_write *w, uint32_t at, hs_nid room, hs_nid user, hs_membership membership,
                              hs_nid event)
{
    return hs_write_after(w, &MEMBER_PUT, room, user, (int32_t)membership, event, at);
}

hs_error *hs_store_member_remove(hs_write *w, hs_nid room, hs_nid user)
{
    return hs_write_after(w, &MEMBER_REMOVE, room, user);
}

hs_error *hs_store_user_room_put(hs_write *w, uint32_t at, const hs_user_room *row)
{
    return hs_write_after(w, &USER_ROOM_PUT, row->user, row->room, (int32_t)row->membership, row->event, row->sender,
                          at, row->flags, row->stripped);
}

hs_error *hs_store_room_is_forgotten(hs_db *db, hs_arena *a, hs_nid room, bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ROOM_REMEMBERED, &rows, room));
    *ret = !hs_rows_count(rows);
    return NULL;
}

hs_error *hs_store_stripped_of(hs_db *db, hs_arena *a, hs_nid room, hs_user_room **ret, size_t *ret_n)
{
    hs_user_room *out;
    hs_rows *rows;
    size_t n;

    HS_TRY(hs_db_query(db, a, &STRIPPED_OF, &rows, room));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_user_room){ .user = hs_rows_i64(rows, i, 0), .room = room, .stripped = hs_rows_str(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_stripped_put(hs_write *w, hs_nid user, hs_nid room, hs_str stripped)
{
    return hs_write_after(w, &STRIPPED_PUT, user, room, stripped);
}

hs_error *hs_store_user_room_flags(hs_write *w, uint32_t at, hs_nid user, hs_nid room, int32_t set, int32_t clear)
{
    return hs_write_after(w, &USER_ROOM_FLAGS, user, room, set, clear, at);
}

/* ── the sync list ── */

static void read_user_room(const hs_rows *r, size_t row, hs_user_room *ret)
{
    *ret = (hs_user_room){
        .user = hs_rows_i64(r, row, 0),
        .room = hs_rows_i64(r, row, 1),
        .membership = (hs_membership)hs_rows_i64(r, row, 2),
        .event = hs_rows_i64(r, row, 3),
        .sender = hs_rows_i64(r, row, 4),
        .pos = hs_rows_i64(r, row, 5),
        .flags = (int32_t)hs_rows_i64(r, row, 6),
        .stripped = hs_rows_str(r, row, 7),
        .left_pos = hs_rows_i64(r, row, 8),
    };
}

static hs_error *read_user_rooms(const hs_rows *rows, hs_arena *a, hs_user_room **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(rows);
    hs_user_room *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        read_user_room(rows, i, &out[i]);
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_user_room(hs_db *db, hs_arena *a, hs_nid user, hs_nid room, hs_user_room *ret, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &USER_ROOM, &rows, user, room));
    *ret_found = hs_rows_count(rows) > 0;
    if (*ret_found)
        read_user_room(rows, 0, ret);
    return NULL;
}

hs_error *hs_store_user_rooms(hs_db *db, hs_arena *a, hs_nid user, unsigned memberships, hs_user_room **ret,
                              size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &USER_ROOMS, &rows, user, (int32_t)memberships));
    return read_user_rooms(rows, a, ret, ret_n);
}

hs_error *hs_store_user_rooms_after(hs_db *db, hs_arena *a, hs_nid user, int64_t after, hs_user_room **ret,
                                    size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &USER_ROOMS_AFTER, &rows, user, after));
    return read_user_rooms(rows, a, ret, ret_n);
}

/* ── members ── */

hs_error *hs_store_members(hs_db *db, hs_arena *a, hs_nid room, unsigned memberships, hs_member_row **ret,
                           size_t *ret_n)
{
    hs_rows *rows;
    hs_member_row *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &MEMBERS, &rows, room, (int32_t)memberships));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_member_row){ .room = hs_rows_i64(rows, i, 0),
                                  .user = hs_rows_i64(rows, i, 1),
                                  .membership = (hs_membership)hs_rows_i64(rows, i, 2),
                                  .event = hs_rows_i64(rows, i, 3),
                                  .pos = hs_rows_i64(rows, i, 4) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_members_first(hs_db *db, hs_arena *a, hs_nid room, unsigned memberships, size_t most, hs_nid *ret,
                                 size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEMBERS_FIRST, &rows, room, (int32_t)memberships, (int64_t)most));
    *ret_n = hs_rows_count(rows);
    for (size_t i = 0; i < *ret_n; i++)
        ret[i] = hs_rows_i64(rows, i, 0);
    return NULL;
}

hs_error *hs_store_members_get(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *users, size_t n, hs_membership *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &MEMBERS_GET, &rows, room, (hs_nids){ users, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        ret[i] = (hs_membership)hs_rows_i64(rows, i, 0);
    return NULL;
}

static hs_error *read_nids(const hs_rows *rows, hs_arena *a, hs_nids *ret)
{
    size_t n = hs_rows_count(rows);
    hs_nid *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ out, n };
    return NULL;
}

hs_error *hs_store_member_counts(hs_db *db, hs_arena *a, hs_nid room, hs_member_counts *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEMBER_COUNTS, &rows, room));
    *ret = (hs_member_counts){
        .joined = (int32_t)hs_rows_i64(rows, 0, 0),
        .invited = (int32_t)hs_rows_i64(rows, 0, 1),
        .knocked = (int32_t)hs_rows_i64(rows, 0, 2),
        .banned = (int32_t)hs_rows_i64(rows, 0, 3),
        .left = (int32_t)hs_rows_i64(rows, 0, 4),
        .local_joined = (int32_t)hs_rows_i64(rows, 0, 5),
    };
    return NULL;
}

hs_error *hs_store_shared_rooms(hs_db *db, hs_arena *a, hs_nid user, hs_nid other, hs_nids *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &SHARED_ROOMS, &rows, user, other));
    return read_nids(rows, a, ret);
}

hs_error *hs_store_users_share_room(hs_db *db, hs_arena *a, hs_nid user, const hs_nid *others, size_t n, bool *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &SHARE_ROOM, &rows, user, (hs_nids){ others, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        ret[i] = hs_rows_bool(rows, i, 0);
    return NULL;
}

hs_error *hs_store_local_neighbours(hs_db *db, hs_arena *a, hs_nid user, hs_nids *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &LOCAL_NEIGHBOURS, &rows, user));
    return read_nids(rows, a, ret);
}

hs_error *hs_store_room_made_for(hs_db *db, hs_arena *a, hs_nid user, hs_nid maker, hs_nid *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MADE_FOR, &rows, user, maker));
    *ret = hs_rows_count(rows) ? hs_rows_i64(rows, 0, 0) : 0;
    return NULL;
}
