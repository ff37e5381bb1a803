/* See private_pg.h. In the data directory: postgres/ is the cluster, postgres.log what the server says, and
 * postgres.run/ its socket (in /tmp when the path would be too long for one). initdb works in postgres.new/, which is
 * renamed when it is whole. */
#include "main/private_pg.h"

#include "main/private_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_SECONDS 60 /* crash recovery may have much to read */
#define STOP_SECONDS  30
#define WATCH_MS      250
#define SOCKET_MAX    90 /* of the 107 bytes of a socket's path, less ".s.PGSQL.5432" */

struct hs_private_pg {
    hs_arena *a;
    const char *data, *log_path, *run; /* cluster, log, folder of the socket */
    const char *bin;                   /* folder of the programs */
    hs_str conninfo;
    pid_t pid;   /* the server's, as postmaster.pid has it */
    pid_t child; /* the one started here; 0: none */
    hs_loop *loop;
    hs_logger *log;
    hs_timer timer;
};

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* ── the programs ── */

/* The newest under /usr/lib/postgresql, or for an existing cluster those of its own version. */
static hs_error *find_bin(hs_arena *a, const char *data, const char **ret)
{
    char version[16] = "*";
    hs_str pattern;
    glob_t found;
    hs_error *e;

    if (exists(data)) {
        const char *path;
        HS_TRY(hs_private_path(a, hs_str_c(data), "PG_VERSION", &path));
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%15[0-9]", version) != 1)
            snprintf(version, sizeof version, "*");
        if (f)
            fclose(f);
    }
    HS_TRY(hs_str_cat(a, &pattern, 3, HS_S("/usr/lib/postgresql/"), hs_str_c(version), HS_S("/bin/postgres")));
    if (glob(pattern.p, 0, NULL, &found) == 0) {
        hs_str best = hs_str_c(found.gl_pathv[found.gl_pathc - 1]);
        for (size_t i = 0; i < found.gl_pathc; i++) /* "9" sorts after "15" */
            if (strlen(found.gl_pathv[i]) > best.n)
                best = hs_str_c(found.gl_pathv[i]);
        e = hs_str_dup(a, hs_str_first(best, best.n - strlen("/postgres")), &pattern);
        globfree(&found);
        *ret = pattern.p;
        return e;
    }
    if (access("/usr/local/bin/initdb", X_OK) == 0 && access("/usr/local/bin/postgres", X_OK) == 0) {
        *ret = "/usr/local/bin";
        return NULL;
    }
    return hs_err(a, 500, HS_M_UNKNOWN,
                  "the PostgreSQL server is not installed (looked for /usr/lib/postgresql/%s/bin/postgres): "
                  "apt-get install postgresql, or name a database in homeserver.yaml",
                  version);
}

/* PostgreSQL's programs look for each other beside where they were started from, so they are called by their whole
 * path. */
static pid_t spawn(const hs_private_pg *pg, const char *program, char *argv[], int in)
{
    const char *path;

    if (hs_private_path(pg->a, hs_str_c(pg->bin), program, &path))
        return -1;
    argv[0] = hs_arg(path);
    return hs_private_spawn(path, argv, in, pg->log_path);
}

