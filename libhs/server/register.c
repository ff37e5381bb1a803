/* See register.h. */
#include "server/register.h"

#include "core/ids.h"
#include "server/auto_join.h"
#include "server/limiter.h"
#include "server/names.h"
#include "server/password.h"
#include "server/resource_limits.h"
#include "store/sessions.h"
#include "store/users.h"

#include <openssl/hmac.h>
#include <sodium.h>

#define NONCE_MS 60000

/* ── names ── */

static bool is_number(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool has_only_localpart_characters(hs_str s)
{
    static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyz0123456789=_-./+";

    for (size_t i = 0; i < s.n; i++)
        if (!memchr(ALLOWED, s.p[i], sizeof ALLOWED - 1))
            return false;
    return true;
}

hs_error *hs_username_check_form(const hs_server *srv, hs_arena *a, hs_str localpart)
{
    if (!has_only_localpart_characters(localpart))
        return hs_err(a, 400, HS_M_INVALID_USERNAME, "User ID can only contain characters a-z, 0-9, or '=_-./+'");
    if (!localpart.n)
        return hs_err(a, 400, HS_M_INVALID_USERNAME, "User ID cannot be empty");
    if (localpart.p[0] == '_' && !srv->config->allow_underscore_prefixed_localpart)
        return hs_err(a, 400, HS_M_INVALID_USERNAME, "User ID may not begin with _");
    if (srv->config->server_notices.localpart.n && hs_str_eq(localpart, srv->config->server_notices.localpart))
        return hs_err(a, 400, HS_M_EXCLUSIVE, "This user ID is reserved.");
    if (localpart.n + srv->server_name.n + 2 > HS_ID_MAX)
        return hs_err(a, 400, HS_M_INVALID_USERNAME, "User ID may not be longer than %d characters", HS_ID_MAX);
    return NULL;
}

static hs_error *in_use(hs_arena *a)
{
    return hs_err(a, 400, HS_M_USER_IN_USE, "User ID already taken.");
}

/* Registered names are lower-case but for imported ones; the check before is a courtesy, the unique index decides.
 * `guest`: the name of a guest may be had, by the guest. */
static hs_error *check_username(hs_server *srv, hs_arena *a, hs_str localpart, bool tell_if_taken, bool guest)
{
    hs_account_row *account;

    HS_TRY(hs_username_check_form(srv, a, localpart));
    HS_TRY(hs_store_account_find(srv->db, a, localpart, &account));
    if (account && tell_if_taken && !guest)
        return in_use(a);
    if (is_number(localpart) && !guest)
        return hs_err(a, 400, HS_M_INVALID_USERNAME, "Numeric user IDs are reserved for guest users.");
    return NULL;
}

hs_error *hs_username_check(hs_server *srv, hs_arena *a, hs_str localpart)
{
    return check_username(srv, a, localpart, true, false);
}

static hs_error *closed(hs_arena *a)
{
    return hs_err(a, 403, HS_M_FORBIDDEN, "Registration has been disabled");
}

hs_error *hs_username_available(hs_server *srv, hs_arena *a, hs_str localpart)
{
    if (!srv->config->enable_registration)
        return closed(a);
    if (srv->config->inhibit_user_in_use_error)
        return NULL;
    return hs_username_check(srv, a, localpart);
}

/* ── accounts ── */

/* Name, number and row of a new account. */
static hs_error *prepare(hs_server *srv, hs_arena *a, const hs_account_new *in, hs_account_row *row, hs_str *ret_name,
                         hs_identity *ret)
{
    hs_str localpart = in->localpart, kind = in->kind;
    hs_nid number;

    if (!kind.p && localpart.p && srv->config->default_user_type.n)
        kind = srv->config->default_user_type;
    if (!localpart.p) { /* a number that nobody has: guests, and people who did not choose */
        HS_TRY(hs_db_new_nid(srv->db, a, &number));
        HS_TRY(hs_str_fmt(a, &localpart, "%lld", (long long)number));
    }
    *ret_name = in->displayname;
    if (!ret_name->p && !(in->flags & HS_ACCOUNT_GUEST))
        *ret_name = localpart;
    ret->flags = in->flags;
    HS_TRY(hs_str_fmt(a, &ret->user_id, "@%.*s:%.*s", HS_FMT(localpart), HS_FMT(srv->server_name)));
    HS_TRY(hs_user_nid(srv, a, ret->user_id, &ret->user));
    *row = (hs_account_row){
        .user = ret->user,
        .localpart = localpart,
        .password_hash = in->password_hash,
        .flags = in->flags,
        .created_ts = hs_loop_wall(srv->loop),
        .kind = kind,
    };
    if (srv->config->account_validity_enabled)
        row->valid_until_ts = row->created_ts + srv->config->account_validity_period_ms;
    if (in->agreed)
        row->consent_version = srv->config->consent_version;
    return NULL;
}

/* Where everybody has to agree to the terms first, so have those who are put into rooms. */
static void join_first_rooms(hs_server *srv, hs_arena *a, const hs_account_new *in, const hs_identity *who)
{
    if (in->agreed || !srv->config->consent_at_registration)
        hs_auto_join(srv, a, who);
}

hs_error *hs_account_create(hs_server *srv, hs_arena *a, const hs_account_new *in, hs_identity *ret)
{
    hs_account_row row;
    hs_identity out;
    hs_str name;
    bool is_new;

    HS_TRY(prepare(srv, a, in, &row, &name, &out));
    HS_TRY(hs_store_account_insert(srv->db, a, &row, name, &is_new));
    if (!is_new)
        return in_use(a);
    join_first_rooms(srv, a, in, &out);
    *ret = out;
    return NULL;
}

/* All that a registration writes, or none of it: the account, the use of a token, whom the session has registered. */
static hs_error *create_by_session(hs_server *srv, hs_arena *a, const hs_account_new *in, const hs_uia *u,
                                   hs_identity *ret)
{
    hs_account_row row;
    hs_identity out;
    hs_str name, earlier;
    bool done;
    hs_tx *tx;

    HS_TRY(prepare(srv, a, in, &row, &name, &out));
    HS_TRY(hs_tx_begin(srv->db, a, &tx));
    HS_TRY(hs_uia_registers(tx, a, u, out.user_id, &earlier));
    if (earlier.p) { /* by a request of the same moment */
        HS_TRY(hs_tx_commit(tx));
        ret->user_id = earlier;
        return hs_user_nid(srv, a, earlier, &ret->user);
    }
    if (u->guest.p)
        HS_TRY(hs_store_account_upgrade_tx(tx, a, &row, name, &done));
    else
        HS_TRY(hs_store_account_insert_tx(tx, a, &row, name, &done));
    if (!done)
        return in_use(a); /* and nothing is written */
    HS_TRY(hs_tx_commit(tx));
    join_first_rooms(srv, a, in, &out);
    *ret = out;
    return NULL;
}

/* A guest's sessions are a user's from now on, on all workers. */
static hs_error *forget_guest(hs_server *srv, hs_arena *a, hs_nid user)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    return hs_sessions_end(w, user, (hs_strs){ NULL, 0 });
}

