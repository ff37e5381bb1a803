/* See session.h. Sessions are cached by the hash of their token; an entry that is in use outlives its removal from the
 * cache until the last request lets go; the least recently used go first. */
#include "server/session.h"

#include "base/checked.h"
#include "core/sign.h"
#include "server/caches.h"
#include "server/news.h"
#include "store/refresh_tokens.h"
#include "store/sessions.h"

#include <stdlib.h>

#define CACHE_BYTES    HS_MIB(32) /* at factor 1 */
#define SEEN_EVERY_MS  120000     /* Synapse's granularity */
#define SEEN_WRITE_MS  5000
#define SEEN_BATCH_MAX 10000

typedef struct entry entry;

/* Somebody with cached sessions. */
typedef struct {
    hs_nid user;
    entry *first;
} person;

struct entry {
    hs_session s; /* first: a session handed out is its entry */
    person *of;   /* NULL: not in the cache */
    entry *next, **prevp;
    hs_lru_link lru;
    size_t cost;
    uint32_t refs;
    int64_t noted_at; /* loop time of the last note, 0: never */
    hs_str noted_ip;
    char bytes[]; /* user id, device id */
};

/* One line of the batch; its key in the map is user, device and address. */
typedef struct {
    hs_nid user;
    int64_t ts;
    size_t device_n, ip_n, agent_n;
    char bytes[]; /* device, ip, agent */
} sighting;

struct hs_sessions {
    hs_server *srv;
    hs_map *by_hash;
    hs_map *by_user; /* number → person */
    hs_cache cache;
    /* Counts calls of forget: what was read from the database before one must not be cached after it. */
    uint64_t forgotten;
    hs_map *seen;
    hs_timer timer;
    bool closing;
};

static void write_later(hs_timer *t);
static void trim(void *ud);

hs_session hs_session_acting(hs_nid user, hs_str user_id)
{
    return (hs_session){ .user = user,
                         .user_id = user_id,
                         .localpart = hs_str_first(hs_str_from(user_id, 1), hs_str_find(user_id, ':', 1) - 1),
                         .device_id = HS_S(""),
                         .as_admin = true };
}

hs_error *hs_sessions_open(hs_server *srv, hs_arena *a)
{
    struct hs_sessions *s;

    HS_TRY(hs_alloc(a, 1, &s));
    s->srv = srv;
    s->timer = (hs_timer){ .fn = write_later, .ud = s };
    s->by_hash = hs_map_open(srv->hash_seed);
    s->by_user = hs_map_open(srv->hash_seed);
    s->seen = hs_map_open(srv->hash_seed);
    hs_cache_open(srv->caches, &s->cache, "sessions", CACHE_BYTES, trim, s);
    srv->sessions = s;
    return s->by_hash && s->by_user && s->seen ? NULL : HS_ERR_NOMEM;
}

static void entry_unref(void *ud)
{
    entry *e = ud;

    if (--e->refs)
        return;
    free((char *)(uintptr_t)e->noted_ip.p);
    free(e);
}

static void uncache(struct hs_sessions *s, entry *e)
{
    person *of = e->of;

    hs_map_remove(s->by_hash, hs_str_make((const char *)e->s.token_sha256, sizeof e->s.token_sha256));
    *e->prevp = e->next;
    if (e->next)
        e->next->prevp = e->prevp;
    e->of = NULL;
    hs_lru_drop(&e->lru);
    hs_cache_removed(&s->cache, e->cost);
    if (!of->first) {
        hs_map_remove_n(s->by_user, (uint64_t)of->user);
        free(of);
    }
    entry_unref(e);
}

static entry *entry_of(hs_lru_link *l)
{
    return (entry *)(void *)((char *)l - offsetof(entry, lru));
}

static void trim(void *ud)
{
    struct hs_sessions *s = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&s->cache)); s->cache.evicted++)
        uncache(s, entry_of(l));
}

