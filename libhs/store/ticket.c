/* The ticket: units of writing gather into batches, a batch is one transaction, and nothing of it is told before it is
 * flushed.
 *
 * One batch is under way at a time, in one of these states:
 *     IDLE      nothing on the wire; units may wait in the queue
 *     SENT      the transaction and the flush are on the wire
 *     FLUSHING  committed, but its flush was lost or failed: flush again
 *     UNKNOWN   the connection went away in between: once it is back (and the old backend is known to be dead, see the
 * fence in pipeline.c) its feed row is looked for by its mark; there: FLUSHING; not there: its units go back to the
 * queue A unit that fails takes the later units of its rooms with it as stale: they were built on it. The rest of the
 * batch goes again. */
#include "store/ticket.h"

#include "runtime/random.h"

#include <stdlib.h>

enum {
    TRIES = 3, /* of a batch that failed for no fault of a unit */
    ARENA_CAP = 64 << 20,
};

/* clang-format off */
static const hs_stmt FLUSH = {
    .name = "hs_flush",
    .sql = "SELECT pg_logical_emit_message(true, 'hs', '') IS NULL",
    .cols = "f",
};
static const hs_stmt LOOK = {
    .name = "feed_look",
    .sql = "SELECT pos_from FROM feed WHERE pos > $1 AND mark = $2",
    .params = "nn", .cols = "n", .big = "feed",
};
static const hs_stmt FEED_NEWEST = {
    .name = "feed_newest",
    .sql = "SELECT coalesce(max(pos), 0) FROM feed",
    .cols = "n", .big = "feed",
};
/* clang-format on */

const hs_stmt *const hs_ticket_statements[] = {
    &FLUSH,
    &LOOK,
    &FEED_NEWEST,
    NULL,
};

static void kick(hs_ticket *t);

/* ── failing units and what was built on them ── */

static bool in_rooms(const hs_write *w, const hs_write *failed)
{
    for (size_t i = 0; i < w->items.n; i++)
        for (size_t k = 0; k < failed->items.n; k++)
            if (w->items.at[i].t.room == failed->items.at[k].t.room)
                return true;
    return false;
}

static bool touches_any(const hs_write *w, const hs_write *failed)
{
    for (; failed; failed = failed->next)
        if (in_rooms(w, failed))
            return true;
    return false;
}

static void idle(hs_ticket *t)
{
    t->units = NULL;
    t->state = HS_TICKET_IDLE;
    t->stuck_since = 0;
}

/* Takes `bad` out of the batch, and with it what follows in its rooms, in the batch and in the queue; what is left goes
 * back to the head of the queue. The caller ends `bad` itself. */
static void give_back_without(hs_ticket *t, hs_write *bad)
{
    hs_write *failed = NULL, *keep_first = NULL, *keep_last = NULL, *next, *w = t->units;
    bool passed = !bad;

    if (t->units)
        t->ended++;
    if (t->last)
        t->last->next = NULL;
    for (int part = 0; part < 2; part++, w = t->first) {
        for (; w; w = next) {
            next = w->next;
            w->next = NULL;
            if (w == bad) {
                passed = true;
                failed = bad;
                continue;
            }
            if (passed && failed && touches_any(w, failed)) {
                w->next = failed; /* a list of all that went; bad is its end */
                failed = w;
                continue;
            }
            if (keep_last)
                keep_last->next = w;
            else
                keep_first = w;
            keep_last = w;
        }
    }
    t->first = keep_first;
    t->last = keep_last;
    idle(t);
    for (w = failed; w && w != bad; w = next) {
        next = w->next;
        hs_unit_end(t, w, HS_WRITE_STALE);
    }
    hs_ticket_drop_broken(t);
}

static void fail_batch(hs_ticket *t, const hs_error *why)
{
    hs_write *w = t->units, *next;

    idle(t);
    for (; w; w = next) {
        next = w->next;
        hs_unit_fail(t, w,
                     why == HS_ERR_NOMEM || !w->a ? HS_ERR_NOMEM
                                                  : hs_err_later_at(w->a, why->where, why->status, why->code,
                                                                    why->retry_ms, "%.*s", HS_FMT(why->message)));
    }
    hs_ticket_drop_broken(t);
}

