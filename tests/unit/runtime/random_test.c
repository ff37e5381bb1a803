#include "runtime/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A01: the one source of tokens; tests/style bans the others. */
static void random_text_is_of_its_alphabet_and_never_the_same(void **state)
{
    hs_arena *a = hs_arena_open(1 << 20);
    hs_str one, two;
    bool seen[256] = { false };
    (void)state;

    assert_null(hs_random_text(a, 40, NULL, &one));
    assert_null(hs_random_text(a, 40, NULL, &two));
    assert_int_equal(one.n, 40);
    assert_false(hs_str_eq(one, two));
    assert_null(hs_random_text(a, 2000, "abc", &one));
    for (size_t i = 0; i < one.n; i++)
        seen[(unsigned char)one.p[i]] = true;
    for (int c = 0; c < 256; c++)
        assert_int_equal(seen[c], c >= 'a' && c <= 'c');
    assert_null(hs_random_text(a, 0, NULL, &one));
    assert_int_equal(one.n, 0);
    assert_int_not_equal(hs_random_u64(), hs_random_u64());
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_text_is_of_its_alphabet_and_never_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
