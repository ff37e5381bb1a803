/* The options of homeserver.yaml that have a shape of their own, and the checks between options. */
#include "runtime/config_parts.h"

#include "base/buf.h"
#include "base/vec.h"

static bool is(const hs_yaml *n, const char *text)
{
    return n && n->kind == HS_YAML_SCALAR && hs_str_eq(n->text, hs_str_c(text));
}

/* ── listeners ── */

typedef HS_VEC(hs_str) hs_names;

static const char *const RESOURCES[] = { "client", "consent", "federation", "health", "keys",
                                         "media",  "metrics", "openid",     "static" };

/* A resource is served, or has no meaning here, or is a mistake. */
static hs_error *add_resource(hs_arena *a, const hs_yaml *at, hs_str name, hs_logger *log, hs_names *names)
{
    for (size_t i = 0; i < sizeof RESOURCES / sizeof *RESOURCES; i++)
        if (hs_str_eq(name, hs_str_c(RESOURCES[i])))
            return hs_vec_push(a, names, name);
    if (!hs_str_eq(name, HS_S("replication")))
        return hs_config_err(a, at, "listeners.resources.names", "there is no resource '%.*s'", HS_FMT(name));
    hs_log(log, HS_LOG_WARN, "config.needless",
           "%.*s:%zu: the resource replication is left out: workers tell each other by Redis and PostgreSQL",
           HS_FMT(at->file), at->line);
    return NULL;
}

static hs_error *add_resources(hs_arena *a, const hs_yaml *list, hs_logger *log, hs_names *names)
{
    for (size_t i = 0; list && list->kind == HS_YAML_SEQ && i < list->n; i++) {
        const hs_yaml *at = list->items[i];
        hs_strs some;
        HS_TRY(hs_config_strs(a, hs_yaml_get(at, HS_S("names")), "listeners.resources.names", &some));
        for (size_t k = 0; k < some.n; k++)
            HS_TRY(add_resource(a, at, some.at[k], log, names));
    }
    return NULL;
}

static hs_error *listener(hs_arena *a, const hs_yaml *n, hs_logger *log, hs_config_listener *l)
{
    const hs_yaml *type = hs_yaml_get(n, HS_S("type")), *port = hs_yaml_get(n, HS_S("port")),
                  *path = hs_yaml_get(n, HS_S("path")), *bind = hs_yaml_get(n, HS_S("bind_addresses")),
                  *one = hs_yaml_get(n, HS_S("bind_address")), *resources = hs_yaml_get(n, HS_S("resources")),
                  *mode = hs_yaml_get(n, HS_S("mode")), *flag;
    hs_names names = { 0 };
    int64_t v;

    if (n->kind != HS_YAML_MAP)
        return hs_config_err(a, n, "listeners", "expected a list of maps");
    if (hs_yaml_get(n, HS_S("additional_resources")) && hs_yaml_get(n, HS_S("additional_resources"))->n)
        return hs_config_err(a, n, "listeners", "additional_resources are Python modules and cannot be served");
    l->metrics = is(type, "metrics");
    if (type && !l->metrics && !is(type, "http"))
        return hs_config_err(a, type, "listeners", "type: expected http or metrics");
    if (path) {
        l->unix_path = path->text;
        l->unix_mode = 0666;
        l->x_forwarded = true;
        if (mode && (!hs_yaml_to_i64(mode, &v) || v < 0 || v > 0777))
            return hs_config_err(a, mode, "listeners", "mode: expected a file mode such as 0o666");
        if (mode)
            l->unix_mode = (unsigned)v;
    } else {
        if (!hs_yaml_to_i64(port, &v) || v < 0 || v > 65535)
            return hs_config_err(a, port ? port : n, "listeners", "port: expected a number from 0 to 65535");
        l->port = (uint16_t)v;
    }
    if ((flag = hs_yaml_get(n, HS_S("tls"))) && !hs_yaml_to_bool(flag, &l->tls))
        return hs_config_err(a, flag, "listeners", "tls: expected true or false");
    if ((flag = hs_yaml_get(n, HS_S("x_forwarded"))) && !hs_yaml_to_bool(flag, &l->x_forwarded))
        return hs_config_err(a, flag, "listeners", "x_forwarded: expected true or false");
    HS_TRY(hs_config_strs(a, bind, "listeners.bind_addresses", &l->bind_addresses));
    if (!l->bind_addresses.n && !path) {
        hs_str *at;
        bool given = one && !hs_yaml_is_null(one) && one->text.n;
        HS_TRY(hs_alloc(a, 2, &at));
        at[0] = given ? one->text : HS_S("::");
        at[1] = HS_S("0.0.0.0");
        l->bind_addresses = (hs_strs){ .at = at, .n = given ? 1 : 2 };
    }
    HS_TRY(add_resources(a, resources, log, &names));
    if (l->metrics)
        HS_TRY(hs_vec_push(a, &names, HS_S("metrics")));
    l->resources = (hs_strs){ .at = names.at, .n = names.n };
    if ((flag = hs_yaml_get(n, HS_S("tag"))) && flag->kind == HS_YAML_SCALAR)
        l->tag = flag->text;
    if ((flag = hs_yaml_get(n, HS_S("request_id_header"))) && flag->kind == HS_YAML_SCALAR)
        l->request_id_header = flag->text;
    return NULL;
}

