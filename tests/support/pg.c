#include "support/pg.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { DATABASES_MAX = 32 };

static char conninfos[DATABASES_MAX][256];
static char names[DATABASES_MAX][64];
static int databases;

static const char *cluster(void)
{
    const char *dir = getenv("HS_TEST_PG");

    if (!dir) {
        fprintf(stderr, "HS_TEST_PG is not set: run tests/support/pg.sh start DIR and set it to DIR\n");
        exit(2);
    }
    return dir;
}

long long test_pg_sql(const char *conninfo, const char *sql)
{
    PGconn *pg = PQconnectdb(conninfo);
    PGresult *res = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(res);
    long long v = 0;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(pg));
        exit(2);
    }
    if (PQntuples(res) > 0)
        v = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    PQfinish(pg);
    return v;
}

static void drop_all(void)
{
    char admin[256], sql[160];

    snprintf(admin, sizeof admin, "host=%s user=hs dbname=postgres", cluster());
    for (int i = 0; i < databases; i++) {
        snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", names[i]);
        test_pg_sql(admin, sql);
    }
}

const char *test_pg_create(const char *options)
{
    char admin[256], sql[256];
    int i = databases;

    if (i == DATABASES_MAX)
        abort();
    if (!i)
        atexit(drop_all);
    snprintf(admin, sizeof admin, "host=%s user=hs dbname=postgres", cluster());
    snprintf(names[i], sizeof names[i], "t_%ld_%d", (long)getpid(), i);
    snprintf(conninfos[i], sizeof conninfos[i], "host=%s user=hs dbname=%s", cluster(), names[i]);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0 %s", names[i], options);
    test_pg_sql(admin, sql);
    databases++;
    return conninfos[i];
}

static int number_of(const char *conninfo)
{
    for (int i = 0; i < databases; i++)
        if (conninfos[i] == conninfo)
            return i;
    abort();
}

void test_pg_copy(const char *from, const char *to)
{
    char admin[256], sql[256];

    snprintf(admin, sizeof admin, "host=%s user=hs dbname=postgres", cluster());
    snprintf(sql, sizeof sql, "DROP DATABASE %.63s WITH (FORCE)", names[number_of(to)]);
    test_pg_sql(admin, sql);
    snprintf(sql, sizeof sql, "CREATE DATABASE %.63s TEMPLATE %.63s", names[number_of(to)], names[number_of(from)]);
    test_pg_sql(admin, sql);
}

void test_ok_at(hs_error *e, const char *file, int line)
{
    if (!e)
        return;
    fprintf(stderr, "%s:%d: %d %.*s\n", file, line, e->status, HS_FMT(e->message));
    for (const hs_error *c = e->cause; c; c = c->cause)
        fprintf(stderr, "  %s: %.*s\n", c->where ? c->where : "?", HS_FMT(c->message));
    _fail(file, line);
}

void test_db_open(test_db *t)
{
    t->loop = hs_loop_open();
    t->a = hs_arena_open((size_t)256 << 20);
    assert_non_null(t->loop);
    assert_non_null(t->a);
    if (!t->conninfo)
        t->conninfo = test_pg_create("");
    if (getenv("HS_TEST_LOG"))
        t->log = hs_logger_open(2, HS_LOG_DEBUG, false);
    test_ok(
        hs_db_open(t->loop, t->a, &(hs_db_options){ .conninfo = t->conninfo, .log = t->log, .away_ms = 1000 }, &t->db));
}

void test_db_close(test_db *t)
{
    hs_arena_reset(t->a);
    hs_db_close(t->db);
    hs_arena_close(t->a);
    hs_loop_close(t->loop);
    hs_logger_close(t->log);
}

void test_await_writing(test_db *t)
{
    hs_write_result r = { .status = HS_WRITE_STALE };
    hs_write *w;
    uint32_t at;

    for (int64_t until = hs_loop_now(t->loop) + 5000; r.status != HS_WRITE_OK; hs_loop_turn(t->loop, 20)) {
        assert_true(hs_loop_now(t->loop) < until);
        test_ok(hs_write_open(t->db, t->a, &w));
        test_ok(hs_write_position(w, &at));
        (void)!hs_write_commit(w, &r);
    }
}

typedef struct {
    void (*fn)(void *ud);
    void *ud;
    bool done;
} call;

static void run_call(void *ud)
{
    call *c = ud;

    c->fn(c->ud);
    c->done = true;
}

void test_on_fiber(hs_loop *loop, void (*fn)(void *ud), void *ud)
{
    call c = { fn, ud, false };

    test_ok(hs_fiber_spawn(loop, run_call, &c));
    while (!c.done)
        hs_loop_turn(loop, 50);
}

typedef struct {
    void (*fn)(void **state);
    void **state;
} test_case;

static void run_case(void *ud)
{
    test_case *c = ud;

    c->fn(c->state);
}

void test_case_on_fiber(hs_loop *loop, void (*fn)(void **state), void **state)
{
    test_on_fiber(loop, run_case, &(test_case){ fn, state });
}
