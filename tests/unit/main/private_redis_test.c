#include "main/private_redis.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

typedef struct {
    hs_arena *a;
    hs_loop *loop;
    char dir[64];
} fixture;

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    snprintf(f->dir, sizeof f->dir, "/tmp/hs-redis-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->a = hs_arena_open(1 << 20);
    f->loop = hs_loop_open();
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static int close_fixture(void **state)
{
    fixture *f = *state;

    assert_int_equal(nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    hs_loop_close(f->loop);
    hs_arena_close(f->a);
    free(f);
    return 0;
}

/* The pid behind the socket; 0: nobody answers. */
static pid_t server_of(hs_str path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct ucred peer = { 0 };
    socklen_t n = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(path.n < sizeof to.sun_path);
    memcpy(to.sun_path, path.p, path.n);
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n), 0);
    close(fd);
    return peer.pid;
}

static void one_that_dies_is_started_again_and_one_that_is_there_is_taken_over(void **state)
{
    fixture *f = *state;
    hs_private_redis *r, *again;

    assert_null(hs_private_redis_start(f->a, hs_str_c(f->dir), &r));
    hs_str path = hs_private_redis_path(r);
    pid_t first = server_of(path), second = 0;
    assert_true(first > 0);
    assert_null(hs_private_redis_start(f->a, hs_str_c(f->dir), &again));
    assert_true(hs_str_eq(hs_private_redis_path(again), path));
    assert_int_equal(server_of(path), first);

    assert_null(hs_private_redis_watch(r, f->loop, NULL));
    assert_int_equal(kill(first, SIGKILL), 0);
    int64_t until = hs_loop_now(f->loop) + PATIENCE_MS;
    while (second == 0 && hs_loop_now(f->loop) < until) {
        hs_loop_turn(f->loop, 20);
        second = server_of(path);
        if (second == first)
            second = 0;
    }
    assert_true(second > 0);
    hs_private_redis_stop(r);
    assert_int_equal(server_of(path), 0);
    assert_int_not_equal(access(path.p, F_OK), 0);
}

static void a_long_path_has_its_socket_elsewhere(void **state)
{
    fixture *f = *state;
    char longer[200];
    hs_private_redis *r;

    snprintf(longer, sizeof longer, "%s/%0100d", f->dir, 0);
    assert_int_equal(mkdir(longer, 0700), 0);
    assert_null(hs_private_redis_start(f->a, hs_str_c(longer), &r));
    assert_true(hs_str_starts(hs_private_redis_path(r), HS_S("/tmp/hs-redis-")));
    assert_true(server_of(hs_private_redis_path(r)) > 0);
    hs_private_redis_stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_dies_is_started_again_and_one_that_is_there_is_taken_over,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_long_path_has_its_socket_elsewhere, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
