/* The event loop of a worker: h2o's, with monotonic timers, foreign file descriptors and posted work. */
#ifndef HS_RUNTIME_LOOP_H
#define HS_RUNTIME_LOOP_H

#include "runtime/fiber.h"

/* NULL without memory or descriptors. */
hs_loop *hs_loop_open(void);
void hs_loop_close(hs_loop *loop);
/* Runs until hs_loop_stop. */
void hs_loop_run(hs_loop *loop);
/* One turn: what the sockets, timers and posts bring, then the fibers that were woken, then what was deferred. Waits at
 * most max_ms for the first of them. For tests and embedders with a loop of their own. */
void hs_loop_turn(hs_loop *loop, int max_ms);
void hs_loop_stop(hs_loop *loop);
/* Runs fn(ud) on a fiber and turns the loop until it has ended: for programs and tests, called from outside the loop.
 */
HS_NODISCARD hs_error *hs_loop_run_fiber(hs_loop *loop, void (*fn)(void *ud), void *ud);

/* ms, monotonic; and ms since 1970. Both are read once per turn. */
int64_t hs_loop_now(const hs_loop *loop);
int64_t hs_loop_wall(const hs_loop *loop);
/* Reads both clocks now: after something at start that kept the loop from turning, lest deadlines be counted from
 * before it. */
void hs_loop_read_clocks(hs_loop *loop);

/* One-shot timers. The struct belongs to the caller and must stay where it is while armed; zero is unarmed. */
typedef struct hs_timer {
    void (*fn)(struct hs_timer *t);
    void *ud;
    int64_t at;
    size_t heap_at; /* 1-based; 0: not armed */
} hs_timer;
HS_NODISCARD hs_error *hs_timer_arm(hs_loop *loop, hs_timer *t, int64_t in_ms);
void hs_timer_disarm(hs_loop *loop, hs_timer *t);

/* Watches a descriptor that another library owns (libpq, hiredis, curl, c-ares, signalfd). */
enum { HS_IO_READ = 1, HS_IO_WRITE = 2 };
typedef struct hs_io {
    void (*fn)(struct hs_io *io, unsigned events);
    void *ud;
    int fd;
    unsigned want;
    bool on;
} hs_io;
/* Adds, changes or (want 0) removes the watch. Level-triggered; an error on the descriptor reports all that is wanted.
 * Call with want 0 before the descriptor is closed. */
HS_NODISCARD hs_error *hs_io_want(hs_loop *loop, hs_io *io, unsigned want);

/* fn runs on the loop at its next turn. Any thread. */
typedef struct hs_post {
    struct hs_post *next;
    void (*fn)(struct hs_post *p);
    void *ud;
} hs_post;
void hs_loop_post(hs_loop *loop, hs_post *p);
/* fn runs at the end of this turn, after the fibers: to send in one go what they have gathered. Loop thread only. `p`
 * must not be waiting already. */
void hs_loop_defer(hs_loop *loop, hs_post *p);
/* Takes it back, for whom ends with what it waits for. false: its turn has come, or it was not deferred. */
bool hs_loop_undefer(hs_loop *loop, hs_post *p);

/* Runs fn(ud) on the thread pool and suspends the fiber meanwhile: password hashes, image work, file I/O. The pool has
 * a bounded queue; when it is full the answer is 429 M_LIMIT_EXCEEDED. fn must not touch arenas or other loop state. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_offload(hs_loop *loop, hs_arena *a, void (*fn)(void *ud), void *ud);

/* fn is told after each turn how long it worked, waiting excluded. One at a time; NULL ends it. */
void hs_loop_observe(hs_loop *loop, void (*fn)(void *ud, double seconds), void *ud);

/* How much is under way. */
typedef struct {
    size_t fibers, timers;
    unsigned offload_queued, offload_running;
} hs_loop_load;
hs_loop_load hs_loop_load_of(hs_loop *loop);
/* A histogram of how long work waited for a thread; NULL ends it. */
struct hs_metric;
void hs_loop_meter_offload(hs_loop *loop, struct hs_metric *seconds);

/* h2o's own handle, for http_h2o.c. */
void *hs_loop_h2o(hs_loop *loop);

#endif
