/* The graph of a room that other servers write to: whatever the order in which its events come, it ends the same. */
#include "support/rooms.h"

#include "server/event_graph.h"
#include "server/event_receive.h"
#include "server/event_state.h"
#include "server/room_member.h"
#include "store/events.h"
#include "store/gaps.h"
#include "store/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EVENTS_MAX = 400, PEOPLE = 6, SERVERS = 3, STATE_MAX = 64 };

static const char *const SERVER_NAMES[SERVERS] = { "test", "one.example", "two.example" };
static const char *const NAMES[PEOPLE] = { "@alice:test",       "@bob:one.example",  "@carl:two.example",
                                           "@dora:one.example", "@evan:two.example", "@fred:one.example" };

/* Of each algorithm of state resolution, and of each form of event. */
static const char *const VERSIONS[] = { "11", "12", "1", "6" };

/* An event as it was made, and what it is to be in the end. */
typedef struct {
    hs_str id, json;
    hs_str prev[4];
    size_t prev_n;
    hs_str state[STATE_MAX]; /* after it: ids, sorted */
    size_t state_n;
    uint32_t flags;
    bool late; /* comes when all others have come: it will be soft-failed */
    bool is_ban;
    bool never_withheld; /* the ban, and what authorises it, and all of who is banned: there what comes later matters */
    bool withheld;       /* comes last of all: the others bridge the gap */
    int64_t depth;
} made;

typedef struct {
    hs_arena *a; /* outlives the servers */
    const char *base, *db;
    test_rooms t;
    hs_signing_key *keys[SERVERS];
    hs_str room_id;
    made events[EVENTS_MAX];
    size_t n;
    unsigned seed;
    bool joined[PEOPLE], banned[PEOPLE];
    /* what the first run ended in */
    hs_str current[STATE_MAX], heads[32], shown[EVENTS_MAX];
    size_t current_n, heads_n, shown_n;
    bool has_state;  /* the world knows states */
    bool has_events; /* … and events */
    int round;       /* what comes late has not been heard of in round 0 */
    hs_str asked;    /* what is withheld is given as a part of a state only */
} world;

static unsigned draw(world *w, unsigned n)
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
    for (int i = 0; i < SERVERS; i++)
        if (strcmp(strchr(user, ':') + 1, SERVER_NAMES[i]) == 0)
            return i;
    abort();
}

/* ── the other servers ── */

static bool key_of(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    world *w = ud;

    (void)valid_at;
    for (int i = 0; i < SERVERS; i++)
        if (hs_str_eq(server, hs_str_c(SERVER_NAMES[i])) && hs_str_eq(key_id, hs_signing_key_id(w->keys[i]))) {
            memcpy(ret, hs_signing_key_public(w->keys[i]), 32);
            return true;
        }
    return false;
}

static made *find_made(world *w, hs_str id)
{
    for (size_t i = 0; i < w->n; i++)
        if (hs_str_eq(w->events[i].id, id))
            return &w->events[i];
    return NULL;
}

/* Over a gap the ban may come before what it follows, which it would soft-fail. */
static int round_of(const world *w, const made *e)
{
    return e->withheld ? 3 : e->late ? 2 : e->is_ban && w->has_state;
}

static hs_error *give_events(void *ud, hs_arena *a, hs_str room_id, hs_str origin, const hs_str *ids, size_t n,
                             hs_str **ret, size_t *ret_n)
{
    world *w = ud;
    size_t m = 0;

    (void)room_id;
    (void)origin;
    HS_TRY(hs_alloc(a, n, ret));
    for (size_t i = 0; i < n; i++) {
        const made *e = find_made(w, ids[i]);
        if (e && (round_of(w, e) <= w->round || (e->withheld && w->asked.n)))
            (*ret)[m++] = e->json;
    }
    *ret_n = m;
    return NULL;
}

static hs_error *give_state(void *ud, hs_arena *a, hs_str room_id, hs_str origin, hs_str event_id, hs_str **ret,
                            size_t *ret_n)
{
    world *w = ud;
    made *e = find_made(w, event_id);

    (void)a;
    (void)room_id;
    (void)origin;
    *ret = e ? e->state : NULL;
    *ret_n = e && e->withheld ? e->state_n : 0;
    w->asked = event_id;
    return NULL;
}

