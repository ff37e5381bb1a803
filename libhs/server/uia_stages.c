/* The stages of user-interactive authentication. See uia.h. */
#include "base/json_out.h"
#include "server/login.h"
#include "server/uia.h"
#include "store/registration_tokens.h"
#include "store/uia.h"

static hs_error *json_string(hs_arena *a, hs_str v, hs_str *ret)
{
    hs_buf b;

    hs_buf_init(&b, a);
    hs_json_quote(&b, v);
    return hs_buf_flatten(&b, ret);
}

static bool tokens_enabled(const hs_config *c)
{
    return c->registration_requires_token || c->enable_registration_token_3pid_bypass;
}

/* Takes a use of the token, unless the session has one: then only that one will do. *ret_why as in uia.h. */
static hs_error *take_token(hs_server *srv, hs_arena *a, hs_str session_id, hs_str token, const hs_error **ret_why)
{
    bool taken = false;
    hs_uia_row *row;
    hs_str held;
    hs_jv done;

    if (!memchr(token.p ? token.p : "", 0, token.n))
        HS_TRY(hs_store_registration_token_take(srv->db, a, session_id, token, hs_loop_wall(srv->loop), &taken));
    *ret_why = NULL;
    if (taken)
        return NULL;
    HS_TRY(hs_store_uia_get(srv->db, a, session_id, &row));
    if (!row)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(session_id));
    HS_TRY(hs_tape_parse(a, row->done, HS_JSON_OBJECT, &done));
    held = hs_jv_str_or_null(hs_jv_get(done, HS_S("m.login.registration_token")));
    if (!held.p)
        *ret_why = hs_err(a, 401, HS_M_UNAUTHORIZED, "Invalid registration token");
    else if (!hs_str_eq(held, token))
        *ret_why = hs_err(a, 400, HS_M_INVALID_PARAM, "Registration token has changed");
    return NULL;
}

static hs_error *token_stage(hs_server *srv, hs_arena *a, hs_str session_id, hs_jv auth, hs_uia_stage *ret)
{
    hs_jv v = hs_jv_get(auth, HS_S("token"));
    hs_str token;

    if (!hs_jv_is(v))
        ret->why = hs_err(a, 400, HS_M_MISSING_PARAM, "Missing registration token");
    else if (!hs_jv_str(v, &token))
        ret->why = hs_err(a, 400, HS_M_INVALID_PARAM, "Registration token must be a string");
    else if (!hs_jv_is(hs_jv_get(auth, HS_S("session"))))
        ret->why = hs_err(a, 400, HS_M_MISSING_PARAM, "Missing UIA session");
    if (ret->why)
        return NULL;
    HS_TRY(take_token(srv, a, session_id, token, &ret->why));
    if (ret->why)
        return NULL;
    ret->type = HS_S("m.login.registration_token");
    ret->kept = true;
    return json_string(a, token, &ret->result);
}

/* Whatever proves who somebody is: in a session of somebody, only that person. */
static hs_error *login_stage(hs_server *srv, hs_arena *a, const hs_session *who, hs_jv auth, hs_uia_stage *ret)
{
    hs_identity is;
    hs_error *e = hs_login_check(srv, a, auth, HS_LOGIN_REAUTH, &is);

    if (e && e->status == 403) {
        ret->why = e;
        return NULL;
    }
    HS_TRY(e);
    if (who && is.user != who->user)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid auth");
    ret->type = HS_S("m.login.password");
    return json_string(a, is.user_id, &ret->result);
}

hs_error *hs_uia_try(hs_server *srv, hs_arena *a, const hs_session *who, hs_str session_id, hs_jv auth,
                     hs_uia_stage *ret)
{
    hs_uia_stage out = { 0 };
    hs_str type;

    *ret = out;
    if (!hs_jv_str(hs_jv_get(auth, HS_S("type")), &type))
        return NULL;
    if (hs_str_eq(type, HS_S("m.login.dummy")) || hs_str_eq(type, HS_S("m.login.terms"))) {
        out.type = type;
        out.result = HS_S("true");
    } else if (hs_str_eq(type, HS_S("m.login.registration_token")) && tokens_enabled(srv->config)) {
        HS_TRY(token_stage(srv, a, session_id, auth, &out));
    } else {
        HS_TRY(login_stage(srv, a, who, auth, &out));
    }
    *ret = out;
    return NULL;
}

hs_error *hs_uia_page_done(hs_server *srv, hs_arena *a, hs_str session_id, hs_str stage, hs_str token,
                           const hs_error **ret_why)
{
    bool found;

    *ret_why = NULL;
    if (hs_str_eq(stage, HS_S("m.login.registration_token"))) {
        if (!tokens_enabled(srv->config))
            *ret_why = hs_err(a, 400, HS_M_INVALID_PARAM, "Unknown UIA stage type: %.*s", HS_FMT(stage));
        else
            HS_TRY(take_token(srv, a, session_id, token, ret_why));
        return NULL;
    }
    HS_TRY(hs_store_uia_stage_done(srv->db, a, session_id, stage, HS_S("true"), &found));
    return found ? NULL : hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(session_id));
}
