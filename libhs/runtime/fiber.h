/* Fibers: sequential code over an event loop. One loop, one thread; a fiber runs until it suspends. */
#ifndef HS_RUNTIME_FIBER_H
#define HS_RUNTIME_FIBER_H

#include <hs/arena.h>

typedef struct hs_loop hs_loop;
typedef struct hs_fiber hs_fiber;

/* Runs fn(ud) on a fiber of its own: at once, until it first suspends, when called from the loop; at the next turn when
 * called from another fiber. 503 when there are too many fibers (16,000) or no memory. */
HS_NODISCARD hs_error *hs_fiber_spawn(hs_loop *loop, void (*fn)(void *ud), void *ud);
/* The running fiber; NULL on the loop itself. */
hs_fiber *hs_fiber_self(hs_loop *loop);
/* Sleeps until hs_fiber_wake. A wake that came before makes it return at once. Wakes do not add up and may be meant for
 * an earlier sleep: check the condition around it. Never on the loop itself. */
HS_SUSPENDS void hs_fiber_suspend(hs_loop *loop);
/* Loop thread only; from a fiber or a callback. The fiber runs at the next turn of the loop. */
void hs_fiber_wake(hs_fiber *f);
HS_SUSPENDS void hs_fiber_sleep(hs_loop *loop, int64_t ms);

/* A queue of waiting fibers, first come first served: the base of locks and pools. Zero is empty. */
typedef struct hs_fiber_waiter hs_fiber_waiter;
typedef struct {
    hs_fiber_waiter *first, *last;
} hs_fiber_queue;
HS_SUSPENDS void hs_fiber_wait(hs_loop *loop, hs_fiber_queue *q);
bool hs_fiber_wake_one(hs_fiber_queue *q); /* false: nobody waits */
void hs_fiber_wake_all(hs_fiber_queue *q);

/* A readers-writer lock between fibers, fair: a waiting writer holds back later readers. Zero is unlocked. */
typedef struct {
    int readers; /* -1: a writer */
    hs_fiber_queue queue;
} hs_fiber_lock;
HS_SUSPENDS void hs_lock_shared(hs_loop *loop, hs_fiber_lock *l);
HS_SUSPENDS void hs_lock_exclusive(hs_loop *loop, hs_fiber_lock *l);
void hs_unlock(hs_fiber_lock *l);

/* A lock that is let go when the arena is reset, if not before by hs_held_release (which may be called twice). */
typedef struct hs_held hs_held;
HS_NODISCARD HS_SUSPENDS hs_error *hs_hold_shared(hs_loop *loop, hs_arena *a, hs_fiber_lock *l, hs_held **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_hold_exclusive(hs_loop *loop, hs_arena *a, hs_fiber_lock *l, hs_held **ret);
void hs_held_release(hs_held *h);

#endif
