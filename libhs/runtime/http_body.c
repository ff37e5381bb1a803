/* Request bodies as they arrive. h2o 2.2 hands a request over when all of its body is in memory, so for rows with
 * `stream` the body is kept from it: our callback stands before h2o's on the socket, and when the head of such a
 * request is complete, its Content-Length is renamed in place. h2o then sees a request without a body, hands it over at
 * once and leaves the socket alone until the answer is sent; meanwhile the handler reads from it through here.
 *
 * Small bodies, chunked ones and those of requests that were pipelined behind another are left to h2o. */
#include "runtime/http_framing.h"
#include "runtime/http_impl.h"

#include <errno.h>
#include <h2o/http1.h>
#include <stdlib.h>
#include <unistd.h>

/* What is read from a socket at once: of a head, in buffers of h2o's usual size; of a body. */
#define HEAD_PIECE HS_KIB(4)
#define PIECE      HS_KIB(256)
/* What is cheaper to have whole. */
#define SMALL_BODY HS_KIB(64)
/* A body that nobody wants is still read to its end, or many clients would not see the answer; up to a limit. */
#define MAX_DROPPED  HS_MIB(128)
#define LINGER_MS    30000
#define WINDOW_MS    30000
#define WINDOW_BYTES HS_KIB(30)

static const hs_str LENGTH = HS_S_INIT("content-length");
static const hs_str HIDDEN = HS_S_INIT("x-streamed-len"); /* as long */

/* ── before h2o ─────────────────────────────────────────────────────────────────────────────────────────────────────
 */

typedef struct {
    char *length_name; /* in the socket's input */
    int64_t length;
    bool expect, odd_expect;
} head_fields;

/* The head has passed hs_framing_check. */
static void read_fields(char *bytes, size_t n, head_fields *ret)
{
    hs_str rest = hs_str_make(bytes, n);

    while (rest.p && rest.n) {
        hs_str line = hs_str_split(&rest, '\n');
        size_t colon = hs_str_find(line, ':', 0);
        hs_str name = hs_str_first(line, colon), value = hs_str_trim(hs_str_from(line, colon + 1));
        if (hs_str_eq_nocase(name, LENGTH) && hs_str_to_i64(value, &ret->length)) {
            ret->length_name = bytes + (line.p - bytes);
        } else if (hs_str_eq_nocase(name, HS_S("expect"))) {
            ret->expect = hs_str_eq_nocase(value, HS_S("100-continue"));
            ret->odd_expect = !ret->expect;
        }
    }
}

/* "PUT /path?query HTTP/1.1" */
static bool goes_to_stream(const hs_conn *c, hs_str head)
{
    hs_http *h = c->listener->http;
    hs_str line = hs_str_split(&head, '\n'), method = hs_str_split(&line, ' '), target = hs_str_split(&line, ' ');
    hs_arena *a = hs_http_arena_take(h);
    hs_match match = { 0 };
    bool found;

    if (!a)
        return false;
    found = !hs_router_find(h->router, a, c->listener->groups, hs_str_eq(method, HS_S("PUT")) ? HS_PUT : HS_POST,
                            hs_str_first(target, hs_str_find(target, '?', 0)), &match);
    hs_http_arena_put_back(h, a);
    return found && match.route->stream;
}

static void look_at_head(hs_conn *c)
{
    h2o_buffer_t *in = c->sock->input;
    hs_str bytes = hs_str_make(in->bytes, in->size);
    size_t head = hs_framing_head_len(bytes);
    head_fields fields = { 0 };
    hs_framing f;

    if (!head)
        return;
    c->passed = true;
    bytes.n = head;
    if ((!hs_str_starts(bytes, HS_S("POST ")) && !hs_str_starts(bytes, HS_S("PUT "))) || hs_framing_check(bytes, &f) ||
        !f.has_length)
        return;
    read_fields(in->bytes, head, &fields);
    if (!fields.length_name || fields.length <= (int64_t)SMALL_BODY || fields.odd_expect || !goes_to_stream(c, bytes))
        return;
    memcpy(fields.length_name, HIDDEN.p, HIDDEN.n);
    c->coming = (hs_body){ .on = true,
                           .expect = fields.expect && in->size == head,
                           .head = head,
                           .left = (uint64_t)fields.length,
                           .length = fields.length };
}

/* h2o itself reads until the kernel has no more, into a buffer that doubles: tens of MiB when a client is fast. Hence
 * it only tells us that there is something. What comes over TLS it reads and decodes nevertheless. */