/* Takes a reference of its own; false, and nothing, without memory. */
static bool cache(struct hs_sessions *s, entry *e)
{
    hs_str key = hs_str_make((const char *)e->s.token_sha256, sizeof e->s.token_sha256);
    person *of = hs_map_get_n(s->by_user, (uint64_t)e->s.user);

    if (!of) {
        of = calloc(1, sizeof *of);
        if (!of || !hs_map_put_n(s->by_user, (uint64_t)e->s.user, of, NULL)) {
            free(of);
            return false;
        }
        of->user = e->s.user;
    }
    if (!hs_map_put(s->by_hash, key, e, NULL)) {
        if (!of->first) {
            hs_map_remove_n(s->by_user, (uint64_t)of->user);
            free(of);
        }
        return false;
    }
    e->refs++;
    e->of = of;
    e->next = of->first;
    e->prevp = &of->first;
    if (e->next)
        e->next->prevp = &e->next;
    of->first = e;
    e->cost = sizeof *e + e->s.user_id.n + e->s.device_id.n + sizeof *of + 2 * HS_CACHE_SLOT + sizeof e->s.token_sha256;
    hs_cache_added(&s->cache, e->cost);
    hs_lru_touch(&s->cache.lru, &e->lru);
    trim(s);
    return true;
}

void hs_token_hash(hs_str token, uint8_t ret[32])
{
    hs_sha256(token, ret);
}

static bool has_agreed(const hs_config *c, const hs_token_row *t)
{
    return hs_str_eq(t->kind, HS_S("bot")) || hs_str_eq(t->kind, HS_S("support")) ||
           hs_str_eq(t->consent_version, c->consent_version);
}

static entry *entry_new(const hs_config *c, const hs_token_row *t, const uint8_t sha256[32])
{
    entry *e = calloc(1, sizeof *e + t->user_id.n + t->device_id.n);

    if (!e)
        return NULL;
    memcpy(e->bytes, t->user_id.p, t->user_id.n);
    if (t->device_id.n)
        memcpy(e->bytes + t->user_id.n, t->device_id.p, t->device_id.n);
    e->refs = 1;
    e->s = (hs_session){
        .user = t->user,
        .user_id = hs_str_make(e->bytes, t->user_id.n),
        .device_id = hs_str_make(e->bytes + t->user_id.n, t->device_id.n),
        .flags = t->flags,
        .expires_ts = t->expires_ts,
        .unused = t->unused,
        .account_expires_ts = t->account_expires_ts,
        .agreed = has_agreed(c, t),
        .own_limit = t->messages_per_second >= 0,
        .messages_per_second = t->messages_per_second,
        .burst = t->burst,
    };
    e->s.localpart = hs_str_first(hs_str_from(e->s.user_id, 1), hs_str_find(e->s.user_id, ':', 1) - 1);
    memcpy(e->s.token_sha256, sha256, 32);
    return e;
}

static hs_error *lend(hs_arena *a, entry *e, hs_session **ret)
{
    HS_TRY(hs_arena_on_reset(a, entry_unref, e));
    e->refs++;
    *ret = &e->s;
    return NULL;
}

hs_error *hs_session_find(hs_server *srv, hs_arena *a, hs_str token, hs_session **ret)
{
    struct hs_sessions *s = srv->sessions;
    uint64_t forgotten = s->forgotten;
    uint8_t sha256[32];
    hs_token_row *row;

    hs_token_hash(token, sha256);
    hs_str key = hs_str_make((const char *)sha256, sizeof sha256);
    entry *e = hs_map_get(s->by_hash, key);
    hs_cache_asked(&s->cache, e != NULL);
    if (e) {
        hs_lru_touch(&s->cache.lru, &e->lru);
        return lend(a, e, ret);
    }

    HS_TRY(hs_store_token_find(srv->db, a, key, &row));
    if (!row) {
        *ret = NULL;
        return NULL;
    }
    e = hs_map_get(s->by_hash, key); /* another request may have been first */
    if (e)
        return lend(a, e, ret);
    e = entry_new(srv->config, row, sha256);
    if (!e)
        return HS_ERR_NOMEM;
    if (s->forgotten == forgotten) /* otherwise the row may be of before a logout */
        (void)cache(s, e);
    hs_error *failed = lend(a, e, ret);
    entry_unref(e);
    return failed;
}

hs_error *hs_session_used(hs_server *srv, hs_arena *a, hs_session *who)
{
    if (!who->unused)
        return NULL;
    HS_TRY(hs_store_refresh_used(srv->db, a, hs_str_make((const char *)who->token_sha256, sizeof who->token_sha256)));
    who->unused = false;
    return NULL;
}

