/* Workers that count together. */
#include "server/limit_share.h"

#include "bus/live.h"
#include "server/peers.h"
#include "server/session.h"
#include "support/rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

static const hs_rate_limit SLOW = { .per_second = 0.001, .burst = 10 };

static int open_world(void **state)
{
    test_world *x;

    if (test_world_open(state))
        return -1;
    x = *state;
    for (size_t i = 0; i < TEST_WORKERS; i++)
        x->w[i].config.rc_message = x->w[i].config.rc_reports = SLOW;
    return 0;
}

static bool use(test_world *x, size_t w, const hs_session *who)
{
    hs_error *e = hs_limit_use_as(x->w[w].srv, x->w[w].db.a, HS_LIMIT_MESSAGE, who, (hs_str){ 0 }, HS_LIMIT_TAKE);

    if (e)
        assert_int_equal(e->status, 429);
    return !e;
}

static double level(test_world *x, size_t w, hs_str key)
{
    return hs_limiter_level(x->w[w].srv->limiter, HS_LIMIT_MESSAGE, key, hs_loop_now(x->w[0].db.loop));
}

/* Until all workers have counted n. */
static void await_level(test_world *x, hs_str key, double n)
{
    int64_t end = hs_loop_now(x->w[0].db.loop) + PATIENCE_MS;

    for (size_t w = 0; w < TEST_WORKERS; w++) {
        while (level(x, w, key) < n - 0.5) {
            if (hs_loop_now(x->w[0].db.loop) > end)
                fail_msg("worker %zu counts %f, not %f", w, level(x, w, key), n);
            hs_loop_turn(x->w[0].db.loop, 20);
        }
        assert_true(level(x, w, key) < n + 0.5);
    }
}

static void what_one_lets_through_all_have_counted(void **state)
{
    test_world *x = *state;
    hs_session *who = test_user(&x->w[0], "alice");

    for (size_t i = 0; i < 9; i++) {
        assert_true(use(x, i % TEST_WORKERS, who));
        await_level(x, who->user_id, (double)i + 1);
    }
    assert_true(use(x, 1, who));
    await_level(x, who->user_id, 10);
    for (size_t i = 0; i < TEST_WORKERS; i++)
        assert_false(use(x, i, who));
}

static void all_at_once_get_the_burst_once_each_and_owe_the_rest(void **state)
{
    test_world *x = *state;
    hs_session *who = test_user(&x->w[0], "bob");
    size_t n = 0;

    for (size_t i = 0; i < 100; i++) /* nothing is heard meanwhile */
        n += use(x, i % TEST_WORKERS, who);
    assert_int_equal(n, 10 * TEST_WORKERS);
    await_level(x, who->user_id, 10.0 * TEST_WORKERS);
}

static void an_own_limit_goes_before_the_configured_one(void **state)
{
    test_world *x = *state;
    hs_session who = *test_user(&x->w[0], "carol");
    hs_server *srv = x->w[0].srv;
    hs_arena *a = x->w[0].db.a;

    who.own_limit = true;
    for (int i = 0; i < 50; i++) /* 0 a second: none at all, of any kind */
        assert_null(
            hs_limit_use_as(srv, a, i % 2 ? HS_LIMIT_MESSAGE : HS_LIMIT_REPORTS, &who, (hs_str){ 0 }, HS_LIMIT_TAKE));
    who.messages_per_second = 1;
    who.burst = 20;
    for (int i = 0; i < 20; i++)
        assert_null(hs_limit_use_as(srv, a, HS_LIMIT_MESSAGE, &who, (hs_str){ 0 }, HS_LIMIT_TAKE));
    assert_non_null(hs_limit_use_as(srv, a, HS_LIMIT_MESSAGE, &who, (hs_str){ 0 }, HS_LIMIT_TAKE));
    for (int i = 0; i < 10; i++) /* it is for sending alone */
        assert_null(hs_limit_use_as(srv, a, HS_LIMIT_REPORTS, &who, (hs_str){ 0 }, HS_LIMIT_TAKE));
    assert_non_null(hs_limit_use_as(srv, a, HS_LIMIT_REPORTS, &who, (hs_str){ 0 }, HS_LIMIT_TAKE));
    who.own_limit = false;
    who.as_admin = true;
    assert_null(hs_limit_use_as(srv, a, HS_LIMIT_REPORTS, &who, (hs_str){ 0 }, HS_LIMIT_TAKE));
}

static void nonsense_is_passed_over(void **state)
{
    test_world *x = *state;
    hs_limit_use_msg uses[] = {
        { HS_S("\x7f@a:test"), 5 }, { HS_S(""), 5 }, { HS_S("\0@dora:test"), UINT32_MAX }, { HS_S("\0@dora:test"), 5 }
    };
    hs_limits_msg m = { .boot = 1, .uses = uses, .n = 4 };
    hs_str bytes;

    hs_bus_publish(x->bus, HS_S(HS_BUS_LIMITS), HS_S("\xff\xff\xff nonsense"));
    test_ok(hs_limits_encode(x->w[0].db.a, &m, &bytes));
    hs_bus_publish(x->bus, HS_S(HS_BUS_LIMITS), bytes);
    await_level(x, HS_S("@dora:test"), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_lets_through_all_have_counted),
        cmocka_unit_test(all_at_once_get_the_burst_once_each_and_owe_the_rest),
        cmocka_unit_test(an_own_limit_goes_before_the_configured_one),
        cmocka_unit_test(nonsense_is_passed_over),
    };
    return cmocka_run_group_tests(tests, open_world, test_world_close);
}
