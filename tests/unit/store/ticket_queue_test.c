#include "store/write.h"
#include "support/pg.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* A session that holds the ticket's lock is a database that does not get on */

static PGconn *hold_ticket(test_db *t)
{
    PGconn *pg = PQconnectdb(t->conninfo);

    PQclear(PQexec(pg, "SELECT pg_advisory_lock(1)"));
    assert_int_equal(PQstatus(pg), CONNECTION_OK);
    return pg;
}

typedef struct {
    test_db *t;
    size_t bytes;
    hs_nid nid;
    bool ended;
    int status; /* of the error; 0: written */
    int64_t took, retry_ms;
} late_writer;

static void write_late(void *ud)
{
    static const hs_stmt PUT = { .name = "t_late", .sql = "INSERT INTO meta VALUES ($1, $2)", .params = "tb" };
    late_writer *l = ud;
    hs_arena *a = hs_arena_open(8 << 20); /* a request's: gone when it has been answered */
    int64_t began = hs_loop_now(l->t->loop);
    hs_write_result r = { 0 };
    hs_error *e;
    hs_write *w;
    hs_nid *news;
    hs_str key, value;
    char *big;
    uint32_t at;

    test_ok(hs_str_fmt(a, &key, "late %lld", (long long)l->nid));
    test_ok(hs_alloc(a, l->bytes, &big));
    value = hs_str_make(big, l->bytes);
    test_ok(hs_write_open(l->t->db, a, &w));
    test_ok(hs_write_position(w, &at));
    test_ok(hs_write_before(w, &PUT, key, value));
    test_ok(hs_alloc(a, 1, &news));
    *news = l->nid;
    hs_write_news(w, news);
    e = hs_write_commit(w, &r);
    l->status = e ? e->status : 0;
    l->retry_ms = e ? e->retry_ms : 0;
    l->took = hs_loop_now(l->t->loop) - began;
    l->ended = true;
    hs_arena_close(a);
}

typedef struct {
    hs_nid nids[8];
    size_t n;
} late_news;

static bool note_late(void *ud, hs_told_batch *batch)
{
    late_news *told = ud;

    for (size_t i = 0; i < batch->n; i++)
        if (batch->units[i].news && told->n < 8)
            told->nids[told->n++] = *(const hs_nid *)batch->units[i].news;
    return true;
}

static void turn_until(test_db *t, const bool *done, int most_ms)
{
    for (int64_t until = hs_loop_now(t->loop) + most_ms; !*done;) {
        hs_loop_turn(t->loop, 20);
        assert_true(hs_loop_now(t->loop) < until);
    }
}

static void a_caller_is_let_go_when_the_outcome_takes_too_long_and_the_unit_is_told_later(void **state)
{
    test_db *t = *state;
    late_news told = { .n = 0 };
    late_writer sent = { .t = t, .nid = 1 }, queued = { .t = t, .nid = 2 }, refused = { .t = t, .nid = 3 };
    PGconn *holder;

    test_await_writing(t);
    hs_write_set_hooks(t->db, &(hs_write_hooks){ .told = note_late, .ud = &told });
    holder = hold_ticket(t);
    test_ok(hs_fiber_spawn(t->loop, write_late, &sent));
    for (int i = 0; i < 5; i++)
        hs_loop_turn(t->loop, 20);
    test_ok(hs_fiber_spawn(t->loop, write_late, &queued));
    turn_until(t, &queued.ended, 3000);
    assert_int_equal(queued.status, 503);
    assert_in_range(queued.took, 1000, 1600); /* away_ms of the tests is 1 s */
    test_ok(hs_fiber_spawn(t->loop, write_late, &refused));
    assert_true(refused.ended && refused.status == 503 && refused.took == 0);
    turn_until(t, &sent.ended, 5000);
    assert_int_equal(sent.status, 503);
    assert_true(sent.retry_ms > 0);
    assert_in_range(sent.took, 3000, 3600);
    assert_int_equal(told.n, 0);

    PQfinish(holder);
    test_await_writing(t);
    assert_true(told.n >= 1 && told.nids[0] == 1);
    for (size_t i = 1; i < told.n; i++)
        assert_true(told.nids[i] != 2 && told.nids[i] != 3);
    assert_int_equal(test_pg_sql(t->conninfo, "SELECT count(*) FROM meta WHERE key LIKE 'late %'"), 1);
    hs_write_set_hooks(t->db, &(hs_write_hooks){ 0 });
    test_pg_sql(t->conninfo, "DELETE FROM meta WHERE key LIKE 'late %'");
}

