/* Typing among several workers, as a client sees it that asks another one each time. */
#include "server/typing.h"

#include "server/news.h"
#include "server/peers.h"
#include "server/room_member.h"
#include "server/sync.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = 3, PEOPLE = 4, PATIENCE_MS = 20000 };

typedef struct {
    test_rooms w[WORKERS];
    hs_bus *bus;
    hs_loop *loop;
    hs_arena *a;
    hs_session *who[PEOPLE];
    hs_str room;
} world;

/* A client: what it knows of one room, and what it has been told since it looked last. */
typedef struct {
    hs_str token;
    unsigned knows; /* a bit for each of the people */
    int told;
} client;

#define ON_FIBER(f)                                                                                                    \
    static void f##_(void **state)                                                                                     \
    {                                                                                                                  \
        test_case_on_fiber(((world *)*state)->loop, f, state);                                                         \
    }
#define TEST(f) cmocka_unit_test_setup(f##_, open_room)

static bool in_step(world *x, size_t w)
{
    return hs_typing_look(x->w[w].srv, 0, 0).tells;
}

#define sleep_until(x, condition)                                                                                      \
    do {                                                                                                               \
        int64_t end_ = hs_loop_now((x)->loop) + PATIENCE_MS;                                                           \
        while (!(condition)) {                                                                                         \
            if (hs_loop_now((x)->loop) > end_)                                                                         \
                fail_msg("waited in vain for %s", #condition);                                                         \
            hs_fiber_sleep((x)->loop, 5);                                                                              \
        }                                                                                                              \
    } while (0)

static void prepare(void **state)
{
    static const char *const NAMES[PEOPLE] = { "ann", "ben", "cyd", "dot" };
    world *x = *state;

    for (int i = 0; i < PEOPLE; i++)
        x->who[i] = test_user(&x->w[0], NAMES[i]);
    x->room = test_create(&x->w[0], x->who[0], "{\"preset\":\"public_chat\"}");
    for (int i = 1; i < PEOPLE; i++) {
        hs_member_change change = { .action = HS_CHANGE_JOIN, .room_id = x->room };
        test_ok(hs_room_member_change(x->w[0].srv, x->who[i], x->a, &change, NULL));
    }
    for (size_t w = 0; w < WORKERS; w++)
        sleep_until(x, in_step(x, w));
}

/* Each test has a room of its own. */
static int open_room(void **state)
{
    test_case_on_fiber(((world *)*state)->loop, prepare, state);
    return 0;
}

static int open_world(void **state)
{
    world *x = calloc(1, sizeof *x);

    test_workers_open(x->w, WORKERS, &x->bus);
    x->loop = x->w[0].db.loop;
    x->a = x->w[0].db.a;
    *state = x;
    return 0;
}

static int close_world(void **state)
{
    world *x = *state;

    test_workers_close(x->w, WORKERS, x->bus);
    free(x);
    return 0;
}

static void set(world *x, size_t w, int who, bool on, int64_t ms)
{
    hs_arena *a = hs_arena_open(1 << 20);

    test_ok(hs_typing_set(x->w[w].srv, x->who[who], a, x->room, x->who[who]->user_id, on, ms));
    hs_arena_close(a);
}

static void read_typists(world *x, client *c, hs_jv events)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(events, &it);) {
        if (!hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("type"))), HS_S("m.typing")))
            continue;
        c->told++;
        c->knows = 0;
        for (hs_jv_iter u = { 0 }; hs_jv_next(hs_jv_path(it.value, "content", "user_ids", NULL), &u);)
            for (int i = 0; i < PEOPLE; i++)
                c->knows |= hs_str_eq(hs_jv_str_or_null(u.value), x->who[i]->user_id) ? 1u << i : 0;
    }
}

/* One request to one worker, which answers at once. */
static void ask(world *x, client *c, size_t w)
{
    hs_server *srv = x->w[w].srv;
    hs_arena *a = hs_arena_open(16u << 20);
    hs_sync_in in = { .has_since = c->token.p != NULL };
    hs_sync_filter *f;
    hs_sync_made made;
    hs_str text;
    hs_buf b;
    hs_jv v;

    test_ok(hs_fanout_fresh(srv, a));
    test_ok(hs_sync_filter_get(srv, x->who[0], a, hs_str_make(NULL, 0), &f));
    in.filter = &f->filter;
    in.filter_id = f->id;
    if (in.has_since)
        test_ok(hs_sync_token_read(a, c->token, &in.since));
    hs_buf_init(&b, a);
    test_ok(hs_sync(srv, x->who[0], a, &in, &b, &made));
    test_ok(hs_buf_flatten(&b, &text));
    test_ok(hs_tape_parse(a, text, HS_JSON_OBJECT, &v));
    test_ok(hs_str_dup(x->a, hs_jv_str_or_null(hs_jv_get(v, HS_S("next_batch"))), &c->token));
    read_typists(x, c,
                 hs_jv_path(hs_jv_get(hs_jv_path(v, "rooms", "join", NULL), x->room), "ephemeral", "events", NULL));
    hs_arena_close(a);
}

