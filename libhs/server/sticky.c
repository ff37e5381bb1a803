/* See sticky.h. */
#include "server/sticky.h"

#include "base/map.h"
#include "base/vec.h"
#include "server/event_write.h"
#include "server/names.h"

#include <stdlib.h>

enum {
    KEPT = 64,        /* newest events that memory holds of a room */
    SWEEP_MS = 60000, /* how often rooms where all has expired are let go */
    SWEEP_AT_ONCE = 256,
};

typedef struct {
    hs_nid event;
    int64_t pos, expires;
} item;

typedef struct {
    hs_nid room;
    int64_t last, until;
    int64_t floor; /* what came after it is in items, as far as it has not expired */
    item *items;   /* in order of position */
    size_t n, cap;
} entry;

struct hs_sticky {
    hs_map *rooms; /* number → entry */
    bool loaded;   /* with what the store has */
    int64_t sweep_ts;
};

bool hs_sticky_enabled(const hs_server *srv)
{
    return srv->sticky != NULL;
}

/* ── which events ── */
/* When it ends; 0: it is not sticky, or not any more. The time of another server counts only as far as it has come. */
static int64_t end_of(const hs_stored *e)
{
    int64_t from = e->ev->origin_ts < e->received_ts ? e->ev->origin_ts : e->received_ts;

    if (e->ev->sticky_ms < 0 || from + e->ev->sticky_ms <= e->received_ts)
        return 0;
    return from + e->ev->sticky_ms;
}

static hs_error *persist(void *ud, hs_arena *a, hs_write *w, const hs_persist_event *e)
{
    int64_t end = end_of(e->event);

    (void)ud;
    (void)a;
    return end ? hs_store_sticky_put(w, e->at, e->room->nid, e->event->nid, e->event->sender, end) : NULL;
}

hs_error *hs_sticky_soft(hs_server *srv, hs_write *w, const hs_stored *e)
{
    int64_t end = srv->sticky && !(e->flags & HS_EV_REJECTED) ? end_of(e) : 0;

    return end ? hs_store_sticky_put_soft(w, e->room, e->nid, e->sender, end) : NULL;
}

/* ── soft failure ── */
/* Whose events may pass now: of those whose membership has changed, or of anybody. */
static hs_error *affected(hs_room_write *w, const hs_event_rows_in *in, bool *ret_all, hs_nids *ret)
{
    HS_VEC(hs_nid) users = { 0 };
    hs_nid user;

    *ret_all = false;
    for (size_t i = 0; i < in->changes_n; i++) {
        const hs_event *ev = (in->changes[i].now ? in->changes[i].now : in->changes[i].was)->ev;

        *ret_all = *ret_all || ev->kind == HS_KIND_POWER_LEVELS || ev->kind == HS_KIND_JOIN_RULES;
        if (ev->kind != HS_KIND_MEMBER)
            continue;
        HS_TRY(hs_user_nid(w->srv, w->a, ev->state_key, &user));
        HS_TRY(hs_vec_push(w->a, &users, user));
    }
    *ret = (hs_nids){ users.at, users.n };
    return NULL;
}

static hs_error *passes(hs_room_write *w, const hs_event *ev, bool *ret)
{
    hs_state_key_pair keys[HS_AUTH_TYPES_MAX];
    hs_state_view now;
    size_t n = hs_auth_types(ev->rv, ev->type, ev->sender, ev->state_key, ev->is_state, ev->content, keys);

    HS_TRY(hs_room_write_view(w, keys, n, &now));
    *ret = hs_auth_check(ev, &now).ok;
    return NULL;
}

