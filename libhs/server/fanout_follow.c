/* Following the other workers: their transactions and ours are told in one order of position.
 *
 * Each worker publishes its durable transactions on the bus. What arrives waits in a queue; the follower, a fiber,
 * takes the transaction that continues our position, reads it and tells it. A batch of ours that continues it is told
 * at once. Is the next one missing for HOLE_MS, the rows of the table `feed` after our position are read, which are the
 * same messages: a message was lost, or the numbers belong to nobody (a transaction that failed took them). The table
 * is read every AUDIT_MS anyway, and every POLL_MS while the bus is down: losing it costs time, nothing else. */
#include "server/fanout.h"

#include "base/checked.h"
#include "bus/feed.h"
#include "server/cache.h"
#include "server/news_decode.h"

#include <stdlib.h>

enum {
    HOLE_MS = 2,
    POLL_MS = 100,
    AUDIT_MS = 5000,
    ROWS = 500,             /* of the table at a time */
    QUEUE_BYTES = 64 << 20, /* of messages that wait; what is over is read from the table later */
    BACKOFF_MS = 200,       /* after an error of the database */
    PATIENCE_MS = 10000,    /* of a request that waits for a position */
    LATE_MS = 3,            /* the bus is given this long before the table is asked */
    BREATH = 64,            /* transactions told in one go */
    ARENA_CAP = 256 << 20,
};

/* ── the queue ── */

static void wake_follower(struct hs_feed *f)
{
    if (f->fiber && f->asleep)
        hs_fiber_wake(f->fiber);
}

static void drop_item(struct hs_feed *f, hs_feed_item *i)
{
    if (i->bytes)
        f->bytes -= i->bytes->n;
    hs_blob_unref(i->bytes);
    free(i);
}

static hs_feed_item *take_first(struct hs_feed *f)
{
    hs_feed_item *i = f->first;

    f->first = i->next;
    return i;
}

/* In order of position, nearly always at the end. A message that is there already is dropped. */
static void put_item(struct hs_feed *f, hs_feed_item *i)
{
    hs_feed_item **at = &f->first;

    if (i->bytes)
        f->bytes += i->bytes->n;
    while (*at && (*at)->pos < i->pos)
        at = &(*at)->next;
    if (*at && (*at)->pos == i->pos && !i->own) {
        drop_item(f, i);
        return;
    }
    i->next = *at;
    *at = i;
    wake_follower(f);
}

static void hear(void *ud, hs_str message)
{
    struct hs_feed *f = ud;
    int64_t from, pos;
    hs_str worker;
    hs_feed_item *i;

    if (!hs_feed_peek(message, &from, &pos, &worker)) {
        hs_log(f->srv->log, HS_LOG_WARN, "feed.unreadable", "a message of %zu bytes on the bus was left alone",
               message.n);
        return;
    }
    if (hs_str_eq(worker, f->self) || pos <= f->position)
        return;
    hs_write_note_durable(f->srv->db, pos); /* published after its flush */
    if (f->bytes > QUEUE_BYTES) {
        f->look = true;
        return;
    }
    i = calloc(1, sizeof *i);
    if (!i || !(i->bytes = hs_blob_new(message))) {
        free(i);
        f->look = true;
        return;
    }
    i->pos_from = from;
    i->pos = pos;
    put_item(f, i);
}

/* ── telling ── */

static void tell_own(struct hs_feed *f, hs_told_batch *batch)
{
    if (batch->pos > f->position) /* else it was read from the table already */
        hs_fanout_tell(f, batch->pos, batch->units, batch->n);
    hs_write_told(batch);
}

/* An error lives until the next message is read. */
static hs_error *tell_bytes(struct hs_feed *f, int64_t pos_from, int64_t pos, hs_str bytes)
{
    hs_news news;

    hs_arena_reset(f->scratch);
    HS_TRY(hs_news_decode(f->srv, f->scratch, bytes, &news));
    hs_fanout_tell(f, pos, &(hs_told){ .news = &news, .first = pos_from }, 1);
    hs_metric_add(f->applied, 1);
    return NULL;
}

/* Takes the item. A message that cannot be read now (the database is away) is read from the table later. */
static hs_error *tell_item(struct hs_feed *f, hs_feed_item *i)
{
    hs_error *e = NULL;

    if (i->own)
        tell_own(f, i->own);
    else if (i->pos > f->position)
        e = tell_bytes(f, i->pos_from, i->pos, hs_blob_str(i->bytes));
    drop_item(f, i);
    return e;
}

/* ── the table ── */

/* What the queue has too is taken from there: it has the events' bytes. */
static hs_error *tell_row(struct hs_feed *f, const hs_feed_row *row)
{
    while (f->first && f->first->pos < row->pos)
        HS_TRY(tell_item(f, take_first(f)));
    if (f->first && f->first->pos == row->pos)
        return tell_item(f, take_first(f));
    if (row->pos <= f->position)
        return NULL;
    return tell_bytes(f, row->pos_from, row->pos, row->msg);
}

