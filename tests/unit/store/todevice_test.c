#include "store/todevice.h"

#include "store/names.h"
#include "store/sessions.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_db(void **state)
{
    static test_db t;

    t = (test_db){ 0 };
    test_db_open(&t);
    *state = &t;
    return 0;
}

static int close_db(void **state)
{
    test_db_close(*state);
    return 0;
}

static hs_nid user(test_db *t, const char *name)
{
    hs_str id = hs_str_c(name);
    hs_nid nid;

    test_ok(hs_store_users_ensure(t->db, t->a, &id, 1, &nid));
    return nid;
}

static hs_write *unit(test_db *t)
{
    hs_write *w;
    uint32_t at;

    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_write_position(w, &at));
    return w;
}

static void commit(hs_write *w)
{
    hs_write_result r;

    test_ok(hs_write_commit(w, &r));
    assert_int_equal(r.status, HS_WRITE_OK);
}

static void device(test_db *t, hs_nid of, const char *id)
{
    hs_str token;
    hs_write *w;

    test_ok(hs_str_fmt(t->a, &token, "%lld %s", (long long)of, id));
    w = unit(t);
    test_ok(hs_store_login(w, of, hs_str_c(id), hs_str_make(NULL, 0), token, 1, 0));
    commit(w);
}

/* Position of the message. */
static int64_t put(test_db *t, hs_nid to, const char *device_id, const char *msg)
{
    hs_str device = hs_str_c(device_id), text = hs_str_c(msg);
    const int32_t which = 0;
    hs_write_result result;
    hs_write *w;
    uint32_t at;

    test_ok(hs_write_open(t->db, t->a, &w));
    test_ok(hs_write_position(w, &at));
    test_ok(hs_store_todevice_put(w, (hs_nids){ &to, 1 }, (hs_strs){ &device, 1 }, (hs_ints){ &which, 1 },
                                  (hs_strs){ &text, 1 }, at));
    test_ok(hs_write_commit(w, &result));
    assert_int_equal(result.status, HS_WRITE_OK);
    return result.first + at;
}

static size_t count(test_db *t, hs_nid of, const char *device_id)
{
    hs_todevice_row *rows;
    size_t n;

    test_ok(hs_store_todevice_after(t->db, t->a, of, hs_str_c(device_id), 0, INT64_MAX, 1000, &rows, &n));
    return n;
}

static void targets_are_the_devices_that_exist(void **state)
{
    test_db *t = *state;
    hs_nid alice = user(t, "@alice:x"), bob = user(t, "@bob:x");
    hs_str users[] = { HS_S("@bob:x"), HS_S("@nobody:x"), HS_S("@alice:x"), HS_S("@bob:x"), HS_S("@bob:x") };
    hs_str devices[] = { HS_S("B2"), HS_S("B1"), HS_S("*"), HS_S("*"), HS_S("NONE") };
    int32_t everyone[] = { 0, 0, 1, 0, 0 };
    hs_todevice_target *at;
    size_t n;

    device(t, alice, "A2");
    device(t, alice, "A1");
    device(t, alice, "MASTER");
    device(t, bob, "B1");
    device(t, bob, "B2");
    test_pg_sql(t->conninfo, "UPDATE device SET hidden = true WHERE device_id = 'MASTER'");
    test_ok(hs_store_todevice_targets(t->db, t->a, (hs_strs){ users, 5 }, (hs_strs){ devices, 5 },
                                      (hs_ints){ everyone, 5 }, 100, &at, &n));
    assert_int_equal(n, 3);
    assert_true(at[0].of == 0 && at[0].user == bob && hs_str_eq(at[0].device_id, HS_S("B2")));
    assert_true(at[1].of == 2 && at[1].user == alice && hs_str_eq(at[1].device_id, HS_S("A1")));
    assert_true(at[2].of == 2 && at[2].user == alice && hs_str_eq(at[2].device_id, HS_S("A2")));
    test_ok(hs_store_todevice_targets(t->db, t->a, (hs_strs){ users, 5 }, (hs_strs){ devices, 5 },
                                      (hs_ints){ everyone, 5 }, 2, &at, &n));
    assert_int_equal(n, 2);
}

static void messages_stay_in_order_until_they_are_deleted(void **state)
{
    test_db *t = *state;
    hs_nid bob = user(t, "@bob:x");
    hs_todevice_row *rows;
    int64_t pos[4];
    size_t n;

    device(t, bob, "B");
    device(t, bob, "OTHER");
    for (int i = 0; i < 4; i++)
        pos[i] = put(t, bob, "B", (const char *[]){ "one", "two", "three", "four" }[i]);
    put(t, bob, "OTHER", "elsewhere");
    test_ok(hs_store_todevice_after(t->db, t->a, bob, HS_S("B"), pos[0], pos[3], 2, &rows, &n));
    assert_true(n == 2 && rows[0].pos == pos[1] && rows[1].pos == pos[2]);
    assert_true(hs_str_eq(rows[0].msg, HS_S("two")) && hs_str_eq(rows[1].msg, HS_S("three")));
    test_ok(hs_store_todevice_after(t->db, t->a, bob, HS_S("B"), pos[0], pos[1], 2, &rows, &n));
    assert_int_equal(n, 1);
    test_ok(hs_store_todevice_delete(t->db, t->a, bob, HS_S("B"), pos[2]));
    assert_int_equal(count(t, bob, "B"), 1);
    assert_int_equal(count(t, bob, "OTHER"), 1);
}

static void no_message_is_kept_for_a_device_that_is_not_there(void **state)
{
    test_db *t = *state;
    hs_nid bob = user(t, "@bob:x");
    hs_str b = HS_S("B");
    hs_write *w;

    put(t, bob, "B", "too early");
    assert_int_equal(count(t, bob, "B"), 0);
    device(t, bob, "B");
    device(t, bob, "C");
    device(t, bob, "D");
    put(t, bob, "B", "x");
    put(t, bob, "C", "x");
    put(t, bob, "D", "x");
    w = unit(t);
    test_ok(hs_store_devices_remove(w, bob, (hs_strs){ &b, 1 }));
    commit(w);
    assert_int_equal(count(t, bob, "B"), 0);
    assert_int_equal(count(t, bob, "C"), 1);
    w = unit(t);
    test_ok(hs_store_devices_remove_others(w, bob, HS_S("D")));
    commit(w);
    assert_int_equal(count(t, bob, "C"), 0);
    assert_int_equal(count(t, bob, "D"), 1);
}

static void a_new_device_does_not_inherit_what_an_old_one_of_its_name_left(void **state)
{
    test_db *t = *state;
    hs_nid bob = user(t, "@bob:x");

    /* As when a message is written while the device is being removed. */
    test_pg_sql(t->conninfo, "INSERT INTO to_device SELECT user_nid, 'B', 1, 'x' FROM user_id");
    assert_int_equal(count(t, bob, "B"), 1);
    device(t, bob, "B");
    assert_int_equal(count(t, bob, "B"), 0);
    put(t, bob, "B", "x");
    device(t, bob, "B"); /* the same device logs in again */
    assert_int_equal(count(t, bob, "B"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_db, close_db)
    const struct CMUnitTest tests[] = {
        TEST(targets_are_the_devices_that_exist),
        TEST(messages_stay_in_order_until_they_are_deleted),
        TEST(no_message_is_kept_for_a_device_that_is_not_there),
        TEST(a_new_device_does_not_inherit_what_an_old_one_of_its_name_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
