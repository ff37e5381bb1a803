#include "support/graph.h"

#include "server/event_graph.h"
#include "server/event_state.h"
#include "store/events.h"
#include "store/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

const char *const GRAPH_SERVERS[GRAPH_SERVERS_N] = { "test", "one.example", "two.example" };
const char *const GRAPH_PEOPLE[GRAPH_PEOPLE_N] = { "@alice:test",       "@bob:one.example",  "@carl:two.example",
                                                   "@dora:one.example", "@evan:two.example", "@fred:one.example" };

/* Of each algorithm of state resolution, and of each form of event. */
static const char *const VERSIONS[] = { "11", "12", "1", "6" };

unsigned graph_draw(graph_world *w, unsigned n)
{
    w->seed = w->seed * 1103515245 + 12345;
    return (w->seed >> 16) % n;
}

static int by_text(const void *x, const void *y)
{
    return hs_str_cmp(*(const hs_str *)x, *(const hs_str *)y);
}

static int server_of(const char *user)
{
    for (int i = 0; i < GRAPH_SERVERS_N; i++)
        if (strcmp(strchr(user, ':') + 1, GRAPH_SERVERS[i]) == 0)
            return i;
    abort();
}

/* ── the other servers ── */

bool graph_key_of(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    graph_world *w = ud;

    (void)valid_at;
    for (int i = 0; i < GRAPH_SERVERS_N; i++)
        if (hs_str_eq(server, hs_str_c(GRAPH_SERVERS[i])) && hs_str_eq(key_id, hs_signing_key_id(w->keys[i]))) {
            memcpy(ret, hs_signing_key_public(w->keys[i]), 32);
            return true;
        }
    return false;
}

graph_event *graph_find_made(graph_world *w, hs_str id)
{
    for (size_t i = 0; i < w->n; i++)
        if (hs_str_eq(w->events[i].id, id))
            return &w->events[i];
    return NULL;
}

int graph_round_of(const graph_world *w, const graph_event *e)
{
    return e->withheld ? 3 : e->late ? 2 : e->is_ban && w->has_state;
}

static hs_error *give_events(void *ud, hs_arena *a, hs_str room_id, hs_str origin, const hs_str *ids, size_t n,
                             hs_str **ret, size_t *ret_n)
{
    graph_world *w = ud;
    size_t m = 0;

    (void)room_id;
    (void)origin;
    w->asks++;
    HS_TRY(hs_alloc(a, n, ret));
    for (size_t i = 0; i < n; i++) {
        const graph_event *e = graph_find_made(w, ids[i]);
        if (e && (graph_round_of(w, e) <= w->round || (e->withheld && w->asked.n)))
            (*ret)[m++] = e->json;
    }
    *ret_n = m;
    return NULL;
}

static hs_error *give_state(void *ud, hs_arena *a, hs_str room_id, hs_str origin, hs_str event_id, hs_str **ret,
                            size_t *ret_n)
{
    graph_world *w = ud;
    graph_event *e = graph_find_made(w, event_id);

    (void)a;
    (void)room_id;
    (void)origin;
    *ret = e ? e->state : NULL;
    *ret_n = e && e->withheld ? e->state_n : 0;
    w->asked = event_id;
    return NULL;
}

hs_received graph_receive(graph_world *w, const graph_event *e)
{
    hs_receive_world there = { .keys = { .get = graph_key_of, .ud = w },
                               .events = w->has_events ? give_events : NULL,
                               .state = w->has_state ? give_state : NULL,
                               .ud = w };
    hs_arena *a = hs_arena_open((size_t)64 << 20);
    hs_received ret;
    hs_room *room;

    w->asked = hs_str_make(NULL, 0);
    test_ok(hs_room_find(w->t.srv, a, w->room_id, &room));
    assert_non_null(room);
    test_ok(hs_event_receive(w->t.srv, a, room, &there, HS_S("one.example"), e->json, &ret));
    hs_arena_close(a);
    return ret;
}

/* ── making a room's history ── */

hs_room *graph_room_of(graph_world *w)
{
    hs_room *room;

    test_ok(hs_room_find(w->t.srv, w->t.db.a, w->room_id, &room));
    assert_non_null(room);
    return room;
}

