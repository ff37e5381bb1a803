/* Rooms in memory: durable head, current state, recent timeline, local members; loaded from the store, kept current by
 * what fanout tells.
 *
 * A room is dropped whenever memory or anything else fails while it is being changed: correctness does not hang on it,
 * since the ticket checks what a writer saw. A load reads what is not kept by position in one snapshot, and is taken
 * only if nothing was told of the room meanwhile. */
#include "server/cache.h"

#include "base/checked.h"
#include "server/names.h"
#include "store/members.h"
#include "store/rooms.h"
#include "store/state.h"
#include "store/timeline.h"

#include <stdlib.h>

#define RECENT_LOAD 25 /* read with a room; more gather as they happen */
#define LOAD_TRIES  20
#define TRIM_TRIES  16
#define ROOMS_BYTES HS_MIB(128) /* at factor 1 */

typedef struct {
    hs_room r; /* first */
    hs_lru_link lru;
    struct hs_rooms *cache; /* once it was in it */
    size_t bytes;
    bool cached;
} entry;

typedef struct {
    hs_fiber_queue waiting;
} load;

static entry *entry_of_lru(hs_lru_link *l)
{
    return (entry *)(void *)((char *)l - offsetof(entry, lru));
}

static entry *entry_of(hs_room *room)
{
    return (entry *)(void *)room;
}

/* ── lifetime ── */

static void room_free(hs_room *room)
{
    hs_room_free_arrays(room);
    free(room->pending);
    free((void *)(uintptr_t)room->id.p);
    free(entry_of(room));
}

static void room_unref(void *ud)
{
    hs_room *room = ud;
    const entry *e = entry_of(room);

    if (--room->refs == 0)
        room_free(room);
    else if (e->cached && room->refs == 1 && hs_cache_over(&e->cache->room_cache))
        hs_cache_trim_soon(e->cache);
}

hs_error *hs_room_hold(hs_server *srv, hs_arena *a, hs_room *room)
{
    (void)srv;
    HS_TRY(hs_arena_on_reset(a, room_unref, room));
    room->refs++;
    return NULL;
}

static void room_forget(struct hs_rooms *c, entry *e)
{
    if (!e->cached)
        return;
    if (hs_map_get_n(c->rooms, (uint64_t)e->r.nid) == e)
        hs_map_remove_n(c->rooms, (uint64_t)e->r.nid);
    if (e->r.id.n && hs_map_get(c->room_ids, e->r.id) == e)
        hs_map_remove(c->room_ids, e->r.id);
    hs_lru_drop(&e->lru);
    hs_cache_removed(&c->room_cache, e->bytes);
    e->cached = false;
    room_unref(&e->r);
}

static void trim(void *ud)
{
    struct hs_rooms *c = ud;
    hs_lru_link *last;

    for (int i = 0; i < TRIM_TRIES && (last = hs_cache_oldest(&c->room_cache)); i++) {
        entry *e = entry_of_lru(last);
        if (e->r.refs > 1) {
            hs_lru_touch(&c->room_cache.lru, &e->lru);
        } else {
            room_forget(c, e);
            c->room_cache.evicted++;
            i = 0;
        }
    }
}

static void trim_both(hs_timer *t)
{
    struct hs_rooms *c = t->ud;

    trim(c);
    hs_cache_events_trim(c);
}

void hs_cache_trim_soon(struct hs_rooms *c)
{
    if (!c->trim.heap_at && c->trim.fn && hs_timer_arm(c->srv->loop, &c->trim, 0))
        return; /* no memory for it: the next load trims */
}

static void account(struct hs_rooms *c, entry *e)
{
    const hs_room *r = &e->r;
    size_t bytes = sizeof *e + 512 + e->r.recent_bytes + r->state_cap * sizeof *r->state +
                   r->recent_cap * sizeof *r->recent + r->local_members_cap * sizeof *r->local_members;

    hs_cache_resized(&c->room_cache, e->bytes, bytes);
    e->bytes = bytes;
    hs_lru_touch(&c->room_cache.lru, &e->lru);
    trim(c);
}

