/* See caches.h. */
#include "server/caches.h"

#include "base/checked.h"

#include <stdio.h>
#include <stdlib.h>

#define FACTOR_DEFAULT 0.5 /* Synapse's */
#define FACTOR_MOST    1000.0
#define NAME_MOST      64u

struct hs_caches {
    hs_server *srv;
    const hs_config *config;
    hs_cache *first;
    hs_metric *lookups, *hits, *size, *evicted, *bytes, *budget;
};

/* Synapse's names for what is much the same here, so that a per-cache factor of an existing configuration keeps its
 * sense. Both as Synapse compares them: letters, digits from 1 and underscores, in lower case. */
static const struct {
    const char *synapse, *ours;
} ALIASES[] = {
    { "getevent", "events" },
    { "stategroupcache", "rooms" },
    { "stategroupmemberscache", "rooms" },
    { "get_users_in_room", "rooms" },
    { "get_user_by_access_token", "sessions" },
    { "get_push_rules_for_user", "push_rules" },
    { "get_unread_event_push_actions_by_room_for_user", "unread" },
    { "ignored_users", "ignored" },
    { "ignored_by", "ignorers" },
};

/* ── lists by time of use ── */

void hs_lru_init(hs_lru_link *head)
{
    head->prev = head->next = head;
}

void hs_lru_drop(hs_lru_link *l)
{
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}

void hs_lru_touch(hs_lru_link *head, hs_lru_link *l)
{
    if (head->next == l)
        return;
    hs_lru_drop(l);
    l->next = head->next;
    l->prev = head;
    head->next->prev = l;
    head->next = l;
}

/* ── factors ── */

/* A factor from the environment; what is not a number counts as not set. */
static bool factor_of_env(const char *variable, double *ret)
{
    const char *text = getenv(variable);
    char *end;
    double v = text ? strtod(text, &end) : 0;

    if (!text || end == text || *end || !(v >= 0) || v > FACTOR_MOST)
        return false;
    *ret = v;
    return true;
}

static void upper(char *s)
{
    for (; *s; s++)
        if (*s >= 'a' && *s <= 'z')
            *s = (char)(*s - 'a' + 'A');
}

static bool env_of_name(const char *name, double *ret)
{
    char variable[sizeof "SYNAPSE_CACHE_FACTOR_" + NAME_MOST];

    snprintf(variable, sizeof variable, "SYNAPSE_CACHE_FACTOR_%s", name);
    upper(variable);
    return factor_of_env(variable, ret);
}

static bool env_of_cache(const char *name, double *ret)
{
    bool found = env_of_name(name, ret);

    for (size_t i = 0; i < sizeof ALIASES / sizeof *ALIASES && !found; i++)
        found = strcmp(ALIASES[i].ours, name) == 0 && env_of_name(ALIASES[i].synapse, ret);
    return found;
}

/* As Synapse compares names. */
static void canonical(hs_str name, char ret[static NAME_MOST])
{
    size_t n = 0;

    for (size_t i = 0; i < name.n && n + 1 < NAME_MOST; i++) {
        char c = name.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((c >= 'a' && c <= 'z') || (c >= '1' && c <= '9') || c == '_')
            ret[n++] = c;
    }
    ret[n] = 0;
}

/* Our cache that the name means; NULL: none. */
static const char *meant(const struct hs_caches *all, hs_str name)
{
    char plain[NAME_MOST];

    canonical(name, plain);
    for (size_t i = 0; i < sizeof ALIASES / sizeof *ALIASES; i++)
        if (strcmp(plain, ALIASES[i].synapse) == 0)
            return ALIASES[i].ours;
    for (const hs_cache *c = all->first; c; c = c->next)
        if (strcmp(plain, c->name) == 0)
            return c->name;
    return NULL;
}

/* A number as the configuration has it: fractions are text there, as JSON has no exact form for them. */
static bool number(hs_jv v, double *ret)
{
    hs_str raw = hs_jv_type_of(v) == HS_JV_STR ? hs_jv_str_or_null(v) : hs_jv_raw(v);
    char text[40], *end;

    if (!raw.n || raw.n >= sizeof text)
        return false;
    memcpy(text, raw.p, raw.n);
    text[raw.n] = 0;
    *ret = strtod(text, &end);
    return !*end && *ret >= 0 && *ret <= FACTOR_MOST;
}

