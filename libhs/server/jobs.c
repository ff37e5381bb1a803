/* See jobs.h. One fiber a shard, as long as this worker holds its lease: it looks for what is due, does one step of
 * each, and looks again. Where nothing is due it looks once a second, or when the bus says that there is something new.
 */
#include "server/jobs.h"

#include "base/checked.h"
#include "bus/bus.h"

enum {
    SHARDS = 4, /* one digit */
    KINDS_MAX = 24,
    AT_ONCE = 32,    /* due jobs of a shard read at once */
    LOOK_MS = 1000,  /* from one look to the next when nothing was due */
    RETRY_MS = 5000, /* after an error of the moment */
    TRIES_MAX = 10,  /* steps that were begun and did not end, in a row: it takes the worker along */
    LIST_MAX = 10000,
    WAIT_FIRST_MS = 20,
    WAIT_MOST_MS = 500,
};
#define STEP_ARENA HS_MIB(64)
#define CHANNEL    HS_S("hs:jobs")
#define DUTY       "jobs"

typedef struct {
    const char *name;
    hs_job_step *step;
    void *ud;
} job_kind;

typedef struct {
    hs_server *srv;
    hs_fiber *fiber; /* asleep, until the timer or somebody wakes it; NULL: at work, or not here */
    hs_timer timer;
    bool nudged;
} shard;

struct hs_jobs {
    hs_server *srv;
    job_kind kinds[KINDS_MAX];
    hs_str names[KINDS_MAX];
    size_t kinds_n;
    shard shards[SHARDS];
    hs_bus_subscription *subscription;
    hs_metric *steps, *seconds, *ended;
};

/* ── the fiber of a shard ── */

static void wake(shard *s)
{
    s->nudged = true;
    if (s->fiber)
        hs_fiber_wake(s->fiber);
}

static void on_timer(hs_timer *t)
{
    wake(t->ud);
}

static void on_stop(hs_lease *l, void *ud)
{
    struct hs_jobs *js = ud;

    wake(&js->shards[hs_lease_shard(l)]);
}

static void on_news(void *ud, hs_str message)
{
    struct hs_jobs *js = ud;
    int64_t at;

    if (hs_str_to_i64(message, &at) && at >= 0 && at < SHARDS)
        wake(&js->shards[at]);
}

static void pause_shard(shard *s, hs_lease *l)
{
    hs_loop *loop = s->srv->loop;

    if (hs_timer_arm(loop, &s->timer, LOOK_MS)) {
        hs_lease_sleep(l, LOOK_MS);
        return;
    }
    s->fiber = hs_fiber_self(loop);
    while (!s->nudged && hs_lease_ok(l))
        hs_fiber_suspend(loop);
    s->fiber = NULL;
    hs_timer_disarm(loop, &s->timer);
}

static const job_kind *kind_find(const struct hs_jobs *js, hs_str name)
{
    for (size_t i = 0; i < js->kinds_n; i++)
        if (hs_str_eq(js->names[i], name))
            return &js->kinds[i];
    return NULL;
}

static hs_error *parse(hs_arena *a, hs_str json, hs_jv *ret)
{
    *ret = (hs_jv){ NULL, 0 };
    return json.p ? hs_tape_parse(a, json, HS_JSON_OBJECT, ret) : NULL;
}

bool hs_job_goes_on(const hs_job *j)
{
    return !j->lease || hs_lease_ok(j->lease);
}

hs_error *hs_job_fence(const hs_job *j, hs_write *w)
{
    return j->lease ? hs_lease_fence(j->lease, w) : NULL;
}

hs_error *hs_job_begin(const hs_job *j, hs_arena *a, hs_tx **ret)
{
    HS_TRY(hs_tx_begin(j->srv->db, a, ret));
    return j->lease ? hs_lease_fence_tx(j->lease, a, *ret) : NULL;
}

