#include "store/db.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* clang-format off */
static const hs_stmt ECHO = {
    .name = "t_echo",
    .sql = "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9",
    .params = "nisftboNT", .cols = "nisftbnNT",
};
static const hs_stmt DIVIDE = { .name = "t_divide", .sql = "SELECT 10 / $1", .params = "i", .cols = "i" };
static const hs_stmt SLEEP = { .name = "t_sleep", .sql = "SELECT pg_sleep(0.01)::text", .cols = "t" };
static const hs_stmt MAKE = { .name = "t_make", .sql = "CREATE TABLE IF NOT EXISTS t(k bigint PRIMARY KEY, v text)" };
static const hs_stmt PUT = { .name = "t_put", .sql = "INSERT INTO t VALUES ($1, $2)", .params = "nt" };
static const hs_stmt GET = { .name = "t_get", .sql = "SELECT v FROM t WHERE k = $1", .params = "n", .cols = "t" };
static const hs_stmt COUNT = { .name = "t_count", .sql = "SELECT count(*) FROM t", .cols = "n" };
static const hs_stmt TAKE = { .name = "t_take", .sql = "DELETE FROM t WHERE k = $1 RETURNING v", .params = "n", .cols = "t" };
/* clang-format on */

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

static void every_type_comes_back_as_it_went(void **state)
{
    test_db *t = *state;
    const int64_t o = -5;
    const hs_nid nids[] = { 1, -2, INT64_MAX };
    hs_str strs[] = { HS_S("a"), HS_S(""), HS_S("c\xc3\xa4") };
    hs_rows *r;
    hs_nids n;
    hs_strs s;

    test_ok(hs_db_query(t->db, t->a, &ECHO, &r, INT64_MIN, INT32_MIN, -7, 1, HS_S("t\xc3\xa4"),
                        hs_str_make("\0\xff", 2), &o, (hs_nids){ nids, 3 }, (hs_strs){ strs, 3 }));
    assert_int_equal(hs_rows_count(r), 1);
    assert_true(hs_rows_i64(r, 0, 0) == INT64_MIN);
    assert_true(hs_rows_i64(r, 0, 1) == INT32_MIN);
    assert_int_equal(hs_rows_i64(r, 0, 2), -7);
    assert_true(hs_rows_bool(r, 0, 3));
    assert_true(hs_str_eq(hs_rows_str(r, 0, 4), HS_S("t\xc3\xa4")));
    assert_true(hs_str_eq(hs_rows_str(r, 0, 5), hs_str_make("\0\xff", 2)));
    assert_int_equal(hs_rows_i64(r, 0, 6), -5);
    test_ok(hs_rows_nids(r, t->a, 0, 7, &n));
    assert_int_equal(n.n, 3);
    assert_memory_equal(n.at, nids, sizeof nids);
    test_ok(hs_rows_strs(r, t->a, 0, 8, &s));
    assert_int_equal(s.n, 3);
    for (int i = 0; i < 3; i++)
        assert_true(hs_str_eq(s.at[i], strs[i]));
}

static void nulls_and_empty_lists_stay_what_they_are(void **state)
{
    test_db *t = *state;
    hs_str none = { NULL, 0 };
    hs_rows *r;
    hs_nids n;

    test_ok(hs_db_query(t->db, t->a, &ECHO, &r, (int64_t)0, 0, 0, 0, none, HS_S(""), (const int64_t *)NULL,
                        (hs_nids){ (const hs_nid[]){ 0 }, 0 }, (hs_strs){ NULL, 0 }));
    assert_true(hs_rows_null(r, 0, 4));
    assert_null(hs_rows_str(r, 0, 4).p);
    assert_false(hs_rows_null(r, 0, 5));
    assert_int_equal(hs_rows_str(r, 0, 5).n, 0);
    assert_true(hs_rows_null(r, 0, 6));
    assert_false(hs_rows_null(r, 0, 7));
    test_ok(hs_rows_nids(r, t->a, 0, 7, &n));
    assert_int_equal(n.n, 0);
    assert_true(hs_rows_null(r, 0, 8));
}

