/* Names ↔ numbers, and meta. Reads room for its id only; room is rooms.c's.
 *
 * A list goes out as an array and comes back in its own order, a row for each element (LEFT JOIN), so nothing is
 * matched here. */
#include "store/names.h"

/* clang-format off */
#define FIND(name_, table, key, nid)                                                                                   \
    { .name = name_,                                                                                                   \
      .sql = "SELECT t." nid " FROM unnest($1) WITH ORDINALITY w(name, i) LEFT JOIN " table " t ON t." key " = w.name" \
             " ORDER BY w.i",                                                                                          \
      .params = "T", .cols = "n", .big = table }
#define NAME(name_, table, key, nid)                                                                                   \
    { .name = name_,                                                                                                   \
      .sql = "SELECT t." key " FROM unnest($1) WITH ORDINALITY w(nid, i) LEFT JOIN " table " t ON t." nid " = w.nid"   \
             " ORDER BY w.i",                                                                                          \
      .params = "N", .cols = "t", .big = table }

static const hs_stmt USERS_FIND = FIND("users_find", "user_id", "mxid", "user_nid");
static const hs_stmt ROOMS_FIND = FIND("rooms_find", "room", "room_id", "room_nid");
static const hs_stmt SERVERS_FIND = FIND("servers_find", "server", "name", "server_nid");
static const hs_stmt USER_IDS = NAME("user_ids", "user_id", "mxid", "user_nid");
static const hs_stmt ROOM_IDS = NAME("room_ids", "room", "room_id", "room_nid");
static const hs_stmt SERVER_NAMES = NAME("server_names", "server", "name", "server_nid");

/* Sorted by name, so that two that insert the same wait for each other but never deadlock. */
static const hs_stmt USERS_INSERT = {
    .name = "users_insert",
    .sql = "INSERT INTO user_id(user_nid, mxid, server_nid)"
           " SELECT nid, mxid, server FROM unnest($1, $2, $3) u(nid, mxid, server) ORDER BY mxid"
           " ON CONFLICT (mxid) DO NOTHING",
    .params = "NTN",
};
static const hs_stmt SERVERS_INSERT = {
    .name = "servers_insert",
    .sql = "INSERT INTO server(server_nid, name)"
           " SELECT nid, name FROM unnest($1, $2) s(nid, name) ORDER BY name ON CONFLICT (name) DO NOTHING",
    .params = "NT",
};
static const hs_stmt META_GET = {
    .name = "meta_get",
    .sql = "SELECT value FROM meta WHERE key = $1",
    .params = "t", .cols = "b",
};
static const hs_stmt META_INSERT = {
    .name = "meta_insert",
    .sql = "INSERT INTO meta(key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
    .params = "tb",
};
/* clang-format on */

const hs_stmt *const hs_names_statements[] = {
    &USERS_FIND,   &ROOMS_FIND,     &SERVERS_FIND, &USER_IDS,    &ROOM_IDS, &SERVER_NAMES,
    &USERS_INSERT, &SERVERS_INSERT, &META_GET,     &META_INSERT, NULL,
};

