/* State lines: what a room's state was at any snapshot, from what holds now (state_tip) and what each change replaced
 * (state_past).
 *
 * In one line: a slot's tip row holds from `since` on; each past row held from `since` until just before `until`, and
 * together they cover all snapshots without a gap. Event 0 in a past row: the line had nothing there, ask its base.
 * Event -1 anywhere: nothing, and do not ask. Bases are followed in SQL; what a nearer line says hides what a farther
 * one says. */
#include "store/state.h"

#include "base/vec.h"

#include <stdlib.h>

/* clang-format off */
/* The line and its bases, nearest first; a chain is kept short (HS_LINE_MAX_DEPTH), the bound is against a loop in damaged data. */
#define CHAIN(seed, extra)                                                                                             \
    "WITH RECURSIVE chain AS (" seed                                                                                   \
    " UNION ALL SELECT " extra "c.depth + 1, l.base_line, l.base_snap FROM chain c"                                    \
    "   JOIN state_line l ON l.room_nid = $1 AND l.line = c.line"                                                      \
    "   WHERE l.base_line IS NOT NULL AND c.depth < 64)"
/* What line c says of a slot at c.snap: one row, or none. */
#define LOOKUP(slot)                                                                                                   \
    "(SELECT t.event_nid FROM state_tip t WHERE t.room_nid = $1 AND t.line = c.line AND t.slot = " slot                \
    "   AND t.since <= c.snap UNION ALL (SELECT p.event_nid FROM state_past p WHERE p.room_nid = $1"                   \
    "   AND p.line = c.line AND p.slot = " slot " AND p.until > c.snap ORDER BY p.until LIMIT 1))"

