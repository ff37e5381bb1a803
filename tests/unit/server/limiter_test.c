#include "server/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const hs_rate_limit SLOW = { .per_second = 0.5, .burst = 3 };

static bool use(hs_limiter *l, const char *key, hs_limit_how how, int64_t now, int64_t *retry)
{
    return hs_limiter_use(l, HS_LIMIT_MESSAGE, SLOW, hs_str_c(key), how, now, retry);
}

static void a_burst_is_let_through_and_what_comes_after_is_told_when_to_come_back(void **state)
{
    hs_limiter *l = hs_limiter_open(1, NULL);
    int64_t retry = 0;
    (void)state;

    for (int i = 0; i < 3; i++)
        assert_true(use(l, "@a:x", HS_LIMIT_TAKE, 1000, &retry));
    assert_false(use(l, "@a:x", HS_LIMIT_TAKE, 1000, &retry));
    assert_int_equal(retry, 2000);
    assert_false(use(l, "@a:x", HS_LIMIT_TAKE, 2000, &retry));
    assert_int_equal(retry, 1000);
    assert_true(use(l, "@a:x", HS_LIMIT_TAKE, 3000, &retry));
    assert_false(use(l, "@a:x", HS_LIMIT_TAKE, 3000, &retry));
    hs_limiter_close(l);
}

static void keys_and_kinds_do_not_share_a_bucket(void **state)
{
    hs_limiter *l = hs_limiter_open(1, NULL);
    int64_t retry;
    (void)state;

    for (int i = 0; i < 4; i++)
        (void)use(l, "@a:x", HS_LIMIT_TAKE, 0, &retry);
    assert_true(use(l, "@b:x", HS_LIMIT_TAKE, 0, &retry));
    assert_true(hs_limiter_use(l, HS_LIMIT_REPORTS, SLOW, HS_S("@a:x"), HS_LIMIT_TAKE, 0, &retry));
    hs_limiter_close(l);
}

static void a_peek_does_not_count_and_force_always_does(void **state)
{
    hs_limiter *l = hs_limiter_open(1, NULL);
    int64_t retry;
    (void)state;

    for (int i = 0; i < 10; i++)
        assert_true(use(l, "k", HS_LIMIT_PEEK, 0, &retry));
    for (int i = 0; i < 5; i++)
        assert_true(use(l, "k", HS_LIMIT_FORCE, 0, &retry));
    assert_false(use(l, "k", HS_LIMIT_PEEK, 0, &retry));
    assert_int_equal(retry, 6000); /* five done, two may stay: three leak at one in two seconds */
    hs_limiter_close(l);
}

static void a_rate_of_nothing_never_lets_in_again(void **state)
{
    static const hs_rate_limit NEVER = { .per_second = 0, .burst = 1 };
    hs_limiter *l = hs_limiter_open(1, NULL);
    int64_t retry = 0;
    (void)state;

    assert_true(hs_limiter_use(l, 0, NEVER, HS_S("k"), HS_LIMIT_TAKE, 0, &retry));
    assert_false(hs_limiter_use(l, 0, NEVER, HS_S("k"), HS_LIMIT_TAKE, INT64_C(1) << 40, &retry));
    assert_int_equal(retry, -1);
    hs_limiter_close(l);
}

static void empty_buckets_are_forgotten(void **state)
{
    hs_limiter *l = hs_limiter_open(1, NULL);
    int64_t retry;
    char key[32];
    (void)state;

    for (int i = 0; i < 1000; i++) {
        int n = snprintf(key, sizeof key, "@user%d:x", i);
        assert_true(hs_limiter_use(l, 0, SLOW, hs_str_make(key, (size_t)n), HS_LIMIT_TAKE, 0, &retry));
    }
    assert_int_equal(hs_limiter_count(l), 1000);
    hs_limiter_prune(l, 1999);
    assert_int_equal(hs_limiter_count(l), 1000);
    hs_limiter_prune(l, 2000);
    assert_int_equal(hs_limiter_count(l), 0);
    hs_limiter_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_let_through_and_what_comes_after_is_told_when_to_come_back),
        cmocka_unit_test(keys_and_kinds_do_not_share_a_bucket),
        cmocka_unit_test(a_peek_does_not_count_and_force_always_does),
        cmocka_unit_test(a_rate_of_nothing_never_lets_in_again),
        cmocka_unit_test(empty_buckets_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
