/* A tiny server over runtime/http.h for tests/system/test_http_engine.py and for measuring: no database, no accounts.
 *
 *     http_echo [--tcp ADDRESS:PORT]… [--tls ADDRESS:PORT CERT KEY] [--unix PATH] [--forwarded ADDRESS:PORT] [--max N]
 * [--quiet]
 *
 * Prints "PORT name number" for each listener and "READY". SIGTERM drains, SIGHUP reads the certificates anew. */
#include "runtime/http.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef struct waiter {
    struct waiter *next, *prev;
    struct echo *echo;
    hs_parked *parked;
    bool again; /* parks anew once when woken */
} waiter;

/* Handlers reach it as q->srv. */
typedef struct echo {
    hs_loop *loop;
    hs_http *http;
    hs_metrics *metrics;
    hs_logger *log;
    waiter *waiters;
    int64_t gone, resumed;
    hs_io signals;
    bool stopping;
} echo;

static echo *echo_of(const hs_req *q)
{
    return (echo *)(void *)q->srv;
}

static hs_error *get_hello(hs_req *q, hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    (void)q;
    hs_json_obj(j);
    hs_json_str(j, "hello", HS_S("world"));
    hs_json_end(j);
    return NULL;
}

static hs_error *any_echo(hs_req *q, hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_str(j, "target", q->target);
    hs_json_str(j, "path", q->path);
    hs_json_obj_at(j, "params");
    for (size_t i = 0; i < q->params_n; i++) {
        hs_json_key(j, q->params[i].name);
        hs_json_v_str(j, q->params[i].value);
    }
    hs_json_end(j);
    hs_json_obj_at(j, "query");
    for (size_t i = 0; i < q->query_n; i++) {
        hs_json_key(j, q->query[i].name);
        hs_json_v_str(j, q->query[i].value);
    }
    hs_json_end(j);
    hs_json_str(j, "client_ip", q->client_ip);
    hs_json_bool(j, "secure", q->secure);
    hs_json_str(j, "host", q->host);
    hs_json_str(j, "user_agent", q->user_agent);
    hs_json_opt_str(j, "x_test", hs_req_header(q, HS_S("x-test")));
    hs_json_int(j, "body_n", (int64_t)q->body.n);
    if (q->body.n <= 1000 && hs_str_is_utf8(q->body))
        hs_json_str(j, "body", q->body);
    hs_json_str(j, "request_id", q->request_id);
    hs_json_end(j);
    return NULL;
}

static hs_error *post_json(hs_req *q, hs_res *r)
{
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));
    hs_json_v_raw(hs_res_json(r, 200), hs_jv_raw(body));
    return NULL;
}

static hs_error *get_slow(hs_req *q, hs_res *r)
{
    int64_t ms = 0;
    bool has;

    HS_TRY(hs_query_i64(q, "ms", &has, &ms));
    hs_fiber_sleep(q->loop, ms);
    hs_res_empty(r);
    return NULL;
}

/* n pieces of size bytes each, referenced and not copied. */
static hs_error *get_big(hs_req *q, hs_res *r)
{
    int64_t n = 1, size = 1000;
    bool has;
    char *p;

    HS_TRY(hs_query_i64(q, "n", &has, &n));
    HS_TRY(hs_query_i64(q, "size", &has, &size));
    HS_TRY(hs_alloc(q->a, (size_t)size, &p));
    memset(p, 'x', (size_t)size);
    hs_res_bytes(r, 200, HS_S("text/plain"), HS_S(""));
    for (int64_t i = 0; i < n; i++)
        hs_buf_splice(&r->body, hs_str_make(p, (size_t)size));
    return NULL;
}

/* Takes the body as it arrives and says how much it was and what its bytes add up to. ?refuse: without a look at it;
 * ?stop=N: after N bytes; ?slow=MS: with a rest behind each piece. */