static void send_flush(hs_ticket *t)
{
    t->flush_step = (hs_step){ .s = &FLUSH };
    t->flush.steps = &t->flush_step;
    t->flush.n = 1;
    t->flush_done = false;
    hs_conn_send(t->writer, &t->flush);
}

static void send_batch(hs_ticket *t)
{
    hs_error *e;

    if (t->a)
        hs_arena_reset(t->a);
    else
        t->a = hs_arena_open(ARENA_CAP);
    hs_ticket_take(t);
    e = t->a ? hs_ticket_make(t) : HS_ERR_NOMEM;
    if (e) {
        fail_batch(t, e);
        return;
    }
    if (!t->commit.n) { /* nothing at all to write */
        hs_write *w = t->units, *next;
        for (t->units = NULL; w; w = next) {
            next = w->next;
            hs_unit_end(t, w, HS_WRITE_OK);
        }
        return;
    }
    t->state = HS_TICKET_SENT;
    t->stuck_since = hs_loop_now(t->db->loop);
    t->sent++;
    t->seen = t->durable;
    t->commit_done = false;
    t->flush_done = true;
    hs_conn_send(t->writer, &t->commit);
    if (t->count)
        send_flush(t);
    hs_conn_flush(t->writer);
    hs_metric_add(t->batches, 1);
    hs_meter_batch(t->db, t->units_n);
}

static void kick_now(hs_post *p)
{
    hs_ticket *t = p->ud;

    t->kick_waits = false;
    while (t->state == HS_TICKET_IDLE && t->first && !t->db->closing && hs_conn_ready(t->writer))
        send_batch(t);
}

/* At the end of the turn, so that whoever else has something to write now comes along. */
static void kick(hs_ticket *t)
{
    if (t->kick_waits || t->state != HS_TICKET_IDLE || !t->first || t->closing)
        return;
    t->kick_waits = true;
    hs_loop_defer(t->db->loop, &t->kick);
}

/* ── outcomes ── */

/* The callers resume: what they wrote is durable and has been told. */
static void resume_units(hs_ticket *t, hs_write *w, int64_t first_pos)
{
    hs_write *next;

    for (; w; w = next) {
        next = w->next;
        w->result.first = first_pos + w->base;
        hs_unit_end(t, w, HS_WRITE_OK);
    }
}

void hs_write_told(hs_told_batch *told)
{
    hs_batch *b = (hs_batch *)(void *)told;
    hs_ticket *t = b->ticket;

    *b->prevp = b->next;
    if (b->next)
        b->next->prevp = b->prevp;
    t->ended++;
    resume_units(t, b->units, b->told.pos_from);
    hs_arena_close(b->a);
}

/* False: the batch, and with it the arena, is kept until hs_write_told. */
static bool tell(hs_ticket *t, hs_write *units)
{
    hs_batch *b = t->done;
    int64_t last = t->first_pos + t->count - 1;

    if (last > t->durable)
        t->durable = last;
    for (size_t i = 0; i < t->units_n; i++)
        t->told[i].first = t->first_pos + t->told[i].base;
    *b = (hs_batch){
        .told = { t->first_pos, last, t->msg, t->told, t->units_n }, .ticket = t, .a = t->a, .units = units
    };
    b->prevp = &t->untold;
    b->next = t->untold;
    if (b->next)
        b->next->prevp = &b->next;
    t->untold = b;
    if (t->hooks.told && !t->hooks.told(t->hooks.ud, &b->told)) {
        t->a = NULL;
        return false;
    }
    *b->prevp = b->next;
    if (b->next)
        b->next->prevp = b->prevp;
    return true;
}

static void batch_ok(hs_ticket *t)
{
    hs_write *units = t->units;

    t->tries = 0;
    idle(t);
    if (t->count && !tell(t, units))
        return;
    t->ended++;
    resume_units(t, units, t->first_pos);
}

static hs_write *unit_at(hs_ticket *t, uint32_t at)
{
    for (hs_write *w = t->units; w; w = w->next)
        if (at - w->base < w->count)
            return w;
    return NULL;
}

/* The unit to blame for a failed batch; NULL: not known. */
static hs_write *blame(hs_ticket *t, bool stale)
{
    const char *detail;

    if (t->commit.at != t->commit_step)
        return t->owner[t->commit.at];
    if (stale) {
        detail = PQresultErrorField(t->commit.steps[t->commit.at].res, PG_DIAG_MESSAGE_DETAIL);
        return detail ? unit_at(t, (uint32_t)strtoul(detail, NULL, 10)) : NULL;
    }
    return t->units_n == 1 ? t->units : NULL;
}

