/* hs run: one process with all roles. */
#include "main/data_dir.h"
#include "main/generate.h"
#include "main/hs.h"
#include "main/private_pg.h"
#include "main/privileges.h"
#include "workers/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DRAIN_MS    10000
#define CONFIGS_MAX 16

typedef struct {
    const char *data_dir;
    hs_str configs[CONFIGS_MAX];
    size_t configs_n;
    hs_data_dir_options first;
} options;

typedef struct {
    hs_arena *a;
    hs_str dir;
    const hs_config *config;
    hs_logger *log;
    hs_loop *loop;
    hs_private_pg *pg;
    hs_worker *worker;
    hs_io signals;
    bool stopping;
    options *o;
    bool new_config;
    int lock;             /* holds hs.lock of the data directory */
    char tools[PATH_MAX]; /* folder of this program with a slash; empty when it is on the path */
} runner;

static int usage(FILE *out, int code)
{
    fprintf(out, "usage: hs run [--data-directory DIR] [--config-path FILE]... [--server-name NAME] [--port PORT]\n\n"
                 "  -d, --data-directory DIR  where everything is kept (default: ./hs-data)\n"
                 "  -c, --config-path FILE    homeserver.yaml; several are merged (default: DIR/homeserver.yaml, made "
                 "if missing)\n"
                 "  -s, --server-name NAME    for a new configuration (default: localhost)\n"
                 "  -p, --port PORT           for a new configuration (default: 8008)\n");
    return code;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, options *o)
{
    static const struct option LONG[] = {
        { "data-directory", required_argument, NULL, 'd' },
        { "config-path", required_argument, NULL, 'c' },
        { "server-name", required_argument, NULL, 's' },
        { "port", required_argument, NULL, 'p' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    int64_t port;
    int c;

    /* getopt wants a program's name before the options; the word before them is one. */
    while ((c = getopt_long(argc + 1, argv - 1, "d:c:s:p:h", LONG, NULL)) != -1) {
        switch (c) {
        case 'd':
            o->data_dir = optarg;
            break;
        case 'c':
            if (o->configs_n == CONFIGS_MAX)
                return usage(stderr, 2);
            o->configs[o->configs_n++] = hs_str_c(optarg);
            break;
        case 's':
            o->first.server_name = hs_str_c(optarg);
            break;
        case 'p':
            if (!hs_str_to_i64(hs_str_c(optarg), &port) || port < 1 || port > 65535)
                return usage(stderr, 2);
            o->first.port = (uint16_t)port;
            break;
        case 'h':
            return usage(stdout, 0);
        default:
            return usage(stderr, 2);
        }
    }
    return -1;
}

/* ── telling the service manager (sd_notify's protocol: a datagram to a socket named by the environment) ── */

static void notify(const char *state)
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

/* ── signals ── */

static void stop_on_fiber(void *ud)
{
    runner *r = ud;

    hs_worker_drain(r->worker, DRAIN_MS);
    hs_loop_stop(r->loop);
}

static void reload(runner *r)
{
    const hs_config *fresh;
    hs_arena *a = hs_arena_open(HS_MIB(16));

    notify("RELOADING=1");
    hs_error *e = a ? hs_config_load(a, r->o->configs, r->o->configs_n, r->log, &fresh) : HS_ERR_NOMEM;
    if (!e) {
        hs_logger_set_level(r->log, fresh->log.level);
        e = hs_worker_reload(r->worker, a);
    }
    if (e)
        hs_log_error(r->log, HS_LOG_ERROR, HS_S("SIGHUP"), "main.reload", e);
    else
        hs_log(r->log, HS_LOG_INFO, "main.reload", "log level and certificates were read anew");
    hs_arena_close(a);
    notify("READY=1");
}

static void on_signal(hs_io *io, unsigned events)
{
    runner *r = io->ud;
    struct signalfd_siginfo si;

    (void)events;
    while (read(io->fd, &si, sizeof si) == (ssize_t)sizeof si) {
        if (!r->worker) { /* the start is under way, on this loop too */
            r->stopping |= si.ssi_signo != SIGHUP;
        } else if (si.ssi_signo == SIGHUP) {
            reload(r);
        } else if (r->stopping) {
            hs_loop_stop(r->loop); /* asked twice: do not wait for anybody */
        } else {
            r->stopping = true;
            notify("STOPPING=1");
            hs_log(r->log, HS_LOG_INFO, "main.stop", "signal=%u", si.ssi_signo);
            if (hs_fiber_spawn(r->loop, stop_on_fiber, r))
                hs_loop_stop(r->loop);
        }
    }
}

static hs_error *watch_signals(runner *r)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    r->signals = (hs_io){ .fn = on_signal, .ud = r, .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) };
    if (r->signals.fd < 0)
        return hs_err(r->a, 500, HS_M_UNKNOWN, "signalfd: %s", strerror(errno));
    return hs_io_want(r->loop, &r->signals, HS_IO_READ);
}

