/* See sync_wait.h. */
#include "server/sync_wait.h"

#include "server/presence.h"
#include "server/sync_recent.h"

#include <stdlib.h>

hs_error *hs_wait_start(hs_server *srv, hs_waiter *w, hs_nid user, int64_t timeout_ms)
{
    hs_sync_user *u = hs_sync_user_entry(srv, user);

    if (!u)
        return HS_ERR_NOMEM;
    w->srv = srv;
    w->user = user;
    w->timer.fn = hs_wait_expired;
    w->timer.ud = w;
    HS_TRY(hs_timer_arm(srv->loop, &w->timer, timeout_ms));
    w->prevp = &u->waiters;
    w->next = u->waiters;
    if (w->next)
        w->next->prevp = &w->next;
    u->waiters = w;
    srv->waiters->count++;
    return NULL;
}

void hs_wait_stop(hs_waiter *w)
{
    hs_timer_disarm(w->srv->loop, &w->timer);
    if (!w->prevp)
        return;
    *w->prevp = w->next;
    if (w->next)
        w->next->prevp = w->prevp;
    w->prevp = NULL;
    w->next = NULL;
    w->srv->waiters->count--;
}

static void wake(hs_waiter *w)
{
    if (w->woken)
        return;
    w->woken = true;
    hs_timer_disarm(w->srv->loop, &w->timer);
    w->fn(w);
}

void hs_wait_expired(hs_timer *t)
{
    hs_waiter *w = t->ud;

    w->timed_out = true;
    wake(w);
}

/* room 0: the user's own news. fn may take the waiter off the list. */
static void tell(hs_sync_user *u, hs_nid room)
{
    for (hs_waiter *w = u->waiters, *next; w; w = next) {
        bool known = false;

        next = w->next;
        if (!room)
            w->all = true;
        for (unsigned i = 0; i < w->rooms_n; i++)
            known |= w->rooms[i] == room;
        if (room && !known) {
            if (w->rooms_n < HS_WAITER_ROOMS)
                w->rooms[w->rooms_n++] = room;
            else
                w->all = true;
        }
        wake(w);
    }
}

/* A message for a device: the answer finds it without being told. */
static void tell_device(hs_server *srv, const hs_news_to_device *n)
{
    hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)n->user);

    for (hs_waiter *w = u ? u->waiters : NULL, *next; w; w = next) {
        next = w->next;
        if (hs_str_eq(w->device_id, n->device_id))
            wake(w);
    }
}

void hs_waiters_wake_user(hs_server *srv, hs_nid user)
{
    hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)user);

    if (u)
        tell(u, 0);
}

void hs_waiters_wake_room(hs_server *srv, hs_nid room)
{
    hs_room *r = hs_room_cached(srv, room);
    size_t it = 0;
    hs_str key;
    void *v;

    if (r) {
        for (size_t i = 0; i < r->local_members_n; i++) {
            hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)r->local_members[i]);

            if (u && u->waiters)
                tell(u, room);
        }
        return;
    }
    /* Not in memory: who its members are is not known without asking, so those who wait look for themselves. */
    while (hs_map_next(srv->waiters->users, &it, &key, &v)) {
        hs_sync_user *u = v;
        const hs_su_room *m = u->loaded ? hs_sync_user_room(u, room) : NULL;

        if (u->waiters && (!u->loaded || (m && m->membership == HS_MEMBER_JOIN)))
            tell(u, room);
    }
}

void hs_waiters_tell_presence(hs_server *srv, hs_nid user, hs_nid whom)
{
    hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)user);

    for (hs_waiter *w = u ? u->waiters : NULL, *next; w; w = next) {
        bool known = false;

        next = w->next;
        for (unsigned i = 0; i < w->presence_n; i++)
            known |= w->presence[i] == whom;
        if (!known && w->presence_n < HS_WAITER_PRESENCE)
            w->presence[w->presence_n++] = whom;
        else if (!known)
            w->presence_more = true;
        wake(w);
    }
}

bool hs_waits_here(const hs_server *srv, hs_nid user, uint64_t device)
{
    const hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)user);

    for (const hs_waiter *w = u ? u->waiters : NULL; w; w = w->next)
        if (hs_presence_device(w->device_id) == device)
            return true;
    return false;
}

size_t hs_waiters_count(const hs_server *srv)
{
    return srv->waiters->count;
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    hs_server *srv = ud;

    hs_sync_recent_hear(srv, first, news);
    for (size_t i = 0; i < news->events_n; i++) {
        const hs_news_event *e = &news->events[i];

        /* Whoever enters or leaves by it may be no member now. */
        if (e->target)
            hs_waiters_wake_user(srv, e->target);
        /* Several events of a room in a row are one piece of news. */
        if (i + 1 == news->events_n || news->events[i + 1].room != e->room)
            hs_waiters_wake_room(srv, e->room);
    }
    for (size_t i = 0; i < news->receipts_n; i++) {
        if (hs_str_eq(news->receipts[i].type, HS_S("m.read.private"))) {
            hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)news->receipts[i].user);

            if (u)
                tell(u, news->receipts[i].room);
        } else {
            hs_waiters_wake_room(srv, news->receipts[i].room);
        }
    }
    for (size_t i = 0; i < news->users_n; i++)
        hs_waiters_wake_user(srv, news->users[i].user);
    for (size_t i = 0; i < news->to_device_n; i++)
        tell_device(srv, &news->to_device[i]);
}

hs_error *hs_waiters_open(hs_server *srv, hs_arena *a)
{
    struct hs_waiters *w = calloc(1, sizeof *w);

    if (!w)
        return HS_ERR_NOMEM;
    w->users = hs_map_open(srv->hash_seed);
    w->rooms = hs_map_open(srv->hash_seed);
    w->lazies = hs_map_open(srv->hash_seed);
    w->answers = hs_map_open(srv->hash_seed);
    srv->waiters = w;
    hs_sync_recent_open(srv);
    if (!w->users || !w->rooms || !w->lazies || !w->answers)
        return HS_ERR_NOMEM;
    (void)a;
    return hs_fanout_listen(srv, hear, srv);
}

void hs_waiters_close(hs_server *srv)
{
    struct hs_waiters *w = srv->waiters;

    if (!w)
        return;
    hs_sync_recent_clear(srv);
    if (w->users)
        hs_map_close(w->users);
    if (w->rooms)
        hs_map_close(w->rooms);
    free(w);
    srv->waiters = NULL;
}