static hs_error *room_put(struct hs_rooms *c, entry *e)
{
    if (!hs_map_put_n(c->rooms, (uint64_t)e->r.nid, e, NULL))
        return HS_ERR_NOMEM;
    e->cache = c;
    e->cached = true;
    e->r.refs++;
    hs_cache_added(&c->room_cache, e->bytes);
    if (e->r.id.n && !e->r.is_new && !hs_map_put(c->room_ids, e->r.id, e, NULL)) {
        room_forget(c, e);
        return HS_ERR_NOMEM;
    }
    account(c, e);
    return NULL;
}

hs_error *hs_cache_room_name(hs_room *room, hs_str id)
{
    char *p = malloc(id.n + 1);

    if (!p)
        return HS_ERR_NOMEM;
    memcpy(p, id.p, id.n);
    free((void *)(uintptr_t)room->id.p);
    room->id = hs_str_make(p, id.n);
    return NULL;
}

static hs_error *room_make(hs_arena *a, hs_nid nid, const hs_roomver *rv, entry **ret)
{
    entry *e = calloc(1, sizeof *e);

    if (!e)
        return HS_ERR_NOMEM;
    e->r.refs = 1;
    e->r.nid = nid;
    e->r.rv = rv;
    e->r.line = e->r.copied.line = -1;
    hs_error *err = hs_arena_on_reset(a, room_unref, &e->r);
    if (err) {
        room_free(&e->r);
        return err;
    }
    *ret = e;
    return NULL;
}

typedef struct {
    struct hs_rooms *c;
    entry *e;
} new_room;

/* A room that was never told goes with the request that wanted it. */
static void forget_new(void *ud)
{
    new_room *n = ud;

    if (n->e->r.is_new)
        room_forget(n->c, n->e);
}

hs_error *hs_cache_room_new(hs_server *srv, hs_arena *a, hs_nid nid, const hs_roomver *rv, hs_room **ret)
{
    entry *e;
    new_room *hook;

    HS_TRY(room_make(a, nid, rv, &e));
    e->r.is_new = true;
    e->r.recent_complete = true;
    HS_TRY(hs_alloc(a, 1, &hook));
    *hook = (new_room){ .c = srv->rooms, .e = e };
    HS_TRY(room_put(srv->rooms, e));
    hs_error *err = hs_arena_on_reset(a, forget_new, hook);
    if (err) {
        room_forget(srv->rooms, e);
        return err;
    }
    *ret = &e->r;
    return NULL;
}

hs_error *hs_rooms_open(hs_server *srv, hs_arena *a)
{
    struct hs_rooms *c;

    (void)a;
    HS_TRY(hs_alloc(srv->arena, 1, &c));
    c->srv = srv;
    c->trim = (hs_timer){ .fn = trim_both, .ud = c };
    hs_cache_open(srv->caches, &c->room_cache, "rooms", ROOMS_BYTES, trim, c);
    c->rooms = hs_map_open(srv->hash_seed);
    c->room_ids = hs_map_open(srv->hash_seed);
    c->loading = hs_map_open(srv->hash_seed);
    srv->rooms = c;
    c->resets = hs_metric_get(srv->metrics, HS_COUNTER, "hs_state_reset_suspected_total",
                              "Memberships that a state resolution changed without an event of the member", NULL);
    HS_TRY(hs_cache_events_open(c));
    HS_TRY(hs_txns_open(srv, &c->txns));
    if (!c->rooms || !c->room_ids || !c->loading)
        return HS_ERR_NOMEM;
    return hs_fanout_listen(srv, hs_cache_told, c);
}

void hs_rooms_close(hs_server *srv)
{
    struct hs_rooms *c = srv->rooms;

    if (!c)
        return;
    hs_timer_disarm(srv->loop, &c->trim);
    c->trim.fn = NULL; /* what is let go from now on needs no trim */
    if (c->rooms)
        while (c->room_cache.lru.next != &c->room_cache.lru)
            room_forget(c, entry_of_lru(c->room_cache.lru.next));
    hs_map_close(c->rooms);
    hs_map_close(c->room_ids);
    hs_map_close(c->loading);
    hs_cache_events_close(c);
    hs_txns_close(c->txns);
    srv->rooms = NULL;
}

