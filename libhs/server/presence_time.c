/* What time does to presence: devices that are not seen any more, users who do nothing; and telling those who wait.
 * Changes are gathered for a moment, so that a user who flickers, or a thousand who come at once, cost one round. */
#include "server/peers.h"
#include "server/presence_state.h"
#include "server/typing_state.h"
#include "store/members.h"

enum {
    SWEEP_MS = 5000,
    GATHER_MS = 100,
    WAITING_MS = 20000, /* after which a device that waits for news is told of again */
    GRACE_MS = 10000,   /* that others wait for the owner of an entry to end it */
    BATCH = 128,
    ARENA = 32 << 20,
};

/* ── telling ── */

static hs_error *tell_one(struct hs_presence *p, hs_arena *a, hs_nid user)
{
    hs_nids others;

    HS_TRY(hs_store_local_neighbours(p->srv->db, a, user, &others));
    for (size_t i = 0; i < others.n; i++)
        hs_waiters_tell_presence(p->srv, others.at[i], user);
    hs_waiters_tell_presence(p->srv, user, user);
    return NULL;
}

static void tell(void *ud)
{
    struct hs_presence *p = ud;
    hs_arena *a = hs_arena_open(ARENA);

    while (a && p->changed && !p->closing) {
        hs_fiber_sleep(p->srv->loop, GATHER_MS);
        while (p->changed && !p->closing) {
            hs_presence_user *u = p->changed;

            p->changed = u->next_changed;
            u->changed = false;
            u->telling = true;
            hs_arena_reset(a);
            hs_error *e = hs_waiters_count(p->srv) ? tell_one(p, a, u->user) : NULL;
            u->telling = false;
            if (e)
                hs_log_error(p->srv->log, HS_LOG_WARN, HS_S("-"), "presence.tell", e);
        }
    }
    hs_arena_close(a);
    p->telling = false;
}

void hs_presence_tell_later(struct hs_presence *p, hs_presence_user *u)
{
    if (u->changed)
        return;
    u->changed = true;
    u->next_changed = p->changed;
    p->changed = u;
    if (p->telling || p->closing)
        return;
    p->telling = true; /* before it begins: it may end at once */
    if (hs_fiber_spawn(p->srv->loop, tell, p))
        p->telling = false;
}

/* ── what is kept ── */

static hs_error *save_some(struct hs_presence *p, hs_arena *a, bool *ret_more)
{
    hs_presence_row rows[BATCH];
    size_t n = 0;

    for (hs_presence_user *u = p->newest; u && n < BATCH; u = u->older) {
        if (!u->unsaved)
            continue;
        u->unsaved = false;
        rows[n] = (hs_presence_row){ .user = u->user, .active_ms = u->active_ms };
        if (u->status_n)
            HS_TRY(hs_str_dup(a, hs_presence_status_of(u), &rows[n].status));
        n++;
    }
    *ret_more = n == BATCH;
    return n ? hs_store_presence_put(p->srv->db, a, rows, n) : NULL;
}

static void save(void *ud)
{
    struct hs_presence *p = ud;
    hs_arena *a = hs_arena_open(ARENA);
    bool more = a;

    while (more && !p->closing) {
        hs_arena_reset(a);
        hs_error *e = save_some(p, a, &more);
        if (e) { /* a time and a text that come again with the next visit */
            hs_log_error(p->srv->log, HS_LOG_WARN, HS_S("-"), "presence.save", e);
            break;
        }
    }
    hs_arena_close(a);
    p->saving = false;
}

/* ── time ── */

static int64_t seen_ms(const hs_presence_dev *d)
{
    return d->active_ms > d->sync_ms ? d->active_ms : d->sync_ms;
}

/* What is to be said of a device now; false: nothing. */
static bool due(struct hs_presence *p, const hs_presence_user *u, const hs_presence_dev *d, int64_t now,
                hs_presence_msg *ret)
{
    const hs_config *c = p->srv->config;
    bool own = d->owner == hs_peers_boot(p->srv);
    int64_t grace = own ? 0 : GRACE_MS;
    int64_t online = d->state == HS_PRESENCE_BUSY ? HS_PRESENCE_BUSY_MS : c->presence_online_ms;

    *ret = (hs_presence_msg){
        .user = u->user, .device = d->id, .state = d->state, .active_ms = d->active_ms, .sync_ms = d->sync_ms
    };
    if (now - seen_ms(d) > (online < WAITING_MS ? online : WAITING_MS) && hs_waits_here(p->srv, u->user, d->id)) {
        ret->sync_ms = now;
        return true;
    }
    if (now - seen_ms(d) > online + grace) {
        ret->state = HS_PRESENCE_OFFLINE;
        return true;
    }
    if (d->state == HS_PRESENCE_ONLINE && now - d->active_ms > c->presence_idle_ms + grace) {
        ret->state = HS_PRESENCE_UNAVAILABLE;
        return true;
    }
    return false;
}

static void on_sweep(hs_timer *t)
{
    struct hs_presence *p = t->ud;
    int64_t now = hs_loop_wall(p->srv->loop);
    hs_presence_msg say[BATCH];
    size_t n = 0;
    bool unsaved = false;

    (void)!hs_timer_arm(p->srv->loop, t, SWEEP_MS);
    /* What is said is applied when it has gone round, so the list does not change under the walk. */
    for (const hs_presence_user *u = p->newest; u && n < BATCH; u = u->older) {
        unsaved |= u->unsaved;
        for (size_t i = 0; i < u->devices_n && n < BATCH; i++)
            n += due(p, u, &u->devices[i], now, &say[n]);
    }
    if (n)
        hs_typing_publish(p->srv->ephemeral, &(hs_ephemeral_msg){ .presence = say, .presence_n = n });
    if (n == BATCH) { /* more to do */
        hs_timer_disarm(p->srv->loop, t);
        (void)!hs_timer_arm(p->srv->loop, t, GATHER_MS);
    }
    if (!unsaved || p->saving)
        return;
    p->saving = true;
    if (hs_fiber_spawn(p->srv->loop, save, p))
        p->saving = false;
}

hs_error *hs_presence_time_open(struct hs_presence *p)
{
    p->sweep = (hs_timer){ .fn = on_sweep, .ud = p };
    return hs_presence_on(p->srv) ? hs_timer_arm(p->srv->loop, &p->sweep, SWEEP_MS) : NULL;
}

void hs_presence_time_close(struct hs_presence *p)
{
    p->closing = true;
    hs_timer_disarm(p->srv->loop, &p->sweep);
    while (p->telling || p->saving) {
        if (hs_fiber_self(p->srv->loop))
            hs_fiber_sleep(p->srv->loop, 1);
        else
            hs_loop_turn(p->srv->loop, 1);
    }
}