static hs_error *read_table(struct hs_feed *f, hs_arena *a)
{
    hs_feed_row *rows;
    size_t n;

    do {
        HS_TRY(hs_store_feed_after(f->srv->db, a, f->position, ROWS, &rows, &n));
        f->looked_ms = hs_loop_now(f->srv->loop);
        if (n && rows[n - 1].pos > hs_write_durable(f->srv->db))
            HS_TRY(hs_write_flush(f->srv->db, a)); /* nothing is told before it is durable */
        for (size_t i = 0; i < n && !f->closing; i++)
            HS_TRY(tell_row(f, &rows[i]));
    } while (n == ROWS && !f->closing);
    return NULL;
}

/* False: the database did not answer, and is to be asked again. */
static bool look(struct hs_feed *f)
{
    int64_t before = f->position, first = f->first ? f->first->pos : INT64_MAX;
    hs_arena *a = hs_arena_open(ARENA_CAP);
    hs_error *e;

    f->look = false; /* who asks for it while we read is to be heard */
    e = a ? read_table(f, a) : HS_ERR_NOMEM;
    if (e) {
        hs_log_error(f->srv->log, HS_LOG_WARN, HS_S("-"), "feed.read", e);
        f->look = true;
    } else if (f->position > before && f->position < first) {
        hs_metric_add(f->holes, 1);
    }
    hs_arena_close(a);
    return !e;
}

/* ── the follower ── */

static void woken_by_timer(hs_timer *t)
{
    struct hs_feed *f = t->ud;

    wake_follower(f);
}

static void nap(struct hs_feed *f, int64_t ms)
{
    f->asleep = true;
    if (!hs_timer_arm(f->srv->loop, &f->timer, ms))
        hs_fiber_suspend(f->srv->loop);
    else
        hs_fiber_sleep(f->srv->loop, 1); /* no memory for a timer */
    f->asleep = false;
    hs_timer_disarm(f->srv->loop, &f->timer);
}

/* ms until the table has to be read anyhow. */
static int64_t until_look(const struct hs_feed *f)
{
    int64_t every = hs_bus_healthy(f->srv->bus) ? AUDIT_MS : POLL_MS;
    int64_t left = f->looked_ms + every - hs_loop_now(f->srv->loop);

    return left > 0 ? left : 0;
}

/* What is next: 0 to go on at once, else how long to sleep. */
static int64_t step(struct hs_feed *f)
{
    hs_feed_item *first = f->first;
    int64_t now = hs_loop_now(f->srv->loop), left;
    bool hole = first && first->pos > f->position && first->pos_from > f->position + 1;

    if (first && !hole && !f->look) {
        f->hole_since = 0;
        if (tell_item(f, take_first(f)))
            f->look = true;
        return 0;
    }
    if (hole && !f->hole_since)
        f->hole_since = now;
    left = until_look(f);
    if (hole && f->hole_since + HOLE_MS - now < left)
        left = f->hole_since + HOLE_MS - now;
    if (!f->look && left > 0)
        return left;
    if (now < f->not_before)
        return f->not_before - now;
    if (!look(f)) {
        f->not_before = hs_loop_now(f->srv->loop) + BACKOFF_MS;
        hs_fiber_wake_all(&f->moved);
        return BACKOFF_MS;
    }
    f->hole_since = 0; /* the item itself was in the table, with all that is below it */
    hs_fiber_wake_all(&f->moved);
    return 0;
}

static void follow(void *ud)
{
    struct hs_feed *f = ud;

    f->fiber = hs_fiber_self(f->srv->loop);
    for (unsigned steps = 1; !f->closing; steps++) {
        f->busy = true;
        int64_t ms = step(f);
        f->busy = false;
        if (!f->closing &&
            (ms > 0 || steps % BREATH == 0)) /* while there is much to catch up with, requests have turns */
            nap(f, ms);
    }
    f->fiber = NULL;
    f->running = false;
}

static void on_health(hs_bus_watch *w, bool healthy)
{
    struct hs_feed *f = w->ud;

    if (healthy)
        hs_log(f->srv->log, HS_LOG_INFO, "feed.bus", "news come over the bus");
    else if (f->on_bus) /* not at the start, when it has not been there yet */
        hs_log(f->srv->log, HS_LOG_WARN, "feed.bus", "the bus is away: news are read from the database every %d ms",
               POLL_MS);
    f->on_bus = healthy;
    f->look = true;
    wake_follower(f);
}

/* ── what we wrote ── */

static void publish(struct hs_feed *f, const hs_told_batch *b)
{
    hs_feed_body *bodies;
    hs_arena *a;
    hs_str message;
    size_t most = 0, n = 0;
    hs_error *e;

    a = hs_arena_open(ARENA_CAP);
    if (!a)
        return; /* it is in the table */
    for (size_t i = 0; i < b->n; i++)
        most += b->units[i].news ? ((const hs_news *)b->units[i].news)->events_n : 0;
    e = hs_alloc(a, most, &bodies);
    for (size_t i = 0; !e && i < b->n; i++) {
        const hs_news *news = b->units[i].news;
        for (size_t k = 0; news && k < news->events_n; k++)
            if (news->events[k].event)
                bodies[n++] = (hs_feed_body){ .at = b->units[i].base + news->events[k].at,
                                              .json = news->events[k].event->ev->json };
    }
    if (!e)
        e = hs_feed_address(a, b->pos_from, b->pos, f->self, b->msg, bodies, n, &message);
    if (!e)
        hs_bus_publish(f->srv->bus, HS_S(HS_BUS_FEED), message);
    else
        hs_log_error(f->srv->log, HS_LOG_WARN, HS_S("-"), "feed.publish", e);
    hs_arena_close(a);
}

