/* Tokens that a registration may need. Owns: registration_token. */
#ifndef HS_STORE_REGISTRATION_TOKENS_H
#define HS_STORE_REGISTRATION_TOKENS_H

#include "store/db.h"

typedef struct {
    hs_str token;
    bool has_uses, has_expiry; /* otherwise without a limit */
    int64_t uses_allowed;      /* below 2^31 */
    int64_t pending;           /* registrations that have begun */
    int64_t completed;
    int64_t expires_ts;
} hs_registration_token;

typedef enum { HS_TOKENS_ALL, HS_TOKENS_VALID, HS_TOKENS_INVALID } hs_tokens_filter;

/* By name. A token is valid while it has uses left and has not expired. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_tokens_list(hs_db *db, hs_arena *a, hs_tokens_filter which,
                                                                     int64_t now_ts, hs_registration_token **ret,
                                                                     size_t *ret_n);
/* *ret NULL: no such token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_token_get(hs_db *db, hs_arena *a, hs_str token,
                                                                   hs_registration_token **ret);
/* token, limit and expiry of *t. *ret_new false: there was one of that name. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_token_insert(hs_db *db, hs_arena *a,
                                                                      const hs_registration_token *t, bool *ret_new);
/* Limit and expiry of *t, each when its flag says so. *ret NULL: no such token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_token_update(hs_db *db, hs_arena *a,
                                                                      const hs_registration_token *t, bool set_uses,
                                                                      bool set_expiry, hs_registration_token **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_token_remove(hs_db *db, hs_arena *a, hs_str token,
                                                                      bool *ret_found);

/* ── a use of a token, by a session of user-interactive authentication ── */
/* One use is pending, and the session has completed the stage with this token: both or neither. *ret_taken false: no
 * such session, it has completed the stage before, or the token has no use left. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_token_take(hs_db *db, hs_arena *a, hs_str session_id,
                                                                    hs_str token, int64_t now_ts, bool *ret_taken);
/* The pending use has become a registration. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_registration_token_complete(hs_tx *tx, hs_arena *a, hs_str token);

#endif
