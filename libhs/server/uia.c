/* See uia.h. A session's row holds, as one JSON object, what must not change or be asked for again: params (the request
 * without `auth` and without any password), user (whose it is), hash (of a password given in the first request),
 * registered. */
#include "server/uia.h"

#include "base/json_out.h"
#include "server/login.h"
#include "store/sessions.h"

#define SESSION_MS (INT64_C(48) * 3600 * 1000)

static bool is_secret(hs_str key)
{
    return hs_str_eq(key, HS_S("auth")) || hs_str_eq(key, HS_S("password")) || hs_str_eq(key, HS_S("new_password"));
}

/* The request without its secrets; *ret_n counts what is left. */
static hs_error *bare_params(hs_arena *a, hs_jv body, hs_jv *ret, size_t *ret_n)
{
    hs_buf b;
    hs_json_out j;
    hs_str text;
    size_t n = 0;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(body, &it);) {
        if (is_secret(it.key))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
        n++;
    }
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    HS_TRY(hs_tape_parse(a, text, HS_JSON_OBJECT, ret));
    *ret_n = n;
    return NULL;
}

static hs_error *session_json(hs_arena *a, const hs_uia *u, hs_str *ret)
{
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_raw(&j, "params", hs_jv_raw(u->params));
    hs_json_opt_str(&j, "user", u->owner);
    hs_json_opt_str(&j, "hash", u->kept_hash);
    hs_json_opt_str(&j, "registered", u->registered);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, ret));
    if (memmem(ret->p, ret->n, "\\u0000", 6)) /* PostgreSQL cannot keep it, and no parameter may hold it */
        return hs_err(a, 400, HS_M_BAD_JSON, "Content not JSON: there is a NUL in it.");
    return NULL;
}

hs_error *hs_uia_keep(hs_server *srv, hs_arena *a, const hs_uia *u)
{
    hs_str text;

    if (!u->session_id.p)
        return NULL;
    HS_TRY(session_json(a, u, &text));
    return hs_store_uia_set_client(srv->db, a, u->session_id, text);
}

