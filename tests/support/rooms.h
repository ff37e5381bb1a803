/* A server with rooms on a test database: users are made by name, without accounts. */
#ifndef HS_TESTS_SUPPORT_ROOMS_H
#define HS_TESTS_SUPPORT_ROOMS_H

#include "server/cache.h"
#include "server/room_create.h"
#include "support/pg.h"

typedef struct {
    test_db db;
    hs_server *srv;
    hs_config config;
} test_rooms;

void test_rooms_open(test_rooms *t);
/* … with sticky events. */
void test_rooms_open_sticky(test_rooms *t);
/* The same database with a server that has just begun. */
void test_rooms_restart(test_rooms *t);
void test_rooms_close(test_rooms *t);
/* n workers on one database and one loop, telling each other by one bus. */
void test_workers_open(test_rooms *t, size_t n, hs_bus **ret_bus);
void test_workers_close(test_rooms *t, size_t n, hs_bus *bus);
/* A world of three workers, as setup and teardown of a cmocka test. */
enum { TEST_WORKERS = 3 };
typedef struct {
    test_rooms w[TEST_WORKERS];
    hs_bus *bus;
} test_world;
int test_world_open(void **state);
int test_world_close(void **state);
/* Session of '@name:test'. */
hs_session *test_user(test_rooms *t, const char *name);
/* A room by `who` from a JSON body of createRoom. */
hs_str test_create(test_rooms *t, const hs_session *who, const char *body);
hs_str test_send(test_rooms *t, const hs_session *who, hs_str room_id, const char *text, const char *txn_id);
hs_jv test_json(hs_arena *a, const char *text);

/* Setup and teardown of cmocka for tests with one of these as their state. */
int test_rooms_setup(void **state);
int test_rooms_teardown(void **state);
/* The test f_, which runs f on a fiber: locks and sleeps need one. */
#define TEST_ROOMS_ON_FIBER(f)                                                                                         \
    static void f##_(void **state)                                                                                     \
    {                                                                                                                  \
        test_case_on_fiber(((test_rooms *)*state)->db.loop, f, state);                                                 \
    }

#endif
