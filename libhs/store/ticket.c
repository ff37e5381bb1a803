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
#include "store/unit.h"

#include "runtime/random.h"

#include <stdlib.h>

enum {
    BATCH_UNITS = 128,
    BATCH_BYTES = 1 << 20,
    TRIES = 3, /* of a batch that failed for no fault of a unit */
    ARENA_CAP = 64 << 20,
};

typedef enum { IDLE, SENT, FLUSHING, UNKNOWN } ticket_state;

typedef struct hs_ticket hs_ticket;

/* A batch that is durable, and whose callers wait until it has been told. */
typedef struct batch {
    hs_told_batch told; /* first */
    struct batch *next, **prevp;
    hs_ticket *ticket;
    hs_arena *a; /* this is in it */
    hs_write *units;
} batch;

struct hs_ticket {
    hs_db *db;
    hs_conn *writer;
    hs_write_hooks hooks;
    int64_t durable;
    hs_write *first, *last; /* the queue */
    hs_post kick;
    bool kick_waits, closing;
    /* the batch */
    ticket_state state;
    hs_arena *a;     /* of the batch under way; NULL: opened with the next */
    hs_write *units; /* in order */
    size_t units_n;
    uint32_t count;
    unsigned tries;
    int64_t mark, seen, first_pos;
    hs_str msg;
    hs_told *told;
    hs_group commit, flush, look;
    hs_step flush_step, look_step;
    hs_params look_params;
    size_t commit_step; /* of hs_commit; SIZE_MAX: no positions, no ticket */
    hs_write **owner;   /* of each step */
    bool commit_done, flush_done;
    batch *done;   /* made with the transaction, so that nothing can fail after it */
    batch *untold; /* durable ones that wait for others' news */
    uint64_t sent, ended;
    hs_metric *batches, *outcomes;
};

/* clang-format off */
static const hs_stmt COMMIT = {
    .name = "hs_commit",
    .sql = "SELECT hs_commit($1, $2, $3, $4, $5, $6)",
    .params = "NNinnb", /* timeline rows, state, positions, ts, mark, msg */
    .cols = "n",
};
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
    &COMMIT, &FLUSH, &LOOK, &FEED_NEWEST, NULL,
};

static void kick(hs_ticket *t);

/* ── chains ── */

struct hs_write_chain {
    uint32_t refs;
    bool broken;
};

hs_write_chain *hs_write_chain_open(void)
{
    hs_write_chain *c = calloc(1, sizeof *c);

    if (c)
        c->refs = 1;
    return c;
}

hs_write_chain *hs_write_chain_ref(hs_write_chain *c)
{
    c->refs++;
    return c;
}

void hs_write_chain_unref(hs_write_chain *c)
{
    if (c && --c->refs == 0)
        free(c);
}

bool hs_write_chain_broken(const hs_write_chain *c)
{
    return c->broken;
}

void hs_write_follow(hs_write *w, hs_write_chain *c)
{
    w->chain = c;
}

/* ── ends of a unit ── */

static void resume(hs_ticket *t, hs_write *w, const char *outcome)
{
    if (w->chain && (w->error || w->result.status != HS_WRITE_OK))
        w->chain->broken = true;
    hs_metric_add(t->outcomes, 1, outcome);
    hs_waiting_done(&w->waiting);
}

static const char *const OUTCOMES[] = {
    [HS_WRITE_OK] = "ok",
    [HS_WRITE_STALE] = "stale",
    [HS_WRITE_CONFLICT] = "conflict",
    [HS_WRITE_FENCED] = "fenced",
};

static void end_status(hs_ticket *t, hs_write *w, hs_write_status status)
{
    w->result.status = status;
    resume(t, w, OUTCOMES[status]);
}

static void end_error(hs_ticket *t, hs_write *w, hs_error *e)
{
    w->error = e ? e : HS_ERR_NOMEM;
    resume(t, w, "error");
}

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
    t->units = NULL;
    t->units_n = 0;
    t->state = IDLE;
    for (w = failed; w && w != bad; w = next) {
        next = w->next;
        end_status(t, w, HS_WRITE_STALE);
    }
}

