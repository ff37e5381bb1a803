/* See event_place.h.
 *
 * A line that this unit begins is written before the ticket, at once; a further snapshot of a line that is there
 * already, by the ticket, which knows whether the room has moved on. Lines stand on lines: beyond HS_LINE_MAX_DEPTH
 * bases a new one takes a copy of the whole state, so that a lookup stays short. Large states are copied less often,
 * since whoever forks on purpose would have them copied each time. */
#include "server/event_place.h"

enum {
    COPY_MAX = 2000, /* entries that a line takes along whenever it would stand on too many others */
    DEPTH_MAX = 32,  /* … and any number of them then; store/state.c follows 64 */
};

void hs_place_open(hs_placing *p, hs_room_write *w)
{
    *p = (hs_placing){ .w = w, .own = -1, .main = { .line = w->room->line, .snap = w->room->snap } };
}

static bool is_same(hs_snap x, hs_snap y)
{
    return x.line == y.line && x.snap == y.snap;
}

hs_snap hs_place_on_main(const hs_placing *p, hs_snap at)
{
    hs_snap begin = { .line = p->w->room->line, .snap = 0 };

    return p->w->room->copied.line >= 0 && is_same(at, p->w->room->copied) ? begin : at;
}

static bool is_own(const hs_placing *p, int32_t line)
{
    return p->own >= 0 && line >= p->own;
}

static hs_error *next_line(hs_placing *p, int32_t *ret)
{
    const hs_room_write *w = p->w;

    if (p->own < 0) {
        HS_TRY(hs_store_line_next(w->srv->db, w->a, w->room->nid, &p->own));
        p->next = p->own;
    }
    *ret = p->next++;
    return NULL;
}

static hs_error *begin_line(hs_placing *p, hs_snap base, const hs_state_entry *rows, size_t n,
                            const hs_state_set *whole, hs_snap *ret)
{
    const hs_room_write *w = p->w;
    hs_nid room = w->room->nid;
    int32_t line, depth;

    HS_TRY(hs_store_line_depth(w->srv->db, w->a, room, base.line, &depth));
    HS_TRY(next_line(p, &line));
    if (depth + 1 > DEPTH_MAX || (depth + 1 > HS_LINE_MAX_DEPTH && whole->n <= COPY_MAX)) {
        *ret = (hs_snap){ .line = line, .snap = 0 };
        return hs_store_line_insert_full(w->unit, room, line, whole->at, whole->n, HS_LINE_FORK | HS_LINE_ROLLOVER);
    }
    *ret = (hs_snap){ .line = line, .snap = 1 };
    HS_TRY(hs_store_line_insert(w->unit, room, line, base, HS_LINE_FORK));
    return hs_store_line_rows(w->unit, room, *ret, rows, n);
}

/* May the line go on behind this snapshot, by the ticket's hand? */
static hs_error *goes_on(hs_placing *p, hs_snap at, bool *ret)
{
    const hs_room_write *w = p->w;
    int32_t newest;

    *ret = false;
    if (p->may == HS_PLACE_APART)
        return NULL;
    if (at.line == p->main.line) {
        *ret = p->may == HS_PLACE_HEAD && is_same(at, p->main);
        return NULL;
    }
    HS_TRY(hs_store_line_newest(w->srv->db, w->a, w->room->nid, at.line, &newest));
    *ret = newest == at.snap;
    return NULL;
}

static hs_error *changes_of(hs_arena *a, const hs_state_set *from, const hs_state_set *to, hs_state_entry **ret,
                            size_t *ret_n)
{
    hs_state_change *diff;
    hs_state_entry *out;
    size_t n;

    HS_TRY(hs_state_set_diff(a, from, to, &diff, &n));
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_state_entry){ .slot = diff[i].slot, .event = diff[i].after ? diff[i].after : HS_STATE_GONE };
    *ret = out;
    *ret_n = n;
    return NULL;
}

static hs_error *add_rows(hs_placing *p, hs_snap at, const hs_state_entry *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        HS_TRY(
            hs_vec_push(p->w->a, &p->rows, (hs_state_row){ .at = at, .slot = rows[i].slot, .event = rows[i].event }));
    return NULL;
}

hs_error *hs_place_state(hs_placing *p, const hs_state_set *set, const hs_place_near *near, size_t n, hs_snap *ret)
{
    hs_arena *a = p->w->a;
    hs_state_entry *rows = NULL;
    size_t rows_n = SIZE_MAX, best = 0;
    hs_snap from;
    bool on;

    for (size_t i = 0; i < n && rows_n; i++) {
        hs_state_entry *some;
        size_t some_n;
        HS_TRY(changes_of(a, near[i].set, set, &some, &some_n));
        if (some_n >= rows_n)
            continue;
        rows = some;
        rows_n = some_n;
        best = i;
    }
    from = *ret = hs_place_on_main(p, near[best].at);
    if (!rows_n)
        return NULL;
    /* Of the main line the newest snapshot is the room's state, which this one is not. */
    on = from.line != p->main.line;
    if (on)
        HS_TRY(goes_on(p, from, &on));
    if (!on)
        return begin_line(p, from, rows, rows_n, set, ret);
    ret->snap++;
    return add_rows(p, *ret, rows, rows_n);
}

hs_error *hs_place_next(hs_placing *p, hs_snap before, hs_state_entry change, const hs_state_set *after, hs_snap *ret)
{
    bool on, extended = false;

    *ret = before;
    for (size_t i = 0; i < p->rows.n; i++) /* by hs_place_state, just now */
        extended = extended || is_same(p->rows.at[i].at, before);
    if (is_own(p, before.line)) {
        ret->snap++;
        return hs_store_line_rows(p->w->unit, p->w->room->nid, *ret, &change, 1);
    }
    on = extended;
    if (!on)
        HS_TRY(goes_on(p, before, &on));
    if (!on)
        return begin_line(p, before, &change, 1, after, ret);
    ret->snap++;
    if (is_same(before, p->main))
        p->main = *ret;
    return add_rows(p, *ret, &change, 1);
}

hs_error *hs_place_current(hs_placing *p, const hs_state_set *newest, const hs_state_set *current)
{
    hs_state_entry *rows;
    size_t n;

    HS_TRY(changes_of(p->w->a, newest, current, &rows, &n));
    if (!n)
        return NULL;
    p->main.snap++;
    return add_rows(p, p->main, rows, n);
}