static void ids_of(graph_world *w, hs_room *room, const hs_state_set *set, hs_str *ret, size_t *ret_n)
{
    hs_nid nids[GRAPH_STATE_MAX];
    hs_stored *events[GRAPH_STATE_MAX];

    assert_true(set->n <= GRAPH_STATE_MAX);
    for (size_t i = 0; i < set->n; i++)
        nids[i] = set->at[i].event;
    test_ok(hs_events_load(w->t.srv, w->t.db.a, room->nid, nids, set->n, events));
    for (size_t i = 0; i < set->n; i++) {
        assert_non_null(events[i]);
        test_ok(hs_str_dup(w->a, events[i]->ev->event_id, &ret[i]));
    }
    *ret_n = set->n;
    qsort(ret, set->n, sizeof *ret, by_text);
}

void graph_state_after(graph_world *w, hs_str id, hs_str *ret, size_t *ret_n, uint32_t *ret_flags)
{
    hs_room *room = graph_room_of(w);
    hs_state_set set;
    hs_known known;

    test_ok(hs_graph_find(w->t.srv, w->t.db.a, room, &id, 1, &known));
    if (!known.ev)
        fail_msg("%.*s is not stored", HS_FMT(id));
    if (known.line < 0)
        fail_msg("%.*s has no state", HS_FMT(id));
    test_ok(hs_store_state_at(w->t.db.db, w->t.db.a, room->nid, (hs_snap){ known.line, known.snap }, &set));
    ids_of(w, room, &set, ret, ret_n);
    *ret_flags = known.flags & (HS_EV_REJECTED | HS_EV_SOFT_FAILED | HS_EV_OUTLIER);
}

graph_event *graph_make(graph_world *w, const char *sender, const char *type, const char *state_key,
                        const char *content, const hs_str *prev, size_t prev_n)
{
    hs_arena *a = w->t.db.a;
    hs_room *room = graph_room_of(w);
    hs_known known[4];
    hs_snap snaps[4];
    hs_resolved before;
    hs_state_key_pair keys[HS_AUTH_TYPES_MAX];
    hs_str auth[HS_AUTH_TYPES_MAX], id = { NULL, 0 };
    size_t auth_n = 0;
    hs_event *ev;
    graph_event *e = &w->events[w->n];

    test_ok(hs_graph_find(w->t.srv, a, room, prev, prev_n, known));
    *e = (graph_event){ .prev_n = prev_n };
    for (size_t i = 0; i < prev_n; i++) {
        assert_non_null(known[i].ev);
        snaps[i] = (hs_snap){ known[i].line, known[i].snap };
        e->depth = known[i].ev->ev->depth >= e->depth ? known[i].ev->ev->depth + 1 : e->depth;
        e->prev[i] = prev[i];
    }
    test_ok(hs_state_resolve_snaps(w->t.srv, a, room, snaps, prev_n, &before));
    size_t n = hs_auth_types(room->rv, hs_str_c(type), hs_str_c(sender), hs_str_c(state_key ? state_key : ""),
                             state_key != NULL, test_json(a, content), keys);
    for (size_t i = 0; i < n; i++) {
        hs_nid nid = hs_state_set_get(&before.set, hs_slot(w->t.srv->slot_key, keys[i].type, keys[i].state_key));
        hs_stored *s;
        if (!nid)
            continue;
        test_ok(hs_events_load(w->t.srv, a, room->nid, &nid, 1, &s));
        auth[auth_n++] = s->ev->event_id;
    }
    hs_event_draft d = { .room_id = w->room_id,
                         .type = hs_str_c(type),
                         .sender = hs_str_c(sender),
                         .state_key = hs_str_c(state_key ? state_key : ""),
                         .is_state = state_key != NULL,
                         .content = hs_str_c(content),
                         .depth = e->depth,
                         .origin_ts = 1700000000000 + (int64_t)graph_draw(w, 1000000),
                         .prev = prev,
                         .auth = auth,
                         .prev_n = prev_n,
                         .auth_n = auth_n };
    if (w->sticky_ms) {
        d.is_sticky = true;
        d.sticky_ms = w->sticky_ms;
        d.origin_ts = hs_loop_wall(w->t.db.loop);
    }
    int s = server_of(sender);
    test_ok(hs_event_build(a, room->rv, &d, hs_str_c(GRAPH_SERVERS[s]), w->keys[s], &ev));
    test_ok(hs_str_dup(w->a, ev->json, &e->json));
    test_ok(hs_str_dup(w->a, ev->event_id, &id));
    e->id = id;
    w->n++;
    return e;
}

