/* See uia.h. A session's row holds the parameters of its request (without `auth` and any password), what we remember
 * (user and device whose it is, hash of a password, whom it registered), and the stages that are done. */
#include "server/uia.h"

#include "base/json_out.h"
#include "store/registration_tokens.h"
#include "store/uia.h"
#include "store/users.h"

enum { STAGES_MAX = 3, FLOWS_MAX = 2 };

typedef struct {
    hs_str stages[STAGES_MAX];
    size_t n;
} flow;

typedef struct {
    flow at[FLOWS_MAX];
    size_t n;
} flows;

/* ── which stages ── */

static void put_first(flows *f, hs_str stage)
{
    for (size_t i = 0; i < f->n; i++) {
        flow *one = &f->at[i];
        bool there = false;
        for (size_t k = 0; k < one->n; k++)
            there |= hs_str_eq(one->stages[k], stage);
        if (there || one->n == STAGES_MAX)
            continue;
        memmove(one->stages + 1, one->stages, one->n * sizeof *one->stages);
        one->stages[0] = stage;
        one->n++;
    }
}

static flows of_registration(const hs_config *c)
{
    flows f = { .at = { { .stages = { HS_S("m.login.dummy") }, .n = 1 } }, .n = 1 };

    if (c->enable_registration_token_3pid_bypass)
        f.at[f.n++] = (flow){ .stages = { HS_S("m.login.registration_token") }, .n = 1 };
    if (c->consent_at_registration)
        put_first(&f, HS_S("m.login.terms"));
    if (c->registration_requires_token)
        put_first(&f, HS_S("m.login.registration_token"));
    return f;
}

/* Who has no password has nothing to show. */
static hs_error *flows_of(hs_server *srv, hs_arena *a, const hs_uia_in *in, flows *ret)
{
    hs_account_row *account;

    if (in->kind == HS_UIA_REGISTER) {
        *ret = of_registration(srv->config);
    } else if (in->kind == HS_UIA_RESET) {
        *ret = (flows){ .at = { { .stages = { HS_S("m.login.email.identity") }, .n = 1 } }, .n = 1 };
    } else {
        HS_TRY(hs_store_account_get(srv->db, a, in->who->user, &account));
        *ret = (flows){ .at = { { .stages = { HS_S("m.login.password") }, .n = 1 } } };
        ret->n = account && account->password_hash.n && srv->config->password_enabled &&
                 srv->config->password_localdb_enabled;
    }
    return NULL;
}

static bool is_complete(const flows *f, hs_jv done, hs_str now)
{
    for (size_t i = 0; i < f->n; i++) {
        size_t missing = 0;
        for (size_t k = 0; k < f->at[i].n; k++)
            missing += !hs_str_eq(f->at[i].stages[k], now) && !hs_jv_is(hs_jv_get(done, f->at[i].stages[k]));
        if (!missing)
            return true;
    }
    return false;
}

/* ── the session ── */

/* The request without its secrets, and without what is asked anew each time. Clients have sent the name of a device
 * alone, beside `auth`: it would take the place of all that was said before. */
static hs_error *bare_params(hs_arena *a, const hs_uia_in *in, hs_jv *ret)
{
    static const hs_str SECRET[] = { HS_S_INIT("auth"),          HS_S_INIT("password"),
                                     HS_S_INIT("new_password"),  HS_S_INIT("guest_access_token"),
                                     HS_S_INIT("refresh_token"), HS_S_INIT("initial_device_display_name") };
    bool name_too = in->kind == HS_UIA_REGISTER && !hs_jv_is(hs_jv_get(in->body, HS_S("password")));
    size_t secrets = sizeof SECRET / sizeof *SECRET - (name_too ? 0 : 1);
    hs_buf b;
    hs_json_out j;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(in->body, &it);) {
        bool secret = false;
        for (size_t i = 0; i < secrets; i++)
            secret |= hs_str_eq(it.key, SECRET[i]);
        if (secret)
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_tape_parse(a, text, HS_JSON_OBJECT, ret);
}

