/* Fibers on boost.context's two assembler functions; queues and locks between them.
 *
 * A stack is a mapping of 128 KiB with a page below that faults. Only pages that were touched cost memory, and the
 * fiber's own record lies on the topmost one. */
#include "runtime/loop_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#if HS_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES ((size_t)1 << 20)
#else
#define STACK_BYTES ((size_t)128 << 10)
#endif
#define GUARD_BYTES ((size_t)4096)
/* Two mappings a fiber, and Linux gives a process 65,530. */
#define MAX_FIBERS 16000u
#define MAX_IDLE   1024u

typedef struct {
    void *from;
    void *data;
} transfer;

transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *top, size_t size, void (*fn)(transfer));

struct hs_fiber_waiter {
    hs_fiber_waiter *next;
    hs_fiber *fiber;
    bool exclusive, served;
};

struct hs_fiber {
    hs_loop *loop;
    void *context; /* while it does not run */
    void (*fn)(void *ud);
    void *ud;
    hs_fiber *next;                  /* in the ready list or among the idle */
    hs_fiber *live_next, *live_prev; /* all that have begun and not ended */
    bool queued, waked, ended;
    char *map;
    hs_fiber_waiter waiter; /* it waits in one queue at a time */
};

static hs_error too_many = {
    .status = 503,
    .code = HS_M_UNKNOWN,
    .message = HS_S_INIT("The server is busy"),
    .where = "fiber",
    .retry_ms = 1000,
};

static char *stack_low(const hs_fiber *f)
{
    return f->map + GUARD_BYTES;
}

static size_t stack_usable(const hs_fiber *f)
{
    return (size_t)((const char *)f - stack_low(f));
}

static void before_switch_to_fiber(hs_fiber *f, void **save)
{
#if HS_ASAN
    __sanitizer_start_switch_fiber(save, stack_low(f), stack_usable(f));
#else
    (void)f;
    (void)save;
#endif
}

/* `save` NULL: the running fiber will not come back. */
static void before_switch_to_loop(hs_loop *loop, void **save)
{
#if HS_ASAN
    __sanitizer_start_switch_fiber(save, loop->stack, loop->stack_n);
#else
    (void)loop;
    (void)save;
#endif
}

static void after_switch(void *saved, const void **ret_old, size_t *ret_old_n)
{
#if HS_ASAN
    __sanitizer_finish_switch_fiber(saved, ret_old, ret_old_n);
#else
    (void)saved;
    (void)ret_old;
    (void)ret_old_n;
#endif
}

static void fiber_main(transfer t)
{
    hs_fiber *f = t.data;
    hs_loop *loop = f->loop;

    loop->context = t.from;
    after_switch(NULL, &loop->stack, &loop->stack_n);
    f->fn(f->ud);
    f->ended = true;
    before_switch_to_loop(loop, NULL);
    jump_fcontext(loop->context, NULL);
    __builtin_unreachable();
}

static hs_fiber *map_fiber(hs_loop *loop)
{
    char *map = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    hs_fiber *f;

    if (map == MAP_FAILED)
        return NULL;
    if (mprotect(map, GUARD_BYTES, PROT_NONE)) {
        munmap(map, GUARD_BYTES + STACK_BYTES);
        return NULL;
    }
    f = (hs_fiber *)(void *)(map + GUARD_BYTES + STACK_BYTES - ((sizeof *f + 63) & ~(size_t)63));
    f->loop = loop;
    f->map = map;
    return f;
}

static void unmap_fiber(hs_fiber *f)
{
#if HS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(f->map + GUARD_BYTES, STACK_BYTES);
#endif
    munmap(f->map, GUARD_BYTES + STACK_BYTES);
}

static hs_fiber *take(hs_loop *loop)
{
    hs_fiber *f = loop->idle;

    if (f) {
        loop->idle = f->next;
        loop->idle_n--;
    } else {
        f = map_fiber(loop);
    }
    if (!f)
        return NULL;
    f->next = NULL;
    f->queued = f->waked = f->ended = false;
    f->live_prev = NULL;
    f->live_next = loop->live;
    if (loop->live)
        loop->live->live_prev = f;
    loop->live = f;
    loop->live_n++;
    return f;
}

static void put_back(hs_loop *loop, hs_fiber *f)
{
    if (f->live_prev)
        f->live_prev->live_next = f->live_next;
    else
        loop->live = f->live_next;
    if (f->live_next)
        f->live_next->live_prev = f->live_prev;
    loop->live_n--;
    if (loop->idle_n >= MAX_IDLE) {
        unmap_fiber(f);
        return;
    }
#if HS_ASAN
    ASAN_UNPOISON_MEMORY_REGION(stack_low(f), stack_usable(f));
#endif
    f->next = loop->idle;
    loop->idle = f;
    loop->idle_n++;
}

/* From the loop's own stack: runs the fiber until it suspends or ends. */
static void resume(hs_fiber *f)
{
    hs_loop *loop = f->loop;
    void *fake;

    loop->current = f;
    before_switch_to_fiber(f, &fake);
    transfer t = jump_fcontext(f->context, f);
    after_switch(fake, NULL, NULL);
    loop->current = NULL;
    f->context = t.from;
    if (f->ended)
        put_back(loop, f);
}

static void enqueue(hs_fiber *f)
{
    hs_fiber_list *ready = &f->loop->ready;

    f->queued = true;
    f->next = NULL;
    if (ready->first)
        ready->last->next = f;
    else
        ready->first = f;
    ready->last = f;
}

