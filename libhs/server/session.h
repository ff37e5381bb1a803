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
    bool is_appservice;
} hs_session;

/* Looks a token up: cache, then store. M_UNKNOWN_TOKEN 401 (soft_logout true when it has expired), M_USER_LOCKED, … are
 * decided by the caller's route row, see workers/http/authenticate.c. NULL session with NULL error: no such token.
 * Lives in `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_session_find(hs_server *srv, hs_arena *a, hs_str token, hs_session **ret);

#endif
