/* Random bytes from the kernel. */
#include "runtime/random.h"

#include <errno.h>
#include <sys/random.h>

void hs_random_bytes(void *p, size_t n)
{
    char *at = p;

    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        } else if (errno != EINTR) {
            __builtin_trap(); /* a kernel without getrandom: nothing that we would make could be trusted */
        }
    }
}

uint64_t hs_random_u64(void)
{
    uint64_t v;

    hs_random_bytes(&v, sizeof v);
    return v;
}

hs_error *hs_random_text(hs_arena *a, size_t n, const char *alphabet, hs_str *ret)
{
    hs_str letters =
        alphabet ? hs_str_c(alphabet) : HS_S("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    unsigned fair = 256 - 256 % (unsigned)letters.n; /* bytes from here on would favour the first letters */
    unsigned char pool[64];
    size_t have = 0;
    char *text;

    HS_TRY(hs_alloc(a, n + 1, &text));
    for (size_t i = 0; i < n;) {
        if (!have) {
            hs_random_bytes(pool, sizeof pool);
            have = sizeof pool;
        }
        unsigned byte = pool[--have];
        if (byte < fair)
            text[i++] = letters.p[byte % letters.n];
    }

    *ret = hs_str_make(text, n);
    return NULL;
}