/* Goes round until it has been everywhere and was told nothing: a client that is told the same for ever never returns.
 */
static void ask_around(world *x, client *c)
{
    int quiet = 0;

    for (size_t w = 0; quiet < 2 * WORKERS; w = (w + 1) % WORKERS) {
        int before = c->told;

        ask(x, c, w);
        quiet = c->told == before ? quiet + 1 : 0;
        if (c->told > 10000)
            fail_msg("told the same again and again");
    }
}

static void what_one_worker_is_told_all_tell_and_once(void **state)
{
    world *x = *state;
    client c = { 0 };

    ask(x, &c, 0);
    assert_int_equal(c.told, 0);
    set(x, 1, 1, true, 30000);
    ask(x, &c, 1); /* the one that took it knows at once */
    assert_int_equal(c.knows, 1u << 1);
    ask_around(x, &c);
    assert_int_equal(c.told, 1);
    set(x, 2, 2, true, 30000);
    set(x, 0, 3, true, 30000);
    ask_around(x, &c);
    assert_int_equal(c.knows, 1u << 1 | 1u << 2 | 1u << 3);
    set(x, 2, 1, false, 0); /* at another worker than it began */
    ask_around(x, &c);
    assert_int_equal(c.knows, 1u << 2 | 1u << 3);
    set(x, 0, 2, false, 0);
    set(x, 1, 3, false, 0);
    set(x, 1, 3, false, 0);
    c.told = 0;
    ask_around(x, &c);
    assert_int_equal(c.knows, 0);
    assert_in_range(c.told, 1, 2);
}

static void who_stops_without_having_begun_is_no_news(void **state)
{
    world *x = *state;
    client c = { 0 };

    ask(x, &c, 0);
    set(x, 1, 1, false, 0);
    ask_around(x, &c);
    assert_int_equal(c.told, 0);
}

static void what_is_not_repeated_ends_everywhere(void **state)
{
    world *x = *state;
    client c = { 0 };

    ask(x, &c, 0);
    set(x, 1, 1, true, 300);
    ask_around(x, &c);
    assert_int_equal(c.knows, 1u << 1);
    for (size_t w = 0; c.knows; w = (w + 1) % WORKERS) {
        ask(x, &c, w);
        hs_fiber_sleep(x->loop, 10);
    }
    ask_around(x, &c);
    assert_int_equal(c.knows, 0);
    assert_int_equal(c.told, 2);
}

/* The worker that was told is gone before the time is over. */
static void what_a_dead_worker_was_told_ends_too(void **state)
{
    world *x = *state;
    client c = { 0 };

    ask(x, &c, 0);
    set(x, 1, 1, true, 100);
    hs_typing_close(x->w[1].srv);
    ask(x, &c, 0);
    assert_int_equal(c.knows, 1u << 1);
    for (size_t w = 0; c.knows; w = 2 - w) {
        ask(x, &c, w);
        hs_fiber_sleep(x->loop, 20);
    }
    assert_int_equal(c.told, 2);
    test_ok(hs_typing_open(x->w[1].srv, x->w[1].srv->arena));
}

/* As a process that was started anew. */
static void restart(world *x, size_t w)
{
    hs_server *srv = x->w[w].srv;

    hs_typing_close(srv);
    hs_peers_close(srv);
    test_ok(hs_peers_open(srv, srv->arena));
    test_ok(hs_typing_open(srv, srv->arena));
}

static void a_worker_that_starts_learns_what_is_and_what_has_ended(void **state)
{
    world *x = *state;
    client c = { 0 }, d = { 0 };

    set(x, 0, 1, true, 30000);
    set(x, 1, 2, true, 30000);
    ask(x, &c, 0);
    ask(x, &c, 0);
    assert_int_equal(c.knows, 1u << 1 | 1u << 2);
    set(x, 0, 2, false, 0);
    restart(x, 2);
    ask(x, &c, 2); /* knows nothing yet, and says so to nobody */
    assert_int_equal(c.told, 1);
    ask(x, &d, 2);
    assert_int_equal(d.told, 0);
    sleep_until(x, in_step(x, 2));
    ask(x, &d, 2);
    assert_int_equal(d.knows, 1u << 1);
    ask(x, &c, 2);
    assert_int_equal(c.knows, 1u << 1);
    set(x, 0, 1, false, 0);
    restart(x, 2);
    sleep_until(x, in_step(x, 2));
    ask(x, &d, 2); /* of what ended before it began */
    assert_int_equal(d.knows, 0);
    ask_around(x, &c);
    ask_around(x, &d);
    assert_int_equal(c.knows, 0);
}

