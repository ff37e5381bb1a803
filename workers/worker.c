/* See worker.h. */
#include "workers/worker.h"

#include "server/caches.h"
#include "workers/http/hooks.h"
#include "workers/http/sets.h"
#include "workers/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct hs_worker {
    hs_server srv;
    hs_arena *arena; /* as long as the worker */
    hs_http *http;
    const hs_config_listener *listeners;
    size_t listeners_n;
    bool share_ports, services;
    unsigned opened; /* roles whose loops run */
};

#define ARENA_CAP    HS_MIB(64)
#define KEY_FILE_MAX 4096

/* ── the signing key ── */

static hs_error *read_key(hs_worker *w, hs_arena *a, hs_str path)
{
    char text[KEY_FILE_MAX];
    const char *name;
    hs_signing_key *key;

    HS_TRY(hs_cstr(a, path, &name));
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "the signing key %s cannot be read: %s", name, strerror(errno));
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    hs_error *e = n < 0 ? hs_err(a, 500, HS_M_UNKNOWN, "the signing key %s cannot be read", name)
                        : hs_signing_key_read(w->arena, hs_str_make(text, (size_t)n), &key);
    explicit_bzero(text, sizeof text);
    if (e)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s: %.*s", name, HS_FMT(e->message));
    w->srv.key = key;
    return NULL;
}

static hs_error *load_key(hs_worker *w, hs_arena *a)
{
    const hs_config *c = w->srv.config;
    hs_signing_key *key;

    if (!c->signing_key.n) {
        hs_str path = c->signing_key_path;
        if (!path.n) /* where `hs run` and generate_signing_key put it */
            HS_TRY(hs_str_fmt(a, &path, "%.*s/%.*s.signing.key", HS_FMT(c->data_dir), HS_FMT(c->server_name)));
        return read_key(w, a, path);
    }
    HS_TRY(hs_signing_key_read(w->arena, c->signing_key, &key));
    w->srv.key = key;
    return NULL;
}

/* ── opening ── */

typedef struct {
    hs_worker *w;
    hs_arena *a;
    hs_error *e;
} opening;

static hs_error *open_roles(hs_worker *w, hs_arena *a)
{
    for (const hs_role *const *r = hs_roles; *r; r++) {
        if (!(w->srv.roles & (*r)->bit))
            continue;
        if ((*r)->open)
            HS_TRY((*r)->open(&w->srv, a));
        w->opened |= (*r)->bit;
    }
    return NULL;
}

static void close_roles(hs_worker *w)
{
    for (const hs_role *const *r = hs_roles; *r; r++)
        if (w->opened & (*r)->bit && (*r)->close)
            (*r)->close(&w->srv);
    w->opened = 0;
}

/* On a fiber: the services ask the database. */
static void open_services(void *ud)
{
    opening *o = ud;

    o->e = hs_server_open_services(&o->w->srv, o->a);
    if (o->e)
        return;
    o->w->services = true;
    o->e = open_roles(o->w, o->a);
}

/* A group that an earlier role had has been added already. */
static bool is_new_group(const hs_worker *w, const hs_role *role, const char *name)
{
    for (const hs_role *const *r = hs_roles; *r && *r != role; r++)
        for (size_t i = 0; w->srv.roles & (*r)->bit && i < (*r)->groups_n; i++)
            if (strcmp((*r)->groups[i].name, name) == 0)
                return false;
    return true;
}

static hs_error *open_http(hs_worker *w, hs_arena *a)
{
    hs_http_options o = { .srv = &w->srv, .hooks = hs_worker_hooks(), .log = w->srv.log, .metrics = w->srv.metrics };

    w->http = hs_http_open(w->srv.loop, &o);
    if (!w->http)
        return HS_ERR_NOMEM;
    for (const hs_role *const *r = hs_roles; *r; r++)
        for (size_t i = 0; w->srv.roles & (*r)->bit && i < (*r)->groups_n; i++)
            if (is_new_group(w, *r, (*r)->groups[i].name))
                HS_TRY(hs_http_routes(w->http, a, (*r)->groups[i].name, (*r)->groups[i].sets, (*r)->groups[i].n));
    HS_TRY(hs_http_routes(w->http, a, "health", &hs_http_health_routes, 1));
    return hs_http_routes(w->http, a, "metrics", &hs_http_metrics_routes, 1);
}

