/* Canonical JSON: what comes out is known to be canonical when it is read again, and comes out as itself; a copy with
 * blanks around everything comes out as the same bytes. */
#include "core/canonical.h"

#include "fuzz/fuzz.h"

static const hs_str WITHOUT[] = { HS_S_INIT("a"), HS_S_INIT("unsigned") };

static hs_str canonical(hs_arena *a, hs_jv v, size_t without_n)
{
    hs_str out;

    must(!hs_canonical(a, v, WITHOUT, without_n, &out));
    return out;
}

/* Blanks around every token that is not inside a string. */
static hs_str spread(hs_arena *a, hs_str s)
{
    hs_buf b;
    hs_str out;
    bool inside = false;

    hs_buf_init(&b, a);
    for (size_t i = 0; i < s.n; i++) {
        bool mark = !inside && strchr("{}[],:", s.p[i]) != NULL;
        if (mark)
            hs_buf_addc(&b, '\n');
        hs_buf_addc(&b, s.p[i]);
        if (mark)
            hs_buf_addc(&b, ' ');
        if (inside && s.p[i] == '\\')
            hs_buf_addc(&b, s.p[++i]);
        else if (s.p[i] == '"')
            inside = !inside;
    }
    must(!hs_buf_flatten(&b, &out));
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    hs_arena *a = fresh_arena();
    hs_jv v, again;

    if (!n || hs_tape_parse(a, exactly(a, data + 1, n - 1), data[0] & HS_JSON_DUP_KEYS_LAST, &v))
        return 0;
    for (size_t without_n = 0; without_n <= 2; without_n++) {
        hs_str once = canonical(a, v, without_n);
        bool real = hs_tape_parse(a, once, HS_JSON_CANONICAL, &again) != NULL;
        must(!hs_tape_parse(a, once, 0, &again));
        must(real || hs_jv_is_canonical(again));
        must(hs_str_eq(canonical(a, again, 0), once));
        must(hs_jv_type_of(v) != HS_JV_OBJ || !hs_jv_is(hs_jv_get(again, HS_S("a"))) || !without_n);
        must(!hs_tape_parse(a, spread(a, once), 0, &again));
        must(hs_str_eq(canonical(a, again, 0), once));
    }
    return 0;
}
