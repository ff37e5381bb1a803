/* See unread.h. */
#include "server/unread.h"

#include "server/caches.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "store/note_upkeep.h"
#include "store/receipts.h"
#include "store/timeline.h"
#include "store/unread.h"

#include <stdlib.h>

#define UNREAD_BYTES ((size_t)64 << 20) /* at factor 1 */

/* What a user's counts are made of: the room's totals when they last read, and the notes since. */
typedef struct {
    hs_lru_link lru;
    hs_nid room, user;
    int64_t n_notify, n_high; /* subtracted from the room's */
    hs_unread_thread *threads;
    size_t threads_n, threads_cap;
} entry;

typedef struct {
    hs_map *users; /* of entry; never empty but while it is made */
    /* Moves with everything that moves counts: what was read meanwhile is not kept. Unlike that of any room before. */
    uint64_t version;
} room_entries;

struct hs_unreads {
    hs_map *rooms; /* of room_entries */
    uint64_t versions;
    hs_cache cache;
};

static size_t bytes_of(const entry *e)
{
    return sizeof *e + e->threads_cap * sizeof *e->threads + HS_CACHE_SLOT;
}

static void entry_free(entry *e)
{
    if (!e)
        return;
    free(e->threads);
    free(e);
}

static void forget(struct hs_unreads *u, room_entries *r, entry *e)
{
    hs_map_remove_n(r->users, (uint64_t)e->user);
    hs_lru_drop(&e->lru);
    hs_cache_removed(&u->cache, bytes_of(e));
    entry_free(e);
}

static void forget_room(struct hs_unreads *u, hs_nid room, room_entries *r)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(r->users, &it, &key, &v)) {
        entry *e = v;
        hs_lru_drop(&e->lru);
        hs_cache_removed(&u->cache, bytes_of(e));
        entry_free(e);
    }
    hs_map_close(r->users);
    hs_map_remove_n(u->rooms, (uint64_t)room);
    free(r);
}

static void trim(void *ud)
{
    struct hs_unreads *u = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&u->cache)); u->cache.evicted++) {
        entry *e = (entry *)(void *)((char *)l - offsetof(entry, lru));
        hs_nid room = e->room;
        room_entries *r = hs_map_get_n(u->rooms, (uint64_t)room);
        forget(u, r, e);
        if (!hs_map_count(r->users))
            forget_room(u, room, r);
    }
}

static room_entries *room_of(hs_server *srv, hs_nid room)
{
    struct hs_unreads *u = srv->unreads;
    room_entries *r = hs_map_get_n(u->rooms, (uint64_t)room);

    if (r)
        return r;
    r = calloc(1, sizeof *r);
    if (r)
        r->users = hs_map_open(srv->hash_seed);
    if (!r || !r->users || !hs_map_put_n(u->rooms, (uint64_t)room, r, NULL)) {
        hs_map_close(r ? r->users : NULL);
        free(r);
        return NULL;
    }
    r->version = ++u->versions;
    return r;
}

static void drop_user(struct hs_unreads *u, room_entries *r, hs_nid user)
{
    entry *e = hs_map_get_n(r->users, (uint64_t)user);

    r->version = ++u->versions;
    if (e)
        forget(u, r, e);
}

/* false without memory */
static bool add(entry *e, hs_nid thread, int64_t notify, int64_t high)
{
    if (!thread) {
        e->n_notify -= notify;
        e->n_high -= high;
        return true;
    }
    for (size_t i = 0; i < e->threads_n; i++) {
        if (e->threads[i].root == thread) {
            e->threads[i].notify += notify;
            e->threads[i].high += high;
            return true;
        }
    }
    if (e->threads_n == e->threads_cap) {
        size_t cap = e->threads_cap ? e->threads_cap * 2 : 2;
        hs_unread_thread *at = realloc(e->threads, cap * sizeof *at);

        if (!at)
            return false;
        e->threads = at;
        e->threads_cap = cap;
    }
    e->threads[e->threads_n++] = (hs_unread_thread){ thread, notify, high };
    return true;
}

/* ── reading ── */
static hs_error *tell(hs_arena *a, const entry *e, const hs_room *room, hs_unread *ret)
{
    hs_unread_thread *threads = NULL;
    size_t n = 0;

    if (e->threads_n)
        HS_TRY(hs_alloc(a, e->threads_n, &threads));
    for (size_t i = 0; i < e->threads_n; i++) {
        if (e->threads[i].notify > 0 || e->threads[i].high > 0)
            threads[n++] = e->threads[i];
    }
    ret->notify = room->n_notify > e->n_notify ? room->n_notify - e->n_notify : 0;
    ret->high = room->n_high > e->n_high ? room->n_high - e->n_high : 0;
    ret->threads = threads;
    ret->threads_n = n;
    return NULL;
}

