#include "support/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

hs_str test_file(hs_arena *a, const char *path)
{
    enum { CAP = 1 << 20 };
    hs_str full = { NULL, 0 };
    char *p = hs_arena_alloc(a, CAP);

    assert_non_null(p);
    assert_null(hs_str_cat(a, &full, 2, HS_S(HS_SOURCE_DIR "/"), hs_str_c(path)));
    FILE *f = fopen(full.p, "rb");
    assert_non_null(f);
    size_t n = fread(p, 1, CAP, f);
    assert_true(n > 0 && n < CAP);
    assert_int_equal(fclose(f), 0);
    return hs_str_make(p, n);
}