static hs_error *new_session(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *u)
{
    hs_uia_row row = { .method = in->method, .uri = in->path, .created_ts = hs_loop_wall(srv->loop) };

    HS_TRY(session_json(a, u, &row.client));
    HS_TRY(hs_random_text(a, 24, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", &u->session_id));
    if ((hs_random_u64() & 0xff) == 0) /* the table is swept now and then by whoever adds to it */
        HS_TRY(hs_store_uia_expire(srv->db, a, row.created_ts - SESSION_MS));
    return hs_store_uia_insert(srv->db, a, u->session_id, &row);
}

static hs_error *load_session(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_str id, size_t params_n, hs_uia *u)
{
    hs_uia_row *row;
    hs_jv kept;

    HS_TRY(hs_store_uia_get(srv->db, a, id, &row));
    if (!row || row->created_ts < hs_loop_wall(srv->loop) - SESSION_MS)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(id));
    if (!hs_str_eq(row->method, in->method) || !hs_str_eq(row->uri, in->path))
        return hs_err(a, 403, HS_M_UNKNOWN, "Requested operation has changed during the UI authentication session.");
    HS_TRY(hs_tape_parse(a, row->client, HS_JSON_OBJECT, &kept));
    if (in->who && !hs_str_eq(hs_jv_str_or_null(hs_jv_get(kept, HS_S("user"))), in->who->user_id))
        return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid auth");
    u->session_id = id;
    u->kept_hash = hs_jv_str_or_null(hs_jv_get(kept, HS_S("hash")));
    u->registered = hs_jv_str_or_null(hs_jv_get(kept, HS_S("registered")));
    if (!params_n)
        u->params = hs_jv_get(kept, HS_S("params"));
    return NULL;
}

static hs_error *write_answer(hs_arena *a, hs_str stage, const hs_uia *u, hs_str done, bool tried, const hs_error *why,
                              hs_str *ret)
{
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "session", u->session_id);
    hs_json_arr_at(&j, "flows");
    hs_json_obj(&j);
    hs_json_arr_at(&j, "stages");
    hs_json_v_str(&j, stage);
    hs_json_end(&j);
    hs_json_end(&j);
    hs_json_end(&j);
    hs_json_obj_at(&j, "params");
    hs_json_end(&j);
    if (tried) {
        hs_json_arr_at(&j, "completed");
        if (done.p)
            hs_json_v_str(&j, done);
        hs_json_end(&j);
    }
    if (why) {
        hs_json_str(&j, "errcode", hs_errcode_str(why->code));
        hs_json_str(&j, "error", why->message);
    }
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

/* *ret_done: the stage that the request has completed; p NULL: none. *ret_why: what to tell the client about a failed
 * one. */
static hs_error *try_stage(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_jv auth, hs_str *ret_done,
                           const hs_error **ret_why)
{
    hs_identity who;
    hs_str type;

    if (!hs_jv_str(hs_jv_get(auth, HS_S("type")), &type))
        return NULL;
    if (hs_str_eq(type, HS_S("m.login.dummy"))) {
        *ret_done = HS_S("m.login.dummy");
        return NULL;
    }
    hs_error *e = hs_login_check(srv, a, auth, HS_LOGIN_REAUTH, &who);
    if (e && e->status == 403) {
        *ret_why = e;
        return NULL;
    }
    HS_TRY(e);
    if (in->who && who.user != in->who->user)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid auth");
    *ret_done = HS_S("m.login.password");
    return NULL;
}

static hs_error *recently_done(hs_server *srv, hs_arena *a, const hs_uia_in *in, bool *ret)
{
    int64_t timeout = srv->config->ui_auth_session_timeout_ms;

    *ret = false;
    if (in->kind != HS_UIA_REAUTH_SKIPPABLE || timeout <= 0)
        return NULL;
    return hs_session_reauth_recent(srv, a, in->who, timeout, ret);
}

hs_error *hs_uia_check(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *ret)
{
    hs_str wanted = in->kind == HS_UIA_REGISTER ? HS_S("m.login.dummy") : HS_S("m.login.password");
    hs_jv auth = hs_jv_get(in->body, HS_S("auth")), id = hs_jv_get(auth, HS_S("session"));
    hs_str session = { 0 }, done = { 0 };
    const hs_error *why = NULL;
    hs_uia u = { 0 };
    size_t params_n;

    if (in->who)
        u.owner = in->who->user_id;
    if (hs_jv_is(auth) && hs_jv_type_of(auth) != HS_JV_OBJ && hs_jv_type_of(auth) != HS_JV_NULL)
        return hs_err(a, 400, HS_M_BAD_JSON, "auth is not an object");
    if (hs_jv_is(id) && !hs_jv_str(id, &session))
        return hs_err(a, 400, HS_M_BAD_JSON, "auth.session is not a string");
    HS_TRY(bare_params(a, in->body, &u.params, &params_n));
    if (session.n)
        HS_TRY(load_session(srv, a, in, session, params_n, &u));

    HS_TRY(recently_done(srv, a, in, &u.complete));
    if (!u.complete)
        HS_TRY(try_stage(srv, a, in, auth, &done, &why));
    u.complete = u.complete || hs_str_eq(done, wanted);
    if (!u.complete) {
        if (!u.session_id.p)
            HS_TRY(new_session(srv, a, in, &u));
        HS_TRY(write_answer(a, wanted, &u, done, hs_jv_count(auth) > 0, why, &u.answer));
    } else if (in->who) {
        if (done.p)
            HS_TRY(hs_session_reauthenticated(srv, a, in->who));
        if (u.session_id.p) /* once only */
            HS_TRY(hs_store_uia_remove(srv->db, a, u.session_id));
    }
    *ret = u;
    return NULL;
}
