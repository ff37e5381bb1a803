#include "store/names.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_db(void **state)
{
    static test_db t;

    test_db_open(&t);
    *state = &t;
    return 0;
}

static int close_db(void **state)
{
    test_db_close(*state);
    return 0;
}

static void a_name_gets_one_number_for_ever(void **state)
{
    test_db *t = *state;
    const hs_str ids[] = { HS_S("@a:x"), HS_S("@b:y"), HS_S("@a:x"), HS_S("@c:x:8448") };
    hs_nid first[4], again[4], none[2];
    hs_str names[3];

    test_ok(hs_store_users_ensure(t->db, t->a, ids, 4, first));
    assert_true(first[0] > 0 && first[1] > 0 && first[0] != first[1]);
    assert_true(first[0] == first[2]);
    test_ok(hs_store_users_ensure(t->db, t->a, ids, 4, again));
    assert_memory_equal(first, again, sizeof first);
    test_ok(hs_store_users_find(t->db, t->a, (const hs_str[]){ HS_S("@b:y"), HS_S("@z:y") }, 2, none));
    assert_true(none[0] == first[1] && none[1] == 0);
    test_ok(hs_store_user_ids(t->db, t->a, (const hs_nid[]){ first[1], 999999, first[3] }, 3, names));
    assert_true(hs_str_eq(names[0], ids[1]));
    assert_null(names[1].p);
    assert_true(hs_str_eq(names[2], ids[3]));
    test_ok(hs_store_servers_find(t->db, t->a, (const hs_str[]){ HS_S("x:8448"), HS_S("x") }, 2, none));
    assert_true(none[0] > 0 && none[1] > 0 && none[0] != none[1]);
}

static void two_writers_agree_on_new_names(void **state)
{
    enum { N = 300 };
    test_db *t = *state;
    hs_db *other;
    hs_str *ids;
    hs_nid x[N], y[N];

    test_ok(hs_db_open(t->loop, t->a, &(hs_db_options){ .conninfo = t->conninfo }, &other));
    test_ok(hs_alloc(t->a, N, &ids));
    for (int i = 0; i < N; i++)
        test_ok(hs_str_fmt(t->a, &ids[i], "@u%d:s%d", i, i % 7));
    test_ok(hs_store_users_ensure(t->db, t->a, ids, N, x));
    test_ok(hs_store_users_ensure(other, t->a, ids, N, y));
    assert_memory_equal(x, y, sizeof x);
    hs_db_close(other);
}

static void meta_keeps_the_first_value(void **state)
{
    test_db *t = *state;
    hs_str v;

    test_ok(hs_store_meta_get(t->db, t->a, HS_S("k"), &v));
    assert_null(v.p);
    test_ok(hs_store_meta_ensure(t->db, t->a, HS_S("k"), HS_S("one"), &v));
    assert_true(hs_str_eq(v, HS_S("one")));
    test_ok(hs_store_meta_ensure(t->db, t->a, HS_S("k"), HS_S("two"), &v));
    assert_true(hs_str_eq(v, HS_S("one")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_gets_one_number_for_ever),
        cmocka_unit_test(two_writers_agree_on_new_names),
        cmocka_unit_test(meta_keeps_the_first_value),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