static hs_error *post_sink(hs_req *q, hs_res *r)
{
    int64_t got = 0, stop = INT64_MAX, slow = 0, pieces = 0;
    uint32_t sum = 0;
    hs_str piece;
    bool has;

    if (hs_query(q, "refuse").p)
        return hs_err(q->a, 413, HS_M_TOO_LARGE, "Upload request body is too large");
    HS_TRY(hs_query_i64(q, "stop", &has, &stop));
    HS_TRY(hs_query_i64(q, "slow", &has, &slow));
    do {
        HS_TRY(hs_body_read(q, &piece));
        got += (int64_t)piece.n;
        pieces += piece.n != 0;
        for (size_t i = 0; i < piece.n; i++)
            sum += (unsigned char)piece.p[i];
        if (slow)
            hs_fiber_sleep(q->loop, slow);
    } while (piece.n && got < stop);
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "announced", hs_body_length(q));
    hs_json_int(j, "got", got);
    hs_json_int(j, "sum", sum);
    hs_json_int(j, "pieces", pieces);
    hs_json_opt_str(j, "x_test", hs_req_header(q, HS_S("x-test")));
    hs_json_str(j, "host", q->host);
    hs_json_str(j, "target", q->target);
    hs_json_end(j);
    return NULL;
}

static hs_error *get_file(hs_req *q, hs_res *r)
{
    const char *path;
    int64_t at = 0, n = 0;
    bool has;
    int fd;

    HS_TRY(hs_cstr(q->a, hs_query(q, "path"), &path));
    HS_TRY(hs_query_i64(q, "at", &has, &at));
    HS_TRY(hs_query_i64(q, "n", &has, &n));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "no such file");
    hs_res_file(r, 200, HS_S("application/octet-stream"), fd, at, n);
    if (hs_query(q, "fail").p)
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Changed my mind");
    return NULL;
}

static hs_error *get_error(hs_req *q, hs_res *r)
{
    (void)r;
    if (hs_query(q, "internal").p)
        return hs_err_internal(q->a, NULL, "the reason is for the log only");
    if (hs_query(q, "later").p)
        return hs_err_later(q->a, 503, HS_M_UNKNOWN, 1, "Not now");
    return hs_err_later(q->a, 429, HS_M_LIMIT_EXCEEDED, 1500, "Too Many \"Requests\"");
}

static hs_error *get_headers(hs_req *q, hs_res *r)
{
    (void)q;
    HS_TRY(hs_res_header(r, HS_S("X-Custom"), HS_S("yes")));
    HS_TRY(hs_res_header(r, HS_S("Cache-Control"), HS_S("public")));
    hs_res_bytes(r, 200, HS_S("text/plain"), HS_S("text"));
    return NULL;
}

static hs_error *get_bad_header(hs_req *q, hs_res *r)
{
    (void)q;
    HS_TRY(hs_res_header(r, HS_S("X-Custom"), HS_S("a\r\nSet-Cookie: b")));
    hs_res_empty(r);
    return NULL;
}

static void forget(waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        w->echo->waiters = w->next;
    if (w->next)
        w->next->prev = w->prev;
    free(w);
}

static void on_gone(void *ud)
{
    waiter *w = ud;

    w->echo->gone++;
    forget(w);
}

static hs_error *on_resume(hs_req *q, hs_res *r, void *ud);

static hs_error *park(hs_req *q, hs_res *r, bool again)
{
    echo *e = echo_of(q);
    waiter *w = calloc(1, sizeof *w);

    if (!w)
        return HS_ERR_NOMEM;
    w->echo = e;
    w->again = again;
    w->next = e->waiters;
    if (w->next)
        w->next->prev = w;
    e->waiters = w;
    return hs_req_park(q, r, on_resume, on_gone, w, &w->parked);
}