static bool factor_of_file(const struct hs_caches *all, const char *name, double *ret)
{
    hs_jv factors = all->config ? all->config->cache_factors : (hs_jv){ 0 };
    bool found = false;

    if (hs_jv_type_of(factors) != HS_JV_OBJ)
        return false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(factors, &it);) {
        const char *cache = meant(all, it.key);
        double v;
        if (!cache || strcmp(cache, name) != 0 || !number(it.value, &v))
            continue;
        *ret = found && *ret > v ? *ret : v; /* two of Synapse's caches may be one here */
        found = true;
    }
    return found;
}

static double factor_of(const struct hs_caches *all, const char *name)
{
    double v;

    if (env_of_cache(name, &v) || factor_of_file(all, name, &v))
        return v;
    if (all->config && all->config->cache_factor > 0)
        return all->config->cache_factor < FACTOR_MOST ? all->config->cache_factor : FACTOR_MOST;
    return factor_of_env("SYNAPSE_CACHE_FACTOR", &v) ? v : FACTOR_DEFAULT;
}

static void set_budget(const struct hs_caches *all, hs_cache *c)
{
    size_t before = c->budget;

    c->budget = (size_t)((double)c->base * factor_of(all, c->name));
    if (c->budget < before && c->trim)
        c->trim(c->ud);
}

void hs_cache_open(struct hs_caches *all, hs_cache *c, const char *name, size_t base, void (*trim)(void *ud), void *ud)
{
    *c = (hs_cache){ .name = name, .base = base, .trim = trim, .ud = ud };
    hs_lru_init(&c->lru);
    if (!all) {
        c->budget = (size_t)((double)base * FACTOR_DEFAULT);
        return;
    }
    c->next = all->first;
    all->first = c;
    set_budget(all, c);
}

/* ── the whole ── */

static void collect(void *ud)
{
    struct hs_caches *all = ud;

    for (const hs_cache *c = all->first; c; c = c->next) {
        hs_metric_set(all->lookups, (double)c->lookups, c->name);
        hs_metric_set(all->hits, (double)c->hits, c->name);
        hs_metric_set(all->size, (double)c->entries, c->name);
        hs_metric_set(all->evicted, (double)c->evicted, c->name, "size");
        hs_metric_set(all->bytes, (double)c->bytes, c->name);
        hs_metric_set(all->budget, (double)c->budget, c->name);
    }
}

hs_error *hs_caches_open(hs_server *srv, hs_arena *a)
{
    hs_metrics *m = srv->metrics;
    struct hs_caches *all;

    HS_TRY(hs_alloc(a, 1, &all));
    all->srv = srv;
    all->config = srv->config;
    all->lookups = hs_metric_get(m, HS_GAUGE, "synapse_util_caches_cache", "Times that a cache was asked", "name");
    all->hits = hs_metric_get(m, HS_GAUGE, "synapse_util_caches_cache_hits", "Times that it had the answer", "name");
    all->size = hs_metric_get(m, HS_GAUGE, "synapse_util_caches_cache_size", "Entries in a cache", "name");
    all->evicted = hs_metric_get(m, HS_GAUGE, "synapse_util_caches_cache_evicted_size",
                                 "Entries that made room for others", "name reason");
    all->bytes = hs_metric_get(m, HS_GAUGE, "hs_cache_bytes", "Bytes that a cache takes", "name");
    all->budget = hs_metric_get(m, HS_GAUGE, "hs_cache_budget_bytes", "Bytes that it may take", "name");
    hs_metrics_collector(m, collect, all);
    srv->caches = all;
    return NULL;
}

void hs_caches_check(hs_server *srv)
{
    struct hs_caches *all = srv->caches;
    hs_jv factors = all->config ? all->config->cache_factors : (hs_jv){ 0 };

    if (hs_jv_type_of(factors) != HS_JV_OBJ)
        return;
    for (hs_jv_iter it = { 0 }; hs_jv_next(factors, &it);)
        if (!meant(all, it.key))
            hs_log(all->srv->log, HS_LOG_WARN, "caches.unknown",
                   "caches.per_cache_factors: there is no cache %.*s here; the names are in docs/operate.md",
                   HS_FMT(it.key));
}

void hs_caches_reload(hs_server *srv, const hs_config *config)
{
    struct hs_caches *all = srv->caches;
    const hs_config *before = all->config;

    all->config = config;
    for (hs_cache *c = all->first; c; c = c->next)
        set_budget(all, c);
    hs_caches_check(srv);
    all->config = before; /* the fresh one may go */
}

void hs_caches_close(hs_server *srv)
{
    if (!srv->caches)
        return;
    hs_metrics_forget(srv->metrics, srv->caches);
    srv->caches = NULL;
}
