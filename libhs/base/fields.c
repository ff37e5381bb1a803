/* See fields.h. */
#include "base/fields.h"

static hs_error *wrong_type(hs_arena *a, const hs_field *f, const char *wanted)
{
    return hs_err(a, 400, HS_M_BAD_JSON, "'%.*s' must be %s", HS_FMT(f->key), wanted);
}

static hs_error *read_strs(hs_arena *a, const hs_field *f, hs_jv v, hs_strs *ret)
{
    hs_strs list = { 0 };

    if (hs_jv_type_of(v) != HS_JV_ARR)
        return wrong_type(a, f, "a list of strings");
    HS_TRY(hs_alloc(a, hs_jv_count(v), &list.at));
    for (hs_jv_iter it = { 0 }; hs_jv_next(v, &it);)
        if (!hs_jv_str(it.value, &list.at[list.n++]))
            return wrong_type(a, f, "a list of strings");

    *ret = list;
    return NULL;
}

static hs_error *read_field(hs_arena *a, const hs_field *f, hs_jv v, void *at)
{
    switch (f->type) {
    case HS_F_STR:
        return hs_jv_str(v, at) ? NULL : wrong_type(a, f, "a string");
    case HS_F_INT:
        return hs_jv_int(v, at) ? NULL : wrong_type(a, f, "an integer");
    case HS_F_BOOL:
        return hs_jv_bool(v, at) ? NULL : wrong_type(a, f, "a boolean");
    case HS_F_OBJ:
        if (hs_jv_type_of(v) != HS_JV_OBJ)
            return wrong_type(a, f, "an object");
        break;
    case HS_F_ARR:
        if (hs_jv_type_of(v) != HS_JV_ARR)
            return wrong_type(a, f, "a list");
        break;
    case HS_F_STRS:
        return read_strs(a, f, v, at);
    case HS_F_ANY:
    case HS_F_END:
        break;
    }
    *(hs_jv *)at = v;
    return NULL;
}

hs_error *hs_fields_read(hs_arena *a, hs_jv obj, const hs_field *fields, void *into)
{
    if (hs_jv_is(obj) && hs_jv_type_of(obj) != HS_JV_OBJ)
        return hs_err(a, 400, HS_M_BAD_JSON, "Content must be a JSON object.");
    for (const hs_field *f = fields; f->type != HS_F_END; f++) {
        hs_jv v = hs_jv_get(obj, f->key);
        if (!hs_jv_is(v) && f->needed)
            return hs_err(a, 400, HS_M_MISSING_PARAM, "Missing parameter '%.*s'", HS_FMT(f->key));
        if (!hs_jv_is(v) || (hs_jv_type_of(v) == HS_JV_NULL && !f->needed && f->type != HS_F_ANY))
            continue;
        HS_TRY(read_field(a, f, v, (char *)into + f->offset));
        if (f->has_offset)
            *(bool *)((char *)into + f->has_offset) = true;
    }
    return NULL;
}
