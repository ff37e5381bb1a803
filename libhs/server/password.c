/* See password.h. The configuration's bcrypt_rounds is the one knob for the cost, as in Synapse: 12 and more give the
 * full argon2id cost, less gives cheaper hashes (4, for tests, the least there is). A hash carries its own cost, so a
 * change holds for new passwords only. */
#include "server/password.h"

#include "base/checked.h"

#include <crypt.h>
#include <sodium.h>
#include <stdlib.h>

#define BCRYPT_BYTES 72 /* what bcrypt reads of a password */

hs_error *hs_password_check_policy(const hs_config *c, hs_arena *a, hs_str password)
{
    bool digit = false, symbol = false, upper = false, lower = false;
    int64_t characters = 0;

    if (!c->password_policy_enabled)
        return NULL;
    for (size_t i = 0; i < password.n; i++) {
        unsigned char ch = (unsigned char)password.p[i];
        bool d = ch >= '0' && ch <= '9', u = ch >= 'A' && ch <= 'Z', l = ch >= 'a' && ch <= 'z';
        digit |= d;
        upper |= u;
        lower |= l;
        symbol |= !d && !u && !l;
        characters += (ch & 0xc0) != 0x80;
    }
    if (characters < c->password_minimum_length)
        return hs_err(a, 400, HS_M_PASSWORD_TOO_SHORT, "The password must be at least %lld characters long",
                      (long long)c->password_minimum_length);
    if (c->password_require_digit && !digit)
        return hs_err(a, 400, HS_M_PASSWORD_NO_DIGIT, "The password must include at least one digit");
    if (c->password_require_symbol && !symbol)
        return hs_err(a, 400, HS_M_PASSWORD_NO_SYMBOL, "The password must include at least one symbol");
    if (c->password_require_uppercase && !upper)
        return hs_err(a, 400, HS_M_PASSWORD_NO_UPPERCASE, "The password must include at least one uppercase letter");
    if (c->password_require_lowercase && !lower)
        return hs_err(a, 400, HS_M_PASSWORD_NO_LOWERCASE, "The password must include at least one lowercase letter");
    return NULL;
}

typedef struct {
    unsigned long long ops;
    size_t mem;
} cost;

static cost configured_cost(const hs_config *c)
{
    if (c->bcrypt_rounds >= 12)
        return (cost){ 2, HS_MIB(19) };
    if (c->bcrypt_rounds >= 8)
        return (cost){ 1, HS_MIB(8) };
    return (cost){ crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN };
}

/* What the thread gets; it touches nothing else. */
typedef struct {
    hs_str password;  /* with the pepper */
    const char *hash; /* NULL: make one */
    cost cost;
    char made[crypto_pwhash_STRBYTES];
    bool ok;
} job;

static void hash_on_thread(void *ud)
{
    job *j = ud;

    j->ok = crypto_pwhash_str_alg(j->made, j->password.p, j->password.n, j->cost.ops, j->cost.mem,
                                  crypto_pwhash_ALG_ARGON2ID13) == 0;
}

static bool verify_bcrypt(hs_str password, const char *hash)
{
    struct crypt_data *data = calloc(1, sizeof *data); /* 32 KiB: too much for the stack */
    char key[BCRYPT_BYTES + 1] = { 0 };
    bool ok = false;
    size_t n = password.n < BCRYPT_BYTES ? password.n : BCRYPT_BYTES;

    if (data && !memchr(password.p, 0, password.n)) {
        memcpy(key, password.p, n);
        const char *got = crypt_rn(key, hash, data, (int)sizeof *data); /* NULL for a hash it does not know */
        ok = got && strlen(got) == strlen(hash) && sodium_memcmp(got, hash, strlen(hash)) == 0;
    }
    sodium_memzero(key, sizeof key);
    free(data);
    return ok;
}

static void verify_on_thread(void *ud)
{
    job *j = ud;

    if (strncmp(j->hash, "$argon2", 7) == 0)
        j->ok = crypto_pwhash_str_verify(j->hash, j->password.p, j->password.n) == 0;
    else if (strncmp(j->hash, "$2", 2) == 0)
        j->ok = verify_bcrypt(j->password, j->hash);
}

static hs_error *with_pepper(hs_server *srv, hs_arena *a, hs_str password, hs_str *ret)
{
    return hs_str_cat(a, ret, 3, password, srv->config->password_pepper, HS_S(""));
}

hs_error *hs_password_hash(hs_server *srv, hs_arena *a, hs_str password, hs_str *ret)
{
    job *j;

    HS_TRY(hs_alloc(a, 1, &j));
    j->cost = configured_cost(srv->config);
    HS_TRY(with_pepper(srv, a, password, &j->password));
    HS_TRY(hs_offload(srv->loop, a, hash_on_thread, j));
    if (!j->ok)
        return hs_err_internal(a, NULL, "hashing a password failed");
    return hs_str_dup(a, hs_str_c(j->made), ret);
}

hs_error *hs_password_verify(hs_server *srv, hs_arena *a, hs_str password, hs_str hash, bool *ret)
{
    job *j;

    HS_TRY(hs_alloc(a, 1, &j));
    j->cost = configured_cost(srv->config);
    HS_TRY(with_pepper(srv, a, password, &j->password));
    if (hash.p)
        HS_TRY(hs_cstr(a, hash, &j->hash));
    HS_TRY(hs_offload(srv->loop, a, j->hash ? verify_on_thread : hash_on_thread, j));
    *ret = j->hash && j->ok;
    return NULL;
}
