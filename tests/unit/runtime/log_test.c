#include "runtime/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* Opens a logger on a pipe; what it wrote is read after it was closed. */
static hs_logger *open_on_pipe(int p[2], bool json)
{
    assert_int_equal(pipe(p), 0);
    hs_logger *l = hs_logger_open(p[1], HS_LOG_INFO, json);
    assert_non_null(l);
    return l;
}

static size_t close_and_read(hs_logger *l, int p[2], char *room, size_t room_n)
{
    size_t n = 0;
    ssize_t got;

    hs_logger_close(l);
    close(p[1]);
    while ((got = read(p[0], room + n, room_n - 1 - n)) > 0)
        n += (size_t)got;
    close(p[0]);
    room[n] = 0;
    return n;
}

static void a_line_looks_like_synapses(void **state)
{
    char text[1024];
    int p[2];
    hs_logger *l = open_on_pipe(p, false);
    (void)state;

    hs_log_req(l, HS_LOG_WARN, HS_S("GET-7"), "store.slow", "statement=%s ms=%d", "x", 12);
    close_and_read(l, p, text, sizeof text);
    /* 2026-01-31 12:00:00,000 */
    assert_int_equal(text[4], '-');
    assert_int_equal(text[19], ',');
    assert_string_equal(text + 23, " - store.slow - 1 - WARNING - GET-7 - statement=x ms=12\n");
}

static void a_json_line_has_its_fields(void **state)
{
    char text[1024];
    int p[2];
    hs_logger *l = open_on_pipe(p, true);
    (void)state;

    hs_log_req(l, HS_LOG_INFO, HS_S("GET-7"), "http.x", "say \"hi\"\n");
    close_and_read(l, p, text, sizeof text);
    assert_non_null(
        strstr(text, "{\"log\":\"say \\\"hi\\\"\\u000a\",\"namespace\":\"http.x\",\"level\":\"INFO\",\"time\":"));
    assert_non_null(strstr(text, ",\"request\":\"GET-7\"}\n"));
}

static void lines_below_the_level_are_not_written(void **state)
{
    char text[1024];
    int p[2];
    hs_logger *l = open_on_pipe(p, false);
    (void)state;

    hs_log(l, HS_LOG_DEBUG, "a.b", "unseen");
    hs_logger_set_level(l, HS_LOG_DEBUG);
    hs_log(l, HS_LOG_DEBUG, "a.b", "seen");
    hs_log(NULL, HS_LOG_ERROR, "a.b", "nowhere");
    close_and_read(l, p, text, sizeof text);
    assert_null(strstr(text, "unseen"));
    assert_non_null(strstr(text, "- DEBUG - - - seen\n"));
}

/* X09 */
static void line_breaks_from_outside_forge_no_lines(void **state)
{
    char text[1024];
    int p[2];
    hs_logger *l = open_on_pipe(p, false);
    (void)state;

    hs_log(l, HS_LOG_INFO, "a.b", "name=%s", "x\n2026 forged\x1b[31m");
    close_and_read(l, p, text, sizeof text);
    assert_non_null(strstr(text, "name=x\\x0a2026 forged\\x1b[31m\n"));
}

static void what_is_not_utf8_is_shown_in_hex(void **state)
{
    char text[1024];
    int p[2];
    hs_logger *l = open_on_pipe(p, true);
    (void)state;

    hs_log(l, HS_LOG_INFO, "a.b", "name=%s", "\xff\xc3\xa4");
    hs_log(l, HS_LOG_INFO, "a.b", "name=%s", "\xc3\xa4");
    close_and_read(l, p, text, sizeof text);
    assert_non_null(strstr(text, "name=\\u00ff\\u00c3\\u00a4\""));
    assert_non_null(strstr(text, "name=\xc3\xa4\""));
}

