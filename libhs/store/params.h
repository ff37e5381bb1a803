/* Parameters of a statement in PostgreSQL's binary form. Inside the store only. */
#ifndef HS_STORE_PARAMS_H
#define HS_STORE_PARAMS_H

#include "store/db.h"

#include <stdarg.h>

typedef struct {
    int n;
    const char **values; /* NULL: NULL */
    int *lengths;
} hs_params;

/* What params of a statement are copied or borrowed until the caller resumes. */
typedef enum { HS_PARAMS_BORROW, HS_PARAMS_COPY } hs_params_keep;

HS_NODISCARD hs_error *hs_params_bind(hs_arena *a, const hs_stmt *s, hs_params_keep keep, va_list ap, hs_params *ret);
/* Parameter i is of letter 'p': its `at`, and what is to be sent for it. */
uint32_t hs_params_at(const hs_params *p, int i);
void hs_params_set_pos(const hs_params *p, int i, int64_t value);

enum { HS_PARAMS_MAX = 40 };
/* OIDs of the statement's parameters; returns how many. */
int hs_params_oids(const hs_stmt *s, unsigned ret[HS_PARAMS_MAX]);

static inline void hs_put_be(char *to, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(v >> (8 * (n - 1 - i)));
}

static inline uint64_t hs_get_be(const char *from, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)from[i];
    return v;
}

#endif
