/* synapse_homeserver: the flags of `python -m synapse.app.homeserver`. It generates what is asked for, and otherwise
 * becomes `hs run`. */
#include "main/compat/become.h"
#include "main/generate.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: synapse_homeserver -c CONFIG [-c CONFIG …] [options]\n\n"
    "  -c, --config-path CONFIG       file, or folder with *.yaml; later ones win\n"
    "      --generate-config          write a configuration and end; needs -c, -H and --report-stats\n"
    "      --generate-missing-configs, --generate-keys\n"
    "                                 write missing keys and end\n"
    "      --generate-missing-and-run write missing keys and run (the default)\n"
    "  -H, --server-name NAME\n"
    "      --report-stats yes|no      accepted; nothing is ever sent\n"
    "      --config-directory, --keys-directory DIR\n"
    "      --data-directory DIR\n"
    "      --open-private-ports       listen on all addresses\n"
    "      --enable-registration, --enable-metrics\n"
    "  -D, --daemonize                go to the background\n"
    "      --print-pidfile, --no-secrets-in-config, -n, --manhole PORT, -d FILE\n"
    "                                 accepted, without effect\n";

enum { MAX_FILES = HS_BECOME_FILES };

typedef struct {
    const char *files[MAX_FILES];
    size_t files_n;
    const char *server_name, *report_stats, *keys_dir, *data_dir;
    bool generate_config, generate_keys, open_ports, enable_registration, metrics, daemonize;
} options;

static hs_error *absolute(hs_arena *a, const char *path, const char **ret)
{
    char here[PATH_MAX];
    hs_str s;

    if (path[0] == '/') {
        *ret = path;
        return NULL;
    }
    if (!getcwd(here, sizeof here))
        return hs_err(a, 500, HS_M_UNKNOWN, "the current folder cannot be read");
    HS_TRY(strcmp(path, ".") == 0 ? hs_str_fmt(a, &s, "%s", here) : hs_str_fmt(a, &s, "%s/%s", here, path));
    return hs_cstr(a, s, ret);
}

static hs_error *missing(hs_arena *a, const options *o)
{
    hs_logger *log = hs_logger_open(STDERR_FILENO, HS_LOG_ERROR, false);
    hs_str paths[MAX_FILES];
    const hs_config *c;
    hs_error *e;
    bool made;

    if (!o->files_n) {
        hs_logger_close(log);
        return hs_err(a, 500, HS_M_UNKNOWN, "Must supply a config file.");
    }
    for (size_t i = 0; i < o->files_n; i++)
        paths[i] = hs_str_c(o->files[i]);
    e = hs_config_load(a, paths, o->files_n, log, &c);
    if (!e)
        e = hs_generate_missing(a, c, &made);
    hs_logger_close(log);
    return e;
}

static hs_error *generate(hs_arena *a, const options *o)
{
    hs_generate g = { .server_name = o->server_name,
                      .bind = o->open_ports ? "::" : NULL,
                      .python_log_config = true,
                      .enable_registration = o->enable_registration,
                      .enable_metrics = o->metrics };
    const char *path;
    hs_str dir;

    if (!o->server_name)
        return hs_err(a, 500, HS_M_UNKNOWN,
                      "Must specify a server_name to a generate config for. Pass -H server.name.");
    if (!o->files_n)
        return hs_err(
            a, 500, HS_M_UNKNOWN,
            "Must supply a config file.\nA config file can be automatically generated using \"--generate-config "
            "-H SERVER_NAME -c CONFIG-FILE\"");
    if (!o->report_stats)
        return hs_err(a, 500, HS_M_UNKNOWN, "Please specify either --report-stats=yes or --report-stats=no");
    g.report_stats = strcmp(o->report_stats, "yes") == 0;
    HS_TRY(absolute(a, o->files[0], &path));
    if (access(path, F_OK) == 0) {
        printf("Config file '%s' already exists. Generating any missing config files.\n", path);
        return missing(a, o);
    }
    HS_TRY(hs_str_dup(a, hs_str_c(path), &dir));
    while (dir.n > 1 && dir.p[dir.n - 1] != '/')
        dir.n--;
    if (dir.n > 1)
        dir.n--;
    g.config_path = path;
    if (o->keys_dir)
        HS_TRY(absolute(a, o->keys_dir, &g.keys_dir));
    else
        HS_TRY(hs_cstr(a, dir, &g.keys_dir));
    HS_TRY(absolute(a, o->data_dir ? o->data_dir : ".", &g.data_dir));
    HS_TRY(hs_generate_config(a, &g));
    printf("A config file has been generated in '%s' for server name '%s'. Please review this file and customise it to "
           "your "
           "needs.\n",
           path, o->server_name);
    return NULL;
}