/* ── loading ── */

/* What a read saw may not be durable yet: usually a flush is under way and it is told within a millisecond. If it is
 * another worker's, we flush ourselves. */
static hs_error *await_durable(hs_server *srv, hs_arena *a, int64_t pos)
{
    for (int i = 0; i < 5; i++) {
        if (hs_fanout_position(srv) >= pos)
            return NULL;
        hs_fiber_sleep(srv->loop, 1);
    }
    return hs_write_durable(srv->db) >= pos ? NULL : hs_write_flush(srv->db, a);
}

static hs_error *event_of_row(struct hs_rooms *c, hs_arena *a, const hs_roomver *rv, const hs_event_row *row,
                              hs_stored **ret)
{
    hs_stored *s = hs_cache_event_get(c, row->event);
    hs_stored_facts f = { .nid = row->event,
                          .room = row->room,
                          .sender = row->sender,
                          .flags = (uint32_t)row->flags,
                          .received_ts = row->received_ts,
                          .slot = row->state_key.p ? row->slot : 0,
                          .line = row->line,
                          .snap = row->snap,
                          .redacted_by = row->redacted_by };

    hs_cache_asked(&c->event_cache, s != NULL);
    if (!s) {
        hs_stored *made;
        HS_TRY(hs_stored_make(c, a, rv, &f, row->json, row->event_id, &made));
        s = hs_cache_event_put(c, made);
        hs_error *e = hs_stored_hold(a, s);
        hs_stored_unref(made);
        if (e)
            return e;
    } else {
        HS_TRY(hs_stored_hold(a, s));
    }
    *ret = s;
    return NULL;
}

/* What is kept by position and snapshot: it does not matter how far the room has moved on meanwhile. */
static hs_error *fill(struct hs_rooms *c, hs_arena *a, entry *e, const hs_room_now *now)
{
    const hs_timeline_row *head = &now->head;
    hs_db *db = c->srv->db;
    hs_room *r = &e->r;
    hs_state_set state;
    hs_timeline_row *rows;
    hs_stored **heads;
    size_t n;

    r->pos = head->pos;
    r->depth = head->depth;
    r->line = head->line;
    r->snap = head->snap;
    r->copied = (hs_snap){ .line = now->copy_line, .snap = now->copy_snap };
    r->n_notify = head->n_notify;
    r->n_high = head->n_high;
    r->joined = now->joined;
    r->invited = now->invited;
    for (size_t i = 0; i < now->local_members.n; i++)
        if (!hs_room_set_local(r, now->local_members.at[i], true))
            return HS_ERR_NOMEM;
    HS_TRY(hs_store_state_at(db, a, r->nid, (hs_snap){ .line = head->line, .snap = head->snap }, &state));
    if (!hs_room_reserve_state(r, state.n))
        return HS_ERR_NOMEM;
    if (state.n)
        memcpy(r->state, state.at, state.n * sizeof *state.at);
    r->state_n = state.n;

    HS_TRY(hs_store_timelines(db, a, &r->nid, 1, 0, head->pos, RECENT_LOAD, &rows, &n));
    for (size_t i = n; i-- > 0;) {
        hs_stored *s;
        HS_TRY(event_of_row(c, a, r->rv, &rows[i].ev, &s));
        if (!hs_room_append_recent(r, rows[i].pos, s, rows[i].line, rows[i].snap))
            return HS_ERR_NOMEM;
    }
    r->recent_complete = n < RECENT_LOAD;

    HS_TRY(hs_alloc(a, head->heads.n, &heads));
    HS_TRY(hs_events_load_as(c->srv, a, r->nid, r->rv, head->heads.at, head->heads.n, heads));
    for (size_t i = 0; i < head->heads.n; i++)
        if (!heads[i])
            return hs_err_internal(a, NULL, "head %lld of room %lld is missing", (long long)head->heads.at[i],
                                   (long long)r->nid);
    if (!hs_room_set_heads(r, heads, head->heads.n))
        return HS_ERR_NOMEM;
    for (size_t i = 0; i < head->heads.n; i++)
        if (heads[i]->ev->depth > r->depth)
            r->depth = heads[i]->ev->depth;
    r->create = hs_room_state_nid(c->srv, r, HS_S("m.room.create"), HS_S(""));
    return NULL;
}

