/* See login.h. */
#include "server/login.h"

#include "core/ids.h"
#include "server/devices.h"
#include "server/limiter.h"
#include "server/names.h"
#include "server/password.h"
#include "server/resource_limits.h"
#include "server/threepids.h"
#include "store/refresh_tokens.h"
#include "store/sessions.h"
#include "store/threepids.h"
#include "store/users.h"

/* ── devices ── */

static hs_error *draw_device_id(hs_arena *a, hs_str *ret)
{
    return hs_random_text(a, 10, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ret);
}

hs_error *hs_login_wish_read(hs_arena *a, hs_jv body, hs_login_wish *ret)
{
    hs_jv refresh = hs_jv_get(body, HS_S("refresh_token"));
    hs_login_wish w = {
        .device_id = hs_jv_str_or_null(hs_jv_get(body, HS_S("device_id"))),
        .display_name = hs_jv_str_or_null(hs_jv_get(body, HS_S("initial_device_display_name"))),
    };

    if (hs_jv_is(refresh) && !hs_jv_bool(refresh, &w.refreshable))
        return hs_err(a, 400, HS_M_UNKNOWN, "`refresh_token` should be true or false.");
    if (w.device_id.n > 512)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "device_id cannot be longer than 512 characters.");
    if ((w.device_id.n && memchr(w.device_id.p, 0, w.device_id.n)) ||
        (w.display_name.n && memchr(w.display_name.p, 0, w.display_name.n)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "NUL is not allowed here");
    *ret = w;
    return NULL;
}

/* However somebody has shown who it is. */
static hs_error *check_status(hs_arena *a, unsigned flags)
{
    hs_error *e;

    if (flags & HS_ACCOUNT_DEACTIVATED)
        return hs_err(a, 403, HS_M_USER_DEACTIVATED, "This account has been deactivated");
    if (!(flags & HS_ACCOUNT_LOCKED))
        return NULL;
    e = hs_err(a, 401, HS_M_USER_LOCKED, "User account has been locked");
    if (e != HS_ERR_NOMEM)
        e->extra = HS_S("\"soft_logout\":true");
    return e;
}

static int64_t sooner(int64_t a, int64_t b) /* 0: never */
{
    return !a || (b && b < a) ? b : a;
}

/* The two tokens of a refreshable session, whose hashes and times are in *n. session_expires_ts is set. */
static hs_error *draw_pair(hs_server *srv, hs_arena *a, hs_str localpart, hs_refresh_new *n, hs_login_result *ret)
{
    const hs_config *c = srv->config;
    uint8_t *hashes;

    HS_TRY(hs_token_draw(a, HS_S("syt"), localpart, &ret->access_token));
    HS_TRY(hs_token_draw(a, HS_S("syr"), localpart, &ret->refresh_token));
    HS_TRY(hs_db_new_nid(srv->db, a, &n->nid));
    HS_TRY(hs_alloc(a, 64, &hashes));
    hs_token_hash(ret->access_token, hashes);
    hs_token_hash(ret->refresh_token, hashes + 32);
    n->access_sha256 = hs_str_make((const char *)hashes, 32);
    n->refresh_sha256 = hs_str_make((const char *)hashes + 32, 32);
    n->now_ts = hs_loop_wall(srv->loop);
    if (c->refreshable_access_token_lifetime_ms)
        n->access_expires_ts = n->now_ts + c->refreshable_access_token_lifetime_ms;
    if (c->refresh_token_lifetime_ms)
        n->refresh_expires_ts = n->now_ts + c->refresh_token_lifetime_ms;
    n->access_expires_ts = sooner(n->access_expires_ts, n->session_expires_ts);
    n->refresh_expires_ts = sooner(n->refresh_expires_ts, n->session_expires_ts);
    ret->expires_in_ms = n->access_expires_ts ? n->access_expires_ts - n->now_ts : 0;
    return NULL;
}

static hs_error *draw_one(hs_server *srv, hs_arena *a, hs_str localpart, hs_refresh_new *n, hs_login_result *ret)
{
    const hs_config *c = srv->config;
    uint8_t *hash;

    HS_TRY(hs_token_draw(a, HS_S("syt"), localpart, &ret->access_token));
    HS_TRY(hs_alloc(a, 32, &hash));
    hs_token_hash(ret->access_token, hash);
    n->access_sha256 = hs_str_make((const char *)hash, 32);
    n->now_ts = hs_loop_wall(srv->loop);
    ret->expires_in_ms = sooner(c->nonrefreshable_access_token_lifetime_ms, c->session_lifetime_ms);
    n->access_expires_ts = ret->expires_in_ms ? n->now_ts + ret->expires_in_ms : 0;
    return NULL;
}

