/* hs worker: one process of several, with some roles or all. All read the same homeserver.yaml and meet at the same
 * PostgreSQL and Redis; none is special. */
#include "main/hs.h"
#include "main/private_pg.h"
#include "main/private_redis.h"
#include "main/privileges.h"
#include "main/runner.h"
#include "workers/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTENS_MAX 16
#define READY_FD    3 /* supervise.c's pipe */

typedef struct {
    hs_runner run;
    const char *roles, *name, *data_dir;
    const char *listens[LISTENS_MAX];
    size_t listens_n;
    int64_t one_of_many; /* the number among those of `hs run --workers`; 0: started by itself */
    bool daemonize;
    int ready_fd; /* takes a byte when this serves; -1 */
} solo;

static int usage(FILE *out, int code)
{
    fputs("usage: hs worker [ROLE[,ROLE]...] -c homeserver.yaml [-c worker.yaml] [--name NAME] [--listen WHERE]...\n\n"
          "  ROLE                      client, federation, media, background; else what worker_app says\n"
          "  -c, --config-path FILE    several are merged, later ones win\n"
          "  -n, --name NAME           different from every other worker's (default: worker_name, else made up)\n"
          "  -l, --listen WHERE        PORT, ADDRESS:PORT or a path; all that the roles serve, in the place of "
          "worker_listeners\n"
          "  -d, --data-directory DIR  of an `hs run` whose PostgreSQL and Redis are joined (default: data_dir)\n"
          "  -D, --daemonize           go to the background once it serves\n"
          "      --drain SECONDS       how long an end waits for requests under way (default: 10)\n",
          out);
    return code;
}

