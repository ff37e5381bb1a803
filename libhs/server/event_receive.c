/* See event_receive.h. One event brings others along: what it names and nobody has given us (asked for in rounds, with
 * budgets), and what has waited for it. All of them are a list, gone through until nothing moves any more:
 *
 *   an event of the timeline   needs its auth events, and its parents' states
 *   an outlier                 asked for because others name it as an auth event or state: needs its own auth events
 *
 * What still lacks a parent then takes the state there from another server (a gap); what lacks more waits in fed_stage,
 * in which any worker finds it when the missing event comes. */
#include "server/event_receive.h"

#include "base/vec.h"
#include "server/event_graph.h"
#include "server/names.h"
#include "store/gaps.h"

enum {
    ROUNDS = 20,        /* of asking for what is missing */
    ASKED_MAX = 5000,   /* events in all */
    LIST_MAX = 10000,   /* events that one may bring along */
    STATE_MAX = 200000, /* entries of a state that is told */
    UNSTAGE_MAX = 100,  /* events that wait for one */
};

typedef struct {
    const hs_event *ev;
    hs_str origin;
    bool outlier, staged, done, failed;
    bool named_by; /* the stage has been asked who waits for it */
    uint32_t flags;
} item;

/* The state after a missing event, as it was told. */
typedef struct {
    hs_str missing;
    hs_str *ids;
    size_t n;
    bool tried;
} told_state;

typedef struct {
    hs_server *srv;
    hs_arena *a;
    hs_nid nid;
    hs_room *room;
    const hs_receive_world *world;
    HS_VEC(item) items;
    HS_VEC(hs_str) asked;
    int rounds;
    HS_VEC(told_state) states;
} receiving;

/* ── one event's own checks ── */

static bool has_nul(hs_str s)
{
    return s.n && memchr(s.p, 0, s.n);
}

/* 1 to 3 of core/README.md. */
static hs_error *read_event(receiving *r, hs_str json, const hs_event **ret)
{
    const hs_receive_world *w = r->world;
    hs_event *ev;
    hs_str pruned, server;
    bool ok;

    HS_TRY(hs_event_parse(r->a, r->room->rv, json, &ev));
    if (!hs_str_eq(ev->room_id, r->room->id))
        return hs_err(r->a, 400, HS_M_BAD_JSON, "The event is of another room");
    if (has_nul(ev->type) || (ev->is_state && has_nul(ev->state_key))) /* the database has no such texts */
        return hs_err(r->a, 400, HS_M_BAD_JSON, "The event's type or state_key has a NUL in it");
    if (w->load_keys)
        HS_TRY(w->load_keys(w->ud, r->a, ev));
    HS_TRY(hs_event_signatures_ok(r->a, ev, &w->keys, &ok, &server));
    if (!ok)
        return hs_err(r->a, 403, HS_M_FORBIDDEN, "The event has no good signature of %.*s", HS_FMT(server));
    HS_TRY(hs_event_hash_ok(r->a, ev, &ok));
    if (!ok) {
        HS_TRY(hs_event_redact(r->a, ev, &pruned));
        HS_TRY(hs_event_read(r->a, r->room->rv, pruned, ev->event_id, &ev));
    }
    *ret = ev;
    return NULL;
}

static bool has(const hs_str *at, size_t n, hs_str id)
{
    for (size_t i = 0; i < n; i++)
        if (hs_str_eq(at[i], id))
            return true;
    return false;
}

static item *listed(receiving *r, hs_str id)
{
    for (size_t i = 0; i < r->items.n; i++)
        if (hs_str_eq(r->items.at[i].ev->event_id, id))
            return &r->items.at[i];
    return NULL;
}

static hs_error *add_item(receiving *r, const hs_event *ev, hs_str origin, bool outlier, bool staged)
{
    if (r->items.n >= LIST_MAX)
        return NULL;
    return hs_vec_push(r->a, &r->items, (item){ .ev = ev, .origin = origin, .outlier = outlier, .staged = staged });
}

/* ── what is missing ── */

typedef struct {
    HS_VEC(hs_str) auth, prev; /* events; of parents those whose state is not known */
} lacking;

