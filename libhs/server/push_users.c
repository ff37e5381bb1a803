/* See push_users.h. A user's entry is read anew after news of their rules. The list of a room is made of the users who
 * had rules when it was read, whoever has joined since, and goes when it may miss somebody: a user's first change tells
 * no room, so it makes all lists old; after that the user is in them. */
#include "server/push_users.h"

#include "base/checked.h"
#include "server/names.h"
#include "server/push_rules.h"
#include "store/push_rules.h"

#include <stdlib.h>

/* Budgets at factor 1. */
#define USERS_BYTES  HS_MIB(32)
#define ROOMS_BYTES  HS_MIB(8)
#define RULES_ARENA  HS_MIB(32) /* of one set */
#define READ_ARENA   HS_MIB(128)
#define READ_AT_ONCE 32
#define ROUNDS       5

typedef struct {
    hs_lru_link lru;
    hs_nid room;
    hs_nid *at;
    size_t n, cap;
    uint64_t epoch;
    uint32_t version; /* moves with every change of members */
    bool loaded;
    uint64_t known_version; /* of hs_push_users, when all of them were known … */
    uint32_t known_list;    /* … and of this list */
} room_list;

static hs_push_user *user_of_link(hs_lru_link *l)
{
    return (hs_push_user *)(void *)((char *)l - offsetof(hs_push_user, lru));
}

static size_t list_bytes(const room_list *r)
{
    return sizeof *r + r->cap * sizeof *r->at + HS_CACHE_SLOT;
}

/* ── sets ── */
static void shape_unref(hs_push_users *u, hs_push_shape *s)
{
    if (!s || --s->refs)
        return;
    hs_map_remove_n(u->shapes, (uint64_t)s->shape);
    u->cache.bytes -= s->bytes;
    hs_arena_close(s->a);
    free(s);
}

static hs_error *compile(hs_push_users *u, hs_arena *own, hs_str changes, hs_pushrules **ret)
{
    hs_str json;

    hs_arena_reset(u->scratch);
    HS_TRY(hs_pushrules_json(u->scratch, hs_push_anybody, changes, u->features, &json));
    return hs_pushrules_compile_onto(own, u->scratch, u->base, json, ret);
}

/* A reference. *ret NULL: what is stored cannot be read, which leaves the user with the default rules. */
static hs_error *shape_get(hs_server *srv, hs_push_users *u, hs_str changes, hs_push_shape **ret)
{
    int64_t shape = hs_push_rules_shape(changes);
    hs_push_shape *s = hs_map_get_n(u->shapes, (uint64_t)shape);
    hs_error *e;

    *ret = s;
    if (s) {
        s->refs++;
        return NULL;
    }
    s = calloc(1, sizeof *s);
    if (!s)
        return HS_ERR_NOMEM;
    s->a = hs_arena_open(RULES_ARENA);
    e = s->a ? compile(u, s->a, changes, &s->rules) : HS_ERR_NOMEM;
    if (!e && !hs_map_put_n(u->shapes, (uint64_t)shape, s, NULL))
        e = HS_ERR_NOMEM;
    if (e) {
        if (e != HS_ERR_NOMEM)
            hs_log_error(srv->log, HS_LOG_WARN, HS_S("-"), "push_rules.unreadable", e);
        if (s->a)
            hs_arena_close(s->a);
        free(s);
        return e == HS_ERR_NOMEM ? e : NULL;
    }
    s->shape = shape;
    s->refs = 1;
    s->bytes = sizeof *s + HS_CACHE_SLOT + ((hs_arena_used(s->a) + HS_KIB(4)) & ~(HS_KIB(4) - 1));
    u->cache.bytes += s->bytes;
    *ret = s;
    return NULL;
}

/* ── users ── */
static void forget_user(hs_push_users *u, hs_push_user *x)
{
    u->version++;
    hs_map_remove_n(u->users, (uint64_t)x->user);
    hs_lru_drop(&x->lru);
    hs_cache_removed(&u->cache, sizeof *x + HS_CACHE_SLOT);
    shape_unref(u, x->shape);
    free(x);
}