/* What the step left behind: its progress, its end, or why it failed. */
static hs_error *save(struct hs_jobs *js, hs_job *j, hs_arena *a, const job_kind *k, const hs_error *failed)
{
    bool later = failed && hs_job_tries_again(failed);
    hs_job_row row = { .id = j->row->id, .progress = j->saved, .result = j->result };
    int64_t wait = 0;
    hs_tx *tx;

    if (later) {
        row.status = HS_JOB_ACTIVE;
        wait = failed->retry_ms > 0 ? failed->retry_ms : RETRY_MS;
    } else if (failed) {
        row.status = HS_JOB_FAILED;
        row.error = failed->message;
    } else if (j->done) {
        row.status = HS_JOB_COMPLETE;
    } else {
        row.status = HS_JOB_ACTIVE;
        wait = j->wait_ms;
    }
    HS_TRY(hs_job_begin(j, a, &tx));
    HS_TRY(hs_store_job_save(tx, a, &row, wait));
    HS_TRY(hs_tx_commit(tx));
    if (row.status != HS_JOB_ACTIVE)
        hs_metric_add(js->ended, 1, k->name, row.status == HS_JOB_COMPLETE ? "complete" : "failed");
    return NULL;
}

static hs_error *step_of(hs_job *j, hs_arena *a, const job_kind *k)
{
    if (j->row->tries >= TRIES_MAX)
        return hs_err(a, 500, HS_M_UNKNOWN, "given up: begun %d times without an end", (int)j->row->tries);
    HS_TRY(parse(a, j->row->params, &j->params));
    HS_TRY(parse(a, j->row->progress, &j->progress));
    return k->step(j, a, k->ud);
}

static hs_error *one_step(struct hs_jobs *js, hs_lease *l, hs_arena *a, const hs_job_row *row)
{
    const job_kind *k = kind_find(js, row->kind);
    hs_job j = { .srv = js->srv, .lease = l, .row = row };
    hs_tx *tx;
    bool ok;

    HS_TRY(hs_job_begin(&j, a, &tx));
    HS_TRY(hs_store_job_begin(tx, a, row->id, &ok));
    HS_TRY(hs_tx_commit(tx));
    if (!ok || !k)
        return NULL;
    int64_t began = hs_loop_now(js->srv->loop);
    hs_error *e = step_of(&j, a, k);
    hs_metric_add(js->steps, 1, k->name);
    hs_metric_observe(js->seconds, (double)(hs_loop_now(js->srv->loop) - began) / 1000, k->name);
    if (!hs_job_goes_on(&j)) /* whoever has it now does the step again */
        return NULL;
    if (e)
        hs_log_error(js->srv->log, HS_LOG_WARN, HS_S(""), "job.step", e);
    return save(js, &j, a, k, e);
}

static hs_error *run(hs_lease *l, hs_arena *a, void *ud)
{
    struct hs_jobs *js = ud;
    shard *s = &js->shards[hs_lease_shard(l)];
    hs_job_row *due;
    hs_error *e = NULL;
    size_t n;

    s->nudged = false;
    HS_TRY(
        hs_store_jobs_due(js->srv->db, a, hs_lease_shard(l), (hs_strs){ js->names, js->kinds_n }, AT_ONCE, &due, &n));
    if (!n) {
        pause_shard(s, l);
        return NULL;
    }
    hs_arena *step = hs_arena_open(STEP_ARENA);
    if (!step)
        return HS_ERR_NOMEM;
    for (size_t i = 0; i < n && !e && hs_lease_ok(l); i++) {
        e = one_step(js, l, step, &due[i]);
        if (e) /* of the step's arena, which goes */
            e = hs_err_later(a, 503, HS_M_UNKNOWN, 0, "job %.*s: %.*s", HS_FMT(due[i].id), HS_FMT(e->message));
        hs_arena_reset(step);
    }
    hs_arena_close(step);
    return e;
}

/* ── the service ── */

hs_error *hs_jobs_open(hs_server *srv, hs_arena *a)
{
    struct hs_jobs *js;

    HS_TRY(hs_alloc(a, 1, &js));
    js->srv = srv;
    for (size_t i = 0; i < SHARDS; i++)
        js->shards[i] = (shard){ .srv = srv, .timer = { .fn = on_timer, .ud = &js->shards[i] } };
    js->steps = hs_metric_get(srv->metrics, HS_COUNTER, "hs_job_steps_total", "Steps of jobs that were done", "kind");
    js->seconds =
        hs_metric_get(srv->metrics, HS_HISTOGRAM_FINE, "hs_job_step_seconds", "Time that a step of a job took", "kind");
    js->ended = hs_metric_get(srv->metrics, HS_COUNTER, "hs_jobs_ended_total", "Jobs that have ended", "kind outcome");
    srv->jobs = js;
    if (!(srv->roles & HS_ROLE_BACKGROUND))
        return NULL;
    js->subscription = srv->bus ? hs_bus_subscribe(srv->bus, CHANNEL, on_news, js) : NULL;
    return hs_lease_duty(srv, &(hs_duty){ .name = DUTY,
                                          .shards = SHARDS,
                                          .roles = HS_ROLE_BACKGROUND,
                                          .every_ms = 1,
                                          .run = run,
                                          .stop = on_stop,
                                          .ud = js });
}

