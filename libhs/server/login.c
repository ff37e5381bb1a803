/* See login.h. */
#include "server/login.h"

#include "core/ids.h"
#include "core/sign.h"
#include "server/devices.h"
#include "server/limiter.h"
#include "server/password.h"
#include "store/sessions.h"
#include "store/users.h"

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* ── tokens ── */

/* CRC-32 of IEEE 802.3, a bit at a time: a token is made once a login. */
static uint32_t crc32_of(hs_str s)
{
    uint32_t crc = 0xffffffffu;

    for (size_t i = 0; i < s.n; i++) {
        crc ^= (unsigned char)s.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

hs_error *hs_access_token_make(hs_arena *a, hs_str localpart, hs_str random, hs_str *ret)
{
    static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char sum[6];
    hs_str local, base;

    HS_TRY(hs_base64_encode(a, localpart, false, &local));
    HS_TRY(hs_str_cat(a, &base, 4, HS_S("syt_"), local, HS_S("_"), random));
    uint32_t crc = crc32_of(base);
    for (size_t i = sizeof sum; i-- > 0; crc /= 62)
        sum[i] = BASE62[crc % 62];
    return hs_str_cat(a, ret, 3, base, HS_S("_"), hs_str_make(sum, sizeof sum));
}

static hs_error *draw_device_id(hs_arena *a, hs_str *ret)
{
    return hs_random_text(a, 10, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ret);
}

hs_error *hs_login_device(hs_server *srv, hs_arena *a, const hs_identity *who, hs_str device_id, hs_str display_name,
                          hs_login_result *ret)
{
    hs_login_result out = { .device_id = device_id,
                            .expires_in_ms = srv->config->nonrefreshable_access_token_lifetime_ms };
    uint8_t sha256[32];
    hs_write *w;
    hs_str random;
    hs_id id;

    if (device_id.n > 512)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "device_id cannot be longer than 512 characters.");
    if (!device_id.n)
        HS_TRY(draw_device_id(a, &out.device_id));
    if (!hs_user_id_parse(who->user_id, &id))
        return hs_err_internal(a, NULL, "a local user id does not parse");
    HS_TRY(hs_random_text(a, 20, LETTERS, &random));
    HS_TRY(hs_access_token_make(a, id.local, random, &out.access_token));
    hs_token_hash(out.access_token, sha256);

    int64_t now = hs_loop_wall(srv->loop);
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_login(w, who->user, out.device_id, display_name, hs_str_make((const char *)sha256, sizeof sha256),
                          now, out.expires_in_ms ? now + out.expires_in_ms : 0));
    HS_TRY(hs_sessions_end(w, who->user, (hs_strs){ &out.device_id, 1 }));
    *ret = out;
    return NULL;
}

/* ── credentials ── */

static hs_error *wrong(hs_arena *a)
{
    return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid username or password");
}

/* The user named by the request: `identifier`, or the older members beside `type`. */
static hs_error *read_user(hs_arena *a, hs_jv submission, hs_str *ret)
{
    hs_jv identifier = hs_jv_get(submission, HS_S("identifier"));
    hs_str user = hs_jv_str_or_null(hs_jv_get(submission, HS_S("user"))), type;

    if (user.n) {
        *ret = user;
        return NULL;
    }
    if (hs_jv_get(submission, HS_S("medium")).t && hs_jv_get(submission, HS_S("address")).t)
        return wrong(a); /* a third-party identifier: nobody has one */
    if (!hs_jv_count(identifier))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid login submission");
    if (!hs_jv_str(hs_jv_get(identifier, HS_S("type")), &type))
        return hs_err(a, 400, HS_M_MISSING_PARAM, "'identifier' dict has no key 'type'");
    if (hs_str_eq(type, HS_S("m.id.thirdparty")) || hs_str_eq(type, HS_S("m.id.phone")))
        return wrong(a);
    if (!hs_str_eq(type, HS_S("m.id.user")))
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown login identifier type");
    user = hs_jv_str_or_null(hs_jv_get(identifier, HS_S("user")));
    if (!user.n)
        return hs_err(a, 400, HS_M_UNKNOWN, "User identifier is missing 'user' key");
    *ret = user;
    return NULL;
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
    HS_TRY(read_user(a, submission, &user));
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

hs_error *hs_login(hs_server *srv, hs_arena *a, hs_jv submission, hs_str client_ip, hs_identity *ret_who,
                   hs_login_result *ret)
{
    hs_str device_id = hs_jv_str_or_null(hs_jv_get(submission, HS_S("device_id")));
    hs_str name = hs_jv_str_or_null(hs_jv_get(submission, HS_S("initial_device_display_name")));
    hs_identity who;
    hs_str key;

    if (!hs_jv_is(hs_jv_get(submission, HS_S("type"))))
        return hs_err(a, 400, HS_M_UNKNOWN, "Missing JSON keys.");
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_ADDRESS, client_ip, HS_LIMIT_TAKE));
    HS_TRY(hs_login_check(srv, a, submission, HS_LOGIN_NEW, &who));
    HS_TRY(lower(a, who.user_id, &key));
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_ACCOUNT, key, HS_LIMIT_TAKE));
    if (who.flags & HS_ACCOUNT_DEACTIVATED)
        return hs_err(a, 403, HS_M_USER_DEACTIVATED, "This account has been deactivated");
    if (who.flags & HS_ACCOUNT_LOCKED) {
        hs_error *e = hs_err(a, 401, HS_M_USER_LOCKED, "User account has been locked");
        if (e != HS_ERR_NOMEM)
            e->extra = HS_S("\"soft_logout\":true");
        return e;
    }

    HS_TRY(hs_login_device(srv, a, &who, device_id, name, ret));
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

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_devices_remove_others(w, who->user, hs_str_make(NULL, 0)));
    return hs_sessions_end(w, who->user, (hs_strs){ NULL, 0 });
}
