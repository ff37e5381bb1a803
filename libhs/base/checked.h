/* Arithmetic on sizes that come from outside: overflow is a result, not a surprise. */
#ifndef HS_BASE_CHECKED_H
#define HS_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True on success; *ret is written only then. */
static inline bool hs_add_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

static inline bool hs_mul_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

static inline bool hs_add_i64(int64_t a, int64_t b, int64_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

#define HS_KIB(n) ((size_t)(n) << 10)
#define HS_MIB(n) ((size_t)(n) << 20)

#endif
