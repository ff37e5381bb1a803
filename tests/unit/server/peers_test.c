/* Workers that hear of each other. */
#include "server/peers.h"

#include "bus/live.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORKERS = TEST_WORKERS, PATIENCE_MS = 20000 };

static void await_peers(test_world *x, size_t w, size_t n)
{
    int64_t end = hs_loop_now(x->w[0].db.loop) + PATIENCE_MS;

    while (hs_peers_alive(x->w[w].srv) != n) {
        if (hs_loop_now(x->w[0].db.loop) > end)
            fail_msg("worker %zu knows %zu others, not %zu", w, hs_peers_alive(x->w[w].srv), n);
        hs_loop_turn(x->w[0].db.loop, 20);
    }
}

/* A Hello of somebody who is not there, once. */
static void say_hello_as(test_world *x, hs_str worker, uint64_t boot)
{
    hs_hello_msg m = { .worker = worker, .boot = boot, .roles = HS_ROLE_MEDIA, .pos = 7 };
    hs_str bytes;

    test_ok(hs_hello_encode(x->w[0].db.a, &m, &bytes));
    hs_bus_publish(x->bus, HS_S(HS_BUS_HELLO), bytes);
}

static void workers_hear_each_other_and_who_ends_says_so(void **state)
{
    test_world *x = *state;
    const hs_peer *p;

    for (size_t i = 0; i < WORKERS; i++)
        await_peers(x, i, WORKERS - 1);
    p = hs_peers_at(x->w[0].srv, 0);
    assert_true(hs_str_eq(p->worker, HS_S("worker1")) || hs_str_eq(p->worker, HS_S("worker2")));
    assert_int_equal(p->roles, HS_ROLE_ALL);
    assert_true(hs_peers_has(x->w[0].srv, hs_peers_boot(x->w[1].srv)));
    assert_true(hs_peers_has(x->w[0].srv, hs_peers_boot(x->w[0].srv)));
    assert_false(hs_peers_has(x->w[0].srv, 1));
    assert_null(hs_peers_at(x->w[0].srv, WORKERS - 1));
    hs_peers_close(x->w[2].srv);
    await_peers(x, 0, WORKERS - 2);
    await_peers(x, 1, WORKERS - 2);
}

static void who_falls_silent_is_missed(void **state)
{
    test_world *x = *state;

    for (size_t i = 0; i < WORKERS; i++)
        hs_peers_set_times(x->w[i].srv, 30);
    await_peers(x, 0, WORKERS - 1);
    say_hello_as(x, HS_S("other"), 5);
    await_peers(x, 0, WORKERS);
    assert_true(hs_peers_has(x->w[0].srv, 5));
    await_peers(x, 0, WORKERS - 1); /* the others went on saying Hello */
    assert_false(hs_peers_has(x->w[0].srv, 5));
}

static void nonsense_is_passed_over(void **state)
{
    test_world *x = *state;

    hs_bus_publish(x->bus, HS_S(HS_BUS_HELLO), HS_S("\xff\xff\xff nonsense"));
    hs_bus_publish(x->bus, HS_S(HS_BUS_HELLO), HS_S(""));
    for (size_t i = 0; i < WORKERS; i++)
        await_peers(x, i, WORKERS);      /* an empty message is a Hello of nobody … */
    for (size_t i = 0; i < WORKERS; i++) /* … who is forgotten */
        hs_peers_set_times(x->w[i].srv, 30);
    for (size_t i = 0; i < WORKERS; i++)
        await_peers(x, i, WORKERS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_hear_each_other_and_who_ends_says_so, test_world_open,
                                        test_world_close),
        cmocka_unit_test_setup_teardown(who_falls_silent_is_missed, test_world_open, test_world_close),
        cmocka_unit_test_setup_teardown(nonsense_is_passed_over, test_world_open, test_world_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
