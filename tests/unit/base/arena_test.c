#include "base/keep.h"
#include <hs/arena.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    hs_arena *a = hs_arena_open((size_t)8 << 20);
    char *last = NULL;
    size_t last_n = 0;
    (void)state;

    for (int turn = 0; turn < 3; turn++) {
        for (size_t n = 0; n < 200000; n = n * 2 + 1) {
            char *p = hs_arena_alloc(a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0x55, n);
            assert_true(!last || p >= last + last_n || p + n <= last);
            last = p;
            last_n = n;
        }
        hs_arena_reset(a);
        assert_int_equal(hs_arena_used(a), 0);
        last = NULL;
    }
    hs_arena_close(a);
}

/* Z06 */
static void past_the_cap_there_is_no_memory(void **state)
{
    hs_arena *a = hs_arena_open(10000);
    char *p = NULL;
    (void)state;

    assert_null(hs_arena_alloc(a, 10001));
    assert_null(hs_arena_alloc(a, SIZE_MAX));
    assert_ptr_equal(hs_alloc(a, SIZE_MAX / 2, &p), HS_ERR_NOMEM);
    uint64_t *wide = NULL;
    assert_ptr_equal(hs_alloc(a, SIZE_MAX / 4, &wide), HS_ERR_NOMEM);
    assert_null(wide);
    size_t n = 0;
    while (hs_arena_alloc(a, 100))
        assert_true(n++ < 100);
    assert_true(n > 30);
    hs_arena_reset(a);
    assert_non_null(hs_arena_alloc(a, 1000));
    hs_arena_close(a);
}

static char order[8];
static size_t order_n;

static void note(void *ud)
{
    order[order_n++] = *(const char *)ud;
}

/* Z01 */
static void hooks_run_once_last_first(void **state)
{
    static char names[] = "abc";
    hs_arena *a = hs_arena_open(1 << 16);
    (void)state;

    for (size_t i = 0; i < 3; i++)
        assert_null(hs_arena_on_reset(a, note, &names[i]));
    hs_arena_reset(a);
    hs_arena_close(a);
    assert_int_equal(order_n, 3);
    assert_memory_equal(order, "cba", 3);
}

static void strings_are_made_in_the_arena(void **state)
{
    hs_arena *a = hs_arena_open(1 << 16);
    hs_str s;
    const char *c = NULL;
    (void)state;

    assert_null(hs_str_cat(a, &s, 3, HS_S("a"), hs_str_make(NULL, 0), HS_S("bc")));
    assert_true(hs_str_eq(s, HS_S("abc")));
    assert_null(hs_str_fmt(a, &s, "%d-%.*s", 7, HS_FMT(HS_S("x"))));
    assert_true(hs_str_eq(s, HS_S("7-x")));
    assert_null(hs_cstr(a, hs_str_make("abcd", 2), &c));
    assert_string_equal(c, "ab");
    hs_error *e = hs_cstr(a, hs_str_make("a\0b", 3), &c);
    assert_non_null(e);
    assert_int_equal(e->code, HS_M_INVALID_PARAM);
    hs_arena_close(a);
}

static void a_blob_lives_as_long_as_somebody_holds_it(void **state)
{
    hs_arena *a = hs_arena_open(1 << 16);
    hs_blob *b = hs_blob_new(HS_S("bytes"));
    (void)state;

    assert_non_null(b);
    assert_null(hs_blob_hold(a, b));
    assert_int_equal(b->refs, 2);
    hs_blob_unref(b);
    assert_true(hs_str_eq(hs_blob_str(b), HS_S("bytes")));
    hs_arena_close(a); /* a sanitizer would see it leak or be freed twice */
    hs_blob_unref(NULL);
    assert_null(hs_blob_str(NULL).p);
}

static void errors_say_one_thing_to_the_client_and_another_to_the_log(void **state)
{
    hs_arena *a = hs_arena_open(1 << 16);
    hs_error *e = hs_err(a, 403, HS_M_FORBIDDEN, "No %s", "way");
    (void)state;

    assert_true(e->status == 403 && hs_str_eq(e->message, HS_S("No way")));
    assert_true(hs_str_eq(hs_errcode_str(e->code), HS_S("M_FORBIDDEN")));
    assert_non_null(strstr(e->where, "arena_test.c:"));
    hs_error *outer = hs_err_internal(a, e, "the database is %s", "away");
    assert_true(outer->status == 500 && hs_str_eq(outer->message, HS_S("Internal server error")));
    assert_true(hs_str_eq(outer->cause->message, HS_S("the database is away")));
    assert_ptr_equal(outer->cause->cause, e);
    hs_arena *none = hs_arena_open(0);
    assert_ptr_equal(hs_err(none, 400, HS_M_UNKNOWN, "x"), HS_ERR_NOMEM);
    hs_arena_close(none);
    hs_arena_close(a);
}

static void a_long_message_is_not_cut_within_a_character(void **state)
{
    hs_arena *a = hs_arena_open(1 << 16);
    char text[1025];
    (void)state;

    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x98\x80", 4);
        text[sizeof text - 1] = 0;
        hs_error *e = hs_err(a, 400, HS_M_UNKNOWN, "%s", text);
        assert_true(hs_str_is_utf8(e->message));
        assert_in_range(e->message.n, 508, 511);
    }
    hs_arena_close(a);
}

static void test_str(hs_arena *a, const char *s, hs_str *ret)
{
    assert_null(hs_str_dup(a, hs_str_c(s), ret));
}

static void count_up(void *ud)
{
    ++*(int *)ud;
}

static void what_is_kept_outlives_the_reset_and_its_hooks_wait(void **state)
{
    hs_arena *a = hs_arena_open(1 << 16);
    hs_kept *first, *second, *unused;
    int before = 0, after = 0;
    hs_str text, big;
    (void)state;

    test_str(a, "kept", &text);
    assert_null(hs_arena_on_reset(a, count_up, &before));
    first = hs_arena_keep(a);
    second = hs_arena_keep(a);
    assert_ptr_equal(first, second);
    hs_arena_reset(a);
    assert_int_equal(before, 0);
    /* the arena is empty, with all of its cap, and its new hooks are its own */
    assert_int_equal(hs_arena_used(a), 0);
    assert_null(hs_str_dup(a, hs_str_make((const char[50000]){ 0 }, 50000), &big));
    assert_null(hs_arena_on_reset(a, count_up, &after));
    hs_arena_reset(a);
    assert_int_equal(after, 1);
    hs_kept_drop(first);
    assert_int_equal(before, 0);
    assert_true(hs_str_eq(text, HS_S("kept")));
    hs_kept_drop(second);
    assert_int_equal(before, 1);

    unused = hs_arena_keep(a); /* dropped before the reset: as if it had never been */
    hs_kept_drop(unused);
    test_str(a, "x", &text);
    first = hs_arena_keep(a);
    hs_arena_close(a);
    assert_true(hs_str_eq(text, HS_S("x")));
    hs_kept_drop(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(past_the_cap_there_is_no_memory),
        cmocka_unit_test(hooks_run_once_last_first),
        cmocka_unit_test(strings_are_made_in_the_arena),
        cmocka_unit_test(what_is_kept_outlives_the_reset_and_its_hooks_wait),
        cmocka_unit_test(a_blob_lives_as_long_as_somebody_holds_it),
        cmocka_unit_test(errors_say_one_thing_to_the_client_and_another_to_the_log),
        cmocka_unit_test(a_long_message_is_not_cut_within_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
