/* What holds for every bus: each test runs on the one within a process and on one through a Redis. */
#include "bus/bus_redis.h"
#include "support/redis.h"
#include "support/watcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

typedef struct {
    hs_loop *loop;
    hs_arena *a;
    hs_bus *bus;
} fixture;

static test_redis server;

typedef struct {
    hs_bus *bus;
    hs_bus_subscription *self;
    char got[64];
    size_t got_n;
    bool leave, answer;
} listener;

static void hear(void *ud, hs_str m)
{
    listener *l = ud;

    assert_true(l->got_n + m.n < sizeof l->got);
    memcpy(l->got + l->got_n, m.p, m.n);
    l->got_n += m.n;
    if (l->leave)
        hs_bus_unsubscribe(l->self);
    if (l->answer)
        hs_bus_publish(l->bus, HS_S("x"), HS_S("!"));
    l->answer = false;
}

static void listen_to(listener *l, fixture *f, hs_str channel)
{
    l->bus = f->bus;
    l->self = hs_bus_subscribe(f->bus, channel, hear, l);
    assert_non_null(l->self);
}

#define turn_until(f, condition)                                                                                       \
    do {                                                                                                               \
        int64_t end_ = hs_loop_now((f)->loop) + PATIENCE_MS;                                                           \
        while (!(condition)) {                                                                                         \
            if (hs_loop_now((f)->loop) > end_)                                                                         \
                fail_msg("waited in vain for %s", #condition);                                                         \
            hs_loop_turn((f)->loop, 20);                                                                               \
        }                                                                                                              \
    } while (0)

static void begin(fixture *f)
{
    f->loop = hs_loop_open();
    f->a = hs_arena_open(1 << 20);
}

static int open_local(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    begin(f);
    f->bus = hs_bus_local_open(f->loop);
    *state = f;
    return 0;
}

static int open_redis(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    hs_bus_redis_options o = { .path = hs_str_c(server.socket),
                               .server_name = HS_S("test.example"),
                               .client_name = HS_S("test") };

    begin(f);
    assert_null(hs_bus_redis_open(f->loop, f->a, &o, &f->bus));
    assert_false(hs_bus_healthy(f->bus));
    turn_until(f, hs_bus_healthy(f->bus));
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;

    hs_bus_close(f->bus);
    hs_loop_close(f->loop);
    hs_arena_close(f->a);
    free(f);
    return 0;
}

static void messages_reach_their_channel_in_order_and_never_inside_publish(void **state)
{
    fixture *f = *state;
    listener x = { .answer = true }, y = { 0 }, once = { .leave = true };

    listen_to(&x, f, HS_S("x"));
    listen_to(&y, f, HS_S("y"));
    listen_to(&once, f, HS_S("x"));
    turn_until(f, hs_bus_healthy(f->bus));
    hs_bus_publish(f->bus, HS_S("x"), HS_S("1"));
    hs_bus_publish(f->bus, HS_S("y"), HS_S("2"));
    hs_bus_publish(f->bus, HS_S("x"), HS_S("3"));
    assert_string_equal(x.got, "");
    turn_until(f, x.got_n == 3);
    assert_string_equal(x.got, "13!");
    assert_string_equal(y.got, "2");
    assert_string_equal(once.got, "1");
    assert_int_equal(hs_bus_stats_of(f->bus)->published, 4);
    assert_int_equal(hs_bus_stats_of(f->bus)->received, 4);
    assert_int_equal(hs_bus_stats_of(f->bus)->dropped, 0);
}

static void who_left_a_channel_hears_no_more_and_may_come_back(void **state)
{
    fixture *f = *state;
    listener x = { 0 }, y = { 0 };

    listen_to(&x, f, HS_S("x"));
    listen_to(&y, f, HS_S("y"));
    turn_until(f, hs_bus_healthy(f->bus));
    hs_bus_unsubscribe(x.self);
    hs_bus_publish(f->bus, HS_S("x"), HS_S("1"));
    hs_bus_publish(f->bus, HS_S("y"), HS_S("2"));
    turn_until(f, y.got_n == 1);
    assert_string_equal(x.got, "");
    listen_to(&x, f, HS_S("x"));
    turn_until(f, hs_bus_healthy(f->bus));
    hs_bus_publish(f->bus, HS_S("x"), HS_S("3"));
    turn_until(f, x.got_n == 1);
    assert_string_equal(x.got, "3");
}

static void hear_bytes(void *ud, hs_str m)
{
    hs_blob **got = ud;

    *got = hs_blob_new(m);
}

static void any_bytes_of_any_length_arrive_as_they_were(void **state)
{
    fixture *f = *state;
    size_t n = 3 << 20;
    char *all = malloc(n);
    hs_blob *got = NULL;

    for (size_t i = 0; i < n; i++)
        all[i] = (char)(i * 7 + i / 256);
    assert_non_null(hs_bus_subscribe(f->bus, HS_S("x"), hear_bytes, &got));
    turn_until(f, hs_bus_healthy(f->bus));
    for (size_t length = 0; length <= n; length = length ? length * 16 : 1) {
        hs_bus_publish(f->bus, HS_S("x"), hs_str_make(all, length));
        turn_until(f, got);
        assert_true(hs_str_eq(hs_blob_str(got), hs_str_make(all, length)));
        hs_blob_unref(got);
        got = NULL;
    }
    free(all);
}

static void close_it(void *ud, hs_str m)
{
    fixture *f = ud;

    (void)m;
    hs_bus_close(f->bus);
    f->bus = NULL;
}

static void it_can_be_closed_by_who_hears_a_message(void **state)
{
    fixture *f = *state;
    listener after = { 0 };

    assert_non_null(hs_bus_subscribe(f->bus, HS_S("x"), close_it, f));
    listen_to(&after, f, HS_S("x"));
    turn_until(f, hs_bus_healthy(f->bus));
    hs_bus_publish(f->bus, HS_S("x"), HS_S("1"));
    hs_bus_publish(f->bus, HS_S("x"), HS_S("2"));
    turn_until(f, !f->bus);
    hs_loop_turn(f->loop, 0);
    assert_string_equal(after.got, "");
}

static void closing_ends_all_subscriptions(void **state)
{
    fixture *f = *state;
    listener x = { 0 };

    listen_to(&x, f, HS_S("x"));
    turn_until(f, hs_bus_healthy(f->bus));
    hs_bus_publish(f->bus, HS_S("x"), HS_S("lost"));
    hs_bus_close(f->bus);
    f->bus = NULL;
    hs_loop_turn(f->loop, 0);
    assert_string_equal(x.got, "");
}

static void a_loss_is_told_and_so_is_the_recovery(void **state)
{
    fixture *f = *state;
    listener x = { 0 };
    watcher w = { .watch = { .fn = note_health, .ud = &w } }, gone = { .watch = { .fn = note_health, .ud = &gone } };

    listen_to(&x, f, HS_S("x"));
    hs_bus_watch_start(f->bus, &w.watch);
    hs_bus_watch_start(f->bus, &gone.watch);
    hs_bus_watch_stop(f->bus, &gone.watch);
    assert_true(hs_bus_healthy(f->bus));
    hs_bus_local_set_down(f->bus, true);
    assert_false(hs_bus_healthy(f->bus));
    assert_string_equal(w.told, "");
    hs_bus_publish(f->bus, HS_S("x"), HS_S("lost"));
    hs_loop_turn(f->loop, 0);
    assert_string_equal(w.told, "-");
    hs_bus_local_set_down(f->bus, false);
    hs_loop_turn(f->loop, 0);
    assert_string_equal(w.told, "-+");
    hs_bus_publish(f->bus, HS_S("x"), HS_S("1"));
    hs_loop_turn(f->loop, 0);
    assert_string_equal(x.got, "1");
    assert_int_equal(hs_bus_stats_of(f->bus)->dropped, 1);
    hs_bus_local_set_down(f->bus, true);
    hs_bus_local_set_down(f->bus, false); /* something may have been lost all the same */
    hs_loop_turn(f->loop, 0);
    assert_string_equal(w.told, "-+-+");
    assert_string_equal(gone.told, "");
}

static int start_server(void **state)
{
    (void)state;
    test_redis_start(&server, "");
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    test_redis_stop(&server);
    return 0;
}

#define on_both(name)                                                                                                  \
    { #name " [local]", name, open_local, close_fixture, NULL },                                                       \
    {                                                                                                                  \
#name " [redis]", name, open_redis, close_fixture, NULL                                                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_both(messages_reach_their_channel_in_order_and_never_inside_publish),
        on_both(who_left_a_channel_hears_no_more_and_may_come_back),
        on_both(any_bytes_of_any_length_arrive_as_they_were),
        on_both(it_can_be_closed_by_who_hears_a_message),
        on_both(closing_ends_all_subscriptions),
        cmocka_unit_test_setup_teardown(a_loss_is_told_and_so_is_the_recovery, open_local, close_fixture),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
