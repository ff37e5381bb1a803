/* hs routes: every operation, as a list or as a proxy's map. */
#include "main/hs.h"
#include "main/routing_map.h"
#include "workers/http/sets.h"
#include "workers/roles.h"

#include <getopt.h>
#include <stdio.h>

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
        [HS_RC_DELAYED] = "rc_delayed_event_mgmt",
        [HS_RC_SUMMARY] = "room summary",
        [HS_RC_PROFILE] = "rc_profile",
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

static void print_list(bool markdown)
{
    if (markdown)
        puts("# Operations\n\nMade by `hs routes --markdown` from the route tables in workers/.\n\n"
             "| method | path | who | guests | rate limit | largest body | servlet |\n|---|---|---|---|---|---|---|");
    for (const hs_role *const *r = hs_roles; *r; r++)
        print_role(*r, markdown);
    print_set(&hs_http_health_routes, markdown);
    print_set(&hs_http_metrics_routes, markdown);
}

static int usage(FILE *out, int code)
{
    fputs("usage: hs routes [--markdown]\n"
          "       hs routes --nginx|--haproxy [--bind ADDRESS] [--upstream ROLE=SERVER[,SERVER]...]...\n\n"
          "Every operation with each accepted prefix: method, path, who may call, guests, rate limit, largest body,\n"
          "servlet name in metrics. Or the configuration of a proxy that shares them out to workers by their role:\n\n"
          "  --nginx                    a file to include in http { }\n"
          "  --haproxy                  a whole haproxy.cfg\n"
          "  -b, --bind ADDRESS         where the proxy listens (default: 127.0.0.1:8008)\n"
          "  -u, --upstream ROLE=LIST   workers of client, federation or media: HOST:PORT or the path of a socket\n",
          out);
    return code;
}

static int print_map(const hs_routing_map *m)
{
    hs_arena *a = hs_arena_open((size_t)16 << 20);
    hs_str text;
    hs_error *e = a ? hs_routing_map_write(a, m, &text) : HS_ERR_NOMEM;
    int code = e ? hs_fail(e) : 0;

    if (!e)
        fwrite(text.p, 1, text.n, stdout);
    hs_arena_close(a);
    return code;
}

int hs_cmd_routes(int argc, char **argv)
{
    static const struct option LONG[] = { { "markdown", no_argument, NULL, 'm' },
                                          { "nginx", no_argument, NULL, 'n' },
                                          { "haproxy", no_argument, NULL, 'p' },
                                          { "bind", required_argument, NULL, 'b' },
                                          { "upstream", required_argument, NULL, 'u' },
                                          { "help", no_argument, NULL, 'h' },
                                          { 0 } };
    hs_routing_map map = { .bind = "127.0.0.1:8008" };
    bool markdown = false, a_map = false, ok = true;
    int c;

    /* The word before the options stands for the program's name. */
    while (ok && (c = getopt_long(argc + 1, argv - 1, "b:u:h", LONG, NULL)) != -1) {
        switch (c) {
        case 'm':
            markdown = true;
            break;
        case 'n':
        case 'p':
            a_map = true;
            map.haproxy = c == 'p';
            break;
        case 'b':
            map.bind = optarg;
            break;
        case 'u':
            ok = map.upstreams_n < HS_UPSTREAMS_MAX;
            if (ok)
                map.upstreams[map.upstreams_n++] = hs_str_c(optarg);
            break;
        case 'h':
            return usage(stdout, 0);
        default:
            ok = false;
        }
    }
    if (!ok || optind < argc + 1 || (markdown && a_map))
        return usage(stderr, 2);
    if (a_map)
        return print_map(&map);
    print_list(markdown);
    return 0;
}
