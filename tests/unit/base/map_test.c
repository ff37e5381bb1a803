#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Compared with an array as the model, under random inserts and removals over few keys, so that chains wrap and shift.
 */
static void agrees_with_an_array_under_churn(void **state)
{
    enum { KEYS = 200, ROUNDS = 20000 };
    static int values[KEYS];
    int *model[KEYS] = { 0 };
    hs_map *m = hs_map_open(42);
    unsigned rnd = 1;
    size_t live = 0;
    (void)state;

    for (int round = 0; round < ROUNDS; round++) {
        char key[32];
        rnd = rnd * 1103515245u + 12345u;
        unsigned k = (rnd >> 16) % KEYS;
        int n = snprintf(key, sizeof key, k % 2 ? "key-%u" : "a much longer key %u", k);
        hs_str s = hs_str_make(key, (size_t)n);

        assert_ptr_equal(hs_map_get(m, s), model[k]);
        if (rnd & 0x8000u) {
            void *old;
            assert_true(hs_map_put(m, s, &values[k], &old));
            assert_ptr_equal(old, model[k]);
            live += model[k] == NULL;
            model[k] = &values[k];
        } else {
            assert_ptr_equal(hs_map_remove(m, s), model[k]);
            live -= model[k] != NULL;
            model[k] = NULL;
        }
        assert_int_equal(hs_map_count(m), live);
    }
    hs_map_close(m);
}

static void walk_gives_every_entry_once(void **state)
{
    static int seen[100];
    hs_map *m = hs_map_open(7);
    size_t it = 0, n = 0;
    hs_str key;
    void *v;
    (void)state;

    for (uint64_t i = 0; i < 100; i++)
        assert_true(hs_map_put_n(m, i, &seen[i], NULL));
    while (hs_map_next(m, &it, &key, &v)) {
        assert_int_equal((*(int *)v)++, 0);
        n++;
    }
    assert_int_equal(n, 100);
    hs_map_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_an_array_under_churn),
        cmocka_unit_test(walk_gives_every_entry_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