/* Ends queued units that follow something that was given up. */
static void drop_broken(hs_ticket *t)
{
    hs_write *w = t->first, *next;

    t->first = t->last = NULL;
    for (; w; w = next) {
        next = w->next;
        w->next = NULL;
        if (w->chain && w->chain->broken) {
            end_status(t, w, HS_WRITE_STALE);
            continue;
        }
        if (t->last)
            t->last->next = w;
        else
            t->first = w;
        t->last = w;
    }
}

/* ── making a batch ── */

static size_t step_count(const hs_ticket *t)
{
    size_t n = 1;

    for (const hs_write *w = t->units; w; w = w->next)
        n += w->before.n + w->after.n;
    return n;
}

static void take_units(hs_ticket *t)
{
    size_t bytes = 0;
    hs_write *tail = NULL;

    t->units = NULL;
    t->units_n = 0;
    t->count = 0;
    while (t->first && t->units_n < BATCH_UNITS) {
        hs_write *w = t->first;
        if (t->units_n && (w->alone || t->units->alone || bytes + w->bytes > BATCH_BYTES))
            break;
        t->first = w->next;
        if (!t->first)
            t->last = NULL;
        w->next = NULL;
        w->base = t->count;
        t->count += w->count;
        bytes += w->bytes;
        if (tail)
            tail->next = w;
        else
            t->units = w;
        tail = w;
        t->units_n++;
    }
}

/* Made before the transaction, so that nothing can fail after it; positions are filled in when they are known. */
static hs_error *make_told(hs_ticket *t)
{
    size_t i = 0;

    HS_TRY(hs_alloc(t->a, 1, &t->done));
    HS_TRY(hs_alloc(t->a, t->units_n, &t->told));
    for (const hs_write *w = t->units; w; w = w->next)
        t->told[i++] = (hs_told){ .news = w->news, .base = w->base, .count = w->count };
    return NULL;
}

static hs_error *pack(hs_ticket *t, hs_nids *ret_rows, hs_nids *ret_states)
{
    size_t rows = 0, states = 0;
    hs_nid *r, *s;

    for (const hs_write *w = t->units; w; w = w->next) {
        for (size_t i = 0; i < w->items.n; i++)
            rows += 13 + w->items.at[i].t.prev.n + w->items.at[i].t.delta.n;
        states += w->states.n * 5;
    }
    HS_TRY(hs_alloc(t->a, rows, &r));
    HS_TRY(hs_alloc(t->a, states, &s));
    *ret_rows = (hs_nids){ r, rows };
    *ret_states = (hs_nids){ s, states };
    for (const hs_write *w = t->units; w; w = w->next) {
        for (size_t i = 0; i < w->items.n; i++) {
            const hs_write_timeline *x = &w->items.at[i].t;
            const hs_nid head[13] = { x->room,           w->base + w->items.at[i].at,
                                      x->event,          x->depth,
                                      x->seen_line,      x->seen_snap,
                                      x->seen_pos,       x->line,
                                      x->snap,           x->d_notify,
                                      x->d_high,         (hs_nid)x->prev.n,
                                      (hs_nid)x->delta.n };
            memcpy(r, head, sizeof head);
            r += 13;
            if (x->prev.n)
                memcpy(r, x->prev.at, x->prev.n * sizeof *r);
            r += x->prev.n;
            if (x->delta.n)
                memcpy(r, x->delta.at, x->delta.n * sizeof *r);
            r += x->delta.n;
        }
        for (size_t i = 0; i < w->states.n; i++) {
            const hs_unit_state *x = &w->states.at[i];
            *s++ = x->room;
            *s++ = x->line;
            *s++ = x->snap;
            *s++ = x->slot;
            *s++ = x->event;
        }
    }
    return NULL;
}

static hs_error *bind_now(hs_arena *a, const hs_stmt *s, hs_params *ret, ...)
{
    hs_error *e;
    va_list ap;

    va_start(ap, ret);
    e = hs_params_bind(a, s, HS_PARAMS_BORROW, ap, ret);
    va_end(ap);
    return e;
}

