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
    hs_str device_id, access_token;
    int64_t expires_in_ms; /* 0: never */
} hs_login_result;

/* Makes a device, or takes over the one of that name and ends its tokens; device_id p NULL: a new name is drawn. 400
 * M_INVALID_PARAM for a device_id above 512 bytes. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login_device(hs_server *srv, hs_arena *a, const hs_identity *who,
                                                   hs_str device_id, hs_str display_name, hs_login_result *ret);
/* POST /login: check, count, make the device. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_login(hs_server *srv, hs_arena *a, hs_jv submission, hs_str client_ip,
                                            hs_identity *ret_who, hs_login_result *ret);
/* Ends the session's token and removes its device. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_logout(hs_server *srv, hs_arena *a, const hs_session *who);
HS_NODISCARD HS_SUSPENDS hs_error *hs_logout_all(hs_server *srv, hs_arena *a, const hs_session *who);

/* "syt_<localpart in base64>_<20 letters>_<checksum>", Synapse's form. `random` are the letters. */
HS_NODISCARD hs_error *hs_access_token_make(hs_arena *a, hs_str localpart, hs_str random, hs_str *ret);

#endif