hs_error *hs_jobs_kind(hs_server *srv, const char *name, hs_job_step *step, void *ud)
{
    struct hs_jobs *js = srv->jobs;

    if (js->kinds_n == KINDS_MAX)
        return HS_ERR_NOMEM;
    js->names[js->kinds_n] = hs_str_c(name);
    js->kinds[js->kinds_n++] = (job_kind){ name, step, ud };
    return NULL;
}

void hs_jobs_close(hs_server *srv)
{
    if (srv->jobs)
        hs_bus_unsubscribe(srv->jobs->subscription);
    srv->jobs = NULL;
}

/* The same in all workers and for ever: what is in the table has been put there by it. */
static int32_t shard_of(hs_str s)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return (int32_t)(h % SHARDS);
}

static void nudge(hs_server *srv, int32_t at)
{
    char digit = (char)('0' + at);

    if (srv->bus)
        hs_bus_publish(srv->bus, CHANNEL, hs_str_make(&digit, 1));
}

hs_error *hs_job_add(hs_server *srv, hs_arena *a, const hs_job_wish *in, hs_str *ret_id)
{
    hs_job_row row = { .kind = hs_str_c(in->kind), .resource = in->resource, .params = in->params };
    bool added;

    HS_TRY(hs_random_text(a, 16, NULL, &row.id));
    int32_t at = shard_of(in->resource.p ? in->resource : row.id);
    HS_TRY(hs_store_job_add(srv->db, a, &row, at, in->delay_ms, in->single, &added));
    *ret_id = added ? row.id : (hs_str){ NULL, 0 };
    if (added && in->delay_ms <= 0)
        nudge(srv, at);
    return NULL;
}

hs_error *hs_job_add_with(hs_write *w, const hs_job_wish *in, hs_str *ret_id)
{
    hs_job_row row = { .kind = hs_str_c(in->kind), .resource = in->resource, .params = in->params };

    HS_TRY(hs_random_text(hs_write_arena(w), 16, NULL, &row.id));
    if (ret_id)
        *ret_id = row.id;
    return hs_store_job_add_with(w, &row, shard_of(in->resource));
}

void hs_job_added(hs_server *srv, const hs_job_wish *in)
{
    nudge(srv, shard_of(in->resource));
}

hs_error *hs_job_get(hs_server *srv, hs_arena *a, const char *kind, hs_str id, hs_job_row **ret)
{
    HS_TRY(hs_store_job_get(srv->db, a, id, ret));
    if (*ret && !hs_str_eq((*ret)->kind, hs_str_c(kind)))
        *ret = NULL;
    return NULL;
}

hs_error *hs_jobs_list(hs_server *srv, hs_arena *a, const hs_job_filter *f, hs_job_row **ret, size_t *ret_n)
{
    hs_job_filter g = *f;

    if (g.limit <= 0 || g.limit > LIST_MAX)
        g.limit = LIST_MAX;
    return hs_store_jobs(srv->db, a, &g, ret, ret_n);
}

hs_error *hs_job_wait(hs_server *srv, hs_arena *a, hs_str id, int64_t ms, hs_job_row **ret)
{
    int64_t until = hs_loop_now(srv->loop) + ms, nap = WAIT_FIRST_MS;

    for (;;) {
        HS_TRY(hs_store_job_get(srv->db, a, id, ret));
        if (!*ret)
            return hs_err(a, 404, HS_M_NOT_FOUND, "The job does not exist");
        if ((*ret)->status >= HS_JOB_COMPLETE)
            return NULL;
        if (hs_loop_now(srv->loop) >= until)
            return hs_err(a, 504, HS_M_UNKNOWN, "The job %.*s goes on", HS_FMT(id));
        hs_fiber_sleep(srv->loop, nap);
        nap = nap * 2 < WAIT_MOST_MS ? nap * 2 : WAIT_MOST_MS;
    }
}

hs_str hs_job_status_name(hs_job_status s)
{
    static const hs_str NAMES[] = { HS_S_INIT("scheduled"), HS_S_INIT("active"), HS_S_INIT("complete"),
                                    HS_S_INIT("failed") };

    return NAMES[s];
}