typedef HS_VEC(hs_config_listener) hs_listeners;

static hs_error *listener_list(hs_arena *a, const hs_yaml *n, const char *path, hs_logger *log, const hs_config *c,
                               hs_listeners *ret)
{
    if (n && n->kind != HS_YAML_SEQ && !hs_yaml_is_null(n))
        return hs_config_err(a, n, path, "expected a list");
    for (size_t i = 0; n && n->kind == HS_YAML_SEQ && i < n->n; i++) {
        hs_config_listener l = { 0 };

        if (is(hs_yaml_get(n->items[i], HS_S("type")), "manhole")) {
            hs_log(log, HS_LOG_WARN, "config.unsupported",
                   "%.*s:%zu: the manhole listener is a Python shell and is left out", HS_FMT(n->file),
                   n->items[i]->line);
            continue;
        }
        HS_TRY(listener(a, n->items[i], log, &l));
        if (l.tls && (!c->tls_certificate_path.n || !c->tls_private_key_path.n))
            return hs_config_err(a, n->items[i], path, "tls needs tls_certificate_path and tls_private_key_path");
        HS_TRY(hs_vec_push(a, ret, l));
    }
    return NULL;
}

static hs_error *listeners(hs_arena *a, const hs_yaml *top, hs_logger *log, hs_config *c)
{
    const hs_yaml *n = hs_yaml_get(top, HS_S("listeners"));
    hs_listeners all = { 0 }, of_worker = { 0 };

    HS_TRY(listener_list(a, n, "listeners", log, c, &all));
    if (!n || hs_yaml_is_null(n)) { /* what a generated file says */
        hs_str *hosts, *names;
        HS_TRY(hs_alloc(a, 2, &hosts));
        hosts[0] = HS_S("::1");
        hosts[1] = HS_S("127.0.0.1");
        HS_TRY(hs_alloc(a, 2, &names));
        names[0] = HS_S("client");
        names[1] = HS_S("federation");
        HS_TRY(hs_vec_push(
            a, &all,
            (hs_config_listener){
                .port = 8008, .x_forwarded = true, .bind_addresses = { hosts, 2 }, .resources = { names, 2 } }));
    }
    c->listeners = all.at;
    c->listeners_n = all.n;
    HS_TRY(listener_list(a, hs_yaml_get(top, HS_S("worker_listeners")), "worker_listeners", log, c, &of_worker));
    c->worker_listeners = of_worker.at;
    c->worker_listeners_n = of_worker.n;
    return NULL;
}

/* ── database ── */

static void quoted(hs_buf *b, hs_str key, hs_str v)
{
    hs_buf_add(b, key);
    hs_buf_add(b, HS_S("='"));
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '\'' || v.p[i] == '\\')
            hs_buf_addc(b, '\\');
        hs_buf_addc(b, v.p[i]);
    }
    hs_buf_add(b, HS_S("' "));
}

