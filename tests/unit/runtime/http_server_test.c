#include "runtime/http.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* A server as an embedder makes one: its own loop, its own HTTP. */
typedef struct {
    hs_loop *loop;
    hs_http *http;
    hs_arena *a;
    hs_parked *parked;
    uint16_t port;
    int woken, gone, asked;
} host;

static host *host_of(const hs_req *q)
{
    return (host *)(void *)q->srv;
}

static hs_error *get_port(hs_req *q, hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_int(j, "port", host_of(q)->port);
    hs_json_end(j);
    return NULL;
}

static hs_error *on_woken(hs_req *q, hs_res *r, void *ud)
{
    host *h = ud;

    (void)q;
    h->woken++;
    hs_res_empty(r);
    return NULL;
}

static void on_gone(void *ud)
{
    host *h = ud;

    h->gone++;
}

static hs_error *get_park(hs_req *q, hs_res *r)
{
    host *h = host_of(q);

    return hs_req_park(q, r, on_woken, on_gone, h, &h->parked);
}

static hs_error *refuse(hs_req *q)
{
    return hs_req_header(q, HS_S("authorization")).p ? NULL
                                                     : hs_err(q->a, 401, HS_M_MISSING_TOKEN, "Missing access token");
}

/* Refuses at first, as who looks at old news. */
static hs_error *get_news(hs_req *q, hs_res *r)
{
    if (!host_of(q)->asked++)
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Not in the room");
    hs_res_empty(r);
    return NULL;
}

static bool always(hs_req *q, hs_error **e)
{
    (void)q;
    (void)e;
    return true;
}

/* clang-format off */
static const hs_route ROUTES[] = {
    { HS_GET, NULL, "/news", get_news, .servlet = "News", .lax = true },
    { HS_GET, NULL, "/port", get_port, .servlet = "Port" },
    { HS_GET, NULL, "/park", get_park, .servlet = "Park" },
    { 0 },
};
/* clang-format on */
static const hs_route_set SET = { "/", ROUTES };

static void open_host(host *h, hs_http_hooks hooks)
{
    static const char *const GROUPS[] = { "all", NULL };
    hs_http_options o = { .srv = (struct hs_server *)(void *)h, .hooks = hooks };
    hs_listener_options l = { .address = "127.0.0.1", .groups = GROUPS };

    *h = (host){ .loop = hs_loop_open(), .a = hs_arena_open(1 << 20) };
    h->http = hs_http_open(h->loop, &o);
    assert_non_null(h->http);
    assert_null(hs_http_routes(h->http, h->a, "all", &SET, 1));
    assert_null(hs_http_listen(h->http, h->a, &l, &h->port));
    assert_int_not_equal(h->port, 0);
}

static void close_host(host *h)
{
    hs_http_close(h->http);
    hs_loop_close(h->loop);
    hs_arena_close(h->a);
}

static int ask(const host *h, const char *request)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(h->port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int s = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(s, (const struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(s, request, strlen(request)), (ssize_t)strlen(request));
    return s;
}

/* Turns the loop until something has arrived; the text lives until the next call. */
static const char *answer(host *h, int s)
{
    static char text[4096];
    ssize_t n;

    while ((n = recv(s, text, sizeof text - 1, MSG_DONTWAIT)) < 0)
        hs_loop_turn(h->loop, 100);
    text[n] = 0;
    return text;
}

static void two_servers_in_one_process_answer_apart(void **state)
{
    host one, two;
    char expected[32];
    (void)state;

    open_host(&one, (hs_http_hooks){ 0 });
    open_host(&two, (hs_http_hooks){ 0 });
    int a = ask(&one, "GET /port HTTP/1.1\r\n\r\n"), b = ask(&two, "GET /port HTTP/1.1\r\n\r\n");
    snprintf(expected, sizeof expected, "{\"port\":%u}", (unsigned)one.port);
    assert_non_null(strstr(answer(&one, a), expected));
    snprintf(expected, sizeof expected, "{\"port\":%u}", (unsigned)two.port);
    assert_non_null(strstr(answer(&two, b), expected));
    close(a);
    close_host(&one);
    int c = ask(&two, "GET /port HTTP/1.1\r\n\r\n");
    assert_non_null(strstr(answer(&two, c), expected));
    close(b);
    close(c);
    close_host(&two);
}

static void what_the_hook_refuses_reaches_no_handler(void **state)
{
    host h;
    (void)state;

    open_host(&h, (hs_http_hooks){ .authenticate = refuse });
    int s = ask(&h, "GET /port HTTP/1.1\r\n\r\n");
    const char *text = answer(&h, s);
    assert_non_null(strstr(text, "HTTP/1.1 401 Unauthorized\r\n"));
    assert_non_null(strstr(text, "{\"errcode\":\"M_MISSING_TOKEN\",\"error\":\"Missing access token\"}"));
    close(s);
    s = ask(&h, "GET /port HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n");
    assert_non_null(strstr(answer(&h, s), "HTTP/1.1 200 OK\r\n"));
    close(s);
    close_host(&h);
}

static void only_what_the_handler_refused_runs_once_more(void **state)
{
    host h;
    int s;

    (void)state;
    open_host(&h, (hs_http_hooks){ .authenticate = refuse, .once_more = always });
    s = ask(&h, "GET /news HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(answer(&h, s), "401"));
    assert_int_equal(h.asked, 0);
    close(s);
    s = ask(&h, "GET /news HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n");
    assert_non_null(strstr(answer(&h, s), "200"));
    assert_int_equal(h.asked, 2);
    close(s);
    close_host(&h);
}

static void a_parked_request_is_resumed_once_however_often_it_is_woken(void **state)
{
    host h;
    (void)state;

    open_host(&h, (hs_http_hooks){ 0 });
    int s = ask(&h, "GET /park HTTP/1.1\r\n\r\n");
    while (!hs_http_parked_count(h.http))
        hs_loop_turn(h.loop, 100);
    hs_parked_wake(h.parked);
    hs_parked_wake(h.parked);
    assert_int_equal(h.woken, 0);
    assert_non_null(strstr(answer(&h, s), "\r\n\r\n{}"));
    assert_int_equal(h.woken, 1);
    assert_int_equal(h.gone, 0);
    assert_int_equal(hs_http_parked_count(h.http), 0);
    close(s);
    close_host(&h);
}

static void closing_tells_who_is_still_parked(void **state)
{
    host h;
    (void)state;

    open_host(&h, (hs_http_hooks){ 0 });
    int s = ask(&h, "GET /park HTTP/1.1\r\n\r\n");
    while (!hs_http_parked_count(h.http))
        hs_loop_turn(h.loop, 100);
    close_host(&h);
    assert_int_equal(h.gone, 1);
    assert_int_equal(h.woken, 0);
    close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_servers_in_one_process_answer_apart),
        cmocka_unit_test(what_the_hook_refuses_reaches_no_handler),
        cmocka_unit_test(only_what_the_handler_refused_runs_once_more),
        cmocka_unit_test(a_parked_request_is_resumed_once_however_often_it_is_woken),
        cmocka_unit_test(closing_tells_who_is_still_parked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