static void add_steps(hs_ticket *t, size_t *n, hs_write *w, const hs_unit_stmt *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < at[i].params.n; k++)
            if (at[i].s->params[k] == 'p')
                hs_params_set_pos(&at[i].params, k,
                                  (int64_t)w->base + hs_params_at(&at[i].params, k) - ((int64_t)t->count - 1));
        t->owner[*n] = w;
        t->commit.steps[(*n)++] = (hs_step){ .s = at[i].s, .params = &at[i].params };
    }
}

static hs_error *make_batch(hs_ticket *t)
{
    hs_params *params;
    hs_nids rows, states;
    size_t n = 0, most = step_count(t);

    HS_TRY(hs_alloc(t->a, most, &t->commit.steps));
    HS_TRY(hs_alloc(t->a, most, &t->owner));
    for (hs_write *w = t->units; w; w = w->next)
        add_steps(t, &n, w, w->before.at, w->before.n);
    t->commit_step = SIZE_MAX;
    if (t->count) {
        HS_TRY(make_told(t));
        t->msg = HS_S("");
        if (t->hooks.encode)
            HS_TRY(t->hooks.encode(t->hooks.ud, t->a, t->told, t->units_n, &t->msg));
        HS_TRY(pack(t, &rows, &states));
        HS_TRY(hs_alloc(t->a, 1, &params));
        t->mark = (int64_t)(hs_random_u64() >> 1);
        HS_TRY(bind_now(t->a, &COMMIT, params, rows, states, (int32_t)t->count, hs_loop_wall(t->db->loop), t->mark,
                        t->msg.p ? t->msg : HS_S("")));
        t->commit_step = n;
        t->commit.steps[n++] = (hs_step){ .s = &COMMIT, .params = params };
    }
    for (hs_write *w = t->units; w; w = w->next)
        add_steps(t, &n, w, w->after.at, w->after.n);
    t->commit.n = n;
    return NULL;
}

static void fail_batch(hs_ticket *t, const hs_error *why)
{
    hs_write *w = t->units, *next;

    t->units = NULL;
    t->units_n = 0;
    t->state = IDLE;
    for (; w; w = next) {
        next = w->next;
        end_error(t, w,
                  why == HS_ERR_NOMEM
                      ? HS_ERR_NOMEM
                      : hs_err_at(w->a, why->where, why->status, why->code, "%.*s", HS_FMT(why->message)));
    }
    drop_broken(t);
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
    take_units(t);
    e = t->a ? make_batch(t) : HS_ERR_NOMEM;
    if (e) {
        fail_batch(t, e);
        return;
    }
    if (!t->commit.n) { /* nothing at all to write */
        hs_write *w = t->units, *next;
        for (t->units = NULL; w; w = next) {
            next = w->next;
            end_status(t, w, HS_WRITE_OK);
        }
        return;
    }
    t->state = SENT;
    t->sent++;
    t->seen = t->durable;
    t->commit_done = false;
    t->flush_done = true;
    hs_conn_send(t->writer, &t->commit);
    if (t->count)
        send_flush(t);
    hs_conn_flush(t->writer);
    hs_metric_add(t->batches, 1);
}

static void kick_now(hs_post *p)
{
    hs_ticket *t = p->ud;

    t->kick_waits = false;
    while (t->state == IDLE && t->first && !t->db->closing && hs_conn_ready(t->writer))
        send_batch(t);
}

/* At the end of the turn, so that whoever else has something to write now comes along. */
static void kick(hs_ticket *t)
{
    if (t->kick_waits || t->state != IDLE || !t->first || t->closing)
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
        end_status(t, w, HS_WRITE_OK);
    }
}