hs_error *hs_sticky_recheck(hs_room_write *w, const hs_event_rows_in *in)
{
    hs_server *srv = w->srv;
    hs_nids senders, soft;
    hs_stored **events;
    bool all;

    if (!srv->sticky || !in->changes_n || w->room->is_new)
        return NULL;
    HS_TRY(affected(w, in, &all, &senders));
    if (!all && !senders.n)
        return NULL;
    HS_TRY(hs_store_sticky_soft(srv->db, w->a, w->room->nid, all, senders, hs_loop_wall(srv->loop), &soft));
    HS_TRY(hs_alloc(w->a, soft.n, &events));
    HS_TRY(hs_events_load_as(srv, w->a, w->room->nid, w->room->rv, soft.at, soft.n, events));
    for (size_t i = 0; i < soft.n; i++) {
        uint32_t at;
        bool ok = false;

        if (events[i])
            HS_TRY(passes(w, events[i]->ev, &ok));
        if (!ok)
            continue;
        HS_TRY(hs_write_position(w->unit, &at));
        HS_TRY(hs_store_sticky_release(w->unit, at, w->room->nid, soft.at[i]));
        w->events.at[w->events.n - 1].released++;
    }
    return NULL;
}

/* ── memory ── */
static void entry_free(entry *r)
{
    free(r->items);
    free(r);
}

/* Rooms where everything has expired. */
static void sweep(struct hs_sticky *st, int64_t now)
{
    hs_nid gone[SWEEP_AT_ONCE];
    size_t n = 0, it = 0;
    hs_str key;
    void *v;

    while (n < SWEEP_AT_ONCE && hs_map_next(st->rooms, &it, &key, &v)) {
        const entry *r = v;

        if (r->until <= now)
            gone[n++] = r->room;
    }
    for (size_t i = 0; i < n; i++)
        entry_free(hs_map_remove_n(st->rooms, (uint64_t)gone[i]));
    if (n < SWEEP_AT_ONCE)
        st->sweep_ts = now + SWEEP_MS;
}

/* NULL without memory. */
static entry *entry_of(hs_server *srv, hs_nid room)
{
    struct hs_sticky *st = srv->sticky;
    int64_t now = hs_loop_wall(srv->loop);
    entry *r = hs_map_get_n(st->rooms, (uint64_t)room);

    if (r)
        return r;
    if (now >= st->sweep_ts)
        sweep(st, now);
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->room = room;
    r->floor = hs_fanout_floor(srv);
    if (!hs_map_put_n(st->rooms, (uint64_t)room, r, NULL)) {
        free(r);
        return NULL;
    }
    return r;
}

static void note(entry *r, int64_t last, int64_t until)
{
    if (r->last < last)
        r->last = last;
    if (r->until < until)
        r->until = until;
}

static bool make_room(entry *r)
{
    size_t cap = r->cap ? r->cap * 2 : 4;
    item *at;

    if (r->n < r->cap)
        return true;
    if (r->n == KEPT) {
        r->floor = r->items[0].pos;
        memmove(r->items, r->items + 1, --r->n * sizeof *r->items);
        return true;
    }
    at = realloc(r->items, cap * sizeof *at);
    if (!at)
        return false;
    r->items = at;
    r->cap = cap;
    return true;
}

static void hear_event(hs_server *srv, int64_t pos, const hs_news_event *e)
{
    int64_t end = e->event ? end_of(e->event) : 0;
    entry *r = end ? entry_of(srv, e->room) : NULL;

    if (end && !r)
        srv->sticky->loaded = false; /* the store knows */
    if (!r)
        return;
    note(r, pos, end);
    if (make_room(r))
        r->items[r->n++] = (item){ e->event->nid, pos, end };
    else
        r->floor = pos;
}

/* Which they are the store knows. */
static void hear_released(hs_server *srv, int64_t pos, const hs_news_event *e)
{
    entry *r = e->released ? entry_of(srv, e->room) : NULL;

    if (e->released && !r)
        srv->sticky->loaded = false;
    if (!r)
        return;
    r->floor = pos + e->released;
    note(r, r->floor, hs_loop_wall(srv->loop) + HS_STICKY_MAX_MS);
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    for (size_t i = 0; i < news->events_n; i++) {
        hear_event(ud, first + news->events[i].at, &news->events[i]);
        hear_released(ud, first + news->events[i].at, &news->events[i]);
    }
}

