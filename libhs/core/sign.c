/* See sign.h. */
#include "core/sign.h"

#include "base/json_out.h"
#include "core/canonical.h"

#include <sodium.h>

struct hs_signing_key {
    hs_str id; /* "ed25519:<version>" */
    uint8_t seed[crypto_sign_SEEDBYTES];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    uint8_t public[crypto_sign_PUBLICKEYBYTES];
};

static void wipe(void *ud)
{
    hs_signing_key *k = ud;

    sodium_memzero(k->seed, sizeof k->seed);
    sodium_memzero(k->secret, sizeof k->secret);
}

hs_error *hs_signing_key_open(hs_arena *a, hs_str version, const uint8_t seed[32], hs_signing_key **ret)
{
    hs_signing_key *k;

    HS_TRY(hs_alloc(a, 1, &k));
    HS_TRY(hs_str_cat(a, &k->id, 2, HS_S("ed25519:"), version));
    HS_TRY(hs_arena_on_reset(a, wipe, k));
    memcpy(k->seed, seed, sizeof k->seed);
    crypto_sign_seed_keypair(k->public, k->secret, k->seed);

    *ret = k;
    return NULL;
}

static bool is_version(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

hs_error *hs_signing_key_read(hs_arena *a, hs_str file, hs_signing_key **ret)
{
    while (file.p) {
        hs_str line = hs_str_trim(hs_str_split(&file, '\n'));
        hs_str rest = line, bytes;
        bool ok = false;

        if (!line.n || line.p[0] == '#')
            continue;
        hs_str algorithm = hs_str_split(&rest, ' ');
        hs_str version = hs_str_split(&rest, ' ');
        if (hs_str_eq(algorithm, HS_S("ed25519")) && is_version(version) && rest.p)
            HS_TRY(hs_base64_decode(a, hs_str_trim(rest), false, &bytes, &ok));
        if (!ok || bytes.n != crypto_sign_SEEDBYTES)
            return hs_err(a, 500, HS_M_UNKNOWN,
                          "the signing key file has a line that is not \"ed25519 <version> <key>\"");
        return hs_signing_key_open(a, version, (const uint8_t *)bytes.p, ret);
    }
    return hs_err(a, 500, HS_M_UNKNOWN, "the signing key file holds no key");
}

hs_error *hs_signing_key_write(hs_arena *a, const hs_signing_key *k, hs_str *ret)
{
    hs_str seed;

    HS_TRY(hs_base64_encode(a, hs_str_make((const char *)k->seed, sizeof k->seed), false, &seed));
    return hs_str_fmt(a, ret, "ed25519 %.*s %.*s\n", HS_FMT(hs_str_from(k->id, 8)), HS_FMT(seed));
}

hs_str hs_signing_key_id(const hs_signing_key *k)
{
    return k->id;
}

const uint8_t *hs_signing_key_public(const hs_signing_key *k)
{
    return k->public;
}

void hs_signing_key_derive(const hs_signing_key *k, hs_str purpose, uint8_t *ret, size_t n)
{
    crypto_generichash(ret, n, (const uint8_t *)purpose.p, purpose.n, k->seed, sizeof k->seed);
}

void hs_public_key(const uint8_t seed[32], uint8_t ret[32])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(ret, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

void hs_sign_bytes(const hs_signing_key *k, hs_str bytes, uint8_t ret[64])
{
    crypto_sign_detached(ret, NULL, (const unsigned char *)bytes.p, bytes.n, k->secret);
}

bool hs_verify_bytes(const uint8_t public_key[32], hs_str bytes, const uint8_t signature[64])
{
    return crypto_sign_verify_detached(signature, (const unsigned char *)bytes.p, bytes.n, public_key) == 0;
}

static const hs_str NOT_SIGNED[] = { HS_S_INIT("signatures"), HS_S_INIT("unsigned") };

/* Writes what `from` holds but the member `skip`, and then that member with the raw value v: keys stay sorted because
 * the caller canonicalises the whole. */
static void members_but(hs_json_out *j, hs_jv from, hs_str skip)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(from, &it);) {
        if (hs_str_eq(it.key, skip))
            continue;
        hs_json_key(j, it.key);
        hs_json_v_raw(j, hs_jv_raw(it.value));
    }
}

hs_error *hs_sign_json(hs_arena *a, hs_str json, hs_str server, const hs_signing_key *k, hs_str *ret)
{
    hs_jv top, whole;
    hs_str bytes, text, unsorted;
    uint8_t signature[crypto_sign_BYTES];
    hs_buf b;
    hs_json_out j;

    HS_TRY(hs_tape_parse(a, json, HS_JSON_OBJECT | HS_JSON_DEEP, &top));
    HS_TRY(hs_canonical(a, top, NOT_SIGNED, 2, &bytes));
    hs_sign_bytes(k, bytes, signature);
    HS_TRY(hs_base64_encode(a, hs_str_make((const char *)signature, sizeof signature), false, &text));

    hs_jv all = hs_jv_get(top, NOT_SIGNED[0]);
    hs_jv ours = hs_jv_get(all, server);
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    members_but(&j, top, NOT_SIGNED[0]);
    hs_json_obj_at(&j, "signatures");
    members_but(&j, all, server);
    hs_json_key(&j, server);
    hs_json_obj(&j);
    members_but(&j, ours, k->id);
    hs_json_key(&j, k->id);
    hs_json_v_str(&j, text);
    hs_json_end(&j);
    hs_json_end(&j);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &unsorted));
    HS_TRY(hs_tape_parse(a, unsorted, HS_JSON_OBJECT | HS_JSON_DEEP, &whole));
    return hs_canonical(a, whole, NULL, 0, ret);
}

