/* Old push notes go, and nothing that is counted changes by it. */
#include "store/note_upkeep.h"
#include "store/unread.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { USERS = 6, ROOMS = 3, NEWEST = 4000, PLAIN = 3000, HIGH = 1000 };
#define DAY (INT64_C(24) * 3600 * 1000)

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

#define ON_FIBER(f)                                                                                                    \
    static void f##_(void **state)                                                                                     \
    {                                                                                                                  \
        test_case_on_fiber(((test_db *)*state)->loop, f, state);                                                       \
    }

/* The whole table once, `limit` rows at a time; how many slices that took. */
static int upkeep(test_db *t, int64_t plain, int64_t high, int32_t limit)
{
    hs_note_horizon h = { .plain = plain, .high = high };
    hs_note_key at = { 0 };
    bool end = false;
    hs_tx *tx;
    int n = 0;

    for (; !end; n++) {
        test_ok(hs_tx_begin(t->db, t->a, &tx));
        test_ok(hs_store_notes_slice(tx, t->a, &h, limit, &at, &end));
        test_ok(hs_tx_commit(tx));
    }
    return n;
}

static long long sql(test_db *t, const char *text)
{
    return test_pg_sql(t->conninfo, text);
}

/* Notes of users and of everybody, in threads and not, that notify, do not, or highlight; readers who are far behind,
 * in the middle, or have read threads of their own. */
static void write_history(test_db *t)
{
    sql(t, "SELECT setseed(0.5)");
    sql(t, "INSERT INTO push_note SELECT u, r, p, p, CASE WHEN p % 7 < 2 THEN 70 + p % 7 ELSE 0 END,"
           " CASE WHEN (p * 31 + u) % 5 = 0 THEN 1 ELSE -1 END,"
           " CASE (p * 17 + u) % 29 WHEN 0 THEN 1 WHEN 1 THEN -1 ELSE 0 END, 0"
           " FROM generate_series(0, 6) u, generate_series(1, 3) r, generate_series(1, 4000) p"
           " WHERE (p * 13 + u * 5 + r) % (u + 3) = 0 AND p % 3 = r - 1");
    sql(t, "INSERT INTO receipt(room_nid, user_nid, type, thread_nid, event_nid, ts, pos, event_pos, n_notify, n_high)"
           " SELECT r, u, k, h, 1, 0, 5000, 1 + (u * 997 + r * 331 + (h + 2) * 577 + length(k) * 101) % 4000, 0, 0"
           " FROM generate_series(1, 6) u, generate_series(1, 3) r, (VALUES ('m.read'), ('m.read.private'), ('')) k(k),"
           " (VALUES (-1), (0), (70), (71)) h(h) WHERE (u + r + h + length(k)) % 3 > 0");
}

static int by_place(const void *x, const void *y)
{
    const hs_note_sum *a = x, *b = y;

    if (a->room != b->room)
        return a->room < b->room ? -1 : 1;
    return (a->thread > b->thread) - (a->thread < b->thread);
}

typedef struct {
    hs_note_sum at[USERS][ROOMS * 4];
    size_t n[USERS];
} counts;

static void count(test_db *t, counts *ret)
{
    static const hs_nid rooms[ROOMS] = { 1, 2, 3 };

    memset(ret, 0, sizeof *ret);
    for (int u = 0; u < USERS; u++) {
        hs_unread_rows rows;

        test_ok(hs_store_unread(t->db, t->a, u + 1, rooms, ROOMS, &rows));
        qsort(rows.sums, rows.sums_n, sizeof *rows.sums, by_place);
        for (size_t i = 0; i < rows.sums_n; i++)
            if (rows.sums[i].d_notify || rows.sums[i].d_high)
                ret->at[u][ret->n[u]++] = rows.sums[i];
    }
}

static void assert_same(const counts *x, const counts *y)
{
    for (int u = 0; u < USERS; u++) {
        assert_int_equal(x->n[u], y->n[u]);
        assert_memory_equal(x->at[u], y->at[u], x->n[u] * sizeof *x->at[u]);
    }
}

static void counts_are_what_a_recount_of_all_notes_gives(void **state)
{
    test_db *t = *state;
    counts before, after;
    long long all, high;

    write_history(t);
    all = sql(t, "SELECT count(*) FROM push_note");
    high = sql(t, "SELECT count(*) FROM push_note WHERE user_nid > 0 AND d_high <> 0 AND pos >= 1000");
    count(t, &before);
    assert_true(before.n[0] > 3);
    assert_true(upkeep(t, PLAIN, HIGH, 50) > 10);
    count(t, &after);
    assert_same(&before, &after);
    /* At the second time the notes that slices have left become one. */
    upkeep(t, PLAIN, HIGH, 5000);
    count(t, &after);
    assert_same(&before, &after);
    assert_true(sql(t, "SELECT count(*) FROM push_note") < all / 2);
    assert_int_equal(sql(t, "SELECT count(*) FROM push_note WHERE user_nid > 0 AND d_high <> 0 AND pos >= 1000"), high);
    assert_int_equal(
        sql(t, "SELECT count(*) FROM push_note n WHERE user_nid > 0 AND d_high = 0 AND pos < 3000 AND pos <= (SELECT "
               "max(event_pos) FROM receipt r"
               " WHERE r.room_nid = n.room_nid AND r.user_nid = n.user_nid AND r.thread_nid IN (-1, n.thread_nid))"),
        0);
    assert_int_equal(sql(t, "SELECT count(*) FROM (SELECT 1 FROM push_note WHERE user_nid > 0 AND d_high = 0 AND pos < "
                            "3000 GROUP BY user_nid, room_nid, thread_nid HAVING count(*) > 1) x"),
                     0);
}
ON_FIBER(counts_are_what_a_recount_of_all_notes_gives)

