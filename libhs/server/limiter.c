/* A bucket is what was done since `start`, the moment when it was last known empty; its level now is what was done
 * minus what has leaked since. Empty buckets carry no information and are dropped, so memory follows the active keys.
 */
#include "server/limiter.h"

#include "server/limit_share.h"
#include "server/session.h"

#include <math.h>
#include <stdlib.h>

#define PRUNE_EVERY_MS 15000
#define BUCKETS_BYTES  ((size_t)16 << 20) /* at factor 1 */

typedef struct {
    double done;
    double rate; /* the rate it was filled under, for pruning */
    int64_t start;
} bucket;

struct hs_limiter {
    hs_map *buckets;
    hs_cache cache;
    uint64_t seed;
    int64_t pruned_at, now_ms;
};

static void trim(void *ud);

static size_t bytes_of(hs_str key)
{
    return sizeof(bucket) + key.n + HS_CACHE_SLOT;
}

hs_limiter *hs_limiter_open(uint64_t seed, struct hs_caches *all)
{
    hs_limiter *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->seed = seed;
    l->buckets = hs_map_open(seed);
    if (!l->buckets) {
        free(l);
        return NULL;
    }
    hs_cache_open(all, &l->cache, "ratelimits", BUCKETS_BYTES, trim, l);
    return l;
}

void hs_limiter_close(hs_limiter *l)
{
    size_t it = 0;
    hs_str key;
    void *v;

    if (!l)
        return;
    while (hs_map_next(l->buckets, &it, &key, &v))
        free(v);
    hs_map_close(l->buckets);
    free(l);
}

size_t hs_limiter_count(const hs_limiter *l)
{
    return hs_map_count(l->buckets);
}

static double level(const bucket *b, int64_t now_ms)
{
    double left = b->done - (double)(now_ms - b->start) / 1000.0 * b->rate;
    return left > 0 ? left : 0;
}

/* Forgets buckets that hold no more than `least`. A map must not change during a walk: those that stay move into a new
 * one. Without memory all stay where they are. */
static void drop_up_to(hs_limiter *l, int64_t now_ms, double least)
{
    hs_map *kept = hs_map_open(l->seed);
    size_t it = 0;
    hs_str key;
    void *v;

    while (kept && hs_map_next(l->buckets, &it, &key, &v)) {
        if (level(v, now_ms) > least && !hs_map_put(kept, key, v, NULL)) {
            hs_map_close(kept);
            kept = NULL;
        }
    }
    if (!kept)
        return;
    it = 0;
    while (hs_map_next(l->buckets, &it, &key, &v)) {
        if (level(v, now_ms) > least)
            continue;
        hs_cache_removed(&l->cache, bytes_of(key));
        free(v);
    }
    hs_map_close(l->buckets);
    l->buckets = kept;
}

void hs_limiter_prune(hs_limiter *l, int64_t now_ms)
{
    l->pruned_at = l->now_ms = now_ms;
    drop_up_to(l, now_ms, 0);
}

/* More keys than fit are at work: those that have done least are forgiven, so that who floods is still held back. */
static void trim(void *ud)
{
    hs_limiter *l = ud;
    size_t before = l->cache.entries;

    if (!hs_cache_over(&l->cache))
        return;
    for (double least = 0; hs_cache_over(&l->cache) && l->cache.entries; least = least > 0 ? least * 2 : 1)
        drop_up_to(l, l->now_ms, least);
    l->cache.evicted += before - l->cache.entries;
}

/* One map for all kinds: the key is prefixed by the kind and cut to what fits; user ids, room ids and addresses do. */
static hs_str bucket_key(char buf[static 300], unsigned kind, hs_str key)
{
    size_t n = key.n < 299 ? key.n : 299;

    buf[0] = (char)kind;
    if (n)
        memcpy(buf + 1, key.p, n);
    return hs_str_make(buf, n + 1);
}

/* The bucket as it is now; one that has run empty begins anew. */
static bucket bucket_now(const bucket *b, hs_rate_limit rate, int64_t now_ms)
{
    bucket now = b ? *b : (bucket){ .start = now_ms };

    now.rate = rate.per_second;
    return level(&now, now_ms) > 0 ? now : (bucket){ .start = now_ms, .rate = rate.per_second };
}

/* Without memory nobody is refused for what could not be counted. */
static void keep(hs_limiter *l, hs_str k, bucket *b, bucket now)
{
    if (b) {
        *b = now;
        return;
    }
    b = malloc(sizeof *b);
    if (!b || !hs_map_put(l->buckets, k, b, NULL)) {
        free(b);
        return;
    }
    hs_cache_added(&l->cache, bytes_of(k));
    *b = now;
    trim(l);
}

