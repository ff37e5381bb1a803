/* hs run: one process with all roles, or several that share the ports. */
#include "main/data_dir.h"
#include "main/generate.h"
#include "main/hs.h"
#include "main/private_pg.h"
#include "main/private_redis.h"
#include "main/privileges.h"
#include "main/runner.h"
#include "main/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    hs_runner run;
    const char *data_dir;
    hs_data_dir_options first;
    int64_t workers; /* 1: this process itself */
    hs_str dir;      /* the data directory, absolute */
    hs_private_pg *pg;
    hs_private_redis *redis;
    bool new_config;
    int lock;             /* holds hs.lock of the data directory */
    int program;          /* this program, for workers; -1 */
    char tools[PATH_MAX]; /* folder of this program with a slash; empty when it is on the path */
} whole;

static int usage(FILE *out, int code)
{
    fprintf(out, "usage: hs run [--data-directory DIR] [--config-path FILE]... [--server-name NAME] [--port PORT] "
                 "[--workers N]\n\n"
                 "  -d, --data-directory DIR  where everything is kept (default: ./hs-data)\n"
                 "  -c, --config-path FILE    homeserver.yaml; several are merged (default: DIR/homeserver.yaml, made "
                 "if missing)\n"
                 "  -s, --server-name NAME    for a new configuration (default: localhost)\n"
                 "  -p, --port PORT           for a new configuration (default: 8008)\n"
                 "  -w, --workers N           N processes that share the ports (default: 1)\n"
                 "      --drain SECONDS       how long an end waits for requests under way (default: 10)\n");
    return code;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, whole *w)
{
    enum { DRAIN = 256 };
    static const struct option LONG[] = {
        { "data-directory", required_argument, NULL, 'd' },
        { "config-path", required_argument, NULL, 'c' },
        { "server-name", required_argument, NULL, 's' },
        { "port", required_argument, NULL, 'p' },
        { "workers", required_argument, NULL, 'w' },
        { "drain", required_argument, NULL, DRAIN },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    int64_t port;
    bool ok = true;
    int c;

    /* getopt wants a program's name before the options; the word before them is one. */
    while (ok && (c = getopt_long(argc + 1, argv - 1, "d:c:s:p:w:h", LONG, NULL)) != -1) {
        switch (c) {
        case 'd':
            w->data_dir = optarg;
            break;
        case 'c':
            ok = hs_runner_add_config(&w->run, optarg) == NULL;
            break;
        case 's':
            w->first.server_name = hs_str_c(optarg);
            break;
        case 'p':
            ok = hs_str_to_i64(hs_str_c(optarg), &port) && port >= 1 && port <= 65535;
            w->first.port = ok ? (uint16_t)port : 0;
            break;
        case 'w':
            ok = hs_str_to_i64(hs_str_c(optarg), &w->workers) && w->workers >= 1 && w->workers <= HS_WORKERS_MAX;
            break;
        case DRAIN:
            ok = hs_drain_option(optarg, &w->run.drain_ms);
            break;
        case 'h':
            return usage(stdout, 0);
        default:
            ok = false;
        }
    }
    return ok ? -1 : usage(stderr, 2);
}

/* ── starting ── */

/* A configuration file says by itself where its data are; --data-directory overrules it. Stays NULL when there are
 * none. */
static hs_error *directory_of_config(whole *w)
{
    hs_runner *r = &w->run;
    const hs_config *c;

    if (w->data_dir)
        return NULL;
    if (!r->configs_n) {
        w->data_dir = "hs-data";
        return NULL;
    }
    HS_TRY(hs_config_load(r->a, r->configs, r->configs_n, NULL, &c));
    return c->private_postgres ? hs_cstr(r->a, c->data_dir, &w->data_dir) : NULL;
}

/* With a database elsewhere nothing is kept here that the configuration does not place itself. */
static hs_error *without_directory(whole *w)
{
    HS_TRY(hs_drop_root(w->run.a, NULL));
    hs_harden_process();
    hs_raise_file_limit();
    return NULL;
}

/* One server to a data directory: a second one would stop the first one's PostgreSQL when it ends. The kernel lets the
 * lock go with the process. */
static hs_error *lock_directory(whole *w)
{
    hs_arena *a = w->run.a;
    const char *path;
    hs_str name;
    char pid[32];

    HS_TRY(hs_str_cat(a, &name, 2, w->dir, HS_S("/hs.lock")));
    HS_TRY(hs_cstr(a, name, &path));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
    w->lock = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = read(fd, pid, sizeof pid - 1);
        pid[n > 0 ? n : 0] = '\0';
        return hs_err(a, 500, HS_M_UNKNOWN, "the data directory %.*s is in use by another hs, process %.*s",
                      HS_FMT(w->dir), (int)strcspn(pid, "\n"), pid);
    }
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
    return NULL;
}