static const hs_stmt RANGE = {
    .name = "state_range",
    .sql = CHAIN("SELECT 0 AS depth, $2 AS line, $3 AS snap", "")
           " SELECT c.depth, t.slot, t.event_nid FROM chain c JOIN state_tip t ON t.room_nid = $1 AND t.line = c.line"
           "   AND t.since <= c.snap AND t.slot >= $4 AND t.slot < $5"
           " UNION ALL"
           " SELECT c.depth, p.slot, p.event_nid FROM chain c JOIN state_past p ON p.room_nid = $1 AND p.line = c.line"
           "   AND p.until > c.snap AND p.since <= c.snap AND p.event_nid <> 0 AND p.slot >= $4 AND p.slot < $5",
    .params = "niinn", .cols = "inn", .big = "state_tip state_past state_line",
};
/* Of all slots: the past by `until`, of which a recent snapshot needs little. OFFSET 0: else it is read as a whole first. */
static const hs_stmt WHOLE = {
    .name = "state_whole",
    .sql = CHAIN("SELECT 0 AS depth, $2 AS line, $3 AS snap", "")
           " SELECT c.depth, t.slot, t.event_nid FROM chain c JOIN state_tip t ON t.room_nid = $1 AND t.line = c.line"
           "   AND t.since <= c.snap"
           " UNION ALL"
           " SELECT c.depth, p.slot, p.event_nid FROM chain c CROSS JOIN LATERAL (SELECT x.slot, x.event_nid, x.since"
           "   FROM state_past x WHERE x.room_nid = $1 AND x.line = c.line AND x.until > c.snap OFFSET 0) p"
           "   WHERE p.since <= c.snap AND p.event_nid <> 0",
    .params = "nii", .cols = "inn", .big = "state_tip state_past state_line",
};
static const hs_stmt SLOTS = {
    .name = "state_slots",
    .sql = CHAIN("SELECT 0 AS depth, $2 AS line, $3 AS snap", "")
           " SELECT x.event_nid FROM unnest($4) WITH ORDINALITY w(slot, i) LEFT JOIN LATERAL ("
           "   SELECT e.event_nid FROM chain c CROSS JOIN LATERAL " LOOKUP("w.slot") " e"
           "   WHERE e.event_nid <> 0 ORDER BY c.depth LIMIT 1) x ON true ORDER BY w.i",
    .params = "niiN", .cols = "n", .big = "state_tip state_past state_line",
};
static const hs_stmt SLOT_AT = {
    .name = "state_slot_at",
    .sql = CHAIN("SELECT w.i, 0 AS depth, w.line, w.snap FROM unnest($3, $4) WITH ORDINALITY w(line, snap, i)", "c.i, ")
           " SELECT c.i, e.event_nid FROM chain c CROSS JOIN LATERAL " LOOKUP("$2") " e"
           " WHERE e.event_nid <> 0 ORDER BY c.i, c.depth",
    .params = "nnII", .cols = "nn", .big = "state_tip state_past state_line",
};
/* $3 < $4. The first row of a slot's past in between says what it held before; what it holds then is mostly its tip. */
static const hs_stmt DIFF = {
    .name = "state_diff",
    .sql = CHAIN("SELECT v.side, 0 AS depth, $2 AS line, v.snap FROM (VALUES (0, $3), (1, $4)) v(side, snap)", "c.side, ")
           " SELECT s.slot, CASE WHEN s.event_nid <> 0 THEN s.event_nid ELSE"
           "   (SELECT e.event_nid FROM chain c CROSS JOIN LATERAL " LOOKUP("s.slot") " e"
           "     WHERE c.side = 0 AND e.event_nid <> 0 ORDER BY c.depth LIMIT 1) END,"
           "   CASE WHEN t.since <= $4 THEN t.event_nid ELSE"
           "   (SELECT e.event_nid FROM chain c CROSS JOIN LATERAL " LOOKUP("s.slot") " e"
           "     WHERE c.side = 1 AND e.event_nid <> 0 ORDER BY c.depth LIMIT 1) END"
           " FROM (SELECT DISTINCT ON (p.slot) p.slot, p.event_nid FROM state_past p WHERE p.room_nid = $1 AND p.line = $2"
           "   AND p.until > $3 AND p.until <= $4 ORDER BY p.slot, p.until) s"
           " CROSS JOIN LATERAL (SELECT x.since, x.event_nid FROM state_tip x WHERE x.room_nid = $1 AND x.line = $2"
           "   AND x.slot = s.slot OFFSET 0) t ORDER BY s.slot",
    .params = "niii", .cols = "nnn", .big = "state_tip state_past state_line",
};
static const hs_stmt BASES = {
    .name = "state_bases",
    .sql = CHAIN("SELECT 0 AS depth, $2 AS line, $3 AS snap", "")
           " SELECT line, snap FROM chain ORDER BY depth",
    .params = "nii", .cols = "ii", .big = "state_line",
};
/* The same for differences: from a copy one goes on to what it is a copy of. */
static const hs_stmt ORIGINS = {
    .name = "state_origins",
    .sql = "WITH RECURSIVE chain AS (SELECT 0 AS depth, $2 AS line, $3 AS snap UNION ALL"
           " SELECT c.depth + 1, coalesce(l.base_line, l.copy_line), coalesce(l.base_snap, l.copy_snap) FROM chain c"
           "   JOIN state_line l ON l.room_nid = $1 AND l.line = c.line"
           "   WHERE coalesce(l.base_line, l.copy_line) IS NOT NULL AND c.depth < 64)"
           " SELECT line, snap FROM chain ORDER BY depth",
    .params = "nii", .cols = "ii", .big = "state_line",
};
/* From a line's base on, its tip has every slot that was ever touched, even where a purge has taken the past. */
static const hs_stmt CHANGED = {
    .name = "state_changed_slots",
    .sql = "SELECT DISTINCT c.slot FROM unnest($2, $3, $4) g(line, low, high) CROSS JOIN LATERAL (SELECT p.slot"
           " FROM state_past p WHERE p.room_nid = $1 AND p.line = g.line AND p.until > g.low AND p.until <= g.high AND g.low >= 0"
           " UNION ALL SELECT t.slot FROM state_tip t WHERE t.room_nid = $1 AND t.line = g.line AND t.since > 0"
           "   AND g.low < 0 OFFSET 0) c"
           " ORDER BY c.slot",
    .params = "nIII", .cols = "n", .big = "state_past state_tip",
};
static const hs_stmt LINE_NEWEST = {
    .name = "state_line_newest",
    .sql = "SELECT coalesce(max(until), 0) FROM state_past WHERE room_nid = $1 AND line = $2",
    .params = "ni", .cols = "i", .big = "state_past",
};
static const hs_stmt LINE_NEXT = {
    .name = "state_line_next",
    .sql = "SELECT coalesce(max(line), -1) + 1 FROM state_line WHERE room_nid = $1",
    .params = "n", .cols = "i", .big = "state_line",
};
static const hs_stmt LINE_INSERT = {
    .name = "state_line_insert",
    .sql = "SELECT hs_line_insert($1, $2, $3, $4, $5)",
    .params = "niiii", .cols = "f",
};
static const hs_stmt LINE_FILL = {
    .name = "state_line_fill",
    .sql = "INSERT INTO state_tip(room_nid, line, since, slot, event_nid)"
           " SELECT $1, $2, 0, s.slot, s.event FROM unnest($3, $4) s(slot, event) ORDER BY s.slot",
    .params = "niNN",
};
static const hs_stmt LINE_ROWS = {
    .name = "state_line_rows",
    .sql = "WITH old AS (SELECT s.slot, s.event, t.since, t.event_nid FROM unnest($4, $5) s(slot, event) LEFT JOIN state_tip t"
           "   ON t.room_nid = $1 AND t.line = $2 AND t.slot = s.slot),"
           " past AS (INSERT INTO state_past(room_nid, line, until, since, slot, event_nid)"
           "   SELECT $1, $2, $3, coalesce(o.since, 0), o.slot, coalesce(o.event_nid, 0) FROM old o)"
           " INSERT INTO state_tip(room_nid, line, since, slot, event_nid) SELECT $1, $2, $3, o.slot, o.event FROM old o"
           " ON CONFLICT (room_nid, line, slot) DO UPDATE SET since = excluded.since, event_nid = excluded.event_nid",
    .params = "niiNN", .big = "state_tip",
};
/* clang-format on */