static hs_error *on_resume(hs_req *q, hs_res *r, void *ud)
{
    waiter *w = ud;
    echo *e = w->echo;
    bool again = w->again;

    forget(w);
    if (again && hs_req_may_park(q))
        return park(q, r, false);
    e->resumed++;
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "woken", q->request_id);
    hs_json_end(j);
    return NULL;
}

static hs_error *get_park(hs_req *q, hs_res *r)
{
    HS_TRY(park(q, r, hs_query(q, "again").p != NULL));
    if (hs_query(q, "wake").p) /* woken before the handler has returned */
        hs_parked_wake(echo_of(q)->waiters->parked);
    if (hs_query(q, "fail").p)
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Changed my mind");
    return NULL;
}

static hs_error *post_wake(hs_req *q, hs_res *r)
{
    int64_t n = 0;

    for (waiter *w = echo_of(q)->waiters; w; w = w->next, n++)
        hs_parked_wake(w->parked);
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "woken", n);
    hs_json_end(j);
    return NULL;
}

static hs_error *get_stats(hs_req *q, hs_res *r)
{
    const echo *e = echo_of(q);
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_int(j, "parked", (int64_t)hs_http_parked_count(e->http));
    hs_json_int(j, "gone", e->gone);
    hs_json_int(j, "resumed", e->resumed);
    hs_json_end(j);
    return NULL;
}

static hs_error *get_metrics(hs_req *q, hs_res *r)
{
    hs_res_bytes(r, 200, HS_S("text/plain; version=0.0.4; charset=utf-8"), HS_S(""));
    hs_metrics_write(echo_of(q)->metrics, &r->body);
    return NULL;
}

/* clang-format off */
static const hs_route ROUTES[] = {
    { HS_GET, NULL, "/hello", get_hello, .servlet = "Hello" },
    { HS_GET, NULL, "/echo", any_echo, .servlet = "Echo" },
    { HS_POST, NULL, "/echo", any_echo, .body = 100000, .servlet = "Echo" },
    { HS_PUT, NULL, "/echo/{a}/{rest...}", any_echo, .body = HS_MIB(4), .servlet = "Echo" },
    { HS_POST, NULL, "/json", post_json, .servlet = "Json" },
    { HS_GET, NULL, "/slow", get_slow, .servlet = "Slow" },
    { HS_GET, NULL, "/big", get_big, .servlet = "Big" },
    { HS_POST, NULL, "/sink", post_sink, .stream = true, .servlet = "Sink" },
    { HS_GET, NULL, "/file", get_file, .servlet = "File" },
    { HS_GET, NULL, "/error", get_error, .servlet = "Error" },
    { HS_GET, NULL, "/headers", get_headers, .servlet = "Headers" },
    { HS_GET, NULL, "/bad_header", get_bad_header, .servlet = "BadHeader" },
    { HS_GET, NULL, "/park", get_park, .servlet = "Park" },
    { HS_POST, NULL, "/wake", post_wake, .servlet = "Wake" },
    { HS_GET, NULL, "/stats", get_stats, .servlet = "Stats" },
    { 0 },
};
static const hs_route METRICS[] = { { HS_GET, NULL, "/metrics", get_metrics, .servlet = "Metrics" }, { 0 } };
/* clang-format on */
static const hs_route_set SETS[] = { { "/", ROUTES } };
static const hs_route_set METRIC_SETS[] = { { "/", METRICS } };

static void drain(void *ud)
{
    echo *e = ud;

    printf("DRAINED %d\n", (int)hs_http_drain(e->http, 3000));
    fflush(stdout);
    hs_loop_stop(e->loop);
}

static void on_signal(hs_io *io, unsigned events)
{
    echo *e = io->ud;
    struct signalfd_siginfo s;

    (void)events;
    if (read(io->fd, &s, sizeof s) != (ssize_t)sizeof s)
        return;
    if (s.ssi_signo == SIGHUP) {
        hs_arena *a = hs_arena_open(1 << 16);
        hs_error *err = hs_http_reload_tls(e->http, a);
        printf("RELOADED %.*s\n", HS_FMT(err ? err->message : HS_S("ok")));
        fflush(stdout);
        hs_arena_close(a);
    } else if (!e->stopping) {
        e->stopping = true;
        (void)!hs_fiber_spawn(e->loop, drain, e);
    }
}

