/* See routing_map.h.
 *
 * Every row is a path of segments that belongs to a role. A prefix of segments belongs to the role that has most rows
 * below it; where that is another role than its parent's, a rule is written. Rules for longer prefixes come first; what
 * matches none is the client role's. */
#include "main/routing_map.h"

#include "base/buf.h"
#include "base/vec.h"
#include "workers/roles.h"

#define SEGMENTS_MAX 16
#define ROLES_N      4 /* as many as hs_roles has */

typedef struct {
    hs_str segments[SEGMENTS_MAX]; /* parameters as "{}", all but roomId */
    size_t n;
    size_t role; /* index in hs_roles */
} path;

typedef HS_VEC(path) paths;
typedef HS_VEC(hs_str) texts;

typedef struct {
    const path *p; /* whose first n segments it is */
    size_t n, role;
} rule;

typedef HS_VEC(rule) rules;

typedef struct {
    hs_arena *a;
    paths paths;
    rules rules;   /* longest first */
    texts servers; /* of one role at a time */
    hs_buf out;
    const hs_routing_map *map;
} writer;

/* ── the tables ── */

static hs_error *add_path(writer *w, hs_str base, hs_str prefix, hs_str rest, size_t role)
{
    hs_str whole, at;
    path p = { .role = role };

    HS_TRY(hs_str_cat(w->a, &whole, 4, base, prefix, prefix.n && !hs_str_starts(rest, HS_S("/")) ? HS_S("/") : HS_S(""),
                      rest));
    at = whole;
    while (at.p && p.n < SEGMENTS_MAX) {
        hs_str s = hs_str_split(&at, '/');
        if (!s.n)
            continue;
        bool parameter = s.p[0] == '{' && !hs_str_eq(s, HS_S("{roomId}"));
        p.segments[p.n++] = parameter ? HS_S("{}") : s;
    }
    return hs_vec_push(w->a, &w->paths, p);
}

static hs_error *add_set(writer *w, const hs_route_set *set, size_t role)
{
    for (const hs_route *r = set->routes; r->path; r++) {
        hs_str prefixes = hs_str_c(r->prefixes);
        if (!r->prefixes)
            HS_TRY(add_path(w, hs_str_c(set->base), HS_S(""), hs_str_c(r->path), role));
        while (prefixes.p)
            HS_TRY(add_path(w, hs_str_c(set->base), hs_str_split(&prefixes, ' '), hs_str_c(r->path), role));
    }
    return NULL;
}

/* What two roles have belongs to the first. */
static bool had_before(size_t role, const char *group)
{
    for (size_t r = 0; r < role; r++)
        for (size_t i = 0; i < hs_roles[r]->groups_n; i++)
            if (strcmp(hs_roles[r]->groups[i].name, group) == 0)
                return true;
    return false;
}

static hs_error *read_tables(writer *w)
{
    for (size_t r = 0; hs_roles[r]; r++)
        for (size_t g = 0; g < hs_roles[r]->groups_n; g++)
            for (size_t i = 0; !had_before(r, hs_roles[r]->groups[g].name) && i < hs_roles[r]->groups[g].n; i++)
                HS_TRY(add_set(w, &hs_roles[r]->groups[g].sets[i], r));
    return NULL;
}

/* ── the rules ── */

static bool same_prefix(const path *a, const path *b, size_t n)
{
    if (a->n < n || b->n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!hs_str_eq(a->segments[i], b->segments[i]))
            return false;
    return true;
}

static size_t owner(const writer *w, const path *p, size_t n)
{
    size_t rows[ROLES_N] = { 0 }, best = 0;

    for (size_t i = 0; i < w->paths.n; i++)
        if (same_prefix(&w->paths.at[i], p, n))
            rows[w->paths.at[i].role]++;
    for (size_t r = 1; r < ROLES_N; r++)
        if (rows[r] > rows[best])
            best = r;
    return best;
}