static void trim(void *ud)
{
    hs_push_users *u = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&u->cache)); u->cache.evicted++)
        forget_user(u, user_of_link(l));
}

static hs_push_user *user_get_or_make(hs_push_users *u, hs_nid user)
{
    hs_push_user *x = hs_map_get_n(u->users, (uint64_t)user);

    if (!x) {
        x = calloc(1, sizeof *x);
        if (!x || !hs_map_put_n(u->users, (uint64_t)user, x, NULL)) {
            free(x);
            return NULL;
        }
        x->user = user;
        hs_cache_added(&u->cache, sizeof *x + HS_CACHE_SLOT);
    }
    hs_lru_touch(&u->cache.lru, &x->lru);
    return x;
}

hs_push_user *hs_push_user_get(hs_push_users *u, hs_nid user)
{
    return hs_map_get_n(u->users, (uint64_t)user);
}

/* A user's rules as they were read, unless news have come since. */
static void settle(hs_push_users *u, hs_nid user, uint32_t version, hs_push_shape *shape)
{
    hs_push_user *x = hs_map_get_n(u->users, (uint64_t)user);

    if (!x || x->known || x->version != version) {
        shape_unref(u, shape);
        return;
    }
    shape_unref(u, x->shape);
    x->shape = shape;
    x->known = true;
}

static hs_error *read_slice(hs_server *srv, hs_push_users *u, hs_arena *request, hs_nids users,
                            const uint32_t *versions)
{
    hs_arena *a = hs_arena_open(READ_ARENA);
    hs_push_changes_row *rows;
    size_t n, k;
    hs_error *e;

    if (!a)
        return HS_ERR_NOMEM;
    e = hs_store_push_changes(srv->db, a, users, &rows, &n);
    for (size_t i = 0; i < users.n && !e; i++) {
        hs_push_shape *shape = NULL;

        for (k = 0; k < n && rows[k].user != users.at[i]; k++)
            ;
        if (k < n)
            e = shape_get(srv, u, rows[k].changes, &shape);
        if (!e)
            settle(u, users.at[i], versions[i], shape);
    }
    if (e && e != HS_ERR_NOMEM) { /* it goes with its arena */
        hs_log_error(srv->log, HS_LOG_WARN, HS_S("-"), "push_rules.read_failed", e);
        e = hs_err_later(request, 503, HS_M_UNKNOWN, 1000, "database");
    }
    hs_arena_close(a);
    return e;
}

/* Users of a list whose entries are not known; made when missing. */
static hs_error *missing_of(hs_push_users *u, hs_arena *a, hs_nids users, hs_nids *ret, uint32_t **ret_versions)
{
    hs_nid *at;
    size_t n = 0;

    HS_TRY(hs_alloc(a, users.n, &at));
    HS_TRY(hs_alloc(a, users.n, ret_versions));
    for (size_t i = 0; i < users.n; i++) {
        hs_push_user *x = user_get_or_make(u, users.at[i]);

        if (!x)
            return HS_ERR_NOMEM;
        hs_cache_asked(&u->cache, x->known);
        if (x->known)
            continue;
        (*ret_versions)[n] = x->version;
        at[n++] = users.at[i];
    }
    *ret = (hs_nids){ at, n };
    return NULL;
}

hs_error *hs_push_users_need(hs_server *srv, hs_push_users *u, hs_arena *a, hs_nids users)
{
    trim(u); /* before: what is needed now stays however small the budget is */
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t *versions;
        hs_nids missing = { 0 };

        HS_TRY(missing_of(u, a, users, &missing, &versions));
        if (!missing.n)
            return NULL;
        for (size_t at = 0; at < missing.n; at += READ_AT_ONCE) {
            size_t n = missing.n - at < READ_AT_ONCE ? missing.n - at : READ_AT_ONCE;
            HS_TRY(read_slice(srv, u, a, (hs_nids){ missing.at + at, n }, versions + at));
        }
    }
    return NULL;
}

