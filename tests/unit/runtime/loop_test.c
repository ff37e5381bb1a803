#include "runtime/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = hs_loop_open();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    hs_loop_close(*state);
    return 0;
}

enum { TIMERS = 500 };
typedef struct {
    hs_timer timers[TIMERS];
    int64_t last;
    unsigned fired;
} clockwork;

static void tick(hs_timer *t)
{
    clockwork *c = t->ud;

    assert_true(t->at >= c->last);
    c->last = t->at;
    c->fired++;
}

static void timers_fire_in_the_order_of_their_deadlines(void **state)
{
    static clockwork c;
    hs_loop *loop = *state;
    unsigned rnd = 7, disarmed = 0;

    for (int i = 0; i < TIMERS; i++) {
        rnd = rnd * 1103515245u + 12345u;
        c.timers[i] = (hs_timer){ .fn = tick, .ud = &c };
        assert_null(hs_timer_arm(loop, &c.timers[i], (rnd >> 16) % 30));
    }
    for (int i = 0; i < TIMERS; i += 3) { /* moved or disarmed */
        rnd = rnd * 1103515245u + 12345u;
        if (rnd & 0x10000u) {
            hs_timer_disarm(loop, &c.timers[i]);
            hs_timer_disarm(loop, &c.timers[i]);
            disarmed++;
        } else {
            assert_null(hs_timer_arm(loop, &c.timers[i], (rnd >> 20) % 30));
        }
    }
    while (c.fired + disarmed < TIMERS)
        hs_loop_turn(loop, 1000);
    for (int i = 0; i < TIMERS; i++)
        assert_int_equal(c.timers[i].heap_at, 0);
}

static void arms_itself_anew(hs_timer *t)
{
    int *count = t->ud;

    ++*count;
}

typedef struct {
    hs_timer t;
    hs_loop *loop;
    int count;
} restless;

static void rearm(hs_timer *t)
{
    restless *r = t->ud;

    r->count++;
    assert_null(hs_timer_arm(r->loop, t, 0));
}

static void a_timer_that_arms_itself_with_0_ms_does_not_hold_the_turn(void **state)
{
    restless r = { .loop = *state };

    r.t = (hs_timer){ .fn = rearm, .ud = &r };
    assert_null(hs_timer_arm(r.loop, &r.t, 0));
    hs_loop_turn(r.loop, 1000);
    assert_int_equal(r.count, 1);
    hs_timer_disarm(r.loop, &r.t);
}

static void a_turn_waits_no_longer_than_the_next_timer(void **state)
{
    hs_loop *loop = *state;
    int count = 0;
    hs_timer t = { .fn = arms_itself_anew, .ud = &count };
    int64_t began = hs_loop_now(loop);

    assert_null(hs_timer_arm(loop, &t, 20));
    while (!count)
        hs_loop_turn(loop, 30000);
    assert_in_range(hs_loop_now(loop) - began, 20, 10000);
}

typedef struct {
    hs_io io;
    hs_loop *loop;
    unsigned events, calls;
    hs_io *other; /* removed when this one is called */
} watch;

static void on_watch(hs_io *io, unsigned events)
{
    watch *w = io->ud;
    char c;

    w->events |= events;
    w->calls++;
    if (events & HS_IO_READ)
        (void)!read(io->fd, &c, 1);
    if (w->other)
        assert_null(hs_io_want(w->loop, w->other, 0));
}

static void a_foreign_descriptor_is_watched_as_wanted(void **state)
{
    hs_loop *loop = *state;
    int s[2];
    watch w = { .io = { .fn = on_watch, .ud = &w }, .loop = loop };

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
    w.io.fd = s[0];
    assert_null(hs_io_want(loop, &w.io, HS_IO_READ));
    hs_loop_turn(loop, 0);
    assert_int_equal(w.calls, 0);
    assert_int_equal(write(s[1], "x", 1), 1);
    hs_loop_turn(loop, 1000);
    assert_int_equal(w.events, HS_IO_READ);
    assert_null(hs_io_want(loop, &w.io, HS_IO_WRITE));
    hs_loop_turn(loop, 1000);
    assert_int_equal(w.events, HS_IO_READ | HS_IO_WRITE);
    assert_null(hs_io_want(loop, &w.io, 0));
    close(s[1]);
    close(s[0]);
}

