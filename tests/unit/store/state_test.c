#include "store/state.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int open_db(void **state_)
{
    static test_db t;

    test_db_open(&t);
    *state_ = &t;
    return 0;
}

static int close_db(void **state_)
{
    test_db_close(*state_);
    return 0;
}

static void a_line_may_start_with_a_full_state(void **state_)
{
    test_db *t = *state_;
    const hs_state_entry full[] = { { 103, 3 }, { 101, 1 }, { 102, 2 } };
    hs_write_result r;
    hs_state_set set;
    hs_state_change *c;
    hs_write *u;
    hs_nid room = 6000;
    uint32_t at;
    size_t n;
    int32_t depth;

    test_ok(hs_write_open(t->db, t->a, &u));
    test_ok(hs_store_line_insert_full(u, room, 0, full, 3, HS_LINE_JOIN));
    test_ok(
        hs_write_item(u, &(hs_write_timeline){ .room = room, .event = 9, .seen_line = -1, .line = 0, .snap = 1 }, &at));
    test_ok(hs_write_state(u, at, 0, 1, 102, 9));
    test_ok(hs_store_line_insert_full(u, room, 1, full, 2, HS_LINE_GAP));
    test_ok(hs_store_line_insert(u, room, 2, (hs_snap){ 1, 0 }, HS_LINE_FORK));
    test_ok(hs_write_state(u, at, 2, 1, 103, HS_STATE_GONE));
    test_ok(hs_write_commit(u, &r));
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 0, 0 }, &set));
    assert_int_equal(set.n, 3);
    assert_true(set.at[0].event == 1 && set.at[1].event == 2 && set.at[2].event == 3);
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 0, 1 }, &set));
    assert_true(set.n == 3 && set.at[1].event == 9);
    test_ok(hs_store_state_at(t->db, t->a, room, (hs_snap){ 2, 1 }, &set));
    assert_true(set.n == 1 && set.at[0].slot == 101);
    /* no common base: compared whole */
    test_ok(hs_store_state_diff(t->db, t->a, room, (hs_snap){ 0, 1 }, (hs_snap){ 2, 1 }, &c, &n));
    assert_int_equal(n, 2);
    assert_true(c[0].slot == 102 && c[0].before == 9 && c[0].after == 0);
    assert_true(c[1].slot == 103 && c[1].before == 3 && c[1].after == 0);
    test_ok(hs_store_line_depth(t->db, t->a, room, 2, &depth));
    assert_int_equal(depth, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_may_start_with_a_full_state),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