const hs_stmt *const hs_state_statements[] = {
    &RANGE,   &WHOLE,       &SLOTS,     &SLOT_AT,     &DIFF,      &BASES,     &ORIGINS,
    &CHANGED, &LINE_NEWEST, &LINE_NEXT, &LINE_INSERT, &LINE_FILL, &LINE_ROWS, NULL,
};

/* ── full states ── */

typedef struct {
    hs_state_entry e;
    int32_t depth;
} found;

static int by_slot_then_depth(const void *x, const void *y)
{
    const found *a = x, *b = y;

    if (a->e.slot != b->e.slot)
        return a->e.slot < b->e.slot ? -1 : 1;
    return (a->depth > b->depth) - (a->depth < b->depth);
}

hs_error *hs_store_state_range(hs_db *db, hs_arena *a, hs_nid room, hs_snap at, int64_t low, int64_t high,
                               hs_state_set *ret)
{
    hs_rows *rows;
    found *all;
    hs_state_entry *out;
    size_t n, kept = 0;
    bool sorted = true;

    if (low == INT64_MIN && high == INT64_MAX)
        HS_TRY(hs_db_query(db, a, &WHOLE, &rows, room, at.line, at.snap));
    else
        HS_TRY(hs_db_query(db, a, &RANGE, &rows, room, at.line, at.snap, low, high));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &all));
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++) {
        all[i] = (found){ .e = { hs_rows_i64(rows, i, 1), hs_rows_i64(rows, i, 2) },
                          .depth = (int32_t)hs_rows_i64(rows, i, 0) };
        sorted = sorted && (i == 0 || by_slot_then_depth(&all[i - 1], &all[i]) < 0);
    }
    if (!sorted) /* the usual tip comes by its index, in order */
        qsort(all, n, sizeof *all, by_slot_then_depth);
    for (size_t i = 0; i < n; i++)
        if ((i == 0 || all[i].e.slot != all[i - 1].e.slot) && all[i].e.event != HS_STATE_GONE)
            out[kept++] = all[i].e;
    *ret = (hs_state_set){ out, kept };
    return NULL;
}

hs_error *hs_store_state_at(hs_db *db, hs_arena *a, hs_nid room, hs_snap at, hs_state_set *ret)
{
    return hs_store_state_range(db, a, room, at, INT64_MIN, INT64_MAX, ret);
}

/* ── single slots ── */

static hs_nid or_none(hs_nid event)
{
    return event == HS_STATE_GONE ? 0 : event;
}

hs_error *hs_store_state_slots(hs_db *db, hs_arena *a, hs_nid room, hs_snap at, const int64_t *slots, size_t n,
                               hs_nid *ret)
{
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_db_query(db, a, &SLOTS, &rows, room, at.line, at.snap, (hs_nids){ slots, n }));
    for (size_t i = 0; i < n && i < hs_rows_count(rows); i++)
        ret[i] = or_none(hs_rows_i64(rows, i, 0));
    return NULL;
}

hs_error *hs_store_state_slot_at(hs_db *db, hs_arena *a, hs_nid room, int64_t slot, const hs_snap *at, size_t n,
                                 hs_nid *ret)
{
    int32_t *lines, *snaps;
    int64_t before = 0;
    hs_rows *rows;

    if (!n)
        return NULL;
    HS_TRY(hs_alloc(a, n, &lines));
    HS_TRY(hs_alloc(a, n, &snaps));
    for (size_t i = 0; i < n; i++) {
        lines[i] = at[i].line;
        snaps[i] = at[i].snap;
        ret[i] = 0;
    }
    HS_TRY(hs_db_query(db, a, &SLOT_AT, &rows, room, slot, (hs_ints){ lines, n }, (hs_ints){ snaps, n }));
    for (size_t r = 0; r < hs_rows_count(rows); r++) {
        int64_t i = hs_rows_i64(rows, r, 0); /* from 1; the nearest line first */
        if (i != before && i >= 1 && (uint64_t)i <= n)
            ret[i - 1] = or_none(hs_rows_i64(rows, r, 1));
        before = i;
    }
    return NULL;
}

