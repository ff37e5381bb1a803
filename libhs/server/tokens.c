/* The tokens that this server gives out: their form, and those that live for a while. See login.h. */
#include "core/sign.h"
#include "server/limiter.h"
#include "server/login.h"
#include "server/names.h"
#include "store/sessions.h"

#define OPENID_S 3600

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
enum { SUM = 6, RANDOM = 20 };

/* ── form ── */

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

static void checksum(hs_str base, char ret[SUM])
{
    static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint32_t crc = crc32_of(base);

    for (size_t i = SUM; i-- > 0; crc /= 62)
        ret[i] = BASE62[crc % 62];
}

static hs_error *token_of(hs_arena *a, hs_str kind, hs_str localpart, hs_str random, hs_str *ret)
{
    hs_str local = HS_S(""), blank = HS_S(""), base;
    char sum[SUM];

    if (localpart.p) {
        HS_TRY(hs_base64_encode(a, localpart, false, &local));
        blank = HS_S("_");
    }
    HS_TRY(hs_str_cat(a, &base, 5, kind, HS_S("_"), local, blank, random));
    checksum(base, sum);
    return hs_str_cat(a, ret, 3, base, HS_S("_"), hs_str_make(sum, sizeof sum));
}

hs_error *hs_access_token_make(hs_arena *a, hs_str localpart, hs_str random, hs_str *ret)
{
    return token_of(a, HS_S("syt"), localpart, random, ret);
}

hs_error *hs_token_draw(hs_arena *a, hs_str kind, hs_str localpart, hs_str *ret)
{
    hs_str random;

    HS_TRY(hs_random_text(a, RANDOM, LETTERS, &random));
    return token_of(a, kind, localpart, random, ret);
}

bool hs_token_is(hs_str token, hs_str kind)
{
    hs_str rest = token, last = { 0 };
    size_t parts = 0;
    char sum[SUM];

    if (!hs_str_starts(token, kind) || hs_str_find(token, '_', 0) != kind.n)
        return false;
    while (rest.p) {
        last = hs_str_split(&rest, '_');
        parts++;
    }
    if (parts != 4 || last.n != SUM)
        return false;
    checksum(hs_str_first(token, token.n - SUM - 1), sum);
    return hs_str_eq(last, hs_str_make(sum, sizeof sum));
}

/* ── for a while ── */

static hs_error *keep(hs_server *srv, hs_arena *a, hs_str kind, hs_str token, hs_nid user, int64_t ms)
{
    int64_t now = hs_loop_wall(srv->loop);
    uint8_t sha256[32];

    hs_token_hash(token, sha256);
    return hs_store_short_token_put(srv->db, a, kind, hs_str_make((const char *)sha256, sizeof sha256), user, now,
                                    now + ms);
}

hs_error *hs_login_token_new(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret)
{
    HS_TRY(hs_limit_use(srv, a, HS_LIMIT_LOGIN_TOKEN, who->user_id, HS_LIMIT_TAKE));
    HS_TRY(hs_token_draw(a, HS_S("syl"), hs_str_make(NULL, 0), ret));
    return keep(srv, a, HS_S("login"), *ret, who->user, srv->config->login_via_existing_session_timeout_ms);
}

hs_error *hs_login_token_take(hs_server *srv, hs_arena *a, hs_str token, hs_identity *ret)
{
    uint8_t sha256[32];
    bool found;

    hs_token_hash(token, sha256);
    HS_TRY(hs_store_short_token_take(srv->db, a, HS_S("login"), hs_str_make((const char *)sha256, sizeof sha256),
                                     hs_loop_wall(srv->loop), &found, &ret->user));
    if (!found || !ret->user)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Invalid login token");
    ret->flags = 0;
    return hs_user_name(srv, a, ret->user, &ret->user_id);
}

hs_error *hs_openid_token_new(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret, int64_t *ret_expires_s)
{
    HS_TRY(hs_random_text(a, 24, LETTERS, ret));
    *ret_expires_s = OPENID_S;
    return keep(srv, a, HS_S("openid"), *ret, who->user, INT64_C(1000) * OPENID_S);
}

hs_error *hs_openid_token_user(hs_server *srv, hs_arena *a, hs_str token, hs_str *ret_user_id)
{
    uint8_t sha256[32];
    hs_nid user;

    hs_token_hash(token, sha256);
    HS_TRY(hs_store_short_token_user(srv->db, a, HS_S("openid"), hs_str_make((const char *)sha256, sizeof sha256),
                                     hs_loop_wall(srv->loop), &user));
    if (!user)
        return hs_err(a, 401, HS_M_UNKNOWN_TOKEN, "Access Token unknown or expired");
    return hs_user_name(srv, a, user, ret_user_id);
}