/* device_id.p NULL: all. */
static void forget(struct hs_sessions *s, hs_nid user, hs_str device_id)
{
    person *of = hs_map_get_n(s->by_user, (uint64_t)user);
    entry *next = of ? of->first : NULL;

    s->forgotten++;
    while (next) {
        entry *e = next;
        next = e->next;
        if (!device_id.p || hs_str_eq(e->s.device_id, device_id))
            uncache(s, e);
    }
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    (void)first;
    for (size_t i = 0; i < news->users_n; i++)
        if (news->users[i].what == HS_NEWS_FLAGS)
            forget(ud, news->users[i].user, news->users[i].type);
}

hs_error *hs_sessions_listen(hs_server *srv)
{
    return hs_fanout_listen(srv, hear, srv->sessions);
}

hs_error *hs_sessions_end(hs_write *w, hs_nid user, hs_strs device_ids)
{
    hs_arena *a = hs_write_arena(w);
    size_t n = device_ids.n ? device_ids.n : 1;
    hs_write_result result;
    hs_news_user *told;
    uint32_t at;

    HS_TRY(hs_alloc(a, n, &told));
    HS_TRY(hs_write_position(w, &at));
    for (size_t i = 0; i < n; i++) {
        told[i] = (hs_news_user){ .user = user, .at = at, .what = HS_NEWS_FLAGS };
        if (device_ids.n)
            told[i].type = device_ids.at[i];
    }
    HS_TRY(hs_news_give(w, &(hs_news){ .users = told, .users_n = n }));
    HS_TRY(hs_write_commit(w, &result));
    return result.status == HS_WRITE_OK ? NULL : hs_err_internal(a, NULL, "a session's row was there already");
}

hs_error *hs_sessions_end_acting(hs_server *srv, hs_arena *a, hs_nid by)
{
    hs_nids users;
    hs_write *w;

    HS_TRY(hs_store_logged_in_as(srv->db, a, by, &users));
    for (size_t i = 0; i < users.n; i++) {
        HS_TRY(hs_write_open(srv->db, a, &w));
        HS_TRY(hs_store_logout_as(w, by, users.at[i]));
        HS_TRY(hs_sessions_end(w, users.at[i], (hs_strs){ NULL, 0 }));
    }
    return NULL;
}

static hs_str hash_of(const hs_session *who)
{
    return hs_str_make((const char *)who->token_sha256, sizeof who->token_sha256);
}

hs_error *hs_session_reauthenticated(hs_server *srv, hs_arena *a, const hs_session *who)
{
    return hs_store_token_validate(srv->db, a, hash_of(who), hs_loop_wall(srv->loop));
}

hs_error *hs_session_reauth_recent(hs_server *srv, hs_arena *a, const hs_session *who, int64_t within_ms, bool *ret)
{
    int64_t ts, ago;

    HS_TRY(hs_store_token_validated(srv->db, a, hash_of(who), &ts));
    ago = hs_loop_wall(srv->loop) - ts;
    *ret = ts > 0 && ago >= 0 && ago < within_ms;
    return NULL;
}

/* ── who was last seen where ── */

static sighting *sighting_new(const hs_session *who, hs_str ip, hs_str agent, int64_t ts)
{
    sighting *g = malloc(sizeof *g + who->device_id.n + ip.n + agent.n);

    if (!g)
        return NULL;
    *g = (sighting){ .user = who->user, .ts = ts, .device_n = who->device_id.n, .ip_n = ip.n, .agent_n = agent.n };
    memcpy(g->bytes, who->device_id.p, who->device_id.n);
    memcpy(g->bytes + g->device_n, ip.p, ip.n);
    if (agent.n)
        memcpy(g->bytes + g->device_n + g->ip_n, agent.p, agent.n);
    return g;
}

