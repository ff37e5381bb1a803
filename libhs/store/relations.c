/* See relations.h. */
#include "store/relations.h"

#include "store/statements.h"

static const hs_stmt RELATION_INSERT = {
    .name = "relation_insert",
    .sql = "INSERT INTO relation(room_nid, target_nid, rel_type, event_nid, sender_nid, key, pos, n_notify)"
           " VALUES ($1, $2, $3, $4, $5, $6, hs_pos($7), 0) ON CONFLICT DO NOTHING",
    .params = "nntnntp",
    .big = "relation",
};

static const hs_stmt THREAD_ADVANCE = {
    .name = "thread_advance",
    .sql =
        "INSERT INTO thread AS t(room_nid, root_nid, last_nid, last_pos, depth, replies, n_notify)"
        " VALUES ($1, $2, $3, hs_pos($4), $5, 1, 0) ON CONFLICT (room_nid, root_nid) DO UPDATE SET"
        " last_nid = excluded.last_nid, last_pos = excluded.last_pos, depth = excluded.depth, replies = t.replies + 1",
    .params = "nnnpn",
    .big = "thread",
};

hs_error *hs_store_relation_insert(hs_write *w, uint32_t at, const hs_relation_row *row)
{
    HS_TRY(hs_write_after(w, &RELATION_INSERT, row->room, row->target, row->rel_type, row->event, row->sender, row->key,
                          at));
    if (hs_str_eq(row->rel_type, HS_S("m.thread")))
        HS_TRY(hs_write_after(w, &THREAD_ADVANCE, row->room, row->target, row->event, at, row->depth));
    return NULL;
}

static const hs_stmt RELATION_REMOVE = {
    .name = "relation_remove",
    .sql = "DELETE FROM relation WHERE room_nid = $1 AND target_nid = $2 AND rel_type = $3 AND event_nid = $4",
    .params = "nntn",
    .big = "relation",
};

static const hs_stmt THREAD_SHRINK = {
    .name = "thread_shrink",
    .sql =
        "UPDATE thread t SET replies = s.n, last_nid = s.event_nid, last_pos = s.pos FROM (SELECT count(*) OVER () n,"
        " event_nid, pos FROM relation WHERE room_nid = $1 AND target_nid = $2 AND rel_type = 'm.thread'"
        " ORDER BY pos DESC LIMIT 1) s WHERE t.room_nid = $1 AND t.root_nid = $2",
    .params = "nn",
    .big = "relation thread",
};

static const hs_stmt THREAD_REMOVE = {
    .name = "thread_remove",
    .sql = "DELETE FROM thread WHERE room_nid = $1 AND root_nid = $2 AND NOT EXISTS (SELECT FROM relation"
           " WHERE room_nid = $1 AND target_nid = $2 AND rel_type = 'm.thread')",
    .params = "nn",
    .big = "relation thread",
};

hs_error *hs_store_relation_remove(hs_write *w, hs_nid room, hs_nid target, hs_str rel_type, hs_nid event)
{
    HS_TRY(hs_write_after(w, &RELATION_REMOVE, room, target, rel_type, event));
    if (hs_str_eq(rel_type, HS_S("m.thread"))) {
        HS_TRY(hs_write_after(w, &THREAD_SHRINK, room, target));
        HS_TRY(hs_write_after(w, &THREAD_REMOVE, room, target));
    }
    return NULL;
}

static const hs_stmt ANNOTATED = {
    .name = "annotated",
    .sql = "SELECT 1::bigint FROM relation r JOIN event e ON e.room_nid = r.room_nid AND e.event_nid = r.event_nid"
           " WHERE r.room_nid = $1 AND r.target_nid = $2 AND r.rel_type = 'm.annotation' AND r.sender_nid = $3"
           " AND r.key = $5 AND e.type = $4 LIMIT 1",
    .params = "nnntt",
    .cols = "n",
    .big = "relation event",
};

hs_error *hs_store_annotated(hs_db *db, hs_arena *a, hs_nid room, hs_nid target, hs_nid user, hs_str type, hs_str key,
                             bool *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &ANNOTATED, &rows, room, target, user, type, key));
    *ret = hs_rows_count(rows) > 0;
    return NULL;
}

