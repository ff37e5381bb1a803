/* Who is asking. */
#ifndef HS_SERVER_SESSION_H
#define HS_SERVER_SESSION_H

#include "server/context.h"

enum {
    HS_ACCOUNT_ADMIN = 1,
    HS_ACCOUNT_GUEST = 2,
    HS_ACCOUNT_DEACTIVATED = 4,
    HS_ACCOUNT_LOCKED = 8,
    HS_ACCOUNT_SUSPENDED = 16,
    HS_ACCOUNT_SHADOW_BANNED = 32,
    HS_ACCOUNT_APPROVED = 64,
    HS_ACCOUNT_ERASED = 128,
};

typedef struct hs_session {
    hs_nid user;    /* number … */
    hs_str user_id; /* … and name, '@local:server' */
    hs_str localpart;
    hs_str device_id; /* empty: a token without a device */
    unsigned flags;   /* HS_ACCOUNT_* */
    uint8_t token_sha256[32];
    int64_t expires_ts;         /* 0: never */
    bool unused;                /* a token that can be refreshed, on its first use */
    int64_t account_expires_ts; /* 0: never */
    bool agreed;                /* to the terms as they are now, or need not */
    bool is_appservice;
    bool as_admin; /* an administrator asks: may read everything, and is not held back by rate limits */
    /* A limit of their own for sending, which an administrator has set; 0 a second: no limits at all. */
    bool own_limit;
    int32_t messages_per_second, burst;
} hs_session;

/* Somebody of this server in whose name an administrator, or the server itself, acts: without device and limits. */
hs_session hs_session_acting(hs_nid user, hs_str user_id);

HS_NODISCARD hs_error *hs_sessions_open(hs_server *srv, hs_arena *a);
/* Writes what is still to be written about who was last seen where. */
void hs_sessions_close(hs_server *srv);

/* Looks a token up: cache, then store. M_UNKNOWN_TOKEN 401 (soft_logout true when it has expired), M_USER_LOCKED, … are
 * decided by the caller's route row, see workers/http/authenticate.c. NULL session with NULL error: no such token.
 * Lives in `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_session_find(hs_server *srv, hs_arena *a, hs_str token, hs_session **ret);

/* To a unit that changes a user's tokens or account: once it is durable no worker has sessions of the devices cached
 * (n 0: of any device). Commits the unit. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sessions_end(hs_write *w, hs_nid user, hs_strs device_ids);
/* The same for all tokens with which somebody acts as others. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sessions_end_acting(hs_server *srv, hs_arena *a, hs_nid by);
/* Registers with fanout, which opens later. */
HS_NODISCARD hs_error *hs_sessions_listen(hs_server *srv);
/* Notes that the session's device was active from an address; written in batches, at most every two minutes per device.
 */
void hs_session_seen(hs_server *srv, const hs_session *who, hs_str ip, hs_str user_agent);
/* The session's first use, which ends the refresh token before it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_session_used(hs_server *srv, hs_arena *a, hs_session *who);
/* Remembers that the user has just shown the password again, for all workers … */
HS_NODISCARD HS_SUSPENDS hs_error *hs_session_reauthenticated(hs_server *srv, hs_arena *a, const hs_session *who);
/* … and whether that is no longer than within_ms ago. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_session_reauth_recent(hs_server *srv, hs_arena *a, const hs_session *who,
                                                            int64_t within_ms, bool *ret);
/* SHA-256 of a token: what the store keeps. */
void hs_token_hash(hs_str token, uint8_t ret[32]);

#endif
