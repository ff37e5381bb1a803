#include "runtime/http_framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_refused(const char *head, const char *why)
{
    hs_framing f;
    const char *wrong = hs_framing_check(hs_str_c(head), &f);

    assert_non_null(wrong);
    assert_string_equal(wrong, why);
}

static void sound_heads_pass(void **state)
{
    hs_framing f;
    (void)state;

    assert_null(hs_framing_check(HS_S("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &f));
    assert_false(f.chunked);
    assert_null(hs_framing_check(
        HS_S("\r\nPOST /a?b=c HTTP/1.1\r\nHost:a\r\nX-Y:\tb \xc3\xa4\r\nContent-Length: 12\r\n\r\n"), &f));
    assert_true(f.has_length);
    assert_null(hs_framing_check(HS_S("PUT / HTTP/1.0\r\nTransfer-Encoding: Chunked\r\n\r\n"), &f));
    assert_true(f.chunked);
}

/* Z09 */
static void ambiguous_lengths_are_refused(void **state)
{
    (void)state;
    assert_refused("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "ambiguous body length");
    assert_refused("\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "bad request line");
    assert_refused("GET / HTTP/2.0\r\n\r\n", "bad request line");
    assert_refused("POST / HTTP/1.1\r\ncontent-length: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
                   "ambiguous body length");
    assert_refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                   "ambiguous body length");
    assert_refused("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "bad Transfer-Encoding");
    assert_refused("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "bad Transfer-Encoding");
    assert_refused("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "bad Content-Length");
    assert_refused("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "bad Content-Length");
    assert_refused("POST / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", "bad Content-Length");
    assert_refused("POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "bad Content-Length");
    assert_refused("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "bad Content-Length");
}

static void sloppy_lines_are_refused(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\nHost: a\r\n\r\n", "line without CRLF");
    assert_refused("GET / HTTP/1.1\r\nHost: a\n\r\n", "line without CRLF");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\n\n", "line without CRLF");
    assert_refused("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "folded header line");
    assert_refused("GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n", "folded header line");
    assert_refused("GET / HTTP/1.1\r\nA : b\r\n\r\n", "bad header name");
    assert_refused("GET / HTTP/1.1\r\nA\r\n\r\n", "bad header name");
    assert_refused("GET / HTTP/1.1\r\n: b\r\n\r\n", "bad header name");
    assert_refused("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "control character in a header");
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "several Host headers");
    assert_refused("GET  / HTTP/1.1\r\n\r\n", "bad request line");
    assert_refused("GET / a HTTP/1.1\r\n\r\n", "bad request line");
    assert_refused("GET /\x7f HTTP/1.1\r\n\r\n", "bad request target");
}

static void a_nul_in_a_header_is_refused(void **state)
{
    hs_framing f;
    (void)state;

    assert_non_null(hs_framing_check(HS_S("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"), &f));
}

static void the_head_ends_at_its_empty_line(void **state)
{
    (void)state;
    assert_int_equal(hs_framing_head_len(HS_S("GET / HTTP/1.1\r\n\r\nbody\r\n\r\n")), 18);
    assert_int_equal(hs_framing_head_len(HS_S("\r\nGET / HTTP/1.1\r\n\r\nbody")), 20);
    assert_int_equal(hs_framing_head_len(HS_S("GET / HTTP/1.1\n\nbody")), 16);
    assert_int_equal(hs_framing_head_len(HS_S("GET / HTTP/1.1\r\nA: b\r\n")), 0);
    assert_int_equal(hs_framing_head_len(HS_S("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_heads_pass),
        cmocka_unit_test(ambiguous_lengths_are_refused),
        cmocka_unit_test(sloppy_lines_are_refused),
        cmocka_unit_test(a_nul_in_a_header_is_refused),
        cmocka_unit_test(the_head_ends_at_its_empty_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