/* ── bundles ── */
static const hs_stmt EDITS = {
    .name = "bundle_edits",
    .sql = "SELECT DISTINCT ON (r.target_nid) r.target_nid, r.event_nid"
           " FROM unnest($1::bigint[], $2::bigint[]) w(room_nid, target_nid)"
           " JOIN relation r ON r.room_nid = w.room_nid AND r.target_nid = w.target_nid AND r.rel_type = 'm.replace'"
           " JOIN event t ON t.room_nid = r.room_nid AND t.event_nid = r.target_nid"
           " JOIN event e ON e.room_nid = r.room_nid AND e.event_nid = r.event_nid"
           " WHERE e.sender_nid = t.sender_nid AND e.type = t.type AND e.slot IS NULL"
           " ORDER BY r.target_nid, e.origin_ts DESC, e.event_id DESC",
    .params = "NN",
    .cols = "nn",
    .big = "relation event",
};

static const hs_stmt REFERENCES = {
    .name = "bundle_references",
    .sql =
        "SELECT r.target_nid, e.event_id, r.event_nid FROM unnest($1::bigint[], $2::bigint[]) w(room_nid, target_nid)"
        " JOIN relation r ON r.room_nid = w.room_nid AND r.target_nid = w.target_nid AND r.rel_type = 'm.reference'"
        " JOIN event e ON e.room_nid = r.room_nid AND e.event_nid = r.event_nid ORDER BY r.target_nid, r.pos",
    .params = "NN",
    .cols = "ntn",
    .big = "relation event",
};

static const hs_stmt THREADS_OF = {
    .name = "bundle_threads",
    .sql = "SELECT t.root_nid, t.last_nid, t.replies, EXISTS (SELECT FROM relation r WHERE r.room_nid = t.room_nid AND"
           " r.target_nid = t.root_nid AND r.rel_type = 'm.thread' AND r.sender_nid = $3)"
           " FROM unnest($1::bigint[], $2::bigint[]) w(room_nid, root_nid)"
           " JOIN thread t ON t.room_nid = w.room_nid AND t.root_nid = w.root_nid",
    .params = "NNn",
    .cols = "nnif",
    .big = "relation thread",
};

hs_error *hs_store_bundles(hs_db *db, hs_arena *a, hs_nid viewer, const hs_nid *rooms, const hs_nid *targets, size_t n,
                           hs_bundles *ret)
{
    hs_pipe *p;
    hs_rows *edits, *references, *threads;
    hs_bundles out = { 0 };
    hs_nids r = { rooms, n }, t = { targets, n };

    if (!n) {
        *ret = out;
        return NULL;
    }
    HS_TRY(hs_pipe_open(db, a, &p));
    HS_TRY(hs_pipe_add(p, &EDITS, &edits, r, t));
    HS_TRY(hs_pipe_add(p, &REFERENCES, &references, r, t));
    HS_TRY(hs_pipe_add(p, &THREADS_OF, &threads, r, t, viewer));
    HS_TRY(hs_pipe_run(p));

    out.edits_n = hs_rows_count(edits);
    out.references_n = hs_rows_count(references);
    out.threads_n = hs_rows_count(threads);
    HS_TRY(hs_alloc(a, out.edits_n, &out.edits));
    HS_TRY(hs_alloc(a, out.references_n, &out.references));
    HS_TRY(hs_alloc(a, out.threads_n, &out.threads));
    for (size_t i = 0; i < out.edits_n; i++)
        out.edits[i] = (hs_edit_row){ hs_rows_i64(edits, i, 0), hs_rows_i64(edits, i, 1) };
    for (size_t i = 0; i < out.references_n; i++)
        out.references[i] = (hs_reference_row){ hs_rows_i64(references, i, 0), hs_rows_i64(references, i, 2),
                                                hs_rows_str(references, i, 1) };
    for (size_t i = 0; i < out.threads_n; i++) {
        out.threads[i] = (hs_thread_row){ hs_rows_i64(threads, i, 0), hs_rows_i64(threads, i, 1),
                                          hs_rows_i64(threads, i, 2), hs_rows_bool(threads, i, 3) };
    }
    *ret = out;
    return NULL;
}