static hs_error *open_all(hs_worker *w, hs_arena *a, const hs_worker_options *o)
{
    const char *conninfo;
    opening services = { .w = w, .a = a };
    hs_db_options db = { .allow_unsafe_locale = o->config->allow_unsafe_locale,
                         .log = o->log,
                         .metrics = w->srv.metrics };

    HS_TRY(hs_cstr(a, o->conninfo.p ? o->conninfo : o->config->conninfo, &conninfo));
    db.conninfo = conninfo;
    if (o->config->cp_max > 1)
        db.readers = (unsigned)(o->config->cp_max - 1 < 16 ? o->config->cp_max - 1 : 16);
    HS_TRY(load_key(w, a));
    HS_TRY(hs_db_open(w->srv.loop, a, &db, &w->srv.db));
    HS_TRY(hs_server_open_bus(&w->srv, a, o->redis_socket));
    HS_TRY(hs_loop_run_fiber(w->srv.loop, open_services, &services));
    HS_TRY(services.e);
    return open_http(w, a);
}

/* As with Synapse's main process, media may be left to workers of their own. */
static unsigned default_roles(const hs_config *c)
{
    return c->enable_media_repo ? HS_ROLE_ALL : HS_ROLE_ALL & ~(unsigned)HS_ROLE_MEDIA;
}

/* Which process a scrape has met. */
static hs_error *say_who(hs_worker *w, hs_arena *a)
{
    const char *name, *roles;
    hs_str names;

    HS_TRY(hs_roles_names(a, w->srv.roles, &names));
    HS_TRY(hs_cstr(a, names, &roles));
    HS_TRY(hs_cstr(a, w->srv.worker_name, &name));
    hs_metrics_set_server_name(w->srv.metrics, w->srv.server_name);
    hs_metric_set(
        hs_metric_get(w->srv.metrics, HS_GAUGE, "hs_worker_info", "1, for the worker that answers", "name roles"), 1,
        name, roles);
    return NULL;
}

hs_error *hs_worker_open(hs_loop *loop, hs_arena *a, const hs_worker_options *o, hs_worker **ret)
{
    hs_arena *own = hs_arena_open(ARENA_CAP);
    hs_worker *w = own ? hs_arena_alloc(own, sizeof *w) : NULL;
    hs_error *e;

    if (!w) {
        hs_arena_close(own);
        return HS_ERR_NOMEM;
    }
    w->arena = own;
    w->srv = (hs_server){
        .loop = loop,
        .log = o->log,
        .metrics = hs_metrics_open(),
        .config = o->config,
        .program = o->program ? o->program : "hs",
        .server_name = o->config->server_name,
        .roles = o->roles ? o->roles : default_roles(o->config),
        .shared = o->shared || o->share_ports,
        .hash_seed = hs_random_u64(),
        .arena = own,
    };
    w->listeners = o->listeners ? o->listeners : o->config->listeners;
    w->listeners_n = o->listeners ? o->listeners_n : o->config->listeners_n;
    w->share_ports = o->share_ports;
    e = hs_str_dup(own, o->name.p ? o->name : HS_S("main"), &w->srv.worker_name);
    if (!e)
        e = w->srv.metrics ? say_who(w, a) : HS_ERR_NOMEM;
    if (!e)
        e = open_all(w, a, o);
    if (e) {
        hs_worker_close(w);
        return e;
    }

    *ret = w;
    return NULL;
}

/* ── listeners ── */

