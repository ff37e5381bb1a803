/* User-interactive authentication: an operation is asked for, refused with a session and the stages that are wanted,
 * and asked for again with a stage done. Every flow here has one stage. Spec: Client-Server API, "User-Interactive
 * Authentication API". */
#ifndef HS_SERVER_UIA_H
#define HS_SERVER_UIA_H

#include "base/tape.h"
#include "server/session.h"

typedef enum {
    HS_UIA_REGISTER,        /* m.login.dummy, nobody is logged in */
    HS_UIA_REAUTH,          /* m.login.password of the session's own user */
    HS_UIA_REAUTH_SKIPPABLE /* the same; not asked for again within ui_auth.session_timeout */
} hs_uia_kind;

typedef struct {
    hs_uia_kind kind;
    hs_jv body;            /* the request: parameters, and `auth` */
    hs_str method, path;   /* a session is good for this operation only */
    const hs_session *who; /* NULL with HS_UIA_REGISTER */
} hs_uia_in;

typedef struct {
    bool complete;
    hs_jv params; /* the operation's parameters, perhaps those of the first request; without `auth` and passwords */
    hs_str session_id; /* p NULL: none was needed */
    hs_str owner;      /* user id; p NULL: nobody was logged in */
    hs_str kept_hash;  /* hash of the password of the first request; p NULL: none */
    hs_str registered; /* user id that this session has registered already; p NULL: none */
    hs_str answer;     /* not complete: the body of the 401 */
} hs_uia;

/* 400 M_UNKNOWN for an unknown session, 403 when it belongs to another operation or somebody else's password was given.
 */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_check(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *ret);
/* Keeps what kept_hash and registered of *u say now. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_uia_keep(hs_server *srv, hs_arena *a, const hs_uia *u);

#endif
