/* Tokens that give new access tokens. Owns: refresh_token. */
#ifndef HS_STORE_REFRESH_TOKENS_H
#define HS_STORE_REFRESH_TOKENS_H

#include "store/write.h"

typedef struct {
    hs_nid nid, user;
    hs_str device_id, localpart;
    unsigned flags;             /* of the account */
    int64_t expires_ts;         /* 0: never */
    int64_t session_expires_ts; /* 0: never */
    bool over;                  /* its successor has been used, either the access token or the refresh token */
} hs_refresh_row;

/* *ret NULL: no such token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_refresh_find(hs_db *db, hs_arena *a, hs_str token_sha256,
                                                         hs_refresh_row **ret);

typedef struct {
    hs_str refresh_sha256, access_sha256;
    hs_nid nid;                                                                /* of the refresh token */
    int64_t now_ts, refresh_expires_ts, access_expires_ts, session_expires_ts; /* 0: never */
} hs_refresh_new;

/* Into the unit of a login (hs_store_login before it): its access token can be refreshed. */
HS_NODISCARD hs_error *hs_store_refresh_login(hs_write *w, hs_nid user, hs_str device_id, const hs_refresh_new *n);
/* The pair follows the token `of`. What followed it before, unused, and what was before it ends. Writes nothing when
 * `of` is gone. */
HS_NODISCARD hs_error *hs_store_refresh_follow(hs_write *w, hs_nid of, const hs_refresh_new *n);
/* An access token of such a pair is used for the first time. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_refresh_used(hs_db *db, hs_arena *a, hs_str access_sha256);

#endif