/* ── rooms ── */
static void forget_list(hs_push_users *u, room_list *r)
{
    hs_map_remove_n(u->rooms, (uint64_t)r->room);
    hs_lru_drop(&r->lru);
    hs_cache_removed(&u->rooms_cache, list_bytes(r));
    free(r->at);
    free(r);
}

static room_list *list_of_link(hs_lru_link *l)
{
    return (room_list *)(void *)((char *)l - offsetof(room_list, lru));
}

static void trim_rooms(void *ud)
{
    hs_push_users *u = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&u->rooms_cache)); u->rooms_cache.evicted++)
        forget_list(u, list_of_link(l));
}

static room_list *list_get_or_make(hs_push_users *u, hs_nid room)
{
    room_list *r = hs_map_get_n(u->rooms, (uint64_t)room);

    if (!r) {
        trim_rooms(u);
        r = calloc(1, sizeof *r);
        if (!r || !hs_map_put_n(u->rooms, (uint64_t)room, r, NULL)) {
            free(r);
            return NULL;
        }
        r->room = room;
        hs_cache_added(&u->rooms_cache, list_bytes(r));
    }
    hs_lru_touch(&u->rooms_cache.lru, &r->lru);
    return r;
}

static bool list_add(hs_push_users *u, room_list *r, hs_nid user)
{
    size_t was = list_bytes(r);

    for (size_t i = 0; i < r->n; i++)
        if (r->at[i] == user)
            return true;
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        hs_nid *at = realloc(r->at, cap * sizeof *at);

        if (!at)
            return false;
        r->at = at;
        r->cap = cap;
        hs_cache_resized(&u->rooms_cache, was, list_bytes(r));
    }
    r->at[r->n++] = user;
    return true;
}

static hs_error *load_list(hs_server *srv, hs_push_users *u, hs_arena *a, const hs_room *room)
{
    for (int round = 0; round < ROUNDS; round++) {
        room_list *r = list_get_or_make(u, room->nid);
        hs_nids members = { NULL, room->local_members_n };
        hs_push_shape_row *rows;
        uint32_t version;
        uint64_t epoch;
        hs_nid *copy;
        size_t n;

        if (!r)
            return HS_ERR_NOMEM;
        version = r->version;
        epoch = u->epoch;
        HS_TRY(hs_alloc(a, members.n, &copy));
        memcpy(copy, room->local_members, members.n * sizeof *copy);
        members.at = copy;
        HS_TRY(hs_store_push_shapes(srv->db, a, members, &rows, &n));
        r = hs_map_get_n(u->rooms, (uint64_t)room->nid);
        if (!r || r->version != version || u->epoch != epoch)
            continue;
        r->n = 0;
        for (size_t i = 0; i < n; i++)
            if (!list_add(u, r, rows[i].user))
                return HS_ERR_NOMEM;
        r->epoch = epoch;
        r->loaded = true;
        r->known_version = 0;
        return NULL;
    }
    return NULL;
}

hs_error *hs_push_users_of(hs_server *srv, hs_push_users *u, hs_arena *a, const hs_room *room, hs_nids *ret)
{
    room_list *r = hs_map_get_n(u->rooms, (uint64_t)room->nid);
    hs_nid *at;

    *ret = (hs_nids){ 0 };
    if (!room->local_members_n)
        return NULL;
    hs_cache_asked(&u->rooms_cache, r && r->loaded && r->epoch == u->epoch);
    if (!r || !r->loaded || r->epoch != u->epoch)
        HS_TRY(load_list(srv, u, a, room));
    r = hs_map_get_n(u->rooms, (uint64_t)room->nid);
    if (!r || !r->loaded || r->epoch != u->epoch) { /* it moves faster than it can be read: everybody may have rules */
        HS_TRY(hs_alloc(a, room->local_members_n, &at));
        memcpy(at, room->local_members, room->local_members_n * sizeof *at);
        *ret = (hs_nids){ at, room->local_members_n };
        return NULL;
    }
    HS_TRY(hs_alloc(a, r->n, &at));
    if (r->n)
        memcpy(at, r->at, r->n * sizeof *at);
    *ret = (hs_nids){ at, r->n };
    return NULL;
}