static void what_waits_to_be_written_is_bounded_in_bytes(void **state)
{
    enum { N = 72, EACH = 1 << 20 };
    test_db *t = *state;
    late_writer l[N];
    PGconn *holder;
    int refused = 0, written = 0;

    test_await_writing(t);
    holder = hold_ticket(t);
    for (int i = 0; i < N; i++) {
        l[i] = (late_writer){ .t = t, .nid = 100 + i, .bytes = EACH };
        test_ok(hs_fiber_spawn(t->loop, write_late, &l[i]));
        if (!i)
            for (int k = 0; k < 5; k++)
                hs_loop_turn(t->loop, 10);
    }
    for (int i = 0; i < N; i++) {
        refused += l[i].ended;
        assert_true(!l[i].ended || (l[i].status == 429 && l[i].retry_ms > 0));
    }
    assert_in_range(refused, 6, 9); /* 64 MiB wait, one is on its way */
    PQfinish(holder);
    for (int i = 0; i < N; i++) {
        turn_until(t, &l[i].ended, 20000);
        written += l[i].status == 0;
    }
    assert_int_equal(written, N - refused);
    test_pg_sql(t->conninfo, "DELETE FROM meta WHERE key LIKE 'late %'");
}

/* As a full disk looks: the statement fails with 53100, and goes well when there is space. */
static void a_full_disk_is_503_and_one_line_in_the_log(void **state)
{
    static const hs_stmt FULL = {
        .name = "t_full",
        .sql = "INSERT INTO meta SELECT 'full', t_full()",
    };
    const test_db *shared = *state;
    char path[] = "/tmp/hs-write-test-XXXXXX", text[4096] = "";
    test_db t = { .conninfo = shared->conninfo };
    hs_write_result r = { 0 };
    hs_write *w;
    uint32_t at;
    int fd = mkstemp(path), lines = 0;

    unlink(path);
    test_pg_sql(t.conninfo,
                "CREATE OR REPLACE FUNCTION t_full() RETURNS bytea LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file'; END $$");
    t.loop = hs_loop_open();
    t.a = hs_arena_open((size_t)64 << 20);
    t.log = hs_logger_open(fd, HS_LOG_INFO, false);
    test_ok(hs_db_open(t.loop, t.a, &(hs_db_options){ .conninfo = t.conninfo, .log = t.log, .away_ms = 1000 }, &t.db));
    for (int i = 0; i < 10; i++) {
        hs_error *e;

        test_ok(hs_write_open(t.db, t.a, &w));
        test_ok(hs_write_position(w, &at));
        test_ok(hs_write_before(w, &FULL));
        e = hs_write_commit(w, &r);
        assert_true(e && e->status == 503 && e->retry_ms > 0);
        e = hs_db_exec(t.db, t.a, &FULL, NULL);
        assert_true(e && e->status == 503 && e->retry_ms > 0);
    }
    test_pg_sql(t.conninfo, "CREATE OR REPLACE FUNCTION t_full() RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$");
    test_ok(hs_db_exec(t.db, t.a, &FULL, NULL));
    test_db_close(&t);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    for (const char *p = text; (p = strstr(p, "store.short")); p++)
        lines++;
    assert_int_equal(lines, 1);
    assert_non_null(strstr(text, "could not extend file"));
    assert_non_null(strstr(text, "store.enough"));
    close(fd);
    test_pg_sql(shared->conninfo, "DELETE FROM meta WHERE key = 'full'");
}

static void sleep_on_reader(void *ud)
{
    static const hs_stmt SLEEP = { .name = "t_sleep", .sql = "SELECT pg_sleep(4)::text", .cols = "t" };
    bool *done = ud;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_rows *rows;

    (void)!hs_db_query(((test_db **)ud)[1]->db, a, &SLEEP, &rows);
    hs_arena_close(a);
    *done = true;
}

static void readers_that_all_are_silent_are_503_until_one_answers(void **state)
{
    static const hs_stmt ONE = { .name = "t_one", .sql = "SELECT 1::bigint", .cols = "n" };
    test_db *t = *state;
    struct {
        bool done;
        test_db *t;
    } s[3];
    int64_t began;
    hs_rows *rows;
    hs_error *e;

    test_ok(hs_db_query(t->db, t->a, &ONE, &rows));
    for (int i = 0; i < 3; i++) {
        s[i].done = false;
        s[i].t = t;
        test_ok(hs_fiber_spawn(t->loop, sleep_on_reader, &s[i]));
    }
    for (int i = 0; i < 60; i++) /* silent for longer than a second from here on */
        hs_loop_turn(t->loop, 20);
    began = hs_loop_now(t->loop);
    e = hs_db_query(t->db, t->a, &ONE, &rows);
    assert_true(e && e->status == 503 && e->retry_ms > 0);
    assert_in_range(hs_loop_now(t->loop) - began, 0, 1600);
    for (int i = 0; i < 3; i++)
        turn_until(t, &s[i].done, 8000);
    hs_loop_turn(t->loop, 20);
    test_ok(hs_db_query(t->db, t->a, &ONE, &rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_is_let_go_when_the_outcome_takes_too_long_and_the_unit_is_told_later),
        cmocka_unit_test(what_waits_to_be_written_is_bounded_in_bytes),
        cmocka_unit_test(a_full_disk_is_503_and_one_line_in_the_log),
        cmocka_unit_test(readers_that_all_are_silent_are_503_until_one_answers),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
