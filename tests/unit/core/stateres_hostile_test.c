/* State resolution on graphs that somebody made to hurt: circles, depth, width, sheer number. Each ends, with a state
 * or an error that says why, in time and memory that grow as the graph does. */
#include "core/stateres.h"
#include "support/big_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* Numbers from 1; the auth events of an event are given by a rule. All are m.room.power_levels but for the create
 * event, each with a state_key of its own where `own_keys`. */
typedef struct {
    const hs_event **events;
    size_t n;
    size_t (*rule)(size_t nid, size_t n, int64_t ret[10]);
    int64_t auth[10];
    bool own_keys;
} graph;

static size_t chain(size_t nid, size_t n, int64_t ret[10])
{
    (void)n;
    ret[0] = (int64_t)nid - 1;
    return nid > 1;
}

static size_t circle(size_t nid, size_t n, int64_t ret[10])
{
    ret[0] = nid < n ? (int64_t)nid + 1 : 2;
    ret[1] = (int64_t)nid; /* and itself */
    return nid > 1 ? 2 : 0;
}

static size_t wide(size_t nid, size_t n, int64_t ret[10])
{
    (void)n;
    for (size_t i = 0; i < 10; i++)
        ret[i] = (int64_t)(nid > i + 1 ? nid - i - 1 : 1);
    return nid > 1 ? 10 : 0;
}

static size_t none_there(size_t nid, size_t n, int64_t ret[10])
{
    ret[0] = (int64_t)(nid + n);
    return nid > 1;
}

static const hs_event *event_of(void *ud, int64_t nid)
{
    const graph *g = ud;

    return nid > 0 && (size_t)nid <= g->n ? g->events[nid] : NULL;
}

static bool is_rejected(void *ud, int64_t nid)
{
    (void)ud;
    (void)nid;
    return false;
}

static size_t auth_of(void *ud, int64_t nid, const int64_t **ret)
{
    graph *g = ud;

    *ret = g->auth;
    return (size_t)nid <= g->n ? g->rule((size_t)nid, g->n, g->auth) : 0;
}

static int64_t slot_of(void *ud, hs_str type, hs_str state_key)
{
    const graph *g = ud;
    int64_t own;

    if (hs_str_eq(type, HS_S("m.room.create")))
        return 1;
    if (hs_str_eq(type, HS_S("m.room.power_levels")) && state_key.n)
        return hs_str_to_i64(state_key, &own) ? own : -1;
    return hs_str_eq(type, HS_S("m.room.power_levels")) ? (int64_t)g->n + 1 : (int64_t)g->n + 2;
}

static hs_event *shaped(hs_arena *a, const hs_roomver *rv, const char *type, const char *content)
{
    hs_str json;
    hs_event *e;

    assert_null(hs_str_fmt(a, &json,
                           "{\"auth_events\":[],\"content\":%s,\"depth\":1,%s\"origin_server_ts\":1,\"prev_events\":[],"
                           "\"room_id\":\"!r:x\",\"sender\":\"@c:x\",\"state_key\":\"\",\"type\":\"%s\"}",
                           content, rv->event_id == HS_EVENT_ID_GIVEN ? "\"event_id\":\"$e:x\"," : "", type));
    assert_null(hs_event_read(a, rv, json, HS_S("$e:x"), &e));
    e->room_id = HS_S("!r:x");
    return e;
}

static void make(hs_arena *a, const hs_roomver *rv, graph *g, size_t n)
{
    hs_event *create = shaped(a, rv, "m.room.create", "{\"creator\":\"@c:x\"}");
    hs_event *power = shaped(a, rv, "m.room.power_levels", "{}"), *copies;

    g->n = n;
    assert_null(hs_alloc(a, n + 1, &g->events));
    assert_null(hs_alloc(a, n + 1, &copies));
    g->events[1] = create;
    for (size_t i = 2; i <= n; i++) {
        copies[i] = *power;
        assert_null(hs_str_fmt(a, &copies[i].event_id, "$%zu", i));
        copies[i].origin_ts = (int64_t)(i % 1000);
        if (g->own_keys)
            assert_null(hs_str_fmt(a, &copies[i].state_key, "%zu", i));
        g->events[i] = &copies[i];
    }
}