static hs_error *prepare_directory(whole *w)
{
    hs_runner *r = &w->run;

    HS_TRY(hs_runner_absolute_configs(r));
    HS_TRY(directory_of_config(w));
    if (!w->data_dir)
        return without_directory(w);
    HS_TRY(hs_data_dir_open(r->a, w->data_dir, &w->dir));
    if (!r->configs_n) {
        hs_str path;
        HS_TRY(hs_data_dir_config(r->a, w->dir, &w->first, &w->new_config));
        HS_TRY(hs_str_cat(r->a, &path, 2, w->dir, HS_S("/homeserver.yaml")));
        HS_TRY(hs_runner_add_config(r, path.p));
    }
    HS_TRY(hs_drop_root(r->a, w->dir.p));
    HS_TRY(lock_directory(w));
    hs_harden_process();
    hs_raise_file_limit();
    return chdir(w->dir.p) == 0 ? NULL : hs_err(r->a, 500, HS_M_UNKNOWN, "%s: %s", w->dir.p, strerror(errno));
}

static hs_error *configure(whole *w)
{
    hs_runner *r = &w->run;
    bool made;

    HS_TRY(hs_runner_configure(r));
    if (r->config->worker_app.n && !hs_str_eq(r->config->worker_app, HS_S("synapse.app.homeserver")))
        return hs_err(
            r->a, 500, HS_M_UNKNOWN,
            "the configuration has worker_app: start a worker with `hs worker`, and `hs run` without that file");
    HS_TRY(hs_generate_missing(r->a, r->config, &made));
    return made ? hs_runner_load(r, r->a, NULL, &r->config) : NULL; /* a secret was made: now it is read */
}

/* Several workers tell each other by Redis: the configuration's, else a private one. */
static hs_error *start_redis(whole *w)
{
    hs_runner *r = &w->run;

    if (!w->dir.n)
        return hs_err(r->a, 500, HS_M_UNKNOWN,
                      "several workers need Redis: name one in homeserver.yaml (redis:), or give a --data-directory "
                      "for a private one");
    HS_TRY(hs_private_redis_start(r->a, w->dir, &w->redis));
    return hs_private_redis_watch(w->redis, r->loop, r->log);
}

static hs_error *start(whole *w, hs_worker_options *o)
{
    hs_runner *r = &w->run;

    HS_TRY(prepare_directory(w));
    HS_TRY(configure(w));
    HS_TRY(hs_runner_open_loop(r));
    if (w->workers > 1)
        HS_TRY(hs_supervise_check_ports(r->a, r->config));
    if (r->config->private_postgres) {
        HS_TRY(hs_private_pg_start(r->a, w->dir, &w->pg));
        o->conninfo = hs_private_pg_conninfo(w->pg);
        HS_TRY(hs_private_pg_watch(w->pg, r->loop, r->log));
    }
    if (w->workers > 1 && !r->config->redis.enabled)
        HS_TRY(start_redis(w));
    HS_TRY(hs_runner_write_pid(r));
    return NULL;
}