static void who_reads_on_afterwards_is_counted_right(void **state)
{
    test_db *t = *state;
    counts before, after;

    write_history(t);
    sql(t, "CREATE TABLE kept AS TABLE push_note");
    upkeep(t, PLAIN, HIGH, 300);
    /* Everybody reads to something that is not old. */
    sql(t, "UPDATE receipt SET event_pos = 3000 + (event_pos * 7) % 1000 WHERE thread_nid = -1");
    count(t, &after);
    sql(t, "TRUNCATE push_note");
    sql(t, "INSERT INTO push_note SELECT * FROM kept");
    count(t, &before);
    assert_same(&before, &after);
}
ON_FIBER(who_reads_on_afterwards_is_counted_right)

static void what_is_new_and_what_is_everybodys_stays(void **state)
{
    test_db *t = *state;
    long long newer, everybodys;

    write_history(t);
    newer = sql(t, "SELECT sum(hashtext(push_note::text)::bigint) FROM push_note WHERE pos >= 3000");
    everybodys = sql(t, "SELECT count(*) FROM push_note WHERE user_nid = 0");
    upkeep(t, PLAIN, HIGH, 100);
    assert_int_equal(sql(t, "SELECT sum(hashtext(push_note::text)::bigint) FROM push_note WHERE pos >= 3000"), newer);
    assert_int_equal(sql(t, "SELECT count(*) FROM push_note WHERE user_nid = 0"), everybodys);
}
ON_FIBER(what_is_new_and_what_is_everybodys_stays)

/* More than a small integer holds. */
static void a_room_that_was_never_read_becomes_a_few_notes(void **state)
{
    test_db *t = *state;

    sql(t, "INSERT INTO push_note SELECT 1, 1, p, p, 0, -1, 0, 0 FROM generate_series(1, 70000) p");
    upkeep(t, 80000, 0, 2000);
    upkeep(t, 80000, 0, 2000);
    assert_int_equal(sql(t, "SELECT sum(d_notify) FROM push_note"), -70000);
    assert_true(sql(t, "SELECT count(*) FROM push_note") <= 2 * 70000 / 16000);
}
ON_FIBER(a_room_that_was_never_read_becomes_a_few_notes)

static void mark(test_db *t, int64_t now, int64_t pos)
{
    hs_tx *tx;

    test_ok(hs_tx_begin(t->db, t->a, &tx));
    test_ok(hs_store_note_mark(tx, t->a, now, pos));
    test_ok(hs_tx_commit(tx));
}

static void the_horizon_is_a_day_and_a_month_back_and_never_moves_back(void **state)
{
    test_db *t = *state;
    hs_note_horizon h;
    int64_t now = 1000 * DAY;

    test_ok(hs_store_note_horizon(t->db, t->a, now, &h));
    assert_int_equal(h.plain, 0);
    assert_int_equal(h.high, 0);
    for (int64_t d = 40; d >= 0; d--)
        mark(t, now - d * DAY, 5000 - d);
    mark(t, now + 60000, 9999); /* too soon for another */
    test_ok(hs_store_note_horizon(t->db, t->a, now, &h));
    assert_int_equal(h.plain, 4999);
    assert_int_equal(h.high, 4970);
    assert_int_equal(sql(t, "SELECT count(*) FROM note_mark"), 31);
    mark(t, now + 400 * DAY, 6000); /* it was off for a year */
    test_ok(hs_store_note_horizon(t->db, t->a, now + 400 * DAY, &h));
    assert_int_equal(h.plain, 5000);
    assert_int_equal(h.high, 5000);
}
ON_FIBER(the_horizon_is_a_day_and_a_month_back_and_never_moves_back)

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f##_, open_db, close_db)
    const struct CMUnitTest tests[] = {
        CASE(counts_are_what_a_recount_of_all_notes_gives),
        CASE(who_reads_on_afterwards_is_counted_right),
        CASE(what_is_new_and_what_is_everybodys_stays),
        CASE(a_room_that_was_never_read_becomes_a_few_notes),
        CASE(the_horizon_is_a_day_and_a_month_back_and_never_moves_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