static hs_error *new_session(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *u)
{
    hs_uia_row row = {
        .method = in->method,
        .uri = in->path,
        .client = hs_jv_raw(u->params),
        .created_ts = hs_loop_wall(srv->loop),
    };
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    if (in->who) {
        hs_json_str(&j, "user", in->who->user_id);
        hs_json_str(&j, "device", in->who->device_id);
    }
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &row.server));
    HS_TRY(hs_random_text(a, 24, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", &u->session_id));
    return hs_store_uia_insert(srv->db, a, u->session_id, &row);
}

static hs_error *changed(hs_arena *a)
{
    return hs_err(a, 403, HS_M_UNKNOWN, "Requested operation has changed during the UI authentication session.");
}

/* *ret_done: the stages that are done. */
static hs_error *load_session(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_str id, hs_uia *u, hs_jv *ret_done)
{
    hs_uia_row *row = NULL;
    hs_jv kept, ours;

    if (!memchr(id.p, 0, id.n))
        HS_TRY(hs_store_uia_get(srv->db, a, id, &row));
    if (!row || row->created_ts < hs_loop_wall(srv->loop) - HS_UIA_SESSION_MS)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(id));
    if (!hs_str_eq(row->method, in->method) || !hs_str_eq(row->uri, in->path))
        return changed(a);
    HS_TRY(hs_tape_parse(a, row->client, HS_JSON_OBJECT, &kept));
    HS_TRY(hs_tape_parse(a, row->server, HS_JSON_OBJECT, &ours));
    HS_TRY(hs_tape_parse(a, row->done, HS_JSON_OBJECT, ret_done));
    if (in->who && (!hs_str_eq(hs_jv_str_or_null(hs_jv_get(ours, HS_S("user"))), in->who->user_id) ||
                    !hs_str_eq(hs_jv_str_or_null(hs_jv_get(ours, HS_S("device"))), in->who->device_id)))
        return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid auth");
    u->session_id = id;
    u->kept_hash = hs_jv_str_or_null(hs_jv_get(ours, HS_S("hash")));
    u->registered = hs_jv_str_or_null(hs_jv_get(ours, HS_S("registered")));
    u->guest = hs_jv_str_or_null(hs_jv_get(ours, HS_S("guest")));
    if (!hs_jv_count(u->params))
        u->params = kept;
    /* What somebody has authenticated for is what was asked then. Until a stage is done the request may still change:
     * clients do that. */
    else if (in->who && hs_jv_count(*ret_done) && !hs_str_eq(hs_jv_raw(kept), hs_jv_raw(u->params)))
        return changed(a);
    return NULL;
}

hs_error *hs_uia_keep(hs_server *srv, hs_arena *a, const hs_uia *u)
{
    hs_buf b;
    hs_json_out j;
    hs_str text;

    if (!u->session_id.p)
        return NULL;
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_opt_str(&j, "hash", u->kept_hash);
    hs_json_opt_str(&j, "guest", u->guest);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_store_uia_remember(srv->db, a, u->session_id, text);
}

hs_error *hs_uia_registers(hs_tx *tx, hs_arena *a, const hs_uia *u, hs_str user_id, hs_str *ret_earlier)
{
    hs_uia_row *row;
    hs_jv ours;
    hs_buf b;
    hs_json_out j;
    hs_str text;

    *ret_earlier = hs_str_make(NULL, 0);
    if (!u->session_id.p)
        return NULL;
    HS_TRY(hs_store_uia_lock(tx, a, u->session_id, &row));
    if (!row)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(u->session_id));
    HS_TRY(hs_tape_parse(a, row->server, HS_JSON_OBJECT, &ours));
    if (hs_jv_str(hs_jv_get(ours, HS_S("registered")), ret_earlier))
        return NULL;
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "registered", user_id);
    hs_json_null(&j, "hash");
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    HS_TRY(hs_store_uia_remember_tx(tx, a, u->session_id, text));
    if (!u->token.p)
        return NULL;
    HS_TRY(hs_store_registration_token_complete(tx, a, u->token));
    return hs_store_uia_stage_done_tx(tx, a, u->session_id, HS_S("m.login.registration_token"), HS_S("true"));
}

/* ── the answer ── */

static hs_error *write_terms(hs_arena *a, hs_json_out *j, const hs_config *c)
{
    hs_str url;

    HS_TRY(hs_str_fmt(a, &url, "%.*s_matrix/consent?v=%.*s", HS_FMT(c->public_baseurl), HS_FMT(c->consent_version)));
    hs_json_obj_at(j, "m.login.terms");
    hs_json_obj_at(j, "policies");
    hs_json_obj_at(j, "privacy_policy");
    hs_json_str(j, "version", c->consent_version);
    hs_json_obj_at(j, "en");
    hs_json_str(j, "name", c->consent_policy_name);
    hs_json_str(j, "url", url);
    for (int i = 0; i < 4; i++)
        hs_json_end(j);
    return NULL;
}