static hs_error *become_hs(hs_arena *a, const options *o)
{
    static const char *const RUN[] = { "run", NULL };

    if (o->daemonize) {
        pid_t child = fork();
        int null;
        if (child < 0)
            return hs_err(a, 500, HS_M_UNKNOWN, "cannot fork: %s", strerror(errno));
        if (child > 0)
            _exit(0);
        (void)setsid();
        null = open("/dev/null", O_RDWR);
        if (null >= 0) {
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(null, STDOUT_FILENO);
            close(null);
        }
    }
    return hs_become(a, RUN, o->files, o->files_n);
}

int main(int argc, char **argv)
{
    enum { CONFIG = 256, KEYS, RUN, STATS, KEYS_DIR, DATA_DIR, PORTS, REGISTRATION, METRICS, IGNORED };
    static const struct option OPTIONS[] = { { "config-path", required_argument, NULL, 'c' },
                                             { "generate-config", no_argument, NULL, CONFIG },
                                             { "generate-missing-configs", no_argument, NULL, KEYS },
                                             { "generate-keys", no_argument, NULL, KEYS },
                                             { "generate-missing-and-run", no_argument, NULL, RUN },
                                             { "server-name", required_argument, NULL, 'H' },
                                             { "report-stats", required_argument, NULL, STATS },
                                             { "config-directory", required_argument, NULL, KEYS_DIR },
                                             { "keys-directory", required_argument, NULL, KEYS_DIR },
                                             { "data-directory", required_argument, NULL, DATA_DIR },
                                             { "open-private-ports", no_argument, NULL, PORTS },
                                             { "enable-registration", no_argument, NULL, REGISTRATION },
                                             { "enable-metrics", no_argument, NULL, METRICS },
                                             { "daemonize", no_argument, NULL, 'D' },
                                             { "print-pidfile", no_argument, NULL, IGNORED },
                                             { "no-secrets-in-config", no_argument, NULL, IGNORED },
                                             { "no-redirect-stdio", no_argument, NULL, 'n' },
                                             { "manhole", required_argument, NULL, IGNORED },
                                             { "database-path", required_argument, NULL, 'd' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    options o = { 0 };
    hs_arena *a;
    hs_error *e;
    int c;

    while ((c = getopt_long(argc, argv, "c:H:Dnd:h", OPTIONS, NULL)) != -1) {
        if (c == 'c' && o.files_n < MAX_FILES)
            o.files[o.files_n++] = optarg;
        else if (c == CONFIG)
            o.generate_config = true;
        else if (c == KEYS)
            o.generate_keys = true;
        else if (c == 'H')
            o.server_name = optarg;
        else if (c == STATS)
            o.report_stats = optarg;
        else if (c == KEYS_DIR)
            o.keys_dir = optarg;
        else if (c == DATA_DIR)
            o.data_dir = optarg;
        else if (c == PORTS)
            o.open_ports = true;
        else if (c == REGISTRATION)
            o.enable_registration = true;
        else if (c == METRICS)
            o.metrics = true;
        else if (c == 'D')
            o.daemonize = true;
        else if (c == 'h' || c == '?' || c == 'c') {
            fputs(USAGE, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (!(a = hs_arena_open((size_t)16 << 20)))
        return 1;
    if (o.generate_config)
        e = generate(a, &o);
    else if (o.generate_keys)
        e = missing(a, &o);
    else if (!o.files_n)
        e = hs_err(a, 500, HS_M_UNKNOWN, "Must supply a config file.");
    else
        e = become_hs(a, &o);
    if (e)
        fprintf(stderr, "%.*s\n", HS_FMT(e->message));
    hs_arena_close(a);
    return e ? 1 : 0;
}
