/* See user_list.h. A list looks at every account; devices are asked for those that are shown, unless it is in their
 * order. */
#include "store/user_list.h"

#include "store/pattern.h"
#include "store/statements.h"

/* clang-format off */
#define SEEN "(SELECT max(d.seen_ts) FROM device d WHERE d.user_nid = a.user_nid)"
#define COLS " a.user_nid, u.mxid, a.kind, p.displayname, p.avatar_url, a.flags, a.created_ts, " SEEN
#define COL_TYPES "nttttinn"
enum { COLS_N = 8 };
#define FROM " FROM account a JOIN user_id u ON u.user_nid = a.user_nid LEFT JOIN profile p ON p.user_nid = a.user_nid"
/* $1 a name as a pattern for ids, $2 for display names, $3 an id as a pattern; $4, $5 flags that there must (not) be */
#define WANTED " WHERE ($1 IS NULL OR lower(u.mxid) LIKE $1 OR lower(p.displayname) LIKE $2) AND ($3 IS NULL OR lower(u.mxid) LIKE $3)" \
               " AND a.flags & $4 = $4 AND a.flags & $5 = 0 AND (a.kind IS NULL OR a.kind <> ALL ($6)) AND (a.kind IS NOT NULL OR NOT $7)"
/* $8: hs_user_order, $9 its flag. Of the two keys one is the same for all. */
#define TEXT " CASE $8 WHEN 1 THEN p.displayname WHEN 2 THEN a.kind WHEN 3 THEN p.avatar_url ELSE u.mxid END"
#define NUMBER " CASE $8 WHEN 4 THEN (a.flags & $9)::bigint WHEN 5 THEN a.created_ts WHEN 6 THEN " SEEN " ELSE 0 END"
#define ONE_TEXT " CASE WHEN $8 < 4 THEN" TEXT " END"
#define ORDERED(dir) " ORDER BY" ONE_TEXT dir "," NUMBER dir ", u.mxid LIMIT $10 OFFSET $11"
static const hs_stmt USER_LIST = {
    .name = "user_list",
    .sql = "SELECT" COLS FROM WANTED ORDERED(""),
    .params = "tttiiTfiinn", .cols = COL_TYPES, .big = "device",
};
static const hs_stmt USER_LIST_DOWN = {
    .name = "user_list_down",
    .sql = "SELECT" COLS FROM WANTED ORDERED(" DESC"),
    .params = "tttiiTfiinn", .cols = COL_TYPES, .big = "device",
};
static const hs_stmt USER_COUNT = {
    .name = "user_list_count",
    .sql = "SELECT count(*)" FROM WANTED,
    .params = "tttiiTf", .cols = "n", .big = "device",
};
static const hs_stmt USER_DETAILS = {
    .name = "user_details",
    .sql = "SELECT" COLS ", a.appservice_id, a.consent_version, a.consent_ts" FROM " WHERE u.mxid = $1",
    .params = "t", .cols = COL_TYPES "ttn", .big = "account user_id profile device",
};
static const hs_stmt JOINED_ROOMS = {
    .name = "user_joined_rooms",
    .sql = "SELECT r.room_id FROM room_member m JOIN room r ON r.room_nid = m.room_nid"
           " WHERE m.user_nid = $1 AND m.membership = $2 ORDER BY m.room_nid",
    .params = "ns", .cols = "t", .big = "room_member",
};
#define SLICE "(SELECT pos, event_nid FROM timeline WHERE room_nid = $1 AND pos < $2 ORDER BY pos DESC LIMIT 2000) t"
static const hs_stmt SENT_BY = {
    .name = "sent_by",
    .sql = "SELECT t.event_nid, t.pos FROM " SLICE " JOIN event e ON e.room_nid = $1 AND e.event_nid = t.event_nid"
           " WHERE e.sender_nid = $3 AND ($4 = 0 OR e.origin_ts <= $4) AND e.origin_ts >= $5 ORDER BY t.pos DESC",
    .params = "nnnnn", .cols = "nn", .big = "event timeline",
};
static const hs_stmt SENT_BY_LAST = {
    .name = "sent_by_last",
    .sql = "SELECT min(pos) FROM " SLICE,
    .params = "nn", .cols = "n", .big = "timeline",
};
/* What is stored is canonical JSON, in which a quoted text cannot look like a member. */
static const hs_stmt MEMBER_COUNTS = {
    .name = "sent_member_counts",
    .sql = "SELECT count(*) FILTER (WHERE position('\"membership\":\"invite\"'::bytea in json) > 0),"
           " count(DISTINCT room_nid) FILTER (WHERE state_key = $3 AND position('\"membership\":\"join\"'::bytea in json) > 0)"
           " FROM event WHERE sender_nid = $1 AND type = 'm.room.member' AND received_ts >= $2",
    .params = "nnt", .cols = "nn", .big = "event",
};
/* clang-format on */

