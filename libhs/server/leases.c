/* Turns, and the fibers of the shards that this worker holds. Who gets what is decided in PostgreSQL (hs_lease_turn in
 * store/migrations/0002_leases.sql); this file renews, begins, ends and gives back.
 *
 * A shard here is either at rest or running. It begins when a turn says that it is ours, and its epoch stays the same
 * as long as it runs. It is told to stop when a turn says that it has moved on or is more than our part, when no turn
 * went well for too long, or when the worker closes. Only when its run has returned is it given back, or begun again
 * under the epoch of the next turn. */
#include "server/leases.h"

#include "base/checked.h"
#include "store/leases.h"

#include <stdlib.h>

enum {
    EVERY_MS = 1000,
    TTL_MS = 3000,
    PAUSE_LEAST_MS = 1000, /* after a run that failed */
    PAUSE_MOST_MS = 60000,
};
/* A holder's own clock ends this part of the time earlier than PostgreSQL's. */
#define MARGIN(ttl) ((ttl) / 6)
#define RUN_ARENA   HS_MIB(64)
#define TURN_ARENA  HS_MIB(1)

typedef struct duty duty;

struct hs_lease {
    duty *d;
    hs_fiber *fiber;
    hs_timer timer;
    int64_t epoch;
    uint64_t seen; /* the last turn that listed it */
    int32_t shard;
    bool running, stop, give, asleep;
};

struct duty {
    duty *next;
    struct hs_leases *s;
    hs_duty is;
    hs_lease *leases; /* one a shard */
};

struct hs_leases {
    hs_server *srv;
    hs_str me; /* unlike any other process's, before or after */
    duty *first, **last;
    size_t duties;
    hs_timer turn, sure;
    int64_t every, ttl;
    int64_t sure_until; /* what is held is ours until then, on the loop's clock */
    uint64_t turns;
    size_t running;
    bool started, turning, failing, closing;
    hs_metric *held, *taken, *lost, *turn_seconds;
};

/* ── one lease ── */

int32_t hs_lease_shard(const hs_lease *l)
{
    return l->shard;
}

bool hs_lease_ok(const hs_lease *l)
{
    return !l->stop && hs_loop_now(l->d->s->srv->loop) < l->d->s->sure_until;
}

static void end_sleep(hs_lease *l)
{
    if (l->asleep)
        hs_fiber_wake(l->fiber);
}

static void on_timer(hs_timer *t)
{
    end_sleep(t->ud);
}

bool hs_lease_sleep(hs_lease *l, int64_t ms)
{
    hs_loop *loop = l->d->s->srv->loop;

    if (ms > 0 && hs_timer_arm(loop, &l->timer, ms)) { /* no memory: a plain sleep needs none of its own */
        hs_fiber_sleep(loop, ms < EVERY_MS ? ms : EVERY_MS);
        return hs_lease_ok(l);
    }
    l->asleep = true;
    while (hs_lease_ok(l) && l->timer.heap_at)
        hs_fiber_suspend(loop);
    l->asleep = false;
    hs_timer_disarm(loop, &l->timer);
    return hs_lease_ok(l);
}

static void stop(hs_lease *l)
{
    if (!l->running || l->stop)
        return;
    l->stop = true;
    if (l->d->is.stop)
        l->d->is.stop(l, l->d->is.ud);
    end_sleep(l);
}

static void stop_all(struct hs_leases *s)
{
    for (duty *d = s->first; d; d = d->next)
        for (int32_t i = 0; i < d->is.shards; i++)
            stop(&d->leases[i]);
}

static void give_back(hs_lease *l, hs_arena *a, int64_t epoch)
{
    struct hs_leases *s = l->d->s;
    hs_error *e = hs_store_lease_give(s->srv->db, a, s->me, hs_str_c(l->d->is.name), l->shard, epoch);

    if (e) /* the next turn lists it again */
        hs_log_error(s->srv->log, HS_LOG_WARN, HS_S(""), "lease.give", e);
}

static void run_calls(hs_lease *l, hs_arena *a)
{
    hs_server *srv = l->d->s->srv;
    int64_t pause = l->d->is.first_ms, failed = 0;

    while (hs_lease_sleep(l, pause)) {
        hs_error *e = l->d->is.run(l, a, l->d->is.ud);
        pause = l->d->is.every_ms > 0 ? l->d->is.every_ms : 1;
        if (e && hs_lease_ok(l)) {
            hs_log_error(srv->log, HS_LOG_WARN, HS_S(""), "lease.run", e);
            pause = PAUSE_LEAST_MS << (failed < 6 ? failed : 6);
            pause = pause < PAUSE_MOST_MS ? pause : PAUSE_MOST_MS;
            failed++;
        } else {
            failed = 0;
        }
        hs_arena_reset(a);
    }
}

