/* hs/arena.h: memory by lifetime.
 *
 * An arena belongs to one request, message or job and is passed explicitly. Nothing in it is freed singly; all of it
 * goes at reset or close, after the reset hooks have run, last registered first. An arena has a cap: past it an
 * allocation fails with HS_ERR_NOMEM. Not thread-safe: one arena, one thread at a time. */
#ifndef HS_ARENA_H
#define HS_ARENA_H

#include <hs/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL when there is no memory. `cap` bounds the bytes it will ever hold. */
HS_API HS_NODISCARD hs_arena *hs_arena_open(size_t cap);
HS_API void hs_arena_close(hs_arena *a);
/* Runs the hooks and empties it; the first block is kept for reuse. */
HS_API void hs_arena_reset(hs_arena *a);
/* Zeroed, 16-byte aligned; NULL past the cap or without memory. n may be 0. */
HS_API HS_NODISCARD void *hs_arena_alloc(hs_arena *a, size_t n);
/* `fn(ud)` will run at the next reset or close. */
HS_API HS_NODISCARD hs_error *hs_arena_on_reset(hs_arena *a, void (*fn)(void *ud), void *ud);
/* Bytes handed out since the last reset. */
HS_API size_t hs_arena_used(const hs_arena *a);

/* hs_alloc(a, n, &ptr): n zeroed elements of *ptr's type; n × size is checked. */
#define hs_alloc(a, n, pp) hs_alloc_((a), (n), sizeof **(pp), (void **)(void *)(pp))
HS_API HS_NODISCARD hs_error *hs_alloc_(hs_arena *a, size_t n, size_t size, void **ret);

HS_API HS_NODISCARD hs_error *hs_str_dup(hs_arena *a, hs_str s, hs_str *ret);
HS_API HS_NODISCARD hs_error *hs_str_fmt(hs_arena *a, hs_str *ret, const char *fmt, ...) HS_PRINTF(3, 4);
/* hs_str_cat(a, &s, 3, x, y, z) */
HS_API HS_NODISCARD hs_error *hs_str_cat(hs_arena *a, hs_str *ret, size_t n, ...);
/* The one door to C strings: fails with M_INVALID_PARAM when there is a NUL inside. */
HS_API HS_NODISCARD hs_error *hs_cstr(hs_arena *a, hs_str s, const char **ret);

/* A blob is immutable bytes with a count of owners, for what outlives a request: stored events, answers under way.
 * Counts are not atomic: a blob stays on its loop's thread. */
typedef struct hs_blob {
    uint32_t refs;
    uint32_t reserved;
    size_t n;
    char p[];
} hs_blob;

/* A copy of `s` with one reference; NULL without memory. */
HS_API HS_NODISCARD hs_blob *hs_blob_new(hs_str s);
HS_API hs_blob *hs_blob_ref(hs_blob *b);
HS_API void hs_blob_unref(hs_blob *b); /* NULL is fine */
/* Keeps the blob alive until the arena is reset. */
HS_API HS_NODISCARD hs_error *hs_blob_hold(hs_arena *a, hs_blob *b);

static inline hs_str hs_blob_str(const hs_blob *b)
{
    return b ? hs_str_make(b->p, b->n) : hs_str_make(NULL, 0);
}

#ifdef __cplusplus
}
#endif
#endif
