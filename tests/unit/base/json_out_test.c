#include "base/json_out.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static hs_arena *a;
static hs_buf b;
static hs_json_out j;

static int open_all(void **state)
{
    (void)state;
    a = hs_arena_open((size_t)1 << 20);
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    return a ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

static void assert_out(hs_str wanted)
{
    hs_str got;

    assert_null(hs_buf_flatten(&b, &got));
    if (!hs_str_eq(got, wanted))
        fail_msg("%.*s", HS_FMT(got));
}

static void commas_come_by_themselves(void **state)
{
    (void)state;

    hs_json_obj(&j);
    hs_json_str(&j, "s", HS_S("v"));
    hs_json_arr_at(&j, "a");
    hs_json_v_int(&j, -1);
    hs_json_obj(&j);
    hs_json_end(&j);
    hs_json_arr(&j);
    hs_json_v_null(&j);
    hs_json_v_bool(&j, true);
    hs_json_end(&j);
    hs_json_end(&j);
    hs_json_opt_str(&j, "absent", hs_str_make(NULL, 0));
    hs_json_opt_str(&j, "empty", HS_S(""));
    hs_json_key(&j, HS_S("k\"\n"));
    hs_json_v_raw(&j, HS_S("[1]"));
    hs_json_obj_at(&j, "o");
    hs_json_bool(&j, "b", false);
    hs_json_null(&j, "n");
    hs_json_int(&j, "i", INT64_MAX);
    hs_json_int(&j, "least", INT64_MIN);
    hs_json_int(&j, "zero", 0);
    hs_json_raw(&j, "r", HS_S("{}"));
    hs_json_end(&j);
    hs_json_end(&j);
    assert_out(HS_S("{\"s\":\"v\",\"a\":[-1,{},[null,true]],\"empty\":\"\",\"k\\\"\\n\":[1],"
                    "\"o\":{\"b\":false,\"n\":null,\"i\":9223372036854775807,\"least\":-9223372036854775808,"
                    "\"zero\":0,\"r\":{}}}"));
}

static void strings_are_escaped_as_canonical_json_does(void **state)
{
    (void)state;

    hs_json_v_str(&j, hs_str_make("\"\\/\b\f\n\r\t\0\x1f\x7f\xc3\xa9", 13));
    assert_out(HS_S("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\xc3\xa9\""));
}

static void too_deep_is_an_error_and_no_overflow(void **state)
{
    hs_str out;
    (void)state;

    for (int i = 0; i < 2 * HS_JSON_OUT_DEPTH; i++)
        hs_json_arr(&j);
    assert_ptr_equal(hs_buf_flatten(&b, &out), HS_ERR_NOMEM);
}

static void long_bytes_are_referenced_and_short_ones_copied(void **state)
{
    static char big[4096], small[] = "small";
    hs_str *pieces = NULL, flat;
    size_t n = 0, total = 0;
    (void)state;

    memset(big, 'x', sizeof big);
    hs_buf_add(&b, HS_S("head"));
    hs_buf_splice(&b, hs_str_make(big, sizeof big));
    hs_buf_splice(&b, hs_str_make(small, 5));
    hs_buf_addc(&b, '.');
    assert_null(hs_buf_done(&b, &pieces, &n));
    assert_int_equal(n, 3);
    assert_ptr_equal(pieces[1].p, big);
    assert_true(hs_str_eq(pieces[2], HS_S("small.")) && pieces[2].p != small);
    for (size_t i = 0; i < n; i++)
        total += pieces[i].n;
    assert_int_equal(total, b.total);
    assert_null(hs_buf_flatten(&b, &flat));
    assert_int_equal(flat.n, total);
    assert_true(hs_str_ends(flat, HS_S("xsmall.")));
}

static void what_does_not_fit_is_reported_at_the_end(void **state)
{
    hs_arena *little = hs_arena_open(2048);
    hs_str out;
    (void)state;

    hs_buf_init(&b, little);
    for (int i = 0; i < 1000; i++)
        hs_buf_add(&b, HS_S("0123456789"));
    assert_ptr_equal(hs_buf_flatten(&b, &out), HS_ERR_NOMEM);
    hs_arena_close(little);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
    const struct CMUnitTest tests[] = {
        CASE(commas_come_by_themselves),
        CASE(strings_are_escaped_as_canonical_json_does),
        CASE(too_deep_is_an_error_and_no_overflow),
        CASE(long_bytes_are_referenced_and_short_ones_copied),
        CASE(what_does_not_fit_is_reported_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
