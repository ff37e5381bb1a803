/* See sync_recent.h. */
#include "server/sync_recent.h"

#include "server/room_member.h"
#include "server/session.h"
#include "store/members.h"

#include <stdlib.h>

enum {
    RECEIPTS_MAX = 512, /* of a room */
    TXNS_MAX = 64,
    TRIM_TRIES = 64, /* entries in use passed over in one go */
};
/* Budgets at factor 1. */
#define ROOMS_BYTES   ((size_t)128 << 20)
#define USERS_BYTES   ((size_t)64 << 20)
#define LAZY_BYTES    ((size_t)128 << 20)
#define FILTERS_BYTES ((size_t)16 << 20)

/* ── rooms ── */
/* Everything that can be asked of the database instead. */
static void strip(hs_sync_room *r)
{
    for (size_t i = 0; i < r->receipts_n; i++)
        free((void *)(uintptr_t)r->receipts[i].user_id.p);
    for (size_t i = 0; i < r->txns_n; i++)
        free((void *)(uintptr_t)r->txns[i].device_id.p);
    for (size_t i = 0; i < HS_RENDERS; i++) {
        hs_blob_unref(r->renders[i].timeline);
        free(r->renders[i].senders);
        r->renders[i] = (hs_render){ 0 };
    }
    free(r->receipts);
    free(r->txns);
    r->receipts = NULL;
    r->txns = NULL;
    r->receipts_n = r->receipts_cap = r->txns_n = 0;
}

static size_t room_bytes(const hs_sync_room *r)
{
    size_t n = sizeof *r + HS_CACHE_SLOT + r->receipts_cap * sizeof *r->receipts;

    for (size_t i = 0; i < r->receipts_n; i++)
        n += r->receipts[i].user_id.n + r->receipts[i].event_id.n + r->receipts[i].thread_id.n + 24;
    if (r->txns)
        n += TXNS_MAX * sizeof *r->txns;
    for (size_t i = 0; i < r->txns_n; i++)
        n += r->txns[i].device_id.n + r->txns[i].txn_id.n + 24;
    for (size_t i = 0; i < HS_RENDERS; i++)
        if (r->renders[i].timeline)
            n += hs_blob_str(r->renders[i].timeline).n + r->renders[i].senders_n * 16 + 64;
    return n;
}

static void room_account(struct hs_waiters *w, hs_sync_room *r)
{
    size_t is = room_bytes(r);

    hs_cache_resized(&w->room_cache, r->bytes, is);
    r->bytes = is;
}

static void clear_rooms(hs_server *srv)
{
    struct hs_waiters *w = srv->waiters;
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(w->rooms, &it, &key, &v)) {
        hs_sync_room *r = v;
        hs_lru_drop(&r->lru);
        hs_cache_removed(&w->room_cache, r->bytes);
        strip(r);
        free(r);
    }
    hs_map_close(w->rooms);
    w->rooms = hs_map_open(srv->hash_seed);
}

/* The least recently used rooms lose what they hold, and stay with the position of their last receipt: whether there
 * was news is still known. Only if that is too much as well all of them go, and everybody asks the database about what
 * was. */
static void trim_rooms(void *ud)
{
    hs_server *srv = ud;
    struct hs_waiters *w = srv->waiters;

    for (hs_lru_link *l; (l = hs_cache_oldest(&w->room_cache)); w->room_cache.evicted++) {
        hs_sync_room *r = (hs_sync_room *)(void *)((char *)l - offsetof(hs_sync_room, lru));
        int64_t now = hs_fanout_position(srv);
        strip(r);
        r->receipts_floor = r->txns_floor = now;
        hs_lru_drop(&r->lru);
        room_account(w, r);
    }
    if (hs_cache_over(&w->room_cache)) {
        w->room_cache.evicted += w->room_cache.entries;
        clear_rooms(srv);
        w->rooms_floor = hs_fanout_position(srv);
    }
}

void hs_sync_room_changed(hs_server *srv, hs_sync_room *r)
{
    room_account(srv->waiters, r);
    hs_lru_touch(&srv->waiters->room_cache.lru, &r->lru);
    trim_rooms(srv); /* may take r with it */
}

hs_sync_room *hs_sync_room_peek(hs_server *srv, hs_nid room)
{
    return srv->waiters->rooms ? hs_map_get_n(srv->waiters->rooms, (uint64_t)room) : NULL;
}

int64_t hs_sync_rooms_floor(const hs_server *srv)
{
    return srv->waiters->rooms_floor ? srv->waiters->rooms_floor : hs_fanout_floor(srv);
}