graph_event *graph_play(graph_world *w, const char *sender, const char *type, const char *state_key,
                        const char *content, const hs_str *prev, size_t prev_n)
{
    graph_event *e = graph_make(w, sender, type, state_key, content, prev, prev_n);

    graph_receive(w, e);
    graph_state_after(w, e->id, e->state, &e->state_n, &e->flags);
    e->late = e->flags & HS_EV_SOFT_FAILED;
    e->never_withheld = strcmp(sender, GRAPH_PEOPLE[3]) == 0;
    if (e->late && !e->never_withheld)
        fail_msg("an event of %s soft-fails", sender);
    return e;
}

size_t graph_all_heads(graph_world *w, hs_str *ret)
{
    hs_room *room = graph_room_of(w);
    size_t n = room->heads.n < 4 ? room->heads.n : 4;

    for (size_t i = 0; i < n; i++)
        test_ok(hs_str_dup(w->a, room->head_events[room->heads.n - n + i]->ev->event_id, &ret[i]));
    return n;
}

/* ── what a room is in the end ── */

void graph_heads_now(graph_world *w, hs_str *ret, size_t *ret_n)
{
    hs_room *room = graph_room_of(w);
    hs_timeline_row row;
    bool found;

    test_ok(hs_store_head(w->t.db.db, w->t.db.a, room->nid, &row, &found));
    assert_true(found);
    assert_int_equal(row.heads.n, room->heads.n);
    for (size_t i = 0; i < row.heads.n; i++) {
        hs_stored *s;
        test_ok(hs_events_load(w->t.srv, w->t.db.a, room->nid, &row.heads.at[i], 1, &s));
        test_ok(hs_str_dup(w->a, s->ev->event_id, &ret[i]));
    }
    *ret_n = row.heads.n;
    qsort(ret, *ret_n, sizeof *ret, by_text);
    hs_str cached[32];
    for (size_t i = 0; i < room->heads.n; i++)
        cached[i] = room->head_events[i]->ev->event_id;
    qsort(cached, room->heads.n, sizeof *cached, by_text);
    for (size_t i = 0; i < room->heads.n; i++)
        assert_true(hs_str_eq(cached[i], ret[i]));
}