void hs_session_seen(hs_server *srv, const hs_session *who, hs_str ip, hs_str user_agent)
{
    struct hs_sessions *s = srv->sessions;
    entry *e = (entry *)(uintptr_t)who;
    int64_t now = hs_loop_now(srv->loop);
    char key[1024];

    if (!who->device_id.n || !ip.n || who->device_id.n + ip.n + sizeof who->user > sizeof key ||
        !hs_str_is_utf8(user_agent) || (user_agent.n && memchr(user_agent.p, 0, user_agent.n)))
        return;
    if (e->noted_at && now - e->noted_at < SEEN_EVERY_MS && hs_str_eq(e->noted_ip, ip))
        return;
    if (hs_map_count(s->seen) >= SEEN_BATCH_MAX)
        return;

    char *noted = malloc(ip.n);
    sighting *g = sighting_new(who, ip, hs_str_first(user_agent, 512), hs_loop_wall(srv->loop));
    void *old = NULL;
    memcpy(key, &who->user, sizeof who->user);
    memcpy(key + sizeof who->user, who->device_id.p, who->device_id.n);
    memcpy(key + sizeof who->user + who->device_id.n, ip.p, ip.n);
    if (!noted || !g || !hs_map_put(s->seen, hs_str_make(key, sizeof who->user + who->device_id.n + ip.n), g, &old)) {
        free(noted);
        free(g);
        return;
    }
    free(old);
    memcpy(noted, ip.p, ip.n);
    free((char *)(uintptr_t)e->noted_ip.p);
    e->noted_ip = hs_str_make(noted, ip.n);
    e->noted_at = now;
    if (!s->timer.heap_at && !s->closing && hs_timer_arm(srv->loop, &s->timer, SEEN_WRITE_MS))
        return; /* without memory the next sighting tries again */
}

static hs_error *write_seen(struct hs_sessions *s, hs_arena *a)
{
    size_t n = hs_map_count(s->seen), i = 0, it = 0;
    hs_nid *users;
    int64_t *ts;
    hs_str *devices, *ips, *agents, key;
    void *v;

    HS_TRY(hs_alloc(a, n, &users));
    HS_TRY(hs_alloc(a, n, &ts));
    HS_TRY(hs_alloc(a, n, &devices));
    HS_TRY(hs_alloc(a, n, &ips));
    HS_TRY(hs_alloc(a, n, &agents));
    while (i < n && hs_map_next(s->seen, &it, &key, &v)) {
        const sighting *g = v;
        users[i] = g->user;
        ts[i] = g->ts;
        HS_TRY(hs_str_dup(a, hs_str_make(g->bytes, g->device_n), &devices[i]));
        HS_TRY(hs_str_dup(a, hs_str_make(g->bytes + g->device_n, g->ip_n), &ips[i]));
        HS_TRY(hs_str_dup(a, hs_str_make(g->bytes + g->device_n + g->ip_n, g->agent_n), &agents[i]));
        i++;
    }
    it = 0;
    while (hs_map_next(s->seen, &it, &key, &v))
        free(v);
    hs_map_close(s->seen);
    s->seen = hs_map_open(s->srv->hash_seed);
    if (!s->seen)
        return HS_ERR_NOMEM;
    if (!n)
        return NULL;
    return hs_store_devices_seen(s->srv->db, a, (hs_nids){ users, n }, (hs_strs){ devices, n }, (hs_strs){ ips, n },
                                 (hs_strs){ agents, n }, (hs_nids){ ts, n });
}

static void write_on_fiber(void *ud)
{
    struct hs_sessions *s = ud;
    hs_arena *a = hs_arena_open(HS_MIB(32));
    hs_error *e = a ? write_seen(s, a) : HS_ERR_NOMEM;

    if (e)
        hs_log_error(s->srv->log, HS_LOG_WARN, HS_S("-"), "session.seen", e);
    if (a)
        hs_arena_close(a);
}

static void write_later(hs_timer *t)
{
    struct hs_sessions *s = t->ud;

    if (hs_fiber_spawn(s->srv->loop, write_on_fiber, s))
        hs_log(s->srv->log, HS_LOG_WARN, "session.seen", "no fiber to write who was seen");
}

void hs_sessions_close(hs_server *srv)
{
    struct hs_sessions *s = srv->sessions;
    size_t it = 0;
    hs_str key;
    void *v;

    if (!s)
        return;
    s->closing = true;
    hs_timer_disarm(srv->loop, &s->timer);
    if (s->seen && hs_map_count(s->seen) && srv->db)
        write_on_fiber(s);
    while (s->seen && hs_map_next(s->seen, &it, &key, &v))
        free(v);
    hs_map_close(s->seen);
    if (s->by_hash && s->by_user)
        while (s->cache.lru.prev != &s->cache.lru)
            uncache(s, entry_of(s->cache.lru.prev));
    hs_map_close(s->by_hash);
    hs_map_close(s->by_user);
    srv->sessions = NULL;
}