hs_error *hs_login_device(hs_server *srv, hs_arena *a, const hs_identity *who, const hs_login_wish *wish,
                          hs_login_result *ret)
{
    const hs_config *c = srv->config;
    bool refreshable = wish->refreshable && c->refreshable_tokens;
    hs_login_result out = { .device_id = wish->device_id };
    hs_account_row *account;
    hs_refresh_new n = { 0 };
    hs_write *w;

    HS_TRY(hs_store_account_get(srv->db, a, who->user, &account));
    if (!account)
        return hs_err_internal(a, NULL, "somebody without an account logs in");
    HS_TRY(check_status(a, account->flags));
    HS_TRY(hs_resource_check_login(srv, a, who->user));
    if (!out.device_id.n)
        HS_TRY(draw_device_id(a, &out.device_id));
    if (refreshable && c->session_lifetime_ms)
        n.session_expires_ts = hs_loop_wall(srv->loop) + c->session_lifetime_ms;
    HS_TRY((refreshable ? draw_pair : draw_one)(srv, a, account->localpart, &n, &out));

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_login(w, who->user, out.device_id, wish->display_name, n.access_sha256, n.now_ts,
                          n.access_expires_ts));
    if (refreshable)
        HS_TRY(hs_store_refresh_login(w, who->user, out.device_id, &n));
    HS_TRY(hs_sessions_end(w, who->user, (hs_strs){ &out.device_id, 1 }));
    *ret = out;
    return NULL;
}

hs_error *hs_login_refresh(hs_server *srv, hs_arena *a, hs_str token, hs_login_result *ret)
{
    hs_login_result out = { 0 };
    hs_refresh_new n = { 0 };
    hs_refresh_row *row;
    uint8_t sha256[32];
    hs_write *w;

    if (!hs_token_is(token, HS_S("syr")))
        return hs_err(a, 401, HS_M_UNKNOWN_TOKEN, "invalid refresh token");
    hs_token_hash(token, sha256);
    HS_TRY(hs_store_refresh_find(srv->db, a, hs_str_make((const char *)sha256, sizeof sha256), &row));
    if (!row || row->flags & HS_ACCOUNT_DEACTIVATED)
        return hs_err(a, 401, HS_M_UNKNOWN_TOKEN, "refresh token does not exist");
    HS_TRY(check_status(a, row->flags));
    if (row->over)
        return hs_err(a, 403, HS_M_FORBIDDEN, "refresh token isn't valid anymore");
    if (row->expires_ts && row->expires_ts < hs_loop_wall(srv->loop))
        return hs_err(a, 403, HS_M_FORBIDDEN, "The supplied refresh token has expired");
    if (row->session_expires_ts && row->session_expires_ts < hs_loop_wall(srv->loop))
        return hs_err(a, 403, HS_M_FORBIDDEN, "The session has expired and can no longer be refreshed");
    HS_TRY(hs_resource_check_login(srv, a, row->user));
    n.session_expires_ts = row->session_expires_ts;
    HS_TRY(draw_pair(srv, a, row->localpart, &n, &out));

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_refresh_follow(w, row->nid, &n));
    HS_TRY(hs_sessions_end(w, row->user, (hs_strs){ &row->device_id, 1 }));
    *ret = out;
    return NULL;
}

/* ── credentials ── */

static hs_error *wrong(hs_arena *a)
{
    return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid username or password");
}

static hs_error *lower(hs_arena *a, hs_str s, hs_str *ret)
{
    char *out;

    HS_TRY(hs_alloc(a, s.n, &out));
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    *ret = hs_str_make(out, s.n);
    return NULL;
}

