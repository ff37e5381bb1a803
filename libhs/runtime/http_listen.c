/* Listeners, TLS and connections: who may connect, how long a connection may be slow or idle, and how all of them end.
 */
#include "runtime/http_framing.h"
#include "runtime/http_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h> /* for tcpi_bytes_acked, which netinet/tcp.h of today's glibc lacks */
#include <netdb.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CONNECTIONS  20000u
#define KEPT_FDS         256u /* for the database, files, outgoing requests */
#define ACCEPTS_PER_TURN 64
#define PAUSE_MS         200
#define SWEEP_MS         2000
#define IDLE_MS          90000
#define HEAD_MS          10000
#define HEAD_BYTES       HS_KIB(64)
#define WINDOW_MS        30000
#define WINDOW_BYTES     HS_KIB(30) /* what must come or go in a window */
/* h2o's timer runs from the first byte to the last of a request; ours above are the ones that matter. */
#define H2O_REQUEST_MS (20 * 60 * 1000)
/* An end, when other processes listen on the same port: how long handshakes that have begun may take, and how long a
 * connection that has had a request may wait for the next one. Always: how long it may wait for its first. */
#define HANDOVER_MS 150
#define USED_MS     2000
#define FIRST_MS    1000
/* What all requests that are still being read may hold, and what one may hold when that is too much. */
#define READING_BYTES HS_MIB(512)
#define SMALL_BYTES   HS_KIB(64)
/* A body of this size is always read, so that what is only slightly too large gets a proper answer. */
#define LEAST_MAX_BODY HS_MIB(1)

/* ── connections ────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static void on_conn_closed(void *data)
{
    hs_conn *c = data;
    hs_http *h = c->listener->http;

    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    h->conns_n--;
    hs_http_unwatch(c);
    free(c);
}

void hs_http_peer(hs_conn *c)
{
    struct sockaddr_storage ss;
    const void *in = NULL;

    if (c->peer[0])
        return;
    memcpy(c->peer, "unix", 5);
    if (h2o_socket_getpeername(c->sock, (struct sockaddr *)&ss) == 0)
        return;
    if (ss.ss_family == AF_INET)
        in = &((const struct sockaddr_in *)&ss)->sin_addr;
    else if (ss.ss_family == AF_INET6)
        in = &((const struct sockaddr_in6 *)&ss)->sin6_addr;
    if (!in)
        return;
    if (ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)in))
        inet_ntop(AF_INET, (const char *)in + 12, c->peer, sizeof c->peer);
    else
        inet_ntop(ss.ss_family, in, c->peer, sizeof c->peer);
}

static void pause_listener(hs_listener *l)
{
    if (!l->paused)
        h2o_socket_read_stop(l->sock);
    l->paused = true;
}

/* h2o's own callback reads the first request before anybody else may look at it. */
static void on_handshake(h2o_socket_t *sock, const char *err)
{
    hs_conn *c = sock->on_close.data;
    hs_listener *l = c->listener->http->listeners;

    c->handshake = false;
    if (err) {
        h2o_socket_close(sock);
        return;
    }
    while (l != c->listener)
        l = l->next;
    hs_http_accept(l, c);
}

static void adopt(hs_listener *l, h2o_socket_t *sock)
{
    hs_http *h = l->http;
    hs_conn *c = calloc(1, sizeof *c);

    if (!c) {
        h2o_socket_close(sock);
        return;
    }
    c->listener = l;
    c->sock = sock;
    c->idle_since = hs_loop_now(h->loop);
    c->next = h->conns;
    if (h->conns)
        h->conns->prev = c;
    h->conns = c;
    h->conns_n++;
    sock->on_close.cb = on_conn_closed;
    sock->on_close.data = c;
    c->handshake = l->accept.ssl_ctx != NULL;
    if (c->handshake)
        h2o_socket_ssl_handshake(sock, l->accept.ssl_ctx, NULL, on_handshake);
    else
        hs_http_accept(l, c);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    hs_listener *l = listener->data;

    if (err)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        h2o_socket_t *sock = l->http->conns_n < l->http->conns_max ? h2o_evloop_socket_accept(listener) : NULL;
        if (sock) {
            adopt(l, sock);
        } else {
            /* Over the limit or out of descriptors: the kernel's queue holds the others until some have gone. */
            if (l->http->conns_n >= l->http->conns_max || (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR))
                pause_listener(l);
            return;
        }
    }
}

