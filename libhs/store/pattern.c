/* See pattern.h. */
#include "store/pattern.h"

hs_error *hs_store_pattern(hs_arena *a, hs_str text, hs_str *ret)
{
    char *p;
    size_t n = 0;

    HS_TRY(hs_alloc(a, 2 * text.n + 1, &p));
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '%' || c == '_' || c == '\\')
            p[n++] = '\\';
        p[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    *ret = hs_str_make(p, n);
    return NULL;
}
