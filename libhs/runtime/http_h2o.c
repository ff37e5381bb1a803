/* The life of a request between h2o and a handler (README.md tells it as a story).
 *
 * h2o calls on_req when head and body are there. Routing is done at once; a fiber runs hooks and handler. What it
 * leaves is sent from the loop's own stack, never from a fiber: h2o copies the list of pieces onto the stack, and a
 * sync answer has thousands. The request's arena lives until the last byte is out. */
#include "runtime/http_impl.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARENA_BYTES  HS_MIB(64)
#define DEFAULT_BODY HS_KIB(64)
/* Parked requests that are resumed in one turn; the rest has the next. */
#define RESUMES_PER_TURN 512
/* h2o puts an array of this many pieces on the stack twice. */
#define MAX_PIECES 4096u

/* clang-format off */
static const hs_pair CORS[] = {
    { HS_S_INIT("Access-Control-Allow-Origin"), HS_S_INIT("*") },
    { HS_S_INIT("Access-Control-Allow-Methods"), HS_S_INIT("GET, HEAD, POST, PUT, DELETE, OPTIONS") },
    { HS_S_INIT("Access-Control-Allow-Headers"), HS_S_INIT("X-Requested-With, Content-Type, Authorization, Date") },
    { HS_S_INIT("Access-Control-Expose-Headers"), HS_S_INIT("Synapse-Trace-Id, Server") },
};
/* clang-format on */

static hs_method method_of(h2o_iovec_t text)
{
    for (int m = HS_GET; m < HS_OTHER_METHOD; m++)
        if (hs_str_eq(hs_str_make(text.base, text.len), hs_str_c(hs_http_method_name((hs_method)m))))
            return (hs_method)m;
    return HS_OTHER_METHOD;
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } REASONS[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 409, "Conflict" },
        { 412, "Precondition Failed" },
        { 413, "Request Entity Too Large" },
        { 416, "Range Not Satisfiable" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 499, "Client Closed Request" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 507, "Insufficient Storage" },
    };

    for (size_t i = 0; i < sizeof REASONS / sizeof *REASONS; i++)
        if (REASONS[i].status == status)
            return REASONS[i].text;
    return "Unknown";
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static h2o_iovec_t iovec(hs_str s)
{
    /* h2o does not write through what it sends. */
    return (h2o_iovec_t){ .base = (char *)(uintptr_t)s.p, .len = s.n };
}

static void push(hs_exchange_list *l, hs_parked *x)
{
    x->queued = NULL;
    if (l->first)
        l->last->queued = x;
    else
        l->first = x;
    l->last = x;
}

static hs_parked *pop(hs_exchange_list *l)
{
    hs_parked *x = l->first;

    if (x)
        l->first = x->queued;
    return x;
}

void hs_http_run_after(hs_http *h)
{
    if (!h->after_waits) {
        h->after_waits = true;
        hs_loop_defer(h->loop, &h->after);
    }
}

/* ── arenas ─────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

hs_arena *hs_http_arena_take(hs_http *h)
{
    return h->arenas_n ? h->arenas[--h->arenas_n] : hs_arena_open(ARENA_BYTES);
}

void hs_http_arena_put_back(hs_http *h, hs_arena *a)
{
    if (!a)
        return;
    if (h->arenas_n == HS_HTTP_ARENAS) {
        hs_arena_close(a);
        return;
    }
    hs_arena_reset(a);
    h->arenas[h->arenas_n++] = a;
}

/* ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static void add_header(h2o_req_t *req, hs_str name, hs_str value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name.p, name.n, 0, NULL, value.p, value.n);
}

static void add_cors(h2o_req_t *req)
{
    for (size_t i = 0; i < sizeof CORS / sizeof *CORS; i++)
        add_header(req, CORS[i].name, CORS[i].value);
}

/* A handler's own header replaces ours. */
static bool sets_header(const hs_res *r, hs_str name)
{
    for (size_t i = 0; r && i < r->headers_n; i++)
        if (hs_str_eq_nocase(r->headers[i].name, name))
            return true;
    return false;
}

