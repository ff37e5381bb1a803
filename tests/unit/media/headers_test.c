#include "workers/media/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int open_arena(void **state)
{
    *state = hs_arena_open(1 << 20);
    return *state ? 0 : -1;
}

static int close_arena(void **state)
{
    hs_arena_close(*state);
    return 0;
}

static void assert_text(hs_str got, const char *want)
{
    assert_string_equal(hs_str_eq(got, hs_str_c(want)) ? want : "", want);
}

static void is_disposed(hs_arena *a, const char *type, hs_str name, const char *want)
{
    hs_str got;

    assert_null(hs_media_disposition(a, hs_str_c(type), name, &got));
    if (!hs_str_eq(got, hs_str_c(want)))
        fail_msg("%.*s, not %s", HS_FMT(got), want);
}

static void only_what_runs_no_script_is_shown_in_place(void **state)
{
    static const char *const SHOWN[] = { "image/png", "IMAGE/PNG", "image/jpeg;x=y", "text/plain; charset=utf-8",
                                         "video/mp4", "audio/ogg" };
    static const char *const SAVED[] = { "image/svg+xml", "text/html",  "application/pdf",
                                         "text/xml",      "",           "image/png2",
                                         "x;image/png",   " image/png", "application/javascript" };

    (void)state;
    for (size_t i = 0; i < sizeof SHOWN / sizeof *SHOWN; i++)
        assert_true(hs_media_is_inline(hs_str_c(SHOWN[i])));
    for (size_t i = 0; i < sizeof SAVED / sizeof *SAVED; i++)
        assert_false(hs_media_is_inline(hs_str_c(SAVED[i])));
}

static void a_content_type_fits_a_header(void **state)
{
    static const struct {
        const char *stored, *sent;
    } TYPES[] = {
        { "image/png", "image/png" },
        { "", "application/octet-stream" },
        { "text/plain", "text/plain; charset=UTF-8" },
        { "text/plain; charset=latin1", "text/plain; charset=latin1" },
        { "image/svg+xml", "image/svg+xml; charset=UTF-8" },
        { "a\r\nSet-Cookie: b", "application/octet-stream" },
        { "a\tb", "application/octet-stream" },
        { "a\x7f", "application/octet-stream" },
        { "\xc3\xa4", "application/octet-stream" },
    };
    char long_one[300];
    hs_str got;

    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        assert_null(hs_media_content_type(*state, hs_str_c(TYPES[i].stored), &got));
        assert_text(got, TYPES[i].sent);
    }
    memset(long_one, 'x', sizeof long_one);
    assert_null(hs_media_content_type(*state, hs_str_make(long_one, sizeof long_one), &got));
    assert_text(got, "application/octet-stream");
    assert_null(hs_media_content_type(*state, hs_str_make(NULL, 0), &got));
    assert_text(got, "application/octet-stream");
}

static void names_are_quoted_as_rfc_6266_has_it(void **state)
{
    hs_arena *a = *state;

    is_disposed(a, "image/png", HS_S("x.png"), "inline; filename=x.png");
    is_disposed(a, "text/html", HS_S("x.html"), "attachment; filename=x.html");
    is_disposed(a, "image/png", hs_str_make(NULL, 0), "inline");
    is_disposed(a, "image/png", HS_S("a b"), "inline; filename*=utf-8''a%20b");
    is_disposed(a, "image/png", HS_S("a\"b;c=d"), "inline; filename*=utf-8''a%22b%3Bc%3Dd");
    is_disposed(a, "image/png", HS_S("\xc3\xa4"), "inline; filename*=utf-8''%C3%A4");
    is_disposed(a, "image/png", HS_S("100%"), "inline; filename=100%");
}

