/* Several workers on one database, each with a loop of its own: a worker whose loop is not turned is a paused one. */
#include "server/leases.h"
#include "store/leases.h"
#include "support/pg.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { WORKERS_MAX = 4, SHARDS = 8, EVERY_MS = 50, TTL_MS = 600, PATIENCE_MS = 20000 };

/* clang-format off */
static const hs_stmt DID = { .name = "t_did", .sql = "INSERT INTO t_did VALUES ($1, $2, $3)", .params = "ini" };
/* clang-format on */

typedef enum { RUN_NOTHING, RUN_UNIT, RUN_TX, RUN_FAIL } run_kind;

typedef struct {
    test_db db;
    hs_server srv;
    int number;
    run_kind kind;
    bool hold, ready; /* with `hold`, a run stops before its commit until it is cleared; `ready`: it stands there */
    int calls, written, refused, stops;
} worker;

typedef struct {
    worker w[WORKERS_MAX];
    const char *conninfo;
    long long mark; /* for all_have_renewed */
} workers;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ── the duty ── */

static void hold_here(worker *w, hs_lease *l)
{
    w->ready = w->hold;
    while (w->hold)
        hs_fiber_sleep(w->db.loop, 1);
    (void)l;
}

static hs_error *run_unit(worker *w, hs_lease *l, hs_arena *a)
{
    hs_write_result res;
    hs_write *u;

    HS_TRY(hs_write_open(w->db.db, a, &u));
    HS_TRY(hs_lease_fence(l, u));
    HS_TRY(hs_write_before(u, &DID, hs_lease_shard(l), (int64_t)0, (int32_t)w->number));
    hold_here(w, l);
    HS_TRY(hs_write_commit(u, &res));
    w->written += res.status == HS_WRITE_OK;
    w->refused += res.status == HS_WRITE_FENCED;
    return NULL;
}

static hs_error *run_tx(worker *w, hs_lease *l, hs_arena *a)
{
    hs_error *e;
    hs_tx *tx;

    HS_TRY(hs_tx_begin(w->db.db, a, &tx));
    HS_TRY(hs_lease_fence_tx(l, a, tx));
    e = hs_tx_exec(tx, a, &DID, NULL, hs_lease_shard(l), (int64_t)0, (int32_t)w->number);
    hold_here(w, l);
    if (!e)
        e = hs_tx_commit(tx);
    w->written += !e;
    w->refused += e != NULL;
    return e;
}

static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    worker *w = ud;

    w->calls++;
    if (w->kind == RUN_UNIT)
        return run_unit(w, l, a);
    if (w->kind == RUN_TX)
        return run_tx(w, l, a);
    return w->kind == RUN_FAIL ? hs_err_internal(a, NULL, "as the test wants it") : NULL;
}

static void stopped(hs_lease *l, void *ud)
{
    worker *w = ud;

    (void)l;
    w->stops++;
}

/* ── workers ── */

static worker *start_kind(workers *ws, int i, unsigned roles, int64_t ttl, run_kind kind)
{
    worker *w = &ws->w[i];

    *w = (worker){ .number = i, .kind = kind };
    w->db.conninfo = ws->conninfo;
    test_db_open(&w->db);
    w->srv = (hs_server){ .loop = w->db.loop,
                          .db = w->db.db,
                          .log = w->db.log,
                          .arena = w->db.a,
                          .metrics = hs_metrics_open(),
                          .worker_name = HS_S("w"),
                          .roles = roles };
    test_ok(hs_leases_open(&w->srv, w->db.a));
    hs_leases_set_times(&w->srv, EVERY_MS, ttl);
    test_ok(hs_lease_duty(&w->srv, &(hs_duty){ .name = "t",
                                               .shards = SHARDS,
                                               .roles = HS_ROLE_BACKGROUND,
                                               .every_ms = 5,
                                               .run = run,
                                               .stop = stopped,
                                               .ud = w }));
    test_ok(hs_leases_start(&w->srv));
    return w;
}

static worker *start(workers *ws, int i)
{
    return start_kind(ws, i, HS_ROLE_ALL, TTL_MS, RUN_NOTHING);
}