static hs_error *lower(hs_arena *a, hs_str s, hs_str *ret)
{
    char *out;

    HS_TRY(hs_alloc(a, s.n + 1, &out));
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
    *ret = hs_str_make(out, s.n);
    return NULL;
}

/* Code points, as limits are counted. */
static size_t characters(hs_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* A member that must be a string of at most 512 characters if it is there; *ret p NULL: absent. */
static hs_error *read_short(hs_arena *a, hs_jv body, const char *key, hs_str *ret)
{
    hs_jv v = hs_jv_get(body, hs_str_c(key));
    hs_str s = { 0 };

    if (hs_jv_is(v) && (!hs_jv_str(v, &s) || characters(s) > 512))
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid %s", key);
    *ret = s;
    return NULL;
}

static hs_error *register_guest(hs_server *srv, hs_arena *a, hs_jv body, hs_registered *ret)
{
    hs_account_new in = { .flags = HS_ACCOUNT_GUEST };
    hs_login_wish wish;

    if (!srv->config->allow_guest_access)
        return hs_err(a, 403, HS_M_UNKNOWN, "Guest access is disabled");
    HS_TRY(hs_resource_check_new(srv, a));
    HS_TRY(hs_login_wish_read(a, body, &wish));
    HS_TRY(hs_account_create(srv, a, &in, &ret->who));
    ret->logged_in = true;
    wish.device_id = HS_S("guest_device");
    wish.refreshable = false;
    return hs_login_device(srv, a, &ret->who, &wish, &ret->login);
}

/* Unless the client asked not to, whoever registers is logged in. */
static hs_error *log_in(hs_server *srv, hs_arena *a, hs_jv params, const hs_login_wish *wish, hs_registered *ret)
{
    bool inhibit = false;

    hs_jv_bool(hs_jv_get(params, HS_S("inhibit_login")), &inhibit);
    ret->logged_in = !inhibit;
    return inhibit ? NULL : hs_login_device(srv, a, &ret->who, wish, &ret->login);
}

/* The token of a guest who wants to stay, under the name that is the guest's. *ret p NULL: nobody does. */
static hs_error *check_guest(hs_server *srv, hs_arena *a, hs_jv body, hs_str localpart, hs_str *ret)
{
    hs_jv v = hs_jv_get(body, HS_S("guest_access_token"));
    hs_session *guest = NULL;
    hs_str token;

    *ret = hs_str_make(NULL, 0);
    if (!hs_jv_is(v) || hs_jv_type_of(v) == HS_JV_NULL)
        return NULL;
    if (!hs_jv_str(v, &token))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid guest_access_token");
    HS_TRY(hs_session_find(srv, a, token, &guest));
    if (!guest)
        return hs_err(a, 401, HS_M_UNKNOWN_TOKEN, "Invalid access token passed.");
    if (!(guest->flags & HS_ACCOUNT_GUEST) || !hs_str_eq(guest->localpart, localpart))
        return hs_err(a, 403, HS_M_FORBIDDEN,
                      "Cannot register taken user ID without valid guest credentials for that user.");
    return hs_str_dup(a, guest->user_id, ret);
}

/* The authentication is complete: the account is made, or was by an earlier request of the same session. */
static hs_error *finish(hs_server *srv, hs_arena *a, const hs_register_in *in, hs_uia *u, hs_str password,
                        hs_registered *ret)
{
    hs_account_new account = { .password_hash = u->kept_hash, .agreed = u->agreed };
    hs_str username, full;
    hs_login_wish wish, now;

    /* What the login afterwards would refuse is refused before there is an account. */
    HS_TRY(hs_login_wish_read(a, u->params, &wish));
    HS_TRY(hs_login_wish_read(a, in->body, &now));
    wish.refreshable = now.refreshable;
    HS_TRY(read_short(a, u->params, "username", &username));
    if (username.p)
        HS_TRY(lower(a, username, &account.localpart));
    if (u->registered.p) {
        HS_TRY(hs_str_fmt(a, &full, "@%.*s:%.*s", HS_FMT(account.localpart), HS_FMT(srv->server_name)));
        if (username.p && !hs_str_eq(full, u->registered))
            return hs_err(a, 400, HS_M_UNKNOWN, "A different user ID has already been registered for this session");
        ret->who.user_id = u->registered;
        HS_TRY(hs_user_nid(srv, a, u->registered, &ret->who.user));
        return log_in(srv, a, u->params, &wish, ret);
    }
    HS_TRY(hs_resource_check_new(srv, a));
    if (password.p)
        HS_TRY(hs_password_hash(srv, a, password, &account.password_hash));
    if (!account.password_hash.p)
        return hs_err(a, 400, HS_M_MISSING_PARAM, "Missing params: password");
    if (username.p)
        HS_TRY(check_username(srv, a, account.localpart, true, u->guest.p != NULL));
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_REGISTRATION, in->client_ip, HS_LIMIT_TAKE));
    HS_TRY(create_by_session(srv, a, &account, u, &ret->who));
    if (u->guest.p)
        HS_TRY(forget_guest(srv, a, ret->who.user));
    return log_in(srv, a, u->params, &wish, ret);
}

