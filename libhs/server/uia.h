/* User-interactive authentication: an operation is asked for, refused with a session and the flows of stages that are
 * wanted, and asked for again with a stage done, until one flow is complete. Spec: Client-Server API, "User-Interactive
 * Authentication API". */
#ifndef HS_SERVER_UIA_H
#define HS_SERVER_UIA_H

#include "base/tape.h"
#include "server/session.h"

/* How long a session lives. */
#define HS_UIA_SESSION_MS (INT64_C(48) * 3600 * 1000)

typedef enum {
    HS_UIA_REGISTER,         /* nobody is logged in; the flows are the configuration's */
    HS_UIA_REAUTH,           /* m.login.password of the session's own user */
    HS_UIA_REAUTH_SKIPPABLE, /* the same; not asked for again within ui_auth.session_timeout */
    HS_UIA_RESET,            /* a password that was forgotten: m.login.email.identity, which nobody can complete yet */
} hs_uia_kind;

typedef struct {
    hs_uia_kind kind;
    hs_jv body;            /* the request: parameters, and `auth` */
    hs_str method, path;   /* a session is good for this operation only */
    const hs_session *who; /* NULL with HS_UIA_REGISTER and HS_UIA_RESET */
} hs_uia_in;

typedef struct {
    bool complete;
    hs_jv params; /* the operation's parameters, perhaps those of an earlier request; without `auth` and passwords */
    hs_str session_id; /* p NULL: none was needed */
    hs_str kept_hash;  /* hash of the password of an earlier request; p NULL: none */
    hs_str registered; /* user id that this session has registered already; p NULL: none */
    hs_str guest;      /* user id of the guest who becomes a user; p NULL: nobody */
    hs_str token;      /* registration token that this session holds a use of; p NULL: none */
    hs_str answer;     /* not complete: the body of the 401 */
    bool agreed;       /* to the terms */
} hs_uia;

/* 400 M_UNKNOWN for an unknown session, 403 when it belongs to another operation, to somebody else or another device,
 * or somebody else's password was given. A session whose user had to be known ends with its success. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_check(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *ret);
/* Keeps what kept_hash and guest of *u say now, so that passwords and tokens need not be sent again: never these. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_keep(hs_server *srv, hs_arena *a, const hs_uia *u);
/* Into the transaction that makes the account: the session has registered it, and its use of a token is over. Another
 * request with the session waits; *ret_earlier is whom it has registered by then (p NULL: nobody, go on). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_registers(hs_tx *tx, hs_arena *a, const hs_uia *u, hs_str user_id,
                                                    hs_str *ret_earlier);

/* ── stages ── uia_stages.c */
typedef struct {
    hs_str type;         /* p NULL: none was tried, or it failed */
    hs_str result;       /* JSON, kept with the session */
    bool kept;           /* is kept already */
    const hs_error *why; /* what to tell the client about one that failed */
} hs_uia_stage;
/* The stage that `auth` says. session_id p NULL: there is none yet. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_try(hs_server *srv, hs_arena *a, const hs_session *who, hs_str session_id,
                                              hs_jv auth, hs_uia_stage *ret);
/* A stage that a page does for the session: m.login.terms, or m.login.registration_token with a token. *ret_why: what
 * to tell the visitor; NULL: done. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_page_done(hs_server *srv, hs_arena *a, hs_str session_id, hs_str stage,
                                                    hs_str token, const hs_error **ret_why);

#endif
