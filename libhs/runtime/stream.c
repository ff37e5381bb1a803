/* See stream.h. Its TLS: stream_tls.c. */
#include "base/checked.h"
#include "runtime/stream_impl.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_SIZE   ((size_t)64 * 1024)
#define READS       4 /* of one stream in a turn: the others want theirs */
#define OUT_KEPT    ((size_t)256 * 1024)
#define LOOKUP_HEAP ((size_t)64 * 1024)

static void unref(hs_stream *s)
{
    if (--s->refs)
        return;
    free(s->out);
    free(s->host);
    free(s->path);
    free(s);
}

static void drop_socket(hs_stream *s)
{
    hs_stream_tls_end(s);
    if (s->fd < 0)
        return;
    (void)!hs_io_want(s->loop, &s->io, 0);
    close(s->fd);
    s->fd = -1;
}

void hs_stream_fail(hs_stream *s, const char *what, const char *why)
{
    char text[320];

    if (s->failed || s->closed)
        return;
    s->failed = true;
    s->open = false;
    hs_timer_disarm(s->loop, &s->deadline);
    int n = snprintf(text, sizeof text, "%s: %s", what, why);
    drop_socket(s);
    s->calls->failed(s->ud, hs_str_make(text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

static void on_deadline(hs_timer *t)
{
    hs_stream *s = t->ud;

    s->refs++;
    hs_stream_fail(s,
                   s->resolving   ? "looking the name up"
                   : s->connected ? "TLS handshake"
                                  : "connecting",
                   "timed out");
    unref(s);
}

/* ── sending ── */

static bool send_some(hs_stream *s)
{
    while (s->open && s->out_at < s->out_n) {
        ssize_t n = s->ssl ? hs_stream_tls_write(s, s->out + s->out_at, s->out_n - s->out_at)
                           : send(s->fd, s->out + s->out_at, s->out_n - s->out_at, MSG_NOSIGNAL);
        if (n > 0) {
            s->out_at += (size_t)n;
            continue;
        }
        if (n == 0 || errno == EAGAIN)
            break;
        if (errno != EINTR) {
            hs_stream_fail(s, "sending", strerror(errno));
            return false;
        }
    }
    if (s->out_at == s->out_n) {
        s->out_at = s->out_n = 0;
        if (s->out_cap > OUT_KEPT) {
            free(s->out);
            s->out = NULL;
            s->out_cap = 0;
        }
    }
    return !s->failed && !s->closed;
}

static void want(hs_stream *s)
{
    unsigned events = HS_IO_READ;

    if (s->failed || s->closed)
        return;
    if (s->out_at < s->out_n || s->tls_wants_write)
        events |= HS_IO_WRITE;
    if (hs_io_want(s->loop, &s->io, events))
        hs_stream_fail(s, "watching", "no memory");
}

static void later(hs_stream *s)
{
    if (s->turn_waits)
        return;
    s->turn_waits = true;
    s->refs++;
    hs_loop_defer(s->loop, &s->turn);
}

static bool make_room(hs_stream *s, size_t n)
{
    size_t waiting = s->out_n - s->out_at, cap = s->out_cap ? s->out_cap : 4096;

    if (s->out_at) {
        memmove(s->out, s->out + s->out_at, waiting);
        s->out_at = 0;
        s->out_n = waiting;
    }
    while (cap - waiting < n)
        cap *= 2;
    if (cap == s->out_cap)
        return true;
    char *grown = realloc(s->out, cap);
    if (!grown)
        return false;
    s->out = grown;
    s->out_cap = cap;
    return true;
}

bool hs_stream_write(hs_stream *s, const hs_str *parts, size_t n)
{
    size_t all = 0, waiting = s->out_n - s->out_at;

    for (size_t i = 0; i < n; i++)
        if (parts[i].n > s->out_max || (all += parts[i].n) > s->out_max)
            return false;
    if (s->failed || s->closed || waiting + all > s->out_max)
        return false;
    if (s->out_cap - s->out_n < all && !make_room(s, all))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n)
            memcpy(s->out + s->out_n, parts[i].p, parts[i].n);
        s->out_n += parts[i].n;
    }
    if (s->open)
        later(s);
    return true;
}

size_t hs_stream_waiting(const hs_stream *s)
{
    return s->out_n - s->out_at;
}

/* ── receiving ── */

/* True: there may be more. */
static bool receive_some(hs_stream *s)
{
    ssize_t n = s->ssl ? hs_stream_tls_read(s, s->in, READ_SIZE) : recv(s->fd, s->in, READ_SIZE, 0);

    if (n > 0) {
        s->calls->came(s->ud, hs_str_make(s->in, (size_t)n));
        return !s->failed && !s->closed;
    }
    if (n == 0)
        hs_stream_fail(s, "receiving", "the other side closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        hs_stream_fail(s, "receiving", strerror(errno));
    return false;
}

static void receive(hs_stream *s)
{
    int reads = 0;

    while (s->open && receive_some(s)) {
        if (++reads < READS)
            continue;
        if (s->ssl) /* what OpenSSL holds already does not show at the descriptor */
            later(s);
        return;
    }
}

static void on_turn(hs_post *p)
{
    hs_stream *s = p->ud;

    s->turn_waits = false;
    if (s->open && s->ssl)
        receive(s);
    if (s->open && send_some(s))
        want(s);
    unref(s);
}

/* ── opening ── */

static void connect_next(hs_stream *s, int error);

static void opened(hs_stream *s)
{
    hs_timer_disarm(s->loop, &s->deadline);
    s->open = true;
    s->calls->opened(s->ud);
    if (s->open && send_some(s))
        want(s);
}

static void shake_hands(hs_stream *s)
{
    int done = hs_stream_tls_handshake(s);

    if (done > 0)
        opened(s);
    else if (done == 0)
        want(s);
}

static void connected(hs_stream *s)
{
    int error = 0;
    socklen_t n = sizeof error;

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error) {
        connect_next(s, error);
        return;
    }
    s->connected = true;
    if (!s->tls)
        opened(s);
    else if (hs_stream_tls_begin(s))
        shake_hands(s);
}

static void on_io(hs_io *io, unsigned events)
{
    hs_stream *s = io->ud;

    s->refs++;
    if (!s->connected) {
        if (events & HS_IO_WRITE)
            connected(s);
    } else if (!s->open) {
        shake_hands(s);
    } else {
        if ((events & HS_IO_READ) || s->ssl)
            receive(s);
        if (s->open && send_some(s))
            want(s);
    }
    unref(s);
}

/* `error`: why the address before did not do; 0: the first. */
static void connect_next(hs_stream *s, int error)
{
    const int on = 1;

    for (;;) {
        drop_socket(s);
        if (s->next == s->found.n) {
            hs_stream_fail(s, "connecting", error ? strerror(error) : "no address");
            return;
        }
        const hs_address *to = &s->found.at[s->next++];
        s->fd = socket(to->any.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (s->fd < 0) {
            error = errno;
            continue;
        }
        if (to->any.sa.sa_family != AF_UNIX)
            (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(s->fd, &to->any.sa, to->n) == 0 || errno == EINPROGRESS)
            break;
        error = errno;
    }
    s->io = (hs_io){ .fn = on_io, .ud = s, .fd = s->fd };
    if (hs_io_want(s->loop, &s->io, HS_IO_WRITE))
        hs_stream_fail(s, "watching", "no memory");
}

static int look_up(const char *host, uint16_t port, int flags, hs_addresses *ret)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
    struct addrinfo *all;
    char number[8];

    snprintf(number, sizeof number, "%u", port);
    int error = getaddrinfo(host, number, &hints, &all);
    if (error)
        return error;
    ret->n = 0;
    for (const struct addrinfo *i = all; i && ret->n < HS_ADDRESSES; i = i->ai_next) {
        if (i->ai_addrlen > sizeof ret->at[0].any)
            continue;
        memcpy(&ret->at[ret->n].any, i->ai_addr, i->ai_addrlen);
        ret->at[ret->n++].n = i->ai_addrlen;
    }
    freeaddrinfo(all);
    return 0;
}

typedef struct {
    const char *host;
    uint16_t port;
    int error;
    hs_addresses found;
} lookup;

static void look_up_on_thread(void *ud)
{
    lookup *l = ud;

    l->error = look_up(l->host, l->port, AI_ADDRCONFIG, &l->found);
}

static void resolve(void *ud)
{
    hs_stream *s = ud;
    hs_arena *a = hs_arena_open(LOOKUP_HEAP);
    lookup l = { .host = s->host, .port = s->port };
    hs_error *e = a ? hs_offload(s->loop, a, look_up_on_thread, &l) : HS_ERR_NOMEM;

    s->resolving = false;
    if (e) {
        hs_stream_fail(s, "looking the name up", "the threads are busy");
    } else if (l.error) {
        hs_stream_fail(s, "looking the name up", gai_strerror(l.error));
    } else if (!s->closed && !s->failed) {
        s->found = l.found;
        connect_next(s, 0);
    }
    hs_arena_close(a);
    unref(s);
}

static void begin(hs_post *p)
{
    hs_stream *s = p->ud;
    struct sockaddr_un *un = &s->found.at[0].any.un;

    s->turn_waits = false;
    s->turn.fn = on_turn;
    if (s->closed) {
        unref(s);
        return;
    }
    if (hs_timer_arm(s->loop, &s->deadline, s->open_ms)) {
        hs_stream_fail(s, "opening", "no memory");
    } else if (s->path) {
        if (strlen(s->path) >= sizeof un->sun_path) {
            hs_stream_fail(s, "connecting", "the path of the socket is too long");
        } else {
            un->sun_family = AF_UNIX;
            memcpy(un->sun_path, s->path, strlen(s->path) + 1);
            s->found.at[0].n = sizeof *un;
            s->found.n = 1;
            connect_next(s, 0);
        }
    } else if (look_up(s->host, s->port, AI_NUMERICHOST, &s->found) == 0) {
        connect_next(s, 0);
    } else {
        s->resolving = true;
        s->refs++;
        if (hs_fiber_spawn(s->loop, resolve, s)) {
            s->refs--;
            hs_stream_fail(s, "looking the name up", "no memory");
        }
    }
    unref(s);
}

static bool copy(hs_str text, char **ret)
{
    *ret = memchr(text.p ? text.p : "", 0, text.n) ? NULL : strndup(text.p ? text.p : "", text.n);
    return *ret != NULL;
}

hs_stream *hs_stream_open(hs_loop *loop, const hs_stream_options *o)
{
    hs_stream *s = calloc(1, sizeof *s + READ_SIZE);

    if (!s)
        return NULL;
    s->loop = loop;
    s->refs = 1;
    s->fd = -1;
    s->port = o->port;
    s->open_ms = o->open_ms;
    s->out_max = o->out_max;
    s->calls = o->calls;
    s->ud = o->ud;
    s->deadline = (hs_timer){ .fn = on_deadline, .ud = s };
    s->turn = (hs_post){ .fn = begin, .ud = s };
    if (o->path.n ? !copy(o->path, &s->path) : !copy(o->host, &s->host)) {
        unref(s);
        return NULL;
    }
    if (!s->path)
        s->tls = o->tls;
    later(s);
    return s;
}

void hs_stream_close(hs_stream *s)
{
    if (!s || s->closed)
        return;
    s->closed = true; /* so that a failure is not told any more */
    (void)!send_some(s);
    s->open = false;
    hs_timer_disarm(s->loop, &s->deadline);
    drop_socket(s);
    if (s->turn_waits && hs_loop_undefer(s->loop, &s->turn))
        s->refs--; /* the loop may turn no more */
    unref(s);
}
