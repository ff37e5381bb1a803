/* What loop.c, timer.c, fiber.c and threads.c share; nobody else includes it. */
#ifndef HS_RUNTIME_LOOP_IMPL_H
#define HS_RUNTIME_LOOP_IMPL_H

#include "runtime/loop.h"

#include <stdatomic.h>
#include <sys/epoll.h>

#if defined(__SANITIZE_ADDRESS__)
#define HS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HS_ASAN 1
#endif
#endif
#ifndef HS_ASAN
#define HS_ASAN 0
#endif

#define HS_IO_BATCH 128

typedef struct {
    uint64_t seen; /* h2o's clock when the two below were read */
    int64_t mono, wall;
} hs_loop_clock;

typedef struct {
    hs_fiber *first, *last;
} hs_fiber_list;

struct hs_loop {
    void *h2o;            /* its own type is named in loop.c and http_h2o.c only */
    void *io_sock;        /* the h2o socket around `io_epoll` */
    hs_loop_clock *clock; /* apart, so that reading the time may refresh it behind a const loop */
    bool stop;
    void (*observe)(void *ud, double seconds);
    void *observe_ud;

    int io_epoll;
    struct epoll_event *batch; /* being dispatched; a removed watch is struck out here */
    int batch_n;

    hs_timer **heap;
    size_t heap_n, heap_cap;

    hs_fiber *current;
    void *context; /* of the loop, while a fiber runs */
    hs_fiber_list ready;
    hs_fiber *idle, *live;
    size_t idle_n, live_n;
    const void *stack; /* of the loop, for AddressSanitizer */
    size_t stack_n;

    _Atomic(hs_post *) posted;
    int post_fd;
    hs_io post_io;
    hs_post *deferred, *deferred_last;

    struct hs_threads *threads;
    struct hs_metric *offload_wait; /* may be NULL */
};

/* timer.c */
void hs_timers_run(hs_loop *loop);
int hs_timers_wait(const hs_loop *loop, int max_ms);

/* fiber.c */
void hs_fibers_run(hs_loop *loop);
void hs_fibers_close(hs_loop *loop);

/* threads.c */
void hs_threads_close(hs_loop *loop);

#endif