/* What the peer has received so far, or 0 when that cannot be known (a unix socket). */
static size_t bytes_taken(const hs_conn *c)
{
    struct tcp_info info = { 0 };
    socklen_t n = sizeof info;

    if (getsockopt(h2o_socket_get_fd(c->sock), IPPROTO_TCP, TCP_INFO, &info, &n))
        return 0;
    return (size_t)info.tcpi_bytes_acked;
}

/* An answer is under way as long as the kernel has not taken all of it, so there is more to take. */
static bool reads_too_slowly(hs_conn *c, int64_t now, int64_t began)
{
    size_t taken;

    if (c->window_at < began) {
        c->window_at = began;
        c->window_n = 0;
    }
    if (now - c->window_at <= WINDOW_MS)
        return false;
    taken = bytes_taken(c);
    if (!taken)
        taken = hs_http_file_sent(c->busy);
    if (c->window_n && taken - c->window_n < WINDOW_BYTES)
        return true;
    c->window_at = now;
    c->window_n = taken;
    return !taken && now - began > 10 * WINDOW_MS;
}

/* True when the connection must go. */
static bool is_too_slow(hs_conn *c, int64_t now)
{
    const h2o_buffer_t *in = c->sock->input;
    hs_parked *x = c->busy;

    if (c->handshake)
        return now - c->idle_since > HEAD_MS;
    if (x)
        return hs_http_body_slow(x, now) || (x->state == X_SENT && reads_too_slowly(c, now, x->sent_ns / 1000000));
    if (!in->size) {
        c->reading_since = 0;
        return now - c->idle_since > IDLE_MS;
    }
    if (!c->reading_since) {
        c->reading_since = c->window_at = now;
        c->window_n = in->size;
    }
    if (!c->head_done) {
        c->head_done = hs_framing_head_len(hs_str_make(in->bytes, in->size)) != 0;
        return !c->head_done && (now - c->reading_since > HEAD_MS || in->size > HEAD_BYTES);
    }
    if (now - c->window_at > WINDOW_MS) {
        if (in->size - c->window_n < WINDOW_BYTES)
            return true;
        c->window_at = now;
        c->window_n = in->size;
    }
    return false;
}

static void arm_sweep(hs_http *h)
{
    bool paused = false;

    for (const hs_listener *l = h->listeners; l; l = l->next)
        paused = paused || l->paused;
    (void)!hs_timer_arm(h->loop, &h->sweep, paused ? PAUSE_MS : SWEEP_MS);
}

/* Many large bodies at once must not fill the memory: some of them go. */
static void bound_reading(hs_http *h)
{
    size_t total = 0;

    for (const hs_conn *c = h->conns; c; c = c->next)
        total += c->busy ? 0 : c->sock->input->size;
    if (total <= READING_BYTES)
        return;
    hs_log(h->o.log, HS_LOG_WARN, "http.reading", "bytes=%zu connections=%zu, some are cut", total, h->conns_n);
    for (const hs_conn *c = h->conns; c && total > READING_BYTES; c = c->next) {
        if (!c->busy && c->sock->input->size > SMALL_BYTES) {
            total -= c->sock->input->size;
            shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
        }
    }
}

static void sweep(hs_timer *t)
{
    hs_http *h = t->ud;
    int64_t now = hs_loop_now(h->loop);

    /* h2o closes the connection when it reads the end; none vanishes during the walk. */
    for (hs_conn *c = h->conns; c; c = c->next)
        if (is_too_slow(c, now))
            shutdown(h2o_socket_get_fd(c->sock), c->busy ? SHUT_RDWR : SHUT_RD);
    bound_reading(h);
    for (hs_listener *l = h->listeners; l; l = l->next) {
        if (l->paused && l->sock && h->conns_n < h->conns_max) {
            l->paused = false;
            h2o_socket_read_start(l->sock, on_accept);
        }
    }
    arm_sweep(h);
}

/* ── opening ────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

/* A turn that takes long is one that nobody else was served in: something blocks, or is far too much at once. */
static void observe_turn(void *ud, double seconds)
{
    hs_http *h = ud;

    hs_metric_observe(h->ticks, seconds);
    if (seconds > 1)
        hs_log(h->o.log, HS_LOG_WARN, "loop.slow", "ms=%.0f requests=%llu", seconds * 1000, (unsigned long long)h->seq);
}

static size_t connection_limit(size_t wanted)
{
    struct rlimit fds;
    size_t most = wanted ? wanted : MAX_CONNECTIONS;

    if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur != RLIM_INFINITY) {
        size_t have = fds.rlim_cur > 2 * KEPT_FDS ? (size_t)fds.rlim_cur - KEPT_FDS : (size_t)fds.rlim_cur / 2;
        if (most > have)
            most = have;
    }
    return most;
}

