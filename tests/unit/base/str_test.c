#include <hs/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void order_is_that_of_bytes_with_prefixes_first(void **state)
{
    static const char *const SORTED[] = { "", "A", "AB", "a", "aa", "b", "\xc3\xa9", "\xf0\x9f\x98\x80" };
    enum { N = sizeof SORTED / sizeof *SORTED };
    (void)state;

    for (int x = 0; x < N; x++)
        for (int y = 0; y < N; y++) {
            int c = hs_str_cmp(hs_str_c(SORTED[x]), hs_str_c(SORTED[y]));
            assert_int_equal((c > 0) - (c < 0), (x > y) - (x < y));
            assert_int_equal(hs_str_eq(hs_str_c(SORTED[x]), hs_str_c(SORTED[y])), x == y);
        }
    assert_true(hs_str_eq(hs_str_make(NULL, 0), HS_S("")));
}

static void splitting_gives_every_part_and_then_ends(void **state)
{
    static const char *const PARTS[] = { "a", "", "b", "" };
    hs_str rest = HS_S("a,,b,");
    size_t n = 0;
    (void)state;

    while (rest.p) {
        assert_true(n < 4);
        assert_true(hs_str_eq(hs_str_split(&rest, ','), hs_str_c(PARTS[n])));
        n++;
    }
    assert_int_equal(n, 4);
}

static void parts_stay_within_the_whole(void **state)
{
    hs_str s = HS_S("abc");
    (void)state;

    assert_true(hs_str_eq(hs_str_from(s, 1), HS_S("bc")));
    assert_int_equal(hs_str_from(s, 9).n, 0);
    assert_int_equal(hs_str_first(s, 9).n, 3);
    assert_int_equal(hs_str_find(s, 'c', 0), 2);
    assert_int_equal(hs_str_find(s, 'a', 1), 3);
    assert_int_equal(hs_str_find(s, 'a', 9), 3);
    assert_true(hs_str_eq(hs_str_trim(HS_S(" \t a b\r\n")), HS_S("a b")));
    assert_int_equal(hs_str_trim(HS_S("  ")).n, 0);
    assert_true(hs_str_starts(s, HS_S("ab")) && hs_str_ends(s, HS_S("bc")) && !hs_str_ends(s, HS_S("aabc")));
    assert_true(hs_str_eq_nocase(HS_S("aBz[9"), HS_S("AbZ[9")));
    assert_false(hs_str_eq_nocase(HS_S("["), HS_S("{")));
}

static void only_well_formed_utf8_passes(void **state)
{
    static const char *const GOOD[] = { "",
                                        "abc",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf" };
    static const char *const BAD[] = { "\x80",
                                       "\xbf",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xc2",
                                       "\xe0\x9f\xbf",
                                       "\xe0\xa0",
                                       "\xed\xa0\x80",
                                       "\xed\xbf\xbf",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xff",
                                       "a\xc3",
                                       "\xc3(",
                                       "\xe2\x82(" };
    (void)state;

    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++)
        assert_true(hs_str_is_utf8(hs_str_c(GOOD[i])));
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(hs_str_is_utf8(hs_str_c(BAD[i])));
}

static void numbers_are_decimal_and_in_range(void **state)
{
    static const struct {
        const char *text;
        int64_t v;
    } GOOD[] = { { "0", 0 },
                 { "-0", 0 },
                 { "007", 7 },
                 { "9223372036854775807", INT64_MAX },
                 { "-9223372036854775808", INT64_MIN } };
    static const char *const BAD[] = {
        "", "-", "+1", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "-9223372036854775809", "--1", "1e3"
    };
    int64_t v = 5;
    (void)state;

    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        assert_true(hs_str_to_i64(hs_str_c(GOOD[i].text), &v));
        assert_true(v == GOOD[i].v);
    }
    v = 5;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(hs_str_to_i64(hs_str_c(BAD[i]), &v));
    assert_true(v == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_bytes_with_prefixes_first),
        cmocka_unit_test(splitting_gives_every_part_and_then_ends),
        cmocka_unit_test(parts_stay_within_the_whole),
        cmocka_unit_test(only_well_formed_utf8_passes),
        cmocka_unit_test(numbers_are_decimal_and_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