static hs_error *read_room(struct hs_rooms *c, hs_arena *a, hs_nid nid, entry **ret)
{
    for (int i = 0; i < LOAD_TRIES; i++) {
        uint64_t redactions = c->redactions;
        hs_room_now now;
        entry *e = NULL;
        bool found;

        HS_TRY(hs_store_room_now(c->srv->db, a, nid, &now, &found));
        if (!found || !now.has_head) { /* known from elsewhere only: an invite, an alias */
            *ret = NULL;
            return NULL;
        }
        const hs_roomver *rv = hs_roomver_find(now.version);
        if (!rv)
            return hs_err_internal(a, NULL, "room %lld is of unknown version", (long long)nid);
        HS_TRY(room_make(a, nid, rv, &e));
        HS_TRY(hs_cache_room_name(&e->r, now.room_id));
        HS_TRY(fill(c, a, e, &now));
        HS_TRY(await_durable(c->srv, a, now.head.pos));
        /* What was told of the room meanwhile was not told to it. */
        if (redactions == c->redactions && hs_fanout_room_position(c->srv, nid) <= now.head.pos) {
            *ret = e;
            return NULL;
        }
    }
    return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast");
}

hs_room *hs_room_cached(hs_server *srv, hs_nid nid)
{
    entry *e = hs_map_get_n(srv->rooms->rooms, (uint64_t)nid);

    return e && !e->r.is_new ? &e->r : NULL;
}

hs_error *hs_room_load(hs_server *srv, hs_arena *a, hs_nid nid, hs_room **ret)
{
    struct hs_rooms *c = srv->rooms;

    for (;;) {
        entry *e = hs_map_get_n(c->rooms, (uint64_t)nid);
        load *l = hs_map_get_n(c->loading, (uint64_t)nid);
        if (e) {
            hs_cache_asked(&c->room_cache, true);
            hs_lru_touch(&c->room_cache.lru, &e->lru);
            HS_TRY(hs_room_hold(srv, a, &e->r));
            *ret = &e->r;
            return NULL;
        }
        if (l) {
            hs_fiber_wait(srv->loop, &l->waiting);
            continue;
        }

        hs_cache_asked(&c->room_cache, false);
        HS_TRY(hs_alloc(a, 1, &l));
        if (!hs_map_put_n(c->loading, (uint64_t)nid, l, NULL))
            return HS_ERR_NOMEM;
        hs_error *err = read_room(c, a, nid, &e);
        hs_map_remove_n(c->loading, (uint64_t)nid);
        if (!err && e)
            err = room_put(c, e);
        hs_fiber_wake_all(&l->waiting);
        if (err)
            return err;
        *ret = e ? &e->r : NULL; /* held since it was made */
        return NULL;
    }
}

void hs_cache_room_drop(hs_server *srv, hs_room *room)
{
    room_forget(srv->rooms, entry_of(room));
}

hs_error *hs_room_refresh(hs_server *srv, hs_arena *a, hs_room *room, hs_room **ret)
{
    hs_nid nid = room->nid;
    hs_timeline_row head;
    bool found;

    HS_TRY(hs_store_head(srv->db, a, nid, &head, &found));
    HS_TRY(hs_fanout_fresh(srv, a)); /* another worker's news are usually here before one has read the room anew */
    if (hs_room_cached(srv, nid) == room) {
        if (found && head.pos <= room->pos) {
            *ret = room;
            return NULL;
        }
        room_forget(srv->rooms, entry_of(room));
    }
    HS_TRY(hs_room_load(srv, a, nid, ret));
    if (!*ret)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown room");
    return NULL;
}