static bool listen_as(echo *e, hs_arena *a, hs_listener_options o, const char *name, char *where)
{
    static const char *const ALL[] = { "all", "metrics", NULL };
    static const char *const ONLY[] = { "all", NULL };
    char *colon = where ? strrchr(where, ':') : NULL;
    uint16_t port = 0;

    o.groups = strcmp(name, "unix") == 0 ? ONLY : ALL;
    if (colon) {
        *colon = 0;
        o.address = where;
        o.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    }
    hs_error *err = hs_http_listen(e->http, a, &o, &port);
    if (err) {
        fprintf(stderr, "%.*s\n", HS_FMT(err->message));
        return false;
    }
    printf("PORT %s %u\n", name, (unsigned)port);
    return true;
}

static bool listen_all(echo *e, hs_arena *a, int argc, char **argv)
{
    bool ok = true;

    for (int i = 1; ok && i < argc; i++) {
        if (strcmp(argv[i], "--tcp") == 0 && i + 1 < argc)
            ok = listen_as(e, a, (hs_listener_options){ 0 }, "tcp", argv[++i]);
        else if (strcmp(argv[i], "--forwarded") == 0 && i + 1 < argc)
            ok = listen_as(e, a, (hs_listener_options){ .x_forwarded = true }, "forwarded", argv[++i]);
        else if (strcmp(argv[i], "--unix") == 0 && i + 1 < argc)
            ok = listen_as(e, a, (hs_listener_options){ .unix_path = argv[++i], .unix_mode = 0660 }, "unix", NULL);
        else if (strcmp(argv[i], "--tls") == 0 && i + 3 < argc) {
            ok = listen_as(e, a, (hs_listener_options){ .tls_cert = argv[i + 2], .tls_key = argv[i + 3] }, "tls",
                           argv[i + 1]);
            i += 3;
        }
    }
    return ok;
}

int main(int argc, char **argv)
{
    static echo e;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_http_options o = { 0 };
    sigset_t set;
    bool quiet = false, ready;

    for (int i = 1; i < argc; i++) {
        quiet = quiet || strcmp(argv[i], "--quiet") == 0;
        if (strcmp(argv[i], "--max") == 0 && i + 1 < argc)
            o.max_connections = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--at-work") == 0 && i + 1 < argc)
            o.max_at_work = strtoul(argv[i + 1], NULL, 10);
    }
    e.loop = hs_loop_open();
    e.metrics = hs_metrics_open();
    e.log = hs_logger_open(2, quiet ? HS_LOG_ERROR : HS_LOG_DEBUG, false);
    o.srv = (struct hs_server *)(void *)&e;
    o.log = e.log;
    o.metrics = e.metrics;
    e.http = hs_http_open(e.loop, &o);
    ready = e.http && !hs_http_routes(e.http, a, "all", SETS, 1) &&
            !hs_http_routes(e.http, a, "metrics", METRIC_SETS, 1) && listen_all(&e, a, argc, argv);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    e.signals = (hs_io){ .fn = on_signal, .ud = &e, .fd = signalfd(-1, &set, SFD_CLOEXEC) };
    ready = ready && !hs_io_want(e.loop, &e.signals, HS_IO_READ);
    if (ready) {
        printf("READY\n");
        fflush(stdout);
        hs_loop_run(e.loop);
    }
    (void)!hs_io_want(e.loop, &e.signals, 0);
    close(e.signals.fd);
    hs_http_close(e.http);
    hs_metrics_close(e.metrics);
    hs_logger_close(e.log);
    hs_loop_close(e.loop);
    hs_arena_close(a);
    return ready ? 0 : 1;
}
