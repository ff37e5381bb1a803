#include "runtime/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What the fibers did, in order. */
typedef struct {
    hs_loop *loop;
    char text[256];
    hs_fiber_lock lock;
    hs_fiber_queue queue;
    hs_fiber *sleeper;
    unsigned ended;
} diary;

static void note(diary *d, const char *what)
{
    size_t n = strlen(d->text);

    snprintf(d->text + n, sizeof d->text - n, "%s%s", n ? " " : "", what);
}

static int setup(void **state)
{
    static diary d;

    d = (diary){ .loop = hs_loop_open() };
    *state = &d;
    return d.loop ? 0 : -1;
}

static int teardown(void **state)
{
    diary *d = *state;

    hs_loop_close(d->loop);
    return 0;
}

static void spawn(diary *d, void (*fn)(void *ud))
{
    assert_null(hs_fiber_spawn(d->loop, fn, d));
}

static void note_a(void *ud)
{
    note(ud, "a");
}

static void note_around_a_spawn(void *ud)
{
    diary *d = ud;

    note(d, "before");
    spawn(d, note_a);
    note(d, "after");
}

static void a_fiber_spawned_from_the_loop_runs_at_once(void **state)
{
    diary *d = *state;

    spawn(d, note_a);
    assert_string_equal(d->text, "a");
    assert_null(hs_fiber_self(d->loop));
}

static void a_fiber_spawned_from_a_fiber_waits_for_the_next_turn(void **state)
{
    diary *d = *state;

    spawn(d, note_around_a_spawn);
    assert_string_equal(d->text, "before after");
    hs_loop_turn(d->loop, 0);
    assert_string_equal(d->text, "before after a");
}

static void sleeps_once(void *ud)
{
    diary *d = ud;

    d->sleeper = hs_fiber_self(d->loop);
    hs_fiber_suspend(d->loop);
    note(d, "woken");
}

static void wakes_itself_and_sleeps(void *ud)
{
    diary *d = ud;

    hs_fiber_wake(hs_fiber_self(d->loop));
    hs_fiber_suspend(d->loop);
    note(d, "still here");
}

static void a_wake_runs_the_fiber_at_the_next_turn(void **state)
{
    diary *d = *state;

    spawn(d, sleeps_once);
    hs_loop_turn(d->loop, 0);
    assert_string_equal(d->text, "");
    hs_fiber_wake(d->sleeper);
    hs_fiber_wake(d->sleeper);
    assert_string_equal(d->text, "");
    hs_loop_turn(d->loop, 1000);
    assert_string_equal(d->text, "woken");
}

static void a_wake_before_the_sleep_is_not_lost(void **state)
{
    diary *d = *state;

    spawn(d, wakes_itself_and_sleeps);
    assert_string_equal(d->text, "still here");
}

static void first_waiter(void *ud)
{
    diary *d = ud;

    hs_fiber_wait(d->loop, &d->queue);
    note(d, "1");
}

static void second_waiter(void *ud)
{
    diary *d = ud;

    hs_fiber_wait(d->loop, &d->queue);
    note(d, "2");
}

/* X01 */
static void a_queue_wakes_in_the_order_of_waiting(void **state)
{
    diary *d = *state;

    assert_false(hs_fiber_wake_one(&d->queue));
    spawn(d, first_waiter);
    spawn(d, second_waiter);
    assert_true(hs_fiber_wake_one(&d->queue));
    hs_loop_turn(d->loop, 0);
    assert_string_equal(d->text, "1");
    hs_fiber_wake_all(&d->queue);
    hs_loop_turn(d->loop, 0);
    assert_string_equal(d->text, "1 2");
}

static void reads(void *ud)
{
    diary *d = ud;

    hs_lock_shared(d->loop, &d->lock);
    note(d, "r+");
    hs_fiber_sleep(d->loop, 1);
    note(d, "r-");
    hs_unlock(&d->lock);
    d->ended++;
}

static void writes(void *ud)
{
    diary *d = ud;

    hs_lock_exclusive(d->loop, &d->lock);
    note(d, "w+");
    hs_fiber_sleep(d->loop, 1);
    note(d, "w-");
    hs_unlock(&d->lock);
    d->ended++;
}

/* X01: nor do many who read keep the one out who writes. */
static void a_waiting_writer_holds_back_later_readers(void **state)
{
    diary *d = *state;

    spawn(d, reads);
    spawn(d, reads);
    spawn(d, writes);
    spawn(d, reads);
    spawn(d, writes);
    while (d->ended < 5)
        hs_loop_turn(d->loop, 1000);
    assert_string_equal(d->text, "r+ r+ r- r- w+ w- r+ r- w+ w-");
    assert_int_equal(d->lock.readers, 0);
    assert_null(d->lock.queue.first);
}