/* What need not be sent again. */
static hs_error *keep(hs_server *srv, hs_arena *a, hs_uia *u, hs_str password, hs_str guest)
{
    bool hash = password.p && !u->kept_hash.p, keeps = guest.p && !u->guest.p;

    if (hash)
        HS_TRY(hs_password_hash(srv, a, password, &u->kept_hash));
    if (keeps)
        u->guest = guest;
    return hash || keeps ? hs_uia_keep(srv, a, u) : NULL;
}

static hs_error *register_user(hs_server *srv, hs_arena *a, const hs_register_in *in, hs_registered *ret)
{
    const hs_config *c = srv->config;
    hs_uia_in uia = { .kind = HS_UIA_REGISTER, .body = in->body, .method = in->method, .path = in->path };
    bool has_session = hs_jv_is(hs_jv_get(hs_jv_get(in->body, HS_S("auth")), HS_S("session")));
    hs_str username, password, localpart = { 0 }, guest;
    hs_login_wish wish;
    hs_uia u;

    HS_TRY(hs_login_wish_read(a, in->body, &wish));
    HS_TRY(read_short(a, in->body, "username", &username));
    if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(in->body, HS_S("type"))), HS_S("m.login.application_service")) &&
        !in->has_token)
        return hs_err(a, 400, HS_M_UNKNOWN,
                      "Appservice token must be provided when using a type of m.login.application_service");
    if (in->has_token)
        return hs_err(a, 400, HS_M_UNKNOWN,
                      "An access token should not be provided on requests to /register (except if type is "
                      "m.login.application_service)");
    if (!c->enable_registration)
        return closed(a);
    HS_TRY(read_short(a, in->body, "password", &password));
    if (password.p)
        HS_TRY(hs_password_check_policy(c, a, password));
    if (username.p)
        HS_TRY(lower(a, username, &localpart));
    HS_TRY(check_guest(srv, a, in->body, localpart, &guest));
    if (username.p)
        HS_TRY(
            check_username(srv, a, localpart, !c->inhibit_user_in_use_error && !has_session, guest.p || has_session));
    HS_TRY(hs_uia_check(srv, a, &uia, &u));
    if (u.complete) {
        if (guest.p)
            u.guest = guest;
        return finish(srv, a, in, &u, password, ret);
    }
    ret->uia_answer = u.answer;
    return keep(srv, a, &u, password, guest);
}