void hs_write_told(hs_told_batch *told)
{
    batch *b = (batch *)(void *)told;
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
    batch *b = t->done;
    int64_t last = t->first_pos + t->count - 1;

    if (last > t->durable)
        t->durable = last;
    for (size_t i = 0; i < t->units_n; i++)
        t->told[i].first = t->first_pos + t->told[i].base;
    *b = (batch){ .told = { t->first_pos, last, t->msg, t->told, t->units_n }, .ticket = t, .a = t->a, .units = units };
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
    t->state = IDLE;
    t->units = NULL;
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

static bool worth_again(const char *sqlstate)
{
    /* serialisation, deadlock, lock timeout, statement timeout or cancel, shutting down, resources */
    return strncmp(sqlstate, "40", 2) == 0 || strcmp(sqlstate, "55P03") == 0 || strcmp(sqlstate, "57014") == 0 ||
           strncmp(sqlstate, "53", 2) == 0;
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
    bool again = worth_again(sqlstate);
    hs_write *bad = NULL;

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
        bad->error = hs_group_error(bad->a, &t->commit);
    hs_group_clear(&t->commit);
    give_back_without(t, bad);
    if (bad->error)
        end_error(t, bad, bad->error);
    else
        end_status(t, bad, refused);
}

static void judge(hs_ticket *t)
{
    if (!t->commit_done || !t->flush_done)
        return;
    if (t->commit.lost || (t->count && t->flush.lost && !t->commit.failed)) {
        hs_group_clear(&t->commit);
        t->state = UNKNOWN;
        return; /* goes on when the connection is back */
    }
    if (t->commit.failed || t->commit.aborted) {
        batch_failed(t);
    } else {
        if (t->commit_step != SIZE_MAX)
            t->first_pos = (int64_t)hs_get_be(PQgetvalue(t->commit.steps[t->commit_step].res, 0, 0), 8);
        hs_group_clear(&t->commit);
        if (t->count && t->flush.failed)
            t->state = FLUSHING; /* the tick tries again */
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
    if (t->state == SENT) {
        judge(t);
        return;
    }
    if (t->state == FLUSHING && !g->failed && !g->lost) {
        hs_group_clear(g);
        batch_ok(t);
        kick(t);
        return;
    }
    hs_group_clear(g);
    if (g->lost)
        t->state = UNKNOWN;
}

static void flush_again(hs_ticket *t)
{
    t->state = FLUSHING;
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
    if (bind_now(t->a, &LOOK, &t->look_params, t->seen, t->mark) != NULL)
        return;
    t->look_step = (hs_step){ .s = &LOOK, .params = &t->look_params };
    t->look = (hs_group){ .steps = &t->look_step, .n = 1, .done = on_look, .ud = t };
    hs_conn_send(t->writer, &t->look);
    hs_conn_flush(t->writer);
}

static void on_ready(hs_conn *c, void *ud)
{
    hs_ticket *t = ud;

    t->writer = c;
    if (t->state == UNKNOWN)
        look(t);
    else if (t->state == FLUSHING)
        flush_again(t);
    kick(t);
}

static void on_down(hs_conn *c, void *ud)
{
    hs_ticket *t = ud;

    (void)c;
    if (t->state == FLUSHING) /* the flush was lost, and with PostgreSQL perhaps the transaction */
        t->state = UNKNOWN;
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
        return hs_err(w->a, 503, HS_M_UNKNOWN, "The server is shutting down");
    if (w->chain && w->chain->broken) {
        ret->status = HS_WRITE_STALE;
        return NULL;
    }
    w->waiting = (hs_waiting){ .fiber = hs_fiber_self(w->db->loop) };
    w->since = hs_loop_now(w->db->loop);
    w->next = NULL;
    if (t->last)
        t->last->next = w;
    else
        t->first = w;
    t->last = w;
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

/* Units that wait for a connection longer than a request may. What is on the wire, or was, waits for the truth. */
void hs_ticket_tick(hs_db *db, int64_t now)
{
    hs_ticket *t = db->ticket;

    if (!t)
        return;
    hs_conn_tick(t->writer, now);
    if (hs_conn_ready(t->writer)) {
        if (t->state == UNKNOWN && !hs_conn_busy(t->writer))
            look(t);
        else if (t->state == FLUSHING && !hs_conn_busy(t->writer))
            flush_again(t);
        kick(t);
        return;
    }
    while (t->first && t->first->since < now - db->away_ms) {
        hs_write *w = t->first;
        t->first = w->next;
        if (!t->first)
            t->last = NULL;
        end_error(t, w, hs_err(w->a, 503, HS_M_UNKNOWN, "The database is not available at the moment"));
    }
    drop_broken(t);
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
        end_error(t, w, hs_err(w->a, 503, HS_M_UNKNOWN, "The server is shutting down"));
    }
    t->first = t->last = NULL;
    while (t->untold)
        hs_write_told(&t->untold->told);
    hs_arena_close(t->a);
    free(t);
    db->ticket = NULL;
}
