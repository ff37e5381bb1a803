/* See canonical.h. Containers that are open live on a stack of frames, so that depth costs no stack of ours; the
 * members of an object are sorted by their decoded keys, whose UTF-8 order is the order of code points. */
#include "core/canonical.h"

#include "base/json_out.h"

#include <stdlib.h>

typedef struct {
    hs_str key;
    hs_jv value;
} member;

typedef struct {
    member *members; /* sorted; NULL for arrays */
    size_t n, next;
    hs_jv array;
    hs_jv_iter it;
} frame;

static int by_key(const void *x, const void *y)
{
    return hs_str_cmp(((const member *)x)->key, ((const member *)y)->key);
}

static bool left_out(hs_str key, const hs_str *without, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (hs_str_eq(key, without[i]))
            return true;
    return false;
}

static void open_object(hs_buf *b, frame *f, hs_jv obj, const hs_str *without, size_t without_n)
{
    *f = (frame){ 0 };
    if (hs_alloc(b->a, hs_jv_count(obj) + 1, &f->members)) {
        b->failed = true;
        return;
    }
    for (hs_jv_iter it = { 0 }; hs_jv_next(obj, &it);)
        if (!left_out(it.key, without, without_n))
            f->members[f->n++] = (member){ .key = it.key, .value = it.value };
    if (f->n > 1 && !hs_jv_is_canonical(obj))
        qsort(f->members, f->n, sizeof *f->members, by_key);
    hs_buf_addc(b, '{');
}

/* A scalar, or a value whose bytes are canonical as they stand. */
static void add_plain(hs_buf *b, hs_jv v)
{
    hs_str s;

    if (!hs_jv_is_canonical(v) && hs_jv_str(v, &s))
        hs_json_quote(b, s);
    else
        hs_buf_splice(b, hs_jv_raw(v));
}

static bool is_open_container(hs_jv v)
{
    hs_jv_type t = hs_jv_type_of(v);
    return (t == HS_JV_OBJ || t == HS_JV_ARR) && !hs_jv_is_canonical(v);
}

/* The next value of the innermost container, its comma and key written; false when there is none. */
static bool next_value(hs_buf *b, frame *f, hs_jv *ret)
{
    bool first = f->next++ == 0;

    if (!f->members) {
        if (!hs_jv_next(f->array, &f->it))
            return false;
        if (!first)
            hs_buf_addc(b, ',');
        *ret = f->it.value;
        return true;
    }
    if (f->next > f->n)
        return false;
    if (!first)
        hs_buf_addc(b, ',');
    hs_json_quote(b, f->members[f->next - 1].key);
    hs_buf_addc(b, ':');
    *ret = f->members[f->next - 1].value;
    return true;
}

/* Few documents are deeper than a handful of levels. */
enum { FIRST_FRAMES = 8 };

static hs_error *grow(hs_arena *a, frame **stack, size_t depth, size_t *cap)
{
    frame *grown;

    HS_TRY(hs_alloc(a, *cap * 4, &grown)); /* the reader has bounded the depth */
    memcpy(grown, *stack, depth * sizeof *grown);
    *stack = grown;
    *cap *= 4;
    return NULL;
}

void hs_canonical_add(hs_buf *b, hs_jv v, const hs_str *without, size_t without_n)
{
    frame *stack;
    size_t depth = 0, cap = FIRST_FRAMES;
    bool object = hs_jv_type_of(v) == HS_JV_OBJ;

    if (!is_open_container(v) && !(object && without_n)) {
        add_plain(b, v);
        return;
    }
    if (hs_alloc(b->a, cap, &stack)) {
        b->failed = true;
        return;
    }
    for (;;) {
        if (depth == cap && grow(b->a, &stack, depth, &cap)) {
            b->failed = true;
            return;
        }
        frame *f = &stack[depth++];
        if (hs_jv_type_of(v) == HS_JV_OBJ) {
            open_object(b, f, v, without, depth == 1 ? without_n : 0);
        } else {
            *f = (frame){ .array = v };
            hs_buf_addc(b, '[');
        }
        while (depth) {
            f = &stack[depth - 1];
            if (b->failed)
                return;
            if (!next_value(b, f, &v)) {
                hs_buf_addc(b, f->members ? '}' : ']');
                depth--;
            } else if (is_open_container(v)) {
                break;
            } else {
                add_plain(b, v);
            }
        }
        if (!depth)
            return;
    }
}

hs_error *hs_canonical(hs_arena *a, hs_jv v, const hs_str *without, size_t without_n, hs_str *ret)
{
    hs_buf b;

    if (!without_n && hs_jv_is_canonical(v)) {
        *ret = hs_jv_raw(v);
        return NULL;
    }
    hs_buf_init(&b, a);
    hs_canonical_add(&b, v, without, without_n);
    return hs_buf_flatten(&b, ret);
}
