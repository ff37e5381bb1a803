/* Arenas and blobs.
 *
 * An arena is a chain of blocks that double in size up to 256 KiB; what is larger gets a block of its own. In sanitizer
 * builds every allocation is a malloc, so that use after reset is seen. */
#include <hs/arena.h>

#include "base/checked.h"
#include "base/keep.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(ARENA_MALLOC_EACH) /* a coverage build, where tests count allocations */
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_MALLOC_EACH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_MALLOC_EACH 1
#endif
#endif
#ifndef ARENA_MALLOC_EACH
#define ARENA_MALLOC_EACH 0
#endif

#define ALIGN       16u
#define FIRST_BLOCK HS_KIB(4)
#define MAX_BLOCK   HS_KIB(256)

typedef struct block {
    struct block *next;
    size_t size; /* usable bytes behind the header */
} block;

typedef struct hook {
    struct hook *next;
    void (*fn)(void *ud);
    void *ud;
} hook;

struct hs_arena {
    block *blocks; /* newest first; the last is the one that a reset keeps */
    char *at, *end;
    hook *hooks;
    size_t cap, held, used;
    hs_kept *kept; /* who keeps what is in it now; NULL: nobody */
};

struct hs_kept {
    hs_arena *a; /* NULL once it was reset: what it held is here */
    uint32_t refs;
    block *blocks;
    hook *hooks;
};

static block *block_new(hs_arena *a, size_t size)
{
    block *b;

    if (size > a->cap - a->held)
        return NULL;
    b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    a->held += size;
    return b;
}

static char *block_bytes(block *b)
{
    return (char *)(b + 1);
}

hs_arena *hs_arena_open(size_t cap)
{
    hs_arena *a = calloc(1, sizeof *a);

    if (a)
        a->cap = cap;
    return a;
}

static void run_hooks(hook **hooks)
{
    while (*hooks) {
        hook *h = *hooks;
        *hooks = h->next;
        h->fn(h->ud);
    }
}

/* Frees all blocks but the oldest when `keep` is set and it is not a large one. */
static void drop_blocks(hs_arena *a, bool keep)
{
    while (a->blocks && (!keep || a->blocks->next || a->blocks->size > MAX_BLOCK)) {
        block *b = a->blocks;
        a->blocks = b->next;
        a->held -= b->size;
        free(b);
    }
    a->at = a->blocks ? block_bytes(a->blocks) : NULL;
    a->end = a->blocks ? a->at + a->blocks->size : NULL;
    a->used = 0;
}

/* Gives all of it to whoever keeps it. */
static void hand_over(hs_arena *a)
{
    hs_kept *k = a->kept;

    if (!k)
        return;
    k->a = NULL;
    k->blocks = a->blocks;
    k->hooks = a->hooks;
    a->kept = NULL;
    a->blocks = NULL;
    a->hooks = NULL;
    a->held = 0;
}

void hs_arena_reset(hs_arena *a)
{
    hand_over(a);
    run_hooks(&a->hooks);
    drop_blocks(a, !ARENA_MALLOC_EACH);
}

hs_kept *hs_arena_keep(hs_arena *a)
{
    if (!a->kept) {
        a->kept = calloc(1, sizeof *a->kept);
        if (!a->kept)
            return NULL;
        a->kept->a = a;
    }
    a->kept->refs++;
    return a->kept;
}

void hs_kept_drop(hs_kept *k)
{
    if (--k->refs)
        return;
    if (k->a) {
        k->a->kept = NULL;
    } else {
        run_hooks(&k->hooks);
        while (k->blocks) {
            block *b = k->blocks;
            k->blocks = b->next;
            free(b);
        }
    }
    free(k);
}

void hs_arena_close(hs_arena *a)
{
    if (!a)
        return;
    hand_over(a);
    run_hooks(&a->hooks);
    drop_blocks(a, false);
    free(a);
}

/* A block of its own, put behind the current one so that filling that goes on. */
static void *alloc_alone(hs_arena *a, size_t n)
{
    block *b = block_new(a, n);

    if (!b)
        return NULL;
    if (a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = NULL;
        a->blocks = b;
    }
    return block_bytes(b);
}

