#include "core/canonical.h"

#include "support/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

static hs_str canonical(const char *text, const hs_str *without, size_t n)
{
    hs_jv v = { 0 };
    hs_str out = { NULL, 0 };

    assert_null(hs_tape_parse(a, hs_str_c(text), 0, &v));
    assert_null(hs_canonical(a, v, without, n, &out));
    return out;
}

static void assert_canonical(const char *text, const char *wanted)
{
    hs_str got = canonical(text, NULL, 0);

    if (!hs_str_eq(got, hs_str_c(wanted)))
        fail_msg("%s became %.*s", text, HS_FMT(got));
}

static void the_specs_examples_come_out(void **state)
{
    hs_jv top, v;
    size_t n = 0;
    (void)state;

    assert_null(hs_tape_parse(a, test_file(a, "tests/vectors/vectors.json"), 0, &top));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(top, "spec_canonical_json", "vectors", NULL), &it); n++) {
        hs_str in = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("input_text")));
        hs_str wanted = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("canonical")));
        hs_str got;
        hs_error *strict = hs_tape_parse(a, in, HS_JSON_CANONICAL, &v);
        if (strict) { /* -0 and 1e10: refused since room version 6, and never rewritten */
            assert_non_null(memmem(in.p, in.n, "1e10", 4));
            continue;
        }
        assert_null(hs_canonical(a, v, NULL, 0, &got));
        assert_true(hs_str_eq(got, wanted));
    }
    assert_int_equal(n, 10);
}

static void strings_take_their_shortest_form(void **state)
{
    (void)state;

    assert_canonical("\"\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"A/\xc3\xa9\xf0\x9f\x98\x80\"");
    assert_canonical("\"\\u000A\\u000d\\u0009\\u0008\\u000c\"", "\"\\n\\r\\t\\b\\f\"");
    assert_canonical("\"\\u0000\\u001F\\u007f\"", "\"\\u0000\\u001f\x7f\"");
    assert_canonical("\"\\u0022\\u005c\"", "\"\\\"\\\\\"");
}

static void keys_are_sorted_by_code_point_at_every_level(void **state)
{
    (void)state;

    assert_canonical("{\"b\":[{\"z\":1,\"y\":{}}],\"a\\u0062\":2,\"a\":{\"2\":1,\"10\":2}}",
                     "{\"a\":{\"10\":2,\"2\":1},\"ab\":2,\"b\":[{\"y\":{},\"z\":1}]}");
    /* U+FF61 comes before U+1F600, though UTF-16 would have it the other way round. */
    assert_canonical("{\"\\ud83d\\ude00\":1,\"\\uff61\":2}", "{\"\xef\xbd\xa1\":2,\"\xf0\x9f\x98\x80\":1}");
}

static void only_members_of_the_top_are_left_out(void **state)
{
    static const hs_str WITHOUT[] = { HS_S_INIT("signatures"), HS_S_INIT("unsigned") };
    (void)state;

    hs_str got = canonical("{\"a\":{\"unsigned\":1},\"signatures\":{\"x\":{}},\"unsigned\":{ }}", WITHOUT, 2);
    assert_true(hs_str_eq(got, HS_S("{\"a\":{\"unsigned\":1}}")));
    assert_true(hs_str_eq(canonical("{\"unsigned\":1}", WITHOUT, 2), HS_S("{}")));
}

static void canonical_bytes_are_not_copied(void **state)
{
    static const char TEXT[] = "{\"a\":[1,2,{\"b\":\"\\n\"}]}";
    (void)state;

    assert_ptr_equal(canonical(TEXT, NULL, 0).p, TEXT);
}

/* Z02 */
static void the_deepest_document_comes_out(void **state)
{
    enum { N = HS_JSON_MAX_DEPTH };
    char text[N * 2 + 3];
    (void)state;

    memset(text, '[', N);
    text[N] = ' ';
    memset(text + N + 1, ']', N);
    text[2 * N + 1] = 0;
    assert_int_equal(canonical(text, NULL, 0).n, 2 * N);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(the_specs_examples_come_out),
        CASE(strings_take_their_shortest_form),
        CASE(keys_are_sorted_by_code_point_at_every_level),
        CASE(only_members_of_the_top_are_left_out),
        CASE(canonical_bytes_are_not_copied),
        CASE(the_deepest_document_comes_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
