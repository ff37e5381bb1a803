/* Who may do how much how often: Synapse's rc_ options as leaky buckets, in memory. A bucket holds what was done, here
 * and at the other workers (limit_share.h), and leaks at the configured rate; what does not fit is refused with 429. */
#ifndef HS_SERVER_LIMITER_H
#define HS_SERVER_LIMITER_H

#include "server/caches.h"

/* Workers tell each other these numbers: new ones go to the end. */
typedef enum {
    HS_LIMIT_MESSAGE,
    HS_LIMIT_REGISTRATION,
    HS_LIMIT_REGISTRATION_TOKEN,
    HS_LIMIT_LOGIN_ADDRESS,
    HS_LIMIT_LOGIN_ACCOUNT,
    HS_LIMIT_LOGIN_FAILED,
    HS_LIMIT_ADMIN_REDACTION,
    HS_LIMIT_JOINS_LOCAL,
    HS_LIMIT_JOINS_REMOTE,
    HS_LIMIT_JOINS_PER_ROOM,
    HS_LIMIT_INVITES_PER_ROOM,
    HS_LIMIT_INVITES_PER_USER,
    HS_LIMIT_INVITES_PER_ISSUER,
    HS_LIMIT_ROOM_CREATION,
    HS_LIMIT_REPORTS,
    HS_LIMIT_USER_DIRECTORY,
    HS_LIMIT_PRESENCE,
    HS_LIMIT_KEY_REQUESTS,
    HS_LIMIT_MEDIA_CREATE,
    HS_LIMIT_DELAYED,
    HS_LIMIT_SUMMARY,
    HS_LIMIT_LOGIN_TOKEN,
    HS_LIMIT_PROFILE,
    HS_LIMIT_3PID_VALIDATION,
    HS_LIMIT_THIRD_PARTY_INVITE,
    HS_LIMIT_KINDS
} hs_limit;

typedef enum {
    HS_LIMIT_TAKE,  /* counts when there is room */
    HS_LIMIT_PEEK,  /* only asks */
    HS_LIMIT_FORCE, /* counts in any case, never refuses */
} hs_limit_how;

/* `key`: a user id, room id or address. 429 M_LIMIT_EXCEEDED with retry_after_ms when the bucket is full. */
HS_NODISCARD hs_error *hs_limit_use(hs_server *srv, hs_arena *a, hs_limit kind, hs_str key, hs_limit_how how);
/* The same for somebody who is logged in: an administrator may have taken their limits away, or given them another one
 * for sending. `key` p NULL: their user id. */
struct hs_session;
HS_NODISCARD hs_error *hs_limit_use_as(hs_server *srv, hs_arena *a, hs_limit kind, const struct hs_session *who,
                                       hs_str key, hs_limit_how how);
/* Counts what another worker has let through. */
void hs_limit_add(hs_server *srv, hs_limit kind, hs_str key, uint32_t n);

/* What was refused, by kind; for whoever wants it to exist before. */
hs_metric *hs_limit_metric(hs_server *srv);

/* ── the buckets alone, for whoever has a clock and rates of their own ── */
typedef struct hs_limiter hs_limiter;

/* NULL without memory. `all`: where its budget is counted; NULL: nowhere. Over its budget it forgets the buckets that
 * are emptiest. */
hs_limiter *hs_limiter_open(uint64_t seed, struct hs_caches *all);
void hs_limiter_close(hs_limiter *l);
/* True when allowed; otherwise *ret_retry_ms says when to come back (-1: never, the rate is 0). */
bool hs_limiter_use(hs_limiter *l, unsigned kind, hs_rate_limit rate, hs_str key, hs_limit_how how, int64_t now_ms,
                    int64_t *ret_retry_ms);
/* Counts n more, whatever is in the bucket. */
void hs_limiter_add(hs_limiter *l, unsigned kind, hs_rate_limit rate, hs_str key, uint32_t n, int64_t now_ms);
/* What is in the bucket. */
double hs_limiter_level(hs_limiter *l, unsigned kind, hs_str key, int64_t now_ms);
/* Forgets buckets that have run empty. */
void hs_limiter_prune(hs_limiter *l, int64_t now_ms);
size_t hs_limiter_count(const hs_limiter *l);

#endif
