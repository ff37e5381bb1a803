/* See helper.h. Jobs go over a socket of packets; each brings the end of a stream of its own for the answer, so a job
 * that dies ends its own stream and no other. */
#include "runtime/helper.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_BYTES HS_KIB(64)

struct hs_helper {
    hs_loop *loop;
    const char *program, *command;
    pthread_mutex_t lock; /* around what follows */
    int sock;             /* -1: not running */
    pid_t pid;
};

hs_helper *hs_helper_open(hs_loop *loop, const char *program, const char *command)
{
    hs_helper *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    *h = (hs_helper){ .loop = loop, .program = program, .command = command, .sock = -1 };
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

/* It ends when its socket is closed. */
static void end_process(hs_helper *h)
{
    if (h->sock < 0)
        return;
    close(h->sock);
    h->sock = -1;
    while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

void hs_helper_close(hs_helper *h)
{
    if (!h)
        return;
    end_process(h);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* Nothing of the worker but its standard error goes along: no descriptors, no environment, no blocked signals. */
static int spawn(hs_helper *h, int sock)
{
    static char *const ENVIRONMENT[] = { (char *)(uintptr_t) "LC_ALL=C",
                                         (char *)(uintptr_t) "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
    char *const argv[] = { (char *)(uintptr_t) "hs", (char *)(uintptr_t)h->command, NULL };
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int failed;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_adddup2(&files, sock, HS_HELPER_FD);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, HS_HELPER_FD + 1);
    failed = posix_spawnp(&h->pid, h->program, &files, &attr, argv, ENVIRONMENT);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return failed;
}

/* errno */
static int start(hs_helper *h)
{
    int pair[2], failed;

    if (h->sock >= 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return errno;
    failed = spawn(h, pair[1]);
    close(pair[1]);
    if (failed) {
        close(pair[0]);
        return failed;
    }
    h->sock = pair[0];
    return 0;
}

static int send_job(int sock, hs_str job, int in, int out)
{
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec v = { (char *)(uintptr_t)job.p, job.n };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int fds[2] = { in, out };

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(c), fds, sizeof fds);
    return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? errno : 0;
}

bool hs_helper_next(int fd, void *ret_job, size_t n, int *ret_in, int *ret_out)
{
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec v = { ret_job, n };
    int fds[2];

    for (;;) {
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control
        };
        ssize_t got = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        const struct cmsghdr *c = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;

        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)n || !c || c->cmsg_len != CMSG_LEN(sizeof fds))
            return false;
        memcpy(fds, CMSG_DATA(c), sizeof fds);
        *ret_in = fds[0];
        *ret_out = fds[1];
        return true;
    }
}

/* ── asking ── */

typedef struct {
    hs_helper *h;
    hs_str job;
    int in, ms;
    size_t most;
    char *bytes;
    size_t n, cap;
    int error;
    bool late;
} question;

/* The helper may have died since; then there is a new one, once. */
static int begin(question *q, int out)
{
    hs_helper *h = q->h;
    int failed;

    pthread_mutex_lock(&h->lock);
    failed = start(h);
    if (!failed) {
        failed = send_job(h->sock, q->job, q->in, out);
        if (failed == EPIPE || failed == ECONNRESET || failed == ENOTCONN) {
            end_process(h);
            failed = start(h);
            if (!failed)
                failed = send_job(h->sock, q->job, q->in, out);
        }
    }
    pthread_mutex_unlock(&h->lock);
    return failed;
}

static bool grow(question *q)
{
    size_t cap = q->cap ? 2 * q->cap : FIRST_BYTES;
    char *more;

    if (cap > q->most)
        cap = q->most;
    if (q->n < q->cap)
        return true;
    more = cap > q->cap ? realloc(q->bytes, cap) : NULL;
    if (!more)
        return false;
    q->bytes = more;
    q->cap = cap;
    return true;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void collect(question *q, int fd)
{
    int64_t until = now_ms() + q->ms;

    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int64_t left = until - now_ms();
        ssize_t got;

        if (!grow(q)) {
            q->error = EMSGSIZE;
            return;
        }
        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            q->error = ETIMEDOUT;
            return;
        }
        got = read(fd, q->bytes + q->n, q->cap - q->n);
        if (got == 0)
            return;
        if (got > 0)
            q->n += (size_t)got;
        else if (errno != EINTR) {
            q->error = errno;
            return;
        }
    }
}

static void ask(void *ud)
{
    question *q = ud;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        q->error = errno;
        return;
    }
    q->error = begin(q, pair[1]);
    close(pair[1]);
    if (!q->error)
        collect(q, pair[0]);
    close(pair[0]);
}

hs_error *hs_helper_ask(hs_helper *h, hs_arena *a, hs_str job, int in, size_t most, int ms, hs_str *ret)
{
    question q = { .h = h, .job = job, .in = in, .ms = ms, .most = most };
    char text[128];
    hs_error *e;

    HS_TRY(hs_offload(h->loop, a, ask, &q));
    if (q.error)
        e = hs_err_internal(a, NULL, "asking %s %s: %s", h->program, h->command,
                            strerror_r(q.error, text, sizeof text));
    else
        e = hs_str_dup(a, hs_str_make(q.bytes, q.n), ret);
    free(q.bytes);
    return e;
}