/* What the SQLSTATE says about the unit that raised it; HS_WRITE_OK: an error as any other. */
static hs_write_status refusal(const char *sqlstate)
{
    if (strcmp(sqlstate, "HS001") == 0)
        return HS_WRITE_STALE;
    if (strcmp(sqlstate, "HS002") == 0)
        return HS_WRITE_FENCED;
    return strcmp(sqlstate, "23505") == 0 ? HS_WRITE_CONFLICT : HS_WRITE_OK;
}

static void batch_failed(hs_ticket *t)
{
    const char *sqlstate = hs_group_sqlstate(&t->commit);
    hs_write_status refused = refusal(sqlstate);
    bool again = hs_sqlstate_passes(sqlstate);
    hs_write *bad = NULL;

    if (hs_sqlstate_is_short(sqlstate)) { /* trying again would not make space */
        hs_error *e = hs_group_error(t->a, &t->commit);
        hs_group_clear(&t->commit);
        fail_batch(t, e);
        return;
    }
    if (again && ++t->tries <= TRIES) {
        hs_group_clear(&t->commit);
        give_back_without(t, NULL);
        return;
    }
    bad = blame(t, refused == HS_WRITE_STALE);
    if (!bad) { /* singly, so that it shows */
        for (hs_write *w = t->units; w; w = w->next)
            w->alone = true;
        hs_group_clear(&t->commit);
        give_back_without(t, NULL);
        return;
    }
    t->tries = 0;
    if (refused == HS_WRITE_OK)
        bad->error = bad->a ? hs_group_error(bad->a, &t->commit) : HS_ERR_NOMEM;
    hs_group_clear(&t->commit);
    give_back_without(t, bad);
    if (bad->error)
        hs_unit_fail(t, bad, bad->error);
    else
        hs_unit_end(t, bad, refused);
}

static void judge(hs_ticket *t)
{
    if (!t->commit_done || !t->flush_done)
        return;
    if (t->commit.lost || (t->count && t->flush.lost && !t->commit.failed)) {
        hs_group_clear(&t->commit);
        t->state = HS_TICKET_UNKNOWN;
        return; /* goes on when the connection is back */
    }
    if (refusal(hs_group_sqlstate(&t->commit)) == HS_WRITE_OK)
        hs_db_note(t->db, &t->commit, true);
    if (t->commit.failed || t->commit.aborted) {
        batch_failed(t);
    } else {
        if (t->commit_step != SIZE_MAX)
            t->first_pos = (int64_t)hs_get_be(PQgetvalue(t->commit.steps[t->commit_step].res, 0, 0), 8);
        hs_group_clear(&t->commit);
        if (t->count && t->flush.failed)
            t->state = HS_TICKET_FLUSHING; /* the tick tries again */
        else
            batch_ok(t);
    }
    hs_group_clear(&t->flush);
    kick(t);
}

static void on_commit(hs_group *g)
{
    hs_ticket *t = g->ud;

    t->commit_done = true;
    judge(t);
}

static void on_flush(hs_group *g)
{
    hs_ticket *t = g->ud;

    t->flush_done = true;
    if (t->state == HS_TICKET_SENT) {
        judge(t);
        return;
    }
    if (t->state == HS_TICKET_FLUSHING && !g->failed && !g->lost) {
        hs_group_clear(g);
        batch_ok(t);
        kick(t);
        return;
    }
    hs_group_clear(g);
    if (g->lost)
        t->state = HS_TICKET_UNKNOWN;
}

static void flush_again(hs_ticket *t)
{
    t->state = HS_TICKET_FLUSHING;
    send_flush(t);
    hs_conn_flush(t->writer);
}

static void on_look(hs_group *g)
{
    hs_ticket *t = g->ud;
    bool found;

    if (g->lost || g->failed) {
        hs_group_clear(g);
        return; /* still unknown: the next connection asks again, or the tick */
    }
    found = PQntuples(g->steps[0].res) > 0;
    if (found)
        t->first_pos = (int64_t)hs_get_be(PQgetvalue(g->steps[0].res, 0, 0), 8);
    hs_group_clear(g);
    hs_log(t->db->log, HS_LOG_WARN, "store.outcome", "units=%zu written=%s", t->units_n, found ? "yes" : "no");
    if (found) {
        flush_again(t);
    } else {
        give_back_without(t, NULL);
        kick(t);
    }
}

