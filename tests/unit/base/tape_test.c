#include "base/tape.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static hs_arena *a;

static int open_arena(void **state)
{
    (void)state;
    a = hs_arena_open((size_t)64 << 20);
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

/* The document goes into memory of exactly its size, so that a sanitizer sees a read past it. */
static hs_error *parse(hs_str text, unsigned flags, hs_jv *v)
{
    char *copy = malloc(text.n ? text.n : 1);

    assert_non_null(copy);
    if (text.n)
        memcpy(copy, text.p, text.n);
    assert_null(hs_arena_on_reset(a, free, copy));
    return hs_tape_parse(a, hs_str_make(copy, text.n), flags, v);
}

static hs_jv good(const char *text)
{
    hs_jv v = { 0 };
    hs_error *e = parse(hs_str_c(text), 0, &v);

    if (e)
        print_error("%s: %.*s\n", text, HS_FMT(e->message));
    assert_null(e);
    return v;
}

static void assert_bad(hs_str text, unsigned flags, hs_errcode code)
{
    hs_jv v = { 0 };
    hs_error *e = parse(text, flags, &v);

    if (!e || e->code != code)
        print_error("%.*s: %.*s\n", HS_FMT(text), e ? (int)e->message.n : 8, e ? e->message.p : "accepted");
    assert_non_null(e);
    assert_int_equal(e->code, code);
    assert_int_equal(e->status, 400);
    assert_null(v.t);
}

static void assert_text(hs_jv v, const char *wanted)
{
    hs_str s = { NULL, 0 };

    assert_true(hs_jv_str(v, &s));
    assert_int_equal(s.n, strlen(wanted));
    assert_memory_equal(s.p, wanted, s.n);
}

static void values_come_out_with_their_types(void **state)
{
    hs_jv v = good(" { \"s\" : \"x\", \"i\":-12, \"r\":1.5e3, \"t\":true, \"f\":false, \"n\":null, \"a\":[1,[2],{}], "
                   "\"o\":{\"k\":\"v\"} } ");
    int64_t i = 0;
    bool b = true;
    (void)state;

    assert_int_equal(hs_jv_type_of(v), HS_JV_OBJ);
    assert_int_equal(hs_jv_count(v), 8);
    assert_text(hs_jv_get(v, HS_S("s")), "x");
    assert_true(hs_jv_int(hs_jv_get(v, HS_S("i")), &i));
    assert_int_equal(i, -12);
    assert_int_equal(hs_jv_type_of(hs_jv_get(v, HS_S("r"))), HS_JV_REAL);
    assert_false(hs_jv_int(hs_jv_get(v, HS_S("r")), &i));
    assert_true(hs_jv_bool(hs_jv_get(v, HS_S("f")), &b));
    assert_false(b);
    assert_int_equal(hs_jv_type_of(hs_jv_get(v, HS_S("n"))), HS_JV_NULL);
    assert_int_equal(hs_jv_count(hs_jv_get(v, HS_S("a"))), 3);
    assert_text(hs_jv_path(v, "o", "k", NULL), "v");
    assert_false(hs_jv_is(hs_jv_path(v, "o", "k", "deeper", NULL)));
    assert_false(hs_jv_is(hs_jv_get(v, HS_S("missing"))));
    hs_str raw = hs_jv_raw(hs_jv_get(v, HS_S("a")));
    assert_true(hs_str_eq(raw, HS_S("[1,[2],{}]")));
}

static void walks_give_members_and_elements_in_order(void **state)
{
    static const char *const KEYS[] = { "a", "b\n", "c" };
    hs_jv v = good("{\"a\":{\"x\":[1,2]},\"b\\n\":[],\"c\":3}");
    size_t n = 0;
    (void)state;

    for (hs_jv_iter it = { 0 }; hs_jv_next(v, &it); n++) {
        assert_true(hs_str_eq(it.key, hs_str_c(KEYS[n])));
        assert_int_equal(it.raw_key.p[0], '"');
    }
    assert_int_equal(n, 3);

    int64_t sum = 0, x;
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(v, "a", "x", NULL), &it);) {
        assert_true(hs_jv_int(it.value, &x));
        sum = sum * 10 + x;
    }
    assert_int_equal(sum, 12);
    hs_jv_iter none = { 0 };
    assert_false(hs_jv_next((hs_jv){ 0 }, &none));
}