hs_error *hs_room_find(hs_server *srv, hs_arena *a, hs_str room_id, hs_room **ret)
{
    struct hs_rooms *c = srv->rooms;
    entry *e = hs_map_get(c->room_ids, room_id);
    hs_room_row row;

    if (e) {
        hs_cache_asked(&c->room_cache, true);
        hs_lru_touch(&c->room_cache.lru, &e->lru);
        HS_TRY(hs_room_hold(srv, a, &e->r));
        *ret = &e->r;
        return NULL;
    }
    if (room_id.n > 255 || memchr(room_id.p, 0, room_id.n) || !hs_str_is_utf8(room_id)) {
        *ret = NULL;
        return NULL;
    }
    HS_TRY(hs_store_room_by_id(srv->db, a, room_id, &row));
    if (!row.room) {
        *ret = NULL;
        return NULL;
    }
    return hs_room_load(srv, a, row.room, ret);
}

/* ── events of a room ── */

hs_error *hs_events_load_as(hs_server *srv, hs_arena *a, hs_nid room, const hs_roomver *rv, const hs_nid *nids,
                            size_t n, hs_stored **ret)
{
    struct hs_rooms *c = srv->rooms;
    hs_event_row *rows;
    hs_nid *missing;
    size_t *where, m = 0;
    uint64_t redactions;

    HS_TRY(hs_alloc(a, n, &missing));
    HS_TRY(hs_alloc(a, n, &where));
    for (size_t i = 0; i < n; i++) {
        ret[i] = hs_cache_event_get(c, nids[i]);
        if (ret[i]) {
            hs_cache_asked(&c->event_cache, true);
            HS_TRY(hs_stored_hold(a, ret[i]));
        } else {
            where[m] = i;
            missing[m++] = nids[i];
        }
    }
    if (!m)
        return NULL;
    do {
        redactions = c->redactions;
        HS_TRY(hs_alloc(a, m, &rows));
        HS_TRY(hs_store_events(srv->db, a, room, missing, m, rows));
    } while (redactions != c->redactions);
    for (size_t i = 0; i < m; i++)
        if (rows[i].event && rows[i].json.p)
            HS_TRY(event_of_row(c, a, rv, &rows[i], &ret[where[i]]));
    return NULL;
}

static hs_error *version_of(hs_server *srv, hs_arena *a, hs_nid room, const hs_roomver **ret)
{
    entry *e = hs_map_get_n(srv->rooms->rooms, (uint64_t)room);
    hs_room_row row;

    if (e) {
        *ret = e->r.rv;
        return NULL;
    }
    HS_TRY(hs_store_rooms(srv->db, a, &room, 1, &row));
    *ret = row.room ? hs_roomver_find(row.version) : NULL;
    if (!*ret)
        return hs_err_internal(a, NULL, "no version of room %lld", (long long)room);
    return NULL;
}

hs_error *hs_events_load(hs_server *srv, hs_arena *a, hs_nid room, const hs_nid *nids, size_t n, hs_stored **ret)
{
    const hs_roomver *rv;

    HS_TRY(version_of(srv, a, room, &rv));
    return hs_events_load_as(srv, a, room, rv, nids, n, ret);
}

hs_error *hs_event_find(hs_server *srv, hs_arena *a, hs_nid room, hs_str event_id, hs_stored **ret)
{
    struct hs_rooms *c = srv->rooms;
    hs_stored *s = hs_cache_event_named(c, event_id);
    const hs_roomver *rv;
    hs_event_row row;
    uint64_t redactions;

    if (s && s->room == room) {
        hs_cache_asked(&c->event_cache, true);
        HS_TRY(hs_stored_hold(a, s));
        *ret = hs_cache_event_get(c, s->nid);
        return NULL;
    }
    *ret = NULL;
    if (event_id.n > 255 || !event_id.n || memchr(event_id.p, 0, event_id.n) || !hs_str_is_utf8(event_id))
        return NULL;
    HS_TRY(version_of(srv, a, room, &rv));
    do {
        redactions = c->redactions;
        HS_TRY(hs_store_events_by_id(srv->db, a, room, &event_id, 1, &row));
    } while (redactions != c->redactions);
    if (row.event && row.json.p && row.room == room)
        HS_TRY(event_of_row(c, a, rv, &row, ret));
    return NULL;
}

/* ── keeping current ── */

static bool has_parent(const hs_event *ev, hs_str event_id)
{
    for (size_t i = 0; i < ev->prev_n; i++)
        if (hs_str_eq(ev->prev[i], event_id))
            return true;
    return false;
}