static void run(void *ud)
{
    hs_lease *l = ud;
    struct hs_leases *s = l->d->s;
    hs_arena *a = hs_arena_open(RUN_ARENA);

    l->fiber = hs_fiber_self(s->srv->loop);
    hs_metric_add(s->held, 1, l->d->is.name);
    if (a) {
        run_calls(l, a);
        if (l->give && !s->closing)
            give_back(l, a, l->epoch);
    }
    hs_arena_close(a);
    hs_metric_add(s->held, -1, l->d->is.name);
    l->running = l->stop = l->give = false;
    l->fiber = NULL;
    s->running--;
}

static void start(hs_lease *l, int64_t epoch)
{
    struct hs_leases *s = l->d->s;

    if (l->epoch != epoch)
        hs_metric_add(s->taken, 1, l->d->is.name);
    l->epoch = epoch;
    l->running = true;
    s->running++;
    if (hs_fiber_spawn(s->srv->loop, run, l)) { /* too many fibers: the next turn tries again */
        l->running = false;
        s->running--;
    }
}

/* ── turns ── */

static duty *duty_find(struct hs_leases *s, hs_str name)
{
    for (duty *d = s->first; d; d = d->next)
        if (hs_str_eq(hs_str_c(d->is.name), name))
            return d;
    return NULL;
}

/* What one turn listed. A share that is more than ours, and at rest, goes back at once. */
static void apply(struct hs_leases *s, hs_arena *a, const hs_lease_row *row)
{
    duty *d = duty_find(s, row->duty);
    hs_lease *l = d && row->shard >= 0 && row->shard < d->is.shards ? &d->leases[row->shard] : NULL;

    if (!l || s->closing)
        return;
    l->seen = s->turns;
    if (!l->running && row->keep) {
        start(l, row->epoch);
    } else if (!l->running) {
        give_back(l, a, row->epoch);
    } else if (row->epoch != l->epoch) { /* it went to another and came back while this run was away */
        stop(l);
    } else if (!row->keep && !l->give) {
        l->give = true;
        stop(l);
    }
}

static size_t stop_what_has_gone(duty *d)
{
    size_t n = 0;

    for (int32_t i = 0; i < d->is.shards; i++) {
        hs_lease *l = &d->leases[i];
        if (!l->running || l->stop || l->seen == d->s->turns)
            continue;
        stop(l);
        n++;
    }
    return n;
}

static hs_error *take_turn(struct hs_leases *s, hs_arena *a)
{
    int64_t began = hs_loop_now(s->srv->loop);
    hs_lease_row *rows;
    int32_t *shards;
    hs_str *names;
    size_t n = 0;

    HS_TRY(hs_alloc(a, s->duties, &names));
    HS_TRY(hs_alloc(a, s->duties, &shards));
    for (duty *d = s->first; d; d = d->next) {
        names[n] = hs_str_c(d->is.name);
        shards[n++] = d->is.shards;
    }
    HS_TRY(hs_store_lease_turn(s->srv->db, a, s->me, s->ttl, (hs_strs){ names, n }, (hs_ints){ shards, n }, &rows, &n));
    s->turns++;
    s->sure_until = began + s->ttl - MARGIN(s->ttl);
    (void)!hs_timer_arm(s->srv->loop, &s->sure, s->sure_until - hs_loop_now(s->srv->loop));
    for (size_t i = 0; i < n; i++)
        apply(s, a, &rows[i]);
    for (duty *d = s->first; d; d = d->next) {
        size_t gone = stop_what_has_gone(d);
        if (!gone)
            continue;
        hs_metric_add(s->lost, (double)gone, d->is.name);
        hs_log(s->srv->log, HS_LOG_WARN, "lease.lost", "duty=%s shards=%zu: another worker has taken over", d->is.name,
               gone);
    }
    hs_metric_observe(s->turn_seconds, (double)(hs_loop_now(s->srv->loop) - began) / 1000);
    return NULL;
}

static void arm_turn(struct hs_leases *s, int64_t in_ms)
{
    if (!s->closing && hs_timer_arm(s->srv->loop, &s->turn, in_ms > 0 ? in_ms : 1))
        hs_log(s->srv->log, HS_LOG_ERROR, "lease.ends", "no memory for its timer");
}

static void turn(void *ud)
{
    struct hs_leases *s = ud;
    int64_t began = hs_loop_now(s->srv->loop);
    hs_arena *a = hs_arena_open(TURN_ARENA);
    hs_error *e = a ? take_turn(s, a) : HS_ERR_NOMEM;

    if (e && !s->failing && !s->closing) /* said once */
        hs_log_error(s->srv->log, HS_LOG_WARN, HS_S(""), "lease.turn", e);
    if (!e && s->failing)
        hs_log(s->srv->log, HS_LOG_INFO, "lease.turns", "again");
    s->failing = e != NULL;
    hs_arena_close(a);
    s->turning = false;
    arm_turn(s, began + s->every - hs_loop_now(s->srv->loop));
}

static void on_turn(hs_timer *t)
{
    struct hs_leases *s = t->ud;

    s->turning = true;
    if (hs_fiber_spawn(s->srv->loop, turn, s)) {
        s->turning = false;
        arm_turn(s, s->every);
    }
}