typedef struct {
    test_db *t;
    int divisor, answer;
    bool failed;
    int *left;
} asker;

static void ask(void *ud)
{
    asker *q = ud;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_rows *r;
    hs_error *e = hs_db_query(q->t->db, a, &DIVIDE, &r, q->divisor);

    q->failed = e != NULL;
    if (!e)
        q->answer = (int)hs_rows_i64(r, 0, 0);
    hs_arena_close(a);
    --*q->left;
}

/* Z14: They leave under one Sync: the failure of one makes the server skip its neighbours, which are asked again. */
static void a_failing_query_does_not_take_its_neighbours_along(void **state)
{
    enum { N = 40 };
    asker q[N];
    int left = N;

    for (int i = 0; i < N; i++) {
        q[i] = (asker){ .t = *state, .divisor = i % 8 == 3 ? 0 : 1 + i % 5, .left = &left };
        test_ok(hs_fiber_spawn(q[i].t->loop, ask, &q[i]));
    }
    while (left)
        hs_loop_turn(q[0].t->loop, 50);
    for (int i = 0; i < N; i++) {
        assert_int_equal(q[i].failed, q[i].divisor == 0);
        if (!q[i].failed)
            assert_int_equal(q[i].answer, 10 / q[i].divisor);
    }
}

static void a_pipe_reads_one_snapshot(void **state)
{
    test_db *t = *state;
    hs_pipe *p;
    hs_rows *before, *pause, *after;

    test_ok(hs_db_exec(t->db, t->a, &MAKE, NULL));
    test_ok(hs_pipe_open(t->db, t->a, &p));
    test_ok(hs_pipe_add(p, &COUNT, &before));
    test_ok(hs_pipe_add(p, &SLEEP, &pause));
    test_ok(hs_pipe_add(p, &COUNT, &after));
    test_ok(hs_pipe_run(p));
    assert_int_equal(hs_rows_i64(before, 0, 0), hs_rows_i64(after, 0, 0));
}

static void a_statement_that_writes_and_returns_rows_may_be_queried(void **state)
{
    test_db *t = *state;
    hs_rows *r;
    uint64_t n;

    test_ok(hs_db_exec(t->db, t->a, &MAKE, NULL));
    test_ok(hs_db_exec(t->db, t->a, &PUT, &n, (int64_t)77, HS_S("x")));
    assert_int_equal(n, 1);
    test_ok(hs_db_query(t->db, t->a, &TAKE, &r, (int64_t)77));
    assert_true(hs_str_eq(hs_rows_str(r, 0, 0), HS_S("x")));
    test_ok(hs_db_query(t->db, t->a, &GET, &r, (int64_t)77));
    assert_int_equal(hs_rows_count(r), 0);
}

static void text_that_is_not_utf8_or_holds_nul_is_the_callers_mistake(void **state)
{
    test_db *t = *state;
    hs_error *e;

    test_ok(hs_db_exec(t->db, t->a, &MAKE, NULL));
    e = hs_db_exec(t->db, t->a, &PUT, NULL, (int64_t)1, HS_S("\xff"));
    assert_non_null(e);
    assert_int_equal(e->status, 400);
    e = hs_db_exec(t->db, t->a, &PUT, NULL, (int64_t)1, hs_str_make("a\0b", 3));
    assert_non_null(e);
    assert_int_equal(e->status, 400);
}