/* -1: go on; else the exit code. */
static int read_options(int argc, char **argv, solo *w)
{
    enum { DRAIN = 256, ONE_OF_MANY };
    static const struct option LONG[] = {
        { "config-path", required_argument, NULL, 'c' },
        { "name", required_argument, NULL, 'n' },
        { "listen", required_argument, NULL, 'l' },
        { "data-directory", required_argument, NULL, 'd' },
        { "daemonize", no_argument, NULL, 'D' },
        { "drain", required_argument, NULL, DRAIN },
        { "one-of-many", required_argument, NULL, ONE_OF_MANY },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    bool ok = true;
    int c;

    /* The word before the options stands for the program's name. */
    while (ok && (c = getopt_long(argc + 1, argv - 1, "c:n:l:d:Dh", LONG, NULL)) != -1) {
        switch (c) {
        case 'c':
            ok = hs_runner_add_config(&w->run, optarg) == NULL;
            break;
        case 'n':
            w->name = optarg;
            break;
        case 'l':
            ok = w->listens_n < LISTENS_MAX;
            if (ok)
                w->listens[w->listens_n++] = optarg;
            break;
        case 'd':
            w->data_dir = optarg;
            break;
        case 'D':
            w->daemonize = true;
            break;
        case DRAIN:
            ok = hs_drain_option(optarg, &w->run.drain_ms);
            break;
        case ONE_OF_MANY:
            ok = hs_str_to_i64(hs_str_c(optarg), &w->one_of_many) && w->one_of_many > 0;
            break;
        case 'h':
            return usage(stdout, 0);
        default:
            ok = false;
        }
    }
    if (ok && optind < argc + 1)
        w->roles = argv[optind++ - 1];
    ok = ok && optind >= argc + 1 && w->run.configs_n;
    return ok ? -1 : usage(stderr, 2);
}

/* ── what this worker is ── */

static hs_error *roles_of(const solo *w, unsigned *ret)
{
    static const char *const GENERIC[] = { "generic_worker", "client_reader",     "event_creator", "synchrotron",
                                           "frontend_proxy", "federation_reader", "pusher",        "federation_sender",
                                           "appservice",     "user_dir" };
    const hs_config *c = w->run.config;
    hs_str app = c->worker_app;

    if (w->roles)
        return hs_roles_parse(w->run.a, hs_str_c(w->roles), ret);
    if (!app.n)
        return hs_err(w->run.a, 500, HS_M_UNKNOWN,
                      "which roles? Name them (hs worker client,federation -c ...), or set worker_app");
    if (hs_str_eq(app, HS_S("synapse.app.homeserver")))
        return hs_err(w->run.a, 500, HS_M_UNKNOWN,
                      "worker_app is synapse.app.homeserver, the main process: start that with `hs run`");
    *ret = 0;
    if (hs_str_eq(app, HS_S("synapse.app.media_repository")))
        *ret = HS_ROLE_MEDIA | HS_ROLE_BACKGROUND;
    for (size_t i = 0; i < sizeof GENERIC / sizeof *GENERIC; i++)
        if (hs_str_starts(app, HS_S("synapse.app.")) && hs_str_eq(hs_str_from(app, 12), hs_str_c(GENERIC[i])))
            *ret = HS_ROLE_ALL;
    return *ret ? NULL
                : hs_err(w->run.a, 500, HS_M_UNKNOWN,
                         "worker_app: there is no '%.*s'; expected synapse.app.generic_worker or "
                         "synapse.app.media_repository",
                         HS_FMT(app));
}

/* The made-up one is different in each process, of whatever machine. */
static hs_error *name_of(const solo *w, unsigned roles, hs_str *ret)
{
    char host[256] = "";
    hs_str names;

    *ret = w->name ? hs_str_c(w->name) : w->run.config->worker_name;
    if (ret->n)
        return NULL;
    (void)gethostname(host, sizeof host - 1);
    HS_TRY(hs_roles_names(w->run.a, roles, &names));
    return hs_str_fmt(w->run.a, ret, "%s@%s-%ld", roles == HS_ROLE_ALL ? "all" : names.p, host, (long)getpid());
}

/* ── where it listens ── */

static hs_error *all_resources(hs_arena *a, hs_strs *ret)
{
    static const char *const NAMES[] = { "client", "consent", "federation", "media", "metrics", "health" };
    enum { N = sizeof NAMES / sizeof *NAMES };
    hs_str *at;

    HS_TRY(hs_alloc(a, N, &at));
    for (size_t i = 0; i < N; i++)
        at[i] = hs_str_c(NAMES[i]);
    *ret = (hs_strs){ .at = at, .n = N };
    return NULL;
}

/* "8101", "[::1]:8101", "/run/hs/client1.sock" */
static hs_error *read_listen(hs_arena *a, const char *text, hs_config_listener *l)
{
    hs_str where = hs_str_c(text), address = HS_S("127.0.0.1"), *at;
    size_t colon = where.n;
    int64_t port;

    *l = (hs_config_listener){ .x_forwarded = true };
    HS_TRY(all_resources(a, &l->resources));
    if (hs_str_starts(where, HS_S("/"))) {
        l->unix_path = where;
        l->unix_mode = 0666;
        return NULL;
    }
    while (colon > 0 && where.p[colon - 1] != ':')
        colon--;
    if (colon) {
        address = hs_str_first(where, colon - 1);
        if (hs_str_starts(address, HS_S("[")) && hs_str_ends(address, HS_S("]")))
            address = hs_str_make(address.p + 1, address.n - 2);
    }
    if (!hs_str_to_i64(hs_str_from(where, colon), &port) || port < 0 || port > 65535 || !address.n)
        return hs_err(a, 500, HS_M_UNKNOWN, "--listen %s: expected PORT, ADDRESS:PORT or a path", text);
    HS_TRY(hs_alloc(a, 1, &at));
    *at = address;
    l->port = (uint16_t)port;
    l->bind_addresses = (hs_strs){ .at = at, .n = 1 };
    return NULL;
}

/* What cannot be shared has a place of its own for each: metrics on the ports that follow, unix sockets beside the
 * first. */
static hs_error *spread(const solo *w, hs_config_listener *l)
{
    int64_t port = l->port + w->one_of_many - 1;

    if (w->one_of_many <= 1)
        return NULL;
    if (l->unix_path.n)
        return hs_str_fmt(w->run.a, &l->unix_path, "%.*s.%lld", HS_FMT(l->unix_path), (long long)w->one_of_many);
    if (l->metrics) {
        if (port > 65535)
            return hs_err(w->run.a, 500, HS_M_UNKNOWN, "listeners: there is no port %lld for metrics", (long long)port);
        l->port = (uint16_t)port;
    }
    return NULL;
}

/* --listen; else, for a worker that has a file of its own, worker_listeners; else listeners, as far as the roles serve
 * them. */
static hs_error *listeners_of(const solo *w, hs_worker_options *o)
{
    const hs_config *c = w->run.config;
    bool own_file = !w->one_of_many && (c->worker_app.n || c->worker_listeners_n);
    const hs_config_listener *from = own_file ? c->worker_listeners : c->listeners;
    size_t n = w->listens_n ? w->listens_n : own_file ? c->worker_listeners_n : c->listeners_n;
    hs_config_listener *at;

    HS_TRY(hs_alloc(w->run.a, n + 1, &at));
    for (size_t i = 0; i < n; i++) {
        if (w->listens_n) {
            HS_TRY(read_listen(w->run.a, w->listens[i], &at[i]));
            continue;
        }
        at[i] = from[i];
        HS_TRY(spread(w, &at[i]));
    }
    o->listeners = at;
    o->listeners_n = n;
    return NULL;
}

/* ── what it joins ── */

static hs_error *find_private(const solo *w, hs_worker_options *o)
{
    hs_runner *r = (hs_runner *)(uintptr_t)&w->run;
    hs_str dir = w->data_dir ? hs_str_c(w->data_dir) : r->config->data_dir;

    if (r->config->private_postgres) {
        HS_TRY(hs_private_pg_find(r->a, dir, &o->conninfo));
        if (!o->conninfo.p)
            return hs_err(r->a, 500, HS_M_UNKNOWN,
                          "no database: name one in homeserver.yaml (database:); nor does an `hs run` keep its "
                          "PostgreSQL running in %.*s",
                          HS_FMT(dir));
    }
    if (r->config->redis.enabled)
        return NULL;
    HS_TRY(hs_private_redis_find(r->a, dir, &o->redis_socket));
    if (!o->redis_socket.p)
        return hs_err(r->a, 500, HS_M_UNKNOWN,
                      "no Redis: workers tell each other by one, so name it in homeserver.yaml (redis:); nor does an "
                      "`hs run --workers` keep its own running in %.*s",
                      HS_FMT(dir));
    return NULL;
}

/* ── the background ── */

/* The parent stays until the child serves or has failed, so that a script knows which. */
static hs_error *go_to_background(solo *w)
{
    int fds[2], null;
    char byte;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return hs_err(w->run.a, 500, HS_M_UNKNOWN, "pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return hs_err(w->run.a, 500, HS_M_UNKNOWN, "cannot fork: %s", strerror(errno));
    if (child > 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(fds[0]);
    w->ready_fd = fds[1];
    (void)setsid();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        close(null);
    }
    return NULL;
}

static void say_ready(solo *w)
{
    hs_runner *r = &w->run;

    hs_log(r->log, HS_LOG_INFO, "worker.ready", "name=%.*s", HS_FMT(hs_worker_name(r->worker)));
    if (w->ready_fd >= 0) {
        (void)!write(w->ready_fd, "r", 1);
        close(w->ready_fd);
    }
    hs_notify("READY=1");
}

static hs_error *start(solo *w)
{
    hs_runner *r = &w->run;
    hs_worker_options o = { .share_ports = true };

    HS_TRY(hs_runner_absolute_configs(r));
    HS_TRY(hs_drop_root(r->a, NULL));
    hs_harden_process();
    hs_raise_file_limit();
    HS_TRY(hs_runner_load(r, r->a, NULL, &r->config));
    if (w->daemonize || r->config->worker_daemonize)
        HS_TRY(go_to_background(w));
    HS_TRY(hs_runner_configure(r));
    HS_TRY(roles_of(w, &o.roles));
    if (o.roles == HS_ROLE_ALL && !r->config->enable_media_repo) /* left to workers of their own, as in Synapse */
        o.roles &= ~(unsigned)HS_ROLE_MEDIA;
    HS_TRY(name_of(w, o.roles, &o.name));
    HS_TRY(listeners_of(w, &o));
    HS_TRY(find_private(w, &o));
    HS_TRY(hs_runner_open_loop(r));
    HS_TRY(hs_runner_open_worker(r, &o));
    return hs_runner_write_pid(r);
}

int hs_cmd_worker(int argc, char **argv)
{
    solo w = { .ready_fd = -1,
               .run = { .signals = { .fd = -1 },
                        .of_worker = true,
                        .drain_ms = HS_DRAIN_MS,
                        .on_signal = hs_runner_worker_signal } };
    hs_runner *r = &w.run;

    r->a = hs_arena_open(HS_MIB(64));
    if (!r->a)
        return hs_fail(HS_ERR_NOMEM);
    int code = read_options(argc, argv, &w);
    if (code >= 0) {
        hs_arena_close(r->a);
        return code;
    }
    if (w.one_of_many) {
        r->quiet = true;
        r->of_worker = false;
        w.ready_fd = READY_FD;
        (void)fcntl(READY_FD, F_SETFD, FD_CLOEXEC);
        unsetenv("NOTIFY_SOCKET"); /* the supervisor speaks for all */
    }
    umask(0027);
    hs_error *e = start(&w);
    if (e) {
        code = hs_fail(e);
    } else {
        code = 0;
        if (!r->stopping) {
            say_ready(&w);
            hs_loop_run(r->loop);
            code = hs_worker_lost(r->worker);
        }
        hs_log(r->log, HS_LOG_INFO, "worker.stopped", "name=%.*s", HS_FMT(hs_worker_name(r->worker)));
    }
    hs_runner_close(r);
    hs_arena_close(r->a);
    return code;
}