/* ── differences ── */

typedef HS_VEC(hs_state_change) changes;

static hs_error *add_change(hs_arena *a, changes *c, int64_t slot, hs_nid before, hs_nid after)
{
    if (or_none(before) == or_none(after))
        return NULL;
    return hs_vec_push(a, c, (hs_state_change){ slot, or_none(before), or_none(after) });
}

static hs_error *diff_in_line(hs_db *db, hs_arena *a, hs_nid room, hs_snap from, hs_snap to, changes *ret)
{
    bool back = from.snap > to.snap;
    int32_t low = back ? to.snap : from.snap, high = back ? from.snap : to.snap;
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &DIFF, &rows, room, from.line, low, high));
    for (size_t i = 0; i < hs_rows_count(rows); i++)
        HS_TRY(add_change(a, ret, hs_rows_i64(rows, i, 0), hs_rows_i64(rows, i, back ? 2 : 1),
                          hs_rows_i64(rows, i, back ? 1 : 2)));
    return NULL;
}

static hs_error *diff_whole(hs_db *db, hs_arena *a, hs_nid room, hs_snap from, hs_snap to, changes *ret)
{
    hs_state_set x, y;
    size_t i = 0, k = 0;

    HS_TRY(hs_store_state_at(db, a, room, from, &x));
    HS_TRY(hs_store_state_at(db, a, room, to, &y));
    while (i < x.n || k < y.n) {
        if (k == y.n || (i < x.n && x.at[i].slot < y.at[k].slot)) {
            HS_TRY(add_change(a, ret, x.at[i].slot, x.at[i].event, 0));
            i++;
        } else if (i == x.n || y.at[k].slot < x.at[i].slot) {
            HS_TRY(add_change(a, ret, y.at[k].slot, 0, y.at[k].event));
            k++;
        } else {
            HS_TRY(add_change(a, ret, x.at[i].slot, x.at[i].event, y.at[k].event));
            i++;
            k++;
        }
    }
    return NULL;
}

typedef struct {
    hs_snap *at;
    size_t n;
} chain;

static hs_error *load_chain(hs_db *db, hs_arena *a, const hs_stmt *s, hs_nid room, hs_snap at, chain *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, s, &rows, room, at.line, at.snap));
    ret->n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, ret->n, &ret->at));
    for (size_t i = 0; i < ret->n; i++)
        ret->at[i] = (hs_snap){ (int32_t)hs_rows_i64(rows, i, 0), (int32_t)hs_rows_i64(rows, i, 1) };
    return NULL;
}

/* A stretch of a line whose changes may tell the two apart: (low, high]; FROM_BASE: all of it. */
enum { FROM_BASE = -1 };
typedef struct {
    int32_t *line, *low, *high;
    size_t n;
} stretches;

static void add_stretch(stretches *s, int32_t line, int32_t low, int32_t high)
{
    s->line[s->n] = line;
    s->low[s->n] = low;
    s->high[s->n++] = high;
}

/* From both snapshots down to the nearest line that both stand on. false: there is none. */
static bool stretches_between(const chain *x, const chain *y, stretches *ret)
{
    for (size_t i = 0; i < x->n; i++) {
        for (size_t k = 0; k < y->n; k++) {
            int32_t m = x->at[i].snap, n = y->at[k].snap;
            if (x->at[i].line != y->at[k].line)
                continue;
            add_stretch(ret, x->at[i].line, m < n ? m : n, m < n ? n : m);
            for (size_t j = 0; j < k; j++)
                add_stretch(ret, y->at[j].line, FROM_BASE, y->at[j].snap);
            return true;
        }
        add_stretch(ret, x->at[i].line, FROM_BASE, x->at[i].snap);
    }
    return false;
}