static bool is_known(const writer *w, const path *p, size_t n)
{
    for (size_t i = 0; i < w->rules.n; i++)
        if (w->rules.at[i].n == n && same_prefix(w->rules.at[i].p, p, n))
            return true;
    return false;
}

static hs_error *make_rules(writer *w)
{
    for (size_t n = SEGMENTS_MAX; n > 0; n--)
        for (size_t i = 0; i < w->paths.n; i++) {
            const path *p = &w->paths.at[i];
            if (p->n < n || is_known(w, p, n))
                continue;
            size_t mine = owner(w, p, n), above = n > 1 ? owner(w, p, n - 1) : 0;
            if (mine != above)
                HS_TRY(hs_vec_push(w->a, &w->rules, (rule){ .p = p, .n = n, .role = mine }));
        }
    return NULL;
}

static void say(writer *w, const char *text)
{
    hs_buf_add(&w->out, hs_str_c(text));
}

/* As an extended regular expression, which both proxies take. */
static void regex(writer *w, const path *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hs_str s = p->segments[i];
        hs_buf_addc(&w->out, '/');
        if (s.n && s.p[0] == '{') {
            say(w, "[^/]+");
            continue;
        }
        for (size_t k = 0; k < s.n; k++) {
            if (strchr(".$+()[]*?\\^|", s.p[k]))
                hs_buf_addc(&w->out, '\\');
            hs_buf_addc(&w->out, s.p[k]);
        }
    }
}

/* The rows up to {roomId}, one for all versions of the API; *ret_at: its place, from 1. */
static bool up_to_room(writer *w, const path *p, hs_str *ret, size_t *ret_at)
{
    hs_buf keep = w->out;
    path general = *p;
    size_t i = 0;

    while (i < p->n && !hs_str_eq(p->segments[i], HS_S("{roomId}")))
        i++;
    if (i == p->n || i < 3)
        return false;
    general.segments[2] = HS_S("{}"); /* /_matrix/client/VERSION */
    hs_buf_init(&w->out, w->a);
    regex(w, &general, i);
    bool ok = hs_buf_flatten(&w->out, ret) == NULL;
    w->out = keep;
    *ret_at = i + 1;
    return ok;
}

typedef void room_rule(writer *w, hs_str pattern, size_t at);

static hs_error *each_room_rule(writer *w, room_rule *fn)
{
    texts done = { 0 };

    for (size_t i = 0; i < w->paths.n; i++) {
        hs_str pattern;
        size_t at, k = 0;
        if (w->paths.at[i].role != 0 || !up_to_room(w, &w->paths.at[i], &pattern, &at))
            continue;
        while (k < done.n && !hs_str_eq(done.at[k], pattern))
            k++;
        if (k < done.n)
            continue;
        HS_TRY(hs_vec_push(w->a, &done, pattern));
        fn(w, pattern, at);
    }
    return NULL;
}

/* ── the workers ── */

static hs_error *bad_upstream(writer *w, hs_str text)
{
    return hs_err(w->a, 500, HS_M_UNKNOWN, "--upstream %.*s: expected client, federation or media = servers",
                  HS_FMT(text));
}

/* Names that nobody gave are told, not passed over. */
static hs_error *check_upstreams(writer *w)
{
    for (size_t i = 0; i < w->map->upstreams_n; i++) {
        hs_str rest = w->map->upstreams[i], name = hs_str_split(&rest, '=');
        size_t r = 0;
        while (hs_roles[r] && !hs_str_eq(name, hs_str_c(hs_roles[r]->name)))
            r++;
        if (!hs_roles[r] || !hs_roles[r]->groups_n || !rest.n)
            return bad_upstream(w, w->map->upstreams[i]);
        for (size_t k = 0; k < rest.n; k++) /* what ends up in a file has no way out of its word */
            if ((unsigned char)rest.p[k] <= ' ' || strchr(";{}\"'\\#$", rest.p[k]))
                return bad_upstream(w, w->map->upstreams[i]);
    }
    return NULL;
}