static void end(worker *w)
{
    hs_leases_close(&w->srv);
    hs_metrics_close(w->srv.metrics);
    test_db_close(&w->db);
    *w = (worker){ 0 };
}

static int held(worker *w)
{
    int n = 0;

    for (int32_t s = 0; s < SHARDS; s++)
        n += hs_lease_of(&w->srv, "t", s) != NULL;
    return n;
}

/* Turns the loops of the workers in `awake` (a bit each) until one of `done` says so; fails after a long time. */
static void turn_until(workers *ws, unsigned awake, bool (*done)(workers *ws))
{
    int64_t until = now_ms() + PATIENCE_MS;

    while (!done(ws)) {
        if (now_ms() > until)
            fail_msg("waited in vain");
        for (int i = 0; i < WORKERS_MAX; i++)
            if ((awake >> i & 1) && ws->w[i].srv.leases)
                hs_loop_turn(ws->w[i].db.loop, 1);
    }
}

static int open_workers(void **state)
{
    static workers ws;

    ws = (workers){ .conninfo = test_pg_create("") };
    *state = &ws;
    return 0;
}

static int close_workers(void **state)
{
    workers *ws = *state;

    for (int i = 0; i < WORKERS_MAX; i++)
        if (ws->w[i].srv.leases)
            end(&ws->w[i]);
    return 0;
}

/* ── what is awaited ── */

static bool first_holds_all(workers *ws)
{
    return held(&ws->w[0]) == SHARDS;
}

static bool second_holds_all(workers *ws)
{
    return held(&ws->w[1]) == SHARDS;
}

static bool second_holds_all_but_one(workers *ws)
{
    return held(&ws->w[1]) == SHARDS - 1;
}

static bool two_share(workers *ws)
{
    return held(&ws->w[0]) == SHARDS / 2 && held(&ws->w[1]) == SHARDS / 2;
}

static bool three_share(workers *ws)
{
    int sum = 0;

    for (int i = 0; i < 3; i++) {
        int n = held(&ws->w[i]);
        if (n != SHARDS / 3 && n != SHARDS / 3 + 1)
            return false;
        sum += n;
    }
    return sum == SHARDS;
}

static bool first_stands_before_its_commit(workers *ws)
{
    return ws->w[0].ready;
}

static bool first_was_refused(workers *ws)
{
    return ws->w[0].refused > 0;
}

/* Each of its shards stood before a commit. */
static bool first_was_refused_everywhere(workers *ws)
{
    return ws->w[0].refused == SHARDS;
}

/* All have taken several turns since `mark` was set. */
static bool all_have_renewed(workers *ws)
{
    return test_pg_sql(ws->conninfo, "SELECT min(until_ts) FROM lease_member") > ws->mark + 5 * EVERY_MS;
}

static bool first_was_called_thrice(workers *ws)
{
    return ws->w[0].calls >= 3;
}

/* ── tests ── */

static void shards_are_shared_evenly_and_have_one_holder_each(void **state)
{
    workers *ws = *state;

    for (int i = 0; i < 3; i++)
        start(ws, i);
    turn_until(ws, 7, three_share);
    for (int32_t s = 0; s < SHARDS; s++) {
        int holders = 0;
        for (int i = 0; i < 3; i++)
            holders += hs_lease_of(&ws->w[i].srv, "t", s) != NULL;
        assert_int_equal(holders, 1);
    }
}

static void a_worker_that_comes_later_gets_its_part(void **state)
{
    workers *ws = *state;

    start(ws, 0);
    turn_until(ws, 1, first_holds_all);
    start(ws, 1);
    turn_until(ws, 3, two_share);
    assert_int_equal(ws->w[0].stops, SHARDS / 2); /* the others went on without a break */
}

static void the_shards_of_a_paused_worker_are_taken_over(void **state)
{
    workers *ws = *state;

    start(ws, 0);
    start(ws, 1);
    turn_until(ws, 3, two_share);
    turn_until(ws, 2, second_holds_all);
    /* awake again, it has its part, and not what it held before it slept */
    hs_loop_read_clocks(ws->w[0].db.loop);
    assert_int_equal(held(&ws->w[0]), 0);
    turn_until(ws, 3, two_share);
}