static entry *build(const hs_unread_rows *rows, hs_nid room)
{
    entry *e = calloc(1, sizeof *e);
    int64_t furthest = -1;

    if (!e)
        return NULL;
    for (size_t i = 0; i < rows->reads_n; i++) {
        const hs_read_row *r = &rows->reads[i];

        if (r->room == room && r->thread <= 0 && r->event_pos > furthest) {
            furthest = r->event_pos;
            e->n_notify = r->n_notify;
            e->n_high = r->n_high;
        }
    }
    for (size_t i = 0; i < rows->sums_n; i++) {
        const hs_note_sum *s = &rows->sums[i];

        if (s->room == room && !add(e, s->thread, s->d_notify, s->d_high)) {
            entry_free(e);
            return NULL;
        }
    }
    return e;
}

/* Takes the entry, unless counts of the room have moved since it was read. */
static void keep(hs_server *srv, entry *e, uint64_t version)
{
    struct hs_unreads *u = srv->unreads;
    room_entries *r = hs_map_get_n(u->rooms, (uint64_t)e->room);

    if (!r || r->version != version || hs_map_get_n(r->users, (uint64_t)e->user) ||
        !hs_map_put_n(r->users, (uint64_t)e->user, e, NULL)) {
        entry_free(e);
        return;
    }
    hs_cache_added(&u->cache, bytes_of(e));
    hs_lru_touch(&u->cache.lru, &e->lru);
}

static hs_error *load(hs_server *srv, hs_arena *a, hs_nid user, hs_room *const *rooms, const size_t *index, size_t n,
                      hs_unread *ret)
{
    struct hs_unreads *u = srv->unreads;
    hs_unread_rows rows;
    hs_nid *nids;
    uint64_t *versions;

    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &versions));
    for (size_t i = 0; i < n; i++) {
        room_entries *r = room_of(srv, rooms[index[i]]->nid);

        if (!r)
            return HS_ERR_NOMEM;
        nids[i] = rooms[index[i]]->nid;
        versions[i] = r->version;
    }
    HS_TRY(hs_store_unread(srv->db, a, user, nids, n, &rows));
    /* What was counted in these rows is not to be added again when its news come: they come first, and then the rows
     * are of another version. */
    HS_TRY(hs_fanout_settle(srv, a));
    for (size_t i = 0; i < n; i++) {
        entry *e = build(&rows, nids[i]);
        hs_error *failed;

        if (!e)
            return HS_ERR_NOMEM;
        e->room = nids[i];
        e->user = user;
        failed = tell(a, e, rooms[index[i]], &ret[index[i]]);
        if (failed) {
            entry_free(e);
            return failed;
        }
        keep(srv, e, versions[i]);
    }
    trim(u);
    return NULL;
}

hs_error *hs_unread_get(hs_server *srv, hs_arena *a, hs_nid user, hs_room *const *rooms, size_t n, hs_unread *ret)
{
    size_t *missing, missing_n = 0;

    HS_TRY(hs_alloc(a, n, &missing));
    for (size_t i = 0; i < n; i++) {
        const room_entries *r = hs_map_get_n(srv->unreads->rooms, (uint64_t)rooms[i]->nid);
        entry *e = r ? hs_map_get_n(r->users, (uint64_t)user) : NULL;

        hs_cache_asked(&srv->unreads->cache, e != NULL);
        if (!e) {
            missing[missing_n++] = i;
            continue;
        }
        hs_lru_touch(&srv->unreads->cache.lru, &e->lru);
        HS_TRY(tell(a, e, rooms[i], &ret[i]));
    }
    return missing_n ? load(srv, a, user, rooms, missing, missing_n, ret) : NULL;
}

/* ── news ── */
/* Adds to a user's counts; false without memory. */
static bool add_counted(struct hs_unreads *u, entry *e, const hs_news_note *n)
{
    size_t was = bytes_of(e);
    bool ok = add(e, n->thread, n->d_notify, n->d_high);

    hs_cache_resized(&u->cache, was, bytes_of(e));
    return ok;
}

/* false: without memory, nothing known of the room is right any more. */
static bool note(struct hs_unreads *u, room_entries *r, const hs_news_note *n)
{
    size_t it = 0;
    hs_str key;
    void *v;

    r->version = ++u->versions;
    if (n->user) {
        v = hs_map_get_n(r->users, (uint64_t)n->user);
        if (v && !add_counted(u, v, n))
            drop_user(u, r, n->user);
        return true;
    }
    while (hs_map_next(r->users, &it, &key, &v))
        if (!add_counted(u, v, n))
            return false;
    return true;
}