static const char *read_piece(h2o_socket_t *sock, size_t most, size_t *ret_n)
{
    h2o_iovec_t room;
    ssize_t n;

    *ret_n = 0;
    if (sock->ssl)
        return NULL;
    room = h2o_buffer_reserve(&sock->input, most);
    if (!room.base)
        return h2o_socket_error_out_of_memory;
    do
        n = read(h2o_socket_get_fd(sock), room.base, most < PIECE ? room.len : most);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? NULL : n == 0 ? h2o_socket_error_closed : h2o_socket_error_io;
    sock->input->size += (size_t)n;
    *ret_n = (size_t)n;
    return NULL;
}

static void on_read(h2o_socket_t *sock, const char *err)
{
    hs_conn *c = sock->on_close.data;
    bool gone = false;
    size_t n;

    if (!err && !c->passed) {
        err = read_piece(sock, HEAD_PIECE, &n);
        if (!err && !n && !sock->ssl)
            return;
    }
    if (!err && !c->passed && sock->input->size) {
        c->passed = sock->input->bytes[0] != 'P';
        if (!c->passed)
            look_at_head(c);
        if (c->passed) /* the rest of this request is h2o's to read */
            h2o_socket_dont_read(sock, 0);
    }
    c->gone = &gone;
    c->h2o_read(sock, err);
    if (!gone)
        c->gone = NULL;
}

static void watch(hs_conn *c)
{
    h2o_socket_t *sock = c->sock;

    /* Not while a request is at work: h2o reads again at its end. */
    if (!(c->listener->groups & c->listener->http->stream_groups) || c->busy || !sock->_cb.read ||
        sock->_cb.read == on_read)
        return;
    c->h2o_read = sock->_cb.read;
    sock->_cb.read = on_read;
    c->passed = sock->input->size != 0;
    h2o_socket_dont_read(sock, !c->passed && !sock->ssl);
}

/* Over TLS the first request may have come with the end of the handshake. */
void hs_http_accept(hs_listener *l, hs_conn *c)
{
    bool gone = false;

    if (l->groups & l->http->stream_groups)
        look_at_head(c);
    c->gone = &gone;
    h2o_http1_accept(&l->accept, c->sock, *h2o_get_timestamp(&l->http->ctx, NULL, NULL));
    if (gone)
        return;
    c->gone = NULL;
    watch(c);
}

void hs_http_watch_again(hs_conn *c)
{
    hs_http *h = c->listener->http;

    if (c->hook_waits || !(c->listener->groups & h->stream_groups))
        return;
    c->hook_waits = true;
    c->hook_next = h->hooks;
    h->hooks = c;
    hs_http_run_after(h);
}

/* h2o has begun to read again; nothing is read before the next turn. */
void hs_http_watch_queued(hs_http *h)
{
    while (h->hooks) {
        hs_conn *c = h->hooks;
        h->hooks = c->hook_next;
        c->hook_waits = false;
        watch(c);
    }
}

void hs_http_unwatch(hs_conn *c)
{
    hs_conn **at = &c->listener->http->hooks;

    if (c->gone)
        *c->gone = true;
    if (!c->hook_waits)
        return;
    while (*at != c)
        at = &(*at)->hook_next;
    *at = c->hook_next;
}

/* ── the handler's side ─────────────────────────────────────────────────────────────────────────────────────────────
 */

/* What h2o knows of the head points into the socket's input, which moves when more is read. */
static void copy_head(h2o_req_t *req)
{
    req->input.method = h2o_strdup(&req->pool, req->input.method.base, req->input.method.len);
    req->input.path = h2o_strdup(&req->pool, req->input.path.base, req->input.path.len);
    req->input.authority = h2o_strdup(&req->pool, req->input.authority.base, req->input.authority.len);
    req->method = req->input.method;
    req->path = req->input.path;
    req->authority = req->input.authority;
    for (size_t i = 0; i < req->headers.size; i++) {
        h2o_header_t *header = &req->headers.entries[i];
        if (!h2o_iovec_is_token(header->name))
            *header->name = h2o_strdup(&req->pool, header->name->base, header->name->len);
        header->value = h2o_strdup(&req->pool, header->value.base, header->value.len);
    }
}

void hs_http_body_begin(hs_parked *x)
{
    x->body = x->conn->coming;
    x->conn->coming = (hs_body){ 0 };
    if (!x->body.on) {
        x->body.length = -1;
        return;
    }
    h2o_socket_dont_read(x->conn->sock, !x->conn->sock->ssl);
    x->conn->window_at = hs_loop_now(x->http->loop);
    x->conn->window_n = 0;
    copy_head(x->req);
}

int64_t hs_body_length(const hs_req *q)
{
    const hs_parked *x = q->conn;

    return x->body.length;
}

static void wake(hs_parked *x)
{
    hs_fiber *f = x->body.fiber;

    x->body.fiber = NULL;
    if (f)
        hs_fiber_wake(f);
}