/* Who has an e-mail address or phone number; failures count for it, too. */
static hs_error *find_threepid(hs_server *srv, hs_arena *a, hs_str medium, hs_str address, hs_login_purpose why,
                               hs_str *ret)
{
    hs_str canonical, key;
    hs_nid user = 0;

    HS_TRY(hs_threepid_canonical(a, medium, address, &canonical));
    HS_TRY(hs_str_cat(a, &key, 3, medium, HS_S(" "), canonical));
    if (why == HS_LOGIN_NEW)
        HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_FAILED, key, HS_LIMIT_PEEK));
    if (!memchr(canonical.p, 0, canonical.n) && !memchr(medium.p, 0, medium.n))
        HS_TRY(hs_store_threepid_user(srv->db, a, medium, canonical, &user));
    if (user)
        return hs_user_name(srv, a, user, ret);
    if (why == HS_LOGIN_NEW)
        HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_FAILED, key, HS_LIMIT_FORCE));
    return wrong(a);
}

/* A number as people write it in its international form, or without one where the country is known to need none. */
static hs_error *read_phone(hs_arena *a, hs_jv identifier, hs_str *ret)
{
    hs_str country, phone = hs_jv_str_or_null(hs_jv_get(identifier, HS_S("phone")));

    if (!phone.p)
        phone = hs_jv_str_or_null(hs_jv_get(identifier, HS_S("number")));
    if (!hs_jv_str(hs_jv_get(identifier, HS_S("country")), &country) || !phone.p)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid phone-type identifier");
    *ret = phone;
    return NULL;
}

/* The user named by the request: `identifier`, or the older members beside `type`. */
static hs_error *read_user(hs_server *srv, hs_arena *a, hs_jv submission, hs_login_purpose why, hs_str *ret)
{
    hs_jv identifier = hs_jv_get(submission, HS_S("identifier"));
    hs_str user = hs_jv_str_or_null(hs_jv_get(submission, HS_S("user"))), type,
           medium = hs_jv_str_or_null(hs_jv_get(submission, HS_S("medium"))),
           address = hs_jv_str_or_null(hs_jv_get(submission, HS_S("address")));

    if (medium.n && address.n)
        return find_threepid(srv, a, medium, address, why, ret);
    if (user.n) {
        *ret = user;
        return NULL;
    }
    if (!hs_jv_count(identifier))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid login submission");
    if (!hs_jv_str(hs_jv_get(identifier, HS_S("type")), &type))
        return hs_err(a, 400, HS_M_MISSING_PARAM, "'identifier' dict has no key 'type'");
    if (hs_str_eq(type, HS_S("m.id.phone"))) {
        HS_TRY(read_phone(a, identifier, &address));
        return find_threepid(srv, a, HS_S("msisdn"), address, why, ret);
    }
    if (hs_str_eq(type, HS_S("m.id.thirdparty"))) {
        if (!hs_jv_str(hs_jv_get(identifier, HS_S("medium")), &medium) ||
            !hs_jv_str(hs_jv_get(identifier, HS_S("address")), &address))
            return hs_err(a, 400, HS_M_UNKNOWN, "Invalid thirdparty identifier");
        return find_threepid(srv, a, medium, address, why, ret);
    }
    if (!hs_str_eq(type, HS_S("m.id.user")))
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown login identifier type");
    user = hs_jv_str_or_null(hs_jv_get(identifier, HS_S("user")));
    if (!user.n)
        return hs_err(a, 400, HS_M_UNKNOWN, "User identifier is missing 'user' key");
    *ret = user;
    return NULL;
}

/* Exactly as written first, then in lower case: what people type is not always what they registered. */
static hs_error *find_account(hs_server *srv, hs_arena *a, hs_str user_id, hs_account_row **ret)
{
    hs_id id;
    hs_str small;

    *ret = NULL;
    if (!hs_user_id_parse(user_id, &id) || !hs_str_eq(id.server, srv->server_name) || !hs_str_is_utf8(id.local))
        return NULL;
    HS_TRY(hs_store_account_find(srv->db, a, id.local, ret));
    if (*ret)
        return NULL;
    HS_TRY(lower(a, id.local, &small));
    return hs_str_eq(small, id.local) ? NULL : hs_store_account_find(srv->db, a, small, ret);
}

