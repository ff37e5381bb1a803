/* hs routes, hs config-docs, hs generate: what a build knows about itself, and a first configuration. */
#include "main/generate.h"
#include "main/hs.h"
#include "runtime/config.h"
#include "workers/http/sets.h"
#include "workers/roles.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *method_name(hs_method m)
{
    static const char *const NAMES[] = { "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "*" };

    return NAMES[m];
}

static const char *who_name(hs_auth_kind k)
{
    static const char *const NAMES[] = { "none", "optional", "user", "admin", "server", "secret" };

    return NAMES[k];
}

static const char *rate_name(hs_rate_class c)
{
    static const char *const NAMES[HS_RC_COUNT] = {
        [HS_RC_NONE] = "-",
        [HS_RC_MESSAGE] = "rc_message",
        [HS_RC_REGISTRATION] = "rc_registration",
        [HS_RC_REGISTRATION_TOKEN] = "rc_registration_token_validity",
        [HS_RC_LOGIN] = "rc_login",
        [HS_RC_JOIN] = "rc_joins",
        [HS_RC_INVITE] = "rc_invites",
        [HS_RC_ADMIN_REDACTION] = "rc_admin_redaction",
        [HS_RC_ROOM_CREATION] = "rc_room_creation",
        [HS_RC_REPORTS] = "rc_reports",
        [HS_RC_USER_DIRECTORY] = "rc_user_directory",
        [HS_RC_PRESENCE] = "rc_presence",
        [HS_RC_MEDIA_CREATE] = "rc_media_create",
    };

    return NAMES[c];
}

static void print_route(const hs_route_set *set, const hs_route *r, hs_str prefix, bool markdown)
{
    static const char ROW[] = "%s\t%s%.*s%s\t%s\t%s\t%s\t%zu\t%s\n";
    static const char TABLE[] = "| %s | `%s%.*s%s` | %s | %s | %s | %zu | %s |\n";
    size_t body = r->stream ? 0 : r->body ? r->body : r->method == HS_PUT || r->method == HS_POST ? 65536 : 0;
    const char *guest = r->guest ? "yes" : "no", *servlet = r->servlet ? r->servlet : "-";

    if (markdown)
        printf(TABLE, method_name(r->method), set->base, HS_FMT(prefix), r->path, who_name(r->who), guest,
               rate_name(r->rate), body, servlet);
    else
        printf(ROW, method_name(r->method), set->base, HS_FMT(prefix), r->path, who_name(r->who), guest,
               rate_name(r->rate), body, servlet);
}

static void print_set(const hs_route_set *set, bool markdown)
{
    for (const hs_route *r = set->routes; r->handler; r++) {
        hs_str rest = hs_str_c(r->prefixes);

        if (!r->prefixes)
            print_route(set, r, HS_S(""), markdown);
        while (rest.p)
            print_route(set, r, hs_str_split(&rest, ' '), markdown);
    }
}

/* What two roles serve is printed with the first. */
static bool is_printed(const hs_role *role, const char *group)
{
    for (const hs_role *const *r = hs_roles; *r != role; r++)
        for (size_t i = 0; i < (*r)->groups_n; i++)
            if (strcmp((*r)->groups[i].name, group) == 0)
                return true;
    return false;
}

static void print_role(const hs_role *role, bool markdown)
{
    for (size_t g = 0; g < role->groups_n; g++)
        for (size_t i = 0; !is_printed(role, role->groups[g].name) && i < role->groups[g].n; i++)
            print_set(&role->groups[g].sets[i], markdown);
}

int hs_cmd_routes(int argc, char **argv)
{
    bool markdown = argc > 0 && strcmp(argv[0], "--markdown") == 0;

    if (argc > 1 || (argc == 1 && !markdown)) {
        fputs("usage: hs routes [--markdown]\n\nEvery operation with each accepted prefix: method, path, who may call, "
              "guests, rate "
              "limit, largest body, servlet name in metrics.\n",
              strcmp(argv[0], "--help") == 0 ? stdout : stderr);
        return strcmp(argv[0], "--help") == 0 ? 0 : 2;
    }
    if (markdown)
        puts("# Operations\n\nMade by `hs routes --markdown` from the route tables in workers/.\n\n"
             "| method | path | who | guests | rate limit | largest body | servlet |\n|---|---|---|---|---|---|---|");
    for (const hs_role *const *r = hs_roles; *r; r++)
        print_role(*r, markdown);
    print_set(&hs_http_health_routes, markdown);
    print_set(&hs_http_metrics_routes, markdown);
    return 0;
}

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
