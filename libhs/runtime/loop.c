/* The event loop: h2o's evloop does the HTTP sockets and the waiting; descriptors of other libraries sit in an epoll
 * set of our own that is wrapped once as an h2o socket. (A descriptor that its library closes before h2o hears of it
 * makes h2o's loop fail for every socket that comes after; inside the nested set it just vanishes.) */
#include "runtime/loop_impl.h"

#include <errno.h>
#include <h2o.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* h2o takes a wait of -1 for a random one, so there is always a bound. */
#define MAX_WAIT_MS 60000

/* h2o_evloop_destroy leaves the loop's own epoll descriptor open. This is how h2o 2.2 lays its loop out. */
struct evloop_epoll {
    h2o_evloop_t super;
    int ep;
};

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void hs_loop_read_clocks(hs_loop *loop)
{
    loop->clock->seen = h2o_now((h2o_evloop_t *)loop->h2o);
    loop->clock->mono = read_clock(CLOCK_MONOTONIC);
    loop->clock->wall = read_clock(CLOCK_REALTIME);
}

/* h2o reads its clock when the wait ends; ours follows the first time somebody asks after that. */
static const hs_loop_clock *clock_of(const hs_loop *loop)
{
    hs_loop_clock *c = loop->clock;
    uint64_t seen = h2o_now((h2o_evloop_t *)loop->h2o);

    if (c->seen != seen) {
        c->seen = seen;
        c->mono = read_clock(CLOCK_MONOTONIC);
        c->wall = read_clock(CLOCK_REALTIME);
    }
    return c;
}

int64_t hs_loop_now(const hs_loop *loop)
{
    return clock_of(loop)->mono;
}

int64_t hs_loop_wall(const hs_loop *loop)
{
    return clock_of(loop)->wall;
}

static unsigned events_of(const hs_io *io, uint32_t got)
{
    unsigned events = 0;

    if (got & EPOLLERR)
        return io->want;
    if (got & (EPOLLIN | EPOLLHUP))
        events |= HS_IO_READ;
    if (got & (EPOLLOUT | EPOLLHUP))
        events |= HS_IO_WRITE;
    return events & io->want;
}

static void on_io(h2o_socket_t *sock, const char *err)
{
    hs_loop *loop = sock->data;
    struct epoll_event batch[HS_IO_BATCH];
    int n;

    (void)err;
    do {
        n = epoll_wait(loop->io_epoll, batch, HS_IO_BATCH, 0);
    } while (n < 0 && errno == EINTR);
    loop->batch = batch;
    loop->batch_n = n;
    for (int i = 0; i < n; i++) {
        hs_io *io = batch[i].data.ptr;
        unsigned events = io ? events_of(io, batch[i].events) : 0;
        if (events)
            io->fn(io, events);
    }
    loop->batch = NULL;
    loop->batch_n = 0;
}

static void strike_from_batch(hs_loop *loop, const hs_io *io)
{
    for (int i = 0; i < loop->batch_n; i++)
        if (loop->batch[i].data.ptr == io)
            loop->batch[i].data.ptr = NULL;
}

hs_error *hs_io_want(hs_loop *loop, hs_io *io, unsigned want)
{
    struct epoll_event ev = { .data = { .ptr = io } };

    if (!want) {
        if (io->on)
            (void)epoll_ctl(loop->io_epoll, EPOLL_CTL_DEL, io->fd, &ev);
        strike_from_batch(loop, io);
        io->on = false;
        io->want = 0;
        return NULL;
    }
    if (io->on && io->want == want)
        return NULL;
    if (want & HS_IO_READ)
        ev.events |= EPOLLIN;
    if (want & HS_IO_WRITE)
        ev.events |= EPOLLOUT;
    int failed = epoll_ctl(loop->io_epoll, io->on ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &ev);
    if (failed && errno == ENOENT) /* its library closed it and got the same number again */
        failed = epoll_ctl(loop->io_epoll, EPOLL_CTL_ADD, io->fd, &ev);
    else if (failed && errno == EEXIST)
        failed = epoll_ctl(loop->io_epoll, EPOLL_CTL_MOD, io->fd, &ev);
    if (failed)
        return HS_ERR_NOMEM;
    io->on = true;
    io->want = want;
    return NULL;
}

void hs_loop_post(hs_loop *loop, hs_post *p)
{
    hs_post *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);

    do
        p->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, p, memory_order_release, memory_order_relaxed));
    /* p may be gone already. Whoever finds the list empty rings; the loop takes all that is there. */
    if (!head)
        (void)eventfd_write(loop->post_fd, 1);
}

static void on_posted(hs_io *io, unsigned events)
{
    hs_loop *loop = io->ud;
    hs_post *newest, *oldest = NULL;
    eventfd_t rung;

    (void)events;
    (void)eventfd_read(loop->post_fd, &rung);
    newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    while (newest) {
        hs_post *p = newest;
        newest = p->next;
        p->next = oldest;
        oldest = p;
    }
    while (oldest) {
        hs_post *p = oldest;
        oldest = p->next;
        p->fn(p);
    }
}