static hs_error *servers_of(writer *w, const char *role)
{
    hs_str example;

    w->servers.n = 0;
    for (size_t i = 0; i < w->map->upstreams_n; i++) {
        hs_str rest = w->map->upstreams[i];
        if (!hs_str_eq(hs_str_split(&rest, '='), hs_str_c(role)))
            continue;
        while (rest.p)
            HS_TRY(hs_vec_push(w->a, &w->servers, hs_str_split(&rest, ',')));
    }
    if (w->servers.n)
        return NULL;
    for (int i = 1; i <= 2; i++) {
        HS_TRY(hs_str_fmt(w->a, &example, "127.0.0.1:8%c0%d",
                          strcmp(role, "client") == 0  ? '1'
                          : strcmp(role, "media") == 0 ? '3'
                                                       : '2',
                          i));
        HS_TRY(hs_vec_push(w->a, &w->servers, example));
    }
    return NULL;
}

/* ── nginx ── */

static void nginx_room(writer *w, hs_str pattern, size_t at)
{
    (void)at;
    say(w, "    \"~^");
    hs_buf_add(&w->out, pattern);
    say(w, "/([^/?]+)\" $1;\n");
}

static hs_error *nginx(writer *w)
{
    say(w, "# Made by `hs routes --nginx`; include it in http { }.\n\n"
           "# The role that serves a path. What no line names belongs to the client role.\n"
           "map $request_uri $hs_upstream {\n    default hs_client;\n");
    for (size_t i = 0; i < w->rules.n; i++) {
        say(w, "    \"~^");
        regex(w, w->rules.at[i].p, w->rules.at[i].n);
        say(w, "([/?]|$)\" hs_");
        say(w, hs_roles[w->rules.at[i].role]->name);
        say(w, ";\n");
    }
    say(w, "}\n\n# Who is asking, and about which room: the same worker has it in its caches. A hint: any worker may "
           "answer.\n"
           "map $request_uri $hs_room {\n    default \"\";\n");
    HS_TRY(each_room_rule(w, nginx_room));
    say(w, "}\n"
           "map $http_authorization $hs_token {\n    default $http_authorization;\n    \"\" $arg_access_token;\n}\n"
           "map $hs_token $hs_user {\n    default $hs_token;\n    \"\" $remote_addr;\n}\n"
           "map $hs_room $hs_key {\n    default $hs_room;\n    \"\" $hs_user;\n}\n");
    for (size_t r = 0; hs_roles[r]; r++) {
        if (!hs_roles[r]->groups_n)
            continue;
        HS_TRY(servers_of(w, hs_roles[r]->name));
        say(w, "\nupstream hs_");
        say(w, hs_roles[r]->name);
        say(w, " {\n    hash $hs_key consistent;\n");
        for (size_t i = 0; i < w->servers.n; i++) {
            say(w, hs_str_starts(w->servers.at[i], HS_S("/")) ? "    server unix:" : "    server ");
            hs_buf_add(&w->out, w->servers.at[i]);
            say(w, " max_fails=1 fail_timeout=2s;\n");
        }
        say(w, "    keepalive 256;\n}\n");
    }
    say(w, "\nserver {\n    listen ");
    say(w, w->map->bind);
    say(w, "; # add TLS and HTTP/2 here\n"
           "    client_max_body_size 0; # the workers know max_upload_size\n"
           "    proxy_request_buffering off;\n"
           "    proxy_http_version 1.1;\n"
           "    proxy_set_header Connection \"\";\n"
           "    proxy_set_header Host $http_host;\n"
           "    proxy_set_header X-Forwarded-For $remote_addr;\n"
           "    proxy_set_header X-Forwarded-Proto $scheme;\n"
           "    proxy_read_timeout 180s; # above the longest /sync\n"
           "    proxy_next_upstream error timeout;\n\n"
           "    location ~ ^/(_matrix|\\.well-known/matrix|_synapse/client)/ {\n"
           "        proxy_pass http://$hs_upstream;\n    }\n\n"
           "    # Keep this one inside.\n"
           "    location /_synapse/admin/ {\n        allow 127.0.0.1;\n        allow ::1;\n        deny all;\n"
           "        proxy_pass http://$hs_upstream;\n    }\n}\n");
    return NULL;
}