static const hs_stmt THREAD_TAIL = {
    .name = "thread_tail",
    .sql = "SELECT event_nid, pos FROM relation WHERE room_nid = $1 AND target_nid = $2 AND rel_type = 'm.thread'"
           " AND sender_nid <> ALL ($3) ORDER BY pos DESC LIMIT $4",
    .params = "nnNi",
    .cols = "nn",
    .big = "relation",
};

static const hs_stmt THREAD_COUNT = {
    .name = "thread_count",
    .sql = "SELECT count(*) FROM relation WHERE room_nid = $1 AND target_nid = $2 AND rel_type = 'm.thread'"
           " AND sender_nid <> ALL ($3) AND pos <= $4",
    .params = "nnNn",
    .cols = "n",
    .big = "relation",
};

/* An array without elements is not NULL. */
static hs_nids none_is_empty(hs_nids list)
{
    static const hs_nid NONE = 0;

    return list.at ? list : (hs_nids){ &NONE, 0 };
}

hs_error *hs_store_thread_tail(hs_db *db, hs_arena *a, hs_nid room, hs_nid root, hs_nids but_of, int32_t limit,
                               hs_nid *ret, int64_t *ret_pos, size_t *ret_n)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &THREAD_TAIL, &rows, room, root, none_is_empty(but_of), limit));
    *ret_n = hs_rows_count(rows);
    for (size_t i = 0; i < *ret_n; i++) {
        ret[i] = hs_rows_i64(rows, i, 0);
        ret_pos[i] = hs_rows_i64(rows, i, 1);
    }
    return NULL;
}

hs_error *hs_store_thread_count(hs_db *db, hs_arena *a, hs_nid room, hs_nid root, hs_nids but_of, int64_t upto,
                                int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &THREAD_COUNT, &rows, room, root, none_is_empty(but_of), upto));
    *ret = hs_rows_i64(rows, 0, 0);
    return NULL;
}

/* ── listing ── */
#define RELATED_SELECT                                                                                                 \
    "SELECT r.event_nid, t.depth, t.pos FROM relation r"                                                               \
    " JOIN timeline t ON t.room_nid = r.room_nid AND t.pos = r.pos"                                                    \
    " JOIN event e ON e.room_nid = r.room_nid AND e.event_nid = r.event_nid"                                           \
    " WHERE r.room_nid = $1 AND r.target_nid = $2 AND ($3::text IS NULL OR r.rel_type = $3)"                           \
    " AND ($4::text IS NULL OR e.type = $4) AND (t.depth, t.pos) > ($5, $6) AND (t.depth, t.pos) < ($7, $8)"           \
    " AND t.pos > $10 AND t.pos <= $11"
#define RELATED_RECURSE                                                                                                \
    "WITH RECURSIVE w(event_nid, rel_type, pos, level) AS ("                                                           \
    "SELECT event_nid, rel_type, pos, 1 FROM relation WHERE room_nid = $1 AND target_nid = $2"                         \
    " UNION ALL SELECT r.event_nid, r.rel_type, r.pos, w.level + 1 FROM w JOIN relation r"                             \
    " ON r.room_nid = $1 AND r.target_nid = w.event_nid WHERE w.level < 3)"                                            \
    " SELECT r.event_nid, t.depth, t.pos FROM w r JOIN timeline t ON t.room_nid = $1 AND t.pos = r.pos"                \
    " JOIN event e ON e.room_nid = $1 AND e.event_nid = r.event_nid WHERE ($3::text IS NULL OR r.rel_type = $3)"       \
    " AND ($4::text IS NULL OR e.type = $4) AND (t.depth, t.pos) > ($5, $6) AND (t.depth, t.pos) < ($7, $8)"           \
    " AND t.pos > $10 AND t.pos <= $11"

