/* See runner.h. */
#include "main/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ── the service manager: a datagram to a socket that the environment names ── */

void hs_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    if (!path || strlen(path) >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (to.sun_path[0] == '@')
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

void hs_raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

bool hs_drain_option(const char *text, int64_t *ret_ms)
{
    int64_t seconds;

    if (!hs_str_to_i64(hs_str_c(text), &seconds) || seconds < 0 || seconds > 3600)
        return false;
    *ret_ms = seconds * 1000;
    return true;
}

/* ── configuration ── */

hs_error *hs_runner_add_config(hs_runner *r, const char *path)
{
    if (r->configs_n == HS_CONFIGS_MAX)
        return hs_err(r->a, 500, HS_M_UNKNOWN, "more than %d files of configuration", HS_CONFIGS_MAX);
    r->configs[r->configs_n++] = hs_str_c(path);
    return NULL;
}

hs_error *hs_runner_absolute_configs(hs_runner *r)
{
    for (size_t i = 0; i < r->configs_n; i++) {
        char whole[PATH_MAX];
        const char *path;
        HS_TRY(hs_cstr(r->a, r->configs[i], &path));
        if (!realpath(path, whole))
            return hs_err(r->a, 500, HS_M_UNKNOWN, "%s: %s", path, strerror(errno));
        HS_TRY(hs_str_dup(r->a, hs_str_c(whole), &r->configs[i]));
    }
    return NULL;
}

hs_error *hs_runner_load(const hs_runner *r, hs_arena *a, hs_logger *log, const hs_config **ret)
{
    const hs_config *read;
    hs_config *own;

    HS_TRY(hs_config_load(a, r->configs, r->configs_n, log, &read));
    if (!r->of_worker) {
        *ret = read;
        return NULL;
    }
    HS_TRY(hs_alloc(a, 1, &own));
    *own = *read;
    own->pid_file = read->worker_pid_file;
    own->log = read->worker_log;
    *ret = own;
    return NULL;
}

static hs_error *open_log(hs_runner *r)
{
    const hs_config_log *c = &r->config->log;
    int fd = STDERR_FILENO;

    if (c->file.n) {
        const char *path;
        HS_TRY(hs_cstr(r->a, c->file, &path));
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return hs_err(r->a, 500, HS_M_UNKNOWN, "the log file %s cannot be written: %s", path, strerror(errno));
    }
    hs_logger_close(r->log);
    r->log = hs_logger_open(fd, c->level, c->json);
    return r->log ? NULL : HS_ERR_NOMEM;
}

hs_error *hs_runner_configure(hs_runner *r)
{
    if (!r->quiet)
        r->log = hs_logger_open(STDERR_FILENO, HS_LOG_INFO, false);
    HS_TRY(hs_runner_load(r, r->a, r->log, &r->config));
    return open_log(r);
}

/* ── signals ── */

static void on_signals(hs_io *io, unsigned events)
{
    hs_runner *r = io->ud;
    struct signalfd_siginfo si;

    (void)events;
    while (read(io->fd, &si, sizeof si) == (ssize_t)sizeof si)
        r->on_signal(r, (int)si.ssi_signo);
}

hs_error *hs_runner_open_loop(hs_runner *r)
{
    sigset_t set;

    r->loop = hs_loop_open();
    if (!r->loop)
        return HS_ERR_NOMEM;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    r->signals = (hs_io){ .fn = on_signals, .ud = r, .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) };
    if (r->signals.fd < 0)
        return hs_err(r->a, 500, HS_M_UNKNOWN, "signalfd: %s", strerror(errno));
    return hs_io_want(r->loop, &r->signals, HS_IO_READ);
}

void hs_runner_reload(hs_runner *r)
{
    const hs_config *fresh;
    hs_arena *a = hs_arena_open(HS_MIB(16));

    hs_notify("RELOADING=1");
    hs_error *e = a ? hs_runner_load(r, a, r->quiet ? NULL : r->log, &fresh) : HS_ERR_NOMEM;
    if (!e) {
        hs_logger_set_level(r->log, fresh->log.level);
        if (r->worker)
            e = hs_worker_reload(r->worker, a, fresh);
    }
    if (e)
        hs_log_error(r->log, HS_LOG_ERROR, HS_S("SIGHUP"), "main.reload", e);
    else
        hs_log(r->log, HS_LOG_INFO, "main.reload", "log level, cache factors and certificates were read anew");
    hs_arena_close(a);
    hs_notify("READY=1");
}

static void drain_and_stop(void *ud)
{
    hs_runner *r = ud;

    hs_worker_drain(r->worker, r->drain_ms);
    hs_loop_stop(r->loop);
}

void hs_runner_worker_signal(hs_runner *r, int signal)
{
    if (signal == SIGCHLD)
        return;
    if (!r->worker) { /* the start is under way, on this loop too */
        r->stopping |= signal != SIGHUP;
    } else if (signal == SIGHUP) {
        hs_runner_reload(r);
    } else if (r->stopping) {
        hs_worker_hurry(r->worker); /* asked twice: do not wait for anybody */
    } else {
        r->stopping = true;
        hs_notify("STOPPING=1");
        hs_log(r->log, HS_LOG_INFO, "main.stop", "signal=%d", signal);
        if (hs_fiber_spawn(r->loop, drain_and_stop, r))
            hs_loop_stop(r->loop);
    }
}

/* ── begin and end ── */

hs_error *hs_runner_write_pid(hs_runner *r)
{
    const char *path;
    char pid[32];

    if (!r->config->pid_file.n)
        return NULL;
    HS_TRY(hs_cstr(r->a, r->config->pid_file, &path));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (fd < 0 || write(fd, pid, (size_t)n) != n)
        hs_log(r->log, HS_LOG_WARN, "main.pid_file", "%s cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* Not the file of a process that has taken our place. */
static void remove_pid(hs_runner *r)
{
    char text[32] = "";
    const char *path;

    if (!r->config || !r->config->pid_file.n || hs_cstr(r->a, r->config->pid_file, &path))
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    bool ours = read(fd, text, sizeof text - 1) > 0 && strtol(text, NULL, 10) == (long)getpid();
    close(fd);
    if (ours)
        (void)unlink(path);
}

hs_error *hs_runner_open_worker(hs_runner *r, hs_worker_options *o)
{
    hs_worker *w;

    o->config = r->config;
    o->log = r->log;
    o->program = "/proc/self/exe"; /* found even where its path may no longer be entered */
    HS_TRY(hs_worker_open(r->loop, r->a, o, &w));
    r->worker = w;
    return hs_worker_listen(w, r->a);
}

/* The loop turns while it closes: a signal then finds no worker. */
void hs_runner_close_worker(hs_runner *r)
{
    hs_worker *w = r->worker;

    r->worker = NULL;
    if (w)
        hs_worker_close(w);
}

void hs_runner_close(hs_runner *r)
{
    hs_runner_close_worker(r);
    if (r->loop) {
        (void)!hs_io_want(r->loop, &r->signals, 0);
        hs_loop_close(r->loop);
    }
    r->loop = NULL;
    remove_pid(r);
    hs_logger_close(r->log);
    r->log = NULL;
}
