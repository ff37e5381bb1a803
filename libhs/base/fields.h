/* Request bodies as plain C fields: a table says which members are read, of what type, and where they go. Unknown
 * members are ignored, a wrong type is M_BAD_JSON (400) with the member's name, a missing needed one M_MISSING_PARAM
 * (400). JSON null counts as absent for optional members.
 *
 *     typedef struct { hs_str name; bool has_limit; int64_t limit; } body;
 *     static const hs_field FIELDS[] = {
 *         HS_NEED_STR(body, name),
 *         HS_OPT_INT(body, limit, has_limit),
 *         { 0 },
 *     };
 */
#ifndef HS_BASE_FIELDS_H
#define HS_BASE_FIELDS_H

#include "base/tape.h"

typedef enum { HS_F_END, HS_F_STR, HS_F_INT, HS_F_BOOL, HS_F_OBJ, HS_F_ARR, HS_F_STRS, HS_F_ANY } hs_field_type;

/* A list of strings read from an array. */
typedef struct {
    hs_str *at;
    size_t n;
} hs_strs;

typedef struct {
    hs_field_type type;
    bool needed;
    hs_str key;
    size_t offset;     /* of the hs_str, int64_t, bool, hs_jv (object, array, any) or hs_strs */
    size_t has_offset; /* of a bool that says the member was there; 0: none */
} hs_field;

/* clang-format off */
#define HS_FIELD_(t, need, S, m, name, has) { t, need, HS_S_INIT(name), offsetof(S, m), has }
#define HS_NEED_STR(S, m)       HS_FIELD_(HS_F_STR, true, S, m, #m, 0)
#define HS_OPT_STR(S, m)        HS_FIELD_(HS_F_STR, false, S, m, #m, 0)   /* absent: p is NULL */
#define HS_NEED_INT(S, m)       HS_FIELD_(HS_F_INT, true, S, m, #m, 0)
#define HS_OPT_INT(S, m, has)   HS_FIELD_(HS_F_INT, false, S, m, #m, offsetof(S, has))
#define HS_OPT_BOOL(S, m)       HS_FIELD_(HS_F_BOOL, false, S, m, #m, 0)  /* absent: untouched, so defaults may stand */
#define HS_NEED_OBJ(S, m)       HS_FIELD_(HS_F_OBJ, true, S, m, #m, 0)
#define HS_OPT_OBJ(S, m)        HS_FIELD_(HS_F_OBJ, false, S, m, #m, 0)
#define HS_NEED_ARR(S, m)       HS_FIELD_(HS_F_ARR, true, S, m, #m, 0)
#define HS_OPT_ARR(S, m)        HS_FIELD_(HS_F_ARR, false, S, m, #m, 0)
#define HS_OPT_STRS(S, m)       HS_FIELD_(HS_F_STRS, false, S, m, #m, 0)
#define HS_OPT_ANY(S, m)        HS_FIELD_(HS_F_ANY, false, S, m, #m, 0)
/* The same with a member name that is not a C identifier: HS_NAMED("m.relates_to", HS_F_OBJ, false, body, relates) */
#define HS_NAMED(name, t, need, S, m) HS_FIELD_(t, need, S, m, name, 0)
/* clang-format on */

/* `into` is a zeroed struct (or one with defaults) that the table describes. */
HS_NODISCARD hs_error *hs_fields_read(hs_arena *a, hs_jv obj, const hs_field *fields, void *into);

#endif
