/* See supervise.h. A worker says that it serves by a byte through a pipe, which also tells of its end. */
#include "main/supervise.h"

#include "main/private_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MS   200
#define LONGEST_MS 30000 /* between two starts of a worker that dies at once */
#define STEADY_MS  10000 /* who lived so long did not die at once */
#define KILL_SLACK 5000  /* behind the time that draining may take */
#define ARGS_MAX   (2 * HS_CONFIGS_MAX + 16)
#define READY_FD   3 /* the worker's end of its pipe */
#define NAME_BYTES 24

typedef struct {
    hs_supervisor *s;
    unsigned number; /* from 1 */
    char name[NAME_BYTES];
    pid_t pid; /* 0: not running */
    hs_io ready;
    bool serves;
    int64_t started_at, pause_ms;
    hs_timer again;
} child;

struct hs_supervisor {
    hs_runner *r;
    hs_supervise_options o;
    void (*ready)(void *ud);
    void *ud;
    child *children;
    hs_timer patience; /* runs out on workers that do not end */
    bool served, failed;
};

/* ── starting one ── */

static hs_error *arguments(child *c, hs_arena *a, char **argv)
{
    const hs_supervisor *s = c->s;
    hs_str text;
    size_t n = 0;

    argv[n++] = hs_arg("hs");
    argv[n++] = hs_arg("worker");
    argv[n++] = hs_arg("client,federation,media,background");
    argv[n++] = hs_arg("--name");
    argv[n++] = c->name;
    HS_TRY(hs_str_fmt(a, &text, "%u", c->number));
    argv[n++] = hs_arg("--one-of-many");
    argv[n++] = hs_arg(text.p);
    HS_TRY(hs_str_fmt(a, &text, "%lld", (long long)(s->o.drain_ms / 1000)));
    argv[n++] = hs_arg("--drain");
    argv[n++] = hs_arg(text.p);
    if (s->o.data_dir) {
        argv[n++] = hs_arg("--data-directory");
        argv[n++] = hs_arg(s->o.data_dir);
    }
    for (size_t i = 0; i < s->r->configs_n; i++) {
        const char *path;
        HS_TRY(hs_cstr(a, s->r->configs[i], &path));
        argv[n++] = hs_arg("--config-path");
        argv[n++] = hs_arg(path);
    }
    argv[n] = NULL;
    return NULL;
}

/* Between fork and exec: only what is safe there. */
static _Noreturn void become_worker(const hs_supervisor *s, char **argv, int pipe_end, pid_t parent)
{
    char *no_environment[] = { NULL };
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a supervisor that was killed leaves nobody on the ports */
    if (getppid() != parent)
        _exit(127);
    if (pipe_end == READY_FD)
        fcntl(READY_FD, F_SETFD, 0);
    else if (dup2(pipe_end, READY_FD) != READY_FD)
        _exit(127);
    fexecve(s->o.program, argv, environ ? environ : no_environment);
    _exit(127);
}

static void on_ready(hs_io *io, unsigned events);
static void start_again(hs_timer *t);

