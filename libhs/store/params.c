/* Parameters in PostgreSQL's binary form: integers and arrays in network order, text and bytea as they are. */
#include "store/params.h"

#include "base/checked.h"

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_BYTEA_ARRAY = 1001,
    OID_INT4_ARRAY = 1007,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
};

enum { ARRAY_HEAD = 20, PARAM_MAX = 0x3fffffff }; /* PostgreSQL takes a value of up to 1 GB */

static unsigned oid_of(char letter)
{
    switch (letter) {
    case 'n':
    case 'o':
    case 'p':
        return OID_INT8;
    case 'i':
        return OID_INT4;
    case 's':
        return OID_INT2;
    case 'f':
        return OID_BOOL;
    case 't':
        return OID_TEXT;
    case 'b':
        return OID_BYTEA;
    case 'N':
        return OID_INT8_ARRAY;
    case 'I':
        return OID_INT4_ARRAY;
    case 'T':
        return OID_TEXT_ARRAY;
    case 'B':
        return OID_BYTEA_ARRAY;
    default:
        return 0;
    }
}

int hs_params_oids(const hs_stmt *s, unsigned ret[HS_PARAMS_MAX])
{
    int n = 0;

    for (const char *p = s->params; p && *p && n < HS_PARAMS_MAX; p++)
        ret[n++] = oid_of(*p);
    return n;
}

static hs_error *set(hs_params *p, int i, const char *value, size_t n)
{
    p->values[i] = value;
    p->lengths[i] = (int)n;
    return NULL;
}

static hs_error *bind_int(hs_arena *a, hs_params *p, int i, int64_t v, size_t width)
{
    char *to;

    HS_TRY(hs_alloc(a, 8, &to));
    hs_put_be(to, (uint64_t)v, width);
    return set(p, i, to, width);
}

/* `at` is kept behind the eight bytes that are sent. */
static hs_error *bind_pos(hs_arena *a, hs_params *p, int i, uint32_t at)
{
    char *to;

    HS_TRY(hs_alloc(a, 12, &to));
    hs_put_be(to + 8, at, 4);
    return set(p, i, to, 8);
}

uint32_t hs_params_at(const hs_params *p, int i)
{
    return (uint32_t)hs_get_be(p->values[i] + 8, 4);
}

void hs_params_set_pos(const hs_params *p, int i, int64_t value)
{
    char *to;

    memcpy(&to, &p->values[i], sizeof to); /* our own bytes, see bind_pos */
    hs_put_be(to, (uint64_t)value, 8);
}

static hs_error *bind_str(hs_arena *a, hs_params *p, int i, hs_str v, bool text, hs_params_keep keep)
{
    char *to;

    if (!v.p)
        return set(p, i, NULL, 0);
    if (v.n > PARAM_MAX)
        return hs_err(a, 413, HS_M_TOO_LARGE, "Value too large");
    if (text && v.n && memchr(v.p, 0, v.n))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "NUL is not allowed here");
    if (keep == HS_PARAMS_BORROW)
        return set(p, i, v.n ? v.p : "", v.n);
    HS_TRY(hs_alloc(a, v.n + 1, &to));
    if (v.n)
        memcpy(to, v.p, v.n);
    return set(p, i, to, v.n);
}

static char *array_head(char *to, unsigned element_oid, size_t n)
{
    hs_put_be(to, 1, 4);     /* dimensions */
    hs_put_be(to + 4, 0, 4); /* no NULLs */
    hs_put_be(to + 8, element_oid, 4);
    hs_put_be(to + 12, n, 4); /* length */
    hs_put_be(to + 16, 1, 4); /* lower bound */
    return to + ARRAY_HEAD;
}

static hs_error *array_alloc(hs_arena *a, size_t bytes, char **ret)
{
    if (bytes > PARAM_MAX)
        return hs_err(a, 413, HS_M_TOO_LARGE, "Too many values");
    return hs_alloc(a, bytes + ARRAY_HEAD, ret);
}