/* The groups that a listener's resources open, NULL-terminated; NULL when no role here has anything for it. */
static hs_error *groups_of(hs_worker *w, hs_arena *a, const hs_config_listener *l, const char *const **ret)
{
    const char **groups;
    bool serves = false;
    size_t n = 0;

    HS_TRY(hs_alloc(a, l->resources.n * HS_RESOURCE_GROUPS + 1, &groups));
    for (size_t i = 0; i < l->resources.n; i++) {
        n += hs_resource_groups(l->resources.at[i], groups + n);
        serves |= hs_roles_serve(w->srv.roles, l->resources.at[i]);
    }
    *ret = serves ? groups : NULL;
    return NULL;
}

static hs_error *listen_on(hs_worker *w, hs_arena *a, const hs_config_listener *l, hs_str address)
{
    const hs_config *c = w->srv.config;
    hs_listener_options o = {
        .port = l->port, .unix_mode = l->unix_mode, .x_forwarded = l->x_forwarded, .reuse_port = w->share_ports
    };
    uint16_t port;

    HS_TRY(groups_of(w, a, l, &o.groups));
    if (!o.groups)
        return NULL;
    if (l->unix_path.n)
        HS_TRY(hs_cstr(a, l->unix_path, &o.unix_path));
    else
        HS_TRY(hs_cstr(a, address, &o.address));
    if (l->tls) {
        HS_TRY(hs_cstr(a, c->tls_certificate_path, &o.tls_cert));
        HS_TRY(hs_cstr(a, c->tls_private_key_path, &o.tls_key));
    }
    HS_TRY(hs_http_listen(w->http, a, &o, &port));
    if (l->unix_path.n)
        hs_log(w->srv.log, HS_LOG_INFO, "http.listening", "path=%.*s", HS_FMT(l->unix_path));
    else
        hs_log(w->srv.log, HS_LOG_INFO, "http.listening", "address=%.*s port=%u tls=%d", HS_FMT(address), port, l->tls);
    return NULL;
}

hs_error *hs_worker_listen(hs_worker *w, hs_arena *a)
{
    for (size_t i = 0; i < w->listeners_n; i++) {
        const hs_config_listener *l = &w->listeners[i];
        if (l->unix_path.n)
            HS_TRY(listen_on(w, a, l, hs_str_make("", 0)));
        for (size_t k = 0; !l->unix_path.n && k < l->bind_addresses.n; k++)
            HS_TRY(listen_on(w, a, l, l->bind_addresses.at[k]));
    }
    return NULL;
}

hs_error *hs_worker_reload(hs_worker *w, hs_arena *a, const hs_config *fresh)
{
    hs_caches_reload(&w->srv, fresh);
    return hs_http_reload_tls(w->http, a);
}

void hs_worker_drain(hs_worker *w, int64_t deadline_ms)
{
    if (!hs_http_drain(w->http, deadline_ms))
        hs_log(w->srv.log, HS_LOG_WARN, "worker.drain", "some requests were cut off at the deadline");
}

void hs_worker_hurry(hs_worker *w)
{
    hs_http_hurry(w->http);
}

void hs_worker_close(hs_worker *w)
{
    if (w->http)
        hs_http_close(w->http);
    close_roles(w);
    if (w->services)
        hs_server_close_services(&w->srv);
    hs_bus_close(w->srv.bus);
    if (!hs_fiber_self(w->srv.loop))
        hs_loop_turn(w->srv.loop, 0); /* its connections let go at the end of a turn */
    if (w->srv.db)
        hs_db_close(w->srv.db);
    hs_metrics_close(w->srv.metrics);
    hs_arena_close(w->arena);
}

hs_str hs_worker_name(const hs_worker *w)
{
    return w->srv.worker_name;
}

bool hs_worker_lost(const hs_worker *w)
{
    return w->srv.lost;
}

struct hs_server *hs_worker_server(hs_worker *w)
{
    return &w->srv;
}