static void a_descriptor_closed_under_its_watch_harms_nobody_else(void **state)
{
    hs_loop *loop = *state;
    int gone[2], alive[2];
    watch a = { .io = { .fn = on_watch, .ud = &a }, .loop = loop };
    watch b = { .io = { .fn = on_watch, .ud = &b }, .loop = loop };

    assert_int_equal(pipe(gone), 0);
    assert_int_equal(pipe(alive), 0);
    a.io.fd = gone[0];
    b.io.fd = alive[0];
    assert_null(hs_io_want(loop, &a.io, HS_IO_READ));
    close(gone[0]);
    close(gone[1]);
    assert_null(hs_io_want(loop, &b.io, HS_IO_READ));
    assert_int_equal(write(alive[1], "x", 1), 1);
    hs_loop_turn(loop, 1000);
    assert_int_equal(b.calls, 1);
    assert_null(hs_io_want(loop, &a.io, 0));
    assert_null(hs_io_want(loop, &b.io, 0));
    close(alive[0]);
    close(alive[1]);
}

static void a_watch_removed_by_its_neighbour_is_not_called(void **state)
{
    hs_loop *loop = *state;
    int one[2], two[2];
    watch a = { .io = { .fn = on_watch, .ud = &a }, .loop = loop };
    watch b = { .io = { .fn = on_watch, .ud = &b }, .loop = loop };

    assert_int_equal(pipe(one), 0);
    assert_int_equal(pipe(two), 0);
    a.io.fd = one[0];
    a.other = &b.io;
    b.io.fd = two[0];
    b.other = &a.io;
    assert_null(hs_io_want(loop, &a.io, HS_IO_READ));
    assert_null(hs_io_want(loop, &b.io, HS_IO_READ));
    assert_int_equal(write(one[1], "x", 1), 1);
    assert_int_equal(write(two[1], "x", 1), 1);
    hs_loop_turn(loop, 1000);
    hs_loop_turn(loop, 0);
    assert_int_equal(a.calls + b.calls, 1);
    assert_null(hs_io_want(loop, &a.io, 0));
    assert_null(hs_io_want(loop, &b.io, 0));
    close(one[0]), close(one[1]), close(two[0]), close(two[1]);
}

enum { POSTS = 1000 };
typedef struct {
    hs_loop *loop;
    hs_post posts[POSTS];
    int ran;
} mail;

static void on_post(hs_post *p)
{
    mail *m = p->ud;

    assert_ptr_equal(p, &m->posts[m->ran]);
    m->ran++;
}

static void *post_all(void *ud)
{
    mail *m = ud;

    for (int i = 0; i < POSTS; i++) {
        m->posts[i] = (hs_post){ .fn = on_post, .ud = m };
        hs_loop_post(m->loop, &m->posts[i]);
    }
    return NULL;
}

static void posts_from_another_thread_run_in_order_on_the_loop(void **state)
{
    static mail m;
    pthread_t thread;

    m.loop = *state;
    assert_int_equal(pthread_create(&thread, NULL, post_all, &m), 0);
    while (m.ran < POSTS)
        hs_loop_turn(m.loop, 10000);
    pthread_join(thread, NULL);
}

typedef struct {
    hs_loop *loop;
    hs_post post;
    int gathered, flushed;
} gather;

static void flush(hs_post *p)
{
    gather *g = p->ud;

    g->flushed = g->gathered;
}

static void gathers(void *ud)
{
    gather *g = ud;

    hs_fiber_sleep(g->loop, 0);
    if (!g->gathered++)
        hs_loop_defer(g->loop, &g->post);
}

static void deferred_work_runs_after_the_fibers_of_the_turn(void **state)
{
    gather g = { .loop = *state, .post = { .fn = flush, .ud = &g } };

    for (int i = 0; i < 3; i++)
        assert_null(hs_fiber_spawn(g.loop, gathers, &g));
    while (!g.flushed)
        hs_loop_turn(g.loop, 1000);
    assert_int_equal(g.flushed, 3);
}

static void opened_and_closed_loops_leave_no_descriptors(void **state)
{
    int before = dup(0);
    (void)state;

    for (int i = 0; i < 50; i++) {
        hs_loop *loop = hs_loop_open();
        hs_loop_turn(loop, 0);
        hs_loop_close(loop);
    }
    close(before);
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(timers_fire_in_the_order_of_their_deadlines),
        T(a_timer_that_arms_itself_with_0_ms_does_not_hold_the_turn),
        T(a_turn_waits_no_longer_than_the_next_timer),
        T(a_foreign_descriptor_is_watched_as_wanted),
        T(a_descriptor_closed_under_its_watch_harms_nobody_else),
        T(a_watch_removed_by_its_neighbour_is_not_called),
        T(posts_from_another_thread_run_in_order_on_the_loop),
        T(deferred_work_runs_after_the_fibers_of_the_turn),
        T(opened_and_closed_loops_leave_no_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