bool hs_push_users_known(const hs_push_users *u, hs_nid room)
{
    const room_list *r = hs_map_get_n(u->rooms, (uint64_t)room);

    return r && r->loaded && r->epoch == u->epoch && r->known_version == u->version && r->known_list == r->version;
}

void hs_push_users_all(hs_push_users *u, hs_nid room)
{
    room_list *r = hs_map_get_n(u->rooms, (uint64_t)room);

    for (size_t i = 0; r && i < r->n; i++) {
        const hs_push_user *x = hs_map_get_n(u->users, (uint64_t)r->at[i]);
        if (!x || !x->known)
            return;
    }
    if (r) {
        r->known_version = u->version;
        r->known_list = r->version;
    }
}

/* ── news ── */
static void hear_rules(hs_push_users *u, hs_nid user)
{
    hs_push_user *x = hs_map_get_n(u->users, (uint64_t)user);

    if (!x || !x->listed)
        u->epoch++;
    if (!x)
        x = user_get_or_make(u, user); /* so that the next change of the same user is not another first one */
    if (x) {
        x->listed = true;
        x->known = false;
        x->version++;
        u->version++;
    }
}

/* The account has changed, perhaps ended: its rules may have gone without news of their own. */
static void hear_account(hs_push_users *u, hs_nid user)
{
    hs_push_user *x = hs_map_get_n(u->users, (uint64_t)user);

    if (x && x->known) {
        x->known = false;
        x->version++;
        u->version++;
    }
}

static void hear_member(hs_push_users *u, const hs_news_event *e)
{
    room_list *r = hs_map_get_n(u->rooms, (uint64_t)e->room);
    bool here = e->membership == HS_MEMBER_JOIN;

    if (!r || here == (e->was == HS_MEMBER_JOIN))
        return;
    r->version++;
    if (here && !list_add(u, r, e->target))
        r->loaded = false;
    for (size_t i = 0; i < r->n && !here; i++)
        if (r->at[i] == e->target)
            r->at[i--] = r->at[--r->n];
}

void hs_push_users_hear(hs_server *srv, hs_push_users *u, const hs_news *news)
{
    for (size_t i = 0; i < news->events_n; i++) {
        const hs_news_event *e = &news->events[i];

        if (e->target && e->event && hs_user_is_local(srv, e->event->ev->state_key))
            hear_member(u, e);
    }
    for (size_t i = 0; i < news->users_n; i++) {
        if (news->users[i].what == HS_NEWS_PUSH_RULES)
            hear_rules(u, news->users[i].user);
        if (news->users[i].what == HS_NEWS_FLAGS && !news->users[i].type.n)
            hear_account(u, news->users[i].user);
    }
}

/* ── lifetime ── */
hs_error *hs_push_users_open(hs_server *srv, const hs_pushrules *base, hs_push_users *u)
{
    u->base = base;
    u->features = hs_push_features(srv->config);
    u->version = 1; /* 0: a list of which nothing is known */
    u->scratch = hs_arena_open(RULES_ARENA);
    u->users = hs_map_open(srv->hash_seed);
    u->shapes = hs_map_open(srv->hash_seed);
    u->rooms = hs_map_open(srv->hash_seed);
    if (!u->scratch || !u->users || !u->shapes || !u->rooms)
        return HS_ERR_NOMEM;
    hs_cache_open(srv->caches, &u->cache, "push_rules", USERS_BYTES, trim, u);
    hs_cache_open(srv->caches, &u->rooms_cache, "push_rooms", ROOMS_BYTES, trim_rooms, u);
    return NULL;
}

void hs_push_users_close(hs_push_users *u)
{
    while (u->cache.name && u->cache.lru.prev != &u->cache.lru)
        forget_user(u, user_of_link(u->cache.lru.prev));
    while (u->rooms_cache.name && u->rooms_cache.lru.prev != &u->rooms_cache.lru)
        forget_list(u, list_of_link(u->rooms_cache.lru.prev));
    if (u->scratch)
        hs_arena_close(u->scratch);
    hs_map_close(u->users);
    hs_map_close(u->shapes);
    hs_map_close(u->rooms);
}