static hs_error *database(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    /* What psycopg2's pool and Twisted take, and libpq would refuse. */
    static const char *const POOL[] = { "cp_min",     "cp_max",         "cp_reconnect",      "cp_noisy",
                                        "cp_openfun", "cp_name",        "cp_good_sql",       "check_same_thread",
                                        "async_",     "cursor_factory", "connection_factory" };
    const hs_yaml *n = hs_yaml_get(top, HS_S("database")), *name = hs_yaml_get(n, HS_S("name")),
                  *args = hs_yaml_get(n, HS_S("args")), *unsafe = hs_yaml_get(n, HS_S("allow_unsafe_locale"));
    hs_buf b;

    if (hs_yaml_is_null(n)) {
        c->private_postgres = true;
        return NULL;
    }
    if (n->kind != HS_YAML_MAP)
        return hs_config_err(a, n, "database", "expected name and args");
    if (unsafe && !hs_yaml_to_bool(unsafe, &c->allow_unsafe_locale))
        return hs_config_err(a, unsafe, "database.allow_unsafe_locale", "expected true or false");
    if (is(name, "private")) {
        c->private_postgres = true;
        return NULL;
    }
    if (is(name, "sqlite3") || !name)
        return hs_config_err(a, name ? name : n, "database",
                             "SQLite is not supported: use name: psycopg2 with args of a PostgreSQL database, or leave "
                             "database out for a private PostgreSQL in the data directory");
    if (!is(name, "psycopg2"))
        return hs_config_err(a, name, "database.name", "expected psycopg2");
    if (args && args->kind != HS_YAML_MAP && !hs_yaml_is_null(args))
        return hs_config_err(a, args, "database.args", "expected a map");
    hs_buf_init(&b, a);
    for (size_t i = 0; args && i < args->n; i++) {
        const hs_yaml_pair *p = &args->pairs[i];
        bool pool = false;

        for (size_t k = 0; k < sizeof POOL / sizeof *POOL; k++)
            pool |= hs_str_eq(p->key, hs_str_c(POOL[k]));
        if (hs_str_eq(p->key, HS_S("cp_max")) && !c->cp_max && !hs_yaml_to_i64(p->value, &c->cp_max))
            return hs_config_err(a, p->value, "database.args.cp_max", "expected a whole number");
        if (pool || hs_yaml_is_null(p->value))
            continue;
        if (p->value->kind != HS_YAML_SCALAR)
            return hs_config_err(a, p->value, "database.args", "%.*s: expected a string", HS_FMT(p->key));
        quoted(&b, hs_str_eq(p->key, HS_S("database")) ? HS_S("dbname") : p->key, p->value->text);
    }
    return hs_buf_flatten(&b, &c->conninfo);
}

/* ── Redis ── */

/* "host:port", "[::1]:port", or a host alone. */
static bool address(hs_str text, int64_t port, hs_config_address *ret)
{
    size_t colon = text.n;

    while (colon && text.p[colon - 1] != ':' && text.p[colon - 1] != ']')
        colon--;
    if (colon && text.p[colon - 1] == ':') {
        if (!hs_str_to_i64(hs_str_from(text, colon), &port))
            return false;
        text = hs_str_first(text, colon - 1);
    }
    if (hs_str_starts(text, HS_S("[")) && hs_str_ends(text, HS_S("]")))
        text = hs_str_make(text.p + 1, text.n - 2);
    *ret = (hs_config_address){ .host = text, .port = (uint16_t)port };
    return text.n && port >= 1 && port <= 65535;
}

static hs_error *redis(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    enum { SENTINEL_PORT = 26379 };
    const hs_yaml *n = hs_yaml_get(top, HS_S("redis")), *list = hs_yaml_get(n, HS_S("sentinels"));
    hs_config_address *at;

    if (!c->redis.enabled)
        return NULL;
    if (c->redis.port < 1 || c->redis.port > 65535)
        return hs_config_err(a, hs_yaml_get(n, HS_S("port")), "redis.port", "expected 1 to 65535");
    if (hs_yaml_is_null(list))
        return NULL;
    if (list->kind != HS_YAML_SEQ || !list->n)
        return hs_config_err(a, list, "redis.sentinels", "expected a list of host:port");
    if (!c->redis.sentinel_master.n)
        return hs_config_err(a, list, "redis.sentinels", "sentinel_master is missing: the name of what they watch");
    HS_TRY(hs_alloc(a, list->n, &at));
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i]->kind != HS_YAML_SCALAR || !address(list->items[i]->text, SENTINEL_PORT, &at[i]))
            return hs_config_err(a, list->items[i], "redis.sentinels", "expected host:port");
    c->redis.sentinels = at;
    c->redis.sentinels_n = list->n;
    return NULL;
}