hs_error *hs_register(hs_server *srv, hs_arena *a, const hs_register_in *in, hs_registered *ret)
{
    hs_registered out = { 0 };

    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_REGISTRATION, in->client_ip, HS_LIMIT_PEEK));
    if (in->guest) {
        HS_TRY(hs_limit_use(srv, a, HS_LIMIT_REGISTRATION, in->client_ip, HS_LIMIT_TAKE));
        HS_TRY(register_guest(srv, a, in->body, &out));
    } else {
        HS_TRY(register_user(srv, a, in, &out));
    }
    *ret = out;
    return NULL;
}

/* ── by the shared secret ── */

hs_error *hs_register_nonce(hs_server *srv, hs_arena *a, hs_str *ret)
{
    uint8_t sha256[32];

    HS_TRY(hs_random_text(a, 128, "0123456789abcdef", ret));
    hs_token_hash(*ret, sha256);
    return hs_store_short_token_put(srv->db, a, HS_S("register"), hs_str_make((const char *)sha256, sizeof sha256), 0,
                                    hs_loop_wall(srv->loop), hs_loop_wall(srv->loop) + NONCE_MS);
}

static hs_error *need(hs_arena *a, hs_jv body, const char *key, hs_str *ret)
{
    hs_jv v = hs_jv_get(body, hs_str_c(key));

    if (!hs_jv_is(v))
        return hs_err(a, 400, HS_M_BAD_JSON, "%s must be specified", key);
    if (!hs_jv_str(v, ret) || characters(*ret) > 512 || (ret->n && memchr(ret->p, 0, ret->n)))
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid %s", key);
    return NULL;
}