static hs_error *write_answer(hs_arena *a, const hs_config *c, const flows *f, hs_uia *u, hs_jv done, bool tried,
                              const hs_uia_stage *now)
{
    bool terms = false;
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "session", u->session_id);
    hs_json_arr_at(&j, "flows");
    for (size_t i = 0; i < f->n; i++) {
        hs_json_obj(&j);
        hs_json_arr_at(&j, "stages");
        for (size_t k = 0; k < f->at[i].n; k++) {
            hs_json_v_str(&j, f->at[i].stages[k]);
            terms |= hs_str_eq(f->at[i].stages[k], HS_S("m.login.terms"));
        }
        hs_json_end(&j);
        hs_json_end(&j);
    }
    hs_json_end(&j);
    hs_json_obj_at(&j, "params");
    if (terms)
        HS_TRY(write_terms(a, &j, c));
    hs_json_end(&j);
    if (tried) {
        hs_json_arr_at(&j, "completed");
        for (hs_jv_iter it = { 0 }; hs_jv_next(done, &it);)
            if (!hs_str_eq(it.key, now->type))
                hs_json_v_str(&j, it.key);
        if (now->type.p)
            hs_json_v_str(&j, now->type);
        hs_json_end(&j);
    }
    if (now->why) {
        hs_json_str(&j, "errcode", hs_errcode_str(now->why->code));
        hs_json_str(&j, "error", now->why->message);
    }
    hs_json_end(&j);
    return hs_buf_flatten(&b, &u->answer);
}

/* ── all together ── */

static hs_error *recently_done(hs_server *srv, hs_arena *a, const hs_uia_in *in, bool *ret)
{
    int64_t timeout = srv->config->ui_auth_session_timeout_ms;

    *ret = false;
    if (in->kind != HS_UIA_REAUTH_SKIPPABLE || timeout <= 0)
        return NULL;
    return hs_session_reauth_recent(srv, a, in->who, timeout, ret);
}

/* What the request has brought goes to the session; one is made if there is none. */
static hs_error *store_progress(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *u, const hs_uia_stage *now)
{
    bool is_new = !u->session_id.p, found = true;

    if (is_new)
        HS_TRY(new_session(srv, a, in, u));
    if (now->type.p && !now->kept)
        HS_TRY(hs_store_uia_stage_done(srv->db, a, u->session_id, now->type, now->result, &found));
    if (!found)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(u->session_id));
    return is_new || u->complete ? NULL : hs_store_uia_set_client(srv->db, a, u->session_id, hs_jv_raw(u->params));
}

/* Once only: of two requests at the same time one finds the session gone. */
static hs_error *end_session(hs_server *srv, hs_arena *a, const hs_uia_in *in, const hs_uia *u, bool shown)
{
    bool found = true;

    if (u->session_id.p)
        HS_TRY(hs_store_uia_remove(srv->db, a, u->session_id, &found));
    if (!found)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown session ID: %.*s", HS_FMT(u->session_id));
    return shown ? hs_session_reauthenticated(srv, a, in->who) : NULL;
}

static hs_error *read_auth(hs_arena *a, hs_jv auth, hs_str *ret_session)
{
    hs_jv id = hs_jv_get(auth, HS_S("session"));

    if (hs_jv_is(auth) && hs_jv_type_of(auth) != HS_JV_OBJ && hs_jv_type_of(auth) != HS_JV_NULL)
        return hs_err(a, 400, HS_M_BAD_JSON, "auth is not an object");
    if (hs_jv_is(id) && hs_jv_type_of(id) != HS_JV_NULL && !hs_jv_str(id, ret_session))
        return hs_err(a, 400, HS_M_BAD_JSON, "auth.session is not a string");
    return NULL;
}

hs_error *hs_uia_check(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_uia *ret)
{
    hs_jv auth = hs_jv_get(in->body, HS_S("auth")), done = { 0 };
    hs_str session = { 0 };
    hs_uia_stage now = { 0 };
    hs_uia u = { 0 };
    flows f = { 0 };

    HS_TRY(read_auth(a, auth, &session));
    HS_TRY(bare_params(a, in, &u.params));
    if (session.n)
        HS_TRY(load_session(srv, a, in, session, &u, &done));
    HS_TRY(recently_done(srv, a, in, &u.complete));
    if (!u.complete) {
        HS_TRY(flows_of(srv, a, in, &f));
        HS_TRY(hs_uia_try(srv, a, in->who, u.session_id, auth, &now));
        u.complete = is_complete(&f, done, now.type);
    }
    u.token = hs_jv_str_or_null(hs_jv_get(done, HS_S("m.login.registration_token")));
    if (hs_str_eq(now.type, HS_S("m.login.registration_token")))
        hs_jv_str(hs_jv_get(auth, HS_S("token")), &u.token);
    u.agreed = hs_str_eq(now.type, HS_S("m.login.terms")) || hs_jv_is(hs_jv_get(done, HS_S("m.login.terms")));
    if (in->who && u.complete) {
        HS_TRY(end_session(srv, a, in, &u, now.type.p != NULL));
    } else if (!u.complete || u.session_id.p) {
        HS_TRY(store_progress(srv, a, in, &u, &now));
    }
    if (!u.complete)
        HS_TRY(write_answer(a, srv->config, &f, &u, done, hs_jv_count(auth) > 0, &now));
    *ret = u;
    return NULL;
}