bool hs_follow_own(struct hs_feed *f, hs_told_batch *b)
{
    hs_feed_item *i;

    publish(f, b);
    if (b->pos <= f->position)
        return true; /* read from the table meanwhile */
    if (f->closing || (!f->busy && !f->first && b->pos_from == f->position + 1) || !(i = calloc(1, sizeof *i))) {
        hs_fanout_tell(f, b->pos, b->units, b->n);
        return true;
    }
    i->pos_from = b->pos_from;
    i->pos = b->pos;
    i->own = b;
    put_item(f, i);
    return false;
}

/* ── waiting ── */

static hs_error *reach(struct hs_feed *f, hs_arena *a, int64_t pos)
{
    int64_t start = hs_loop_now(f->srv->loop);

    if (f->position < pos) /* it is probably on its way */
        for (int i = 0; i < LATE_MS && f->position < pos; i++)
            hs_fiber_sleep(f->srv->loop, 1);
    while (f->position < pos) {
        if (f->closing || hs_loop_now(f->srv->loop) - start > PATIENCE_MS)
            return hs_err(a, 503, HS_M_UNKNOWN, "The database is not available at the moment");
        f->look = true;
        wake_follower(f);
        hs_fiber_wait(f->srv->loop, &f->moved);
    }
    return NULL;
}

hs_error *hs_fanout_fresh(hs_server *srv, hs_arena *a)
{
    struct hs_feed *f = srv->feed;
    uint64_t mine = f->asked + 1; /* a question that was put before now does not count */
    hs_error *e;

    if (!srv->shared)
        return NULL;
    while (f->answered < mine) {
        if (f->asking) {
            hs_fiber_wait(srv->loop, &f->questions);
            continue;
        }
        f->asking = true;
        f->asked++;
        e = hs_store_feed_newest(srv->db, a, &f->newest);
        f->asking = false;
        if (!e)
            f->answered = f->asked;
        hs_fiber_wake_all(&f->questions);
        if (e)
            return e;
    }
    return reach(f, a, f->newest);
}

hs_error *hs_fanout_settle(hs_server *srv, hs_arena *a)
{
    uint64_t sent = hs_write_sent(srv->db);

    if (srv->shared)
        return hs_fanout_fresh(srv, a);
    while (hs_write_ended(srv->db) < sent)
        hs_fiber_sleep(srv->loop, 1);
    return NULL;
}

/* ── life ── */

hs_error *hs_follow_open(struct hs_feed *f)
{
    hs_server *srv = f->srv;

    HS_TRY(hs_str_fmt(srv->arena, &f->self, "%.*s#%016llx", HS_FMT(srv->worker_name),
                      (unsigned long long)hs_random_u64()));
    f->scratch = hs_arena_open(ARENA_CAP);
    if (!f->scratch)
        return HS_ERR_NOMEM;
    f->timer = (hs_timer){ .fn = woken_by_timer, .ud = f };
    f->watch = (hs_bus_watch){ .fn = on_health, .ud = f };
    f->look = true; /* what was written since the position was read */
    f->holes = hs_metric_get(srv->metrics, HS_COUNTER, "hs_feed_holes_total",
                             "Times that news which the bus did not bring were read from the database", NULL);
    f->applied = hs_metric_get(srv->metrics, HS_COUNTER, "hs_feed_applied_total",
                               "Transactions of other workers that were told here", NULL);
    f->subscription = hs_bus_subscribe(srv->bus, HS_S(HS_BUS_FEED), hear, f);
    if (!f->subscription)
        return HS_ERR_NOMEM;
    hs_bus_watch_start(srv->bus, &f->watch);
    HS_TRY(hs_fiber_spawn(srv->loop, follow, f));
    f->running = true;
    return NULL;
}

void hs_follow_close(struct hs_feed *f)
{
    f->closing = true;
    while (f->running) {
        wake_follower(f);
        if (hs_fiber_self(f->srv->loop))
            hs_fiber_sleep(f->srv->loop, 1);
        else
            hs_loop_turn(f->srv->loop, 1);
    }
    hs_bus_unsubscribe(f->subscription);
    f->subscription = NULL;
    hs_bus_watch_stop(f->srv->bus, &f->watch);
    while (f->first) {
        hs_feed_item *i = take_first(f);
        if (i->own)
            tell_own(f, i->own);
        drop_item(f, i);
    }
    hs_fiber_wake_all(&f->moved);
    hs_fiber_wake_all(&f->questions);
    hs_arena_close(f->scratch);
    f->scratch = NULL;
}