/* As hs_commit does it: what the new event follows is no head any more. */
static bool move_heads(hs_room *room, hs_stored *s)
{
    hs_stored *few[21], **heads = few;
    size_t n = 0;
    bool ok;

    if (room->heads.n + 1 > sizeof few / sizeof *few && !(heads = malloc((room->heads.n + 1) * sizeof(hs_stored *))))
        return false;
    for (size_t i = 0; i < room->heads.n; i++)
        if (!has_parent(s->ev, room->head_events[i]->ev->event_id))
            heads[n++] = room->head_events[i];
    heads[n++] = s;
    ok = hs_room_set_heads(room, heads, n);
    if (heads != few)
        free(heads);
    return ok;
}

static bool count_member(hs_server *srv, hs_room *room, const hs_news_event *e)
{
    room->joined += (e->membership == HS_MEMBER_JOIN) - (e->was == HS_MEMBER_JOIN);
    room->invited += (e->membership == HS_MEMBER_INVITE) - (e->was == HS_MEMBER_INVITE);
    room->members_version++;
    room->heroes.known = false;
    if (!e->event || !hs_user_is_local(srv, e->event->ev->state_key))
        return true;
    return hs_room_set_local(room, e->target, e->membership == HS_MEMBER_JOIN);
}

/* A state event that moves the state in memory on by one replaces what is in its slot now. */
static void note_replaced(const hs_room *room, const hs_news_event *e, hs_stored *s)
{
    bool found;
    size_t i;

    if (!s->ev->is_state || s->line != room->line || s->snap != room->snap + 1 || e->line != s->line ||
        e->snap != s->snap)
        return;
    i = hs_state_search(room->state, room->state_n, s->slot, &found);
    s->replaced = found ? room->state[i].event : HS_REPLACED_NONE;
}

static bool apply(struct hs_rooms *c, hs_room *room, int64_t pos, const hs_news_event *e)
{
    hs_stored *s = e->event ? hs_cache_event_put(c, e->event) : NULL;

    if (s)
        note_replaced(room, e, s);
    room->pos = pos;
    room->depth = e->depth > room->depth ? e->depth : room->depth;
    room->line = e->line;
    room->snap = e->snap;
    room->n_notify += e->d_notify;
    room->n_high += e->d_high;
    for (size_t i = 0; i < e->state_n; i++)
        if (!hs_room_set_state(room, e->state[i].slot, e->state[i].event))
            return false;
    if (e->target && !count_member(c->srv, room, e))
        return false;
    if (s && !move_heads(room, s))
        return false;
    if (!hs_room_append_recent(room, pos, s, e->line, e->snap))
        return false;
    if (room->is_new) {
        room->is_new = false;
        room->create = s ? s->nid : 0;
        if (!hs_map_put(c->room_ids, room->id, entry_of(room), NULL))
            return false;
    }
    return true;
}

/* A resolution may change more than its event, or something else: who is a member is read again then. So are heads that
 * do not follow from the event's parents. */
static bool surprises(const hs_news_event *e)
{
    if (e->state_n > 1 || (e->event && !e->heads_n))
        return true;
    return e->state_n == 1 && (!e->event || e->state[0].event != e->event->nid);
}

void hs_cache_told(void *ud, int64_t first, const hs_news *news)
{
    struct hs_rooms *c = ud;

    for (size_t i = 0; i < news->events_n; i++) {
        const hs_news_event *e = &news->events[i];
        entry *en = hs_map_get_n(c->rooms, (uint64_t)e->room);
        int64_t pos = first + e->at;

        if (!e->event) { /* a marker: what is known of the room may have been deleted */
            if (en && pos > en->r.pos)
                room_forget(c, en);
            hs_cache_events_forget_room(c, e->room);
        } else if (en && pos > en->r.pos) {
            if (!surprises(e) && apply(c, &en->r, pos, e))
                account(c, en);
            else
                room_forget(c, en);
        }
        if (e->redacts)
            hs_cache_event_redact(c, e->redacts, e->event ? e->event->nid : 0);
    }
}