hs_sync_room *hs_sync_room_get(hs_server *srv, hs_nid room)
{
    struct hs_waiters *w = srv->waiters;
    hs_sync_room *r = hs_sync_room_peek(srv, room);

    if (r)
        return r;
    if (!w->rooms)
        return NULL;
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->room = room;
    r->receipts_floor = r->txns_floor = hs_sync_rooms_floor(srv);
    if (!hs_map_put_n(w->rooms, (uint64_t)room, r, NULL)) {
        free(r);
        return NULL;
    }
    hs_cache_added(&w->room_cache, 0);
    room_account(w, r);
    return r;
}

/* Copies up to three slices into one block that the first one owns. */
static bool own(hs_str *x, hs_str *y, hs_str *z)
{
    hs_str *all[3] = { x, y, z };
    size_t n = x->n + y->n + (z ? z->n : 0);
    char *p = malloc(n + 1), *at = p;

    if (!p)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (!all[i] || (!all[i]->p && i))
            continue;
        if (all[i]->n)
            memcpy(at, all[i]->p, all[i]->n);
        *all[i] = hs_str_make(at, all[i]->n);
        at += all[i]->n;
    }
    return true;
}

static void add_receipt(hs_sync_room *r, int64_t pos, const hs_news_receipt *n)
{
    hs_recent_receipt e = { .user = n->user,
                            .thread = n->thread,
                            .is_private = hs_str_eq(n->type, HS_S("m.read.private")),
                            .pos = pos,
                            .ts = n->ts,
                            .user_id = n->user_id,
                            .event_id = n->event_id,
                            .thread_id = n->thread_id };

    r->receipts_pos = pos;
    for (size_t i = 0; i < r->receipts_n; i++) {
        const hs_recent_receipt *old = &r->receipts[i];

        if (old->user == e.user && old->thread == e.thread && old->is_private == e.is_private) {
            free((void *)(uintptr_t)old->user_id.p);
            memmove(&r->receipts[i], &r->receipts[i + 1], (r->receipts_n - i - 1) * sizeof *old);
            r->receipts_n--;
            break;
        }
    }
    if (r->receipts_n == RECEIPTS_MAX) {
        r->receipts_floor = r->receipts[0].pos;
        free((void *)(uintptr_t)r->receipts[0].user_id.p);
        memmove(&r->receipts[0], &r->receipts[1], (r->receipts_n - 1) * sizeof e);
        r->receipts_n--;
    }
    if (r->receipts_n == r->receipts_cap) {
        size_t cap = r->receipts_cap ? r->receipts_cap * 2 : 8;
        hs_recent_receipt *at = realloc(r->receipts, cap * sizeof *at);

        if (!at) {
            r->receipts_floor = pos;
            return;
        }
        r->receipts = at;
        r->receipts_cap = cap;
    }
    if (!e.user_id.p || !e.event_id.p || !own(&e.user_id, &e.event_id, &e.thread_id)) {
        r->receipts_floor = pos;
        return;
    }
    r->receipts[r->receipts_n++] = e;
}

static void add_txn(hs_sync_room *r, int64_t pos, const hs_news_event *n)
{
    hs_recent_txn e = { n->event->nid, n->event->sender, n->device_id, n->txn_id };

    if (!r->txns)
        r->txns = calloc(TXNS_MAX, sizeof *r->txns);
    if (r->txns_n == TXNS_MAX && r->txns) {
        /* The position of what goes is not kept: everything up to now is unknown once it is gone, but for what is
         * listed. */
        free((void *)(uintptr_t)r->txns[0].device_id.p);
        memmove(&r->txns[0], &r->txns[1], (TXNS_MAX - 1) * sizeof e);
        r->txns_n--;
        r->txns_floor = pos - 1;
    }
    if (!r->txns || !own(&e.device_id, &e.txn_id, NULL)) {
        r->txns_floor = pos;
        return;
    }
    r->txns[r->txns_n++] = e;
}

static void hear_receipt(hs_server *srv, int64_t pos, const hs_news_receipt *n)
{
    hs_sync_room *r = hs_sync_room_get(srv, n->room);

    if (!r)
        return;
    add_receipt(r, pos, n);
    hs_sync_room_changed(srv, r);
}

static void hear_txn(hs_server *srv, int64_t pos, const hs_news_event *n)
{
    hs_sync_room *r = hs_sync_room_get(srv, n->room);

    if (!r)
        return;
    add_txn(r, pos, n);
    hs_sync_room_changed(srv, r);
}

