/* Room aliases and the list of public rooms. */
#include "store/directory.h"

#define PUBLIC_COLS                                                                                                    \
    "p.room_nid, r.room_id, s.name, s.topic, s.canonical_alias, s.avatar, s.join_rules, s.history_visibility,"         \
    " s.guest_access, s.room_type, s.joined"
/* $1 search pattern, $2 by type, $3 untyped, $4 types, $5 and $6 the mark, $7 limit */
#define PUBLIC_WHERE                                                                                                   \
    " FROM published p JOIN room_summary s ON s.room_nid = p.room_nid JOIN room r ON r.room_nid = p.room_nid"          \
    " WHERE p.appservice_id = '' AND s.joined > 0"                                                                     \
    " AND (s.join_rules IN ('public', 'knock', 'knock_restricted')"                                                    \
    "      OR s.history_visibility = 'world_readable')"                                                                \
    " AND ($1::text IS NULL OR lower(coalesce(s.name, '')) LIKE lower($1) OR lower(coalesce(s.topic, '')) LIKE "       \
    "lower($1)"                                                                                                        \
    "      OR lower(coalesce(s.canonical_alias, '')) LIKE lower($1))"                                                  \
    " AND (NOT $2 OR s.room_type = ANY ($4) OR ($3 AND s.room_type IS NULL))"

static const hs_stmt ALIAS_GET = {
    .name = "alias_get",
    .sql = "SELECT a.room_nid, r.room_id, coalesce(a.creator_nid, 0), a.servers"
           "  FROM alias a JOIN room r ON r.room_nid = a.room_nid WHERE a.alias = $1",
    .params = "t",
    .cols = "ntnT",
    .big = "alias room",
};
static const hs_stmt ALIASES_OF = {
    .name = "aliases_of",
    .sql = "SELECT alias FROM alias WHERE room_nid = $1 ORDER BY alias LIMIT 10000", /* alias_room */
    .params = "n",
    .cols = "t",
    .big = "alias",
};
static const hs_stmt ALIAS_COUNT = {
    .name = "alias_count",
    .sql = "SELECT count(*) FROM (SELECT 1 FROM alias WHERE room_nid = $1 LIMIT $2) x",
    .params = "ni",
    .cols = "n",
    .big = "alias",
};
static const hs_stmt ALIAS_ADD = {
    .name = "alias_add",
    .sql = "INSERT INTO alias(alias, room_nid, creator_nid) VALUES ($1, $2, $3) ON CONFLICT (alias) DO NOTHING",
    .params = "tnn",
};
static const hs_stmt ALIAS_ROOM_LOCK = {
    .name = "alias_room_lock",
    .sql = "SELECT room_nid FROM room WHERE room_nid = $1 FOR NO KEY UPDATE",
    .params = "n",
    .cols = "n",
    .big = "room",
};
static const hs_stmt ALIAS_INSERT = {
    .name = "alias_insert",
    .sql = "INSERT INTO alias(alias, room_nid, creator_nid) VALUES ($1, $2, $3)",
    .params = "tnn",
};
static const hs_stmt ALIAS_REMOVE = {
    .name = "alias_remove",
    .sql = "DELETE FROM alias WHERE alias = $1",
    .params = "t",
    .big = "alias",
};
static const hs_stmt ALIAS_MOVE = {
    .name = "alias_move",
    .sql = "UPDATE alias SET room_nid = $2 WHERE room_nid = $1", /* alias_room */
    .params = "nn",
    .big = "alias",
};
static const hs_stmt PUBLIC_AFTER = {
    .name = "public_after",
    .sql = "SELECT " PUBLIC_COLS PUBLIC_WHERE " AND ($5::bigint IS NULL OR (s.joined, -s.room_nid) < ($5, -$6))"
           " ORDER BY s.joined DESC, s.room_nid LIMIT $7",
    .params = "tffToni",
    .cols = "nttttttttti",
};
static const hs_stmt PUBLIC_BEFORE = {
    .name = "public_before",
    .sql = "SELECT " PUBLIC_COLS PUBLIC_WHERE " AND ($5::bigint IS NULL OR (s.joined, -s.room_nid) > ($5, -$6))"
           " ORDER BY s.joined, s.room_nid DESC LIMIT $7",
    .params = "tffToni",
    .cols = "nttttttttti",
};
static const hs_stmt PUBLIC_COUNT = {
    .name = "public_count",
    .sql = "SELECT count(*)" PUBLIC_WHERE,
    .params = "tffT",
    .cols = "n",
};

const hs_stmt *const hs_directory_statements[] = {
    &ALIAS_GET,  &ALIASES_OF,  &ALIAS_ADD,    &ALIAS_ROOM_LOCK, &ALIAS_INSERT, &ALIAS_REMOVE,
    &ALIAS_MOVE, &ALIAS_COUNT, &PUBLIC_AFTER, &PUBLIC_BEFORE,   &PUBLIC_COUNT, NULL,
};