hs_error *hs_verify_json(hs_arena *a, hs_str json, hs_str server, hs_str key_id, const uint8_t public_key[32],
                         bool *ret)
{
    hs_jv top;
    hs_str bytes, text, signature;
    bool ok;

    HS_TRY(hs_tape_parse(a, json, HS_JSON_OBJECT | HS_JSON_DEEP, &top));
    if (!hs_jv_str(hs_jv_get(hs_jv_get(hs_jv_get(top, NOT_SIGNED[0]), server), key_id), &text)) {
        *ret = false;
        return NULL;
    }
    HS_TRY(hs_base64_decode(a, text, false, &signature, &ok));
    HS_TRY(hs_canonical(a, top, NOT_SIGNED, 2, &bytes));

    *ret = ok && signature.n == crypto_sign_BYTES && hs_verify_bytes(public_key, bytes, (const uint8_t *)signature.p);
    return NULL;
}

void hs_sha256(hs_str bytes, uint8_t ret[32])
{
    crypto_hash_sha256(ret, (const unsigned char *)bytes.p, bytes.n);
}

hs_error *hs_base64_encode(hs_arena *a, hs_str bytes, bool url_safe, hs_str *ret)
{
    int variant = url_safe ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    size_t size = sodium_base64_encoded_len(bytes.n, variant); /* with its NUL */
    char *p;

    HS_TRY(hs_alloc(a, size, &p));
    sodium_bin2base64(p, size, (const unsigned char *)bytes.p, bytes.n, variant);

    *ret = hs_str_make(p, size - 1);
    return NULL;
}

/* The character with the bits that carry nothing cleared: libsodium refuses them, the field (Synapse, the spec's own
 * signing key) does not mind. */
static char without_stray_bits(const char *alphabet, char c, unsigned bits)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? alphabet[(unsigned)(at - alphabet) & ~((1u << bits) - 1u)] : c;
}

/* libsodium takes some bytes above 127 for digits. */
static bool is_ascii(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

hs_error *hs_base64_decode(hs_arena *a, hs_str text, bool url_safe, hs_str *ret, bool *ok)
{
    static const char STANDARD[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char URL_SAFE[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    int variant = url_safe ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    unsigned char *p;
    char *copy;
    size_t n;

    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    HS_TRY(hs_alloc(a, text.n / 4 * 3 + 3, &p));
    HS_TRY(hs_alloc(a, text.n + 1, &copy));
    if (text.n)
        memcpy(copy, text.p, text.n);
    if (text.n % 4 >= 2)
        copy[text.n - 1] =
            without_stray_bits(url_safe ? URL_SAFE : STANDARD, copy[text.n - 1], text.n % 4 == 2 ? 4 : 2);
    *ok = is_ascii(text) && sodium_base642bin(p, text.n / 4 * 3 + 3, copy, text.n, NULL, &n, NULL, variant) == 0;
    *ret = hs_str_make((const char *)p, *ok ? n : 0);
    return NULL;
}

hs_error *hs_hex_encode(hs_arena *a, hs_str bytes, hs_str *ret)
{
    size_t size;
    char *p;

    if (__builtin_mul_overflow(bytes.n, (size_t)2, &size) || __builtin_add_overflow(size, (size_t)1, &size))
        return HS_ERR_NOMEM;
    HS_TRY(hs_alloc(a, size, &p));
    sodium_bin2hex(p, size, (const unsigned char *)bytes.p, bytes.n);

    *ret = hs_str_make(p, size - 1);
    return NULL;
}

static int slot_kind(hs_str type, hs_str state_key)
{
    if (!state_key.n)
        return HS_SLOT_PLAIN;
    if (hs_str_eq(type, HS_S("m.room.member")))
        return HS_SLOT_MEMBER;
    if (hs_str_eq(type, HS_S("m.space.child")))
        return HS_SLOT_SPACE_CHILD;
    if (hs_str_eq(type, HS_S("m.space.parent")))
        return HS_SLOT_SPACE_PARENT;
    if (hs_str_eq(type, HS_S("m.room.third_party_invite")))
        return HS_SLOT_THIRD_PARTY;
    return HS_SLOT_OTHER;
}

static uint64_t key_hash(const uint8_t key[16], hs_str type, hs_str state_key, uint8_t *text)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t hash;

    if (type.n)
        memcpy(text, type.p, type.n);
    text[type.n] = 0;
    if (state_key.n)
        memcpy(text + type.n + 1, state_key.p, state_key.n);
    crypto_shorthash(out, text, type.n + 1 + state_key.n, key);
    memcpy(&hash, out, sizeof hash);
    return hash;
}

/* Apart, since its buffer is cleared at each call. */
__attribute__((noinline)) static uint64_t long_key_hash(const uint8_t key[16], hs_str type, hs_str state_key)
{
    uint8_t text[2 * 255 + 1];

    return key_hash(key, type, state_key, text);
}

int64_t hs_slot(const uint8_t key[16], hs_str type, hs_str state_key)
{
    uint8_t text[80];
    /* Longer ones were refused at the door; cutting them here only keeps the function total. */
    hs_str t = hs_str_first(type, 255), k = hs_str_first(state_key, 255);
    uint64_t hash = t.n + 1 + k.n <= sizeof text ? key_hash(key, t, k, text) : long_key_hash(key, t, k);

    return hs_slot_low(slot_kind(type, state_key)) | (int64_t)(hash & ((UINT64_C(1) << 60) - 1));
}
