/* See private_redis.h. In the data directory: redis.conf is written at each start, redis.log is what the server says,
 * and redis.run/ has its socket (in /tmp when the path would be too long for one). */
#include "main/private_redis.h"

#include "main/private_proc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define READY_MS   10000
#define STOP_MS    5000
#define WATCH_MS   250
#define PAUSE_MS   5000 /* at most, between starts of one that dies at once */
#define SOCKET_MAX 95   /* of the 107 bytes of a socket's path, less "/redis.sock" */
#define ANSWER_MS  1000

struct hs_private_redis {
    hs_arena *a;
    const char *bin, *conf, *log_path, *run, *socket;
    pid_t pid;   /* the server's */
    pid_t child; /* the one started here; 0: none */
    hs_loop *loop;
    hs_logger *log;
    hs_timer timer;
    int64_t started_at, pause_ms; /* hs_loop_now's clock */
};

static hs_error *find_bin(hs_arena *a, const char **ret)
{
    static const char *const PLACES[] = { "/usr/bin/redis-server", "/usr/local/bin/redis-server",
                                          "/usr/bin/valkey-server", "/usr/local/bin/valkey-server" };

    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        if (access(PLACES[i], X_OK) == 0) {
            *ret = PLACES[i];
            return NULL;
        }
    }
    return hs_err(a, 500, HS_M_UNKNOWN,
                  "several workers need Redis, which is not installed (looked for %s): apt-get install redis-server, "
                  "or name one in homeserver.yaml (redis:)",
                  PLACES[0]);
}

/* Nothing is stored, so nothing is saved. A worker that is stopped must not make the server hold all that it does not
 * read: it is cut off and comes back. */
static hs_error *write_settings(const hs_private_redis *r)
{
    mode_t mask = umask(077);
    FILE *f = fopen(r->conf, "w");

    umask(mask);
    if (f) {
        fprintf(f,
                "# Written by hs at each start.\n"
                "port 0\nunixsocket \"%s\"\nunixsocketperm 700\ntcp-backlog 128\n"
                "save \"\"\nappendonly no\ndir \"%s\"\ndatabases 1\n"
                "client-output-buffer-limit pubsub 64mb 16mb 10\nmaxclients 1000\n"
                "daemonize no\nloglevel notice\nlogfile \"\"\nalways-show-logo no\n",
                r->socket, r->run);
        if (fclose(f) != 0)
            f = NULL;
    }
    return f ? NULL : hs_err(r->a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", r->conf, strerror(errno));
}

/* The pid of the server that answers on the socket; 0: none does. */
static pid_t ask(const hs_private_redis *r)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const struct timeval patience = { .tv_sec = ANSWER_MS / 1000, .tv_usec = ANSWER_MS % 1000 * 1000 };
    struct ucred peer = { 0 };
    socklen_t n = sizeof peer;
    char answer[8] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(r->socket) >= sizeof to.sun_path)
        return 0;
    memcpy(to.sun_path, r->socket, strlen(r->socket));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool ok = connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
              getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 &&
              recv(fd, answer, sizeof answer - 1, 0) >= 5 && strncmp(answer, "+PONG", 5) == 0;
    close(fd);
    return ok ? peer.pid : 0;
}

static bool is_redis(pid_t pid)
{
    return hs_private_is(pid, "redis-server") || hs_private_is(pid, "valkey-server");
}

static void start_server(hs_private_redis *r)
{
    char *argv[] = { hs_arg(r->bin), hs_arg(r->conf), NULL };

    r->child = hs_private_spawn(r->bin, argv, -1, r->log_path);
}

static hs_error *await_ready(hs_private_redis *r)
{
    bool started = false;

    for (long waited = 0; waited < READY_MS; waited += 5, hs_private_nap(5)) {
        r->pid = ask(r);
        if (r->pid)
            return NULL;
        if (hs_private_child_lives(&r->child))
            continue;
        if (started)
            return hs_err(r->a, 500, HS_M_UNKNOWN, "Redis did not start; %s says why", r->log_path);
        start_server(r);
        started = true;
    }
    return hs_err(r->a, 500, HS_M_UNKNOWN, "Redis was not ready within %d s; %s says why", READY_MS / 1000,
                  r->log_path);
}

hs_error *hs_private_redis_start(hs_arena *a, hs_str dir, hs_private_redis **ret)
{
    hs_private_redis *r;

    HS_TRY(hs_alloc(a, 1, &r));
    r->a = a;
    HS_TRY(find_bin(a, &r->bin));
    HS_TRY(hs_private_path(a, dir, "redis.conf", &r->conf));
    HS_TRY(hs_private_path(a, dir, "redis.log", &r->log_path));
    HS_TRY(hs_private_socket_dir(a, dir, "redis", SOCKET_MAX, &r->run));
    HS_TRY(hs_private_path(a, hs_str_c(r->run), "redis.sock", &r->socket));
    HS_TRY(write_settings(r));
    HS_TRY(await_ready(r));

    *ret = r;
    return NULL;
}

hs_error *hs_private_redis_find(hs_arena *a, hs_str dir, hs_str *ret)
{
    hs_private_redis r = { .a = a };

    *ret = hs_str_make(NULL, 0);
    HS_TRY(hs_private_socket_dir_find(a, dir, "redis", SOCKET_MAX, &r.run));
    if (!r.run)
        return NULL;
    HS_TRY(hs_private_path(a, hs_str_c(r.run), "redis.sock", &r.socket));
    if (ask(&r))
        *ret = hs_str_c(r.socket);
    return NULL;
}

hs_str hs_private_redis_path(const hs_private_redis *r)
{
    return hs_str_c(r->socket);
}

static void restart(hs_private_redis *r)
{
    int64_t now = hs_loop_now(r->loop), lived = now - r->started_at;

    if (lived > PAUSE_MS)
        r->pause_ms = 0;
    else if (lived < r->pause_ms)
        return;
    r->pause_ms = r->pause_ms ? r->pause_ms * 2 : WATCH_MS;
    if (r->pause_ms > PAUSE_MS)
        r->pause_ms = PAUSE_MS;
    r->started_at = now;
    hs_log(r->log, HS_LOG_WARN, "redis.restart", "reason=died log=%s", r->log_path);
    start_server(r);
    if (r->child > 0)
        r->pid = r->child;
}

static void look(hs_timer *t)
{
    hs_private_redis *r = t->ud;

    if (!is_redis(r->pid) && !hs_private_child_lives(&r->child))
        restart(r);
    (void)!hs_timer_arm(r->loop, t, WATCH_MS);
}

hs_error *hs_private_redis_watch(hs_private_redis *r, hs_loop *loop, hs_logger *log)
{
    r->loop = loop;
    r->log = log;
    r->timer = (hs_timer){ .fn = look, .ud = r };
    return hs_timer_arm(loop, &r->timer, WATCH_MS);
}

void hs_private_redis_stop(hs_private_redis *r)
{
    if (r->loop)
        hs_timer_disarm(r->loop, &r->timer);
    if (!is_redis(r->pid))
        return;
    kill(r->pid, SIGTERM);
    for (long waited = 0; waited < STOP_MS && is_redis(r->pid); waited += 5)
        hs_private_nap(5);
    if (is_redis(r->pid))
        kill(r->pid, SIGKILL);
    (void)unlink(r->socket);
    (void)rmdir(r->run);
}
