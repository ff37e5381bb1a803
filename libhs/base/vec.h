/* A growing array in an arena. HS_VEC(hs_str) names; … HS_TRY(hs_vec_push(a, &names, value)); */
#ifndef HS_BASE_VEC_H
#define HS_BASE_VEC_H

#include <hs/arena.h>

#define HS_VEC(T)                                                                                                      \
    struct {                                                                                                           \
        T *at;                                                                                                         \
        size_t n, cap;                                                                                                 \
    }

/* Grows by doubling; the old array stays in the arena until its reset. */
#define hs_vec_reserve(a, v)                                                                                           \
    ((v)->n < (v)->cap ? NULL : hs_vec_grow_((a), (void **)(void *)&(v)->at, (v)->n, &(v)->cap, sizeof *(v)->at))

#define hs_vec_push(a, v, ...)                                                                                         \
    (hs_vec_reserve((a), (v)) ? HS_ERR_NOMEM : ((v)->at[(v)->n++] = (__VA_ARGS__), (hs_error *)NULL))

HS_NODISCARD static inline hs_error *hs_vec_grow_(hs_arena *a, void **at, size_t n, size_t *cap, size_t size)
{
    size_t want = *cap ? *cap * 2 : 8;
    void *grown;

    HS_TRY(hs_alloc_(a, want, size, &grown));
    if (n)
        memcpy(grown, *at, n * size);
    *at = grown;
    *cap = want;
    return NULL;
}

#endif