static void names_hide_nothing(void **state)
{
    static const struct {
        const char *in, *out;
    } NAMES[] = {
        { "a\r\nb", "ab" },
        { "a\tb\x7f"
          "c",
          "abc" },
        { "../../etc/passwd", ".._.._etc_passwd" },
        { "c:\\x", "c:_x" },
        { "..", "" },
        { ".", "" },
        { "  x  ", "x" },
        { "a\xc2\x85"
          "b",
          "ab" }, /* a C1 control */
        { "a\xe2\x80\xae"
          "b",
          "ab" }, /* right-to-left override */
        { "a\xe2\x81\xa6"
          "b",
          "ab" }, /* isolate */
        { "a\xd8\x9c"
          "b",
          "ab" }, /* Arabic letter mark */
        { "a\xef\xbb\xbf"
          "b",
          "ab" },               /* byte order mark */
        { "\xff", "" },         /* not UTF-8 */
        { "\xed\xa0\x80", "" }, /* a surrogate */
        { "\xf0\x9f\x90\x94", "\xf0\x9f\x90\x94" },
    };
    char long_one[400];
    hs_str got;

    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        assert_null(hs_media_file_name(*state, hs_str_c(NAMES[i].in), &got));
        assert_text(got, NAMES[i].out);
    }
    for (size_t i = 0; i < sizeof long_one; i += 4)
        memcpy(long_one + i, "\xf0\x9f\x90\x94", 4);
    assert_null(hs_media_file_name(*state, hs_str_make(long_one, sizeof long_one), &got));
    assert_int_equal(got.n, 252); /* no character is cut */
}

static void a_range_is_what_rfc_9110_says(void **state)
{
    static const struct {
        const char *header;
        int64_t size;
        hs_range want;
        int64_t at, n;
    } RANGES[] = {
        { "bytes=0-0", 10, HS_RANGE_PART, 0, 1 },
        { "bytes=0-", 10, HS_RANGE_PART, 0, 10 },
        { "bytes=9-9", 10, HS_RANGE_PART, 9, 1 },
        { "bytes=3-100", 10, HS_RANGE_PART, 3, 7 },
        { "bytes=-1", 10, HS_RANGE_PART, 9, 1 },
        { "bytes=-100", 10, HS_RANGE_PART, 0, 10 },
        { "Bytes=1-2", 10, HS_RANGE_PART, 1, 2 },
        { "bytes= 1 - 2 ", 10, HS_RANGE_PART, 1, 2 },
        { "bytes=0-9223372036854775807", 10, HS_RANGE_PART, 0, 10 },
        { "bytes=-9223372036854775807", 10, HS_RANGE_PART, 0, 10 },
        { "bytes=10-", 10, HS_RANGE_BAD, 0, 0 },
        { "bytes=10-20", 10, HS_RANGE_BAD, 0, 0 },
        { "bytes=-0", 10, HS_RANGE_BAD, 0, 0 },
        { "bytes=0-", 0, HS_RANGE_BAD, 0, 0 },
        { "bytes=-5", 0, HS_RANGE_BAD, 0, 0 },
        { "bytes=5-4", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes=0-1,2-3", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes=9223372036854775808-", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes=--1", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes=-", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes=", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes=1", 10, HS_RANGE_ALL, 0, 0 },
        { "bytes 0-1", 10, HS_RANGE_ALL, 0, 0 },
        { "items=0-1", 10, HS_RANGE_ALL, 0, 0 },
        { "", 10, HS_RANGE_ALL, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof RANGES / sizeof *RANGES; i++) {
        int64_t at = 0, n = 0;
        hs_range got = hs_media_range(hs_str_c(RANGES[i].header), RANGES[i].size, &at, &n);
        if (got != RANGES[i].want || at != RANGES[i].at || n != RANGES[i].n)
            fail_msg("%s: %d %lld %lld", RANGES[i].header, (int)got, (long long)at, (long long)n);
    }
}

static void the_entity_tag_is_known_in_every_form(void **state)
{
    (void)state;
    assert_true(hs_media_has_etag(HS_S("1")));
    assert_true(hs_media_has_etag(HS_S("\"1\"")));
    assert_true(hs_media_has_etag(HS_S("W/\"1\"")));
    assert_true(hs_media_has_etag(HS_S("*")));
    assert_true(hs_media_has_etag(HS_S("\"x\" , \"1\"")));
    assert_false(hs_media_has_etag(HS_S("\"2\"")));
    assert_false(hs_media_has_etag(HS_S("")));
    assert_false(hs_media_has_etag(hs_str_make(NULL, 0)));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_runs_no_script_is_shown_in_place),
        cmocka_unit_test(a_content_type_fits_a_header),
        cmocka_unit_test(names_are_quoted_as_rfc_6266_has_it),
        cmocka_unit_test(names_hide_nothing),
        cmocka_unit_test(a_range_is_what_rfc_9110_says),
        cmocka_unit_test(the_entity_tag_is_known_in_every_form),
    };

    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