int hs_recent_txn_find(hs_server *srv, hs_nid room, hs_nid event, int64_t event_pos, hs_nid user, hs_str device_id,
                       hs_str *ret)
{
    const hs_sync_room *r = hs_sync_room_peek(srv, room);

    hs_cache_asked(&srv->waiters->room_cache, event_pos > (r ? r->txns_floor : hs_sync_rooms_floor(srv)));
    for (size_t i = r ? r->txns_n : 0; i > 0; i--) {
        const hs_recent_txn *t = &r->txns[i - 1];

        if (t->event == event) {
            if (t->user != user || !hs_str_eq(t->device_id, device_id))
                return 0;
            *ret = t->txn_id;
            return 1;
        }
    }
    return event_pos > (r ? r->txns_floor : hs_sync_rooms_floor(srv)) ? 0 : -1;
}

/* ── users ── */
static void user_account(struct hs_waiters *w, hs_sync_user *u)
{
    size_t is = sizeof *u + HS_CACHE_SLOT + u->rooms_cap * sizeof *u->rooms;

    hs_cache_resized(&w->user_cache, u->bytes, is);
    u->bytes = is;
}

static hs_sync_user *user_of_link(hs_lru_link *l)
{
    return (hs_sync_user *)(void *)((char *)l - offsetof(hs_sync_user, lru));
}

static void user_forget(struct hs_waiters *w, hs_sync_user *u)
{
    hs_map_remove_n(w->users, (uint64_t)u->user);
    hs_lru_drop(&u->lru);
    hs_cache_removed(&w->user_cache, u->bytes);
    free(u->rooms);
    free(u);
}

/* Those who wait stay, however many they are. */
static void trim_users(void *ud)
{
    struct hs_waiters *w = ud;
    hs_lru_link *last;

    for (int i = 0; i < TRIM_TRIES && (last = hs_cache_oldest(&w->user_cache)); i++) {
        hs_sync_user *u = user_of_link(last);
        if (u->waiters || u->refs) {
            hs_lru_touch(&w->user_cache.lru, &u->lru);
        } else {
            user_forget(w, u);
            w->user_cache.evicted++;
            i = 0;
        }
    }
}

hs_sync_user *hs_sync_user_entry(hs_server *srv, hs_nid user)
{
    struct hs_waiters *w = srv->waiters;
    hs_sync_user *u = hs_map_get_n(w->users, (uint64_t)user);

    if (!u) {
        trim_users(w);
        u = calloc(1, sizeof *u);
        if (!u)
            return NULL;
        u->user = user;
        u->floor = hs_fanout_position(srv);
        if (!hs_map_put_n(w->users, (uint64_t)user, u, NULL)) {
            free(u);
            return NULL;
        }
        hs_cache_added(&w->user_cache, 0);
        user_account(w, u);
    }
    hs_lru_touch(&w->user_cache.lru, &u->lru);
    return u;
}

static size_t room_at(const hs_sync_user *u, hs_nid room)
{
    size_t low = 0, high = u->rooms_n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (u->rooms[mid].room < room)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const hs_su_room *hs_sync_user_room(const hs_sync_user *u, hs_nid room)
{
    size_t i = room_at(u, room);

    return i < u->rooms_n && u->rooms[i].room == room ? &u->rooms[i] : NULL;
}

static bool reserve(hs_sync_user *u, size_t n)
{
    hs_su_room *at;
    size_t cap = u->rooms_cap ? u->rooms_cap : 8;

    if (n <= u->rooms_cap)
        return true;
    while (cap < n)
        cap *= 2;
    at = realloc(u->rooms, cap * sizeof *at);
    if (!at)
        return false;
    u->rooms = at;
    u->rooms_cap = cap;
    return true;
}

static void hear_member(hs_server *srv, int64_t pos, const hs_news_event *n)
{
    hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)n->target);
    size_t i;

    if (!u)
        return;
    u->version++;
    u->rooms_pos = pos;
    if (!u->loaded)
        return;
    i = room_at(u, n->room);
    if (i == u->rooms_n || u->rooms[i].room != n->room) {
        if (!reserve(u, u->rooms_n + 1)) {
            u->loaded = false;
            return;
        }
        memmove(&u->rooms[i + 1], &u->rooms[i], (u->rooms_n - i) * sizeof *u->rooms);
        u->rooms_n++;
        u->rooms[i] = (hs_su_room){ .room = n->room };
    }
    u->rooms[i].event = n->event->nid;
    u->rooms[i].sender = n->event->sender;
    u->rooms[i].membership = n->membership;
    u->rooms[i].pos = pos;
    u->rooms[i].flags &= ~HS_USER_ROOM_FORGOTTEN;
    if (hs_member_forgets(srv, n->was, n->membership))
        u->rooms[i].flags |= HS_USER_ROOM_FORGOTTEN;
    user_account(srv->waiters, u);
}

