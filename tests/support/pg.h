/* Databases of a test program, in the private cluster that tests/support/pg.sh runs (its directory is in HS_TEST_PG).
 */
#ifndef HS_TESTS_SUPPORT_PG_H
#define HS_TESTS_SUPPORT_PG_H

#include "store/write.h"

/* A fresh database, dropped again when the program ends; `options` go behind CREATE DATABASE ("" for UTF8 and C).
 * Returns its conninfo, which stays valid. Ends the program with a message when there is no cluster. */
const char *test_pg_create(const char *options);
/* Makes a database of test_pg_create a copy of another, to which nobody may be connected. */
void test_pg_copy(const char *from, const char *to);
/* Runs SQL as the cluster's owner in the database of `conninfo`; fails the program on error. First value as a number, 0
 * if none. */
long long test_pg_sql(const char *conninfo, const char *sql);

/* A loop, an arena, a database with our schema and a handle on it. */
typedef struct {
    hs_loop *loop;
    hs_arena *a;
    const char *conninfo;
    hs_db *db;
    hs_logger *log; /* to stderr when HS_TEST_LOG is set */
} test_db;
void test_db_open(test_db *t);
void test_db_close(test_db *t);

/* Turns the loop until a unit is written: what was refused may be asked again. Fails after 5 s. */
void test_await_writing(test_db *t);

/* Runs fn(ud) on a fiber and turns the loop until it has returned. */
void test_on_fiber(hs_loop *loop, void (*fn)(void *ud), void *ud);

/* The same with a test case of cmocka. */
void test_case_on_fiber(hs_loop *loop, void (*fn)(void **state), void **state);

/* Prints the error's text and fails. */
void test_ok_at(hs_error *e, const char *file, int line);
#define test_ok(e) test_ok_at((e), __FILE__, __LINE__)

#endif