static void wait_here(hs_parked *x)
{
    x->body.fiber = hs_fiber_self(x->http->loop);
    while (x->body.fiber)
        hs_fiber_suspend(x->http->loop);
}

static void on_more(h2o_socket_t *sock, const char *err)
{
    const hs_conn *c = sock->on_close.data;
    hs_parked *x = c->busy;
    size_t n;

    if (!err)
        err = read_piece(sock, PIECE, &n);
    if (err)
        x->body.broken = true;
    if (!err && sock->input->size <= x->body.head)
        return; /* half a record of TLS */
    h2o_socket_read_stop(sock);
    wake(x);
}

static void on_continue(h2o_socket_t *sock, const char *err)
{
    const hs_conn *c = sock->on_close.data;

    if (err)
        c->busy->body.broken = true;
    wake(c->busy);
}

/* Takes n bytes behind the head out of the input. */
static void drop(hs_parked *x, size_t n)
{
    h2o_buffer_t *in = x->conn->sock->input;
    char *body = in->bytes + x->body.head;

    memmove(body, body + n, in->size - x->body.head - n);
    in->size -= n;
}

static void drop_taken(hs_parked *x)
{
    drop(x, x->body.taken);
    x->body.taken = 0;
}

static size_t arrived(const hs_parked *x)
{
    size_t n = x->conn->sock->input->size - x->body.head - x->body.taken;

    return n < x->body.left ? n : (size_t)x->body.left;
}

hs_error *hs_body_read(hs_req *q, hs_str *ret)
{
    static h2o_iovec_t go_on = { (char *)(uintptr_t) "HTTP/1.1 100 Continue\r\n\r\n", 25 };
    hs_parked *x = q->conn;
    hs_body *b = &x->body;
    size_t n;

    if (!b->on) {
        *ret = q->body;
        q->body = hs_str_make(NULL, 0);
        return NULL;
    }
    drop_taken(x);
    if (b->left && b->expect) {
        b->expect = false;
        h2o_socket_write(x->conn->sock, &go_on, 1, on_continue);
        wait_here(x);
    }
    while (b->left && !b->broken && !arrived(x)) {
        h2o_socket_read_start(x->conn->sock, on_more);
        wait_here(x);
    }
    n = arrived(x);
    if (b->left && !n)
        return hs_err(q->a, 499, HS_M_UNKNOWN, "The client went away");
    b->taken = n;
    b->left -= n;

    *ret = hs_str_make(x->conn->sock->input->bytes + b->head, n);
    return NULL;
}

bool hs_http_body_slow(hs_parked *x, int64_t now)
{
    hs_conn *c = x->conn;
    size_t got = (size_t)(x->body.length - (int64_t)x->body.left);

    if (!x->body.on)
        return false;
    if (x->body.lingers)
        return now - x->sent_ns / 1000000 > LINGER_MS;
    if (x->body.fiber && now - c->window_at > WINDOW_MS && got - c->window_n < WINDOW_BYTES)
        return true;
    if (!x->body.fiber || now - c->window_at > WINDOW_MS) {
        c->window_at = now;
        c->window_n = got;
    }
    return false;
}

/* ── after the handler ──────────────────────────────────────────────────────────────────────────────────────────────
 */

static void end_lingering(hs_parked *x)
{
    h2o_socket_read_stop(x->conn->sock);
    h2o_send(x->req, NULL, 0, H2O_SEND_STATE_FINAL);
}

static void on_unwanted(h2o_socket_t *sock, const char *err)
{
    const hs_conn *c = sock->on_close.data;
    hs_parked *x = c->busy;
    size_t n;

    if (!err)
        err = read_piece(sock, PIECE, &n);
    n = arrived(x);
    drop(x, n);
    x->body.left -= n;
    if (err || !x->body.left)
        end_lingering(x);
}

/* The answer is out. */
static void linger(h2o_generator_t *g, h2o_req_t *req)
{
    hs_parked *x = H2O_STRUCT_FROM_MEMBER(hs_parked, generator, g);

    (void)req;
    x->body.lingers = true;
    h2o_socket_read_start(x->conn->sock, on_unwanted);
}

bool hs_http_body_end(hs_parked *x)
{
    hs_body *b = &x->body;
    size_t n;

    if (!b->on)
        return false;
    drop_taken(x);
    n = arrived(x);
    drop(x, n);
    b->left -= n;
    if (!b->left)
        return false;
    x->req->http1_is_persistent = 0;
    /* who waits to be told to go on has not sent any of it */
    if (b->broken || b->expect || b->left > MAX_DROPPED)
        return false;
    x->generator = (h2o_generator_t){ .proceed = linger };
    return true;
}