/* HMAC-SHA1, as Synapse's tools compute it; the comparison takes the same time wherever the difference is. */
static hs_error *check_mac(hs_arena *a, hs_str secret, hs_str signed_text, hs_str got)
{
    unsigned char mac[20];
    unsigned n = sizeof mac;
    char hex[2 * sizeof mac + 1];

    if (secret.n > INT32_MAX ||
        !HMAC(EVP_sha1(), secret.p, (int)secret.n, (const unsigned char *)signed_text.p, signed_text.n, mac, &n))
        return hs_err_internal(a, NULL, "HMAC-SHA1 failed");
    sodium_bin2hex(hex, sizeof hex, mac, sizeof mac);
    if (got.n != sizeof hex - 1 || sodium_memcmp(got.p, hex, got.n) != 0)
        return hs_err(a, 403, HS_M_UNKNOWN, "HMAC incorrect");
    return NULL;
}

static hs_error *take_nonce(hs_server *srv, hs_arena *a, hs_str nonce)
{
    uint8_t sha256[32];
    hs_nid nobody;
    bool found;

    hs_token_hash(nonce, sha256);
    HS_TRY(hs_store_short_token_take(srv->db, a, HS_S("register"), hs_str_make((const char *)sha256, sizeof sha256),
                                     hs_loop_wall(srv->loop), &found, &nobody));
    return found ? NULL : hs_err(a, 400, HS_M_UNKNOWN, "unrecognised nonce");
}

bool hs_account_kind_known(const hs_config *c, hs_str kind)
{
    for (size_t i = 0; i < c->extra_user_types.n; i++)
        if (hs_str_eq(kind, c->extra_user_types.at[i]))
            return true;
    return hs_str_eq(kind, HS_S("bot")) || hs_str_eq(kind, HS_S("support"));
}

hs_error *hs_register_by_secret(hs_server *srv, hs_arena *a, hs_jv body, hs_registered *ret)
{
    const hs_str zero = { "", 1 };
    hs_str nonce, username, password, mac, text;
    hs_str type = hs_jv_str_or_null(hs_jv_get(body, HS_S("user_type")));
    hs_registered out = { 0 };
    hs_login_wish wish;
    bool admin = false;

    if (!srv->config->registration_shared_secret.n)
        return hs_err(a, 400, HS_M_UNKNOWN, "Shared secret registration is not enabled");
    HS_TRY(need(a, body, "nonce", &nonce));
    HS_TRY(take_nonce(srv, a, nonce));
    HS_TRY(need(a, body, "username", &username));
    HS_TRY(need(a, body, "password", &password));
    hs_jv_bool(hs_jv_get(body, HS_S("admin")), &admin);
    if (type.p && !hs_account_kind_known(srv->config, type))
        return hs_err(a, 400, HS_M_UNKNOWN, "Invalid user type");
    HS_TRY(need(a, body, "mac", &mac));
    HS_TRY(hs_str_cat(a, &text, 9, nonce, zero, username, zero, password, zero,
                      admin ? HS_S("admin") : HS_S("notadmin"), type.p ? zero : HS_S(""), type));
    HS_TRY(check_mac(a, srv->config->registration_shared_secret, text, mac));

    hs_account_new account = {
        .kind = type,
        .displayname = hs_jv_str_or_null(hs_jv_get(body, HS_S("displayname"))),
        .flags = HS_ACCOUNT_APPROVED | (admin ? (unsigned)HS_ACCOUNT_ADMIN : 0),
    };
    HS_TRY(hs_login_wish_read(a, body, &wish));
    wish.refreshable = false;
    HS_TRY(lower(a, username, &account.localpart));
    HS_TRY(hs_username_check(srv, a, account.localpart));
    HS_TRY(hs_password_hash(srv, a, password, &account.password_hash));
    HS_TRY(hs_account_create(srv, a, &account, &out.who));
    HS_TRY(log_in(srv, a, body, &wish, &out));
    *ret = out;
    return NULL;
}
