/* Query parameters as Synapse's admin API reads them. */
#ifndef HS_WORKERS_ADMIN_QUERY_H
#define HS_WORKERS_ADMIN_QUERY_H

#include "runtime/http.h"

/* A number that is not negative; absent leaves *ret. */
static inline hs_error *hs_admin_query_count(hs_req *q, const char *name, int64_t *ret)
{
    int64_t v = 0;
    bool has;

    HS_TRY(hs_query_i64(q, name, &has, &v));
    if (has && v < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter %s must be a positive integer.", name);
    if (has)
        *ret = v;
    return NULL;
}

/* Text that PostgreSQL can look for; absent is fine. */
static inline hs_error *hs_admin_query_text(hs_req *q, const char *name, hs_str v)
{
    if (v.p && (!hs_str_is_utf8(v) || memchr(v.p, 0, v.n)))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter '%s' must be utf-8", name);
    return NULL;
}

/* The direction: whether backwards. */
static inline hs_error *hs_admin_query_dir(hs_req *q, bool by_default, bool *ret_back)
{
    hs_str dir = hs_query(q, "dir");

    if (dir.p && !hs_str_eq(dir, HS_S("f")) && !hs_str_eq(dir, HS_S("b")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'dir' must be one of ['b', 'f']");
    *ret_back = dir.p ? hs_str_eq(dir, HS_S("b")) : by_default;
    return NULL;
}

#endif