static void add_headers(h2o_req_t *req, const hs_res *r, bool has_body)
{
    bool json = has_body && (!r || !r->content_type.n || hs_str_eq(r->content_type, HS_S("application/json")));
    bool page = r && r->page; /* for people, not for other sites' scripts */

    for (size_t i = 0; !page && i < sizeof CORS / sizeof *CORS; i++)
        if (!sets_header(r, CORS[i].name))
            add_header(req, CORS[i].name, CORS[i].value);
    if (json)
        add_header(req, HS_S("Content-Type"), HS_S("application/json"));
    else if (has_body)
        add_header(req, HS_S("Content-Type"), r->content_type);
    if (json && !sets_header(r, HS_S("Cache-Control")))
        add_header(req, HS_S("Cache-Control"), HS_S("no-cache, no-store, must-revalidate"));
    for (size_t i = 0; r && i < r->headers_n; i++)
        add_header(req, r->headers[i].name, r->headers[i].value);
    if (!r && req->res.status == 503)
        add_header(req, HS_S("Retry-After"), HS_S("1"));
}

static void proceed(h2o_generator_t *g, h2o_req_t *req)
{
    (void)g;
    (void)req;
}

/* A handler that failed may have opened one. */
static void drop_file(hs_res *r)
{
    if (r && r->has_file)
        close(r->file_fd);
    if (r)
        r->has_file = false;
}

/* Status and headers of the answer. */
static void begin_answer(hs_parked *x, size_t total)
{
    h2o_req_t *req = x->req;

    x->state = X_SENT;
    x->sent_ns = now_ns();
    x->bytes = total;
    req->res.status = x->status;
    req->res.reason = reason(x->status);
    req->res.content_length = total;
    if (x->http->draining)
        req->http1_is_persistent = 0;
    add_headers(req, x->r, total != 0);
}

/* Starts and ends the answer. The pieces live in the exchange's arena or are static. */
static void send_pieces(hs_parked *x, const hs_str *pieces, size_t n, size_t total)
{
    h2o_req_t *req = x->req;
    h2o_iovec_t *out = NULL;
    bool lingers;

    x->generator = (h2o_generator_t){ .proceed = proceed };
    lingers = hs_http_body_end(x);
    begin_answer(x, total);
    if (x->method == HS_HEAD || !total) {
        n = 0;
    } else {
        out = h2o_mem_alloc_pool(&req->pool, n * sizeof *out);
        for (size_t i = 0; i < n; i++)
            out[i] = iovec(pieces[i]);
    }
    h2o_start_response(req, &x->generator);
    h2o_send(req, out, n, lingers ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL);
}

/* What is sent when there is no memory for anything better. */
static void send_static(hs_parked *x, int status, hs_str body)
{
    x->status = status;
    drop_file(x->r);
    x->r = NULL;
    send_pieces(x, &body, 1, body.n);
}

/* True when the answer's body is a file's, and is under way. */
static bool send_file(hs_parked *x)
{
    hs_res *r = x->r;
    size_t total = (size_t)r->file_n;

    if (x->method == HS_HEAD || !total) {
        drop_file(r);
        if (!total) /* an empty file has a type too */
            (void)!hs_res_header(r, HS_S("Content-Type"), r->content_type);
        send_pieces(x, NULL, 0, total);
        return true;
    }
    if (hs_http_file_open(x))
        return false;
    (void)hs_http_body_end(x);
    begin_answer(x, total);
    hs_http_file_start(x);
    return true;
}

static void send_answer(hs_parked *x)
{
    hs_str *pieces, whole;
    size_t n;

    x->status = x->r->status;
    if (x->r->has_file && send_file(x))
        return;
    if (x->r->has_file || hs_buf_done(&x->r->body, &pieces, &n)) {
        send_static(x, 503,
                    HS_S("{\"errcode\":\"M_UNKNOWN\",\"error\":\"The server is out of memory for this request\"}"));
    } else if (n <= MAX_PIECES) {
        send_pieces(x, pieces, n, x->r->body.total);
    } else if (hs_buf_flatten(&x->r->body, &whole)) {
        send_static(x, 503, HS_S("{\"errcode\":\"M_UNKNOWN\",\"error\":\"The answer is too large\"}"));
    } else {
        send_pieces(x, &whole, 1, whole.n);
    }
}

/* 1500 ms are 2 seconds in a header. */
static void add_retry_after(hs_res *r, const hs_error *e)
{
    hs_str text;

    if (e->retry_ms <= 0 || (e->status != 429 && e->status != 503))
        return;
    if (!hs_str_fmt(r->a, &text, "%lld", (long long)((e->retry_ms + 999) / 1000)))
        (void)!hs_res_header(r, HS_S("Retry-After"), text);
}