void hs_limiter_add(hs_limiter *l, unsigned kind, hs_rate_limit rate, hs_str key, uint32_t n, int64_t now_ms)
{
    char buf[300];
    hs_str k = bucket_key(buf, kind, key);
    bucket *b = hs_map_get(l->buckets, k), now = bucket_now(b, rate, now_ms);

    l->now_ms = now_ms;
    now.done += n;
    keep(l, k, b, now);
}

double hs_limiter_level(hs_limiter *l, unsigned kind, hs_str key, int64_t now_ms)
{
    char buf[300];
    const bucket *b = hs_map_get(l->buckets, bucket_key(buf, kind, key));

    return b ? level(b, now_ms) : 0;
}

bool hs_limiter_use(hs_limiter *l, unsigned kind, hs_rate_limit rate, hs_str key, hs_limit_how how, int64_t now_ms,
                    int64_t *ret_retry_ms)
{
    char buf[300];
    hs_str k = bucket_key(buf, kind, key);

    if (now_ms - l->pruned_at >= PRUNE_EVERY_MS)
        hs_limiter_prune(l, now_ms);
    l->now_ms = now_ms;

    bucket *b = hs_map_get(l->buckets, k);
    hs_cache_asked(&l->cache, b != NULL);
    bucket now = bucket_now(b, rate, now_ms);
    double full = level(&now, now_ms);

    if (how != HS_LIMIT_FORCE && full > (double)rate.burst - 1) {
        if (rate.per_second <= 0) {
            *ret_retry_ms = -1;
        } else {
            double wait = (full - (double)rate.burst + 1) / rate.per_second * 1000.0;
            *ret_retry_ms = wait < 1 ? 1 : wait > 9e15 ? INT64_C(9000000000000000) : (int64_t)ceil(wait);
        }
        return false;
    }
    if (how == HS_LIMIT_PEEK)
        return true;

    now.done += 1;
    keep(l, k, b, now);
    return true;
}

static hs_rate_limit configured(const hs_config *c, hs_limit kind)
{
    switch (kind) {
    case HS_LIMIT_MESSAGE:
        return c->rc_message;
    case HS_LIMIT_REGISTRATION:
        return c->rc_registration;
    case HS_LIMIT_REGISTRATION_TOKEN:
        return c->rc_registration_token;
    case HS_LIMIT_LOGIN_ADDRESS:
        return c->rc_login_address;
    case HS_LIMIT_LOGIN_ACCOUNT:
        return c->rc_login_account;
    case HS_LIMIT_LOGIN_FAILED:
        return c->rc_login_failed;
    case HS_LIMIT_ADMIN_REDACTION:
        return c->has_rc_admin_redaction ? c->rc_admin_redaction : c->rc_message;
    case HS_LIMIT_JOINS_LOCAL:
        return c->rc_joins_local;
    case HS_LIMIT_JOINS_REMOTE:
        return c->rc_joins_remote;
    case HS_LIMIT_JOINS_PER_ROOM:
        return c->rc_joins_per_room;
    case HS_LIMIT_INVITES_PER_ROOM:
        return c->rc_invites_per_room;
    case HS_LIMIT_INVITES_PER_USER:
        return c->rc_invites_per_user;
    case HS_LIMIT_INVITES_PER_ISSUER:
        return c->rc_invites_per_issuer;
    case HS_LIMIT_ROOM_CREATION:
        return c->rc_room_creation;
    case HS_LIMIT_REPORTS:
        return c->rc_reports;
    case HS_LIMIT_USER_DIRECTORY:
        return c->rc_user_directory;
    case HS_LIMIT_PRESENCE:
        return c->rc_presence_per_user;
    case HS_LIMIT_KEY_REQUESTS:
        return c->rc_key_requests;
    case HS_LIMIT_MEDIA_CREATE:
        return c->rc_media_create;
    case HS_LIMIT_DELAYED:
        return c->rc_delayed_event_mgmt;
    case HS_LIMIT_SUMMARY: /* not an option of Synapse's either */
        return (hs_rate_limit){ .per_second = 5, .burst = 10 };
    case HS_LIMIT_LOGIN_TOKEN: /* nor this: Synapse has it as a constant */
        return (hs_rate_limit){ .per_second = 1.0 / 60, .burst = 1 };
    case HS_LIMIT_PROFILE:
        return c->rc_profile;
    case HS_LIMIT_3PID_VALIDATION:
        return c->rc_3pid_validation;
    case HS_LIMIT_THIRD_PARTY_INVITE:
        return c->rc_third_party_invite;
    case HS_LIMIT_KINDS:
        break;
    }
    return (hs_rate_limit){ 0 };
}