hs_error *hs_sticky_ready(hs_server *srv, hs_arena *a)
{
    hs_sticky_room *rooms;
    size_t n;

    if (!srv->sticky || srv->sticky->loaded)
        return NULL;
    HS_TRY(hs_store_sticky_rooms(srv->db, a, hs_loop_wall(srv->loop), &rooms, &n));
    for (size_t i = 0; i < n; i++) {
        entry *r = entry_of(srv, rooms[i].room);

        if (!r)
            return HS_ERR_NOMEM;
        note(r, rooms[i].last, rooms[i].until);
    }
    srv->sticky->loaded = true;
    return NULL;
}

/* ── looking ── */
bool hs_sticky_later(const hs_server *srv, hs_nid room, int64_t after)
{
    const entry *r = srv->sticky ? hs_map_get_n(srv->sticky->rooms, (uint64_t)room) : NULL;

    return r && r->last > after && r->until > hs_loop_wall(srv->loop);
}

static int by_pos(const void *x, const void *y)
{
    const hs_sticky_row *a = x, *b = y;

    return (a->pos > b->pos) - (a->pos < b->pos);
}

/* *ret_whole false: memory does not reach back to `after` in all of the rooms. */
static hs_error *remembered(hs_server *srv, hs_arena *a, const hs_nid *rooms, size_t n, int64_t after, int64_t upto,
                            hs_sticky_row **ret, size_t *ret_n, bool *ret_whole)
{
    int64_t now = hs_loop_wall(srv->loop);
    HS_VEC(hs_sticky_row) out = { 0 };

    *ret_whole = false;
    for (size_t i = 0; i < n; i++) {
        const entry *r = hs_map_get_n(srv->sticky->rooms, (uint64_t)rooms[i]);

        if (!r || r->floor > after)
            return NULL;
        for (size_t k = 0; k < r->n; k++)
            if (r->items[k].pos > after && r->items[k].pos <= upto && r->items[k].expires > now)
                HS_TRY(hs_vec_push(a, &out, ((hs_sticky_row){ r->room, r->items[k].event, r->items[k].pos })));
    }
    if (out.n)
        qsort(out.at, out.n, sizeof *out.at, by_pos);
    *ret = out.at;
    *ret_n = out.n;
    *ret_whole = true;
    return NULL;
}

hs_error *hs_sticky_read(hs_server *srv, hs_arena *a, const hs_nid *rooms, size_t n, int64_t after, int64_t upto,
                         size_t limit, hs_sticky_row **ret, size_t *ret_n)
{
    bool whole;

    HS_TRY(remembered(srv, a, rooms, n, after, upto, ret, ret_n, &whole));
    if (!whole)
        return hs_store_sticky(srv->db, a, rooms, n, after, upto, hs_loop_wall(srv->loop), (int32_t)limit, ret, ret_n);
    if (*ret_n > limit)
        *ret_n = limit;
    return NULL;
}

/* ── opening ── */
hs_error *hs_sticky_open(hs_server *srv, hs_arena *a)
{
    struct hs_sticky *st;

    (void)a;
    if (!srv->config->msc4354_enabled)
        return NULL;
    st = calloc(1, sizeof *st);
    if (!st)
        return HS_ERR_NOMEM;
    srv->sticky = st;
    st->rooms = hs_map_open(srv->hash_seed);
    if (!st->rooms)
        return HS_ERR_NOMEM;
    HS_TRY(hs_persist_listen(srv, persist, srv));
    return hs_fanout_listen(srv, hear, srv);
}

void hs_sticky_close(hs_server *srv)
{
    struct hs_sticky *st = srv->sticky;
    size_t it = 0;
    hs_str key;
    void *v;

    if (!st)
        return;
    while (st->rooms && hs_map_next(st->rooms, &it, &key, &v))
        entry_free(v);
    if (st->rooms)
        hs_map_close(st->rooms);
    free(st);
    srv->sticky = NULL;
}
