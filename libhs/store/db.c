/* The database handle: opening, queries on shared connections, pipes, numbers.
 *
 * Readers run at REPEATABLE READ, read only: all that goes out under one Sync sees one snapshot. What writes without a
 * position runs on the executing connection, each statement under a Sync of its own, so durable when answered.
 * Statements queue until the next turn of the loop and leave together. */
#include "store/handle.h"

#include "runtime/random.h"
#include "store/migrate.h"
#include "store/rows.h"

#include <stdlib.h>

enum {
    TICK_MS = 250,
    OPEN_MS = 15000,
    QUEUE_MAX = 4096, /* groups that wait for a connection; each has a request behind it */
    WIRE_MAX = 1024,  /* statements on the wire of a connection, above which it is passed over */
};

/* ── waiting ── */

void hs_waiting_wait(hs_db *db, hs_waiting *w)
{
    db->waiting++;
    while (!w->done) {
        if (!w->fiber) {
            hs_loop_turn(db->loop, 50);
            continue;
        }
        w->asleep = true;
        hs_fiber_suspend(db->loop);
        w->asleep = false;
    }
    db->waiting--;
}

void hs_waiting_done(hs_waiting *w)
{
    w->done = true;
    if (w->asleep) /* a wake that nobody sleeps for would end somebody's next sleep */
        hs_fiber_wake(w->fiber);
}

static void wake_waiting(hs_group *g)
{
    hs_waiting_done(g->waiting);
}

/* ── queues ── */

static void queue_push(hs_group_queue *q, hs_group *g)
{
    g->next = NULL;
    if (q->last)
        q->last->next = g;
    else
        q->first = g;
    q->last = g;
    q->n++;
}

static hs_group *queue_pop(hs_group_queue *q)
{
    hs_group *g = q->first;

    if (g) {
        q->first = g->next;
        q->n--;
        if (!q->first)
            q->last = NULL;
    }
    return g;
}

/* Groups that waited too long for a connection. */
static void queue_expire(hs_group_queue *q, int64_t before)
{
    while (q->first && q->first->since < before) {
        hs_group *g = queue_pop(q);
        g->away = true;
        g->done(g);
    }
}

/* Ready, and not known to have fallen silent. */
static bool usable(const hs_db *db, const hs_conn *c, int64_t silent_ms)
{
    return !db->closing && hs_conn_ready(c) && hs_conn_silent(c) < silent_ms && hs_conn_busy(c) < WIRE_MAX;
}

static hs_conn *idlest_reader(hs_db *db)
{
    hs_conn *best = NULL;

    for (size_t i = 0; i < db->readers_n; i++)
        if (usable(db, db->readers[i], db->away_ms) && (!best || hs_conn_busy(db->readers[i]) < hs_conn_busy(best)))
            best = db->readers[i];
    if (best)
        db->reads.moved = hs_loop_now(db->loop);
    return best;
}

static bool exec_usable(hs_db *db)
{
    /* there is only one: a slow statement is no reason yet to refuse what comes behind it */
    bool is = usable(db, db->exec, 2 * db->away_ms);

    if (is)
        db->execs.moved = hs_loop_now(db->loop);
    return is;
}

static void flush_queues(hs_post *p)
{
    hs_db *db = p->ud;
    hs_conn *c;

    db->flush_waits = false;
    if (db->closing)
        return;
    while (db->reads.first && (c = idlest_reader(db)) != NULL)
        hs_conn_send(c, queue_pop(&db->reads));
    for (size_t i = 0; i < db->readers_n; i++)
        hs_conn_flush(db->readers[i]);
    while (db->execs.first && exec_usable(db))
        hs_conn_send(db->exec, queue_pop(&db->execs));
    hs_conn_flush(db->exec);
}

static void flush_soon(hs_db *db)
{
    if (db->flush_waits)
        return;
    db->flush_waits = true;
    hs_loop_defer(db->loop, &db->flush);
}

static void run_queued(hs_db *db, hs_group_queue *q, hs_group *g)
{
    hs_waiting w = { .fiber = hs_fiber_self(db->loop) };

    g->done = wake_waiting;
    g->waiting = &w;
    int64_t queued = g->since = hs_loop_now(db->loop);
    bool served = q == &db->reads ? idlest_reader(db) != NULL : exec_usable(db);
    g->refused = q->n >= QUEUE_MAX;
    /* when those who wait already wait in vain, nobody joins them */
    g->away = db->closing || (!served && g->since - q->moved > db->away_ms);
    if (!g->away && !g->refused) {
        queue_push(q, g);
        flush_soon(db);
        hs_waiting_wait(db, &w);
        hs_metric_add(db->queries, (double)g->n);
        hs_meter_waited(db, g->away ? hs_loop_now(db->loop) - queued : g->since - queued);
        if (!g->away)
            hs_meter_group(db, g);
    }
    hs_db_note(db, g, q == &db->execs);
}

