/* What every fuzz driver needs. */
#ifndef HS_TESTS_FUZZ_FUZZ_H
#define HS_TESTS_FUZZ_FUZZ_H

#include <hs/arena.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline void must(bool ok)
{
    if (!ok)
        abort();
}

/* One arena for the whole run, empty. */
static inline hs_arena *fresh_arena(void)
{
    static hs_arena *a;

    if (!a)
        a = hs_arena_open((size_t)1 << 26);
    must(a != NULL);
    hs_arena_reset(a);
    return a;
}

/* A copy that ends where the memory ends, so that a sanitizer sees a read past it. */
static inline hs_str exactly(hs_arena *a, const uint8_t *data, size_t n)
{
    char *copy = malloc(n ? n : 1);

    must(copy != NULL && !hs_arena_on_reset(a, free, copy));
    if (n)
        memcpy(copy, data, n);
    return hs_str_make(copy, n);
}

#endif
