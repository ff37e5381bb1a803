/* How one comes in and goes out: credentials to a user, a user to a device with a token. */
#ifndef HS_SERVER_LOGIN_H
#define HS_SERVER_LOGIN_H

#include "base/tape.h"
#include "server/session.h"

typedef struct {
    hs_nid user;
    hs_str user_id;
    unsigned flags; /* HS_ACCOUNT_* */
} hs_identity;

/* Checks a login request, or the `auth` of user-interactive authentication: type, identifier or the older `user`,
 * password. 403 M_FORBIDDEN "Invalid username or password"; 400 for what is not understood; 429 after too many
 * failures. Deactivated and locked accounts are refused as Synapse does. */
typedef enum { HS_LOGIN_NEW, HS_LOGIN_REAUTH } hs_login_purpose;
HS_NODISCARD HS_SUSPENDS hs_error *hs_login_check(hs_server *srv, hs_arena *a, hs_jv submission, hs_login_purpose why,
                                                  hs_identity *ret);

typedef struct {
    hs_str device_id;    /* p NULL: a new one is drawn */
    hs_str display_name; /* p NULL: none */
    bool refreshable;    /* a refresh token is wanted; given unless the configuration has none */
} hs_login_wish;
/* device_id, initial_device_display_name and refresh_token of a request. 400 for what cannot be. */
HS_NODISCARD hs_error *hs_login_wish_read(hs_arena *a, hs_jv body, hs_login_wish *ret);

typedef struct {
    hs_str device_id, access_token;
    hs_str refresh_token;  /* p NULL: none */
    int64_t expires_in_ms; /* 0: never */
} hs_login_result;

/* Whoever comes in comes in here: 403 M_USER_DEACTIVATED, 401 M_USER_LOCKED. Makes a device, or takes over the one of
 * that name and ends its tokens. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login_device(hs_server *srv, hs_arena *a, const hs_identity *who,
                                                   const hs_login_wish *wish, hs_login_result *ret);
/* POST /refresh: a new pair for an old refresh token, which is good until one of the new ones is used. 401
 * M_UNKNOWN_TOKEN for one that is not ours, 403 for one whose time is over. ret->device_id is not set. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login_refresh(hs_server *srv, hs_arena *a, hs_str token, hs_login_result *ret);
/* POST /login: check, count, make the device. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login(hs_server *srv, hs_arena *a, hs_jv submission, hs_str client_ip,
                                            hs_identity *ret_who, hs_login_result *ret);
/* Ends the session's token and removes its device. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_logout(hs_server *srv, hs_arena *a, const hs_session *who);
HS_NODISCARD HS_SUSPENDS hs_error *hs_logout_all(hs_server *srv, hs_arena *a, const hs_session *who);

/* ── tokens ── tokens.c; Synapse's forms */
/* "syt_<localpart in base64>_<20 letters>_<checksum>". `random` are the letters. */
HS_NODISCARD hs_error *hs_access_token_make(hs_arena *a, hs_str localpart, hs_str random, hs_str *ret);
/* "<kind>_<20 letters>_<checksum>", with localpart.p not NULL as above. kind: "syt", "syr", "syl". */
HS_NODISCARD hs_error *hs_token_draw(hs_arena *a, hs_str kind, hs_str localpart, hs_str *ret);
/* Whether it looks like one with a localpart. */
bool hs_token_is(hs_str token, hs_str kind);
/* A token for POST /login, once, in the name of whoever asks. 429 after one a minute. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login_token_new(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret);
/* Takes it. 403 M_FORBIDDEN "Invalid login token". */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login_token_take(hs_server *srv, hs_arena *a, hs_str token, hs_identity *ret);
/* A token by which somebody else can ask this server who its holder is, for expires_s seconds … */
HS_NODISCARD HS_SUSPENDS hs_error *hs_openid_token_new(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret,
                                                       int64_t *ret_expires_s);
/* … who that is. 401 M_UNKNOWN_TOKEN. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_openid_token_user(hs_server *srv, hs_arena *a, hs_str token, hs_str *ret_user_id);

#endif
