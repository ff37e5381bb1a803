/* Typing, the same in all workers.
 *
 * Redis brings all messages of a channel to all subscribers in one order. So a worker does not change its state when it
 * is asked to, but publishes what it was asked and changes when that comes back, as all others do: states are equal
 * wherever the same number of messages has been applied. Each message moves the clock, which is max(clock + 1, the
 * sender's clock + 1, ms since 1970 at the sender), and so equal in all workers too; a room's number is the clock of
 * its newest change, and a sync token says up to which clock its client has been told. A token can then go to any
 * worker: one that is behind tells nothing twice, one that is ahead leaves nothing out, and no two of them go on
 * disagreeing.
 *
 * A worker that starts, or was cut off, has missed some. It asks; the others repeat what is theirs; and for a moment it
 * tells clients nothing of typing and hands their tokens on as they came. Messages are repeated every 20 s too, and the
 * entries of a worker that is not heard any more end. */
#include "server/typing_state.h"

#include "base/checked.h"
#include "base/vec.h"
#include "server/presence.h"
#include "server/sync_wait.h"

enum {
    REPEAT_MS = 20000,
    AGAIN_MS = 2000,    /* to our next question, while nobody has come back on the last one */
    STEP_MS = 500,      /* from our question to when all answers must be there */
    ECHO_MS = 1000,     /* that a request waits for its own message */
    RECENT_MS = 600000, /* changes that are repeated to who asks */
    MESSAGE_MAX = 4 << 20,
};

struct hs_typing_echo {
    hs_typing_echo *next;
    hs_fiber *fiber;
    hs_timer timer;
    uint64_t serial;
    bool over;
};

/* ── our own message comes back ── */

static void echo_came(struct hs_ephemeral *e, uint64_t serial)
{
    if (serial > e->echoed)
        e->echoed = serial;
    for (hs_typing_echo *w = e->echoes; w; w = w->next)
        if (w->serial <= e->echoed)
            hs_fiber_wake(w->fiber);
}

static void echo_late(hs_timer *t)
{
    hs_typing_echo *w = t->ud;

    w->over = true;
    hs_fiber_wake(w->fiber);
}

static bool await_echo(struct hs_ephemeral *e, uint64_t serial)
{
    hs_loop *loop = e->srv->loop;
    hs_typing_echo w = { .next = e->echoes, .fiber = hs_fiber_self(loop), .serial = serial }, **at = &e->echoes;

    w.timer = (hs_timer){ .fn = echo_late, .ud = &w };
    if (e->echoed >= serial || hs_timer_arm(loop, &w.timer, ECHO_MS))
        return e->echoed >= serial;
    e->echoes = &w;
    while (e->echoed < serial && !w.over)
        hs_fiber_suspend(loop);
    hs_timer_disarm(loop, &w.timer);
    while (*at != &w)
        at = &(*at)->next;
    *at = w.next;
    return e->echoed >= serial;
}

/* ── sending ── */

static bool shared(const struct hs_ephemeral *e)
{
    return e->sub && hs_bus_healthy(e->srv->bus);
}

static void sign(struct hs_ephemeral *e, hs_ephemeral_msg *m)
{
    uint64_t wall = (uint64_t)hs_loop_wall(e->srv->loop), next = e->clock + 1;

    m->worker = e->srv->worker_name;
    m->boot = e->boot;
    m->serial = ++e->sent;
    m->clock = (int64_t)(wall > next ? wall : next);
}

void hs_typing_publish(struct hs_ephemeral *e, hs_ephemeral_msg *m)
{
    hs_arena *a;
    hs_str bytes;

    sign(e, m);
    if (!shared(e)) {
        hs_typing_apply(e, m);
        echo_came(e, m->serial);
        return;
    }
    a = hs_arena_open(MESSAGE_MAX);
    if (a && !hs_ephemeral_encode(a, m, &bytes))
        hs_bus_publish(e->srv->bus, HS_S(HS_BUS_EPHEMERAL), bytes);
    hs_arena_close(a);
}

void hs_typing_publish_and_wait(struct hs_ephemeral *e, hs_ephemeral_msg *m)
{
    hs_typing_publish(e, m);
    if (!await_echo(e, m->serial)) /* the bus is going away: here at least it is true */
        hs_typing_apply(e, m);
}

static hs_error *own_of(struct hs_ephemeral *e, hs_arena *a, const hs_typing_room *t, hs_typing_msg *ret)
{
    int64_t now = hs_loop_now(e->srv->loop);

    *ret = (hs_typing_msg){ .room = t->room };
    HS_TRY(hs_alloc(a, t->n, &ret->users));
    for (size_t i = 0; i < t->n; i++) {
        const hs_typist *p = &t->at[i];

        if (p->on && p->owner == e->boot && p->until > now)
            ret->users[ret->n++] = (hs_typist_msg){ hs_str_make(p->user_id, p->user_id_n), (uint32_t)(p->until - now) };
    }
    return NULL;
}