/* Where the tools are, and the program itself, found while /proc may still be read. */
static void find_program(whole *w)
{
    ssize_t n = readlink("/proc/self/exe", w->tools, sizeof w->tools - 1);

    w->tools[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(w->tools, '/');
    if (slash)
        slash[1] = '\0';
    if (hs_str_starts(hs_str_c(w->tools), HS_S("/usr/")))
        w->tools[0] = '\0';
    if (w->workers > 1) {
        int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
        w->program = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* 3 is the workers' pipe */
        if (fd >= 0)
            close(fd);
    }
}

static void say_what_next(const whole *w)
{
    const hs_config *c = w->run.config;
    unsigned port = c->listeners_n ? c->listeners[0].port : 0;

    printf("\n%.*s is being served on http://localhost:%u\n", HS_FMT(c->server_name), port);
    if (w->new_config)
        printf("Its configuration is %.*s/homeserver.yaml. Make a first user with\n\n"
               "    %sregister_new_matrix_user -c %.*s/homeserver.yaml http://localhost:%u\n\n"
               "and log in with any Matrix client.\n",
               HS_FMT(w->dir), w->tools, HS_FMT(w->dir), port);
    fflush(stdout);
    hs_notify("READY=1");
}

static void all_serve(void *ud)
{
    say_what_next(ud);
}

static hs_error *run_many(whole *w, bool *ret_served)
{
    hs_runner *r = &w->run;
    hs_supervise_options o = { .workers = (unsigned)w->workers, .program = w->program, .drain_ms = r->drain_ms };
    hs_supervisor *s;

    if (r->stopping)
        return NULL;
    if (w->program < 0)
        return hs_err(r->a, 500, HS_M_UNKNOWN, "/proc/self/exe cannot be opened");
    o.data_dir = w->dir.p;
    HS_TRY(hs_supervise(r, &o, all_serve, w, &s));
    *ret_served = !hs_supervise_failed(s);
    return NULL;
}

static hs_error *run_one(whole *w, hs_worker_options *o)
{
    hs_runner *r = &w->run;

    HS_TRY(hs_runner_open_worker(r, o));
    if (r->stopping)
        return NULL;
    say_what_next(w);
    hs_loop_run(r->loop);
    return hs_worker_lost(r->worker)
               ? hs_err(r->a, 500, HS_M_UNKNOWN, "the database has lost what was saved, see the log")
               : NULL;
}

static void finish(whole *w, bool served)
{
    hs_runner *r = &w->run;

    hs_runner_close_worker(r);
    if (w->redis)
        hs_private_redis_stop(w->redis);
    if (w->pg)
        hs_private_pg_stop(w->pg);
    if (w->lock >= 0)
        close(w->lock);
    if (w->program >= 0)
        close(w->program);
    if (served)
        hs_log(r->log, HS_LOG_INFO, "main.stopped", "bye");
    hs_runner_close(r);
}

int hs_cmd_run(int argc, char **argv)
{
    whole w = { .lock = -1,
                .program = -1,
                .workers = 1,
                .run = { .signals = { .fd = -1 }, .drain_ms = HS_DRAIN_MS, .on_signal = hs_runner_worker_signal } };
    hs_worker_options o = { 0 };
    bool served = false;

    w.run.a = hs_arena_open(HS_MIB(64));
    if (!w.run.a)
        return hs_fail(HS_ERR_NOMEM);
    int code = read_options(argc, argv, &w);
    if (code >= 0) {
        hs_arena_close(w.run.a);
        return code;
    }
    umask(0027);
    find_program(&w);
    hs_error *e = start(&w, &o);
    if (!e && w.workers > 1) {
        e = run_many(&w, &served);
        code = served ? 0 : 1;
    } else if (!e) {
        e = run_one(&w, &o);
        served = !e;
        code = 0;
    }
    if (e)
        code = hs_fail(e);
    finish(&w, served);
    hs_arena_close(w.run.a);
    return code;
}