/* A batch without positions leaves no mark: its units are written again, which conflicts if they were there. */
static void look(hs_ticket *t)
{
    if (!t->count) {
        give_back_without(t, NULL);
        kick(t);
        return;
    }
    if (hs_ticket_bind(t->a, &LOOK, &t->look_params, t->seen, t->mark) != NULL)
        return;
    t->look_step = (hs_step){ .s = &LOOK, .params = &t->look_params };
    t->look = (hs_group){ .steps = &t->look_step, .n = 1, .done = on_look, .ud = t };
    hs_conn_send(t->writer, &t->look);
    hs_conn_flush(t->writer);
}

static void on_check(hs_group *g)
{
    hs_ticket *t = g->ud;
    int64_t newest = INT64_MAX;

    t->checking = false;
    if (!g->lost && !g->failed)
        newest = (int64_t)hs_get_be(PQgetvalue(g->steps[0].res, 0, 0), 8);
    hs_group_clear(g);
    if (newest < t->durable && t->hooks.went_back)
        t->hooks.went_back(t->hooks.ud, newest);
}

/* It may be another server than before: a standby that had not received everything. */
static void check_newest(hs_ticket *t)
{
    if (!t->durable || t->checking)
        return;
    t->checking = true;
    t->check_step = (hs_step){ .s = &FEED_NEWEST };
    t->check = (hs_group){ .steps = &t->check_step, .n = 1, .done = on_check, .ud = t };
    hs_conn_send(t->writer, &t->check);
    hs_conn_flush(t->writer);
}

static void on_ready(hs_conn *c, void *ud)
{
    hs_ticket *t = ud;

    t->writer = c;
    check_newest(t);
    if (t->state == HS_TICKET_IDLE)
        t->stuck_since = 0;
    if (t->state == HS_TICKET_UNKNOWN)
        look(t);
    else if (t->state == HS_TICKET_FLUSHING)
        flush_again(t);
    kick(t);
}

static void on_down(hs_conn *c, void *ud)
{
    hs_ticket *t = ud;

    (void)c;
    if (t->state == HS_TICKET_FLUSHING) /* the flush was lost, and with PostgreSQL perhaps the transaction */
        t->state = HS_TICKET_UNKNOWN;
    if (!t->stuck_since)
        t->stuck_since = hs_loop_now(t->db->loop);
    hs_metric_add(t->db->reconnects, 1);
}

static void on_again(hs_group *g, void *ud)
{
    (void)ud;
    g->lost = true;
    g->done(g);
}

hs_error *hs_write_commit(hs_write *w, hs_write_result *ret)
{
    hs_ticket *t = w->db->ticket;

    if (!t || t->closing)
        return hs_err_later(w->a, 503, HS_M_UNKNOWN, 1000, "The server is shutting down");
    if (w->chain && w->chain->broken) {
        ret->status = HS_WRITE_STALE;
        return NULL;
    }
    w->waiting = (hs_waiting){ .fiber = hs_fiber_self(w->db->loop) };
    HS_TRY(hs_ticket_queue(t, w));
    kick(t);
    hs_waiting_wait(w->db, &w->waiting);
    if (w->error)
        return w->error;
    *ret = w->result;
    return NULL;
}

uint64_t hs_write_sent(const hs_db *db)
{
    return db->ticket ? db->ticket->sent : 0;
}

uint64_t hs_write_ended(const hs_db *db)
{
    return db->ticket ? db->ticket->ended : 0;
}

void hs_write_note_durable(hs_db *db, int64_t pos)
{
    if (db->ticket && pos > db->ticket->durable)
        db->ticket->durable = pos;
}

void hs_write_set_hooks(hs_db *db, const hs_write_hooks *hooks)
{
    db->ticket->hooks = *hooks;
}

int64_t hs_write_durable(const hs_db *db)
{
    return db->ticket ? db->ticket->durable : 0;
}

