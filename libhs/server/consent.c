/* See consent.h. */
#include "server/consent.h"

#include "base/checked.h"
#include "core/ids.h"
#include "runtime/files.h"
#include "server/auto_join.h"
#include "server/names.h"
#include "server/session.h"
#include "store/users.h"

#include <openssl/hmac.h>
#include <sodium.h>

enum { NAME_MAX_BYTES = 100 };

/* ── pages ── */

/* A version is part of a file's name, and comes from outside. */
static bool is_plain_name(hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              (c == '.' && i > 0)))
            return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

hs_error *hs_consent_page(hs_server *srv, hs_arena *a, hs_str name, hs_str *ret)
{
    hs_str path, text = { 0 };

    if (is_plain_name(name)) {
        HS_TRY(hs_str_fmt(a, &path, "%.*s/en/%.*s.html", HS_FMT(srv->config->consent_template_dir), HS_FMT(name)));
        HS_TRY(hs_file_read(srv->loop, a, path, HS_MIB(1), &text));
    }
    if (!text.p)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown policy version");
    *ret = text;
    return NULL;
}

/* ── visitors ── */

static hs_error *mac_of(const hs_server *srv, hs_arena *a, hs_str user, hs_str *ret)
{
    hs_str secret = srv->config->form_secret;
    unsigned char mac[32];
    unsigned n = sizeof mac;

    if (!secret.n || secret.n > INT32_MAX ||
        !HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)user.p, user.n, mac, &n))
        return hs_err_internal(a, NULL, "form_secret is missing");
    return hs_hex_encode(a, hs_str_make((const char *)mac, sizeof mac), ret);
}

hs_error *hs_consent_visitor(hs_server *srv, hs_arena *a, hs_str user, hs_str mac, hs_nid *ret_user,
                             hs_str *ret_version)
{
    hs_account_row *account = NULL;
    hs_str ours, localpart = user;
    hs_id id;

    HS_TRY(mac_of(srv, a, user, &ours));
    if (mac.n != ours.n || sodium_memcmp(mac.p, ours.p, ours.n) != 0)
        return hs_err(a, 403, HS_M_UNKNOWN, "HMAC incorrect");
    if (hs_str_starts(user, HS_S("@")))
        localpart = hs_user_id_parse(user, &id) && hs_str_eq(id.server, srv->server_name) ? id.local : HS_S("");
    if (localpart.n)
        HS_TRY(hs_store_account_find(srv->db, a, localpart, &account));
    if (!account)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown user");
    *ret_user = account->user;
    *ret_version = account->consent_version;
    return NULL;
}

hs_error *hs_consent_give(hs_server *srv, hs_arena *a, hs_nid user, hs_str version)
{
    hs_account_row *account;
    hs_identity who = { .user = user };
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_consent(w, user, version, hs_loop_wall(srv->loop)));
    HS_TRY(hs_sessions_end(w, user, (hs_strs){ NULL, 0 })); /* they know whether their user has agreed */
    HS_TRY(hs_store_account_get(srv->db, a, user, &account));
    HS_TRY(hs_user_name(srv, a, user, &who.user_id));
    who.flags = account ? account->flags : HS_ACCOUNT_DEACTIVATED;
    if (!(who.flags & HS_ACCOUNT_DEACTIVATED))
        hs_auto_join(srv, a, &who);
    return NULL;
}

hs_error *hs_consent_uri(const hs_server *srv, hs_arena *a, hs_str localpart, hs_str *ret)
{
    static const char HEX[] = "0123456789ABCDEF";
    hs_str mac;
    char *u;
    size_t n = 0;

    HS_TRY(mac_of(srv, a, localpart, &mac));
    HS_TRY(hs_alloc(a, 3 * localpart.n + 1, &u));
    for (size_t i = 0; i < localpart.n; i++) {
        unsigned char c = (unsigned char)localpart.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c))) {
            u[n++] = (char)c;
        } else {
            u[n++] = '%';
            u[n++] = HEX[c >> 4];
            u[n++] = HEX[c & 15];
        }
    }
    return hs_str_fmt(a, ret, "%.*s_matrix/consent?u=%.*s&h=%.*s", HS_FMT(srv->config->public_baseurl), (int)n, u,
                      HS_FMT(mac));
}