/* ── starting ── */

static void raise_file_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

/* A configuration file says by itself where its data are; --data-directory overrules it. Stays NULL when there are
 * none. */
static hs_error *directory_of_config(runner *r)
{
    const hs_config *c;

    if (r->o->data_dir)
        return NULL;
    if (!r->o->configs_n) {
        r->o->data_dir = "hs-data";
        return NULL;
    }
    HS_TRY(hs_config_load(r->a, r->o->configs, r->o->configs_n, NULL, &c));
    return c->private_postgres ? hs_cstr(r->a, c->data_dir, &r->o->data_dir) : NULL;
}

/* With a database elsewhere nothing is kept here that the configuration does not place itself. */
static hs_error *without_directory(runner *r)
{
    HS_TRY(hs_drop_root(r->a, NULL));
    hs_harden_process();
    raise_file_limit();
    return NULL;
}

/* Paths given on the command line are relative to where it was typed. */
static hs_error *absolute_configs(runner *r)
{
    for (size_t i = 0; i < r->o->configs_n; i++) {
        char whole[PATH_MAX];
        const char *path;
        HS_TRY(hs_cstr(r->a, r->o->configs[i], &path));
        if (!realpath(path, whole))
            return hs_err(r->a, 500, HS_M_UNKNOWN, "%s: %s", path, strerror(errno));
        HS_TRY(hs_str_dup(r->a, hs_str_c(whole), &r->o->configs[i]));
    }
    return NULL;
}

/* One server to a data directory: a second one would stop the first one's PostgreSQL when it ends. The kernel lets the
 * lock go with the process. */