hs_error *hs_store_alias_get(hs_db *db, hs_arena *a, hs_str alias, hs_alias_row *ret)
{
    hs_rows *rows;
    hs_alias_row out = { 0 };

    HS_TRY(hs_db_query(db, a, &ALIAS_GET, &rows, alias));
    if (hs_rows_count(rows)) {
        out.room = hs_rows_i64(rows, 0, 0);
        out.room_id = hs_rows_str(rows, 0, 1);
        out.creator = hs_rows_i64(rows, 0, 2);
        if (!hs_rows_null(rows, 0, 3))
            HS_TRY(hs_rows_strs(rows, a, 0, 3, &out.servers));
    }
    *ret = out;
    return NULL;
}

hs_error *hs_store_aliases_of(hs_db *db, hs_arena *a, hs_nid room, hs_strs *ret)
{
    hs_rows *rows;
    hs_str *out;

    HS_TRY(hs_db_query(db, a, &ALIASES_OF, &rows, room));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_str(rows, i, 0);
    *ret = (hs_strs){ .at = out, .n = n };
    return NULL;
}

/* The room's row is held from the count to the end: who else adds one waits, and counts what is there then. */
hs_error *hs_store_alias_add(hs_db *db, hs_arena *a, const hs_alias_new *in, bool *ret_added, bool *ret_full)
{
    hs_rows *rows;
    uint64_t n;
    hs_tx *tx;

    HS_TRY(hs_tx_begin(db, a, &tx));
    HS_TRY(hs_tx_query(tx, a, &ALIAS_ROOM_LOCK, &rows, in->room));
    HS_TRY(hs_tx_query(tx, a, &ALIAS_COUNT, &rows, in->room, in->most));
    *ret_added = false;
    *ret_full = hs_rows_i64(rows, 0, 0) >= in->most;
    if (*ret_full)
        return NULL;
    HS_TRY(hs_tx_exec(tx, a, &ALIAS_ADD, &n, in->alias, in->room, in->creator));
    HS_TRY(hs_tx_commit(tx));
    *ret_added = n > 0;
    return NULL;
}

hs_error *hs_store_alias_insert(hs_write *w, hs_str alias, hs_nid room, hs_nid creator)
{
    return hs_write_before(w, &ALIAS_INSERT, alias, room, creator);
}

hs_error *hs_store_alias_remove(hs_db *db, hs_arena *a, hs_str alias, bool *ret_removed)
{
    uint64_t n;

    HS_TRY(hs_db_exec(db, a, &ALIAS_REMOVE, &n, alias));
    *ret_removed = n > 0;
    return NULL;
}

/* %text%, with LIKE's own characters escaped. */
static hs_error *pattern_of(hs_arena *a, hs_str text, hs_str *ret)
{
    char *p;
    size_t n = 0;

    *ret = hs_str_make(NULL, 0);
    if (!text.p)
        return NULL;
    HS_TRY(hs_alloc(a, text.n * 2 + 2, &p));
    p[n++] = '%';
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%' || c == '_' || c == '\\')
            p[n++] = '\\';
        p[n++] = c;
    }
    p[n++] = '%';
    *ret = hs_str_make(p, n);
    return NULL;
}

static void read_row(const hs_rows *rows, size_t i, hs_public_row *ret)
{
    *ret = (hs_public_row){ .room = hs_rows_i64(rows, i, 0),
                            .room_id = hs_rows_str(rows, i, 1),
                            .name = hs_rows_str(rows, i, 2),
                            .topic = hs_rows_str(rows, i, 3),
                            .canonical_alias = hs_rows_str(rows, i, 4),
                            .avatar = hs_rows_str(rows, i, 5),
                            .join_rules = hs_rows_str(rows, i, 6),
                            .history_visibility = hs_rows_str(rows, i, 7),
                            .guest_access = hs_rows_str(rows, i, 8),
                            .room_type = hs_rows_str(rows, i, 9),
                            .joined = hs_rows_i64(rows, i, 10) };
}

hs_error *hs_store_public_rooms(hs_db *db, hs_arena *a, const hs_public_filter *f, hs_public_row **ret, size_t *ret_n)
{
    hs_str pattern;
    hs_rows *rows;
    hs_public_row *out;
    hs_strs types = f->types.at ? f->types : (hs_strs){ .at = &pattern, .n = 0 };

    HS_TRY(pattern_of(a, f->search, &pattern));
    HS_TRY(hs_db_query(db, a, f->backwards ? &PUBLIC_BEFORE : &PUBLIC_AFTER, &rows, pattern, (int)f->by_type,
                       (int)f->untyped, types, f->from ? &f->from->joined : (const int64_t *)NULL,
                       f->from ? f->from->room : (hs_nid)0, f->limit));
    size_t n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        read_row(rows, f->backwards ? n - 1 - i : i, &out[i]);
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_public_count(hs_db *db, hs_arena *a, const hs_public_filter *f, int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &PUBLIC_COUNT, &rows, (hs_str){ 0 }, (int)f->by_type, (int)f->untyped, f->types));
    *ret = hs_rows_i64(rows, 0, 0);
    return NULL;
}

hs_error *hs_store_aliases_move(hs_write *w, hs_nid from, hs_nid to)
{
    return hs_write_after(w, &ALIAS_MOVE, from, to);
}