static hs_received receive(world *w, const made *e)
{
    hs_receive_world there = { .keys = { .get = key_of, .ud = w },
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

static hs_room *room_of(world *w)
{
    hs_room *room;

    test_ok(hs_room_find(w->t.srv, w->t.db.a, w->room_id, &room));
    assert_non_null(room);
    return room;
}

static void ids_of(world *w, hs_room *room, const hs_state_set *set, hs_str *ret, size_t *ret_n)
{
    hs_nid nids[STATE_MAX];
    hs_stored *events[STATE_MAX];

    assert_true(set->n <= STATE_MAX);
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

static void state_after(world *w, hs_str id, hs_str *ret, size_t *ret_n, uint32_t *ret_flags)
{
    hs_room *room = room_of(w);
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

/* An event on top of parents, authorised as its sender's server would. */
static made *make(world *w, const char *sender, const char *type, const char *state_key, const char *content,
                  const hs_str *prev, size_t prev_n)
{
    hs_arena *a = w->t.db.a;
    hs_room *room = room_of(w);
    hs_known known[4];
    hs_snap snaps[4];
    hs_resolved before;
    hs_state_key_pair keys[HS_AUTH_TYPES_MAX];
    hs_str auth[HS_AUTH_TYPES_MAX], id = { NULL, 0 };
    size_t auth_n = 0;
    hs_event *ev;
    made *e = &w->events[w->n];

    test_ok(hs_graph_find(w->t.srv, a, room, prev, prev_n, known));
    *e = (made){ .prev_n = prev_n };
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
                         .origin_ts = 1700000000000 + (int64_t)draw(w, 1000000),
                         .prev = prev,
                         .auth = auth,
                         .prev_n = prev_n,
                         .auth_n = auth_n };
    int s = server_of(sender);
    test_ok(hs_event_build(a, room->rv, &d, hs_str_c(SERVER_NAMES[s]), w->keys[s], &ev));
    test_ok(hs_str_dup(w->a, ev->json, &e->json));
    test_ok(hs_str_dup(w->a, ev->event_id, &id));
    e->id = id;
    w->n++;
    return e;
}

/* Makes it and takes it in; what it then is, is what it must be in the end. */
static made *play(world *w, const char *sender, const char *type, const char *state_key, const char *content,
                  const hs_str *prev, size_t prev_n)
{
    made *e = make(w, sender, type, state_key, content, prev, prev_n);

    receive(w, e);
    state_after(w, e->id, e->state, &e->state_n, &e->flags);
    e->late = e->flags & HS_EV_SOFT_FAILED;
    e->never_withheld = strcmp(sender, NAMES[3]) == 0;
    if (e->late && !e->never_withheld)
        fail_msg("an event of %s soft-fails", sender);
    return e;
}

static size_t all_heads(world *w, hs_str *ret)
{
    hs_room *room = room_of(w);
    size_t n = room->heads.n < 4 ? room->heads.n : 4;

    for (size_t i = 0; i < n; i++)
        test_ok(hs_str_dup(w->a, room->head_events[room->heads.n - n + i]->ev->event_id, &ret[i]));
    return n;
}

/* One to three parents among the newest events, heads or not, soft-failed ones and rejected ones too. */
static size_t some_parents(world *w, hs_str *ret)
{
    size_t n = 0, want = draw(w, 3) ? 1 : 1 + draw(w, 3);

    if (draw(w, 3) == 0)
        return all_heads(w, ret);
    while (n < want) {
        const made *e = &w->events[w->n - 1 - draw(w, (unsigned)(w->n < 8 ? w->n : 8))];
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || hs_str_eq(ret[i], e->id);
        if (!known)
            ret[n++] = e->id;
        else
            want--;
    }
    return n ? n : all_heads(w, ret);
}

static bool is_in(world *w, const char *user, const hs_str *prev, size_t prev_n)
{
    for (size_t p = 0; p < prev_n; p++) {
        const made *e = find_made(w, prev[p]);
        for (size_t i = 0; e && i < e->state_n; i++) {
            const made *s = find_made(w, e->state[i]);
            char key[64];
            int len = snprintf(key, sizeof key, "\"state_key\":\"%s\"", user);
            if (s && memmem(s->json.p, s->json.n, key, (size_t)len))
                return true;
        }
    }
    return strcmp(user, "@alice:test") == 0;
}

static void history(world *w, size_t steps)
{
    hs_str prev[4], old[4];
    size_t n = all_heads(w, prev), old_n = n;
    char text[128];

    memcpy(old, prev, sizeof old);
    w->joined[0] = true;
    for (int i = 1; i < 4; i++) {
        n = all_heads(w, prev);
        play(w, NAMES[i], "m.room.member", NAMES[i], "{\"membership\":\"join\"}", prev, n);
        w->joined[i] = true;
        if (i == 2) { /* where carl, and soon dora, are not banned yet */
            old_n = all_heads(w, old);
        }
    }
    n = all_heads(w, prev);
    play(w, NAMES[0], "m.room.power_levels", "",
         "{\"state_default\":50,\"users\":{\"@alice:test\":100,\"@bob:one.example\":50}}", prev, n)
        ->never_withheld = true;
    old_n = all_heads(w, old);
    for (size_t i = 0; i < steps; i++) {
        unsigned what = draw(w, 12);
        const char *who = NAMES[draw(w, 4)];
        n = some_parents(w, prev);
        if (!is_in(w, who, prev, n))
            continue;
        snprintf(text, sizeof text, "{\"name\":\"%zu\",\"topic\":\"%u\"}", i, draw(w, 100));
        if (what < 3)
            play(w, who, "m.room.message", NULL, "{\"body\":\"x\",\"msgtype\":\"m.text\"}", prev, n);
        else if (what < 6) /* bob and alice may, the others are rejected */
            play(w, who, what == 3 ? "m.room.name" : "m.room.topic", "", text, prev, n);
        else if (what < 8)
            play(w, NAMES[draw(w, 2)], what == 6 ? "x.one" : "x.two", draw(w, 2) ? "" : "k", text, prev, n);
        else if (what == 8 && !w->joined[4 + draw(w, 2)])
            for (int k = 4; k < PEOPLE; k++) {
                if (w->joined[k])
                    continue;
                play(w, NAMES[k], "m.room.member", NAMES[k], "{\"membership\":\"join\"}", prev, n);
                w->joined[k] = true;
                break;
            }
        else if (what == 9) { /* one more power level, behind everything */
            n = all_heads(w, prev);
            snprintf(text, sizeof text,
                     "{\"events\":{\"x.%zu\":50},\"state_default\":50,\"users\":{\"@alice:test\":100,\"@bob:one."
                     "example\":50}}",
                     i);
            play(w, NAMES[0], "m.room.power_levels", "", text, prev, n)->never_withheld = true;
        } else if (what == 10 && i > steps / 2 && !w->banned[3]) {
            n = all_heads(w, prev);
            made *e = play(w, NAMES[0], "m.room.member", NAMES[3], "{\"membership\":\"ban\"}", prev, n);
            e->is_ban = e->never_withheld = true;
            w->banned[3] = true;
        } else if (what == 11 && w->banned[3]) { /* dora goes on where she was not banned */
            made *e =
                play(w, NAMES[3], "m.room.message", NULL, "{\"body\":\"late\",\"msgtype\":\"m.text\"}", old, old_n);
            assert_int_equal(e->flags, HS_EV_SOFT_FAILED);
        }
    }
}

/* ── what a room is in the end ── */

static void heads_now(world *w, hs_str *ret, size_t *ret_n)
{
    hs_room *room = room_of(w);
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

static void shown_now(world *w, hs_str *ret, size_t *ret_n)
{
    hs_room *room = room_of(w);
    hs_timeline_row *rows;
    size_t n;

    test_ok(hs_store_timeline(w->t.db.db, w->t.db.a, room->nid, 0, INT64_MAX, HS_FORWARD, EVENTS_MAX, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        hs_stored *s;
        test_ok(hs_events_load(w->t.srv, w->t.db.a, room->nid, &rows[i].event, 1, &s));
        test_ok(hs_str_dup(w->a, s->ev->event_id, &ret[i]));
    }
    *ret_n = n;
    qsort(ret, n, sizeof *ret, by_text);
}

static void current_now(world *w, hs_str *ret, size_t *ret_n)
{
    hs_room *room = room_of(w);
    hs_state_set set = { .at = room->state, .n = room->state_n }, stored;

    ids_of(w, room, &set, ret, ret_n);
    test_ok(hs_store_state_at(w->t.db.db, w->t.db.a, room->nid, (hs_snap){ room->line, room->snap }, &stored));
    assert_int_equal(stored.n, set.n);
    for (size_t i = 0; i < set.n; i++)
        assert_int_equal(stored.at[i].event, set.at[i].event);
}

static void assert_same(const char *what, const hs_str *x, size_t x_n, const hs_str *y, size_t y_n)
{
    for (size_t i = 0; i < x_n && i < y_n; i++)
        if (!hs_str_eq(x[i], y[i]))
            fail_msg("%s: %.*s where %.*s was", what, HS_FMT(y[i]), HS_FMT(x[i]));
    if (x_n != y_n)
        fail_msg("%s: %zu where %zu were", what, y_n, x_n);
}

/* All auth events of the state's events, and theirs, are stored, accepted, and of the room. */
static void assert_chain_is_closed(world *w)
{
    hs_room *room = room_of(w);
    hs_nid nids[STATE_MAX];
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

static long long rows_of_all_tables(world *w)
{
    return test_pg_sql(
        w->t.db.conninfo,
        "SELECT sum((xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || quote_ident(tablename),"
        " false, true, '')))[1]::text::bigint) FROM pg_tables WHERE schemaname = 'public'");
}

static void assert_as_made(world *w)
{
    hs_str ids[EVENTS_MAX];
    uint32_t flags;
    size_t n;

    for (size_t i = 0; i < w->n; i++) {
        const made *e = &w->events[i];
        state_after(w, e->id, ids, &n, &flags);
        assert_same("state after an event", e->state, e->state_n, ids, n);
        if (flags != e->flags)
            fail_msg("event %zu %.*s: flags %u where %u were", i, HS_FMT(e->id), flags, e->flags);
    }
    current_now(w, ids, &n);
    assert_same("current state", w->current, w->current_n, ids, n);
    heads_now(w, ids, &n);
    assert_same("heads", w->heads, w->heads_n, ids, n);
    shown_now(w, ids, &n);
    assert_same("timeline", w->shown, w->shown_n, ids, n);
    assert_chain_is_closed(w);
    assert_int_equal(test_pg_sql(w->t.db.conninfo,
                                 "SELECT (SELECT count(*) FROM fed_stage) + (SELECT count(*) FROM room_gap)"
                                 " + (SELECT count(*) FROM event WHERE flags & 17 <> 0)"),
                     0);
}

/* ── running it ── */

static void first_run(void *ud)
{
    world *w = ud;

    history(w, 45);
    current_now(w, w->current, &w->current_n);
    heads_now(w, w->heads, &w->heads_n);
    shown_now(w, w->shown, &w->shown_n);
    assert_as_made(w);
}

static void shuffle(world *w, int *order)
{
    for (size_t i = 0; i < w->n; i++)
        order[i] = (int)i;
    for (size_t i = w->n; i > 1; i--) {
        size_t k = draw(w, (unsigned)i);
        int t = order[k];
        order[k] = order[i - 1];
        order[i - 1] = t;
    }
}

static void another_run(void *ud)
{
    world *w = ud;
    int order[EVENTS_MAX];

    shuffle(w, order);
    for (w->round = 0; w->round < 4; w->round++)
        for (size_t i = 0; i < w->n; i++) {
            const made *e = &w->events[order[i]];
            if (round_of(w, e) == w->round)
                receive(w, e);
        }
    assert_as_made(w);
    long long rows = rows_of_all_tables(w);
    for (size_t i = 0; i < w->n; i++)
        receive(w, &w->events[order[i]]);
    assert_int_equal(rows_of_all_tables(w), rows);
}

static void begin(void *ud)
{
    world *w = ud;
    hs_session *alice = test_user(&w->t, "alice");
    char body[64];

    snprintf(body, sizeof body, "{\"preset\":\"public_chat\",\"room_version\":\"%s\"}", VERSIONS[w->seed % 4]);
    hs_str id = test_create(&w->t, alice, body);
    test_ok(hs_str_dup(w->a, id, &w->room_id));
}

static void on_server(world *w, const char *conninfo, void (*fn)(void *ud))
{
    w->t.db.conninfo = conninfo;
    test_rooms_open(&w->t);
    test_on_fiber(w->t.db.loop, fn, w);
    test_rooms_close(&w->t);
}

static world *world_open(unsigned seed, const char *base, const char *db)
{
    world *w = calloc(1, sizeof *w);

    w->a = hs_arena_open((size_t)64 << 20);
    w->seed = seed;
    w->base = base;
    w->db = db;
    for (int i = 0; i < SERVERS; i++) {
        const uint8_t key[32] = { (uint8_t)(7 + i) };
        test_ok(hs_signing_key_open(w->a, HS_S("a"), key, &w->keys[i]));
    }
    return w;
}

static void world_close(world *w)
{
    hs_arena_close(w->a);
    free(w);
}

static int rounds(int otherwise)
{
    const char *text = getenv("HS_TEST_ROUNDS");
    int64_t n;

    return text && hs_str_to_i64(hs_str_c(text), &n) ? (int)n : otherwise;
}

/* Withholds some events: the others have to be taken in over the gap. */
static void withhold(world *w)
{
    for (size_t i = 0; i < w->n; i++)
        w->events[i].withheld =
            !w->events[i].late && !w->events[i].never_withheld && w->events[i].flags == 0 && draw(w, 8) == 0;
}

/* S07: heads, too, are the same whenever a soft-failed event came. */
static void any_order_of_events_ends_the_same(void **state)
{
    const char *first = test_pg_create(""), *base = test_pg_create(""), *db = test_pg_create("");

    (void)state;
    for (int i = 0; i < rounds(2); i++) {
        unsigned seed = 100 + (unsigned)i;
        world *w = world_open(seed, base, db);
        printf("seed %u\n", seed);
        on_server(w, base, begin);
        test_pg_copy(base, first);
        on_server(w, first, first_run);
        for (int k = 0; k < 2; k++) { /* waiting for each other; then asking for each other */
            w->has_events = k;
            test_pg_copy(base, db);
            on_server(w, db, another_run);
        }
        withhold(w);
        w->has_state = true;
        test_pg_copy(base, db);
        on_server(w, db, another_run);
        world_close(w);
    }
}

/* ── single events ── */

static void by_itself(void (*fn)(void *ud))
{
    const char *db = test_pg_create("");
    world *w = world_open(100, db, db);

    on_server(w, db, begin);
    on_server(w, db, fn);
    world_close(w);
}

static hs_error *receive_bytes(world *w, hs_str json, hs_received *ret)
{
    hs_receive_world there = { .keys = { .get = key_of, .ud = w } };

    return hs_event_receive(w->t.srv, w->t.db.a, room_of(w), &there, HS_S("two.example"), json, ret);
}

/* The bytes with one text in them replaced by another. */
static hs_str altered(world *w, hs_str json, const char *from, const char *to)
{
    const char *at = memmem(json.p, json.n, from, strlen(from));
    hs_str out;

    assert_non_null(at);
    test_ok(hs_str_fmt(w->a, &out, "%.*s%s%.*s", (int)(at - json.p), json.p, to,
                       (int)(json.n - (size_t)(at - json.p) - strlen(from)), at + strlen(from)));
    return out;
}

static void assert_refused(world *w, hs_str json, int status)
{
    long long rows = rows_of_all_tables(w);
    hs_received got;
    hs_error *e = receive_bytes(w, json, &got);

    assert_non_null(e);
    assert_int_equal(e->status, status);
    assert_int_equal(rows_of_all_tables(w), rows);
}

static const made *bob_joins(world *w)
{
    hs_str prev[4];
    size_t n = all_heads(w, prev);

    return play(w, NAMES[1], "m.room.member", NAMES[1], "{\"membership\":\"join\"}", prev, n);
}

static void refusals(void *ud)
{
    world *w = ud;
    const made *join = bob_joins(w);
    const made *e = make(w, NAMES[1], "m.room.message", NULL, "{\"body\":\"x\"}", &join->id, 1);
    hs_str big;

    assert_refused(w, altered(w, e->json, "\"one.example\":", "\"two.example\":"), 403);
    assert_refused(w, altered(w, e->json, "\"ed25519:a\":", "\"ed25519:b\":"), 403);
    assert_refused(w, altered(w, e->json, "\"depth\":7", "\"depth\":8"), 403);
    assert_refused(w, altered(w, e->json, "\"room_id\":\"!", "\"room_id\":\"!x"), 400);
    assert_refused(w, altered(w, e->json, "\"depth\":7", "\"depth\":7.5"), 400);
    assert_refused(w, altered(w, e->json, "\"sender\":\"@bob", "\"sender\":\"bob"), 400);
    assert_refused(w, hs_str_from(e->json, 1), 400);
    char *p = calloc(1, 70000);
    memset(p, 'y', 69999);
    big = altered(w, e->json, "\"body\":\"x", p);
    free(p);
    assert_refused(w, altered(w, big, "yyy", "\"body\":\"yyy"), 413);
}

/* F01 F21 F25: signatures are checked first, and what fails them, or is malformed or too large, leaves no row. */
static void a_pdu_that_is_not_its_senders_leaves_nothing(void **state)
{
    (void)state;
    by_itself(refusals);
}

static void wrong_hash(void *ud)
{
    world *w = ud;
    const made *join = bob_joins(w);
    const made *e = make(w, NAMES[1], "m.room.message", NULL, "{\"body\":\"x\"}", &join->id, 1);
    hs_received got;
    hs_stored *s;

    test_ok(receive_bytes(w, altered(w, e->json, "\"body\":\"x\"", "\"body\":\"forged\""), &got));
    assert_int_equal(got, HS_RECEIVED_ACCEPTED);
    test_ok(hs_event_find(w->t.srv, w->t.db.a, room_of(w)->nid, e->id, &s));
    assert_non_null(s);
    assert_false(hs_jv_is(hs_jv_get(s->ev->content, HS_S("body"))));
    test_ok(receive_bytes(w, e->json, &got)); /* too late: what is there stays */
    assert_int_equal(got, HS_RECEIVED_ACCEPTED);
}

static void of_a_pdu_with_a_wrong_hash_only_the_redacted_form_is_taken(void **state)
{
    (void)state;
    by_itself(wrong_hash);
}

static void authorised_by_what_is_missing(void *ud)
{
    world *w = ud;
    hs_str prev[4];
    size_t n = all_heads(w, prev);
    made *join = play(w, NAMES[1], "m.room.member", NAMES[1], "{\"membership\":\"join\"}", prev, n);
    made *again =
        play(w, NAMES[1], "m.room.member", NAMES[1], "{\"displayname\":\"b\",\"membership\":\"join\"}", &join->id, 1);
    made *e = play(w, NAMES[1], "m.room.message", NULL, "{\"body\":\"x\"}", &again->id, 1);

    heads_now(w, w->heads, &w->heads_n);
    shown_now(w, w->shown, &w->shown_n);
    current_now(w, w->current, &w->current_n);
    assert_int_equal(e->flags, 0);
}

static void comes_before_its_auth_events(void *ud)
{
    world *w = ud;
    long long waiting;

    assert_int_equal(receive(w, &w->events[2]), HS_RECEIVED_WAITS);
    assert_int_equal(receive(w, &w->events[2]), HS_RECEIVED_WAITS);
    assert_int_equal(receive(w, &w->events[1]), HS_RECEIVED_WAITS);
    waiting = test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM fed_stage");
    assert_int_equal(waiting, 2);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM event WHERE flags & 2 <> 0"), 0);
    assert_int_equal(receive(w, &w->events[0]), HS_RECEIVED_ACCEPTED);
    assert_as_made(w);
}

/* F10: nothing is judged by what is not here: it waits, without effect, and is taken in once its auth events turn up.
 */
static void an_event_comes_in_when_its_auth_events_turn_up(void **state)
{
    const char *base = test_pg_create(""), *db = test_pg_create("");
    world *w = world_open(100, base, db);

    (void)state;
    on_server(w, base, begin);
    test_pg_copy(base, db);
    on_server(w, db, authorised_by_what_is_missing);
    test_pg_copy(base, db);
    on_server(w, db, comes_before_its_auth_events);
    world_close(w);
}

static void with_state_between(void *ud)
{
    world *w = ud;
    const made *join = bob_joins(w);
    const made *between = play(w, NAMES[0], "x.one", "", "{\"a\":1}", &join->id, 1);

    play(w, NAMES[1], "m.room.message", NULL, "{\"body\":\"x\"}", &between->id, 1);
    heads_now(w, w->heads, &w->heads_n);
    shown_now(w, w->shown, &w->shown_n);
    current_now(w, w->current, &w->current_n);
}

static void over_a_gap(void *ud)
{
    world *w = ud;
    assert_int_equal(receive(w, &w->events[0]), HS_RECEIVED_ACCEPTED);
    w->events[1].withheld = true;
    w->has_events = w->has_state = true;
    assert_int_equal(receive(w, &w->events[2]), HS_RECEIVED_ACCEPTED);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM state_line WHERE flags & 8 <> 0"), 1);
    assert_int_equal(test_pg_sql(w->t.db.conninfo, "SELECT count(*) FROM room_gap"), 1);
    hs_gap_row *gaps;
    size_t n;
    test_ok(hs_store_gaps(w->t.db.db, w->t.db.a, room_of(w)->nid, 10, &gaps, &n));
    assert_int_equal(n, 1);
    assert_true(hs_str_eq(gaps[0].missing_id, w->events[1].id));
    assert_int_equal(receive(w, &w->events[1]), HS_RECEIVED_ACCEPTED);
    assert_as_made(w);
}

static void a_gap_begins_a_line_and_is_closed_by_what_was_missing(void **state)
{
    const char *base = test_pg_create(""), *db = test_pg_create("");
    world *w = world_open(100, base, db);

    (void)state;
    on_server(w, base, begin);
    test_pg_copy(base, db);
    on_server(w, db, with_state_between);
    test_pg_copy(base, db);
    on_server(w, db, over_a_gap);
    world_close(w);
}

static void redacting(void *ud)
{
    world *w = ud;
    const made *join = bob_joins(w);
    const made *e = play(w, NAMES[1], "m.room.message", NULL, "{\"body\":\"x\"}", &join->id, 1);
    char content[128];
    hs_stored *s;

    snprintf(content, sizeof content, "{\"redacts\":\"%.*s\"}", HS_FMT(e->id));
    play(w, NAMES[2], "m.room.member", NAMES[2], "{\"membership\":\"join\"}", &e->id, 1);
    play(w, NAMES[2], "m.room.redaction", NULL, content, &w->events[w->n - 1].id, 1);
    test_ok(hs_event_find(w->t.srv, w->t.db.a, room_of(w)->nid, e->id, &s));
    assert_int_equal(s->flags, 0); /* of another server, and without the power */
    play(w, NAMES[3], "m.room.member", NAMES[3], "{\"membership\":\"join\"}", &w->events[w->n - 1].id, 1);
    play(w, NAMES[3], "m.room.redaction", NULL, content, &w->events[w->n - 1].id, 1);
    test_ok(hs_event_find(w->t.srv, w->t.db.a, room_of(w)->nid, e->id, &s));
    assert_int_equal(s->flags, HS_EV_REDACTED);
    assert_false(hs_jv_is(hs_jv_get(s->ev->content, HS_S("body"))));
}

/* F24: by power, or by the same server. */
static void a_redaction_of_another_server_takes_effect_if_it_may(void **state)
{
    (void)state;
    by_itself(redacting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pdu_that_is_not_its_senders_leaves_nothing),
        cmocka_unit_test(of_a_pdu_with_a_wrong_hash_only_the_redacted_form_is_taken),
        cmocka_unit_test(an_event_comes_in_when_its_auth_events_turn_up),
        cmocka_unit_test(a_gap_begins_a_line_and_is_closed_by_what_was_missing),
        cmocka_unit_test(a_redaction_of_another_server_takes_effect_if_it_may),
        cmocka_unit_test(any_order_of_events_ends_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