static bool run(const hs_private_pg *pg, const char *program, char *argv[], const char *input)
{
    int status, fds[2] = { -1, -1 };
    pid_t pid;

    if (input && pipe2(fds, O_CLOEXEC) != 0)
        return false;
    pid = spawn(pg, program, argv, fds[0]);
    if (input) {
        close(fds[0]);
        (void)!write(fds[1], input, strlen(input));
        close(fds[1]);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ── the cluster ── */

static hs_error *broken(const hs_private_pg *pg, const char *what)
{
    return hs_err(pg->a, 500, HS_M_UNKNOWN, "PostgreSQL: %s; %s says why", what, pg->log_path);
}

static hs_error *make_cluster(hs_private_pg *pg, hs_str dir)
{
    const char *fresh;

    HS_TRY(hs_private_path(pg->a, dir, "postgres.new", &fresh));
    char *clear[] = { hs_arg("rm"), hs_arg("-rf"), hs_arg("--"), hs_arg(fresh), NULL };
    if (exists(fresh)) { /* an initdb that was cut short */
        pid_t pid = fork();
        if (pid == 0) {
            execv("/bin/rm", clear);
            _exit(127);
        }
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    char *initdb[] = { hs_arg("initdb"),
                       hs_arg("-D"),
                       hs_arg(fresh),
                       hs_arg("-U"),
                       hs_arg("hs"),
                       hs_arg("-A"),
                       hs_arg("trust"),
                       hs_arg("-E"),
                       hs_arg("UTF8"),
                       hs_arg("--locale=C"),
                       hs_arg("--data-checksums"),
                       hs_arg("--no-instructions"),
                       NULL };
    if (!run(pg, "initdb", initdb, NULL))
        return broken(pg, "a new cluster could not be made (initdb failed)");
    char *single[] = { hs_arg("postgres"), hs_arg("--single"), hs_arg("-D"), hs_arg(fresh), hs_arg("postgres"), NULL };
    if (!run(pg, "postgres", single, "CREATE DATABASE hs;\n"))
        return broken(pg, "the database could not be made in the new cluster");
    if (rename(fresh, pg->data) != 0)
        return hs_err(pg->a, 500, HS_M_UNKNOWN, "%s could not be renamed: %s", fresh, strerror(errno));
    return NULL;
}

/* store-design §2.6, scaled to this machine. Written anew at each start; an operator's own lines go into
 * postgresql.conf. */
static hs_error *write_settings(const hs_private_pg *pg)
{
    const char *path, *main_path;
    struct sysinfo si;
    unsigned long mb = sysinfo(&si) == 0 ? (unsigned long)(si.totalram / 1024 / 1024 * si.mem_unit / 8) : 128;
    FILE *f;

    mb = mb < 128 ? 128 : mb > 2048 ? 2048 : mb;
    HS_TRY(hs_private_path(pg->a, hs_str_c(pg->data), "hs.conf", &path));
    HS_TRY(hs_private_path(pg->a, hs_str_c(pg->data), "postgresql.conf", &main_path));
    bool first = !exists(path);
    f = fopen(path, "w");
    if (f) {
        fprintf(
            f,
            "# Written by hs at each start.\n"
            "listen_addresses = ''\nunix_socket_directories = '%s'\nunix_socket_permissions = 0700\n"
            "shared_buffers = %luMB\nmax_wal_size = 4GB\nwal_compression = lz4\ndefault_toast_compression = lz4\n"
            "random_page_cost = 1.1\njit = off\nsynchronous_commit = on\nautovacuum_vacuum_insert_scale_factor = 0.05\n"
            "log_min_messages = warning\nlog_line_prefix = '%%m [%%p] '\nmax_connections = 100\n",
            pg->run, mb);
        if (fclose(f) != 0)
            f = NULL;
    }
    if (f && first && (f = fopen(main_path, "a")) != NULL) {
        fprintf(f, "\ninclude 'hs.conf'\n");
        if (fclose(f) != 0)
            f = NULL;
    }
    return f ? NULL : hs_err(pg->a, 500, HS_M_UNKNOWN, "%s cannot be written: %s", path, strerror(errno));
}

/* What postmaster.pid says: the server's pid (0: no file) and whether it takes connections. */
static pid_t read_pid_file(const hs_private_pg *pg, bool *ready)
{
    const char *path;
    char line[256];
    long pid = 0;
    FILE *f;

    *ready = false;
    if (hs_private_path(pg->a, hs_str_c(pg->data), "postmaster.pid", &path) || !(f = fopen(path, "r")))
        return 0;
    for (int i = 1; fgets(line, sizeof line, f); i++) {
        if (i == 1)
            pid = strtol(line, NULL, 10);
        if (i == 8)
            *ready = strncmp(line, "ready", 5) == 0;
    }
    fclose(f);
    return pid > 0 ? (pid_t)pid : 0;
}

static bool is_postgres(pid_t pid)
{
    return hs_private_is(pid, "postgres");
}

static void start_server(hs_private_pg *pg)
{
    char *argv[] = { hs_arg("postgres"), hs_arg("-D"), hs_arg(pg->data), NULL };

    pg->child = spawn(pg, "postgres", argv, -1);
}

static hs_error *await_ready(hs_private_pg *pg)
{
    bool started = false, ready;

    for (long waited = 0; waited < READY_SECONDS * 1000; waited += 5, hs_private_nap(5)) {
        pid_t pid = read_pid_file(pg, &ready);
        if (is_postgres(pid)) {
            pg->pid = pid;
            if (ready && PQping(pg->conninfo.p) == PQPING_OK)
                return NULL;
            continue; /* starting, or one from before that is stopping */
        }
        if (hs_private_child_lives(&pg->child))
            continue;
        if (started)
            return broken(pg, "the server did not start");
        start_server(pg);
        started = true;
    }
    return broken(pg, "the server was not ready within a minute");
}

hs_error *hs_private_pg_start(hs_arena *a, hs_str dir, hs_private_pg **ret)
{
    hs_private_pg *pg;

    HS_TRY(hs_alloc(a, 1, &pg));
    pg->a = a;
    HS_TRY(hs_private_path(a, dir, "postgres", &pg->data));
    HS_TRY(hs_private_path(a, dir, "postgres.log", &pg->log_path));
    HS_TRY(find_bin(a, pg->data, &pg->bin));
    HS_TRY(hs_private_socket_dir(a, dir, "postgres", SOCKET_MAX, &pg->run));
    HS_TRY(hs_str_fmt(a, &pg->conninfo, "host='%s' user=hs dbname=hs", pg->run));
    if (!exists(pg->data))
        HS_TRY(make_cluster(pg, dir));
    HS_TRY(write_settings(pg));
    HS_TRY(await_ready(pg));

    *ret = pg;
    return NULL;
}

hs_error *hs_private_pg_find(hs_arena *a, hs_str dir, hs_str *ret_conninfo)
{
    const char *run;
    hs_str conninfo;

    *ret_conninfo = hs_str_make(NULL, 0);
    HS_TRY(hs_private_socket_dir_find(a, dir, "postgres", SOCKET_MAX, &run));
    if (!run)
        return NULL;
    HS_TRY(hs_str_fmt(a, &conninfo, "host='%s' user=hs dbname=hs", run));
    if (PQping(conninfo.p) == PQPING_OK)
        *ret_conninfo = conninfo;
    return NULL;
}

hs_str hs_private_pg_conninfo(const hs_private_pg *pg)
{
    return pg->conninfo;
}

static void look(hs_timer *t)
{
    hs_private_pg *pg = t->ud;

    if (!is_postgres(pg->pid)) {
        bool ready;
        pid_t other = read_pid_file(pg, &ready);
        if (is_postgres(other)) {
            pg->pid = other;
        } else if (!hs_private_child_lives(&pg->child)) {
            hs_log(pg->log, HS_LOG_WARN, "postgres.restart", "reason=died log=%s", pg->log_path);
            start_server(pg);
        }
    }
    (void)!hs_timer_arm(pg->loop, t, WATCH_MS);
}

hs_error *hs_private_pg_watch(hs_private_pg *pg, hs_loop *loop, hs_logger *log)
{
    pg->loop = loop;
    pg->log = log;
    pg->timer = (hs_timer){ .fn = look, .ud = pg };
    return hs_timer_arm(loop, &pg->timer, WATCH_MS);
}

void hs_private_pg_stop(hs_private_pg *pg)
{
    if (pg->loop)
        hs_timer_disarm(pg->loop, &pg->timer);
    if (!is_postgres(pg->pid))
        return;
    kill(pg->pid, SIGINT);
    for (long waited = 0; waited < STOP_SECONDS * 1000 && is_postgres(pg->pid); waited += 5)
        hs_private_nap(5);
    if (is_postgres(pg->pid))
        kill(pg->pid, SIGQUIT);
}
