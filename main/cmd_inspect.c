/* hs config-docs, hs generate: the options that a build knows, and a first configuration. */
#include "main/generate.h"
#include "main/hs.h"
#include "runtime/config.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int hs_cmd_config_docs(int argc, char **argv)
{
    hs_arena *a = hs_arena_open((size_t)4 << 20);
    hs_error *e;
    hs_str text;

    (void)argc;
    (void)argv;
    e = a ? hs_config_describe(a, &text) : HS_ERR_NOMEM;
    if (!e)
        fwrite(text.p, 1, text.n, stdout);
    int code = e ? hs_fail(e) : 0;
    hs_arena_close(a);
    return code;
}

static int generate_usage(FILE *to, int code)
{
    fputs("usage: hs generate -s SERVER_NAME [-d DIR] [-c FILE] [-p PORT] [-b ADDRESS]\n\n"
          "  -s, --server-name NAME     the part after the colon of every user id; it can never change\n"
          "  -d, --data-directory DIR   default: ./hs-data\n"
          "  -c, --config-path FILE     default: DIR/homeserver.yaml\n"
          "  -p, --port PORT            default: 8008\n"
          "  -b, --bind ADDRESS         default: ::1 and 127.0.0.1\n",
          to);
    return code;
}

static hs_error *generate(hs_arena *a, hs_generate *g)
{
    char here[PATH_MAX];
    hs_str dir = hs_str_c(g->data_dir ? g->data_dir : "hs-data"), file;

    if (!getcwd(here, sizeof here))
        return hs_err(a, 500, HS_M_UNKNOWN, "the current folder cannot be read");
    if (!hs_str_starts(dir, HS_S("/")))
        HS_TRY(hs_str_fmt(a, &dir, "%s/%.*s", here, HS_FMT(dir)));
    HS_TRY(hs_cstr(a, dir, &g->data_dir));
    g->keys_dir = g->data_dir;
    if (!g->config_path) {
        HS_TRY(hs_str_fmt(a, &file, "%.*s/homeserver.yaml", HS_FMT(dir)));
        HS_TRY(hs_cstr(a, file, &g->config_path));
    }
    HS_TRY(hs_generate_config(a, g));
    printf("%s has been written. Start the server with\n\n    hs run -c %s\n", g->config_path, g->config_path);
    return NULL;
}

int hs_cmd_generate(int argc, char **argv)
{
    static const struct option OPTIONS[] = { { "server-name", required_argument, NULL, 's' },
                                             { "data-directory", required_argument, NULL, 'd' },
                                             { "config-path", required_argument, NULL, 'c' },
                                             { "port", required_argument, NULL, 'p' },
                                             { "bind", required_argument, NULL, 'b' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    hs_generate g = { 0 };
    hs_arena *a;
    hs_error *e;
    int64_t port;
    int c;

    /* The word before the options stands for the program's name. */
    while ((c = getopt_long(argc + 1, argv - 1, "s:H:d:c:p:b:h", OPTIONS, NULL)) != -1) {
        switch (c) {
        case 's':
        case 'H':
            g.server_name = optarg;
            break;
        case 'd':
            g.data_dir = optarg;
            break;
        case 'c':
            g.config_path = optarg;
            break;
        case 'b':
            g.bind = optarg;
            break;
        case 'p':
            if (!hs_str_to_i64(hs_str_c(optarg), &port) || port < 1 || port > 65535)
                return generate_usage(stderr, 2);
            g.port = (uint16_t)port;
            break;
        default:
            return generate_usage(c == 'h' ? stdout : stderr, c == 'h' ? 0 : 2);
        }
    }
    if (!g.server_name)
        return generate_usage(stderr, 2);
    a = hs_arena_open((size_t)4 << 20);
    e = a ? generate(a, &g) : HS_ERR_NOMEM;
    int code = e ? hs_fail(e) : 0;
    hs_arena_close(a);
    return code;
}
