/* hs/server.h: a worker for embedders. */
#include <hs/server.h>

#include "base/checked.h"
#include "workers/worker.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct hs_host {
    hs_arena *arena;
    hs_loop *loop;
    hs_logger *log;
    hs_worker *worker;
    const hs_config *config;
    hs_post post;
    atomic_bool posted;
    int null_fd; /* the log's, when it goes nowhere */
    int drain_ms;
};

static hs_error *open_parts(hs_host *h, hs_arena *a, hs_str name, hs_str yaml, int log_fd)
{
    hs_worker_options o = { 0 };
    hs_str copy;

    if (log_fd < 0)
        log_fd = h->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    h->log = hs_logger_open(log_fd, HS_LOG_INFO, false);
    h->loop = hs_loop_open();
    if (!h->log || !h->loop)
        return HS_ERR_NOMEM;
    HS_TRY(hs_str_dup(h->arena, yaml, &copy));
    HS_TRY(hs_config_load_text(h->arena, name, copy, h->log, &h->config));
    if (h->config->private_postgres)
        return hs_err(a, 500, HS_M_UNKNOWN, "the configuration of an embedded server must name a database");
    hs_logger_set_level(h->log, h->config->log.level);
    o.config = h->config;
    o.log = h->log;
    HS_TRY(hs_worker_open(h->loop, a, &o, &h->worker));
    return hs_worker_listen(h->worker, a);
}

hs_error *hs_host_open(hs_arena *a, hs_str name, hs_str yaml, int log_fd, hs_host **ret)
{
    hs_arena *own = hs_arena_open(HS_MIB(64));
    hs_host *h = own ? hs_arena_alloc(own, sizeof *h) : NULL;
    hs_error *e;

    if (!h) {
        hs_arena_close(own);
        return HS_ERR_NOMEM;
    }
    h->arena = own;
    h->null_fd = -1;
    e = open_parts(h, a, name, yaml, log_fd);
    if (e) {
        hs_str message;
        int status = e->status;
        while (e->cause) /* what helps is at the bottom of the chain */
            e = (hs_error *)(uintptr_t)e->cause;
        hs_error *copy = hs_str_dup(a, e->message, &message);
        if (!copy)
            copy = hs_err(a, status, HS_M_UNKNOWN, "%.*s", HS_FMT(message));
        hs_host_close(h, 0);
        return copy;
    }
    *ret = h;
    return NULL;
}

void hs_host_turn(hs_host *h, int max_ms)
{
    hs_loop_turn(h->loop, max_ms);
}

bool hs_host_ok(const hs_host *h)
{
    return !hs_worker_lost(h->worker);
}

static void woken(hs_post *p)
{
    hs_host *h = p->ud;

    atomic_store(&h->posted, false);
}

void hs_host_wake(hs_host *h)
{
    if (atomic_exchange(&h->posted, true))
        return;
    h->post = (hs_post){ .fn = woken, .ud = h };
    hs_loop_post(h->loop, &h->post);
}

static void drain(void *ud)
{
    hs_host *h = ud;

    hs_worker_drain(h->worker, h->drain_ms);
}

void hs_host_close(hs_host *h, int drain_ms)
{
    hs_arena *own;

    if (!h)
        return;
    h->drain_ms = drain_ms;
    if (h->worker && drain_ms > 0)
        (void)!hs_loop_run_fiber(h->loop, drain, h);
    if (h->worker)
        hs_worker_close(h->worker);
    if (h->loop)
        hs_loop_close(h->loop);
    hs_logger_close(h->log);
    if (h->null_fd >= 0)
        close(h->null_fd);
    own = h->arena;
    hs_arena_close(own);
}