static void without_the_bus_nothing_is_told_and_afterwards_all_is(void **state)
{
    world *x = *state;
    client c = { 0 };

    set(x, 0, 1, true, 30000);
    ask_around(x, &c);
    assert_int_equal(c.knows, 1u << 1);
    hs_bus_local_set_down(x->bus, true);
    hs_fiber_sleep(x->loop, 20);
    set(x, 0, 1, false, 0);
    set(x, 1, 2, true, 30000);
    set(x, 2, 3, true, 200);
    c.told = 0;
    ask_around(x, &c);
    assert_int_equal(c.told, 0);
    hs_bus_local_set_down(x->bus, false);
    hs_fiber_sleep(x->loop, 20);
    for (size_t w = 0; w < WORKERS; w++)
        sleep_until(x, in_step(x, w));
    for (size_t w = 0; c.knows != 1u << 2; w = (w + 1) % WORKERS) {
        ask_around(x, &c);
        hs_fiber_sleep(x->loop, 10);
    }
    ask_around(x, &c);
    assert_int_equal(c.knows, 1u << 2);
}

/* Many people at many workers, with messages under way and workers that restart; three clients go from worker to
 * worker.
 */
static void whoever_is_asked_clients_end_with_the_truth(void **state)
{
    world *x = *state;
    client c[3] = { 0 };
    unsigned rnd = 5, truth = 0;

    for (int step = 0; step < 600; step++) {
        rnd = rnd * 1103515245u + 12345;
        unsigned r = rnd >> 16;
        int who = (int)(r % PEOPLE);

        if (step % 3 == 0) {
            bool on = r / PEOPLE % 2;
            set(x, r / 8 % WORKERS, who, on, 60000);
            truth = on ? truth | 1u << who : truth & ~(1u << who);
        }
        for (int i = 0; i < 3; i++)
            if (r / 32 % 4 != (unsigned)i)
                ask(x, &c[i], (r / 64 + (unsigned)(i * step)) % WORKERS);
        if (step == 200 || step == 400) {
            restart(x, (size_t)step / 200);
            truth = 0; /* what it owned may come back or not: all is said anew */
            for (int i = 0; i < PEOPLE; i++)
                set(x, 0, i, false, 0);
        }
    }
    for (size_t w = 0; w < WORKERS; w++)
        sleep_until(x, in_step(x, w));
    for (int i = 0; i < 3; i++) {
        ask_around(x, &c[i]);
        assert_int_equal(c[i].knows, truth);
    }
}

static void nonsense_on_the_bus_is_passed_over(void **state)
{
    world *x = *state;
    client c = { 0 };

    ask(x, &c, 0);
    hs_bus_publish(x->bus, HS_S("hs:eph"), HS_S("\xff\xff\xff nonsense"));
    hs_bus_publish(x->bus, HS_S("hs:eph"), HS_S(""));
    set(x, 1, 1, true, 30000);
    ask_around(x, &c);
    assert_int_equal(c.knows, 1u << 1);
    assert_int_equal(c.told, 1);
}

ON_FIBER(what_one_worker_is_told_all_tell_and_once)
ON_FIBER(who_stops_without_having_begun_is_no_news)
ON_FIBER(what_is_not_repeated_ends_everywhere)
ON_FIBER(what_a_dead_worker_was_told_ends_too)
ON_FIBER(a_worker_that_starts_learns_what_is_and_what_has_ended)
ON_FIBER(without_the_bus_nothing_is_told_and_afterwards_all_is)
ON_FIBER(whoever_is_asked_clients_end_with_the_truth)
ON_FIBER(nonsense_on_the_bus_is_passed_over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_worker_is_told_all_tell_and_once),
        TEST(who_stops_without_having_begun_is_no_news),
        TEST(what_is_not_repeated_ends_everywhere),
        TEST(what_a_dead_worker_was_told_ends_too),
        TEST(a_worker_that_starts_learns_what_is_and_what_has_ended),
        TEST(without_the_bus_nothing_is_told_and_afterwards_all_is),
        TEST(whoever_is_asked_clients_end_with_the_truth),
        TEST(nonsense_on_the_bus_is_passed_over),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