void *hs_arena_alloc(hs_arena *a, size_t n)
{
    size_t size;
    void *p;

    if (!hs_add_size(n, ALIGN - 1, &size))
        return NULL;
    size &= ~(size_t)(ALIGN - 1);
    if (!size)
        size = ALIGN;

    if (ARENA_MALLOC_EACH || size > MAX_BLOCK / 4) {
        p = alloc_alone(a, ARENA_MALLOC_EACH && n ? n : size);
    } else {
        if (size > (size_t)(a->end - a->at)) {
            size_t want = a->blocks ? a->blocks->size * 2 : FIRST_BLOCK;
            if (want > MAX_BLOCK)
                want = MAX_BLOCK;
            if (want < size)
                want = size;
            block *b = block_new(a, want);
            if (!b && want > size)
                b = block_new(a, size);
            if (!b)
                return NULL;
            b->next = a->blocks;
            a->blocks = b;
            a->at = block_bytes(b);
            a->end = a->at + b->size;
        }
        p = a->at;
        a->at += size;
    }
    if (p) {
        memset(p, 0, n);
        a->used += size;
    }
    return p;
}

size_t hs_arena_used(const hs_arena *a)
{
    return a->used;
}

hs_error *hs_arena_on_reset(hs_arena *a, void (*fn)(void *ud), void *ud)
{
    hook *h = hs_arena_alloc(a, sizeof *h);

    if (!h)
        return HS_ERR_NOMEM;
    *h = (hook){ .next = a->hooks, .fn = fn, .ud = ud };
    a->hooks = h;
    return NULL;
}

hs_error *hs_alloc_(hs_arena *a, size_t n, size_t size, void **ret)
{
    size_t bytes;
    void *p;

    if (!hs_mul_size(n, size, &bytes))
        return HS_ERR_NOMEM;
    p = hs_arena_alloc(a, bytes);
    if (!p)
        return HS_ERR_NOMEM;

    *ret = p;
    return NULL;
}

hs_error *hs_str_dup(hs_arena *a, hs_str s, hs_str *ret)
{
    char *p = hs_arena_alloc(a, s.n + 1);

    if (!p)
        return HS_ERR_NOMEM;
    if (s.n)
        memcpy(p, s.p, s.n);

    *ret = hs_str_make(p, s.n);
    return NULL;
}

HS_PRINTF(3, 0)
static hs_error *str_vfmt(hs_arena *a, hs_str *ret, const char *fmt, va_list ap)
{
    va_list again;
    char *p = NULL;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        p = hs_arena_alloc(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    if (!p)
        return HS_ERR_NOMEM;

    *ret = hs_str_make(p, (size_t)n);
    return NULL;
}

hs_error *hs_str_fmt(hs_arena *a, hs_str *ret, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    hs_error *e = str_vfmt(a, ret, fmt, ap);
    va_end(ap);
    return e;
}

hs_error *hs_str_cat(hs_arena *a, hs_str *ret, size_t n, ...)
{
    va_list ap;
    size_t total = 0;
    bool fits = true;
    char *p, *at;

    va_start(ap, n);
    for (size_t i = 0; i < n; i++)
        fits = fits && hs_add_size(total, va_arg(ap, hs_str).n, &total);
    va_end(ap);
    p = fits && total < SIZE_MAX ? hs_arena_alloc(a, total + 1) : NULL;
    if (!p)
        return HS_ERR_NOMEM;

    at = p;
    va_start(ap, n);
    for (size_t i = 0; i < n; i++) {
        hs_str s = va_arg(ap, hs_str);
        if (s.n)
            memcpy(at, s.p, s.n);
        at += s.n;
    }
    va_end(ap);

    *ret = hs_str_make(p, total);
    return NULL;
}

hs_error *hs_cstr(hs_arena *a, hs_str s, const char **ret)
{
    hs_str copy;

    if (s.n && memchr(s.p, 0, s.n))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "A NUL character is not allowed here");
    HS_TRY(hs_str_dup(a, s, &copy));

    *ret = copy.p;
    return NULL;
}

hs_blob *hs_blob_new(hs_str s)
{
    size_t size;
    hs_blob *b = hs_add_size(sizeof *b, s.n, &size) ? malloc(size) : NULL;

    if (!b)
        return NULL;
    b->refs = 1;
    b->reserved = 0;
    b->n = s.n;
    if (s.n)
        memcpy(b->p, s.p, s.n);
    return b;
}

hs_blob *hs_blob_ref(hs_blob *b)
{
    b->refs++;
    return b;
}

void hs_blob_unref(hs_blob *b)
{
    if (b && --b->refs == 0)
        free(b);
}

static void unref_hook(void *ud)
{
    hs_blob_unref(ud);
}

hs_error *hs_blob_hold(hs_arena *a, hs_blob *b)
{
    HS_TRY(hs_arena_on_reset(a, unref_hook, b));
    hs_blob_ref(b);
    return NULL;
}