hs_error *hs_store_feed_newest(hs_db *db, hs_arena *a, int64_t *ret)
{
    hs_rows *rows;

    HS_TRY(hs_db_query(db, a, &FEED_NEWEST, &rows));
    *ret = hs_rows_i64(rows, 0, 0);
    return NULL;
}

hs_error *hs_write_flush(hs_db *db, hs_arena *a)
{
    hs_step steps[2] = { { .s = &FEED_NEWEST }, { .s = &FLUSH } };
    hs_group g = { .steps = steps, .n = 2 };
    hs_error *e = NULL;
    int64_t newest;

    hs_db_run_exec(db, &g); /* one transaction: what the first statement saw, the commit has flushed */
    if (g.away || g.lost || g.failed) {
        e = hs_group_error(a, &g);
    } else {
        newest = (int64_t)hs_get_be(PQgetvalue(steps[0].res, 0, 0), 8);
        if (db->ticket && newest > db->ticket->durable)
            db->ticket->durable = newest;
    }
    hs_group_clear(&g);
    return e;
}

/* ── life ── */

hs_error *hs_ticket_open(hs_db *db, hs_metrics *m)
{
    hs_ticket *t = calloc(1, sizeof *t);

    if (!t)
        return HS_ERR_NOMEM;
    db->ticket = t;
    t->db = db;
    t->kick = (hs_post){ .fn = kick_now, .ud = t };
    t->commit = (hs_group){ .done = on_commit, .ud = t };
    t->flush = (hs_group){ .done = on_flush, .ud = t };
    t->batches = hs_metric_get(m, HS_COUNTER, "hs_write_batches_total", "Write transactions sent", NULL);
    t->outcomes = hs_metric_get(m, HS_COUNTER, "hs_write_units_total", "Units of writing, by outcome", "outcome");
    t->stuck_since = hs_loop_now(db->loop);
    t->writer = hs_conn_open(db->loop, db->log, db->conninfo, HS_CONN_WRITE, (int32_t)(hs_random_u64() >> 34),
                             &(struct hs_conn_hooks){ .ready = on_ready, .down = on_down, .again = on_again, .ud = t });
    return t->writer ? NULL : HS_ERR_NOMEM;
}

static hs_error *wait_for_writer(hs_ticket *t, hs_arena *a)
{
    int64_t until = hs_loop_now(t->db->loop) + 15000;

    while (!hs_conn_ready(t->writer)) {
        if (hs_loop_now(t->db->loop) > until)
            return hs_err(a, 503, HS_M_UNKNOWN, "database: cannot connect: %s", hs_conn_why(t->writer));
        if (hs_fiber_self(t->db->loop))
            hs_fiber_sleep(t->db->loop, 5);
        else
            hs_loop_turn(t->db->loop, 5);
    }
    return NULL;
}

hs_error *hs_ticket_start(hs_db *db, hs_arena *a)
{
    HS_TRY(wait_for_writer(db->ticket, a));
    return hs_write_flush(db, a);
}

void hs_ticket_tick(hs_db *db, int64_t now)
{
    hs_ticket *t = db->ticket;

    if (!t)
        return;
    hs_conn_tick(t->writer, now);
    if (hs_conn_ready(t->writer)) {
        if (t->state == HS_TICKET_UNKNOWN && !hs_conn_busy(t->writer))
            look(t);
        else if (t->state == HS_TICKET_FLUSHING && !hs_conn_busy(t->writer))
            flush_again(t);
        kick(t);
    }
    hs_ticket_expire(t, now);
}

bool hs_ticket_waits(const hs_db *db)
{
    return db->ticket && db->ticket->kick_waits;
}

void hs_ticket_close(hs_db *db)
{
    hs_ticket *t = db->ticket;
    hs_write *w, *next;

    if (!t)
        return;
    t->closing = true;
    hs_conn_close(t->writer);
    t->writer = NULL;
    give_back_without(t, NULL);
    for (w = t->first; w; w = next) {
        next = w->next;
        hs_unit_fail(t, w,
                     w->a ? hs_err_later(w->a, 503, HS_M_UNKNOWN, 1000, "The server is shutting down") : HS_ERR_NOMEM);
    }
    t->first = t->last = NULL;
    hs_ticket_recount(t);
    while (t->untold)
        hs_write_told(&t->untold->told);
    hs_arena_close(t->a);
    free(t);
    db->ticket = NULL;
}
