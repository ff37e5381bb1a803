/* Monotonic one-shot timers in a binary heap; the earliest bounds how long the loop may wait. */
#include "runtime/loop_impl.h"

#include <stdlib.h>

static void place(hs_loop *loop, size_t at, hs_timer *t)
{
    loop->heap[at - 1] = t;
    t->heap_at = at;
}

/* Moves the timer of slot `at` to where it belongs. */
static void settle(hs_loop *loop, size_t at)
{
    hs_timer *t = loop->heap[at - 1];

    while (at > 1 && loop->heap[at / 2 - 1]->at > t->at) {
        place(loop, at, loop->heap[at / 2 - 1]);
        at /= 2;
    }
    for (size_t child = at * 2; child <= loop->heap_n; child = at * 2) {
        if (child < loop->heap_n && loop->heap[child]->at < loop->heap[child - 1]->at)
            child++;
        if (loop->heap[child - 1]->at >= t->at)
            break;
        place(loop, at, loop->heap[child - 1]);
        at = child;
    }
    place(loop, at, t);
}

hs_error *hs_timer_arm(hs_loop *loop, hs_timer *t, int64_t in_ms)
{
    int64_t now = hs_loop_now(loop);

    if (in_ms < 0)
        in_ms = 0;
    t->at = in_ms > INT64_MAX - now ? INT64_MAX : now + in_ms;
    if (!t->heap_at) {
        if (loop->heap_n == loop->heap_cap) {
            size_t cap = loop->heap_cap ? loop->heap_cap * 2 : 64;
            hs_timer **grown = reallocarray(loop->heap, cap, sizeof(hs_timer *));
            if (!grown)
                return HS_ERR_NOMEM;
            loop->heap = grown;
            loop->heap_cap = cap;
        }
        loop->heap_n++;
        place(loop, loop->heap_n, t);
    }
    settle(loop, t->heap_at);
    return NULL;
}

void hs_timer_disarm(hs_loop *loop, hs_timer *t)
{
    size_t at = t->heap_at;

    if (!at)
        return;
    t->heap_at = 0;
    hs_timer *last = loop->heap[--loop->heap_n];
    if (last != t) {
        place(loop, at, last);
        settle(loop, at);
    }
}

void hs_timers_run(hs_loop *loop)
{
    int64_t now = hs_loop_now(loop);

    /* At most those that are armed now: one that arms itself anew with 0 ms waits for the next turn. */
    for (size_t left = loop->heap_n; left && loop->heap_n && loop->heap[0]->at <= now; left--) {
        hs_timer *t = loop->heap[0];
        hs_timer_disarm(loop, t);
        t->fn(t);
    }
}

int hs_timers_wait(const hs_loop *loop, int max_ms)
{
    int64_t left;

    if (!loop->heap_n)
        return max_ms;
    left = loop->heap[0]->at - hs_loop_now(loop);
    if (left <= 0)
        return 0;
    return left < max_ms ? (int)left : max_ms;
}