static void an_error_is_one_line_with_its_causes(void **state)
{
    char text[2048];
    int p[2];
    hs_logger *l = open_on_pipe(p, false);
    hs_error inner = { .status = 500, .code = HS_M_UNKNOWN, .message = HS_S("no connection"), .where = "db.c:1" };
    hs_error outer = { .status = 500, .code = HS_M_UNKNOWN, .message = HS_S("Internal server error"), .cause = &inner };
    (void)state;

    hs_log_error(l, HS_LOG_ERROR, HS_S("PUT-1"), "http.failed", &outer);
    close_and_read(l, p, text, sizeof text);
    assert_non_null(
        strstr(text, "status=500 code=M_UNKNOWN \"Internal server error\" <- \"no connection\" at db.c:1\n"));
}

/* A reader that does not read: the writer is stuck, whoever logs is not. */
static void a_full_pipe_drops_lines_and_says_how_many(void **state)
{
    static char text[8 << 20];
    char filler[1000];
    int p[2];
    hs_logger *l = open_on_pipe(p, false);
    (void)state;

    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = 0;
    for (int i = 0; i < 5000; i++)
        hs_log(l, HS_LOG_INFO, "a.b", "%s", filler);
    /* Read until the writer has room again, then one more line. */
    size_t n = 0;
    assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
    for (int lines = 0; lines < 1000;) {
        ssize_t got = read(p[0], text + n, 4096);
        for (ssize_t i = 0; i < got; i++)
            lines += text[n + (size_t)i] == '\n';
        n += got > 0 ? (size_t)got : 0;
    }
    hs_log(l, HS_LOG_INFO, "a.b", "last");
    while (!memmem(text, n, "last\n", 5)) {
        ssize_t got = read(p[0], text + n, 4096);
        n += got > 0 ? (size_t)got : 0;
    }
    assert_non_null(memmem(text, n, "log.dropped - 1 - WARNING - - - lines=", 38));
    hs_logger_close(l);
    close(p[0]);
    close(p[1]);
}

static void assert_target(const char *target, const char *logged)
{
    char room[256];
    hs_str got = hs_log_target(hs_str_c(target), room, sizeof room);

    assert_int_equal(got.n, strlen(logged));
    assert_memory_equal(got.p, logged, got.n);
}

static void a_logged_target_holds_no_tokens(void **state)
{
    (void)state;
    assert_target("/x", "/x");
    assert_target("/x?", "/x?");
    assert_target("/x?a=b&c", "/x?a=b&c");
    assert_target("/x?access_token=secret", "/x?access_token=<redacted>");
    assert_target("/x?a=b&access_token=secret&c=d", "/x?a=b&access_token=<redacted>&c=d");
    assert_target("/x?a=b&access%5Ftoken=secret&", "/x?a=b&access%5Ftoken=<redacted>&");
    assert_target("/x?%61ccess_token=secret=more", "/x?%61ccess_token=<redacted>");
    assert_target("/x?loginToken=s&client_secret=t", "/x?loginToken=<redacted>&client_secret=<redacted>");
    assert_target("/x?access_token=a&access_token=b", "/x?access_token=<redacted>&access_token=<redacted>");
}

static void a_long_target_is_cut(void **state)
{
    char room[8];
    (void)state;

    hs_str got = hs_log_target(HS_S("/abcdefghijk?x=y"), room, sizeof room);
    assert_int_equal(got.n, 8);
    assert_memory_equal(got.p, "/abcdefg", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_looks_like_synapses),
        cmocka_unit_test(a_json_line_has_its_fields),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(line_breaks_from_outside_forge_no_lines),
        cmocka_unit_test(what_is_not_utf8_is_shown_in_hex),
        cmocka_unit_test(an_error_is_one_line_with_its_causes),
        cmocka_unit_test(a_full_pipe_drops_lines_and_says_how_many),
        cmocka_unit_test(a_logged_target_holds_no_tokens),
        cmocka_unit_test(a_long_target_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
