/* See notifications.h. Nobody keeps a list of what each user was notified of: a room's running totals say which events
 * notified everybody, and notes say for whom it was otherwise (store/unread.h). So the list is made when somebody asks,
 * from the rooms with the newest events. Of ROOMS_AT_ONCE rooms ROWS_AT_ONCE rows are read; what is older than the
 * oldest row that was read of any of them, or than the newest row of the next room, is not known yet and comes in the
 * next step. A page that would need more than STEPS of them is given short, and the next one goes on from there.
 *
 * Notes do not stay for ever (store/note_upkeep.h), and the list ends where they do: what does not highlight a day back
 * or so, highlights after a month. */
#include "server/notifications.h"

#include "base/vec.h"
#include "server/names.h"
#include "server/news.h"
#include "server/push_eval.h"
#include "store/note_upkeep.h"
#include "store/notifications.h"

#include <stdlib.h>

enum { ROOMS_AT_ONCE = 32, ROWS_AT_ONCE = 200, STEPS = 8 };

typedef struct {
    hs_nid room, event;
    int64_t pos, read;
    bool high;
} found;
typedef HS_VEC(found) found_list;

typedef struct {
    hs_server *srv;
    hs_arena *a;
    const hs_session *who;
    bool highlights;
    int64_t horizon; /* what is after it is known */
    hs_note_horizon kept;
    found_list found;
} search;

/* Those of one room in a list that is by room. */
static size_t cut(const hs_notify_row *rows, size_t n, size_t *from, hs_nid room)
{
    size_t at = *from;

    while (at < n && rows[at].room == room)
        at++;
    n = at - *from;
    *from = at;
    return n;
}

static void not_before(search *s, int64_t pos)
{
    if (pos > s->horizon)
        s->horizon = pos;
}

/* The notes about a position; the newer ones are passed. */
static void take_notes(const hs_notify_row *notes, size_t n, size_t *at, int64_t pos, int32_t *mine, int32_t *mine_high,
                       int32_t *all, int32_t *all_high)
{
    *mine = *mine_high = *all = *all_high = 0;
    while (*at < n && notes[*at].pos > pos)
        ++*at;
    for (; *at < n && notes[*at].pos == pos; ++*at) {
        *(notes[*at].user ? mine : all) += notes[*at].n_notify;
        *(notes[*at].user ? mine_high : all_high) += notes[*at].n_high;
    }
}

static hs_error *add(search *s, const hs_notify_room *r, hs_nid event, int64_t pos, int64_t notify, int64_t high)
{
    /* Notes that made other things of an event may be gone, but never of one that highlights. */
    bool told = high > 0 || (notify > 0 && !s->highlights && pos >= s->kept.plain);

    if (!told || !event)
        return NULL;
    return hs_vec_push(s->a, &s->found, (found){ r->room, event, pos, r->read, high > 0 });
}

/* Since the join: the totals' steps and the notes. The oldest row only says what was before. */
static hs_error *search_stay(search *s, const hs_notify_room *r, const hs_notify_row *rows, size_t rows_n,
                             const hs_notify_row *notes, size_t notes_n)
{
    size_t at = 0;

    for (size_t i = 0; i + 1 < rows_n; i++) {
        int32_t mine, mine_high, all, all_high;

        take_notes(notes, notes_n, &at, rows[i].pos, &mine, &mine_high, &all, &all_high);
        HS_TRY(add(s, r, rows[i].event, rows[i].pos, (int64_t)rows[i].n_notify - rows[i + 1].n_notify + mine + all,
                   (int64_t)rows[i].n_high - rows[i + 1].n_high + mine_high + all_high));
    }
    return NULL;
}

/* Before it only what was about the user: the invite. */
static hs_error *search_before(search *s, const hs_notify_room *r, const hs_notify_row *notes, size_t notes_n)
{
    for (size_t i = 0; i < notes_n; i++) {
        if (notes[i].user && (r->membership == HS_MEMBER_INVITE || notes[i].pos <= r->since))
            HS_TRY(add(s, r, notes[i].event, notes[i].pos, notes[i].n_notify, notes[i].n_high));
    }
    return NULL;
}

static hs_error *search_room(search *s, const hs_notify_room *r, const hs_notify_row *rows, size_t rows_n,
                             const hs_notify_row *notes, size_t notes_n)
{
    size_t all = 0, mine = 0;

    if (rows_n == ROWS_AT_ONCE)
        not_before(s, rows[rows_n - 1].pos);
    for (size_t i = 0; i < notes_n; i++) {
        if (++*(notes[i].user ? &mine : &all) == ROWS_AT_ONCE)
            not_before(s, notes[i].pos);
    }
    HS_TRY(search_stay(s, r, rows, rows_n, notes, notes_n));
    return search_before(s, r, notes, notes_n);
}