/* ── log ── */

static bool level(hs_str t, hs_log_level *ret)
{
    static const struct {
        const char *name;
        hs_log_level level;
    } LEVELS[] = { { "debug", HS_LOG_DEBUG },  { "info", HS_LOG_INFO },   { "warn", HS_LOG_WARN },
                   { "warning", HS_LOG_WARN }, { "error", HS_LOG_ERROR }, { "critical", HS_LOG_ERROR },
                   { "fatal", HS_LOG_ERROR },  { "notset", HS_LOG_DEBUG } };

    for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++)
        if (hs_str_eq_nocase(t, hs_str_c(LEVELS[i].name))) {
            *ret = LEVELS[i].level;
            return true;
        }
    return false;
}

/* A Python logging dictConfig: the root logger's level; of its handlers (and a memory handler's target) the file and
 * whether the formatter writes JSON. */
static hs_error *python_log(hs_arena *a, const hs_yaml *at, hs_logger *log, hs_config_log *c)
{
    const hs_yaml *doc, *handlers, *names, *formatters, *l;
    hs_str bytes;

    HS_TRY(hs_config_read_file(a, at->text, &bytes));
    HS_TRY(hs_yaml_parse(a, at->text, bytes, &doc));
    l = hs_yaml_path(doc, HS_S("root.level"));
    if (l && l->kind == HS_YAML_SCALAR && !level(l->text, &c->level))
        hs_log(log, HS_LOG_WARN, "config.log", "%.*s:%zu: unknown level", HS_FMT(l->file), l->line);
    handlers = hs_yaml_get(doc, HS_S("handlers"));
    formatters = hs_yaml_get(doc, HS_S("formatters"));
    names = hs_yaml_path(doc, HS_S("root.handlers"));
    for (size_t i = 0; names && names->kind == HS_YAML_SEQ && i < names->n; i++) {
        const hs_yaml *h = hs_yaml_get(handlers, names->items[i]->text), *x;
        for (int hops = 0; hops < 4 && (x = hs_yaml_get(h, HS_S("target"))); hops++)
            h = hs_yaml_get(handlers, x->text);
        x = hs_yaml_get(h, HS_S("class"));
        if (x && !hs_str_ends(x->text, HS_S("FileHandler")) && !hs_str_ends(x->text, HS_S("StreamHandler")))
            hs_log(log, HS_LOG_WARN, "config.log",
                   "%.*s:%zu: the log handler %.*s is not supported; standard error is used", HS_FMT(x->file), x->line,
                   HS_FMT(x->text));
        if ((x = hs_yaml_get(h, HS_S("filename"))) && x->kind == HS_YAML_SCALAR)
            c->file = x->text;
        if ((x = hs_yaml_get(h, HS_S("formatter"))) && x->kind == HS_YAML_SCALAR) {
            const hs_yaml *f = hs_yaml_get(formatters, x->text), *k = hs_yaml_get(f, HS_S("class"));
            if (!k)
                k = hs_yaml_get(f, HS_S("()"));
            if (k && hs_str_ends(k->text, HS_S("JsonFormatter")))
                c->json = true;
        }
    }
    return NULL;
}

static hs_error *log_config(hs_arena *a, const hs_yaml *top, const char *key, hs_logger *log, hs_config_log *ret)
{
    const hs_yaml *python = hs_yaml_get(top, hs_str_c(key));

    *ret = (hs_config_log){ .level = HS_LOG_INFO };
    if (hs_yaml_is_null(python))
        return NULL;
    if (python->kind != HS_YAML_SCALAR)
        return hs_config_err(a, python, key, "expected a file name");
    return python_log(a, python, log, ret);
}

static hs_error *logging(hs_arena *a, const hs_yaml *top, hs_logger *log, hs_config *c)
{
    const hs_yaml *ours = hs_yaml_get(top, HS_S("log")), *x;

    HS_TRY(log_config(a, top, "log_config", log, &c->log));
    if ((x = hs_yaml_get(ours, HS_S("level"))) && !level(x->text, &c->log.level))
        return hs_config_err(a, x, "log.level", "expected debug, info, warning or error");
    if ((x = hs_yaml_get(ours, HS_S("format")))) {
        if (!is(x, "json") && !is(x, "text"))
            return hs_config_err(a, x, "log.format", "expected text or json");
        c->log.json = is(x, "json");
    }
    if ((x = hs_yaml_get(ours, HS_S("file"))) && x->kind == HS_YAML_SCALAR)
        c->log.file = x->text;
    c->worker_log = c->log;
    if (!hs_yaml_is_null(hs_yaml_get(top, HS_S("worker_log_config"))))
        HS_TRY(log_config(a, top, "worker_log_config", log, &c->worker_log));
    return NULL;
}

