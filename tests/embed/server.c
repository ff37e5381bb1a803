/* Somebody else's program, an h2o server with a page of its own, that runs a whole homeserver beside it.
 *
 *     embed_server HOMESERVER.YAML PORT
 *
 * The page is at http://127.0.0.1:PORT/hello and counts its visitors; the homeserver listens where its configuration
 * says. Each has an event loop and a thread of its own; SIGTERM ends both. */
#include <hs/server.h>

#include <h2o.h>
#include <h2o/http1.h>

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ── the homeserver ── */

typedef struct {
    hs_host *host;
    atomic_bool stop;
} homeserver;

static void *serve(void *arg)
{
    homeserver *h = arg;

    while (!atomic_load(&h->stop))
        hs_host_turn(h->host, 1000);
    hs_host_close(h->host, 2000);
    return NULL;
}

static hs_error *open_homeserver(hs_arena *a, const char *path, homeserver *ret)
{
    static char yaml[1 << 16];
    FILE *f = fopen(path, "rb");

    if (!f)
        return hs_err(a, 500, HS_M_UNKNOWN, "cannot read %s", path);
    size_t n = fread(yaml, 1, sizeof yaml, f);
    fclose(f);
    return hs_host_open(a, hs_str_c(path), hs_str_make(yaml, n), STDERR_FILENO, &ret->host);
}

/* ── our own server ── */

typedef struct {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
} web;

static int hello(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator;
    static unsigned visitors;
    char text[64];
    (void)self;

    int n = snprintf(text, sizeof text, "hello, you are visitor %u\n", ++visitors);
    req->res.status = 200;
    req->res.reason = "OK";
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("text/plain"));
    h2o_iovec_t body = h2o_strdup(&req->pool, text, (size_t)n);
    h2o_start_response(req, &generator);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    web *w = listener->data;
    h2o_socket_t *sock = err ? NULL : h2o_evloop_socket_accept(listener);

    if (sock)
        h2o_accept(&w->accept, sock);
}

static int listen_on(web *w, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 16))
        return -1;
    h2o_config_init(&w->config);
    h2o_hostconf_t *host = h2o_config_register_host(&w->config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/hello", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = hello;
    h2o_context_init(&w->context, h2o_evloop_create(), &w->config);
    w->accept.ctx = &w->context;
    w->accept.hosts = w->config.hosts;
    h2o_socket_t *sock = h2o_evloop_socket_create(w->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    sock->data = w;
    h2o_socket_read_start(sock, on_accept);
    return 0;
}

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

int main(int argc, char **argv)
{
    static web w;
    homeserver h = { .host = NULL };
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    sigset_t term, before;
    pthread_t thread;

    if (argc != 3 || !a || listen_on(&w, (int)strtol(argv[2], NULL, 10)))
        return 1;
    hs_error *e = open_homeserver(a, argv[1], &h);
    if (e) {
        for (const hs_error *c = e; c; c = c->cause)
            fprintf(stderr, "%.*s\n", HS_FMT(c->message));
        return 1;
    }
    /* The signal is for this thread. */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before);
    if (pthread_create(&thread, NULL, serve, &h))
        return 1;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal }, NULL);

    puts("ready");
    fflush(stdout);
    while (!stopping)
        h2o_evloop_run(w.context.loop, 200);
    atomic_store(&h.stop, true);
    hs_host_wake(h.host);
    pthread_join(thread, NULL);
    hs_arena_close(a);
    return 0;
}