static void hear_event(struct hs_unreads *u, const hs_news_event *e)
{
    room_entries *r = hs_map_get_n(u->rooms, (uint64_t)e->room);
    bool known = !e->redacts && e->event;

    if (!r)
        return;
    r->version = ++u->versions;
    for (size_t k = 0; k < e->notes_n && known; k++)
        known = note(u, r, &e->notes[k]);
    if (known && e->target)
        drop_user(u, r, e->target);
    if (!known || !hs_map_count(r->users))
        forget_room(u, e->room, r);
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    struct hs_unreads *u = ((hs_server *)ud)->unreads;

    (void)first;
    for (size_t i = 0; i < news->events_n; i++)
        hear_event(u, &news->events[i]);
    for (size_t i = 0; i < news->receipts_n; i++) {
        hs_nid room = news->receipts[i].room;
        room_entries *r = hs_map_get_n(u->rooms, (uint64_t)room);

        if (!r)
            continue;
        drop_user(u, r, news->receipts[i].user);
        if (!hs_map_count(r->users))
            forget_room(u, room, r);
    }
    trim(u);
}

/* ── rows ── */
static hs_error *persist_redaction(hs_server *srv, hs_arena *a, hs_write *w, const hs_persist_event *e)
{
    hs_note_horizon horizon;
    hs_timeline_row row;
    hs_stored *target;

    HS_TRY(hs_event_find(srv, a, e->room->nid, e->event->ev->redacts, &target));
    if (!target || target->room != e->room->nid)
        return NULL;
    HS_TRY(hs_store_timeline_of(srv->db, a, e->room->nid, &target->nid, 1, &row));
    HS_TRY(hs_store_note_horizon(srv->db, a, hs_loop_wall(srv->loop), &horizon));
    if (!row.pos || row.pos < horizon.high)
        return NULL;
    return hs_store_notes_redact(w, e->room->nid, target->nid, row.pos, horizon.plain, e->room->local_members,
                                 e->room->local_members_n);
}

static hs_error *persist(void *ud, hs_arena *a, hs_write *w, const hs_persist_event *e)
{
    hs_server *srv = ud;
    const hs_event *ev = e->event->ev;
    hs_str membership;

    if (e->push && e->push->notes_n) {
        hs_note *notes;

        HS_TRY(hs_alloc(a, e->push->notes_n, &notes));
        for (size_t i = 0; i < e->push->notes_n; i++) {
            const hs_news_note *n = &e->push->notes[i];

            notes[i] = (hs_note){ n->user, n->thread, n->d_notify, n->d_high, (int32_t)n->actions };
        }
        HS_TRY(hs_store_notes_insert(w, e->at, e->room->nid, e->event->nid, notes, e->push->notes_n));
    }
    if (ev->redacts.p)
        return persist_redaction(srv, a, w, e);
    if (ev->is_state && hs_str_eq(ev->type, HS_S("m.room.member")) &&
        hs_jv_str(hs_jv_get(ev->content, HS_S("membership")), &membership) && hs_str_eq(membership, HS_S("join"))) {
        hs_nid user;
        hs_membership was = HS_MEMBER_NONE;

        /* A join, not a new name: what was said before counts as read. */
        HS_TRY(hs_user_nid(srv, a, ev->state_key, &user));
        if (!e->room->is_new)
            HS_TRY(hs_room_membership(srv, a, e->room, ev->state_key, &was));
        if (was != HS_MEMBER_JOIN && hs_user_is_local(srv, ev->state_key)) {
            return hs_store_receipt_join(w, e->at, e->room->nid, user, e->event->nid, e->event->received_ts);
        }
    }
    return NULL;
}

hs_error *hs_unread_open(hs_server *srv, hs_arena *a)
{
    struct hs_unreads *u = calloc(1, sizeof *u);

    (void)a;
    if (!u)
        return HS_ERR_NOMEM;
    srv->unreads = u;
    u->rooms = hs_map_open(srv->hash_seed);
    if (!u->rooms)
        return HS_ERR_NOMEM;
    hs_cache_open(srv->caches, &u->cache, "unread", UNREAD_BYTES, trim, u);
    HS_TRY(hs_persist_listen(srv, persist, srv));
    return hs_fanout_listen(srv, hear, srv);
}

void hs_unread_close(hs_server *srv)
{
    struct hs_unreads *u = srv->unreads;
    size_t it = 0;
    hs_str key;
    void *v;

    if (!u)
        return;
    while (u->rooms && (it = 0, hs_map_next(u->rooms, &it, &key, &v))) {
        uint64_t room;
        memcpy(&room, key.p, sizeof room);
        forget_room(u, (hs_nid)room, v);
    }
    hs_map_close(u->rooms);
    free(u);
    srv->unreads = NULL;
}