void hs_db_run_read(hs_db *db, hs_group *g)
{
    g->shares = true;
    run_queued(db, &db->reads, g);
}

void hs_db_run_exec(hs_db *db, hs_group *g)
{
    run_queued(db, &db->execs, g);
}

void hs_db_run_on(hs_db *db, hs_conn *c, hs_group *g)
{
    hs_waiting w = { .fiber = hs_fiber_self(db->loop) };

    g->done = wake_waiting;
    g->waiting = &w;
    if (db->closing || !hs_conn_ready(c)) {
        g->lost = true;
        return;
    }
    hs_conn_send(c, g);
    hs_conn_flush(c);
    hs_waiting_wait(db, &w);
    hs_metric_add(db->queries, (double)g->n);
    hs_meter_group(db, g);
    hs_db_note(db, g, true);
}

/* ── connections ── */

static void on_ready(hs_conn *c, void *ud)
{
    (void)c;
    flush_soon(ud);
}

static void on_down(hs_conn *c, void *ud)
{
    hs_db *db = ud;

    (void)c;
    hs_metric_add(db->reconnects, 1);
}

static void on_again(hs_group *g, void *ud)
{
    hs_db *db = ud;

    if (db->closing) {
        g->away = true;
        g->done(g);
        return;
    }
    queue_push(&db->reads, g);
    flush_soon(db);
}

static void on_tick(hs_timer *t)
{
    hs_db *db = t->ud;
    int64_t now = hs_loop_now(db->loop);

    for (size_t i = 0; i < db->readers_n; i++)
        hs_conn_tick(db->readers[i], now);
    hs_conn_tick(db->exec, now);
    hs_tx_tick(db, now);
    hs_ticket_tick(db, now);
    (void)idlest_reader(db);
    (void)exec_usable(db);
    flush_soon(db);
    queue_expire(&db->reads, now - db->away_ms);
    queue_expire(&db->execs, now - db->away_ms);
    (void)!hs_timer_arm(db->loop, &db->tick, TICK_MS);
}

/* PostgreSQL starts its processes one after the other: those that the start waits for come first. */
static hs_error *open_connections(hs_db *db, unsigned readers, hs_metrics *m)
{
    struct hs_conn_hooks hooks = { .ready = on_ready, .down = on_down, .again = on_again, .ud = db };

    db->exec = hs_conn_open(db->loop, db->log, db->conninfo, HS_CONN_EXEC, 0, &hooks);
    if (!db->exec)
        return HS_ERR_NOMEM;
    HS_TRY(hs_ticket_open(db, m));
    db->readers_n = readers ? readers : 3;
    if (db->readers_n > HS_DB_READERS_MAX)
        db->readers_n = HS_DB_READERS_MAX;
    for (size_t i = 0; i < db->readers_n; i++) {
        db->readers[i] = hs_conn_open(db->loop, db->log, db->conninfo, HS_CONN_READ, 0, &hooks);
        if (!db->readers[i]) {
            db->readers_n = i;
            return HS_ERR_NOMEM;
        }
    }
    return hs_timer_arm(db->loop, &db->tick, TICK_MS) ? HS_ERR_NOMEM : NULL;
}

static hs_error *wait_for_connections(hs_db *db, hs_arena *a)
{
    int64_t until = hs_loop_now(db->loop) + OPEN_MS;

    while (!exec_usable(db) || !idlest_reader(db)) {
        if (hs_loop_now(db->loop) > until)
            return hs_err(a, 503, HS_M_UNKNOWN, "database: cannot connect: %s", hs_conn_why(db->exec));
        if (hs_fiber_self(db->loop))
            hs_fiber_sleep(db->loop, 5);
        else
            hs_loop_turn(db->loop, 5);
    }
    return NULL;
}

static hs_error *open_all(hs_db *db, hs_arena *a, const hs_db_options *o)
{
    HS_TRY(hs_migrate(a, db->conninfo, o->allow_unsafe_locale, o->log));
    hs_loop_read_clocks(db->loop); /* migrating may have taken longer than a connection may */
    HS_TRY(open_connections(db, o->readers, o->metrics));
    HS_TRY(wait_for_connections(db, a));
    return hs_ticket_start(db, a);
}

