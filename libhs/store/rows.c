/* Rows as PostgreSQL sent them: read in place from libpq's result, which lives until the arena is reset. */
#include "store/rows.h"

#include "store/params.h"

size_t hs_rows_count(const hs_rows *r)
{
    int n = PQntuples(r->res);

    return n > 0 ? (size_t)n : 0;
}

bool hs_rows_null(const hs_rows *r, size_t row, size_t col)
{
    return PQgetisnull(r->res, (int)row, (int)col) != 0;
}

int64_t hs_rows_i64(const hs_rows *r, size_t row, size_t col)
{
    const char *p = PQgetvalue(r->res, (int)row, (int)col);

    if (hs_rows_null(r, row, col))
        return 0;
    switch (PQgetlength(r->res, (int)row, (int)col)) {
    case 8:
        return (int64_t)hs_get_be(p, 8);
    case 4:
        return (int32_t)hs_get_be(p, 4);
    case 2:
        return (int16_t)hs_get_be(p, 2);
    default:
        return 0;
    }
}

bool hs_rows_bool(const hs_rows *r, size_t row, size_t col)
{
    return PQgetlength(r->res, (int)row, (int)col) == 1 && *PQgetvalue(r->res, (int)row, (int)col) != 0;
}

hs_str hs_rows_str(const hs_rows *r, size_t row, size_t col)
{
    if (hs_rows_null(r, row, col))
        return hs_str_make(NULL, 0);
    return hs_str_make(PQgetvalue(r->res, (int)row, (int)col), (size_t)PQgetlength(r->res, (int)row, (int)col));
}

/* The elements' bytes of a one-dimensional array; *ret_n 0 for NULL and for an empty one. */
static hs_error *array_open(const hs_rows *r, hs_arena *a, size_t row, size_t col, hs_str *ret_rest, size_t *ret_n)
{
    hs_str v = hs_rows_str(r, row, col);
    uint64_t dims, n;

    *ret_n = 0;
    if (!v.p)
        return NULL;
    if (v.n < 12)
        return hs_err_internal(a, NULL, "an array of %zu bytes", v.n);
    dims = hs_get_be(v.p, 4);
    if (dims == 0)
        return NULL;
    n = dims == 1 && v.n >= 20 ? hs_get_be(v.p + 12, 4) : UINT64_MAX;
    if (n > (v.n - 20) / 4)
        return hs_err_internal(a, NULL, "an array that is not of one dimension");
    *ret_rest = hs_str_from(v, 20);
    *ret_n = (size_t)n;
    return NULL;
}

static hs_error *array_next(hs_arena *a, hs_str *rest, hs_str *ret)
{
    uint64_t n;

    if (rest->n < 4)
        return hs_err_internal(a, NULL, "an array ends too early");
    n = hs_get_be(rest->p, 4);
    if (n == UINT32_MAX) { /* NULL */
        *ret = hs_str_make(NULL, 0);
        *rest = hs_str_from(*rest, 4);
        return NULL;
    }
    if (n > rest->n - 4)
        return hs_err_internal(a, NULL, "an array's element ends too late");
    *ret = hs_str_make(rest->p + 4, (size_t)n);
    *rest = hs_str_from(*rest, 4 + (size_t)n);
    return NULL;
}

hs_error *hs_rows_nids(const hs_rows *r, hs_arena *a, size_t row, size_t col, hs_nids *ret)
{
    hs_str rest = { NULL, 0 }, v;
    hs_nid *out;
    size_t n;

    HS_TRY(array_open(r, a, row, col, &rest, &n));
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++) {
        HS_TRY(array_next(a, &rest, &v));
        if (v.n == 8)
            out[i] = (int64_t)hs_get_be(v.p, 8);
        else if (v.n == 4)
            out[i] = (int32_t)hs_get_be(v.p, 4);
    }
    *ret = (hs_nids){ out, n };
    return NULL;
}

hs_error *hs_rows_strs(const hs_rows *r, hs_arena *a, size_t row, size_t col, hs_strs *ret)
{
    hs_str rest = { NULL, 0 };
    hs_str *out;
    size_t n;

    HS_TRY(array_open(r, a, row, col, &rest, &n));
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        HS_TRY(array_next(a, &rest, &out[i]));
    *ret = (hs_strs){ out, n };
    return NULL;
}