const hs_stmt *const hs_user_list_statements[] = {
    &USER_LIST, &USER_LIST_DOWN, &USER_COUNT,    &USER_DETAILS, &JOINED_ROOMS,
    &SENT_BY,   &SENT_BY_LAST,   &MEMBER_COUNTS, NULL,
};

static hs_listed_user read_user(const hs_rows *r, size_t i)
{
    return (hs_listed_user){
        .user = hs_rows_i64(r, i, 0),
        .user_id = hs_rows_str(r, i, 1),
        .kind = hs_rows_str(r, i, 2),
        .displayname = hs_rows_str(r, i, 3),
        .avatar_url = hs_rows_str(r, i, 4),
        .flags = (unsigned)hs_rows_i64(r, i, 5),
        .created_ts = hs_rows_i64(r, i, 6),
        .seen_ts = hs_rows_i64(r, i, 7),
    };
}

hs_error *hs_store_user_list(hs_db *db, hs_arena *a, const hs_user_list_query *q, hs_listed_user **ret, size_t *ret_n,
                             int64_t *ret_total)
{
    hs_str text, in_local = { NULL, 0 }, in_name = { NULL, 0 }, in_id = { NULL, 0 };
    const int32_t with = (int32_t)q->with, without = (int32_t)q->without;
    const hs_strs kinds = { q->not_kinds.n ? q->not_kinds.at : &(hs_str){ NULL, 0 }, q->not_kinds.n };
    const int needs_kind = q->needs_kind;
    hs_listed_user *out;
    hs_rows *rows, *total;
    hs_pipe *p;

    if (q->name.p) {
        HS_TRY(hs_store_pattern(a, q->name, &text));
        HS_TRY(hs_str_cat(a, &in_local, 3, HS_S("@%"), text, HS_S("%:%")));
        HS_TRY(hs_str_cat(a, &in_name, 3, HS_S("%"), text, HS_S("%")));
    }
    if (q->user_id.p) {
        HS_TRY(hs_store_pattern(a, q->user_id, &text));
        HS_TRY(hs_str_cat(a, &in_id, 3, HS_S("%"), text, HS_S("%")));
    }
    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, q->descending ? &USER_LIST_DOWN : &USER_LIST, &rows, in_local, in_name, in_id, with, without,
                       kinds, needs_kind, (int32_t)q->order, (int32_t)q->flag, q->limit, q->from));
    HS_TRY(hs_pipe_add(p, &USER_COUNT, &total, in_local, in_name, in_id, with, without, kinds, needs_kind));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = read_user(rows, i);
    *ret = out;
    *ret_n = n;
    *ret_total = hs_rows_i64(total, 0, 0);
    return NULL;
}

hs_error *hs_store_user_details(hs_db *db, hs_arena *a, hs_str user_id, hs_user_details *ret, bool *ret_found)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &USER_DETAILS, &rows, user_id));
    *ret_found = hs_rows_count(rows) > 0;
    if (*ret_found)
        *ret = (hs_user_details){ .row = read_user(rows, 0),
                                  .appservice_id = hs_rows_str(rows, 0, COLS_N),
                                  .consent_version = hs_rows_str(rows, 0, COLS_N + 1),
                                  .consent_ts = hs_rows_i64(rows, 0, COLS_N + 2) };
    return NULL;
}

hs_error *hs_store_rooms_of_user(hs_db *db, hs_arena *a, hs_nid user, hs_membership membership, hs_strs *ret)
{
    hs_rows *rows;
    hs_str *out;

    HS_TRY(hs_db_query(db, a, &JOINED_ROOMS, &rows, user, (int32_t)membership));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_str(rows, i, 0);
    *ret = (hs_strs){ out, n };
    return NULL;
}

hs_error *hs_store_sent_member_counts(hs_db *db, hs_arena *a, hs_nid user, hs_str user_id, int64_t from_ts,
                                      int64_t *ret_invites, int64_t *ret_rooms)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &MEMBER_COUNTS, &rows, user, from_ts, user_id));
    *ret_invites = hs_rows_i64(rows, 0, 0);
    *ret_rooms = hs_rows_i64(rows, 0, 1);
    return NULL;
}

hs_error *hs_store_sent_by(hs_db *db, hs_arena *a, hs_nid room, hs_nid user, int64_t before, int64_t before_ts,
                           int64_t after_ts, hs_sent **ret, size_t *ret_n, int64_t *ret_last)
{
    hs_rows *rows, *last;
    hs_sent *out;
    hs_pipe *p;

    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, &SENT_BY, &rows, room, before, user, before_ts, after_ts));
    HS_TRY(hs_pipe_add(p, &SENT_BY_LAST, &last, room, before));
    HS_TRY(hs_pipe_run(p));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_sent){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    *ret_last = hs_rows_i64(last, 0, 0);
    return NULL;
}