hs_error *hs_fiber_spawn(hs_loop *loop, void (*fn)(void *ud), void *ud)
{
    hs_fiber *f = loop->live_n < MAX_FIBERS ? take(loop) : NULL;

    if (!f)
        return &too_many;
    f->fn = fn;
    f->ud = ud;
    f->context = make_fcontext(f, stack_usable(f), fiber_main);
    if (loop->current)
        enqueue(f);
    else
        resume(f);
    return NULL;
}

hs_fiber *hs_fiber_self(hs_loop *loop)
{
    return loop->current;
}

/* To wait without a fiber is a mistake in our own code that no build may survive: there is no stack to come back to. */
static hs_fiber *need_fiber(const hs_loop *loop)
{
    if (!loop->current) {
        fputs("waiting outside a fiber (hs_loop_run_fiber makes one)\n", stderr);
        __builtin_trap();
    }
    return loop->current;
}

void hs_fiber_suspend(hs_loop *loop)
{
    hs_fiber *f = need_fiber(loop);
    void *fake;

    if (f->waked) {
        f->waked = false;
        return;
    }
    before_switch_to_loop(loop, &fake);
    transfer t = jump_fcontext(loop->context, NULL);
    after_switch(fake, &loop->stack, &loop->stack_n);
    loop->context = t.from;
    f->waked = false;
}

void hs_fiber_wake(hs_fiber *f)
{
    if (f == f->loop->current) {
        f->waked = true;
    } else if (!f->queued) {
        f->waked = true;
        enqueue(f);
    }
}

void hs_fibers_run(hs_loop *loop)
{
    hs_fiber *f = loop->ready.first;

    /* Only those that are ready now: what they wake runs in the next turn, after the sockets had theirs. */
    loop->ready = (hs_fiber_list){ 0 };
    while (f) {
        hs_fiber *next = f->next;
        f->queued = false;
        resume(f);
        f = next;
    }
}

void hs_fibers_close(hs_loop *loop)
{
    while (loop->live) {
        hs_fiber *f = loop->live;
        loop->live = f->live_next;
        unmap_fiber(f);
    }
    while (loop->idle) {
        hs_fiber *f = loop->idle;
        loop->idle = f->next;
        unmap_fiber(f);
    }
}

typedef struct {
    hs_timer timer;
    hs_fiber *fiber;
    bool over;
} nap;

static void end_nap(hs_timer *t)
{
    nap *n = t->ud;

    n->over = true;
    hs_fiber_wake(n->fiber);
}

void hs_fiber_sleep(hs_loop *loop, int64_t ms)
{
    nap n = { .timer = { .fn = end_nap, .ud = &n }, .fiber = need_fiber(loop) };

    if (hs_timer_arm(loop, &n.timer, ms))
        return; /* no memory: the nap is cut short */
    while (!n.over)
        hs_fiber_suspend(loop);
}

/* ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static void wait_as(hs_loop *loop, hs_fiber_queue *q, bool exclusive)
{
    hs_fiber *f = need_fiber(loop);
    hs_fiber_waiter *w = &f->waiter;

    *w = (hs_fiber_waiter){ .fiber = f, .exclusive = exclusive };
    if (q->first)
        q->last->next = w;
    else
        q->first = w;
    q->last = w;
    while (!w->served)
        hs_fiber_suspend(loop);
}

void hs_fiber_wait(hs_loop *loop, hs_fiber_queue *q)
{
    wait_as(loop, q, false);
}

bool hs_fiber_wake_one(hs_fiber_queue *q)
{
    hs_fiber_waiter *w = q->first;

    if (!w)
        return false;
    q->first = w->next;
    if (!q->first)
        q->last = NULL;
    w->served = true;
    hs_fiber_wake(w->fiber);
    return true;
}

void hs_fiber_wake_all(hs_fiber_queue *q)
{
    while (hs_fiber_wake_one(q))
        ;
}

/* ── locks ──────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

void hs_lock_shared(hs_loop *loop, hs_fiber_lock *l)
{
    if (l->readers >= 0 && !l->queue.first)
        l->readers++;
    else
        wait_as(loop, &l->queue, false); /* hs_unlock counts us in */
}

void hs_lock_exclusive(hs_loop *loop, hs_fiber_lock *l)
{
    if (l->readers == 0 && !l->queue.first)
        l->readers = -1;
    else
        wait_as(loop, &l->queue, true);
}

void hs_unlock(hs_fiber_lock *l)
{
    if (l->readers < 0)
        l->readers = 0;
    else
        l->readers--;
    while (l->queue.first && l->readers >= 0) {
        bool exclusive = l->queue.first->exclusive;
        if (exclusive && l->readers)
            return;
        l->readers = exclusive ? -1 : l->readers + 1;
        (void)hs_fiber_wake_one(&l->queue);
    }
}

struct hs_held {
    hs_fiber_lock *lock; /* NULL: let go */
};

static void release_hook(void *ud)
{
    hs_held_release(ud);
}

static hs_error *held_new(hs_arena *a, hs_held **ret)
{
    HS_TRY(hs_alloc(a, 1, ret));
    return hs_arena_on_reset(a, release_hook, *ret);
}

hs_error *hs_hold_shared(hs_loop *loop, hs_arena *a, hs_fiber_lock *l, hs_held **ret)
{
    hs_held *h;

    HS_TRY(held_new(a, &h));
    hs_lock_shared(loop, l);
    h->lock = l;

    *ret = h;
    return NULL;
}

hs_error *hs_hold_exclusive(hs_loop *loop, hs_arena *a, hs_fiber_lock *l, hs_held **ret)
{
    hs_held *h;

    HS_TRY(held_new(a, &h));
    hs_lock_exclusive(loop, l);
    h->lock = l;

    *ret = h;
    return NULL;
}

void hs_held_release(hs_held *h)
{
    hs_fiber_lock *l = h->lock;

    h->lock = NULL;
    if (l)
        hs_unlock(l);
}