static double cpu(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Resolves two states: all events on the one hand (the newest alone, where they share a key), the first two on the
 * other. */
static hs_error *resolve(hs_arena *a, const hs_roomver *rv, graph *g, double *seconds)
{
    hs_resolver r = {
        .rv = rv, .event = event_of, .rejected = is_rejected, .auth = auth_of, .slot = slot_of, .create = 1, .ud = g
    };
    hs_state_set sets[2], out;
    hs_state_entry *at, small[2];
    size_t n = 0;

    assert_null(hs_alloc(a, g->n + 1, &at));
    for (size_t i = 1; i <= g->n; i++)
        if (i == 1 || i == g->n || g->own_keys)
            at[n++] = (hs_state_entry){ g->own_keys || i == 1 ? (int64_t)i : (int64_t)g->n + 1, (int64_t)i };
    small[0] = at[0];
    small[1] = (hs_state_entry){ g->own_keys ? 2 : (int64_t)g->n + 1, 2 };
    sets[0] = (hs_state_set){ at, n };
    sets[1] = (hs_state_set){ small, 2 };
    double t = cpu();
    hs_error *err = hs_state_resolve(a, &r, sets, 2, &out);
    *seconds = cpu() - t;
    return err;
}

static const char *const VERSIONS[] = { "1", "2", "11", "12" };

/* S05 F22 X05: 190,000 events, a little below the limit, take a tenth of a second, some more with sanitizers. Work that
 * grew with the square, or paths counted one by one, would take minutes and worse. */
static void a_large_graph_of_any_shape_takes_no_time_to_speak_of(void **state)
{
    static const struct {
        const char *name;
        size_t (*rule)(size_t, size_t, int64_t[10]);
        bool own_keys;
    } GRAPHS[] = {
        { "a chain", chain, false },
        { "a chain, all in the state", chain, true },
        { "a circle", circle, false },
        { "a circle, all in the state", circle, true },
        { "ten auth events each", wide, true },
    };
    (void)state;

    for (size_t k = 0; k < sizeof GRAPHS / sizeof *GRAPHS; k++) {
        for (size_t v = 0; v < 4; v++) {
            double seconds[2];
            for (size_t big = 0; big < 2; big++) {
                hs_arena *a = hs_arena_open((size_t)1 << 30);
                graph g = { .rule = GRAPHS[k].rule, .own_keys = GRAPHS[k].own_keys };
                const hs_roomver *rv = hs_roomver_find(hs_str_c(VERSIONS[v]));
                make(a, rv, &g, big ? 190000 : 95000);
                size_t before = hs_arena_used(a);
                assert_null(resolve(a, rv, &g, &seconds[big]));
                assert_true(hs_arena_used(a) - before < g.n * 1000);
                hs_arena_close(a);
            }
            print_message("%s, version %s: %.1f ms, %.1f ms\n", GRAPHS[k].name, VERSIONS[v], seconds[0] * 1e3,
                          seconds[1] * 1e3);
            assert_true(seconds[1] < 5);
        }
    }
}

static void unknown_auth_events_are_nobodys_power(void **state)
{
    (void)state;

    for (size_t v = 0; v < 4; v++) {
        hs_arena *a = hs_arena_open((size_t)1 << 28);
        graph g = { .rule = none_there, .own_keys = true };
        const hs_roomver *rv = hs_roomver_find(hs_str_c(VERSIONS[v]));
        double t;
        make(a, rv, &g, 1000);
        hs_error *err = resolve(a, rv, &g, &t);
        /* version 1 does not look at auth events; the others find events in the difference that nobody has */
        assert_int_equal(err != NULL, v > 0);
        hs_arena_close(a);
    }
}

static void limits_hold_where_100000_events_ask_for_more(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 30);
    const hs_roomver *rv = hs_roomver_find(HS_S("12"));
    big_room *room = big_room_make(a, rv, 100000, 4);
    hs_resolver r = big_room_resolver(room);
    hs_state_set out;
    (void)state;

    r.max_conflicted = 50000;
    assert_non_null(hs_state_resolve(a, &r, room->sets, 2, &out));
    r.max_conflicted = 0;
    r.max_graph = 50000;
    assert_non_null(hs_state_resolve(a, &r, room->sets, 2, &out));
    r.max_graph = 0;
    double t = cpu();
    hs_error *err = hs_state_resolve(a, &r, room->sets, 2, &out);
    if (err)
        fail_msg("%.*s", HS_FMT(err->cause ? err->cause->message : err->message));
    print_message("100,000 conflicted events: %.0f ms\n", (cpu() - t) * 1e3);
    assert_true(out.n > 70000);

    hs_arena *little = hs_arena_open((size_t)1 << 20);
    assert_ptr_equal(hs_state_resolve(little, &r, room->sets, 2, &out), HS_ERR_NOMEM);
    hs_arena_close(little);
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_graph_of_any_shape_takes_no_time_to_speak_of),
        cmocka_unit_test(unknown_auth_events_are_nobodys_power),
        cmocka_unit_test(limits_hold_where_100000_events_ask_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
