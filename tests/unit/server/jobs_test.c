/* Jobs on several workers with one database, each with a loop of its own: a worker whose loop is not turned is a dead
 * one. */
#include "server/jobs.h"
#include "support/pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

enum { WORKERS = 2, EVERY_MS = 50, TTL_MS = 600, PATIENCE_MS = 20000, STEPS = 3 };

typedef struct {
    test_db db;
    hs_server srv;
    int steps, ends;
    bool hang;        /* a step stops in its middle … */
    bool hangs;       /* … and stands there */
    int fail_status;  /* 0: none */
    hs_str id;        /* of what `add` added */
    const char *kind; /* what it adds */
    int64_t delay_ms;
    bool single;
} worker;

typedef struct {
    worker w[WORKERS];
    const char *conninfo;
} world;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Counts to STEPS. */
static hs_error *count(hs_job *j, hs_arena *a, void *ud)
{
    worker *w = ud;
    int64_t n = 0;

    w->steps++;
    w->hangs = w->hang;
    while (w->hang)
        hs_fiber_sleep(w->db.loop, 1);
    if (w->fail_status)
        return hs_err(a, w->fail_status, HS_M_UNKNOWN, "as the test wants it");
    (void)hs_jv_int(hs_jv_get(j->progress, HS_S("n")), &n);
    HS_TRY(hs_str_fmt(a, &j->saved, "{\"n\":%d}", (int)n + 1));
    j->done = n + 1 == STEPS;
    if (j->done)
        HS_TRY(hs_str_fmt(a, &j->result, "{\"counted\":%d}", (int)n + 1));
    w->ends += j->done;
    return NULL;
}

static worker *start(world *ws, int i)
{
    worker *w = &ws->w[i];

    *w = (worker){ .kind = "count" };
    w->db.conninfo = ws->conninfo;
    test_db_open(&w->db);
    w->srv = (hs_server){ .loop = w->db.loop,
                          .db = w->db.db,
                          .log = w->db.log,
                          .arena = w->db.a,
                          .metrics = hs_metrics_open(),
                          .bus = hs_bus_local_open(w->db.loop),
                          .worker_name = HS_S("w"),
                          .roles = HS_ROLE_ALL };
    test_ok(hs_leases_open(&w->srv, w->db.a));
    hs_leases_set_times(&w->srv, EVERY_MS, TTL_MS);
    test_ok(hs_jobs_open(&w->srv, w->db.a));
    test_ok(hs_jobs_kind(&w->srv, "count", count, w));
    test_ok(hs_leases_start(&w->srv));
    return w;
}

static void end(worker *w)
{
    hs_leases_close(&w->srv);
    hs_jobs_close(&w->srv);
    hs_bus_close(w->srv.bus);
    hs_metrics_close(w->srv.metrics);
    test_db_close(&w->db);
    *w = (worker){ 0 };
}

static void turn_until(world *ws, unsigned awake, bool (*done)(world *ws))
{
    int64_t until = now_ms() + PATIENCE_MS;

    while (!done(ws)) {
        if (now_ms() > until)
            fail_msg("waited in vain");
        for (int i = 0; i < WORKERS; i++)
            if ((awake >> i & 1) && ws->w[i].srv.leases)
                hs_loop_turn(ws->w[i].db.loop, 1);
    }
}

static void add_on_fiber(void *ud)
{
    worker *w = ud;

    test_ok(hs_job_add(&w->srv, w->db.a,
                       &(hs_job_wish){ .kind = w->kind,
                                       .resource = HS_S("!r:test"),
                                       .params = HS_S("{}"),
                                       .delay_ms = w->delay_ms,
                                       .single = w->single },
                       &w->id));
}

static void add(worker *w)
{
    test_on_fiber(w->db.loop, add_on_fiber, w);
}

static int open_world(void **state)
{
    static world ws;

    ws = (world){ .conninfo = test_pg_create("") };
    *state = &ws;
    return 0;
}

static int close_world(void **state)
{
    world *ws = *state;

    for (int i = 0; i < WORKERS; i++)
        if (ws->w[i].srv.leases)
            end(&ws->w[i]);
    return 0;
}