void graph_shown_now(graph_world *w, hs_str *ret, size_t *ret_n)
{
    hs_room *room = graph_room_of(w);
    hs_timeline_row *rows;
    size_t n;

    test_ok(hs_store_timeline(w->t.db.db, w->t.db.a, room->nid, 0, INT64_MAX, HS_FORWARD, GRAPH_EVENTS_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        hs_stored *s;
        test_ok(hs_events_load(w->t.srv, w->t.db.a, room->nid, &rows[i].event, 1, &s));
        test_ok(hs_str_dup(w->a, s->ev->event_id, &ret[i]));
    }
    *ret_n = n;
    qsort(ret, n, sizeof *ret, by_text);
}

void graph_current_now(graph_world *w, hs_str *ret, size_t *ret_n)
{
    hs_room *room = graph_room_of(w);
    hs_state_set set = { .at = room->state, .n = room->state_n }, stored;

    ids_of(w, room, &set, ret, ret_n);
    test_ok(hs_store_state_at(w->t.db.db, w->t.db.a, room->nid, (hs_snap){ room->line, room->snap }, &stored));
    assert_int_equal(stored.n, set.n);
    for (size_t i = 0; i < set.n; i++)
        assert_int_equal(stored.at[i].event, set.at[i].event);
}

void graph_assert_same(const char *what, const hs_str *x, size_t x_n, const hs_str *y, size_t y_n)
{
    for (size_t i = 0; i < x_n && i < y_n; i++)
        if (!hs_str_eq(x[i], y[i]))
            fail_msg("%s: %.*s where %.*s was", what, HS_FMT(y[i]), HS_FMT(x[i]));
    if (x_n != y_n)
        fail_msg("%s: %zu where %zu were", what, y_n, x_n);
}

/* All auth events of the state's events, and theirs, are stored, accepted, and of the room. */
static void assert_chain_is_closed(graph_world *w)
{
    hs_room *room = graph_room_of(w);
    hs_nid nids[GRAPH_STATE_MAX];
    hs_auth_row *chain;
    size_t n;

    for (size_t i = 0; i < room->state_n; i++)
        nids[i] = room->state[i].event;
    test_ok(hs_store_auth_chain(w->t.db.db, w->t.db.a, room->nid, nids, room->state_n, &chain, &n));
    for (size_t i = 0; i < n; i++) {
        hs_stored *s;
        test_ok(hs_events_load(w->t.srv, w->t.db.a, room->nid, &chain[i].event, 1, &s));
        assert_non_null(s);
        assert_false(s->flags & (HS_EV_REJECTED | HS_EV_STUB));
        assert_int_equal(chain[i].auth.n, s->ev->auth_n);
        for (size_t k = 0; k < chain[i].auth.n; k++) {
            bool found = false;
            for (size_t j = 0; j < n; j++)
                found = found || chain[j].event == chain[i].auth.at[k];
            assert_true(found);
        }
    }
}

long long graph_rows_of_all_tables(graph_world *w)
{
    return test_pg_sql(
        w->t.db.conninfo,
        "SELECT sum((xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || quote_ident(tablename),"
        " false, true, '')))[1]::text::bigint) FROM pg_tables WHERE schemaname = 'public'");
}

void graph_assert_as_made(graph_world *w)
{
    hs_str ids[GRAPH_EVENTS_MAX];
    uint32_t flags;
    size_t n;

    for (size_t i = 0; i < w->n; i++) {
        const graph_event *e = &w->events[i];
        graph_state_after(w, e->id, ids, &n, &flags);
        graph_assert_same("state after an event", e->state, e->state_n, ids, n);
        if (flags != e->flags)
            fail_msg("event %zu %.*s: flags %u where %u were", i, HS_FMT(e->id), flags, e->flags);
    }
    graph_current_now(w, ids, &n);
    graph_assert_same("current state", w->current, w->current_n, ids, n);
    graph_heads_now(w, ids, &n);
    graph_assert_same("heads", w->heads, w->heads_n, ids, n);
    graph_shown_now(w, ids, &n);
    graph_assert_same("timeline", w->shown, w->shown_n, ids, n);
    assert_chain_is_closed(w);
    assert_int_equal(test_pg_sql(w->t.db.conninfo,
                                 "SELECT (SELECT count(*) FROM fed_stage) + (SELECT count(*) FROM room_gap)"
                                 " + (SELECT count(*) FROM event WHERE flags & 17 <> 0)"),
                     0);
}

void graph_begin(void *ud)
{
    graph_world *w = ud;
    hs_session *alice = test_user(&w->t, "alice");
    char body[64];

    snprintf(body, sizeof body, "{\"preset\":\"public_chat\",\"room_version\":\"%s\"}", VERSIONS[w->seed % 4]);
    hs_str id = test_create(&w->t, alice, body);
    test_ok(hs_str_dup(w->a, id, &w->room_id));
}

void graph_on_server(graph_world *w, const char *conninfo, void (*fn)(void *ud))
{
    w->t.db.conninfo = conninfo;
    if (w->sticky_ms)
        test_rooms_open_sticky(&w->t);
    else
        test_rooms_open(&w->t);
    test_on_fiber(w->t.db.loop, fn, w);
    test_rooms_close(&w->t);
}

graph_world *graph_world_open(unsigned seed, const char *base, const char *db)
{
    graph_world *w = calloc(1, sizeof *w);

    w->a = hs_arena_open((size_t)64 << 20);
    w->seed = seed;
    w->base = base;
    w->db = db;
    for (int i = 0; i < GRAPH_SERVERS_N; i++) {
        const uint8_t key[32] = { (uint8_t)(7 + i) };
        test_ok(hs_signing_key_open(w->a, HS_S("a"), key, &w->keys[i]));
    }
    return w;
}

void graph_world_close(graph_world *w)
{
    hs_arena_close(w->a);
    free(w);
}

void graph_by_itself(void (*fn)(void *ud))
{
    const char *db = test_pg_create("");
    graph_world *w = graph_world_open(100, db, db);

    graph_on_server(w, db, graph_begin);
    graph_on_server(w, db, fn);
    graph_world_close(w);
}