/* ── HAProxy ── */

static void haproxy_room(writer *w, hs_str pattern, size_t at)
{
    hs_str field;

    if (hs_str_fmt(w->a, &field, "    http-request set-var(txn.hs_key) path,field(%zu,/) if { path_reg '^", at + 1))
        return;
    hs_buf_add(&w->out, field);
    hs_buf_add(&w->out, pattern);
    say(w, "/[^/]' }\n");
}

static hs_error *haproxy_backend(writer *w, const char *role)
{
    HS_TRY(servers_of(w, role));
    say(w, "\nbackend hs_");
    say(w, role);
    say(w, "\n    balance hash var(txn.hs_key)\n    hash-type consistent\n    option httpchk GET /health\n");
    for (size_t i = 0; i < w->servers.n; i++) {
        hs_str line;
        HS_TRY(hs_str_fmt(w->a, &line, "    server %s%zu %s%.*s check inter 1s fall 2 rise 1\n", role, i + 1,
                          hs_str_starts(w->servers.at[i], HS_S("/")) ? "unix@" : "", HS_FMT(w->servers.at[i])));
        hs_buf_add(&w->out, line);
    }
    return NULL;
}

static hs_error *haproxy(writer *w)
{
    say(w, "# Made by `hs routes --haproxy`.\n\n"
           "defaults\n    mode http\n    timeout connect 5s\n    timeout client 180s\n"
           "    timeout server 180s # above the longest /sync\n    timeout http-request 30s\n"
           "    timeout http-keep-alive 60s\n    timeout queue 10s\n    retries 3\n    retry-on conn-failure\n"
           "    option redispatch 1\n    option forwardfor\n\n"
           "frontend matrix\n    bind ");
    say(w, w->map->bind);
    say(w, " # add ssl crt FILE alpn h2,http/1.1\n"
           "    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n"
           "    # Keep this one inside.\n"
           "    http-request deny if { path_beg /_synapse/admin } !{ src 127.0.0.0/8 ::1 }\n"
           "    http-request deny deny_status 404 if !{ path_reg "
           "'^/(_matrix|\\.well-known/matrix|_synapse/(admin|client))/' }\n"
           "    # Who is asking, and about which room: the same worker has it in its caches. A hint: any worker may "
           "answer.\n"
           "    http-request set-var(txn.hs_key) src\n"
           "    http-request set-var(txn.hs_key) url_param(access_token) if { url_param(access_token) -m found }\n"
           "    http-request set-var(txn.hs_key) req.hdr(authorization) if { req.hdr(authorization) -m found }\n");
    HS_TRY(each_room_rule(w, haproxy_room));
    say(w, "    # The role that serves a path. What no line names belongs to the client role.\n");
    for (size_t i = 0; i < w->rules.n; i++) {
        say(w, "    use_backend hs_");
        say(w, hs_roles[w->rules.at[i].role]->name);
        say(w, " if { path_reg '^");
        regex(w, w->rules.at[i].p, w->rules.at[i].n);
        say(w, "(/|$)' }\n");
    }
    say(w, "    default_backend hs_client\n");
    for (size_t r = 0; hs_roles[r]; r++)
        if (hs_roles[r]->groups_n)
            HS_TRY(haproxy_backend(w, hs_roles[r]->name));
    return NULL;
}

hs_error *hs_routing_map_write(hs_arena *a, const hs_routing_map *m, hs_str *ret)
{
    writer w = { .a = a, .map = m };

    HS_TRY(check_upstreams(&w));
    HS_TRY(read_tables(&w));
    HS_TRY(make_rules(&w));
    hs_buf_init(&w.out, a);
    HS_TRY(m->haproxy ? haproxy(&w) : nginx(&w));
    return hs_buf_flatten(&w.out, ret);
}