/* One step down from `before`. */
static hs_error *search_step(search *s, int64_t before)
{
    hs_notify_room *rooms;
    hs_notify_rows rows;
    hs_nid nids[ROOMS_AT_ONCE], since[ROOMS_AT_ONCE];
    size_t n, row = 0, note = 0;

    s->horizon = 0;
    HS_TRY(hs_store_notify_rooms(s->srv->db, s->a, s->who->user, s->kept.high, before, ROOMS_AT_ONCE + 1, &rooms, &n));
    if (n > ROOMS_AT_ONCE)
        not_before(s, rooms[--n].pos);
    for (size_t i = 0; i < n; i++) {
        nids[i] = rooms[i].room;
        since[i] = rooms[i].since > s->kept.high ? rooms[i].since : s->kept.high;
        if (rooms[i].membership != HS_MEMBER_JOIN)
            since[i] = INT64_MAX; /* an invited one reads nothing */
    }
    HS_TRY(hs_store_notify_rows(s->srv->db, s->a, s->who->user, (hs_nids){ nids, n }, (hs_nids){ since, n },
                                s->kept.high, before, ROWS_AT_ONCE, &rows));
    for (size_t i = 0; i < n; i++) {
        const hs_notify_row *first = rows.rows + row, *first_note = rows.notes + note;
        size_t rows_n = cut(rows.rows, rows.rows_n, &row, rooms[i].room);
        size_t notes_n = cut(rows.notes, rows.notes_n, &note, rooms[i].room);

        HS_TRY(search_room(s, &rooms[i], first, rows_n, first_note, notes_n));
    }
    return NULL;
}

static int newest_first(const void *x, const void *y)
{
    const found *a = x, *b = y;

    return (a->pos < b->pos) - (a->pos > b->pos);
}

/* What is known of the step, in order. */
static void settle(search *s, size_t from)
{
    size_t n = from;

    for (size_t i = from; i < s->found.n; i++)
        if (s->found.at[i].pos > s->horizon)
            s->found.at[n++] = s->found.at[i];
    s->found.n = n;
    if (n > from)
        qsort(s->found.at + from, n - from, sizeof *s->found.at, newest_first);
}

static hs_error *show(search *s, const found *f, hs_notification *ret, bool *ret_shown)
{
    hs_stored *event;

    *ret_shown = false;
    HS_TRY(hs_room_load(s->srv, s->a, f->room, &ret->room));
    if (!ret->room)
        return NULL;
    HS_TRY(hs_events_load(s->srv, s->a, f->room, &f->event, 1, &event));
    if (!event)
        return NULL;
    ret->event = (hs_dressed){ .event = event };
    ret->pos = f->pos;
    ret->read = f->read >= f->pos;
    *ret_shown = true;
    return hs_push_actions(s->srv, s->a, ret->room, event, s->who, f->high, &ret->actions);
}

hs_error *hs_notifications_get(hs_server *srv, hs_arena *a, const hs_session *who, int64_t before, size_t limit,
                               bool highlights, hs_notifications *ret)
{
    search s = { .srv = srv, .a = a, .who = who, .highlights = highlights };
    int64_t newest = hs_fanout_position(srv);
    hs_dressed *dressed;
    bool shown;

    *ret = (hs_notifications){ 0 };
    before = before && before <= newest ? before : newest + 1;
    HS_TRY(hs_store_note_horizon(srv->db, a, hs_loop_wall(srv->loop), &s.kept));
    for (int step = 0; step < STEPS && before > 1 && before > s.kept.high && s.found.n < limit; step++) {
        size_t from = s.found.n;

        HS_TRY(search_step(&s, before));
        settle(&s, from);
        before = s.horizon + 1;
    }
    if (s.found.n > limit) {
        s.found.n = limit;
        before = limit ? s.found.at[limit - 1].pos : 0;
    }
    ret->next = limit && before > 1 && before > s.kept.high ? before : 0;
    HS_TRY(hs_alloc(a, s.found.n, &ret->at));
    HS_TRY(hs_alloc(a, s.found.n, &dressed));
    for (size_t i = 0; i < s.found.n; i++) {
        HS_TRY(show(&s, &s.found.at[i], &ret->at[ret->n], &shown));
        if (shown)
            dressed[ret->n] = ret->at[ret->n].event;
        ret->n += shown;
    }
    HS_TRY(hs_timeline_dress(srv, a, who, 0, dressed, ret->n));
    for (size_t i = 0; i < ret->n; i++)
        ret->at[i].event = dressed[i];
    return NULL;
}