/* ── what is awaited ── */

static bool first_has_ended_one(world *ws)
{
    return test_pg_sql(ws->conninfo, "SELECT count(*) FROM job WHERE status = 2") == 1;
}

static bool first_hangs(world *ws)
{
    return ws->w[0].hangs;
}

static bool second_has_ended_one(world *ws)
{
    return ws->w[1].ends == 1 && first_has_ended_one(ws);
}

static bool one_has_failed(world *ws)
{
    return test_pg_sql(ws->conninfo, "SELECT count(*) FROM job WHERE status = 3") == 1;
}

static bool one_waits_again(world *ws)
{
    return ws->w[0].steps == 1 &&
           test_pg_sql(ws->conninfo,
                       "SELECT count(*) FROM job WHERE status = 1 AND tries = 0 AND run_ts > hs_now_ms()") == 1;
}

/* ── tests ── */

static void a_job_is_done_in_steps_that_remember_what_came_before(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    add(w);
    turn_until(ws, 1, first_has_ended_one);
    assert_int_equal(w->steps, STEPS);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT (result::json->>'counted')::int FROM job"), STEPS);
}

static void a_job_that_is_not_due_waits(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->delay_ms = 3600 * 1000;
    add(w);
    w->delay_ms = 0;
    add(w);
    turn_until(ws, 1, first_has_ended_one);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM job WHERE status = 0"), 1);
}

static void of_single_jobs_there_is_one_at_a_time(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->single = true;
    w->hang = true;
    add(w);
    assert_non_null(w->id.p);
    add(w);
    assert_null(w->id.p);
    w->hang = false;
    turn_until(ws, 1, first_has_ended_one);
    add(w);
    assert_non_null(w->id.p);
}

static void another_worker_goes_on_where_a_dead_one_was(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->hang = true;
    add(w);
    turn_until(ws, 1, first_hangs);
    start(ws, 1);
    turn_until(ws, 2, second_has_ended_one);
    assert_int_equal(ws->w[1].steps, STEPS);
    /* awake again, it saves nothing of its step */
    w->hang = false;
    hs_loop_read_clocks(w->db.loop);
    turn_until(ws, 3, second_has_ended_one);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT (progress::json->>'n')::int FROM job"), STEPS);
}

static void an_error_of_the_moment_is_tried_again(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->fail_status = 503;
    add(w);
    turn_until(ws, 1, one_waits_again);
    w->fail_status = 0;
    test_pg_sql(ws->conninfo, "UPDATE job SET run_ts = 0");
    turn_until(ws, 1, first_has_ended_one);
}

static void any_other_error_ends_the_job(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->fail_status = 400;
    add(w);
    turn_until(ws, 1, one_has_failed);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM job WHERE error = 'as the test wants it'"), 1);
}

static void a_job_that_never_lives_to_the_end_of_a_step_is_given_up(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->delay_ms = 3600 * 1000;
    add(w);
    test_pg_sql(ws->conninfo, "UPDATE job SET tries = 10, status = 1, run_ts = 0");
    turn_until(ws, 1, one_has_failed);
    assert_int_equal(w->steps, 0);
}

static void jobs_of_a_kind_that_is_not_known_here_wait_for_who_knows_it(void **state)
{
    world *ws = *state;
    worker *w = start(ws, 0);

    w->kind = "of the next release";
    add(w);
    w->kind = "count";
    add(w);
    turn_until(ws, 1, first_has_ended_one);
    assert_int_equal(test_pg_sql(ws->conninfo, "SELECT count(*) FROM job WHERE status = 0"), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(a_job_is_done_in_steps_that_remember_what_came_before),
        T(a_job_that_is_not_due_waits),
        T(of_single_jobs_there_is_one_at_a_time),
        T(another_worker_goes_on_where_a_dead_one_was),
        T(an_error_of_the_moment_is_tried_again),
        T(any_other_error_ends_the_job),
        T(a_job_that_never_lives_to_the_end_of_a_step_is_given_up),
        T(jobs_of_a_kind_that_is_not_known_here_wait_for_who_knows_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