static hs_error *start(child *c)
{
    hs_supervisor *s = c->s;
    hs_arena *a = hs_arena_open(HS_MIB(1));
    char *argv[ARGS_MAX];
    int fds[2];
    pid_t parent = getpid();
    hs_error *e = a ? arguments(c, a, argv) : HS_ERR_NOMEM;

    c->started_at = hs_loop_now(s->r->loop);
    c->serves = false;
    if (!e && pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
        e = hs_err(s->r->a, 500, HS_M_UNKNOWN, "pipe: %s", strerror(errno));
    if (e) {
        hs_arena_close(a);
        return e;
    }
    c->pid = fork();
    if (c->pid == 0)
        become_worker(s, argv, fds[1], parent);
    close(fds[1]);
    hs_arena_close(a);
    if (c->pid < 0) {
        int why = errno;
        c->pid = 0;
        close(fds[0]);
        return hs_err(s->r->a, 500, HS_M_UNKNOWN, "a worker cannot be started: %s", strerror(why));
    }
    c->ready = (hs_io){ .fn = on_ready, .ud = c, .fd = fds[0] };
    return hs_io_want(s->r->loop, &c->ready, HS_IO_READ);
}

static void forget_pipe(child *c)
{
    if (c->ready.fd < 0)
        return;
    (void)!hs_io_want(c->s->r->loop, &c->ready, 0);
    close(c->ready.fd);
    c->ready.fd = -1;
}

static void on_ready(hs_io *io, unsigned events)
{
    child *c = io->ud;
    hs_supervisor *s = c->s;
    char byte;
    ssize_t n = read(io->fd, &byte, 1);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    forget_pipe(c);
    if (n != 1)
        return; /* it ended; SIGCHLD says how */
    c->serves = true;
    hs_log(s->r->log, HS_LOG_INFO, "worker.serves", "name=%s pid=%ld", c->name, (long)c->pid);
    for (unsigned i = 0; i < s->o.workers; i++)
        if (!s->children[i].serves)
            return;
    if (!s->served) {
        s->served = true;
        s->ready(s->ud);
    }
}

/* ── ending all ── */

static void signal_all(const hs_supervisor *s, int signal)
{
    for (unsigned i = 0; i < s->o.workers; i++)
        if (s->children[i].pid > 0)
            kill(s->children[i].pid, signal);
}

static bool any_lives(const hs_supervisor *s)
{
    for (unsigned i = 0; i < s->o.workers; i++)
        if (s->children[i].pid > 0)
            return true;
    return false;
}

static void out_of_patience(hs_timer *t)
{
    hs_supervisor *s = t->ud;

    hs_log(s->r->log, HS_LOG_WARN, "worker.kill", "some have not ended in time");
    signal_all(s, SIGKILL);
}

static void stop_all(hs_supervisor *s)
{
    s->r->stopping = true;
    for (unsigned i = 0; i < s->o.workers; i++)
        hs_timer_disarm(s->r->loop, &s->children[i].again);
    signal_all(s, SIGTERM);
    if (!any_lives(s))
        hs_loop_stop(s->r->loop);
    else if (hs_timer_arm(s->r->loop, &s->patience, s->o.drain_ms + KILL_SLACK))
        signal_all(s, SIGKILL);
}

/* ── when one ends ── */

static void say_how(const child *c, int status, int64_t pause_ms)
{
    char how[32];

    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "exit code %d", WEXITSTATUS(status));
    hs_log(c->s->r->log, HS_LOG_ERROR, "worker.died", "name=%s pid=%ld reason=\"%s\" lived_s=%lld restart_in_ms=%lld",
           c->name, (long)c->pid, how, (long long)((hs_loop_now(c->s->r->loop) - c->started_at) / 1000),
           (long long)pause_ms);
}

/* At once the first time; then later and later for one that dies at once. */
static int64_t next_pause(child *c)
{
    if (hs_loop_now(c->s->r->loop) - c->started_at >= STEADY_MS)
        c->pause_ms = 0;
    int64_t pause = c->pause_ms;
    c->pause_ms = pause ? (pause * 2 < LONGEST_MS ? pause * 2 : LONGEST_MS) : PAUSE_MS;
    return pause;
}

static void start_again(hs_timer *t)
{
    child *c = t->ud;
    hs_error *e = start(c);

    if (e) {
        hs_log_error(c->s->r->log, HS_LOG_ERROR, HS_S(""), "worker.start", e);
        (void)!hs_timer_arm(c->s->r->loop, t, next_pause(c) + PAUSE_MS);
    }
}

