/* See macaroon.h. The bytes are packets: four hexadecimal digits that say how long the packet is, a name, a blank, the
 * value, a line feed. location, identifier, then a cid for each caveat, then signature. */
#include "core/macaroon.h"

#include "base/vec.h"
#include "core/sign.h"

#include <sodium.h>
#include <string.h>

enum { MAC = crypto_auth_hmacsha256_BYTES, CAVEATS_MAX = 32, TOKEN_MAX = 8192 };

static void mac(const void *key, size_t key_n, hs_str text, uint8_t ret[MAC])
{
    crypto_auth_hmacsha256_state st;

    crypto_auth_hmacsha256_init(&st, key, key_n);
    crypto_auth_hmacsha256_update(&st, (const uint8_t *)text.p, text.n);
    crypto_auth_hmacsha256_final(&st, ret);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool next_packet(hs_str *rest, hs_str *ret_name, hs_str *ret_value)
{
    size_t n = 0, blank;
    hs_str body;

    for (size_t i = 0; i < 4; i++) {
        int d = i < rest->n ? hex_digit(rest->p[i]) : -1;

        if (d < 0)
            return false;
        n = n * 16 + (size_t)d;
    }
    if (n < 6 || n > rest->n || rest->p[n - 1] != '\n')
        return false;
    body = hs_str_make(rest->p + 4, n - 5);
    blank = hs_str_find(body, ' ', 0);
    if (blank == body.n)
        return false;
    *ret_name = hs_str_first(body, blank);
    *ret_value = hs_str_from(body, blank + 1);
    *rest = hs_str_from(*rest, n);
    return true;
}

hs_error *hs_macaroon_open(hs_arena *a, hs_str token, hs_str key, hs_strs *ret, bool *ret_ok)
{
    static const char DERIVE[] = "macaroons-key-generator";
    HS_VEC(hs_str) caveats = { 0 };
    hs_str rest, name, value;
    uint8_t sig[MAC];
    bool ok;

    *ret_ok = false;
    if (token.n > TOKEN_MAX || !key.n)
        return NULL;
    HS_TRY(hs_base64_decode(a, token, true, &rest, &ok));
    if (!ok || !next_packet(&rest, &name, &value) || !hs_str_eq(name, HS_S("location")) ||
        !next_packet(&rest, &name, &value) || !hs_str_eq(name, HS_S("identifier")))
        return NULL;
    mac(DERIVE, sizeof DERIVE - 1, key, sig);
    mac(sig, sizeof sig, value, sig);
    while (next_packet(&rest, &name, &value) && hs_str_eq(name, HS_S("cid")) && caveats.n < CAVEATS_MAX) {
        mac(sig, sizeof sig, value, sig);
        HS_TRY(hs_vec_push(a, &caveats, value));
    }
    if (!hs_str_eq(name, HS_S("signature")) || value.n != sizeof sig || rest.n)
        return NULL;
    *ret_ok = sodium_memcmp(sig, value.p, sizeof sig) == 0;
    *ret = (hs_strs){ caveats.at, caveats.n };
    return NULL;
}