static hs_error *find(hs_db *db, hs_arena *a, const hs_stmt *s, const hs_str *names, size_t n, hs_nid *ret)
{
    hs_str *copy;
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_alloc(a, n, &copy));
    memcpy(copy, names, n * sizeof *copy);
    HS_TRY(hs_db_query(db, a, s, &rows, (hs_strs){ copy, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        ret[i] = hs_rows_i64(rows, i, 0);
    return NULL;
}

static hs_error *names_of(hs_db *db, hs_arena *a, const hs_stmt *s, const hs_nid *nids, size_t n, hs_str *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, s, &rows, (hs_nids){ nids, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        ret[i] = hs_rows_str(rows, i, 0);
    return NULL;
}

hs_error *hs_store_users_find(hs_db *db, hs_arena *a, const hs_str *user_ids, size_t n, hs_nid *ret)
{
    return find(db, a, &USERS_FIND, user_ids, n, ret);
}

hs_error *hs_store_rooms_find(hs_db *db, hs_arena *a, const hs_str *room_ids, size_t n, hs_nid *ret)
{
    return find(db, a, &ROOMS_FIND, room_ids, n, ret);
}

hs_error *hs_store_servers_find(hs_db *db, hs_arena *a, const hs_str *names, size_t n, hs_nid *ret)
{
    return find(db, a, &SERVERS_FIND, names, n, ret);
}

hs_error *hs_store_user_ids(hs_db *db, hs_arena *a, const hs_nid *nids, size_t n, hs_str *ret)
{
    return names_of(db, a, &USER_IDS, nids, n, ret);
}

hs_error *hs_store_room_ids(hs_db *db, hs_arena *a, const hs_nid *nids, size_t n, hs_str *ret)
{
    return names_of(db, a, &ROOM_IDS, nids, n, ret);
}

hs_error *hs_store_server_names(hs_db *db, hs_arena *a, const hs_nid *nids, size_t n, hs_str *ret)
{
    return names_of(db, a, &SERVER_NAMES, nids, n, ret);
}

/* ── find or create ── */

enum { ENSURE_AT_ONCE = 128 }; /* small: these arrays are on a fiber's stack */

/* Names without a number get a fresh one each; a name that is there twice wastes one. */
static hs_error *pick_missing(hs_db *db, hs_arena *a, const hs_str *names, size_t n, const hs_nid *known,
                              hs_nid *ret_nids, hs_str *ret_names, size_t *ret_n)
{
    size_t missing = 0;
    hs_nid first;

    for (size_t i = 0; i < n; i++)
        if (!known[i])
            ret_names[missing++] = names[i];
    if (missing)
        HS_TRY(hs_db_new_nids(db, a, missing, &first));
    for (size_t i = 0; i < missing; i++)
        ret_nids[i] = first + (hs_nid)i;
    *ret_n = missing;
    return NULL;
}

static hs_error *ensure_servers(hs_db *db, hs_arena *a, const hs_str *names, size_t n, hs_nid *ret)
{
    hs_nid nids[ENSURE_AT_ONCE];
    hs_str missing[ENSURE_AT_ONCE];
    size_t missing_n;

    HS_TRY(find(db, a, &SERVERS_FIND, names, n, ret));
    HS_TRY(pick_missing(db, a, names, n, ret, nids, missing, &missing_n));
    if (!missing_n)
        return NULL;
    HS_TRY(hs_db_exec(db, a, &SERVERS_INSERT, NULL, (hs_nids){ nids, missing_n }, (hs_strs){ missing, missing_n }));
    return find(db, a, &SERVERS_FIND, names, n, ret);
}

static hs_error *ensure_users(hs_db *db, hs_arena *a, const hs_str *user_ids, size_t n, hs_nid *ret)
{
    hs_nid nids[ENSURE_AT_ONCE], servers[ENSURE_AT_ONCE];
    hs_str missing[ENSURE_AT_ONCE], names[ENSURE_AT_ONCE];
    size_t missing_n;

    HS_TRY(find(db, a, &USERS_FIND, user_ids, n, ret));
    HS_TRY(pick_missing(db, a, user_ids, n, ret, nids, missing, &missing_n));
    if (!missing_n)
        return NULL;
    for (size_t i = 0; i < missing_n; i++)
        names[i] = hs_str_from(missing[i], hs_str_find(missing[i], ':', 0) + 1);
    HS_TRY(ensure_servers(db, a, names, missing_n, servers));
    HS_TRY(hs_db_exec(db, a, &USERS_INSERT, NULL, (hs_nids){ nids, missing_n }, (hs_strs){ missing, missing_n },
                      (hs_nids){ servers, missing_n }));
    return find(db, a, &USERS_FIND, user_ids, n, ret);
}

typedef hs_error *ensure_fn(hs_db *db, hs_arena *a, const hs_str *names, size_t n, hs_nid *ret);

static hs_error *ensure(hs_db *db, hs_arena *a, ensure_fn *fn, const hs_str *names, size_t n, hs_nid *ret)
{
    for (size_t at = 0; at < n; at += ENSURE_AT_ONCE)
        HS_TRY(fn(db, a, names + at, n - at < ENSURE_AT_ONCE ? n - at : ENSURE_AT_ONCE, ret + at));
    for (size_t i = 0; i < n; i++)
        if (!ret[i])
            return hs_err_internal(a, NULL, "a name was neither found nor created");
    return NULL;
}

hs_error *hs_store_users_ensure(hs_db *db, hs_arena *a, const hs_str *user_ids, size_t n, hs_nid *ret)
{
    return ensure(db, a, ensure_users, user_ids, n, ret);
}

hs_error *hs_store_servers_ensure(hs_db *db, hs_arena *a, const hs_str *names, size_t n, hs_nid *ret)
{
    return ensure(db, a, ensure_servers, names, n, ret);
}

/* ── meta ── */

hs_error *hs_store_meta_get(hs_db *db, hs_arena *a, hs_str key, hs_str *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &META_GET, &rows, key));
    *ret = hs_rows_count(rows) ? hs_rows_str(rows, 0, 0) : hs_str_make(NULL, 0);
    return NULL;
}

hs_error *hs_store_meta_ensure(hs_db *db, hs_arena *a, hs_str key, hs_str value, hs_str *ret)
{
    HS_TRY(hs_db_exec(db, a, &META_INSERT, NULL, key, value));
    return hs_store_meta_get(db, a, key, ret);
}