static void ended(child *c, int status)
{
    hs_supervisor *s = c->s;

    if (!c->serves && c->ready.fd >= 0)
        on_ready(&c->ready, 0); /* what it said last */
    forget_pipe(c);
    if (s->r->stopping) {
        c->pid = 0;
        if (!any_lives(s))
            hs_loop_stop(s->r->loop);
        return;
    }
    if (!s->served) { /* a first start that cannot succeed is not tried again and again */
        c->pid = 0;
        s->failed = true;
        stop_all(s);
        return;
    }
    int64_t pause = next_pause(c);
    say_how(c, status, pause);
    c->pid = 0;
    c->serves = false;
    if (hs_timer_arm(s->r->loop, &c->again, pause))
        hs_log(s->r->log, HS_LOG_ERROR, "worker.start", "no memory for its timer");
}

static void reap(hs_supervisor *s)
{
    for (unsigned i = 0; i < s->o.workers; i++) {
        child *c = &s->children[i];
        int status;
        if (c->pid > 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
            ended(c, status);
    }
}

static void on_signal(hs_runner *r, int signal)
{
    hs_supervisor *s = r->ud;

    if (signal == SIGCHLD) {
        reap(s);
    } else if (signal == SIGHUP) {
        hs_runner_reload(r);
        signal_all(s, SIGHUP);
    } else if (r->stopping) {
        signal_all(s, SIGKILL); /* asked twice: do not wait for anybody */
    } else {
        hs_notify("STOPPING=1");
        hs_log(r->log, HS_LOG_INFO, "main.stop", "signal=%d", signal);
        stop_all(s);
    }
}

/* ── ports ── */

static hs_error *check_port(hs_arena *a, hs_str address, uint16_t port)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM,
                              .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found;
    const char *host;
    char text[8];
    int on = 1;

    HS_TRY(hs_cstr(a, address, &host));
    snprintf(text, sizeof text, "%u", port);
    if (getaddrinfo(host, text, &hints, &found) != 0)
        return NULL; /* the workers say what is wrong with it */
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = false;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (found->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        taken = bind(fd, found->ai_addr, found->ai_addrlen) != 0 && errno == EADDRINUSE;
        close(fd);
    }
    freeaddrinfo(found);
    if (taken)
        return hs_err(a, 500, HS_M_UNKNOWN, "Cannot listen on %s:%s: the address is already in use", host, text);
    return NULL;
}

hs_error *hs_supervise_check_ports(hs_arena *a, const hs_config *c)
{
    for (size_t i = 0; i < c->listeners_n; i++) {
        const hs_config_listener *l = &c->listeners[i];
        if (l->unix_path.n)
            continue;
        if (l->port == 0)
            return hs_err(a, 500, HS_M_UNKNOWN, "listeners: several workers cannot share port 0");
        for (size_t k = 0; k < l->bind_addresses.n; k++)
            HS_TRY(check_port(a, l->bind_addresses.at[k], l->port));
    }
    return NULL;
}

/* ── all ── */

hs_error *hs_supervise(hs_runner *r, const hs_supervise_options *o, void (*ready)(void *ud), void *ud,
                       hs_supervisor **ret)
{
    hs_supervisor *s;

    HS_TRY(hs_alloc(r->a, 1, &s));
    HS_TRY(hs_alloc(r->a, o->workers, &s->children));
    s->r = r;
    s->o = *o;
    s->ready = ready;
    s->ud = ud;
    s->patience = (hs_timer){ .fn = out_of_patience, .ud = s };
    *ret = s;
    for (unsigned i = 0; i < o->workers; i++) {
        child *c = &s->children[i];
        c->s = s;
        c->number = i + 1;
        c->ready.fd = -1;
        c->again = (hs_timer){ .fn = start_again, .ud = c };
        snprintf(c->name, sizeof c->name, "worker%u", c->number);
    }
    r->ud = s;
    r->on_signal = on_signal;
    for (unsigned i = 0; i < o->workers; i++)
        HS_TRY(start(&s->children[i]));
    hs_loop_run(r->loop);
    hs_timer_disarm(r->loop, &s->patience);
    return NULL;
}

bool hs_supervise_failed(const hs_supervisor *s)
{
    return s->failed;
}