static void holds_until_the_arena_goes(void *ud)
{
    diary *d = ud;
    hs_arena *a = hs_arena_open(1 << 20);
    hs_held *first, *second;
    hs_fiber_lock other = { 0 };

    assert_null(hs_hold_exclusive(d->loop, a, &d->lock, &first));
    assert_null(hs_hold_shared(d->loop, a, &other, &second));
    assert_int_equal(other.readers, 1);
    hs_held_release(second);
    hs_held_release(second);
    assert_int_equal(other.readers, 0);
    assert_int_equal(d->lock.readers, -1);
    hs_arena_close(a);
    d->ended++;
}

static void a_held_lock_goes_with_the_arena(void **state)
{
    diary *d = *state;

    spawn(d, holds_until_the_arena_goes);
    assert_int_equal(d->ended, 1);
    assert_int_equal(d->lock.readers, 0);
}

static void waits_for_ever(void *ud)
{
    diary *d = ud;

    for (;;)
        hs_fiber_wait(d->loop, &d->queue);
}

static void more_than_16000_fibers_are_refused_with_503(void **state)
{
    diary *d = *state;
    hs_error *e = NULL;
    unsigned n = 0;

    while (n < 20000 && !(e = hs_fiber_spawn(d->loop, waits_for_ever, d)))
        n++;
    assert_int_equal(n, 16000);
    assert_int_equal(e->status, 503);
}

static void uses_stack(void *ud)
{
    volatile char room[64 << 10];
    diary *d = ud;

    memset((void *)(uintptr_t)room, 1, sizeof room);
    hs_fiber_sleep(d->loop, 0);
    d->ended += (unsigned)room[sizeof room - 1];
}

/* Z13 */
static void a_fiber_has_64_kib_of_stack_to_use(void **state)
{
    diary *d = *state;

    for (int i = 0; i < 3; i++)
        assert_null(hs_loop_run_fiber(d->loop, uses_stack, d));
    assert_int_equal(d->ended, 3);
}

static void adds_on_another_thread(void *ud)
{
    diary *d = ud;

    d->ended += 10;
}

static void offloads(void *ud)
{
    diary *d = ud;
    hs_arena *a = hs_arena_open(1 << 16);

    note(d, "asked");
    assert_null(hs_offload(d->loop, a, adds_on_another_thread, d));
    assert_int_equal(d->ended, 10);
    note(d, "done");
    hs_arena_close(a);
}

static void offloaded_work_suspends_its_fiber_only(void **state)
{
    diary *d = *state;

    assert_null(hs_loop_run_fiber(d->loop, offloads, d));
    assert_string_equal(d->text, "asked done");
}

typedef struct {
    diary *d;
    unsigned done, refused;
} crowd;

static void nothing(void *ud)
{
    (void)ud;
}

static void offloads_in_a_crowd(void *ud)
{
    crowd *c = ud;
    hs_arena *a = hs_arena_open(1 << 16);
    hs_error *e = hs_offload(c->d->loop, a, nothing, NULL);

    if (e) {
        assert_int_equal(e->status, 429);
        assert_int_equal(e->code, HS_M_LIMIT_EXCEEDED);
        c->refused++;
    } else {
        c->done++;
    }
    hs_arena_close(a);
}

static void every_offload_ends_or_is_refused_with_429(void **state)
{
    crowd c = { .d = *state };

    for (int i = 0; i < 2000; i++)
        assert_null(hs_fiber_spawn(c.d->loop, offloads_in_a_crowd, &c));
    while (c.done + c.refused < 2000)
        hs_loop_turn(c.d->loop, 1000);
    assert_true(c.done >= 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_fiber_spawned_from_the_loop_runs_at_once),
        T(a_fiber_spawned_from_a_fiber_waits_for_the_next_turn),
        T(a_wake_runs_the_fiber_at_the_next_turn),
        T(a_wake_before_the_sleep_is_not_lost),
        T(a_queue_wakes_in_the_order_of_waiting),
        T(a_waiting_writer_holds_back_later_readers),
        T(a_held_lock_goes_with_the_arena),
        T(more_than_16000_fibers_are_refused_with_503),
        T(a_fiber_has_64_kib_of_stack_to_use),
        T(offloaded_work_suspends_its_fiber_only),
        T(every_offload_ends_or_is_refused_with_429),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