hs_http *hs_http_open(hs_loop *loop, const hs_http_options *o)
{
    hs_http *h = calloc(1, sizeof *h);
    struct sigaction pipe_action;
    h2o_hostconf_t *host;

    if (!h)
        return NULL;
    h->loop = loop;
    h->o = *o;
    h->router = hs_router_open();
    h->sweep = (hs_timer){ .fn = sweep, .ud = h };
    if (!h->router || hs_timer_arm(loop, &h->sweep, SWEEP_MS)) {
        hs_router_close(h->router);
        free(h);
        return NULL;
    }
    /* h2o writes to sockets that clients may have closed. */
    if (sigaction(SIGPIPE, NULL, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
    h->conns_max = connection_limit(o->max_connections);
    h->at_work_max = o->max_at_work ? o->max_at_work : 4096;
    h2o_config_init(&h->conf);
    h->conf.server_name =
        o->server_header ? h2o_iovec_init(o->server_header, strlen(o->server_header)) : h2o_iovec_init(NULL, 0);
    h->conf.http1.upgrade_to_http2 = 0;
    h->conf.http1.req_timeout = H2O_REQUEST_MS;
    h->conf.max_request_entity_size = LEAST_MAX_BODY;
    host = h2o_config_register_host(&h->conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    hs_http_install(h, &host->fallback_path);
    h2o_context_init(&h->ctx, hs_loop_h2o(loop), &h->conf);
    hs_http_metrics(h);
    hs_loop_observe(loop, observe_turn, h);
    return h;
}

static hs_error *group_bit(hs_http *h, hs_arena *a, const char *name, uint32_t *ret)
{
    size_t i = 0;

    while (i < h->groups_n && strcmp(h->groups[i], name) != 0)
        i++;
    if (i == h->groups_n) {
        if (i == 32)
            return hs_err_internal(a, NULL, "too many resource groups: %s", name);
        h->groups[i] = strdup(name);
        if (!h->groups[i])
            return HS_ERR_NOMEM;
        h->groups_n++;
    }
    *ret = (uint32_t)1 << i;
    return NULL;
}

hs_error *hs_http_routes(hs_http *h, hs_arena *a, const char *group, const hs_route_set *sets, size_t n)
{
    uint32_t bit;

    HS_TRY(group_bit(h, a, group, &bit));
    for (size_t i = 0; i < n; i++) {
        HS_TRY(hs_router_add(h->router, a, &sets[i], bit));
        for (const hs_route *r = sets[i].routes; r->path; r++) {
            if (r->stream)
                h->stream_groups |= bit;
            else if (r->body + 1 > h->conf.max_request_entity_size)
                h->conf.max_request_entity_size = r->body + 1;
        }
    }
    return NULL;
}

/* ── TLS ────────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static int no_passphrase(char *buf, int n, int writing, void *ud)
{
    (void)buf;
    (void)n;
    (void)writing;
    (void)ud;
    return 0;
}

static hs_error *tls_error(hs_arena *a, const char *what, const char *file)
{
    unsigned long code = ERR_peek_error(); /* the first is the cause: no such file, wrong key … */
    const char *why = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    ERR_clear_error();
    return hs_err(a, 500, HS_M_UNKNOWN, "%s %s cannot be used: %s", what, file, why ? why : "unknown reason");
}

static hs_error *tls_open(hs_arena *a, const char *cert, const char *key, SSL_CTX **ret)
{
    static const h2o_iovec_t PROTOCOLS[] = { { (char *)(uintptr_t) "http/1.1", 8 }, { NULL, 0 } };
    SSL_CTX *ctx;
    hs_error *e = NULL;

    ERR_clear_error();
    ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        return HS_ERR_NOMEM;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        e = tls_error(a, "The certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        e = tls_error(a, "The private key", key);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        e = tls_error(a, "The private key", key);
    if (e) {
        SSL_CTX_free(ctx);
        return e;
    }
    h2o_ssl_register_alpn_protocols(ctx, PROTOCOLS);

    *ret = ctx;
    return NULL;
}

static void tls_hook(void *ud)
{
    SSL_CTX_free(*(SSL_CTX **)ud);
}

/* All are read before any is put in place. */
hs_error *hs_http_reload_tls(hs_http *h, hs_arena *a)
{
    SSL_CTX **fresh;
    size_t n = 0, i = 0;

    for (const hs_listener *l = h->listeners; l; l = l->next)
        n++;
    HS_TRY(hs_alloc(a, n, &fresh));
    for (const hs_listener *l = h->listeners; l; l = l->next, i++) {
        if (!l->tls_cert)
            continue;
        HS_TRY(hs_arena_on_reset(a, tls_hook, &fresh[i]));
        HS_TRY(tls_open(a, l->tls_cert, l->tls_key, &fresh[i]));
    }
    i = 0;
    for (hs_listener *l = h->listeners; l; l = l->next, i++) {
        SSL_CTX *old = l->accept.ssl_ctx;
        if (l->tls_cert) {
            l->accept.ssl_ctx = fresh[i];
            fresh[i] = old; /* connections that use it hold their own reference */
        }
    }
    return NULL;
}

/* ── listeners ──────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static char *dup_or_null(const char *s)
{
    return s ? strdup(s) : NULL;
}

/* The socket's file goes too, unless another process has put its own there. */
static void listener_free(hs_listener *l)
{
    struct stat st;

    if (l->sock)
        h2o_socket_close(l->sock);
    if (l->unix_path && stat(l->unix_path, &st) == 0 && st.st_dev == l->unix_dev && st.st_ino == l->unix_ino)
        unlink(l->unix_path);
    SSL_CTX_free(l->accept.ssl_ctx);
    free(l->tls_cert);
    free(l->tls_key);
    free(l->unix_path);
    free(l->address);
    free(l);
}

/* "::" takes IPv4 too, so an any-address of version 4 beside it is there already. */
static const hs_listener *covers(const hs_http *h, const hs_listener_options *o)
{
    for (const hs_listener *l = h->listeners; l && o->address && strcmp(o->address, "0.0.0.0") == 0; l = l->next)
        if (l->address && strcmp(l->address, "::") == 0 && l->port == o->port)
            return l;
    return NULL;
}

static hs_error *listener_bind(hs_arena *a, const hs_listener_options *o, hs_listener *l)
{
    struct stat st;
    int fd;

    if (o->tls_cert)
        HS_TRY(tls_open(a, o->tls_cert, o->tls_key, &l->accept.ssl_ctx));
    if (o->address)
        HS_TRY(hs_http_bind_tcp(a, o, &fd, &l->port));
    else
        HS_TRY(hs_http_bind_unix(a, o, &fd));
    l->sock = h2o_evloop_socket_create(hs_loop_h2o(l->http->loop), fd, H2O_SOCKET_FLAG_DONT_READ);
    l->sock->data = l;
    l->address = dup_or_null(o->address);
    l->unix_path = o->address ? NULL : dup_or_null(o->unix_path);
    if (l->unix_path && stat(l->unix_path, &st) == 0) {
        l->unix_dev = st.st_dev;
        l->unix_ino = st.st_ino;
    }
    l->tls_cert = dup_or_null(o->tls_cert);
    l->tls_key = dup_or_null(o->tls_key);
    l->x_forwarded = o->x_forwarded;
    l->shared = o->reuse_port;
    snprintf(l->tag, sizeof l->tag, o->address ? "%u" : "unix", (unsigned)l->port);
    snprintf(l->log_name, sizeof l->log_name, "synapse.access.%s.%s", o->tls_cert ? "https" : "http", l->tag);
    return NULL;
}

hs_error *hs_http_listen(hs_http *h, hs_arena *a, const hs_listener_options *o, uint16_t *ret_port)
{
    uint32_t groups = 0, bit = 0;
    hs_listener *l;
    hs_error *e;

    for (const char *const *g = o->groups; g && *g; g++) {
        HS_TRY(group_bit(h, a, *g, &bit));
        groups |= bit;
    }
    if (o->port && covers(h, o)) {
        *ret_port = o->port;
        return NULL;
    }
    l = calloc(1, sizeof *l);
    if (!l)
        return HS_ERR_NOMEM;
    l->http = h;
    l->groups = groups;
    l->accept.ctx = &h->ctx;
    l->accept.hosts = h->conf.hosts;
    e = listener_bind(a, o, l);
    if (e) {
        listener_free(l);
        return e;
    }
    h2o_socket_read_start(l->sock, on_accept);
    l->next = h->listeners;
    h->listeners = l;

    *ret_port = l->port;
    return NULL;
}

/* ── ending ─────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static void stop_listening(hs_http *h)
{
    for (hs_listener *l = h->listeners; l; l = l->next) {
        h2o_socket_t *sock = NULL;
        while (l->sock && (sock = h2o_evloop_socket_accept(l->sock))) /* the queue would be reset */
            adopt(l, sock);
        if (l->sock)
            h2o_socket_close(l->sock);
        l->sock = NULL;
    }
}

/* Whether any port is shared: then another process takes the new connections, and this one may take its time. */
static bool hand_over(hs_http *h)
{
    bool any = false;

    for (hs_listener *l = h->listeners; l; l = l->next) {
        if (!l->shared || !l->sock)
            continue;
        any = true;
        if (l->address)
            hs_http_bind_quiet(h2o_socket_get_fd(l->sock));
    }
    return any;
}

/* h2o notices idle connections that are shut, and closes them. */
static void shut(hs_http *h, bool busy_too)
{
    for (hs_conn *c = h->conns; c; c = c->next) {
        if (!c->busy && (busy_too || !c->sock->input->size))
            shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
        else if (busy_too && c->busy && c->busy->state == X_SENT)
            shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
    }
}

/* Idle connections go, but not one whose first request may be on its way, nor, before `used_after`, one whose next
 * request may be: it would be told to close by the answer. */
static void shut_idle(hs_http *h, int64_t used_after)
{
    int64_t now = hs_loop_now(h->loop);

    for (hs_conn *c = h->conns; c; c = c->next) {
        if (c->busy || c->sock->input->size)
            continue;
        if (c->used ? now >= used_after : now - c->idle_since >= FIRST_MS)
            shutdown(h2o_socket_get_fd(c->sock), SHUT_RD);
    }
}

static void begin_drain(hs_http *h)
{
    hs_parked *next;

    h->draining = true;
    h->ctx.shutdown_requested = 1; /* h2o's own function also starts HTTP/2's timers, which nothing here would end */
    for (hs_parked *x = h->live; x; x = next) {
        next = x->next;
        if (x->state == X_PARKED)
            hs_parked_wake(x);
    }
}

bool hs_http_drain(hs_http *h, int64_t deadline_ms)
{
    int64_t began = hs_loop_now(h->loop), until = began + deadline_ms;
    bool shared = hand_over(h);
    int64_t closes = began + (!shared ? 0 : deadline_ms < HANDOVER_MS ? deadline_ms : HANDOVER_MS);
    int64_t used_after = began + (!shared ? 0 : deadline_ms / 2 < USED_MS ? deadline_ms / 2 : USED_MS);

    begin_drain(h);
    for (;;) {
        if (hs_loop_now(h->loop) >= closes)
            stop_listening(h);
        if (h->hurry || hs_loop_now(h->loop) >= until || (hs_loop_now(h->loop) >= closes && !h->conns_n))
            break;
        shut_idle(h, used_after);
        hs_fiber_sleep(h->loop, 10);
    }
    return h->conns_n == 0;
}

void hs_http_hurry(hs_http *h)
{
    h->hurry = true;
}

static void give_up_parked(hs_http *h)
{
    hs_parked *next;

    for (hs_parked *x = h->live; x; x = next) {
        next = x->next;
        hs_http_give_up(x);
    }
}

void hs_http_close(hs_http *h)
{
    if (!h)
        return;
    h->draining = true;
    stop_listening(h);
    give_up_parked(h);
    h->ctx.shutdown_requested = 1;
    for (int i = 0; i < 200 && (h->conns_n || h->live); i++) {
        shut(h, true);
        if (hs_fiber_self(h->loop))
            hs_fiber_sleep(h->loop, 10);
        else
            hs_loop_turn(h->loop, 10);
    }
    hs_timer_disarm(h->loop, &h->sweep);
    hs_metrics_forget(h->o.metrics, h);
    hs_loop_observe(h->loop, NULL, NULL);
    if (h->conns_n || h->live)
        return; /* a handler hangs: its request's memory must stay, and so must ours */
    while (h->listeners) {
        hs_listener *l = h->listeners;
        h->listeners = l->next;
        listener_free(l);
    }
    h2o_multithread_queue_t *queue = h->ctx.queue;
    h2o_context_dispose(&h->ctx);
#if H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13
    free(queue); /* which h2o 2.2 forgets */
#else
    (void)queue;
#endif
    h2o_config_dispose(&h->conf);
    hs_router_close(h->router);
    while (h->arenas_n)
        hs_arena_close(h->arenas[--h->arenas_n]);
    while (h->groups_n)
        free(h->groups[--h->groups_n]);
    free(h);
}