static void write_error(hs_parked *x, const hs_error *e)
{
    hs_res *r = x->r;
    char id[HS_REQUEST_ID];

    drop_file(r);
    r->headers_n = 0;
    hs_json_out *j = hs_res_json(r, e->status);
    hs_json_obj(j);
    hs_json_str(j, "errcode", hs_errcode_str(e->code));
    hs_json_str(j, "error", e->message);
    if (e->status == 429)
        hs_json_int(j, "retry_after_ms", e->retry_ms);
    if (e->extra.n) {
        hs_buf_addc(&r->body, ',');
        hs_buf_add(&r->body, e->extra);
    }
    hs_json_end(j);
    add_retry_after(r, e);
    if (e->status >= 500) /* a server that is short of something says so once, not for each request */
        hs_log_error(x->http->o.log,
                     (e->status == 503 && e->retry_ms) || e->code == HS_M_NOT_YET_UPLOADED ? HS_LOG_DEBUG
                                                                                           : HS_LOG_ERROR,
                     hs_http_request_id(x, id), "http.failed", e);
}

/* ── the exchange ───────────────────────────────────────────────────────────────────────────────────────────────────
 */

/* h2o's request is over: the answer is sent, or its connection broke on the way. Over HTTP/1 that is never before an
 * answer was begun, so no fiber is at work on it. */
static void on_request_over(void *ud)
{
    hs_parked *x = *(hs_parked **)ud;
    hs_http *h = x->http;
    int64_t now = now_ns();

    hs_http_account(x, now);
    if (x->prev)
        x->prev->next = x->next;
    else
        h->live = x->next;
    if (x->next)
        x->next->prev = x->prev;
    hs_http_file_close(x);
    hs_http_wait_end(x);
    hs_http_watch_again(x->conn);
    x->conn->busy = NULL;
    x->conn->idle_since = hs_loop_now(h->loop);
    x->conn->used = true;
    hs_http_arena_put_back(h, x->a);
    free(x);
}

static hs_parked *exchange_new(hs_http *h, h2o_req_t *req)
{
    hs_conn *c = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    hs_parked *x = calloc(1, sizeof *x), **anchor;

    if (!x)
        return NULL;
    anchor = h2o_mem_alloc_shared(&req->pool, sizeof *anchor, on_request_over);
    *anchor = x;
    x->http = h;
    x->conn = c;
    x->req = req;
    x->method = method_of(req->input.method);
    x->id = ++h->seq;
    x->began_ns = now_ns();
    x->next = h->live;
    if (h->live)
        h->live->prev = x;
    h->live = x;
    c->busy = x;
    c->reading_since = 0;
    c->head_done = false;
    hs_http_body_begin(x);
    hs_http_peer(c);
    return x;
}

/* Arena, request and answer; the arena is the exchange's until its end or until it is parked. */
static hs_error *open_request(hs_parked *x)
{
    hs_http *h = x->http;
    char id[HS_REQUEST_ID];

    x->a = hs_http_arena_take(h);
    if (!x->a)
        return HS_ERR_NOMEM;
    HS_TRY(hs_alloc(x->a, 1, &x->q));
    HS_TRY(hs_alloc(x->a, 1, &x->r));
    *x->q = (hs_req){
        .srv = h->o.srv,
        .a = x->a,
        .loop = h->loop,
        .route = x->route,
        .method = x->method,
        .conn = x,
    };
    x->r->a = x->a;
    hs_buf_init(&x->r->body, x->a);
    return hs_str_dup(x->a, hs_http_request_id(x, id), &x->q->request_id);
}

void hs_http_hangup(hs_parked *x)
{
    if (x->state != X_PARKED || x->woken)
        return;
    x->http->parked_n--;
    x->req->http1_is_persistent = 0;
    x->gone(x->ud);
    send_static(x, 499, hs_str_make(NULL, 0));
}

static void park(hs_parked *x)
{
    hs_http *h = x->http;

    hs_http_arena_put_back(h, x->a);
    x->a = NULL;
    x->q = NULL;
    x->r = NULL;
    x->state = X_PARKED;
    h->parked_n++;
    hs_http_wait_begin(x);
    if (x->woken || h->draining) {
        x->woken = true;
        x->last_chance = h->draining;
        push(&h->woken, x);
        hs_http_run_after(h);
    }
}

/* End of a fiber's work on the exchange. Runs on the fiber. */
static void end_on_fiber(hs_parked *x, const hs_error *e)
{
    hs_http *h = x->http;

    if (x->q->requester.n) {
        h2o_iovec_t kept = h2o_strdup(&x->req->pool, x->q->requester.p, x->q->requester.n);
        x->requester = hs_http_str(kept);
    }
    h->at_work--;
    if (x->r->parked && !e && h->draining && x->last_chance)
        e = hs_err_later(x->a, 503, HS_M_UNKNOWN, 1000, "The server is shutting down");
    if (x->r->parked && e) {
        x->r->parked = false;
        x->gone(x->ud);
    }
    if (x->r->parked) {
        park(x);
        return;
    }
    if (e)
        write_error(x, e);
    x->state = X_DONE;
    if (!x->in_place)
        hs_http_done(x);
}