/* No turn has gone well for so long that others may take over soon. */
static void on_sure(hs_timer *t)
{
    struct hs_leases *s = t->ud;

    if (s->running)
        hs_log(s->srv->log, HS_LOG_WARN, "lease.unsure", "shards=%zu: not renewed in time, their work stops",
               s->running);
    stop_all(s);
}

/* ── duties ── */

hs_error *hs_lease_duty(hs_server *srv, const hs_duty *d)
{
    struct hs_leases *s = srv->leases;
    duty *mine;

    if (!(srv->roles & d->roles))
        return NULL;
    HS_TRY(hs_alloc(srv->arena, 1, &mine));
    HS_TRY(hs_alloc(srv->arena, (size_t)d->shards, &mine->leases));
    mine->s = s;
    mine->is = *d;
    for (int32_t i = 0; i < d->shards; i++)
        mine->leases[i] =
            (hs_lease){ .d = mine, .shard = i, .timer = { .fn = on_timer, .ud = &mine->leases[i] }, .epoch = -1 };
    *s->last = mine;
    s->last = &mine->next;
    s->duties++;
    if (s->started && !s->turning)
        arm_turn(s, 1);
    return NULL;
}

hs_lease *hs_lease_of(hs_server *srv, const char *name, int32_t shard)
{
    duty *d = duty_find(srv->leases, hs_str_c(name));
    hs_lease *l = d && shard >= 0 && shard < d->is.shards ? &d->leases[shard] : NULL;

    return l && l->running && hs_lease_ok(l) ? l : NULL;
}

hs_error *hs_lease_fence(const hs_lease *l, hs_write *w)
{
    return hs_store_lease_fence(w, hs_str_c(l->d->is.name), l->shard, l->epoch);
}

hs_error *hs_lease_fence_tx(const hs_lease *l, hs_arena *a, hs_tx *tx)
{
    bool ours;

    HS_TRY(hs_store_lease_holds(tx, a, hs_str_c(l->d->is.name), l->shard, l->epoch, &ours));
    return ours ? NULL : hs_err(a, 503, HS_M_UNKNOWN, "Another worker has taken over %s", l->d->is.name);
}

/* ── life ── */

hs_error *hs_leases_open(hs_server *srv, hs_arena *a)
{
    struct hs_leases *s;

    HS_TRY(hs_alloc(a, 1, &s));
    *s = (struct hs_leases){ .srv = srv, .every = EVERY_MS, .ttl = TTL_MS, .last = &s->first };
    s->turn = (hs_timer){ .fn = on_turn, .ud = s };
    s->sure = (hs_timer){ .fn = on_sure, .ud = s };
    HS_TRY(hs_str_fmt(a, &s->me, "%.*s/%016llx", HS_FMT(srv->worker_name), (unsigned long long)hs_random_u64()));
    s->held = hs_metric_get(srv->metrics, HS_GAUGE, "hs_leases_held",
                            "Shards of once-only duties that this worker does", "duty");
    s->taken =
        hs_metric_get(srv->metrics, HS_COUNTER, "hs_leases_taken_total", "Shards that this worker took over", "duty");
    s->lost = hs_metric_get(srv->metrics, HS_COUNTER, "hs_leases_lost_total",
                            "Shards that another worker took over from this one", "duty");
    s->turn_seconds =
        hs_metric_get(srv->metrics, HS_HISTOGRAM, "hs_leases_turn_seconds", "Time that renewing all leases took", NULL);
    srv->leases = s;
    return NULL;
}

hs_error *hs_leases_start(hs_server *srv)
{
    struct hs_leases *s = srv->leases;

    s->started = true;
    return s->duties ? hs_timer_arm(srv->loop, &s->turn, 1) : NULL;
}

void hs_leases_set_times(hs_server *srv, int64_t every_ms, int64_t ttl_ms)
{
    srv->leases->every = every_ms;
    srv->leases->ttl = ttl_ms;
}

static void leave(struct hs_leases *s)
{
    hs_arena *a = hs_arena_open(TURN_ARENA);
    hs_error *e = a ? hs_store_lease_leave(s->srv->db, a, s->me) : HS_ERR_NOMEM;

    if (e)
        hs_log_error(s->srv->log, HS_LOG_WARN, HS_S(""), "lease.leave", e);
    hs_arena_close(a);
}

void hs_leases_close(hs_server *srv)
{
    struct hs_leases *s = srv->leases;

    if (!s)
        return;
    s->closing = true;
    hs_timer_disarm(srv->loop, &s->turn);
    stop_all(s);
    while (s->turning || s->running) {
        stop_all(s);
        if (hs_fiber_self(srv->loop))
            hs_fiber_sleep(srv->loop, 1);
        else
            hs_loop_turn(srv->loop, 1);
    }
    hs_timer_disarm(srv->loop, &s->sure);
    if (hs_loop_now(srv->loop) < s->sure_until) /* else PostgreSQL is away, and it has all run out */
        leave(s);
    srv->leases = NULL;
}
