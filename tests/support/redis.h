/* A private Redis for a test program, on a Unix socket and a TCP port of its own; it ends with the program. */
#ifndef HS_TESTS_SUPPORT_REDIS_H
#define HS_TESTS_SUPPORT_REDIS_H

#include <stdint.h>
#include <sys/types.h>

typedef struct {
    char dir[64], socket[96];
    uint16_t port;
    pid_t pid;
} test_redis;

/* `settings`: further lines of redis.conf, "" for none; with "tls-port %p" the port speaks TLS. Waits until it takes
 * connections. */
void test_redis_start(test_redis *r, const char *settings);
/* kill -9, and the same one again: same directory, socket and port. */
void test_redis_kill(test_redis *r);
void test_redis_again(test_redis *r);
void test_redis_stop(test_redis *r);
/* A Sentinel (its port in r->port) that watches `master` under the name "hs", alone. */
void test_sentinel_start(test_redis *r, const test_redis *master);
/* Waits until the Sentinel knows a replica that could become the master. */
void test_await_replica(const test_redis *sentinel);
/* Runs a program and waits; fails the test when it fails. The list ends with NULL. */
void test_run(const char *const argv[]);

#endif