static void paused_in_the_middle(workers *ws, run_kind kind)
{
    worker *w;

    w = start_kind(ws, 0, HS_ROLE_ALL, TTL_MS, kind);
    test_pg_sql(ws->conninfo, "CREATE TABLE IF NOT EXISTS t_did(shard int, epoch bigint, worker int)");
    w->hold = true;
    turn_until(ws, 1, first_stands_before_its_commit);
    start(ws, 1);
}

static void a_paused_holder_that_wakes_up_writes_nothing(void **state)
{
    workers *ws = *state;

    paused_in_the_middle(ws, RUN_UNIT);
    turn_until(ws, 2, second_holds_all);
    ws->w[0].hold = false;
    ws->w[0].kind = RUN_NOTHING;
    turn_until(ws, 3, first_was_refused_everywhere);
    assert_int_equal(ws->w[0].written, 0);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM t_did"), 0);
}

/* While a fenced transaction is open nobody takes its shard; a pause in it is ended by PostgreSQL. */
static void a_holder_paused_inside_a_transaction_writes_nothing(void **state)
{
    workers *ws = *state;

    paused_in_the_middle(ws, RUN_TX);
    turn_until(ws, 2, second_holds_all);
    ws->w[0].hold = false;
    ws->w[0].kind = RUN_NOTHING;
    turn_until(ws, 3, first_was_refused);
    assert_int_equal(ws->w[0].written, 0);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM t_did"), 0);
}

static void run_sql(PGconn *pg, const char *sql)
{
    PGresult *res = PQexec(pg, sql);

    if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(pg));
    PQclear(res);
}

static void a_write_in_flight_is_not_overtaken(void **state)
{
    workers *ws = *state;
    long long epoch;

    start(ws, 0);
    turn_until(ws, 1, first_holds_all);
    epoch = test_pg_sql(ws->conninfo, "SELECT epoch FROM lease WHERE duty = 't' AND shard = 3");
    PGconn *pg = PQconnectdb(ws->conninfo);
    run_sql(pg, "BEGIN");
    run_sql(pg, "SELECT hs_fence('t', 3, epoch) FROM lease WHERE duty = 't' AND shard = 3");
    run_sql(pg, "SET idle_in_transaction_session_timeout = 0");
    start(ws, 1);
    turn_until(ws, 2, second_holds_all_but_one);
    assert_null(hs_lease_of(&ws->w[1].srv, "t", 3));
    run_sql(pg, "COMMIT");
    PQfinish(pg);
    turn_until(ws, 2, second_holds_all);
    assert_true(test_pg_sql(ws->conninfo, "SELECT epoch FROM lease WHERE duty = 't' AND shard = 3") > epoch);
}

static void a_holder_stops_by_its_own_clock_before_others_may_begin(void **state)
{
    workers *ws = *state;
    worker *w = start_kind(ws, 0, HS_ROLE_ALL, 3000, RUN_NOTHING);
    hs_lease *l;

    turn_until(ws, 1, first_holds_all);
    l = hs_lease_of(&w->srv, "t", 0);
    while (hs_lease_ok(l)) {
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        hs_loop_read_clocks(w->db.loop);
    }
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT (until_ts > hs_now_ms())::int FROM lease_member"), 1);
}

static void a_clean_stop_gives_everything_back_at_once(void **state)
{
    workers *ws = *state;

    start(ws, 0);
    turn_until(ws, 1, first_holds_all);
    end(&ws->w[0]);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM lease WHERE holder <> ''"), 0);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM lease_member"), 0);
}

static void workers_without_the_role_take_no_part(void **state)
{
    workers *ws = *state;

    start_kind(ws, 0, HS_ROLE_CLIENT | HS_ROLE_MEDIA, TTL_MS, RUN_NOTHING);
    start(ws, 1);
    turn_until(ws, 3, second_holds_all);
    assert_int_equal(held(&ws->w[0]), 0);
}

