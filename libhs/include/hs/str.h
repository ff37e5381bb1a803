/* hs/str.h: byte slices.
 *
 * A slice points at bytes that somebody else owns; it may hold any byte and is never NUL-terminated by promise. A slice
 * whose p is NULL means "absent" where a function says so; everywhere else it is the same as an empty one. */
#ifndef HS_STR_H
#define HS_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HS_API          __attribute__((visibility("default")))
#define HS_NODISCARD    __attribute__((warn_unused_result))
#define HS_PRINTF(n, m) __attribute__((format(printf, n, m)))
#else
#define HS_API
#define HS_NODISCARD
#define HS_PRINTF(n, m)
#endif

/* Marks a function that may switch fibers: whatever was read before the call may be stale after it. */
#define HS_SUSPENDS

typedef struct {
    const char *p;
    size_t n;
} hs_str;

/* HS_S("literal") is a slice of a literal; HS_S_INIT is the same for static initialisers. */
#ifdef __cplusplus
#define HS_S(lit) (hs_str{ (lit), sizeof(lit) - 1 })
#else
#define HS_S(lit) ((hs_str){ (lit), sizeof(lit) - 1 })
#endif
#define HS_S_INIT(lit)                                                                                                 \
    {                                                                                                                  \
        (lit), sizeof(lit) - 1                                                                                         \
    }

/* printf("%.*s", HS_FMT(s)). Lengths above INT_MAX are cut. */
#define HS_FMT(s) (int)((s).n > 0x7fffffffu ? 0x7fffffffu : (s).n), ((s).p ? (s).p : "")

static inline hs_str hs_str_make(const char *p, size_t n)
{
    hs_str s;
    s.p = p;
    s.n = n;
    return s;
}

/* Only for strings that our own program text or the C library made. */
static inline hs_str hs_str_c(const char *c)
{
    return hs_str_make(c, c ? strlen(c) : 0);
}

static inline bool hs_str_eq(hs_str a, hs_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool hs_str_starts(hs_str s, hs_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool hs_str_ends(hs_str s, hs_str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

/* Everything from byte `from` on; empty when there is none. */
static inline hs_str hs_str_from(hs_str s, size_t from)
{
    return from >= s.n ? hs_str_make(s.p ? s.p + s.n : NULL, 0) : hs_str_make(s.p + from, s.n - from);
}

static inline hs_str hs_str_first(hs_str s, size_t n)
{
    return hs_str_make(s.p, n < s.n ? n : s.n);
}

/* 0 to 15, either case; -1 when c is no hexadecimal digit. */
static inline int hs_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* memcmp order, a shorter prefix first. */
HS_API int hs_str_cmp(hs_str a, hs_str b);
/* Index of the first `c` at or after `from`; s.n when there is none. */
HS_API size_t hs_str_find(hs_str s, char c, size_t from);
/* Cuts *rest at the first `sep`: the part before is returned, *rest becomes what follows it. When there is no `sep` the
 * whole is returned and rest->p becomes NULL. */
HS_API hs_str hs_str_split(hs_str *rest, char sep);
HS_API hs_str hs_str_trim(hs_str s);
/* ASCII only. */
HS_API bool hs_str_eq_nocase(hs_str a, hs_str b);
/* Strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
HS_API bool hs_str_is_utf8(hs_str s);
/* Decimal with optional '-', no leading '+', no spaces; false on anything else or out of range. */
HS_API bool hs_str_to_i64(hs_str s, int64_t *ret);

#ifdef __cplusplus
}
#endif
#endif