static void handle_on_fiber(void *ud)
{
    hs_parked *x = ud;
    const hs_http_hooks *hooks = &x->http->o.hooks;
    hs_error *e = hooks->authenticate ? hooks->authenticate(x->q) : NULL;

    if (!e && hooks->rate_limit)
        e = hooks->rate_limit(x->q);
    if (!e) {
        e = x->route->handler(x->q, x->r);
        if (e && x->route->lax && hooks->once_more && hooks->once_more(x->q, &e)) {
            hs_buf_init(&x->r->body, x->a);
            x->r->headers_n = 0;
            e = x->route->handler(x->q, x->r);
        }
    }
    if (!e && !x->r->parked && !x->r->status)
        e = hs_err_internal(x->a, NULL, "the handler of %s left no answer", x->route->path);
    end_on_fiber(x, e);
}

static void resume_on_fiber(void *ud)
{
    hs_parked *x = ud;
    hs_error *e = x->resume(x->q, x->r, x->ud);

    if (!e && !x->r->parked && !x->r->status)
        e = hs_err_internal(x->a, NULL, "a resumed request of %s left no answer", x->route->path);
    end_on_fiber(x, e);
}

/* From the loop: what is done when fn returns without having slept is sent right here. */
static bool run_in_place(hs_parked *x, void (*fn)(void *ud))
{
    hs_error *e;

    x->in_place = true;
    x->http->at_work++;
    e = hs_fiber_spawn(x->http->loop, fn, x);
    if (e) {
        hs_metric_add(x->http->refused, 1, "fibers");
        x->http->at_work--;
        x->in_place = false;
        return false;
    }
    x->in_place = false;
    if (x->state == X_DONE)
        send_answer(x);
    else if (x->state == X_RUNNING)
        hs_http_wait_begin(x);
    return true;
}

static void resume(hs_parked *x)
{
    static const hs_str BUSY = HS_S_INIT("{\"errcode\":\"M_UNKNOWN\",\"error\":\"The server is busy\"}");

    x->http->parked_n--;
    x->state = X_RUNNING;
    x->woken = false;
    if (open_request(x) || !run_in_place(x, resume_on_fiber)) {
        x->gone(x->ud);
        send_static(x, 503, BUSY);
    }
}

void hs_http_done(hs_parked *x)
{
    push(&x->http->done, x);
    hs_http_run_after(x->http);
}

static void after(hs_post *p)
{
    hs_http *h = p->ud;
    hs_parked *x;

    h->after_waits = false;
    while ((x = pop(&h->done))) {
        if (x->state == X_DONE)
            send_answer(x);
        else if (x->file)
            hs_http_file_go_on(x);
    }
    hs_http_watch_queued(h);
    for (int i = 0; i < RESUMES_PER_TURN && (x = pop(&h->woken)); i++)
        resume(x);
    if (h->woken.first)
        hs_http_run_after(h);
}

hs_error *hs_req_park(hs_req *q, hs_res *r, hs_resume_fn *resume_fn, hs_gone_fn *gone, void *ud, hs_parked **ret)
{
    hs_parked *x = q->conn;

    x->resume = resume_fn;
    x->gone = gone;
    x->ud = ud;
    x->woken = false;
    r->parked = true;

    *ret = x;
    return NULL;
}

void hs_parked_wake(hs_parked *x)
{
    if (x->woken)
        return;
    x->woken = true;
    if (x->state == X_PARKED) {
        push(&x->http->woken, x);
        hs_http_run_after(x->http);
    }
}

bool hs_req_may_park(const hs_req *q)
{
    const hs_parked *x = q->conn;

    return !x->http->draining;
}

size_t hs_http_parked_count(const hs_http *h)
{
    return h->parked_n;
}

void hs_http_give_up(hs_parked *x)
{
    if (x->state != X_PARKED || x->woken)
        return;
    x->http->parked_n--;
    x->req->http1_is_persistent = 0;
    x->gone(x->ud);
    send_static(x, 503, HS_S("{\"errcode\":\"M_UNKNOWN\",\"error\":\"The server is shutting down\"}"));
}