static hs_error *bind_ints(hs_arena *a, hs_params *p, int i, const void *at, size_t n, size_t width)
{
    char *to, *base;
    size_t bytes;

    if (!at)
        return set(p, i, NULL, 0);
    if (!hs_mul_size(n, 4 + width, &bytes))
        return HS_ERR_NOMEM;
    HS_TRY(array_alloc(a, bytes, &base));
    to = array_head(base, width == 8 ? OID_INT8 : OID_INT4, n);
    for (size_t k = 0; k < n; k++) {
        hs_put_be(to, width, 4);
        if (width == 8)
            hs_put_be(to + 4, (uint64_t)((const int64_t *)at)[k], 8);
        else
            hs_put_be(to + 4, (uint64_t)((const int32_t *)at)[k], 4);
        to += 4 + width;
    }
    return set(p, i, base, (size_t)(to - base));
}

static hs_error *bind_strs(hs_arena *a, hs_params *p, int i, hs_strs v, bool text)
{
    char *to, *base;
    size_t bytes = 0;

    if (!v.at)
        return set(p, i, NULL, 0);
    for (size_t k = 0; k < v.n; k++) {
        if (v.at[k].n > PARAM_MAX || !hs_add_size(bytes, 4 + v.at[k].n, &bytes))
            return hs_err(a, 413, HS_M_TOO_LARGE, "Value too large");
        if (text && v.at[k].n && memchr(v.at[k].p, 0, v.at[k].n))
            return hs_err(a, 400, HS_M_INVALID_PARAM, "NUL is not allowed here");
    }
    HS_TRY(array_alloc(a, bytes, &base));
    to = array_head(base, text ? OID_TEXT : OID_BYTEA, v.n);
    for (size_t k = 0; k < v.n; k++) {
        hs_put_be(to, v.at[k].n, 4);
        if (v.at[k].n)
            memcpy(to + 4, v.at[k].p, v.at[k].n);
        to += 4 + v.at[k].n;
    }
    return set(p, i, base, (size_t)(to - base));
}

static hs_error *bind_opt_int(hs_arena *a, hs_params *p, int i, const int64_t *v)
{
    return v ? bind_int(a, p, i, *v, 8) : set(p, i, NULL, 0);
}

hs_error *hs_params_bind(hs_arena *a, const hs_stmt *s, hs_params_keep keep, va_list ap, hs_params *ret)
{
    size_t n = s->params ? strlen(s->params) : 0;
    hs_params p = { .n = (int)n };
    hs_nids nids;
    hs_ints ints;

    if (n > HS_PARAMS_MAX)
        return hs_err_internal(a, NULL, "statement %s has too many parameters", s->name);
    HS_TRY(hs_alloc(a, n, &p.values));
    HS_TRY(hs_alloc(a, n, &p.lengths));
    for (int i = 0; i < p.n; i++) {
        switch (s->params[i]) {
        case 'n':
            HS_TRY(bind_int(a, &p, i, va_arg(ap, int64_t), 8));
            break;
        case 'i':
            HS_TRY(bind_int(a, &p, i, va_arg(ap, int32_t), 4));
            break;
        case 's':
            HS_TRY(bind_int(a, &p, i, va_arg(ap, int32_t), 2));
            break;
        case 'f':
            HS_TRY(bind_int(a, &p, i, va_arg(ap, int) != 0, 1));
            break;
        case 'o':
            HS_TRY(bind_opt_int(a, &p, i, va_arg(ap, const int64_t *)));
            break;
        case 'p':
            HS_TRY(bind_pos(a, &p, i, va_arg(ap, uint32_t)));
            break;
        case 't':
        case 'b':
            HS_TRY(bind_str(a, &p, i, va_arg(ap, hs_str), s->params[i] == 't', keep));
            break;
        case 'N':
            nids = va_arg(ap, hs_nids);
            HS_TRY(bind_ints(a, &p, i, nids.at, nids.n, 8));
            break;
        case 'I':
            ints = va_arg(ap, hs_ints);
            HS_TRY(bind_ints(a, &p, i, ints.at, ints.n, 4));
            break;
        case 'T':
        case 'B':
            HS_TRY(bind_strs(a, &p, i, va_arg(ap, hs_strs), s->params[i] == 'T'));
            break;
        default:
            return hs_err_internal(a, NULL, "statement %s has a parameter of type '%c'", s->name, s->params[i]);
        }
    }
    *ret = p;
    return NULL;
}