static hs_error *find_lacking(receiving *r, const item *it, lacking *ret)
{
    const hs_event *ev = it->ev;
    hs_known *known;

    *ret = (lacking){ .auth = { .n = 0 } };
    HS_TRY(hs_alloc(r->a, ev->auth_n + ev->prev_n, &known));
    HS_TRY(hs_graph_find(r->srv, r->a, r->room, ev->auth, ev->auth_n, known));
    for (size_t i = 0; i < ev->auth_n; i++)
        if (!known[i].ev)
            HS_TRY(hs_vec_push(r->a, &ret->auth, ev->auth[i]));
    if (it->outlier)
        return NULL;
    HS_TRY(hs_graph_find(r->srv, r->a, r->room, ev->prev, ev->prev_n, known));
    for (size_t i = 0; i < ev->prev_n; i++)
        if (known[i].line < 0)
            HS_TRY(hs_vec_push(r->a, &ret->prev, ev->prev[i]));
    return NULL;
}

typedef struct {
    HS_VEC(hs_str) ids;
    HS_VEC(bool) outlier;
} wishes;

/* `again`: it is no matter that nobody had it as an event of the timeline. */
static hs_error *wish(receiving *r, wishes *w, hs_str id, bool outlier, bool again)
{
    for (size_t i = 0; i < w->ids.n; i++)
        if (hs_str_eq(w->ids.at[i], id)) {
            w->outlier.at[i] = w->outlier.at[i] && outlier;
            return NULL;
        }
    if (listed(r, id) || r->asked.n >= ASKED_MAX || (!again && has(r->asked.at, r->asked.n, id)))
        return NULL;
    HS_TRY(hs_vec_push(r->a, &r->asked, id));
    HS_TRY(hs_vec_push(r->a, &w->ids, id));
    return hs_vec_push(r->a, &w->outlier, outlier);
}

/* A parent is asked for as an event of the timeline, so that its own parents are asked for next. What is asked for is
 * taken, nothing else: the answer is another server's. */
static hs_error *ask(receiving *r, const wishes *w, hs_str origin, bool *ret_any)
{
    hs_str *bytes;
    size_t n;

    HS_TRY(r->world->events(r->world->ud, r->a, r->room->id, origin, w->ids.at, w->ids.n, &bytes, &n));
    for (size_t i = 0; i < n && i < w->ids.n; i++) {
        const hs_event *ev;
        bool outlier = true, wanted = false;
        if (read_event(r, bytes[i], &ev)) /* one bad event costs only itself */
            continue;
        for (size_t k = 0; k < w->ids.n && !wanted; k++) {
            wanted = hs_str_eq(w->ids.at[k], ev->event_id);
            outlier = w->outlier.at[k];
        }
        if (!wanted || listed(r, ev->event_id))
            continue;
        HS_TRY(add_item(r, ev, origin, outlier, false));
        *ret_any = true;
    }
    return NULL;
}