static hs_error *diff_across(hs_db *db, hs_arena *a, hs_nid room, hs_snap from, hs_snap to, changes *ret)
{
    chain x, y;
    stretches s = { 0 };
    hs_rows *rows;
    int64_t *slots;
    hs_nid *before, *after;
    size_t n;

    HS_TRY(load_chain(db, a, &ORIGINS, room, from, &x));
    HS_TRY(load_chain(db, a, &ORIGINS, room, to, &y));
    HS_TRY(hs_alloc(a, x.n + y.n + 1, &s.line));
    HS_TRY(hs_alloc(a, x.n + y.n + 1, &s.low));
    HS_TRY(hs_alloc(a, x.n + y.n + 1, &s.high));
    if (!stretches_between(&x, &y, &s))
        return diff_whole(db, a, room, from, to, ret);
    HS_TRY(hs_db_query(db, a, &CHANGED, &rows, room, (hs_ints){ s.line, s.n }, (hs_ints){ s.low, s.n },
                       (hs_ints){ s.high, s.n }));
    n = hs_rows_count(rows);
    HS_TRY(hs_alloc(a, n, &slots));
    HS_TRY(hs_alloc(a, n, &before));
    HS_TRY(hs_alloc(a, n, &after));
    for (size_t i = 0; i < n; i++)
        slots[i] = hs_rows_i64(rows, i, 0);
    HS_TRY(hs_store_state_slots(db, a, room, from, slots, n, before));
    HS_TRY(hs_store_state_slots(db, a, room, to, slots, n, after));
    for (size_t i = 0; i < n; i++)
        HS_TRY(add_change(a, ret, slots[i], before[i], after[i]));
    return NULL;
}

hs_error *hs_store_state_diff(hs_db *db, hs_arena *a, hs_nid room, hs_snap from, hs_snap to, hs_state_change **ret,
                              size_t *ret_n)
{
    changes c = { 0 };

    if (from.line == to.line && from.snap == to.snap)
        ;
    else if (from.line == to.line)
        HS_TRY(diff_in_line(db, a, room, from, to, &c));
    else
        HS_TRY(diff_across(db, a, room, from, to, &c));
    *ret = c.at;
    *ret_n = c.n;
    return NULL;
}

/* ── lines ── */

static hs_error *one_int(hs_db *db, hs_arena *a, const hs_stmt *s, hs_nid room, const int32_t *line, int32_t *ret)
{
    hs_rows *rows;

    if (line)
        HS_TRY(hs_db_query(db, a, s, &rows, room, *line));
    else
        HS_TRY(hs_db_query(db, a, s, &rows, room));
    *ret = hs_rows_count(rows) ? (int32_t)hs_rows_i64(rows, 0, 0) : 0;
    return NULL;
}

hs_error *hs_store_line_newest(hs_db *db, hs_arena *a, hs_nid room, int32_t line, int32_t *ret)
{
    return one_int(db, a, &LINE_NEWEST, room, &line, ret);
}

hs_error *hs_store_line_next(hs_db *db, hs_arena *a, hs_nid room, int32_t *ret)
{
    return one_int(db, a, &LINE_NEXT, room, NULL, ret);
}

hs_error *hs_store_line_insert(hs_write *w, hs_nid room, int32_t line, hs_snap base, int32_t flags)
{
    return hs_write_before(w, &LINE_INSERT, room, line, base.line, base.snap, flags);
}

hs_error *hs_store_line_insert_full(hs_write *w, hs_nid room, int32_t line, const hs_state_entry *state, size_t n,
                                    int32_t flags)
{
    hs_arena *a = hs_write_arena(w);
    int64_t *slots;
    hs_nid *events;

    HS_TRY(hs_alloc(a, n, &slots));
    HS_TRY(hs_alloc(a, n, &events));
    for (size_t i = 0; i < n; i++) {
        slots[i] = state[i].slot;
        events[i] = state[i].event;
    }
    HS_TRY(hs_store_line_insert(w, room, line, (hs_snap){ -1, 0 }, flags));
    return hs_write_before(w, &LINE_FILL, room, line, (hs_nids){ slots, n }, (hs_nids){ events, n });
}

hs_error *hs_store_line_rows(hs_write *w, hs_nid room, hs_snap at, const hs_state_entry *rows, size_t n)
{
    hs_arena *a = hs_write_arena(w);
    int64_t *slots;
    hs_nid *events;

    HS_TRY(hs_alloc(a, n, &slots));
    HS_TRY(hs_alloc(a, n, &events));
    for (size_t i = 0; i < n; i++) {
        slots[i] = rows[i].slot;
        events[i] = rows[i].event;
    }
    return hs_write_before(w, &LINE_ROWS, room, at.line, at.snap, (hs_nids){ slots, n }, (hs_nids){ events, n });
}

hs_error *hs_store_line_depth(hs_db *db, hs_arena *a, hs_nid room, int32_t line, int32_t *ret)
{
    chain c;

    HS_TRY(load_chain(db, a, &BASES, room, (hs_snap){ line, 0 }, &c));
    *ret = c.n ? (int32_t)c.n - 1 : 0;
    return NULL;
}