/* All that is ours; `changes`: also the rooms where something has ended of late. */
static hs_error *collect(struct hs_ephemeral *e, hs_arena *a, bool changes, hs_ephemeral_msg *m)
{
    int64_t since = hs_loop_now(e->srv->loop) - RECENT_MS;
    HS_VEC(hs_typing_msg) rooms = { 0 };

    for (const hs_typing_room *t = e->newest; t && t->touched >= since; t = t->older) {
        hs_typing_msg r;

        HS_TRY(own_of(e, a, t, &r));
        if (r.n || (changes && t->changer == e->boot))
            HS_TRY(hs_vec_push(a, &rooms, r));
    }
    m->typing = rooms.at;
    m->typing_n = rooms.n;
    if (changes)
        HS_TRY(hs_presence_own(e->srv, a, &m->presence, &m->presence_n));
    return NULL;
}

static void repeat(struct hs_ephemeral *e, bool changes)
{
    hs_ephemeral_msg m = { .whole = true, .seen = e->echoed };
    hs_arena *a = hs_arena_open(MESSAGE_MAX);

    if (a && !collect(e, a, changes, &m))
        hs_typing_publish(e, &m);
    hs_arena_close(a);
}

static void ask(struct hs_ephemeral *e)
{
    hs_typing_publish(e, &(hs_ephemeral_msg){ .ask = true });
}

static void on_repeat(hs_timer *t)
{
    struct hs_ephemeral *e = t->ud;

    (void)!hs_timer_arm(e->srv->loop, t, e->in_step || !e->sub ? REPEAT_MS : AGAIN_MS);
    hs_typing_sweep(e);
    if (!shared(e))
        return;
    if (e->in_step || e->step.heap_at)
        repeat(e, false); /* also when there is nothing: it carries the clock */
    else
        ask(e);
}

/* ── in step with the others ── */

static void begin_anew(struct hs_ephemeral *e)
{
    if (hs_timer_arm(e->srv->loop, &e->step, STEP_MS))
        return;
    hs_typing_drop_others(e);
    repeat(e, true);
}

static void on_step(hs_timer *t)
{
    struct hs_ephemeral *e = t->ud;
    int64_t since = hs_loop_now(e->srv->loop) - RECENT_MS;

    e->in_step = true;
    for (const hs_typing_room *r = e->newest; r && r->touched >= since; r = r->older)
        hs_waiters_wake_room(e->srv, r->room);
}

static void hear(void *ud, hs_str bytes)
{
    struct hs_ephemeral *e = ud;
    hs_ephemeral_msg m;

    hs_arena_reset(e->a);
    hs_error *error = hs_ephemeral_decode(e->a, bytes, &m);
    if (error) {
        hs_log_error(e->srv->log, HS_LOG_WARN, HS_S(""), "typing.message", error);
        return;
    }
    hs_typing_apply(e, &m);
    if (m.ask && m.boot == e->boot)
        begin_anew(e);
    else if (m.ask)
        repeat(e, true);
    if (m.boot == e->boot)
        echo_came(e, m.serial);
}

static void on_health(hs_bus_watch *w, bool healthy)
{
    struct hs_ephemeral *e = w->ud;

    e->in_step = false;
    hs_timer_disarm(e->srv->loop, &e->step);
    if (healthy)
        ask(e);
}

hs_error *hs_typing_share_open(struct hs_ephemeral *e)
{
    hs_server *srv = e->srv;

    e->repeat = (hs_timer){ .fn = on_repeat, .ud = e };
    e->step = (hs_timer){ .fn = on_step, .ud = e };
    e->watch = (hs_bus_watch){ .fn = on_health, .ud = e };
    HS_TRY(hs_timer_arm(srv->loop, &e->repeat, AGAIN_MS));
    if (!srv->shared || !srv->bus) {
        e->in_step = true;
        return NULL;
    }
    e->a = hs_arena_open(2 * MESSAGE_MAX);
    e->sub = e->a ? hs_bus_subscribe(srv->bus, HS_S(HS_BUS_EPHEMERAL), hear, e) : NULL;
    if (!e->sub)
        return HS_ERR_NOMEM;
    hs_bus_watch_start(srv->bus, &e->watch);
    if (hs_bus_healthy(srv->bus))
        ask(e);
    return NULL;
}

void hs_typing_share_close(struct hs_ephemeral *e)
{
    if (e->sub)
        hs_bus_watch_stop(e->srv->bus, &e->watch);
    hs_bus_unsubscribe(e->sub);
    hs_timer_disarm(e->srv->loop, &e->repeat);
    hs_timer_disarm(e->srv->loop, &e->step);
    hs_arena_close(e->a);
}
