/* What is deleted with a room: compared with the schema, so that a new table is not forgotten. */
#include "store/purge.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Led by the user, or last of all; purge.c deletes them by other ways. */
#define OTHERS "'push_note', 'thread_sub', 'user_room', 'room'"

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

static void every_table_that_names_a_room_is_purged(void **state)
{
    test_db *t = *state;
    char sql[4096];
    size_t n = (size_t)snprintf(sql, sizeof sql,
                                "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'"
                                " AND column_name = 'room_nid' AND table_name NOT IN (" OTHERS);

    for (size_t i = 0; i < hs_store_purge_tables(); i++)
        n += (size_t)snprintf(sql + n, sizeof sql - n, ", '%s'", hs_store_purge_table(i));
    snprintf(sql + n, sizeof sql - n, ")");
    assert_true(n < sizeof sql - 2);
    assert_int_equal(test_pg_sql(t->conninfo, sql), 0);
}

typedef struct {
    test_db *t;
    int64_t cursor;
    uint64_t n, all;
    int slices;
} slices;

static void in_slices(void *ud)
{
    slices *s = ud;
    hs_tx *tx;
    size_t table = 0;

    while (strcmp(hs_store_purge_table(table), "relation") != 0)
        table++;
    s->cursor = INT64_MIN;
    do {
        test_ok(hs_tx_begin(s->t->db, s->t->a, &tx));
        test_ok(hs_store_purge_slice(tx, s->t->a, table, 7, &s->cursor, 10, &s->n));
        test_ok(hs_tx_commit(tx));
        s->all += s->n;
        s->slices++;
    } while (s->n == 10);
}

/* Many rows with one key are more than a slice. */
static void slices_take_all_rows_of_the_room_and_no_others(void **state)
{
    slices s = { .t = *state };

    test_pg_sql(s.t->conninfo, "INSERT INTO relation SELECT r, 1 + e / 30, 'm.x', e, 1, NULL, e, 0"
                               " FROM generate_series(7, 8) r, generate_series(1, 95) e");
    test_on_fiber(s.t->loop, in_slices, &s);
    assert_int_equal(s.all, 95);
    assert_int_equal(s.slices, 10);
    assert_int_equal(test_pg_sql(s.t->conninfo, "SELECT count(*) FROM relation"), 95);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_table_that_names_a_room_is_purged, open_db, close_db),
        cmocka_unit_test_setup_teardown(slices_take_all_rows_of_the_room_and_no_others, open_db, close_db),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