hs_error *hs_db_open(hs_loop *loop, hs_arena *a, const hs_db_options *o, hs_db **ret)
{
    hs_db *db = calloc(1, sizeof *db);
    hs_error *e;

    if (!db)
        return HS_ERR_NOMEM;
    db->loop = loop;
    db->log = o->log;
    db->away_ms = o->away_ms ? o->away_ms : 5000;
    db->reads.moved = db->execs.moved = hs_loop_now(loop);
    db->conninfo = strdup(o->conninfo);
    db->flush = (hs_post){ .fn = flush_queues, .ud = db };
    db->tick = (hs_timer){ .fn = on_tick, .ud = db };
    db->queries =
        hs_metric_get(o->metrics, HS_COUNTER, "hs_db_statements_total", "Statements sent to PostgreSQL", NULL);
    db->failures = hs_metric_get(o->metrics, HS_COUNTER, "hs_db_failures_total", "Statements that failed", NULL);
    db->reconnects = hs_metric_get(o->metrics, HS_COUNTER, "hs_db_reconnects_total",
                                   "Connections to PostgreSQL that were lost", NULL);
    db->refused = hs_metric_get(o->metrics, HS_COUNTER, "hs_refused_total",
                                "What was refused with 503 or 429 because the server or its database could not keep up",
                                "reason");
    e = db->conninfo ? hs_meter_open(db, o->metrics) : HS_ERR_NOMEM;
    if (!e)
        e = open_all(db, a, o);
    if (e) {
        hs_db_close(db);
        return e;
    }
    *ret = db;
    return NULL;
}

static void turn_once(hs_loop *loop)
{
    if (hs_fiber_self(loop))
        hs_fiber_sleep(loop, 1);
    else
        hs_loop_turn(loop, 0);
}

void hs_db_close(hs_db *db)
{
    if (!db)
        return;
    db->closing = true;
    hs_timer_disarm(db->loop, &db->tick);
    while (db->flush_waits || hs_ticket_waits(db))
        turn_once(db->loop);
    hs_ticket_close(db);
    hs_tx_close_all(db);
    for (size_t i = 0; i < db->readers_n; i++)
        hs_conn_close(db->readers[i]);
    hs_conn_close(db->exec);
    queue_expire(&db->reads, INT64_MAX);
    queue_expire(&db->execs, INT64_MAX);
    hs_fiber_wake_all(&db->nid_queue);
    while (db->waiting) /* their waits have ended, in errors; what they ask now is refused at once */
        turn_once(db->loop);
    hs_meter_close(db);
    free(db->conninfo);
    free(db);
}

hs_loop *hs_db_loop(const hs_db *db)
{
    return db->loop;
}

/* ── queries ── */

/* Whether a reader may run it. Our statements are our own text: keywords are in capitals. */
static bool only_reads(const hs_stmt *s)
{
    if (strncmp(s->sql, "SELECT", 6) == 0)
        return !strstr(s->sql, " FOR UPDATE");
    return strncmp(s->sql, "WITH", 4) == 0 && !strstr(s->sql, "INSERT INTO") && !strstr(s->sql, "UPDATE ") &&
           !strstr(s->sql, "DELETE FROM");
}

static hs_error *finish_one(hs_arena *a, hs_group *g, hs_rows **ret_rows, uint64_t *ret_n)
{
    hs_error *e = NULL;

    if (g->away || g->lost || g->failed) {
        e = hs_group_error(a, g);
    } else {
        if (ret_n)
            *ret_n = strtoull(PQcmdTuples(g->steps[0].res), NULL, 10);
        e = hs_step_take(a, &g->steps[0], ret_rows);
    }
    hs_group_clear(g);
    return e;
}

/* One statement as a group of its own. */
static hs_error *run_one(hs_db *db, hs_arena *a, const hs_stmt *s, bool reads, va_list ap, hs_rows **ret_rows,
                         uint64_t *ret_n)
{
    hs_params params;
    hs_step step = { .s = s, .params = &params };
    hs_group g = { .steps = &step, .n = 1 };

    HS_TRY(hs_params_bind(a, s, HS_PARAMS_BORROW, ap, &params));
    if (reads)
        hs_db_run_read(db, &g);
    else
        hs_db_run_exec(db, &g);
    return finish_one(a, &g, ret_rows, ret_n);
}

hs_error *hs_db_query(hs_db *db, hs_arena *a, const hs_stmt *s, hs_rows **ret, ...)
{
    hs_error *e;
    va_list ap;

    va_start(ap, ret);
    e = run_one(db, a, s, only_reads(s), ap, ret, NULL);
    va_end(ap);
    return e;
}

hs_error *hs_db_exec(hs_db *db, hs_arena *a, const hs_stmt *s, uint64_t *ret_n, ...)
{
    hs_error *e;
    va_list ap;

    va_start(ap, ret_n);
    e = run_one(db, a, s, false, ap, NULL, ret_n);
    va_end(ap);
    return e;
}

