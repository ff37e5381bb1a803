/* The thread pool: four threads, begun when first needed, and a queue that is bounded so that slow hashes push back on
 * those who ask for them. */
#include "base/checked.h"
#include "runtime/loop_impl.h"
#include "runtime/metrics.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define THREADS   4u
#define MAX_QUEUE 256u
/* Image and hash code may be hungry for stack, and musl's default is small. */
#define STACK HS_MIB(1)

typedef struct job {
    struct job *next;
    void (*fn)(void *ud);
    void *ud;
    hs_loop *loop;
    hs_fiber *fiber;
    hs_post post;
    double queued, begun; /* seconds, monotonic */
    bool done;
} job;

typedef struct hs_threads {
    pthread_mutex_t lock;
    pthread_cond_t work;
    job *first, *last;
    unsigned queued, idle, started, running;
    bool stop;
    pthread_t threads[THREADS];
} hs_threads;

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_done(hs_post *p)
{
    job *j = p->ud;

    hs_metric_observe(j->loop->offload_wait, j->begun - j->queued);
    j->done = true;
    hs_fiber_wake(j->fiber);
}

static void *thread_main(void *ud)
{
    hs_threads *t = ud;

    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->first && !t->stop) {
            t->idle++;
            pthread_cond_wait(&t->work, &t->lock);
            t->idle--;
        }
        if (t->stop)
            break;
        job *j = t->first;
        t->first = j->next;
        t->queued--;
        t->running++;
        pthread_mutex_unlock(&t->lock);
        j->begun = seconds_now();
        j->fn(j->ud);
        hs_loop_post(j->loop, &j->post);
        pthread_mutex_lock(&t->lock);
        t->running--;
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* Signals are the main thread's business. */
static bool start_thread(hs_threads *t)
{
    sigset_t all, before;
    pthread_attr_t attr;
    bool ok;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ok = pthread_attr_init(&attr) == 0;
    if (ok) {
        pthread_attr_setstacksize(&attr, STACK);
        ok = pthread_create(&t->threads[t->started], &attr, thread_main, t) == 0;
        pthread_attr_destroy(&attr);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok)
        t->started++;
    return ok;
}

static hs_threads *pool_of(hs_loop *loop)
{
    hs_threads *t = loop->threads;

    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work, NULL);
    loop->threads = t;
    return t;
}

static bool enqueue(hs_threads *t, job *j)
{
    bool ok;

    pthread_mutex_lock(&t->lock);
    if (t->idle <= t->queued && t->started < THREADS)
        (void)start_thread(t);
    ok = t->started && t->queued < MAX_QUEUE;
    if (ok) {
        if (t->first)
            t->last->next = j;
        else
            t->first = j;
        t->last = j;
        t->queued++;
        pthread_cond_signal(&t->work);
    }
    pthread_mutex_unlock(&t->lock);
    return ok;
}

hs_error *hs_offload(hs_loop *loop, hs_arena *a, void (*fn)(void *ud), void *ud)
{
    job j = { .fn = fn, .ud = ud, .loop = loop, .fiber = hs_fiber_self(loop), .post = { .fn = on_done, .ud = &j } };
    hs_threads *t = pool_of(loop);

    if (!t)
        return HS_ERR_NOMEM;
    j.queued = seconds_now();
    if (!enqueue(t, &j))
        return hs_err_later(a, 429, HS_M_LIMIT_EXCEEDED, 1000, "Too Many Requests");
    while (!j.done)
        hs_fiber_suspend(loop);
    return NULL;
}

hs_loop_load hs_loop_load_of(hs_loop *loop)
{
    hs_threads *t = loop->threads;
    hs_loop_load load = { .fibers = loop->live_n, .timers = loop->heap_n };

    if (!t)
        return load;
    pthread_mutex_lock(&t->lock);
    load.offload_queued = t->queued;
    load.offload_running = t->running;
    pthread_mutex_unlock(&t->lock);
    return load;
}

void hs_loop_meter_offload(hs_loop *loop, hs_metric *seconds)
{
    loop->offload_wait = seconds;
}

/* Jobs that no thread has begun are left: their fibers go with the loop. */
void hs_threads_close(hs_loop *loop)
{
    hs_threads *t = loop->threads;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->work);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->started; i++)
        pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->lock);
    free(t);
    loop->threads = NULL;
}