/* ── h2o's side ─────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static size_t body_limit(const hs_route *route)
{
    return route->body ? route->body : DEFAULT_BODY;
}

/* Everything that is decided before a fiber is needed. */
static hs_error *route_request(hs_parked *x)
{
    hs_req *q = x->q;
    hs_match match = { 0 };
    hs_str query = hs_str_from(q->target, q->path.n + 1);

    HS_TRY(hs_router_find(x->http->router, x->a, x->conn->listener->groups, x->method, q->path, &match));
    x->route = q->route = match.route;
    q->params = match.params;
    q->params_n = match.params_n;
    hs_metric_add(x->http->received, 1, hs_http_method_name(x->method), hs_http_servlet(x));
    HS_TRY(hs_query_decode(x->a, query, &q->query, &q->query_n));
    if (!match.route->stream && q->body.n > body_limit(match.route))
        return hs_err(x->a, 413, HS_M_TOO_LARGE, "The request body is too large");
    return NULL;
}

static int on_req(h2o_handler_t *self, h2o_req_t *req)
{
    hs_http *h = *(hs_http **)(void *)(self + 1);
    hs_parked *x = exchange_new(h, req);
    hs_error *e;

    if (!x) {
        h2o_send_error_503(req, "Service Unavailable", "out of memory", H2O_SEND_ERROR_HTTP1_CLOSE_CONNECTION);
        return 0;
    }
    e = open_request(x);
    if (e) {
        send_static(x, 503, HS_S("{\"errcode\":\"M_UNKNOWN\",\"error\":\"The server is out of memory\"}"));
        return 0;
    }
    hs_http_read_request(x);
    e = hs_http_refuse_framing(x);
    if (!e && x->method == HS_OPTIONS) {
        x->r->status = 204;
        send_answer(x);
        return 0;
    }
    if (!e)
        e = route_request(x);
    if (!e && h->at_work >= h->at_work_max) {
        hs_metric_add(h->refused, 1, "requests");
        e = hs_err_later(x->a, 503, HS_M_UNKNOWN, 1000, "The server is busy");
    }
    if (!e && !run_in_place(x, handle_on_fiber))
        e = hs_err_later(x->a, 503, HS_M_UNKNOWN, 1000, "The server is busy");
    if (e) {
        write_error(x, e);
        send_answer(x);
    }
    return 0;
}

/* h2o answers some requests itself, in plain text: too large a body by its own limit, a bad Content-Length. They get
 * our form. */
static const struct {
    int status;
    hs_str body;
} OWN_ERRORS[] = {
    { 400, HS_S_INIT("{\"errcode\":\"M_UNKNOWN\",\"error\":\"Bad request\"}") },
    { 413, HS_S_INIT("{\"errcode\":\"M_TOO_LARGE\",\"error\":\"The request body is too large\"}") },
    { 417, HS_S_INIT("{\"errcode\":\"M_UNKNOWN\",\"error\":\"Unknown expectation\"}") },
    { 503, HS_S_INIT("{\"errcode\":\"M_UNKNOWN\",\"error\":\"The server is busy\"}") },
};

static hs_str own_error(int status)
{
    for (size_t i = 0; i < sizeof OWN_ERRORS / sizeof *OWN_ERRORS; i++)
        if (OWN_ERRORS[i].status == status)
            return OWN_ERRORS[i].body;
    return hs_str_make(NULL, 0);
}

static void send_own_error(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t n, h2o_send_state_t state)
{
    h2o_iovec_t body = iovec(own_error(req->res.status));

    (void)bufs;
    h2o_ostream_send_next(self, req, &body, n ? 1 : 0, state);
}

static void on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    const hs_conn *c = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    hs_str body = own_error(req->res.status);

    (void)self;
    if (body.n && !c->busy) {
        req->res.headers.size = 0;
        req->res.content_length = body.n;
        add_cors(req);
        add_header(req, HS_S("Content-Type"), HS_S("application/json"));
        h2o_ostream_t *o = h2o_add_ostream(req, sizeof *o, slot);
        o->do_send = send_own_error;
        slot = &o->next;
    }
    h2o_setup_next_ostream(req, slot);
}

void hs_http_install(hs_http *h, h2o_pathconf_t *path)
{
    h2o_handler_t *handler = h2o_create_handler(path, sizeof *handler + sizeof h);
    h2o_filter_t *filter = h2o_create_filter(path, sizeof *filter);

    memcpy(handler + 1, &h, sizeof h);
    handler->on_req = on_req;
    filter->on_setup_ostream = on_setup_ostream;
    h->after = (hs_post){ .fn = after, .ud = h };
}