hs_error *hs_db_call(hs_db *db, hs_arena *a, const hs_stmt *s, hs_rows **ret, ...)
{
    hs_error *e;
    va_list ap;

    va_start(ap, ret);
    e = run_one(db, a, s, false, ap, ret, NULL);
    va_end(ap);
    return e;
}

/* ── pipes ── */

enum { PIPE_MAX = 4096 };

struct hs_pipe {
    hs_db *db;
    hs_arena *a;
    hs_step *steps;
    hs_rows ***rets;
    size_t n, cap;
};

hs_error *hs_pipe_open(hs_db *db, hs_arena *a, hs_pipe **ret)
{
    hs_pipe *p;

    HS_TRY(hs_alloc(a, 1, &p));
    p->db = db;
    p->a = a;
    *ret = p;
    return NULL;
}

static hs_error *pipe_grow(hs_pipe *p)
{
    size_t cap = p->cap ? p->cap * 2 : 16;
    hs_step *steps;
    hs_rows ***rets;

    if (p->n >= PIPE_MAX)
        return hs_err_internal(p->a, NULL, "more than %d statements in a pipe", PIPE_MAX);
    HS_TRY(hs_alloc(p->a, cap, &steps));
    HS_TRY(hs_alloc(p->a, cap, &rets));
    if (p->n) {
        memcpy(steps, p->steps, p->n * sizeof *steps);
        memcpy(rets, p->rets, p->n * sizeof *rets);
    }
    p->steps = steps;
    p->rets = rets;
    p->cap = cap;
    return NULL;
}

hs_error *hs_pipe_add(hs_pipe *p, const hs_stmt *s, hs_rows **ret, ...)
{
    hs_params *params;
    hs_error *e;
    va_list ap;

    if (p->n == p->cap)
        HS_TRY(pipe_grow(p));
    HS_TRY(hs_alloc(p->a, 1, &params));
    va_start(ap, ret);
    e = hs_params_bind(p->a, s, HS_PARAMS_BORROW, ap, params);
    va_end(ap);
    if (e)
        return e;
    p->steps[p->n] = (hs_step){ .s = s, .params = params };
    p->rets[p->n++] = ret;
    return NULL;
}

hs_error *hs_pipe_run(hs_pipe *p)
{
    hs_group g = { .steps = p->steps, .n = p->n };
    hs_error *e = NULL;

    if (!p->n)
        return NULL;
    hs_db_run_read(p->db, &g);
    if (g.away || g.lost || g.failed)
        e = hs_group_error(p->a, &g);
    for (size_t i = 0; !e && i < p->n; i++)
        e = hs_step_take(p->a, &p->steps[i], p->rets[i]);
    hs_group_clear(&g);
    p->n = 0;
    return e;
}

/* ── numbers ── */

enum { NID_BLOCK = 1024 };

static const hs_stmt NID_BLOCK_NEXT = {
    .name = "nid_block_next",
    .sql = "SELECT nextval('nid_seq')",
    .cols = "n",
};

const hs_stmt *const hs_db_statements[] = { &NID_BLOCK_NEXT, NULL };

static hs_error *fetch_block(hs_db *db, hs_arena *a)
{
    hs_step step = { .s = &NID_BLOCK_NEXT };
    hs_group g = { .steps = &step, .n = 1 };
    hs_rows *rows;
    hs_error *e;

    if (db->nid_fetching) { /* somebody else is at it: look again afterwards */
        db->waiting++;
        if (hs_fiber_self(db->loop))
            hs_fiber_wait(db->loop, &db->nid_queue);
        else
            hs_loop_turn(db->loop, 5);
        db->waiting--;
        return NULL;
    }
    db->nid_fetching = true;
    hs_db_run_exec(db, &g); /* a reader may not call nextval */
    e = finish_one(a, &g, &rows, NULL);
    db->nid_fetching = false;
    if (!e) {
        db->nid_next = hs_rows_i64(rows, 0, 0);
        db->nid_end = db->nid_next + NID_BLOCK;
    }
    hs_fiber_wake_all(&db->nid_queue);
    return e;
}

hs_error *hs_db_new_nids(hs_db *db, hs_arena *a, size_t n, hs_nid *ret_first)
{
    if (n > NID_BLOCK)
        return hs_err_internal(a, NULL, "more than %d numbers in a row", NID_BLOCK);
    while ((size_t)(db->nid_end - db->nid_next) < n) {
        if (db->closing)
            return hs_err_later(a, 503, HS_M_UNKNOWN, 1000, "The server is shutting down");
        HS_TRY(fetch_block(db, a));
    }
    *ret_first = db->nid_next;
    db->nid_next += (hs_nid)n;
    return NULL;
}

hs_error *hs_db_new_nid(hs_db *db, hs_arena *a, hs_nid *ret)
{
    return hs_db_new_nids(db, a, 1, ret);
}