void hs_loop_defer(hs_loop *loop, hs_post *p)
{
    p->next = NULL;
    if (loop->deferred)
        loop->deferred_last->next = p;
    else
        loop->deferred = p;
    loop->deferred_last = p;
}

bool hs_loop_undefer(hs_loop *loop, hs_post *p)
{
    hs_post *before = NULL;

    for (hs_post *at = loop->deferred; at; before = at, at = at->next) {
        if (at != p)
            continue;
        if (before)
            before->next = p->next;
        else
            loop->deferred = p->next;
        if (loop->deferred_last == p)
            loop->deferred_last = before;
        return true;
    }
    return false;
}

static void run_deferred(hs_loop *loop)
{
    hs_post *p = loop->deferred;

    /* What they defer in turn runs at the end of the next turn, which does not wait. */
    loop->deferred = loop->deferred_last = NULL;
    while (p) {
        hs_post *next = p->next;
        p->fn(p);
        p = next;
    }
}

void hs_loop_turn(hs_loop *loop, int max_ms)
{
    int wait = max_ms < 0 || max_ms > MAX_WAIT_MS ? MAX_WAIT_MS : max_ms;

    hs_loop_read_clocks(loop);
    /* What was written outside h2o's callbacks has its completions waiting there. */
    const h2o_evloop_t *h2o = loop->h2o;
    bool busy = loop->ready.first || loop->deferred || h2o->_pending_as_client || h2o->_pending_as_server;
    wait = busy ? 0 : hs_timers_wait(loop, wait);
    /* −1 is an interrupted wait; the next turn waits again. */
    (void)h2o_evloop_run(loop->h2o, wait);
    hs_timers_run(loop);
    hs_fibers_run(loop);
    run_deferred(loop);
    if (loop->observe) /* h2o's clock stands where its wait ended, in ms */
        loop->observe(loop->observe_ud, (double)(read_clock(CLOCK_REALTIME) - (int64_t)h2o_now(loop->h2o)) / 1000);
}

void hs_loop_observe(hs_loop *loop, void (*fn)(void *ud, double seconds), void *ud)
{
    loop->observe = fn;
    loop->observe_ud = ud;
}

void hs_loop_run(hs_loop *loop)
{
    loop->stop = false;
    while (!loop->stop)
        hs_loop_turn(loop, MAX_WAIT_MS);
}

void hs_loop_stop(hs_loop *loop)
{
    loop->stop = true;
}

typedef struct {
    void (*fn)(void *ud);
    void *ud;
    bool done;
} until_done;

static void run_until_done(void *ud)
{
    until_done *u = ud;

    u->fn(u->ud);
    u->done = true;
}

hs_error *hs_loop_run_fiber(hs_loop *loop, void (*fn)(void *ud), void *ud)
{
    until_done u = { .fn = fn, .ud = ud };

    HS_TRY(hs_fiber_spawn(loop, run_until_done, &u));
    while (!u.done)
        hs_loop_turn(loop, MAX_WAIT_MS);
    return NULL;
}

void *hs_loop_h2o(hs_loop *loop)
{
    return loop->h2o;
}

hs_loop *hs_loop_open(void)
{
    hs_loop *loop = calloc(1, sizeof *loop);
    h2o_socket_t *sock;

    if (!loop)
        return NULL;
    loop->clock = calloc(1, sizeof *loop->clock);
    loop->io_epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->post_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    loop->post_io = (hs_io){ .fn = on_posted, .ud = loop, .fd = loop->post_fd };
    if (!loop->clock || loop->io_epoll < 0 || loop->post_fd < 0 || hs_io_want(loop, &loop->post_io, HS_IO_READ)) {
        if (loop->io_epoll >= 0)
            close(loop->io_epoll);
        if (loop->post_fd >= 0)
            close(loop->post_fd);
        free(loop->clock);
        free(loop);
        return NULL;
    }
    loop->h2o = h2o_evloop_create();
    sock = h2o_evloop_socket_create(loop->h2o, loop->io_epoll, H2O_SOCKET_FLAG_DONT_READ);
    sock->data = loop;
    loop->io_sock = sock;
    h2o_socket_read_start(sock, on_io);
    hs_loop_read_clocks(loop);
    return loop;
}

void hs_loop_close(hs_loop *loop)
{
    if (!loop)
        return;
    hs_threads_close(loop);
    hs_fibers_close(loop);
    h2o_socket_read_stop(loop->io_sock);
    h2o_socket_close(loop->io_sock); /* closes io_epoll */
    int ep = ((struct evloop_epoll *)loop->h2o)->ep;
    /* Timeouts that are still registered belong to an hs_http that could not close; destroying the loop under them
     * would abort. */
    if (h2o_linklist_is_empty(&((h2o_evloop_t *)loop->h2o)->_timeouts))
        h2o_evloop_destroy(loop->h2o);
    close(ep);
    close(loop->post_fd);
    free(loop->heap);
    free(loop->clock);
    free(loop);
}