static hs_error *check_password(hs_server *srv, hs_arena *a, hs_str user_id, hs_str password, hs_identity *ret)
{
    hs_account_row *account;
    bool right;

    HS_TRY(find_account(srv, a, user_id, &account));
    HS_TRY(hs_password_verify(srv, a, password, account ? account->password_hash : hs_str_make(NULL, 0), &right));
    if (!right)
        return wrong(a);
    ret->user = account->user;
    ret->flags = account->flags;
    return hs_str_fmt(a, &ret->user_id, "@%.*s:%.*s", HS_FMT(account->localpart), HS_FMT(srv->server_name));
}

hs_error *hs_login_check(hs_server *srv, hs_arena *a, hs_jv submission, hs_login_purpose why, hs_identity *ret)
{
    const hs_config *c = srv->config;
    hs_str type, password, user, key;

    if (!hs_jv_str(hs_jv_get(submission, HS_S("type")), &type))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Bad parameter: type");
    bool by_password = hs_str_eq(type, HS_S("m.login.password"));
    if (by_password && (!c->password_enabled || (why == HS_LOGIN_NEW && c->password_only_for_reauth)))
        return hs_err(a, 400, HS_M_UNKNOWN, "Password login has been disabled.");
    if (by_password && !hs_jv_str(hs_jv_get(submission, HS_S("password")), &password))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Bad parameter: password");
    HS_TRY(read_user(srv, a, submission, why, &user));
    if (!by_password || !c->password_localdb_enabled)
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown login type %.*s", HS_FMT(type));
    if (user.p[0] != '@')
        HS_TRY(hs_str_fmt(a, &user, "@%.*s:%.*s", HS_FMT(user), HS_FMT(srv->server_name)));

    HS_TRY(lower(a, user, &key));
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_FAILED, key, HS_LIMIT_PEEK));
    hs_error *e = password.n > HS_PASSWORD_MAX ? wrong(a) : check_password(srv, a, user, password, ret);
    if (e && e->status == 403)
        HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_FAILED, key, HS_LIMIT_FORCE));
    return e;
}

static hs_error *check_token(hs_server *srv, hs_arena *a, hs_jv submission, hs_identity *ret)
{
    hs_jv v = hs_jv_get(submission, HS_S("token"));
    hs_str token;

    if (!hs_jv_is(v))
        return hs_err(a, 400, HS_M_UNKNOWN, "Missing JSON keys.");
    if (!hs_jv_str(v, &token))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Bad parameter: token");
    return hs_login_token_take(srv, a, token, ret);
}

hs_error *hs_login(hs_server *srv, hs_arena *a, hs_jv submission, hs_str client_ip, hs_identity *ret_who,
                   hs_login_result *ret)
{
    hs_str type = hs_jv_str_or_null(hs_jv_get(submission, HS_S("type"))), key;
    hs_login_wish wish;
    hs_identity who;

    HS_TRY(hs_login_wish_read(a, submission, &wish));
    if (!hs_jv_is(hs_jv_get(submission, HS_S("type"))))
        return hs_err(a, 400, HS_M_UNKNOWN, "Missing JSON keys.");
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_ADDRESS, client_ip, HS_LIMIT_TAKE));
    if (hs_str_eq(type, HS_S("m.login.token")))
        HS_TRY(check_token(srv, a, submission, &who));
    else
        HS_TRY(hs_login_check(srv, a, submission, HS_LOGIN_NEW, &who));
    HS_TRY(lower(a, who.user_id, &key));
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_ACCOUNT, key, HS_LIMIT_TAKE));

    HS_TRY(hs_login_device(srv, a, &who, &wish, ret));
    *ret_who = who;
    return NULL;
}

hs_error *hs_logout(hs_server *srv, hs_arena *a, const hs_session *who)
{
    hs_str id = who->device_id;
    hs_strs device = { &id, 1 };
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    if (who->device_id.n)
        HS_TRY(hs_store_devices_remove(w, who->user, device));
    else
        HS_TRY(hs_store_token_remove(w, hs_str_make((const char *)who->token_sha256, sizeof who->token_sha256)));
    HS_TRY(hs_sessions_end(w, who->user, device));
    return hs_device_settings_remove(srv, a, who, device);
}

hs_error *hs_logout_all(hs_server *srv, hs_arena *a, const hs_session *who)
{
    hs_write *w;

    HS_TRY(hs_sessions_end_acting(srv, a, who->user));
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_devices_remove_others(w, who->user, hs_str_make(NULL, 0)));
    return hs_sessions_end(w, who->user, (hs_strs){ NULL, 0 });
}