/* ── rooms ── */

static hs_error *retention(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    const char *path = "retention.purge_jobs";
    const hs_yaml *n = hs_yaml_get(hs_yaml_get(top, HS_S("retention")), HS_S("purge_jobs"));
    size_t count = n && n->kind == HS_YAML_SEQ ? n->n : 0;
    hs_config_purge_job *at;

    if (c->retention.default_max_ms && c->retention.default_min_ms > c->retention.default_max_ms)
        return hs_config_err(a, top, "retention.default_policy", "min_lifetime is greater than max_lifetime");
    if (c->retention.allowed_max_ms && c->retention.allowed_min_ms > c->retention.allowed_max_ms)
        return hs_config_err(a, top, "retention", "allowed_lifetime_min is greater than allowed_lifetime_max");
    if (!hs_yaml_is_null(n) && n->kind != HS_YAML_SEQ)
        return hs_config_err(a, n, path, "expected a list of jobs");
    HS_TRY(hs_alloc(a, count, &at));
    for (size_t i = 0; i < count; i++) {
        const hs_yaml *j = n->items[i];
        HS_TRY(hs_config_duration(a, hs_yaml_get(j, HS_S("interval")), path, &at[i].interval_ms));
        HS_TRY(hs_config_duration(a, hs_yaml_get(j, HS_S("shortest_max_lifetime")), path, &at[i].shortest_ms));
        HS_TRY(hs_config_duration(a, hs_yaml_get(j, HS_S("longest_max_lifetime")), path, &at[i].longest_ms));
        if (at[i].interval_ms < 1)
            return hs_config_err(a, j, path, "a job needs an interval");
    }
    c->retention.jobs = at;
    c->retention.jobs_n = count;
    return NULL;
}

static hs_error *rules(hs_arena *a, const hs_yaml *top, const char *path, bool others, hs_config_rules *ret)
{
    const hs_yaml *n = hs_yaml_get(top, hs_str_c(path));
    size_t count = n && n->kind == HS_YAML_SEQ ? n->n : 0;
    hs_config_rule *at;

    if (!hs_yaml_is_null(n) && n->kind != HS_YAML_SEQ)
        return hs_config_err(a, n, path, "expected a list of rules");
    HS_TRY(hs_alloc(a, count + 1, &at));
    for (size_t i = 0; i < count; i++) {
        const hs_yaml *r = n->items[i], *x;
        if (r->kind != HS_YAML_MAP)
            return hs_config_err(a, r, path, "expected a list of rules");
        if ((x = hs_yaml_get(r, HS_S("user_id"))))
            at[i].user_id = x->text;
        if ((x = hs_yaml_get(r, HS_S("alias"))))
            at[i].alias = x->text;
        if ((x = hs_yaml_get(r, HS_S("room_id"))))
            at[i].room_id = x->text;
        x = hs_yaml_get(r, HS_S("action"));
        if (!is(x, "allow") && !is(x, "deny"))
            return hs_config_err(a, x ? x : r, path, "action: expected allow or deny");
        at[i].allow = is(x, "allow");
    }
    at[count].allow = others && hs_yaml_is_null(n);
    *ret = (hs_config_rules){ .at = at, .n = count + 1 };
    return NULL;
}