static void escapes_are_decoded(void **state)
{
    hs_str s;
    (void)state;

    assert_text(good("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t");
    assert_text(good("\"a\\u00e9\\u20AC\\ud83d\\ude00z\""), "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
    assert_text(good("\"12345678901234567890\\u007a\""), "12345678901234567890z");
    assert_true(hs_jv_str(good("\"a\\u0000b\""), &s));
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b", 3);
}

static void integers_end_at_53_bits(void **state)
{
    static const struct {
        const char *text;
        bool integer;
    } CASES[] = {
        { "0", true },
        { "-1", true },
        { "9007199254740991", true },
        { "-9007199254740991", true },
        { "9007199254740992", false },
        { "-9007199254740992", false },
        { "99999999999999999999999999", false },
        { "-0", false },
        { "1.0", false },
        { "1e2", false },
        { "1E+2", false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(hs_jv_type_of(good(CASES[i].text)), CASES[i].integer ? HS_JV_INT : HS_JV_REAL);
        if (!CASES[i].integer)
            assert_bad(hs_str_c(CASES[i].text), HS_JSON_CANONICAL, HS_M_BAD_JSON);
    }
}

static void what_is_not_json_is_refused(void **state)
{
    static const char *const CASES[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "tru",
        "truer",
        "nul",
        "fals",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "-01",
        "-",
        "+1",
        "1.",
        ".5",
        "1.e1",
        "1e",
        "1e+",
        "0x10",
        "\"",
        "\"abc",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u",
        "\"\t\"",
        "\"a\nb\"",
        "\"\\\n\"",
        "1 1",
        "{} {}",
        "{}x",
        "'a'",
        "[1]]",
        "// x\n1",
        "\xef\xbb\xbf{}",
        "\"12345678\x01\"",
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_bad(hs_str_c(CASES[i]), 0, HS_M_NOT_JSON);
    assert_bad(HS_S("{}\0"), 0, HS_M_NOT_JSON);
}

static void bad_utf8_is_refused(void **state)
{
    static const char *const CASES[] = {
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc3\"",
        "\"\xe2\x82\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"abcdefghijk\xff\"",
        "\"\xf0\x80\x80\x80\"",
        "\"\xe2\\u0082\x82\"",
        "\"\\\xc3\"",
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_bad(hs_str_c(CASES[i]), 0, HS_M_NOT_JSON);
    assert_text(good("\"\xf4\x8f\xbf\xbf\xc2\x80\""), "\xf4\x8f\xbf\xbf\xc2\x80");
}

static void lone_surrogates_are_refused(void **state)
{
    static const char *const CASES[] = {
        "\"\\ud800\"",        "\"\\udc00\"",        "\"\\ud800x\"",    "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "{\"\\udfff\":1}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_bad(hs_str_c(CASES[i]), 0, HS_M_BAD_JSON);
}

static void duplicate_keys_are_refused_however_written(void **state)
{
    (void)state;

    assert_bad(HS_S("{\"a\":1,\"a\":2}"), 0, HS_M_BAD_JSON);
    assert_bad(HS_S("{\"a\":1,\"b\":2,\"\\u0061\":{\"c\":[]}}"), 0, HS_M_BAD_JSON);
    assert_bad(HS_S("{\"x\":{\"\":1,\"\":2}}"), 0, HS_M_BAD_JSON);
    good("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}");
}

static void the_last_duplicate_counts_when_they_are_allowed(void **state)
{
    hs_jv v = { 0 };
    int64_t x = 0;
    size_t n = 0;
    (void)state;

    assert_null(parse(HS_S("{\"b\":{\"z\":1},\"a\":1,\"b\":2,\"a\":{},\"b\":3}"), HS_JSON_DUP_KEYS_LAST, &v));
    assert_int_equal(hs_jv_count(v), 2);
    assert_true(hs_jv_int(hs_jv_get(v, HS_S("b")), &x));
    assert_int_equal(x, 3);
    assert_int_equal(hs_jv_type_of(hs_jv_get(v, HS_S("a"))), HS_JV_OBJ);
    for (hs_jv_iter it = { 0 }; hs_jv_next(v, &it); n++)
        assert_true(hs_str_eq(it.key, n ? HS_S("b") : HS_S("a")));
    assert_int_equal(n, 2);
}

static void the_top_can_be_held_to_an_object(void **state)
{
    (void)state;

    assert_bad(HS_S("[]"), HS_JSON_OBJECT, HS_M_BAD_JSON);
    assert_bad(HS_S("null"), HS_JSON_OBJECT, HS_M_BAD_JSON);
    assert_bad(HS_S("["), HS_JSON_OBJECT, HS_M_NOT_JSON);
}

/* Z02 */
static void nesting_ends_at_100_and_in_events_at_990(void **state)
{
    char text[2 * (HS_JSON_DEEP_DEPTH + 1)];
    (void)state;

    for (unsigned deep = 0; deep < 2; deep++) {
        size_t most = deep ? HS_JSON_DEEP_DEPTH : HS_JSON_MAX_DEPTH;
        for (size_t n = most - 1; n <= most + 1; n++) {
            hs_jv v = { 0 };
            memset(text, '[', n);
            memset(text + n, ']', n);
            hs_error *e = parse(hs_str_make(text, 2 * n), deep ? HS_JSON_DEEP : 0, &v);
            assert_int_equal(e == NULL, n <= most);
        }
    }
    /* going deep twice in one document */
    hs_jv v = { 0 };
    hs_str twice;
    memset(text, '[', 150);
    memset(text + 150, ']', 150);
    hs_str one = hs_str_make(text, 300);
    assert_null(hs_str_cat(a, &twice, 5, HS_S("["), one, HS_S(","), one, HS_S("]")));
    assert_null(parse(twice, HS_JSON_DEEP, &v));
    assert_int_equal(hs_jv_count(v), 2);
    for (size_t n = 1; n <= HS_JSON_MAX_DEPTH; n++)
        assert_bad(hs_str_make(text, n), 0, HS_M_NOT_JSON);
}

static void the_number_of_values_is_bounded(void **state)
{
    enum { N = 300000 };
    char *text = malloc(2 * N + 1);
    (void)state;

    assert_non_null(text);
    for (size_t i = 0; i < N; i++)
        memcpy(text + 2 * i, i ? ",1" : "[1", 2);
    text[2 * (size_t)N] = ']';
    assert_bad(hs_str_make(text, 2 * N + 1), 0, HS_M_BAD_JSON);
    free(text);
}

static void canonical_bytes_are_known_as_such(void **state)
{
    static const struct {
        const char *text;
        bool canonical;
    } CASES[] = {
        { "{\"a\":1,\"b\":[true,null,\"x\"],\"c\":{}}", true },
        { "[\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\\u000b\",\"\xc3\xa9\x7f\"]", true },
        { "{\"b\":1,\"a\":2}", false },
        { "[ ]", false },
        { "[1, 2]", false },
        { "{\"a\" :1}", false },
        { "[[{\"x\":[1 ]}],1]", false },
        { "\"\\/\"", false },
        { "\"\\u000a\"", false },
        { "\"\\u001F\"", false },
        { "\"\\u00e9\"", false },
        { "\"\\ud83d\\ude00\"", false },
        { "[\"\\u007f\"]", false },
        { "[-0]", false },
        { "[1.0]", false },
        { "{\"\\u0061\":1}", false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_int_equal(hs_jv_is_canonical(good(CASES[i].text)), CASES[i].canonical);
    assert_true(hs_jv_is_canonical(hs_jv_get(good(" {\"b\":[1,{}], \"a\":0}"), HS_S("b"))));
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 10^5 keys in descending order with a long common prefix. Quadratic would be 10^10 comparisons: minutes. */
static void a_hostile_object_takes_no_quadratic_time(void **state)
{
    enum { N = 100000, KEY = 40 };
    char *text = malloc((size_t)N * (KEY + 8) + 2), *p = text;
    hs_jv v = { 0 };
    (void)state;

    assert_non_null(text);
    for (int i = N; i > 0; i--)
        p += snprintf(p, KEY + 8, "%c\"%0*d\":1", i == N ? '{' : ',', KEY, i);
    *p++ = '}';
    double from = seconds();
    assert_null(hs_tape_parse(a, hs_str_make(text, (size_t)(p - text)), 0, &v));
    assert_true(seconds() - from < 5);
    assert_int_equal(hs_jv_count(v), N);

    p[-1] = ',';
    p += snprintf(p, KEY + 8, "\"%0*d\":1", KEY, N);
    *p++ = '}';
    hs_error *e = hs_tape_parse(a, hs_str_make(text, (size_t)(p - text)), 0, &v);
    assert_non_null(e);
    assert_int_equal(e->code, HS_M_BAD_JSON);
    free(text);
}

static void without_memory_it_says_so(void **state)
{
    hs_str text = HS_S("{\"a\":[\"\\n\",\"\\n\",1,2,3,4,5,6,7,8,9],\"\\n\":{\"b\":1,\"a\":2}}");
    (void)state;

    for (size_t cap = 0; cap < 8192; cap += 16) {
        hs_arena *small = hs_arena_open(cap);
        hs_jv v = { 0 };
        assert_non_null(small);
        hs_error *e = hs_tape_parse(small, text, 0, &v);
        assert_true(e == NULL || e == HS_ERR_NOMEM);
        hs_arena_close(small);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(values_come_out_with_their_types),
        CASE(walks_give_members_and_elements_in_order),
        CASE(escapes_are_decoded),
        CASE(integers_end_at_53_bits),
        CASE(what_is_not_json_is_refused),
        CASE(bad_utf8_is_refused),
        CASE(lone_surrogates_are_refused),
        CASE(duplicate_keys_are_refused_however_written),
        CASE(the_last_duplicate_counts_when_they_are_allowed),
        CASE(the_top_can_be_held_to_an_object),
        CASE(nesting_ends_at_100_and_in_events_at_990),
        CASE(the_number_of_values_is_bounded),
        CASE(canonical_bytes_are_known_as_such),
        CASE(a_hostile_object_takes_no_quadratic_time),
        CASE(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