/* Z14 */
static void what_is_not_committed_is_rolled_back_with_the_arena(void **state)
{
    test_db *t = *state;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_tx *tx;
    hs_rows *r;

    test_ok(hs_db_exec(t->db, t->a, &MAKE, NULL));
    for (int round = 0; round < 8; round++) { /* more than there are connections */
        test_ok(hs_tx_begin(t->db, a, &tx));
        test_ok(hs_tx_exec(tx, a, &PUT, NULL, (int64_t)500, HS_S("x")));
        hs_arena_reset(a);
    }
    test_ok(hs_db_query(t->db, t->a, &GET, &r, (int64_t)500));
    assert_int_equal(hs_rows_count(r), 0);

    test_ok(hs_tx_begin(t->db, a, &tx));
    test_ok(hs_tx_exec(tx, a, &PUT, NULL, (int64_t)501, HS_S("y")));
    test_ok(hs_tx_query(tx, a, &GET, &r, (int64_t)501));
    assert_int_equal(hs_rows_count(r), 1);
    test_ok(hs_tx_commit(tx));
    hs_arena_reset(a);
    test_ok(hs_db_query(t->db, t->a, &GET, &r, (int64_t)501));
    assert_int_equal(hs_rows_count(r), 1);

    test_ok(hs_tx_begin(t->db, a, &tx));
    assert_non_null(hs_tx_exec(tx, a, &PUT, NULL, (int64_t)501, HS_S("again")));
    assert_non_null(hs_tx_commit(tx));
    hs_arena_close(a);
}