/* By hs_limit: Synapse's names of the options. */
static const char *const NAMES[HS_LIMIT_KINDS] = {
    [HS_LIMIT_MESSAGE] = "rc_message",
    [HS_LIMIT_REGISTRATION] = "rc_registration",
    [HS_LIMIT_REGISTRATION_TOKEN] = "rc_registration_token_validity",
    [HS_LIMIT_LOGIN_ADDRESS] = "rc_login.address",
    [HS_LIMIT_LOGIN_ACCOUNT] = "rc_login.account",
    [HS_LIMIT_LOGIN_FAILED] = "rc_login.failed_attempts",
    [HS_LIMIT_ADMIN_REDACTION] = "rc_admin_redaction",
    [HS_LIMIT_JOINS_LOCAL] = "rc_joins.local",
    [HS_LIMIT_JOINS_REMOTE] = "rc_joins.remote",
    [HS_LIMIT_JOINS_PER_ROOM] = "rc_joins_per_room",
    [HS_LIMIT_INVITES_PER_ROOM] = "rc_invites.per_room",
    [HS_LIMIT_INVITES_PER_USER] = "rc_invites.per_user",
    [HS_LIMIT_INVITES_PER_ISSUER] = "rc_invites.per_issuer",
    [HS_LIMIT_ROOM_CREATION] = "rc_room_creation",
    [HS_LIMIT_REPORTS] = "rc_reports",
    [HS_LIMIT_USER_DIRECTORY] = "rc_user_directory",
    [HS_LIMIT_PRESENCE] = "rc_presence.per_user",
    [HS_LIMIT_KEY_REQUESTS] = "rc_key_requests",
    [HS_LIMIT_PROFILE] = "rc_profile",
    [HS_LIMIT_3PID_VALIDATION] = "rc_3pid_validation",
    [HS_LIMIT_THIRD_PARTY_INVITE] = "rc_third_party_invite",
    [HS_LIMIT_MEDIA_CREATE] = "rc_media_create",
    [HS_LIMIT_DELAYED] = "rc_delayed_event_mgmt",
    [HS_LIMIT_SUMMARY] = "<room summary>",
    [HS_LIMIT_LOGIN_TOKEN] = "<login token request>",
};

hs_metric *hs_limit_metric(hs_server *srv)
{
    return hs_metric_get(srv->metrics, HS_COUNTER, "synapse_rate_limit_reject_total", "Requests refused with 429",
                         "rate_limiter_name");
}

static hs_error *use(hs_server *srv, hs_arena *a, hs_limit kind, hs_rate_limit rate, hs_str key, hs_limit_how how)
{
    int64_t retry_ms, now = hs_loop_now(srv->loop);

    if (hs_limiter_use(srv->limiter, kind, rate, key, how, now, &retry_ms)) {
        if (how != HS_LIMIT_PEEK && srv->shared)
            hs_limit_share_note(srv, kind, key,
                                hs_limiter_level(srv->limiter, kind, key, now) * 2 >= (double)rate.burst);
        return NULL;
    }

    hs_metric_add(hs_limit_metric(srv), 1, NAMES[kind]);
    return hs_err_later(a, 429, HS_M_LIMIT_EXCEEDED, retry_ms < 0 ? 0 : retry_ms, "Too Many Requests");
}

hs_error *hs_limit_use(hs_server *srv, hs_arena *a, hs_limit kind, hs_str key, hs_limit_how how)
{
    return use(srv, a, kind, configured(srv->config, kind), key, how);
}

hs_error *hs_limit_use_as(hs_server *srv, hs_arena *a, hs_limit kind, const hs_session *who, hs_str key,
                          hs_limit_how how)
{
    hs_rate_limit rate = configured(srv->config, kind);
    if (who->as_admin)
        return NULL;
    bool sending =
        kind == HS_LIMIT_MESSAGE || (kind == HS_LIMIT_ADMIN_REDACTION && !srv->config->has_rc_admin_redaction);

    if (who->own_limit && who->messages_per_second <= 0)
        return NULL;
    if (who->own_limit && sending)
        rate = (hs_rate_limit){ .per_second = who->messages_per_second, .burst = who->burst };
    return use(srv, a, kind, rate, key.p ? key : who->user_id, how);
}

void hs_limit_add(hs_server *srv, hs_limit kind, hs_str key, uint32_t n)
{
    hs_limiter_add(srv->limiter, kind, configured(srv->config, kind), key, n, hs_loop_now(srv->loop));
}