static const hs_stmt RELATED[2][2] = {
    {
        { .name = "related_forward",
          .sql = RELATED_SELECT " ORDER BY t.depth, t.pos LIMIT $9",
          .params = "nnttnnnninn",
          .cols = "nnn",
          .big = "relation event timeline" },
        { .name = "related_backward",
          .sql = RELATED_SELECT " ORDER BY t.depth DESC, t.pos DESC LIMIT $9",
          .params = "nnttnnnninn",
          .cols = "nnn",
          .big = "relation event timeline" },
    },
    {
        { .name = "related_deep_forward",
          .sql = RELATED_RECURSE " ORDER BY t.depth, t.pos LIMIT $9",
          .params = "nnttnnnninn",
          .cols = "nnn",
          .big = "relation event timeline" },
        { .name = "related_deep_backward",
          .sql = RELATED_RECURSE " ORDER BY t.depth DESC, t.pos DESC LIMIT $9",
          .params = "nnttnnnninn",
          .cols = "nnn",
          .big = "relation event timeline" },
    },
};

hs_error *hs_store_related(hs_db *db, hs_arena *a, const hs_relation_range *r, hs_related_row **ret, size_t *ret_n)
{
    hs_rows *rows;
    hs_related_row *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &RELATED[r->recurse][r->dir == HS_BACKWARD], &rows, r->room, r->target, r->rel_type,
                       r->type, r->low.depth, r->low.pos, r->high.depth, r->high.pos, r->limit, r->after, r->upto));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_related_row){ hs_rows_i64(rows, i, 0), { hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2) } };
    *ret = out;
    *ret_n = n;
    return NULL;
}

static const hs_stmt RELATED_TO = {
    .name = "related_to",
    .sql = "SELECT DISTINCT target_nid FROM relation WHERE room_nid = $1 AND target_nid = ANY ($2)"
           " AND ($3::text[] IS NULL OR rel_type = ANY ($3)) AND ($4::text[] IS NULL"
           " OR sender_nid IN (SELECT user_nid FROM user_id WHERE mxid = ANY ($4)))",
    .params = "nNTT",
    .cols = "n",
    .big = "relation user_id",
};

hs_error *hs_store_related_to(hs_db *db, hs_arena *a, hs_nid room, hs_nids targets, hs_strs rel_types, hs_strs senders,
                              hs_nids *ret)
{
    hs_rows *rows;
    hs_nid *out;
    size_t n;

    if (!rel_types.n)
        rel_types.at = NULL; /* an empty list asks for nothing in particular */
    if (!senders.n)
        senders.at = NULL;
    HS_TRY(hs_db_query(db, a, &RELATED_TO, &rows, room, targets, rel_types, senders));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = hs_rows_i64(rows, i, 0);
    *ret = (hs_nids){ out, n };
    return NULL;
}

static const hs_stmt THREADS = {
    .name = "threads",
    .sql =
        "SELECT root_nid, last_pos FROM thread WHERE room_nid = $1 AND last_pos < $2 ORDER BY last_pos DESC LIMIT $3",
    .params = "nni",
    .cols = "nn",
    .big = "thread",
};

hs_error *hs_store_threads(hs_db *db, hs_arena *a, hs_nid room, int64_t before, int32_t limit, hs_thread_at **ret,
                           size_t *ret_n)
{
    hs_rows *rows;
    hs_thread_at *out;
    size_t n;

    HS_TRY(hs_db_query(db, a, &THREADS, &rows, room, before ? before : INT64_MAX, limit));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_thread_at){ hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, 1) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

const hs_stmt *const hs_relations_statements[] = {
    &RELATION_INSERT, &THREAD_ADVANCE, &RELATION_REMOVE, &THREAD_SHRINK, &THREAD_REMOVE, &ANNOTATED,
    &EDITS,           &REFERENCES,     &THREADS_OF,      &THREADS,       &RELATED[0][0], &RELATED[0][1],
    &RELATED[1][0],   &RELATED[1][1],  &RELATED_TO,      &THREAD_TAIL,   &THREAD_COUNT,  NULL,
};