static hs_error *load(hs_server *srv, hs_arena *a, hs_sync_user *u)
{
    for (int round = 0;; round++) {
        uint32_t version = u->version;
        hs_user_room *rows;
        size_t n;

        HS_TRY(hs_store_user_rooms_after(srv->db, a, u->user, INT64_MIN, &rows, &n));
        if (u->loaded)
            return NULL; /* somebody else was faster */
        if (version != u->version && round < 5)
            continue;
        if (!reserve(u, n))
            return HS_ERR_NOMEM;
        u->rooms_n = 0;
        for (size_t k = 0; k < n; k++) {
            size_t i = room_at(u, rows[k].room);

            memmove(&u->rooms[i + 1], &u->rooms[i], (u->rooms_n - i) * sizeof *u->rooms);
            u->rooms[i] = (hs_su_room){ .room = rows[k].room,
                                        .event = rows[k].event,
                                        .sender = rows[k].sender,
                                        .pos = rows[k].pos,
                                        .membership = rows[k].membership,
                                        .flags = rows[k].flags };
            u->rooms_n++;
        }
        u->loaded = true;
        user_account(srv->waiters, u);
        return NULL;
    }
}

hs_error *hs_sync_user_get(hs_server *srv, hs_arena *a, hs_nid user, hs_sync_user **ret)
{
    hs_sync_user *u = hs_sync_user_entry(srv, user);
    hs_error *e;

    if (!u)
        return HS_ERR_NOMEM;
    hs_cache_asked(&srv->waiters->user_cache, u->loaded);
    if (!u->loaded) {
        u->refs++;
        e = load(srv, a, u);
        u->refs--;
        HS_TRY(e);
    }
    *ret = u;
    return NULL;
}

/* A resolution may have changed anybody's membership. */
static void forget_rooms(hs_server *srv)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(srv->waiters->users, &it, &key, &v)) {
        hs_sync_user *u = v;
        u->version++;
        u->loaded = false;
    }
}

/* ── news ── */
void hs_sync_recent_hear(hs_server *srv, int64_t first, const hs_news *news)
{
    for (size_t i = 0; i < news->events_n; i++) {
        const hs_news_event *e = &news->events[i];

        if (e->state_n > 1)
            forget_rooms(srv);
        if (!e->event)
            continue;
        if (e->target)
            hear_member(srv, first + e->at, e);
        if (e->txn_id.p)
            hear_txn(srv, first + e->at, e);
    }
    for (size_t i = 0; i < news->receipts_n; i++)
        hear_receipt(srv, first + news->receipts[i].at, &news->receipts[i]);
    for (size_t i = 0; i < news->users_n; i++) {
        const hs_news_user *n = &news->users[i];
        hs_sync_user *u = hs_map_get_n(srv->waiters->users, (uint64_t)n->user);

        if (!u)
            continue;
        switch (n->what) {
        case HS_NEWS_ACCOUNT_DATA:
        case HS_NEWS_PUSH_RULES:
            u->account_pos = first + n->at;
            break;
        case HS_NEWS_ROOMS: /* a room was forgotten */
            u->version++;
            u->loaded = false;
            break;
        case HS_NEWS_PROFILE:
        case HS_NEWS_FLAGS:
            break;
        }
    }
}

void hs_sync_recent_open(hs_server *srv)
{
    struct hs_waiters *w = srv->waiters;

    hs_cache_open(srv->caches, &w->room_cache, "sync_rooms", ROOMS_BYTES, trim_rooms, srv);
    hs_cache_open(srv->caches, &w->user_cache, "sync_users", USERS_BYTES, trim_users, w);
    hs_cache_open(srv->caches, &w->lazy_cache, "sync_lazy", LAZY_BYTES, hs_lazy_trim, w);
    hs_cache_open(srv->caches, &w->filter_cache, "sync_filters", FILTERS_BYTES, hs_sync_filters_trim, srv);
    hs_sync_answers_open(srv);
}

void hs_sync_recent_clear(hs_server *srv)
{
    struct hs_waiters *w = srv->waiters;

    if (w->rooms)
        clear_rooms(srv);
    if (w->users)
        while (w->user_cache.lru.prev != &w->user_cache.lru)
            user_forget(w, user_of_link(w->user_cache.lru.prev));
    if (w->lazies)
        hs_lazy_clear(w);
    if (w->answers)
        hs_sync_answers_clear(w);
    hs_map_close(w->lazies);
    w->lazies = NULL;
    hs_map_close(w->users);
    w->users = NULL;
}
