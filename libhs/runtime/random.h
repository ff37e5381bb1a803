/* Random bytes and tokens, by the system's generator. */
#ifndef HS_RUNTIME_RANDOM_H
#define HS_RUNTIME_RANDOM_H

#include <hs/arena.h>

void hs_random_bytes(void *p, size_t n);
uint64_t hs_random_u64(void);
/* n characters of `alphabet` (NULL: A-Z a-z 0-9), evenly drawn. */
HS_NODISCARD hs_error *hs_random_text(hs_arena *a, size_t n, const char *alphabet, hs_str *ret);

#endif
