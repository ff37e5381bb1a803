/* See unread.h. */
#include "server/unread.h"

#include "base/map.h"
#include "server/event_persist.h"
#include "server/names.h"
#include "store/receipts.h"
#include "store/timeline.h"
#include "store/unread.h"

#include <stdlib.h>

enum { ENTRIES_MAX = 500000 };

/* What a user's counts are made of: the room's totals when they last read, and the notes since. */
typedef struct {
    int64_t n_notify, n_high; /* subtracted from the room's */
    hs_unread_thread *threads;
    size_t threads_n, threads_cap;
} entry;

typedef struct {
    hs_map *users;    /* of entry */
    uint32_t version; /* moves with everything that moves counts: what was read meanwhile is not kept */
} room_entries;

struct hs_unreads {
    hs_map *rooms; /* of room_entries */
    size_t count;
};

static void entry_free(entry *e)
{
    if (!e)
        return;
    free(e->threads);
    free(e);
}

static void drop_users(struct hs_unreads *u, room_entries *r)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(r->users, &it, &key, &v))
        entry_free(v);
    u->count -= hs_map_count(r->users);
    hs_map_close(r->users);
    r->users = NULL;
}

static void clear(struct hs_unreads *u)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (u->rooms && hs_map_next(u->rooms, &it, &key, &v)) {
        room_entries *r = v;

        if (r->users)
            drop_users(u, r);
        r->version++;
    }
}

static room_entries *room_of(hs_server *srv, hs_nid room)
{
    room_entries *r = hs_map_get_n(srv->unreads->rooms, (uint64_t)room);

    if (!r) {
        r = calloc(1, sizeof *r);
        if (r && !hs_map_put_n(srv->unreads->rooms, (uint64_t)room, r, NULL)) {
            free(r);
            return NULL;
        }
    }
    if (r && !r->users)
        r->users = hs_map_open(srv->hash_seed);
    return r && r->users ? r : NULL;
}

static void drop_user(struct hs_unreads *u, room_entries *r, hs_nid user)
{
    entry *e;

    r->version++;
    if (!r->users)
        return;
    e = hs_map_remove_n(r->users, (uint64_t)user);
    if (e)
        u->count--;
    entry_free(e);
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

static hs_error *load(hs_server *srv, hs_arena *a, hs_nid user, hs_room *const *rooms, const size_t *index, size_t n,
                      hs_unread *ret)
{
    struct hs_unreads *u = srv->unreads;
    hs_unread_rows rows;
    hs_nid *nids;
    uint32_t *versions;

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
    if (u->count > ENTRIES_MAX)
        clear(u);
    for (size_t i = 0; i < n; i++) {
        room_entries *r = room_of(srv, nids[i]);
        entry *e = build(&rows, nids[i]);
        void *old = NULL;
        hs_error *failed;

        if (!e || !r) {
            entry_free(e);
            return HS_ERR_NOMEM;
        }
        failed = tell(a, e, rooms[index[i]], &ret[index[i]]);
        if (failed || r->version != versions[i] || !hs_map_put_n(r->users, (uint64_t)user, e, &old)) {
            entry_free(e);
            HS_TRY(failed);
            continue;
        }
        u->count += old == NULL;
        entry_free(old);
    }
    return NULL;
}

hs_error *hs_unread_get(hs_server *srv, hs_arena *a, hs_nid user, hs_room *const *rooms, size_t n, hs_unread *ret)
{
    size_t *missing, missing_n = 0;

    HS_TRY(hs_alloc(a, n, &missing));
    for (size_t i = 0; i < n; i++) {
        const room_entries *r = hs_map_get_n(srv->unreads->rooms, (uint64_t)rooms[i]->nid);
        const entry *e = r && r->users ? hs_map_get_n(r->users, (uint64_t)user) : NULL;

        if (e)
            HS_TRY(tell(a, e, rooms[i], &ret[i]));
        else
            missing[missing_n++] = i;
    }
    return missing_n ? load(srv, a, user, rooms, missing, missing_n, ret) : NULL;
}

/* ── news ── */
static void note(struct hs_unreads *u, room_entries *r, const hs_news_note *n)
{
    size_t it = 0;
    hs_str key;
    void *v;

    r->version++;
    if (!r->users)
        return;
    if (n->user) {
        v = hs_map_get_n(r->users, (uint64_t)n->user);
        if (v && !add(v, n->thread, n->d_notify, n->d_high))
            drop_user(u, r, n->user);
        return;
    }
    while (hs_map_next(r->users, &it, &key, &v)) {
        if (!add(v, n->thread, n->d_notify, n->d_high)) {
            drop_users(u, r);
            return;
        }
    }
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    hs_server *srv = ud;
    struct hs_unreads *u = srv->unreads;

    (void)first;
    for (size_t i = 0; i < news->events_n; i++) {
        const hs_news_event *e = &news->events[i];
        room_entries *r = hs_map_get_n(u->rooms, (uint64_t)e->room);

        if (!r)
            continue;
        r->version++;
        if (e->redacts && r->users)
            drop_users(u, r);
        for (size_t k = 0; k < e->notes_n; k++)
            note(u, r, &e->notes[k]);
        if (e->target)
            drop_user(u, r, e->target);
    }
    for (size_t i = 0; i < news->receipts_n; i++) {
        room_entries *r = hs_map_get_n(u->rooms, (uint64_t)news->receipts[i].room);

        if (r)
            drop_user(u, r, news->receipts[i].user);
    }
}

/* ── rows ── */
static hs_error *persist_redaction(hs_server *srv, hs_arena *a, hs_write *w, const hs_persist_event *e)
{
    hs_timeline_row row;
    hs_stored *target;

    HS_TRY(hs_event_find(srv, a, e->room->nid, e->event->ev->redacts, &target));
    if (!target || target->room != e->room->nid)
        return NULL;
    HS_TRY(hs_store_timeline_of(srv->db, a, e->room->nid, &target->nid, 1, &row));
    if (!row.pos)
        return NULL;
    return hs_store_notes_redact(w, e->room->nid, target->nid, row.pos, e->room->local_members,
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
            return hs_store_receipt_join(w, e->at, e->room->nid, user, e->event->nid, e->n_notify, e->n_high,
                                         e->event->received_ts);
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
    clear(u);
    while (u->rooms && hs_map_next(u->rooms, &it, &key, &v))
        free(v);
    if (u->rooms)
        hs_map_close(u->rooms);
    free(u);
    srv->unreads = NULL;
}
