/* The strict reader: the first byte is its flags, the rest a document. Every accessor agrees with the others about what
 * was read, and jansson agrees about what is JSON. */
#include "base/tape.h"

#include "fuzz/fuzz.h"

#include <jansson.h>

/* The node count of the subtree, walked without recursion by way of raw bytes: children lie within their parents. */
static void walk(hs_jv top)
{
    hs_jv stack[HS_JSON_DEEP_DEPTH + 1];
    hs_jv_iter its[HS_JSON_DEEP_DEPTH + 1];
    size_t depth = 1;

    stack[0] = top;
    its[0] = (hs_jv_iter){ 0 };
    while (depth) {
        hs_jv v = stack[depth - 1];
        hs_str outer = hs_jv_raw(v), inner, s;
        int64_t i;
        bool b;
        if (!hs_jv_next(v, &its[depth - 1])) {
            depth--;
            continue;
        }
        const hs_jv_iter *it = &its[depth - 1];
        inner = hs_jv_raw(it->value);
        must(inner.n > 0 && inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n);
        must(!hs_jv_is_canonical(v) || hs_jv_is_canonical(it->value));
        if (hs_jv_type_of(v) == HS_JV_OBJ) {
            must(hs_str_is_utf8(it->key) && it->raw_key.n >= 2 && it->raw_key.p[0] == '"');
            must(hs_jv_get(v, it->key).i == it->value.i);
        }
        must(hs_jv_str(it->value, &s) == (hs_jv_type_of(it->value) == HS_JV_STR));
        if (hs_jv_str(it->value, &s))
            must(hs_str_is_utf8(s) && s.n + 2 <= inner.n);
        must(hs_jv_int(it->value, &i) == (hs_jv_type_of(it->value) == HS_JV_INT));
        (void)hs_jv_bool(it->value, &b);
        if (hs_jv_count(it->value)) {
            must(depth < HS_JSON_DEEP_DEPTH);
            stack[depth] = it->value;
            its[depth++] = (hs_jv_iter){ 0 };
        }
    }
}

/* What jansson cannot hold, or we do not want, is left out of the comparison. */
static void compare(hs_str doc, const hs_error *e)
{
    json_error_t why;

    if (memchr(doc.p, 0, doc.n))
        return; /* jansson takes it for the end */
    json_t *theirs = json_loadb(doc.p, doc.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    enum json_error_code code = theirs ? json_error_unknown : json_error_code(&why);

    json_decref(theirs);
    if (!e)
        must(theirs || code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    else
        must(!theirs || memmem(e->message.p, e->message.n, "nested too deep", 15) ||
             memmem(e->message.p, e->message.n, "too many values", 15));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_jv v = { 0 };

    if (!n)
        return 0;
    hs_str doc = exactly(a, data + 1, n - 1);
    hs_error *e = hs_tape_parse(a, doc, data[0] & 15u, &v);
    must((e != NULL) == (v.t == NULL));
    must(!e || e->status == 400);
    if (!e)
        walk(v);
    compare(doc, hs_tape_parse(a, doc, 0, &v));
    return 0;
}