static void a_steady_set_of_workers_moves_nothing(void **state)
{
    workers *ws = *state;
    long long before;

    for (int i = 0; i < 3; i++)
        start(ws, i);
    turn_until(ws, 7, three_share);
    before = test_pg_sql(ws->conninfo, "SELECT sum(epoch) FROM lease");
    ws->mark = test_pg_sql(ws->conninfo, "SELECT max(until_ts) FROM lease_member");
    turn_until(ws, 7, all_have_renewed);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT sum(epoch) FROM lease"), before);
}

static void after_an_outage_everybody_keeps_what_it_had(void **state)
{
    workers *ws = *state;
    long long before;

    start(ws, 0);
    start(ws, 1);
    turn_until(ws, 3, two_share);
    before = test_pg_sql(ws->conninfo, "SELECT sum(epoch) FROM lease");
    ws->mark = test_pg_sql(ws->conninfo, "SELECT max(until_ts) FROM lease_member");
    test_pg_sql(ws->conninfo, "UPDATE lease_member SET until_ts = until_ts - 60000"); /* nobody renewed for a minute */
    turn_until(ws, 3, all_have_renewed);
    assert_true(two_share(ws));
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT sum(epoch) FROM lease"), before);
}

static void a_run_that_fails_is_called_again(void **state)
{
    workers *ws = *state;

    start_kind(ws, 0, HS_ROLE_ALL, TTL_MS, RUN_FAIL);
    ws->w[0].calls = 0;
    turn_until(ws, 1, first_was_called_thrice);
    assert_int_equal(ws->w[0].stops, 0); /* and the lease is kept */
}

/* ── a refused unit and its neighbours in the batch ── */

typedef struct {
    worker *w;
    int64_t epoch;
    hs_write_result res;
    int *left;
} writer;

static void write_fenced(void *ud)
{
    writer *x = ud;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_write *u;

    test_ok(hs_write_open(x->w->db.db, a, &u));
    test_ok(hs_write_before(u, &DID, (int32_t)1, x->epoch, (int32_t)1));
    test_ok(hs_store_lease_fence(u, HS_S("t"), 0, x->epoch));
    test_ok(hs_write_commit(u, &x->res));
    hs_arena_close(a);
    --*x->left;
}

static void a_refused_unit_leaves_its_neighbours_alone(void **state)
{
    workers *ws = *state;
    worker *w = start(ws, 0);
    int left = 3;

    turn_until(ws, 1, first_holds_all);
    int64_t epoch = test_pg_sql(ws->conninfo, "SELECT epoch FROM lease WHERE duty = 't' AND shard = 0");
    test_pg_sql(ws->conninfo, "CREATE TABLE IF NOT EXISTS t_did(shard int, epoch bigint, worker int)");
    writer x[3] = { { w, epoch, { 0 }, &left }, { w, epoch - 1, { 0 }, &left }, { w, epoch, { 0 }, &left } };
    for (int i = 0; i < 3; i++)
        test_ok(hs_fiber_spawn(w->db.loop, write_fenced, &x[i]));
    while (left)
        hs_loop_turn(w->db.loop, 5);
    assert_int_equal(x[0].res.status, HS_WRITE_OK);
    assert_int_equal(x[1].res.status, HS_WRITE_FENCED);
    assert_int_equal(x[2].res.status, HS_WRITE_OK);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM t_did"), 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_workers, close_workers)
    const struct CMUnitTest tests[] = {
        T(shards_are_shared_evenly_and_have_one_holder_each),
        T(a_worker_that_comes_later_gets_its_part),
        T(the_shards_of_a_paused_worker_are_taken_over),
        T(a_paused_holder_that_wakes_up_writes_nothing),
        T(a_holder_paused_inside_a_transaction_writes_nothing),
        T(a_write_in_flight_is_not_overtaken),
        T(a_holder_stops_by_its_own_clock_before_others_may_begin),
        T(a_clean_stop_gives_everything_back_at_once),
        T(workers_without_the_role_take_no_part),
        T(a_steady_set_of_workers_moves_nothing),
        T(after_an_outage_everybody_keeps_what_it_had),
        T(a_run_that_fails_is_called_again),
        T(a_refused_unit_leaves_its_neighbours_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