/* What is wished for and waits here already. */
static hs_error *find_staged(receiving *r, wishes *w, hs_str origin, bool *ret_any)
{
    hs_stage_row *rows;
    size_t n;

    HS_TRY(hs_store_stage_get(r->srv->db, r->a, r->nid, (hs_strs){ w->ids.at, w->ids.n }, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        hs_event *ev;
        HS_TRY(hs_event_read(r->a, r->room->rv, rows[i].body, rows[i].event_id, &ev));
        HS_TRY(add_item(r, ev, origin, false, true));
        for (size_t k = 0; k < w->ids.n; k++)
            if (hs_str_eq(w->ids.at[k], rows[i].event_id)) {
                w->ids.at[k] = w->ids.at[--w->ids.n];
                w->outlier.at[k] = w->outlier.at[w->ids.n];
            }
        *ret_any = true;
    }
    return NULL;
}

/* Finds or asks for what the items from `from` on lack, and what that lacks. */
static hs_error *fetch(receiving *r, size_t from, hs_str origin)
{
    bool any = true;

    while (any) {
        size_t n = r->items.n;
        wishes w = { .ids = { .n = 0 } };
        for (size_t i = from; i < n; i++) {
            lacking l;
            HS_TRY(find_lacking(r, &r->items.at[i], &l));
            for (size_t k = 0; k < l.auth.n; k++)
                HS_TRY(wish(r, &w, l.auth.at[k], true, false));
            for (size_t k = 0; k < l.prev.n; k++)
                HS_TRY(wish(r, &w, l.prev.at[k], false, false));
        }
        any = false;
        from = n;
        if (w.ids.n)
            HS_TRY(find_staged(r, &w, origin, &any));
        if (w.ids.n && r->world->events && r->rounds++ < ROUNDS)
            HS_TRY(ask(r, &w, origin, &any));
    }
    return NULL;
}

/* ── going through the list ── */

static hs_error *take_in(receiving *r, item *it)
{
    hs_error *e;

    HS_TRY(hs_room_load(r->srv, r->a, r->nid, &r->room)); /* as it is now */
    if (!r->room)
        return hs_err(r->a, 404, HS_M_NOT_FOUND, "Unknown room");
    e = it->outlier ? hs_graph_add_outlier(r->srv, r->a, r->room, it->ev, &it->flags)
                    : hs_graph_add(r->srv, r->a, r->room, it->ev, &it->flags);
    it->done = !e;
    it->failed = e && e->status >= 400 && e->status < 500;
    if ((it->done || it->failed) && it->staged)
        HS_TRY(hs_store_stage_drop(r->srv->db, r->a, r->nid, it->ev->event_id));
    return e && (!it->failed || it == r->items.at) ? e : NULL;
}

/* Parents before children, as depth has it; where it lies, another pass helps. */
static void sort_items(receiving *r, size_t from)
{
    for (size_t i = from + 1; i < r->items.n; i++)
        for (size_t k = i; k > from && r->items.at[k].ev->depth < r->items.at[k - 1].ev->depth; k--) {
            item t = r->items.at[k];
            r->items.at[k] = r->items.at[k - 1];
            r->items.at[k - 1] = t;
        }
}

static hs_error *pass(receiving *r, bool *ret_moved)
{
    *ret_moved = false;
    for (size_t k = 1; k <= r->items.n; k++) { /* what was asked for before what it was asked for */
        item *it = &r->items.at[k < r->items.n ? k : 0];
        lacking l;
        if (it->done || it->failed)
            continue;
        HS_TRY(find_lacking(r, it, &l));
        if (l.auth.n || l.prev.n)
            continue;
        HS_TRY(take_in(r, it));
        *ret_moved = *ret_moved || it->done;
    }
    return NULL;
}

/* Events that have waited for one that is there now. */
static hs_error *wake(receiving *r, bool *ret_any)
{
    size_t n = r->items.n;

    *ret_any = false;
    for (size_t i = 0; i < n; i++) {
        hs_stage_row *rows;
        size_t rows_n;
        if (!r->items.at[i].done || r->items.at[i].named_by)
            continue;
        r->items.at[i].named_by = true;
        HS_TRY(hs_store_stage_of(r->srv->db, r->a, r->nid, r->items.at[i].ev->event_id, UNSTAGE_MAX, &rows, &rows_n));
        for (size_t k = 0; k < rows_n; k++) {
            hs_event *ev;
            if (hs_str_eq(rows[k].event_id, r->items.at[i].ev->event_id)) /* it has come by another way */
                HS_TRY(hs_store_stage_drop(r->srv->db, r->a, r->nid, rows[k].event_id));
            if (listed(r, rows[k].event_id))
                continue;
            HS_TRY(hs_event_read(r->a, r->room->rv, rows[k].body, rows[k].event_id, &ev));
            HS_TRY(add_item(r, ev, r->items.at[0].origin, false, true));
            *ret_any = true;
        }
    }
    return NULL;
}

/* ── gaps ── */

static hs_error *ask_state(receiving *r, const item *it, hs_str missing, told_state **ret)
{
    told_state s = { .missing = missing };

    for (size_t i = 0; i < r->states.n; i++)
        if (hs_str_eq(r->states.at[i].missing, missing)) {
            *ret = &r->states.at[i];
            return NULL;
        }
    HS_TRY(r->world->state(r->world->ud, r->a, r->room->id, it->origin, missing, &s.ids, &s.n));
    if (s.n > STATE_MAX)
        s.n = 0;
    HS_TRY(hs_vec_push(r->a, &r->states, s));
    *ret = &r->states.at[r->states.n - 1];
    return NULL;
}

/* The events of a told state that are not here come as outliers. */
static hs_error *fetch_state(receiving *r, const item *it, const told_state *s)
{
    size_t from = r->items.n;
    wishes w = { .ids = { .n = 0 } };
    hs_known *known;
    bool any = false;

    HS_TRY(hs_alloc(r->a, s->n, &known));
    HS_TRY(hs_graph_find(r->srv, r->a, r->room, s->ids, s->n, known));
    for (size_t i = 0; i < s->n; i++)
        if (!known[i].ev)
            HS_TRY(wish(r, &w, s->ids[i], true, true));
    if (!w.ids.n || !r->world->events)
        return NULL;
    HS_TRY(ask(r, &w, it->origin, &any));
    return fetch(r, from, it->origin);
}

/* An event that lacks nothing but the states of some parents. */
static hs_error *bridge(receiving *r, size_t i, bool *ret_moved)
{
    item it = r->items.at[i];
    lacking l;

    if (it.done || it.failed || it.outlier || !r->world->state)
        return NULL;
    HS_TRY(find_lacking(r, &it, &l));
    for (size_t k = 0; k < l.prev.n && !l.auth.n; k++) {
        told_state *s;
        bool moved = true, taken;
        HS_TRY(ask_state(r, &it, l.prev.at[k], &s));
        if (!s->n || s->tried)
            continue;
        s->tried = true;
        hs_str *ids = s->ids;
        size_t n = s->n;
        HS_TRY(fetch_state(r, &it, s));
        while (moved)
            HS_TRY(pass(r, &moved));
        HS_TRY(hs_graph_add_gap(r->srv, r->a, r->room, l.prev.at[k], ids, n, &taken));
        *ret_moved = *ret_moved || taken;
    }
    return NULL;
}

static hs_error *run(receiving *r)
{
    bool moved = true;

    while (moved) {
        while (moved) {
            bool woken = false;
            HS_TRY(pass(r, &moved));
            if (moved)
                HS_TRY(wake(r, &woken));
        }
        for (size_t i = 0; i < r->items.n && !moved; i++)
            HS_TRY(bridge(r, i, &moved));
    }
    return NULL;
}

/* ── waiting ── */

static hs_error *stage(receiving *r, item *it)
{
    hs_stage_row row = {
        .room = r->nid, .event_id = it->ev->event_id, .body = it->ev->json, .received_ts = hs_loop_wall(r->srv->loop)
    };

    HS_TRY(hs_db_new_nid(r->srv->db, r->a, &row.seq));
    HS_TRY(hs_server_nid(r->srv, r->a, it->origin, &row.origin));
    it->staged = true;
    return hs_store_stage_put(r->srv->db, r->a, &row);
}

/* What is left waits. It may have been missed by whoever brought what it waits for, just now: hence another run. */
static hs_error *stage_all(receiving *r)
{
    bool any = false;

    for (size_t i = r->items.n; i-- > 0;) {
        item *it = &r->items.at[i];
        if (it->done || it->failed || it->outlier || it->staged)
            continue;
        HS_TRY(stage(r, it));
        any = true;
    }
    return any ? run(r) : NULL;
}

hs_error *hs_event_receive(hs_server *srv, hs_arena *a, hs_room *room, const hs_receive_world *world, hs_str origin,
                           hs_str json, hs_received *ret)
{
    receiving r = { .srv = srv, .a = a, .nid = room->nid, .room = room, .world = world };
    const hs_event *ev;
    hs_known known;

    HS_TRY(read_event(&r, json, &ev));
    HS_TRY(hs_graph_find(srv, a, room, &ev->event_id, 1, &known));
    if (!known.nid || (known.flags & (HS_EV_STUB | HS_EV_OUTLIER))) {
        HS_TRY(add_item(&r, ev, origin, false, false));
        HS_TRY(fetch(&r, 0, origin));
        sort_items(&r, 1);
        HS_TRY(run(&r));
        HS_TRY(stage_all(&r));
        known.flags = r.items.at[0].flags;
        if (!r.items.at[0].done) {
            *ret = HS_RECEIVED_WAITS;
            return NULL;
        }
    }
    *ret = known.flags & HS_EV_REJECTED      ? HS_RECEIVED_REJECTED
           : known.flags & HS_EV_SOFT_FAILED ? HS_RECEIVED_SOFT_FAILED
                                             : HS_RECEIVED_ACCEPTED;
    return NULL;
}