static void reads_survive_the_loss_of_every_connection(void **state)
{
    test_db *t = *state;
    hs_rows *r;

    for (int i = 0; i < 3; i++) {
        test_pg_sql(t->conninfo,
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND datname = current_database()");
        test_ok(hs_db_query(t->db, t->a, &DIVIDE, &r, 5));
        assert_int_equal(hs_rows_i64(r, 0, 0), 2);
    }
}

/* A host that takes connections and says nothing, as one behind a network that drops packets. */
static void a_host_that_says_nothing_does_not_keep_us_from_the_next(void **state)
{
    static const hs_stmt ONE = { .name = "t_one", .sql = "SELECT 1::bigint", .cols = "n" };
    const test_db *shared = *state;
    char dir[] = "/tmp/hs-db-test-XXXXXX", conninfo[512], real[256], user_db[128];
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    test_db t = { .conninfo = conninfo };
    int silent = socket(AF_UNIX, SOCK_STREAM, 0);
    hs_rows *rows;
    hs_error *e;

    assert_non_null(mkdtemp(dir));
    assert_int_equal(sscanf(shared->conninfo, "host=%255s %127[^\n]", real, user_db), 2);
    snprintf(conninfo, sizeof conninfo, "host=%s,%s %s target_session_attrs=read-write", dir, real, user_db);
    snprintf(to.sun_path, sizeof to.sun_path, "%s/.s.PGSQL.5432", dir);
    test_db_open(&t); /* nobody listens on the first yet */
    test_ok(hs_db_query(t.db, t.a, &ONE, &rows));
    assert_int_equal(bind(silent, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(silent, 50), 0);
    test_pg_sql(shared->conninfo, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                  " WHERE pid <> pg_backend_pid() AND datname = current_database()");
    e = hs_db_query(t.db, t.a, &ONE, &rows); /* may meet the loss */
    for (int64_t until = hs_loop_now(t.loop) + 8000; e; e = hs_db_query(t.db, t.a, &ONE, &rows)) {
        assert_int_equal(e->status, 503);
        assert_true(hs_loop_now(t.loop) < until);
        hs_loop_turn(t.loop, 50);
    }
    test_db_close(&t);
    close(silent);
    unlink(to.sun_path);
    rmdir(dir);
}

static void sleep_long(void *ud)
{
    static const hs_stmt LONG = { .name = "t_long", .sql = "SELECT pg_sleep(5)::text", .cols = "t" };
    asker *q = ud;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_db *db = q->t->db;
    hs_rows *r;
    hs_error *e = hs_db_query(db, a, &LONG, &r);

    q->failed = e != NULL && e->status == 503;
    if (hs_db_query(db, a, &LONG, &r) == NULL) /* and it is over at once */
        q->failed = false;
    hs_arena_close(a);
    --*q->left;
}

static void closing_lets_everybody_out_first(void **state)
{
    enum { N = 20 };
    const test_db *shared = *state;
    test_db t = { .conninfo = shared->conninfo };
    asker q[N];
    int left = N;

    test_db_open(&t);
    for (int i = 0; i < N; i++) {
        q[i] = (asker){ .t = &t, .left = &left };
        test_ok(hs_fiber_spawn(t.loop, sleep_long, &q[i]));
    }
    for (int i = 0; i < 3; i++)
        hs_loop_turn(t.loop, 1);
    test_db_close(&t);
    assert_int_equal(left, 0);
    for (int i = 0; i < N; i++)
        assert_true(q[i].failed);
}

static void numbers_are_never_given_twice(void **state)
{
    test_db t = { .conninfo = ((test_db *)*state)->conninfo }; /* what the tests before did to connections is theirs */
    hs_db *other;
    hs_nid last = 0, first, x;

    test_db_open(&t);
    test_ok(hs_db_open(t.loop, t.a, &(hs_db_options){ .conninfo = t.conninfo }, &other));
    for (int i = 0; i < 50; i++) {
        test_ok(hs_db_new_nids(t.db, t.a, 100, &first));
        assert_true(first > last);
        last = first + 99;
        test_ok(hs_db_new_nid(other, t.a, &x));
        assert_false(x >= first && x <= last);
    }
    hs_db_close(other);
    test_db_close(&t);
}

static void refused(const char *conninfo, const char *what)
{
    hs_loop *loop = hs_loop_open();
    hs_arena *a = hs_arena_open(1 << 20);
    hs_db *db;
    hs_error *e = hs_db_open(loop, a, &(hs_db_options){ .conninfo = conninfo }, &db);
    char text[512];

    assert_non_null(e);
    snprintf(text, sizeof text, "%.*s", HS_FMT(e->message));
    if (!strstr(text, what) || strchr(text, '\n'))
        fail_msg("\"%s\" does not say \"%s\" in one line", text, what);
    hs_arena_close(a);
    hs_loop_close(loop);
}

static void a_database_that_cannot_be_used_is_refused_in_one_line(void **state)
{
    const char *latin, *foreign, *newer;
    test_db t = { 0 };
    (void)state;

    refused("host=/nonexistent dbname=x", "cannot connect");
    latin = test_pg_create("ENCODING 'LATIN1' LOCALE 'C'");
    refused(latin, "must be UTF8");
    foreign = test_pg_create("");
    test_pg_sql(foreign, "CREATE TABLE event_json(x int)");
    refused(foreign, "Synapse");
    newer = test_pg_create("");
    t.conninfo = newer;
    test_db_open(&t);
    test_db_close(&t);
    test_pg_sql(newer, "INSERT INTO migration VALUES (9999, 0)");
    refused(newer, "newer release");
}

static void a_collation_other_than_c_needs_permission(void **state)
{
    const char *conninfo = test_pg_create("ENCODING 'UTF8' LOCALE 'C.UTF-8'");
    hs_loop *loop = hs_loop_open();
    hs_arena *a = hs_arena_open(1 << 20);
    hs_db *db;
    (void)state;

    refused(conninfo, "should be 'C'");
    test_ok(hs_db_open(loop, a, &(hs_db_options){ .conninfo = conninfo, .allow_unsafe_locale = true }, &db));
    hs_db_close(db);
    hs_arena_close(a);
    hs_loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_went),
        cmocka_unit_test(nulls_and_empty_lists_stay_what_they_are),
        cmocka_unit_test(a_failing_query_does_not_take_its_neighbours_along),
        cmocka_unit_test(a_pipe_reads_one_snapshot),
        cmocka_unit_test(a_statement_that_writes_and_returns_rows_may_be_queried),
        cmocka_unit_test(text_that_is_not_utf8_or_holds_nul_is_the_callers_mistake),
        cmocka_unit_test(what_is_not_committed_is_rolled_back_with_the_arena),
        cmocka_unit_test(reads_survive_the_loss_of_every_connection),
        cmocka_unit_test(a_host_that_says_nothing_does_not_keep_us_from_the_next),
        cmocka_unit_test(closing_lets_everybody_out_first),
        cmocka_unit_test(numbers_are_never_given_twice),
        cmocka_unit_test(a_database_that_cannot_be_used_is_refused_in_one_line),
        cmocka_unit_test(a_collation_other_than_c_needs_permission),
    };
    return cmocka_run_group_tests(tests, open_db, close_db);
}
