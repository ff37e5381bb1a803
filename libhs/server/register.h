/* New accounts. */
#ifndef HS_SERVER_REGISTER_H
#define HS_SERVER_REGISTER_H

#include "server/login.h"
#include "server/uia.h"

/* May a new account have this localpart, by its form alone? 400 M_INVALID_USERNAME with Synapse's text. */
HS_NODISCARD hs_error *hs_username_check_form(const hs_server *srv, hs_arena *a, hs_str localpart);
/* The same, and is it free? 400 M_USER_IN_USE. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_username_check(hs_server *srv, hs_arena *a, hs_str localpart);
/* GET /register/available: 403 when registration is closed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_username_available(hs_server *srv, hs_arena *a, hs_str localpart);

typedef struct {
    hs_str localpart;     /* p NULL: one is drawn */
    hs_str password_hash; /* p NULL: no password */
    hs_str displayname;   /* p NULL: the localpart; guests have none */
    hs_str kind;          /* p NULL: a person; "bot", "support" */
    unsigned flags;       /* HS_ACCOUNT_* */
    bool agreed;          /* to the terms */
} hs_account_new;
/* Makes the account and joins it to the configured rooms. 400 M_USER_IN_USE decides by the unique index. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_create(hs_server *srv, hs_arena *a, const hs_account_new *in,
                                                     hs_identity *ret);

typedef struct {
    hs_jv body;
    bool guest;
    bool has_token; /* the request carried an access token, which it should not */
    hs_str client_ip;
    hs_str method, path;
} hs_register_in;

typedef struct {
    hs_str uia_answer; /* p not NULL: the body of a 401, and nothing else happened */
    hs_identity who;
    bool logged_in;
    hs_login_result login;
} hs_registered;
/* POST /register */
HS_NODISCARD HS_SUSPENDS hs_error *hs_register(hs_server *srv, hs_arena *a, const hs_register_in *in,
                                               hs_registered *ret);

/* ── /_synapse/admin/v1/register: by the shared secret ── */
/* A nonce, good for a minute and once. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_register_nonce(hs_server *srv, hs_arena *a, hs_str *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_register_by_secret(hs_server *srv, hs_arena *a, hs_jv body, hs_registered *ret);

/* A type that accounts may have: bot, support or one of user_types.extra_user_types. */
bool hs_account_kind_known(const hs_config *c, hs_str kind);

#endif
