/* Units that wait: bounded by number, by bytes and by time, so that a database that is slow or gone costs those who ask
 * an error and never the process its memory. */
#include "store/ticket.h"

enum {
    BATCH_UNITS = 128,
    BATCH_BYTES = 1 << 20,
    QUEUE_UNITS = 4096,
    QUEUE_BYTES = 64 << 20,
    /* times hs_db.away_ms, 5 s */
    QUEUE_WAIT = 2, /* in the queue, while batches are written; 1 while none is */
    PATIENCE = 3,   /* since the unit was given to us */
};

/* ── ends of a unit ── */

static void resume(hs_ticket *t, hs_write *w, const char *outcome)
{
    if (w->kept) { /* nobody waits any more */
        hs_metric_add(t->outcomes, 1, outcome);
        hs_kept_drop(w->kept);
        return;
    }
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

void hs_unit_end(hs_ticket *t, hs_write *w, hs_write_status status)
{
    w->result.status = status;
    if (status == HS_WRITE_OK)
        hs_meter_unit(t->db, w->since, w->items.n);
    resume(t, w, OUTCOMES[status]);
}

void hs_unit_fail(hs_ticket *t, hs_write *w, hs_error *e)
{
    w->error = e ? e : HS_ERR_NOMEM;
    resume(t, w, "error");
}

/* ── the queue ── */

/* How long nothing has been written although there was something to write, or no connection. */
static int64_t stuck_ms(const hs_ticket *t, int64_t now)
{
    return t->stuck_since ? now - t->stuck_since : 0;
}

hs_error *hs_ticket_queue(hs_ticket *t, hs_write *w)
{
    int64_t now = hs_loop_now(t->db->loop);
    bool full = t->queued_n >= QUEUE_UNITS || t->queued_bytes + w->bytes > QUEUE_BYTES;

    if (full || stuck_ms(t, now) > t->db->away_ms) {
        if (w->chain) /* what follows it must not be written either */
            w->chain->broken = true;
        return hs_db_refuse(t->db, w->a, full ? HS_REFUSED_QUEUE : HS_REFUSED_AWAY);
    }
    w->since = now;
    w->next = NULL;
    if (t->last)
        t->last->next = w;
    else
        t->first = w;
    t->last = w;
    t->queued_n++;
    t->queued_bytes += w->bytes;
    return NULL;
}

void hs_ticket_recount(hs_ticket *t)
{
    t->queued_n = t->queued_bytes = 0;
    for (const hs_write *w = t->first; w; w = w->next) {
        t->queued_n++;
        t->queued_bytes += w->bytes;
    }
}

static hs_write *pop(hs_ticket *t)
{
    hs_write *w = t->first;

    t->first = w->next;
    if (!t->first)
        t->last = NULL;
    w->next = NULL;
    t->queued_n--;
    t->queued_bytes -= w->bytes;
    return w;
}

/* A unit whose caller has left is not tried again: the caller was told that nobody knows. */
void hs_ticket_drop_broken(hs_ticket *t)
{
    hs_write *w = t->first, *next;

    t->first = t->last = NULL;
    for (; w; w = next) {
        next = w->next;
        w->next = NULL;
        if (w->kept || (w->chain && w->chain->broken)) {
            hs_unit_end(t, w, HS_WRITE_STALE);
            continue;
        }
        if (t->last)
            t->last->next = w;
        else
            t->first = w;
        t->last = w;
    }
    hs_ticket_recount(t);
}

void hs_ticket_take(hs_ticket *t)
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
        (void)pop(t);
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

/* ── what takes too long ── */

/* The caller goes with an error that says so; what the unit is made of stays until the outcome is known, for then it
 * may have to be told. */
static void let_go(hs_ticket *t, hs_write *w, int64_t now)
{
    for (; w; w = w->next) {
        if (w->kept || now - w->since < PATIENCE * t->db->away_ms)
            continue;
        w->kept = hs_arena_keep(w->a);
        if (!w->kept)
            continue; /* it waits on */
        if (w->chain) /* the caller's own */
            w->chain->broken = true;
        w->chain = NULL;
        w->error = hs_db_refuse(t->db, w->a, HS_REFUSED_LATE);
        w->a = NULL; /* the caller's, for whatever it does next */
        hs_waiting_done(&w->waiting);
    }
}

void hs_ticket_expire(hs_ticket *t, int64_t now)
{
    int64_t most = stuck_ms(t, now) > t->db->away_ms ? t->db->away_ms : QUEUE_WAIT * t->db->away_ms;

    while (t->first && now - t->first->since > most) {
        hs_write *w = pop(t);

        if (w->kept)
            hs_unit_end(t, w, HS_WRITE_STALE);
        else
            hs_unit_fail(t, w, hs_db_refuse(t->db, w->a, HS_REFUSED_AWAY));
    }
    hs_ticket_drop_broken(t);
    if (t->state != HS_TICKET_IDLE)
        let_go(t, t->units, now);
    for (hs_batch *b = t->untold; b; b = b->next)
        let_go(t, b->units, now);
}