static hs_error *lock_directory(runner *r)
{
    const char *path;
    hs_str name;
    char pid[32];

    HS_TRY(hs_str_cat(r->a, &name, 2, r->dir, HS_S("/hs.lock")));
    HS_TRY(hs_cstr(r->a, name, &path));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hs_err(r->a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
    r->lock = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = read(fd, pid, sizeof pid - 1);
        pid[n > 0 ? n : 0] = '\0';
        return hs_err(r->a, 500, HS_M_UNKNOWN, "the data directory %.*s is in use by another hs, process %.*s",
                      HS_FMT(r->dir), (int)strcspn(pid, "\n"), pid);
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        return hs_err(r->a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
    return NULL;
}

/* For scripts that look for it; the server itself does not need it. */
static hs_error *write_pid_file(runner *r)
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

static hs_error *prepare_directory(runner *r)
{
    HS_TRY(absolute_configs(r));
    HS_TRY(directory_of_config(r));
    if (!r->o->data_dir)
        return without_directory(r);
    HS_TRY(hs_data_dir_open(r->a, r->o->data_dir, &r->dir));
    if (!r->o->configs_n) {
        hs_str path;
        HS_TRY(hs_data_dir_config(r->a, r->dir, &r->o->first, &r->new_config));
        HS_TRY(hs_str_cat(r->a, &path, 2, r->dir, HS_S("/homeserver.yaml")));
        r->o->configs[r->o->configs_n++] = path;
    }
    HS_TRY(hs_drop_root(r->a, r->dir.p));
    HS_TRY(lock_directory(r));
    hs_harden_process();
    raise_file_limit();
    return chdir(r->dir.p) == 0 ? NULL : hs_err(r->a, 500, HS_M_UNKNOWN, "%s: %s", r->dir.p, strerror(errno));
}

static hs_error *open_log(runner *r)
{
    const hs_config *c = r->config;
    int fd = STDERR_FILENO;

    if (c->log.file.n) {
        const char *path;
        HS_TRY(hs_cstr(r->a, c->log.file, &path));
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return hs_err(r->a, 500, HS_M_UNKNOWN, "the log file %s cannot be written: %s", path, strerror(errno));
    }
    hs_logger_close(r->log);
    r->log = hs_logger_open(fd, c->log.level, c->log.json);
    return r->log ? NULL : HS_ERR_NOMEM;
}

static hs_error *start(runner *r)
{
    hs_worker_options w = { 0 };
    bool made;

    HS_TRY(prepare_directory(r));
    r->log = hs_logger_open(STDERR_FILENO, HS_LOG_INFO, false);
    HS_TRY(hs_config_load(r->a, r->o->configs, r->o->configs_n, r->log, &r->config));
    HS_TRY(open_log(r));
    HS_TRY(hs_generate_missing(r->a, r->config, &made));
    if (made) /* a secret was made: now it is read */
        HS_TRY(hs_config_load(r->a, r->o->configs, r->o->configs_n, NULL, &r->config));
    r->loop = hs_loop_open();
    if (!r->loop)
        return HS_ERR_NOMEM;
    HS_TRY(watch_signals(r));
    if (r->config->private_postgres) {
        HS_TRY(hs_private_pg_start(r->a, r->dir, &r->pg));
        w.conninfo = hs_private_pg_conninfo(r->pg);
        HS_TRY(hs_private_pg_watch(r->pg, r->loop, r->log));
    }
    HS_TRY(write_pid_file(r));
    w.config = r->config;
    w.log = r->log;
    HS_TRY(hs_worker_open(r->loop, r->a, &w, &r->worker));
    return hs_worker_listen(r->worker, r->a);
}

/* Where the tools are, found while /proc may still be read. */
static void find_tools(runner *r)
{
    ssize_t n = readlink("/proc/self/exe", r->tools, sizeof r->tools - 1);

    r->tools[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(r->tools, '/');
    if (slash)
        slash[1] = '\0';
    if (hs_str_starts(hs_str_c(r->tools), HS_S("/usr/")))
        r->tools[0] = '\0';
}

static void say_what_next(const runner *r)
{
    const hs_config *c = r->config;
    unsigned port = c->listeners_n ? c->listeners[0].port : 0;

    printf("\n%.*s is being served on http://localhost:%u\n", HS_FMT(c->server_name), port);
    if (r->new_config)
        printf("Its configuration is %.*s/homeserver.yaml. Make a first user with\n\n"
               "    %sregister_new_matrix_user -c %.*s/homeserver.yaml http://localhost:%u\n\n"
               "and log in with any Matrix client.\n",
               HS_FMT(r->dir), r->tools, HS_FMT(r->dir), port);
    fflush(stdout);
}

static void finish(runner *r)
{
    bool served = r->worker != NULL;

    if (served)
        hs_worker_close(r->worker);
    if (r->pg)
        hs_private_pg_stop(r->pg);
    if (r->loop) {
        (void)!hs_io_want(r->loop, &r->signals, 0);
        hs_loop_close(r->loop);
    }
    if (r->config && r->config->pid_file.n) {
        const char *path;
        if (!hs_cstr(r->a, r->config->pid_file, &path))
            (void)unlink(path);
    }
    if (r->lock >= 0)
        close(r->lock);
    if (served)
        hs_log(r->log, HS_LOG_INFO, "main.stopped", "bye");
    hs_logger_close(r->log);
}

int hs_cmd_run(int argc, char **argv)
{
    options o = { 0 };
    runner r = { .o = &o, .lock = -1, .signals = { .fd = -1 } };
    int code = read_options(argc, argv, &o);

    if (code >= 0)
        return code;
    umask(0027);
    find_tools(&r);
    r.a = hs_arena_open(HS_MIB(64));
    hs_error *e = r.a ? start(&r) : HS_ERR_NOMEM;
    if (e) {
        code = hs_fail(e);
    } else if (r.stopping) {
        code = 0;
    } else {
        say_what_next(&r);
        notify("READY=1");
        hs_loop_run(r.loop);
        code = 0;
    }
    finish(&r);
    hs_arena_close(r.a);
    return code;
}