static hs_error *prejoin(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    static const char PATH[] = "room_prejoin_state.additional_event_types";
    const hs_yaml *n = hs_yaml_path(top, hs_str_c(PATH));
    hs_config_state_key *at;

    if (hs_yaml_is_null(n))
        return NULL;
    if (n->kind != HS_YAML_SEQ)
        return hs_config_err(a, n, PATH, "expected a list");
    HS_TRY(hs_alloc(a, n->n, &at));
    for (size_t i = 0; i < n->n; i++) {
        const hs_yaml *k = n->items[i];
        if (k->kind == HS_YAML_SCALAR) {
            at[i] = (hs_config_state_key){ .type = k->text, .any_state_key = true };
        } else if (k->kind == HS_YAML_SEQ && k->n == 2 && k->items[0]->kind == HS_YAML_SCALAR &&
                   k->items[1]->kind == HS_YAML_SCALAR) {
            at[i] = (hs_config_state_key){ .type = k->items[0]->text, .state_key = k->items[1]->text };
        } else {
            return hs_config_err(a, k, PATH, "expected a type or [type, state_key]");
        }
    }
    c->prejoin_state = at;
    c->prejoin_state_n = n->n;
    return NULL;
}

static hs_error *presence(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    const hs_yaml *n = hs_yaml_path(top, HS_S("presence.enabled"));

    if (!n)
        n = hs_yaml_get(top, HS_S("use_presence"));
    c->presence_enabled = true;
    if (is(n, "untracked"))
        c->presence_untracked = true;
    else if (!hs_yaml_is_null(n) && !hs_yaml_to_bool(n, &c->presence_enabled))
        return hs_config_err(a, n, "presence.enabled", "expected true, false or untracked");
    return NULL;
}

/* ── rate limits ── */

static hs_error *old_rates(hs_arena *a, const hs_yaml *top, hs_config *c)
{
    const hs_yaml *per = hs_yaml_get(top, HS_S("rc_messages_per_second")),
                  *burst = hs_yaml_get(top, HS_S("rc_message_burst_count"));

    c->has_rc_admin_redaction = !hs_yaml_is_null(hs_yaml_get(top, HS_S("rc_admin_redaction")));
    if (hs_yaml_get(top, HS_S("rc_message")))
        return NULL;
    if (per && !hs_yaml_to_double(per, &c->rc_message.per_second))
        return hs_config_err(a, per, "rc_messages_per_second", "expected a number");
    if (burst && !hs_yaml_to_i64(burst, &c->rc_message.burst))
        return hs_config_err(a, burst, "rc_message_burst_count", "expected a whole number");
    return NULL;
}

hs_error *hs_config_parts(hs_arena *a, const hs_yaml *top, hs_logger *log, hs_config *c)
{
    const hs_yaml *e2ee = hs_yaml_get(top, HS_S("encryption_enabled_by_default_for_room_type"));
    bool off;

    if (c->server_name.n == 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "Missing mandatory `server_name` config option.");
    HS_TRY(logging(a, top, log, c));
    HS_TRY(listeners(a, top, log, c));
    HS_TRY(database(a, top, c));
    HS_TRY(redis(a, top, c));
    HS_TRY(retention(a, top, c));
    HS_TRY(rules(a, top, "alias_creation_rules", true, &c->alias_creation_rules));
    HS_TRY(rules(a, top, "room_list_publication_rules", false, &c->room_list_publication_rules));
    HS_TRY(prejoin(a, top, c));
    HS_TRY(presence(a, top, c));
    HS_TRY(hs_config_accounts(a, top, log, c));
    HS_TRY(old_rates(a, top, c));
    HS_TRY(hs_config_media(a, top, c));
    c->encryption_default_all = is(e2ee, "all");
    c->encryption_default_invite = is(e2ee, "invite");
    if (e2ee && !c->encryption_default_all && !c->encryption_default_invite && !is(e2ee, "off") &&
        !hs_yaml_to_bool(e2ee, &off))
        return hs_config_err(a, e2ee, "encryption_enabled_by_default_for_room_type", "expected all, invite or off");
    if (c->signing_key.n == 0 && c->signing_key_path.n == 0)
        HS_TRY(
            hs_str_fmt(a, &c->signing_key_path, "%.*s/%.*s.signing.key", HS_FMT(c->data_dir), HS_FMT(c->server_name)));
    c->serve_client_wellknown = c->public_baseurl.n > 0;
    if (c->public_baseurl.n == 0)
        HS_TRY(hs_str_fmt(a, &c->public_baseurl, "https://%.*s/", HS_FMT(c->server_name)));
    else if (!hs_str_ends(c->public_baseurl, HS_S("/")))
        HS_TRY(hs_str_fmt(a, &c->public_baseurl, "%.*s/", HS_FMT(c->public_baseurl)));
    return NULL;
}
