/* See push_eval.h. */
#include "server/push_eval.h"

#include "base/checked.h"
#include "base/vec.h"
#include "core/ids.h"
#include "core/pushrules.h"
#include "server/names.h"
#include "server/nid_lists.h"
#include "server/relations.h"
#include "store/unread.h"

#include <stdlib.h>

#define RULES_ARENA HS_MIB(1)
/* Budgets at factor 1. */
#define RULES_BYTES    HS_MIB(32)
#define NAMES_BYTES    HS_MIB(32)
#define IGNORERS_BYTES HS_MIB(16)
#define TRIM_TRIES     16

/* A local member and by which first word of a message their names may be meant: 0: by any. */
typedef struct {
    hs_nid user;
    char *name; /* NULL: none */
    size_t name_n;
    uint64_t name_word, local_word;
} member_name;

typedef struct {
    hs_lru_link lru;
    hs_nid room;
    member_name *at;
    size_t n, cap, bytes;
    bool loaded;
    uint32_t version, refs; /* refs: loads under way */
} room_names;

typedef struct {
    hs_lru_link lru;
    hs_nid user;
    hs_arena *a;
    hs_pushrules *rules;
    size_t bytes;
} user_rules;

struct hs_push {
    user_rules base; /* for somebody who is not meant */
    hs_map *rules;   /* user → user_rules */
    hs_map *rooms;   /* room → room_names */
    hs_cache rules_cache, rooms_cache;
    hs_nid_lists ignorers; /* user → local users who ignore them */
};

/* ── words ── */
static bool word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Cuts the next run of ASCII word characters; its hash, caseless and never 0. */
static bool next_word(hs_str s, size_t *at, uint64_t *ret)
{
    uint64_t h = 14695981039346656037u;
    size_t i = *at;

    while (i < s.n && !word_char(s.p[i]))
        i++;
    if (i == s.n)
        return false;
    for (; i < s.n && word_char(s.p[i]); i++) {
        unsigned char c = (unsigned char)s.p[i];

        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 1099511628211u;
    }
    *at = i;
    *ret = h ? h : 1;
    return true;
}

/* A name can only be in a text that has its first word as a whole word; names with wildcards or without ASCII words are
 * always tried. */
static uint64_t first_word(hs_str name)
{
    uint64_t h;
    size_t at = 0;

    if (hs_str_find(name, '*', 0) < name.n || hs_str_find(name, '?', 0) < name.n || !next_word(name, &at, &h))
        return 0;
    return h;
}

typedef struct {
    uint64_t *at;
    size_t mask;
} word_set;

static hs_error *words_of(hs_arena *a, hs_str text, word_set *ret)
{
    size_t n = 0, at = 0, size = 8;
    uint64_t h;

    while (next_word(text, &at, &h))
        n++;
    while (size < n * 2)
        size *= 2;
    HS_TRY(hs_alloc(a, size, &ret->at));
    ret->mask = size - 1;
    at = 0;
    while (next_word(text, &at, &h)) {
        size_t i = (size_t)h & ret->mask;

        while (ret->at[i] && ret->at[i] != h)
            i = (i + 1) & ret->mask;
        ret->at[i] = h;
    }
    return NULL;
}

static bool has_word(const word_set *w, uint64_t h)
{
    if (!h)
        return true;
    for (size_t i = (size_t)h & w->mask; w->at[i]; i = (i + 1) & w->mask) {
        if (w->at[i] == h)
            return true;
    }
    return false;
}

/* ── names of the local members ── */
static void set_name(member_name *m, hs_str name)
{
    free(m->name);
    m->name = name.n ? malloc(name.n) : NULL;
    m->name_n = m->name ? name.n : 0;
    if (m->name)
        memcpy(m->name, name.p, name.n);
    m->name_word = m->name ? first_word(name) : 1; /* 1 is in no text but by chance */
}

static hs_error *push_name(room_names *r, hs_nid user, hs_str user_id, hs_str name)
{
    hs_id id;

    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        member_name *at = realloc(r->at, cap * sizeof *at);

        if (!at)
            return HS_ERR_NOMEM;
        r->at = at;
        r->cap = cap;
    }
    r->at[r->n] = (member_name){ .user = user };
    r->at[r->n].local_word = hs_user_id_parse(user_id, &id) ? first_word(id.local) : 0;
    set_name(&r->at[r->n], name);
    r->n++;
    return NULL;
}

static void drop_names(room_names *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->at[i].name);
    r->n = 0;
    r->loaded = false;
}

static room_names *names_of_link(hs_lru_link *l)
{
    return (room_names *)(void *)((char *)l - offsetof(room_names, lru));
}

static void forget_names(struct hs_push *p, room_names *r)
{
    hs_map_remove_n(p->rooms, (uint64_t)r->room);
    hs_lru_drop(&r->lru);
    hs_cache_removed(&p->rooms_cache, r->bytes);
    drop_names(r);
    free(r->at);
    free(r);
}

static void trim_names(void *ud)
{
    struct hs_push *p = ud;
    hs_lru_link *last;

    for (int i = 0; i < TRIM_TRIES && (last = hs_cache_oldest(&p->rooms_cache)); i++) {
        room_names *r = names_of_link(last);
        if (r->refs) {
            hs_lru_touch(&p->rooms_cache.lru, &r->lru);
        } else {
            forget_names(p, r);
            p->rooms_cache.evicted++;
            i = 0;
        }
    }
}

static void account_names(struct hs_push *p, room_names *r)
{
    size_t is = sizeof *r + HS_CACHE_SLOT + r->cap * sizeof *r->at;

    for (size_t i = 0; i < r->n; i++)
        is += r->at[i].name_n;
    hs_cache_resized(&p->rooms_cache, r->bytes, is);
    r->bytes = is;
}

static hs_error *load_names(hs_server *srv, hs_arena *a, hs_room *room, room_names *r)
{
    for (int round = 0;; round++) {
        uint32_t version = r->version;
        size_t n = room->local_members_n;
        hs_nid *users, *nids;
        hs_stored **members;
        hs_str *ids;

        HS_TRY(hs_alloc(a, n, &users));
        HS_TRY(hs_alloc(a, n, &nids));
        HS_TRY(hs_alloc(a, n, &ids));
        HS_TRY(hs_alloc(a, n, &members));
        if (n)
            memcpy(users, room->local_members, n * sizeof *users);
        HS_TRY(hs_user_names(srv, a, users, n, ids));
        for (size_t i = 0; i < n; i++)
            nids[i] = hs_room_state_nid(srv, room, HS_S("m.room.member"), ids[i]);
        HS_TRY(hs_events_load(srv, a, room->nid, nids, n, members));
        if (r->loaded)
            return NULL;
        if (version != r->version && round < 5)
            continue;
        drop_names(r);
        for (size_t i = 0; i < n; i++) {
            hs_str name = { NULL, 0 };

            if (members[i])
                name = hs_jv_str_or_null(hs_jv_get(members[i]->ev->content, HS_S("displayname")));
            HS_TRY(push_name(r, users[i], ids[i], name));
        }
        r->loaded = true;
        return NULL;
    }
}

static room_names *names_new(struct hs_push *p, hs_nid room)
{
    room_names *r = calloc(1, sizeof *r);

    if (!r || !hs_map_put_n(p->rooms, (uint64_t)room, r, NULL)) {
        free(r);
        return NULL;
    }
    r->room = room;
    hs_cache_added(&p->rooms_cache, 0);
    hs_lru_touch(&p->rooms_cache.lru, &r->lru);
    return r;
}

/* Valid until the next suspension. */
static hs_error *names_of(hs_server *srv, hs_arena *a, hs_room *room, room_names **ret)
{
    struct hs_push *p = srv->push;
    room_names *r = hs_map_get_n(p->rooms, (uint64_t)room->nid);
    hs_error *e;

    hs_cache_asked(&p->rooms_cache, r && r->loaded);
    if (!r)
        r = names_new(p, room->nid);
    if (!r)
        return HS_ERR_NOMEM;
    hs_lru_touch(&p->rooms_cache.lru, &r->lru);
    if (!r->loaded) {
        r->refs++;
        e = load_names(srv, a, room, r);
        account_names(p, r);
        trim_names(p);
        r->refs--;
        if (e)
            return e;
    }
    *ret = r;
    return NULL;
}

static void hear_member(room_names *r, const hs_news_event *e)
{
    size_t i = 0;

    r->version++;
    if (!r->loaded)
        return;
    while (i < r->n && r->at[i].user != e->target)
        i++;
    if (e->membership == HS_MEMBER_JOIN) {
        hs_str name = hs_jv_str_or_null(hs_jv_get(e->event->ev->content, HS_S("displayname")));

        if (i < r->n)
            set_name(&r->at[i], name);
        else if (push_name(r, e->target, e->event->ev->state_key, name))
            drop_names(r);
    } else if (i < r->n) {
        free(r->at[i].name);
        r->at[i] = r->at[--r->n];
    }
}

/* ── who ignores whom ── */
static hs_error *ignorers_of(hs_server *srv, hs_arena *a, hs_nid user, hs_nids *ret)
{
    hs_nid_lists *l = &srv->push->ignorers;
    uint64_t mark;
    bool found;

    HS_TRY(hs_nid_lists_get(l, a, user, ret, &found, &mark));
    if (found)
        return NULL;
    HS_TRY(hs_store_ignored_by(srv->db, a, user, ret));
    hs_nid_lists_put(l, user, *ret, mark);
    return NULL;
}

/* ── rules ── */
static void rules_free(user_rules *u)
{
    if (!u)
        return;
    hs_arena_close(u->a);
    free(u);
}

static hs_error *compile(hs_arena *a, hs_str user_id, user_rules *ret)
{
    hs_str json;
    hs_arena *own = hs_arena_open(RULES_ARENA);
    hs_error *e;

    if (!own)
        return HS_ERR_NOMEM;
    e = hs_pushrules_default_json(own, user_id, &json);
    if (!e)
        e = hs_pushrules_compile(own, json, &ret->rules);
    if (e) {
        e = hs_err_internal(a, NULL, "compiling push rules: %.*s", HS_FMT(e->message));
        hs_arena_close(own);
        return e;
    }
    ret->a = own;
    return NULL;
}

static void forget_rules(struct hs_push *p, user_rules *u)
{
    hs_map_remove_n(p->rules, (uint64_t)u->user);
    hs_lru_drop(&u->lru);
    hs_cache_removed(&p->rules_cache, u->bytes);
    rules_free(u);
}

static user_rules *rules_of_link(hs_lru_link *l)
{
    return (user_rules *)(void *)((char *)l - offsetof(user_rules, lru));
}

static void trim_rules(void *ud)
{
    struct hs_push *p = ud;

    for (hs_lru_link *l; (l = hs_cache_oldest(&p->rules_cache)); p->rules_cache.evicted++)
        forget_rules(p, rules_of_link(l));
}

/* Does not suspend; valid until the next suspension. */
static hs_error *rules_of(hs_server *srv, hs_arena *a, hs_nid user, hs_str user_id, const hs_pushrules **ret)
{
    struct hs_push *p = srv->push;
    user_rules *u = hs_map_get_n(p->rules, (uint64_t)user);
    hs_error *e;

    hs_cache_asked(&p->rules_cache, u != NULL);
    if (!u) {
        trim_rules(p); /* before, so that this one stays however small the budget is */
        u = calloc(1, sizeof *u);
        if (!u)
            return HS_ERR_NOMEM;
        u->user = user;
        e = compile(a, user_id, u);
        if (!e && !hs_map_put_n(p->rules, (uint64_t)user, u, NULL))
            e = HS_ERR_NOMEM;
        if (e) {
            rules_free(u);
            return e;
        }
        u->bytes = sizeof *u + HS_CACHE_SLOT + ((hs_arena_used(u->a) + HS_KIB(4)) & ~(HS_KIB(4) - 1));
        hs_cache_added(&p->rules_cache, u->bytes);
    }
    hs_lru_touch(&p->rules_cache.lru, &u->lru);
    *ret = u->rules;
    return NULL;
}

/* ── evaluation ── */
typedef struct {
    hs_server *srv;
    hs_arena *a;
    const hs_event *ev;
    hs_push_ctx ctx;
    hs_push_result base;
    hs_nid thread;
    HS_VEC(hs_news_note) notes;
} evaluation;

static hs_error *add_note(evaluation *v, hs_nid user, int notify, int high)
{
    hs_news_note n = { .user = user, .d_notify = notify, .d_high = high, .thread = v->thread };

    for (size_t i = 0; i < v->notes.n; i++) {
        if (v->notes.at[i].user == user)
            return NULL;
    }
    return notify || high ? hs_vec_push(v->a, &v->notes, n) : NULL;
}

/* A user who may be meant: their own verdict against everybody's. */
static hs_error *try_member(evaluation *v, hs_nid user, hs_str display_name)
{
    const hs_pushrules *rules;
    hs_push_ctx ctx = v->ctx;
    hs_push_result r;
    hs_id id;

    HS_TRY(hs_user_name(v->srv, v->a, user, &ctx.user_id));
    if (!hs_user_id_parse(ctx.user_id, &id))
        return NULL;
    ctx.localpart = id.local;
    ctx.display_name = display_name;
    HS_TRY(rules_of(v->srv, v->a, user, ctx.user_id, &rules));
    r = hs_push_eval(rules, v->ev, &ctx);
    return add_note(v, user, r.notify - v->base.notify, (r.notify && r.highlight) - v->base.highlight);
}

/* Those who may be meant, copied: what is remembered of a room may change or go while one of them is looked up. */
typedef struct {
    hs_nid user;
    hs_str name;
} meant;
typedef HS_VEC(meant) meant_list;

static hs_error *add_meant(evaluation *v, meant_list *list, const member_name *m)
{
    meant x = { .user = m->user };

    HS_TRY(hs_str_dup(v->a, hs_str_make(m->name, m->name_n), &x.name));
    return hs_vec_push(v->a, list, x);
}

/* content["m.mentions"] names those who are meant … */
static hs_error *find_mentions(evaluation *v, hs_jv mentions, hs_room *room, meant_list *list)
{
    hs_jv ids = hs_jv_get(mentions, HS_S("user_ids"));
    HS_VEC(hs_nid) users = { 0 };
    room_names *names;

    if (hs_jv_type_of(ids) != HS_JV_ARR)
        return NULL;
    for (hs_jv_iter it = { 0 }; hs_jv_next(ids, &it);) {
        hs_str id;
        hs_nid user;

        if (!hs_jv_str(it.value, &id) || !hs_user_is_local(v->srv, id))
            continue;
        HS_TRY(hs_user_nid_find(v->srv, v->a, id, &user));
        if (user)
            HS_TRY(hs_vec_push(v->a, &users, user));
    }
    HS_TRY(names_of(v->srv, v->a, room, &names));
    for (size_t k = 0; k < users.n; k++) {
        for (size_t i = 0; i < names->n; i++) {
            if (names->at[i].user == users.at[k]) {
                HS_TRY(add_meant(v, list, &names->at[i]));
                break;
            }
        }
    }
    return NULL;
}

/* … without it whoever's name is in the text. */
static hs_error *find_named(evaluation *v, hs_str body, hs_room *room, meant_list *list)
{
    room_names *names;
    word_set words;

    HS_TRY(words_of(v->a, body, &words));
    HS_TRY(names_of(v->srv, v->a, room, &names));
    for (size_t i = 0; i < names->n; i++) {
        const member_name *m = &names->at[i];

        if (has_word(&words, m->name_word) || has_word(&words, m->local_word))
            HS_TRY(add_meant(v, list, m));
    }
    return NULL;
}

/* Only @room asks for power levels. */
static hs_error *read_power(evaluation *v, hs_room *room, hs_jv mentions, hs_str body)
{
    hs_state_view view;
    bool room_mention = false;

    if (hs_jv_is(mentions)) {
        if (!hs_jv_bool(hs_jv_get(mentions, HS_S("room")), &room_mention) || !room_mention)
            return NULL;
    } else if (!body.n || !memmem(body.p, body.n, "@room", 5)) {
        return NULL;
    }
    HS_TRY(hs_room_view(v->srv, v->a, room, NULL, 0, &view));
    v->ctx.sender_power = hs_auth_power(room->rv, &view, v->ev->sender);
    v->ctx.room_notification_power = hs_auth_notification_level(room->rv, &view, HS_S("room"));
    return NULL;
}

hs_error *hs_push_eval_event(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *event, hs_push_outcome *ret)
{
    evaluation v = { .srv = srv, .a = a, .ev = event->ev };
    hs_jv mentions = hs_jv_get(v.ev->content, HS_S("m.mentions"));
    hs_str body = hs_jv_str_or_null(hs_jv_get(v.ev->content, HS_S("body")));
    meant_list list = { 0 };
    hs_nids ignorers;

    *ret = (hs_push_outcome){ 0 };
    if (event->flags & (HS_EV_OUTLIER | HS_EV_REJECTED | HS_EV_SOFT_FAILED) || !room->local_members_n)
        return NULL;
    HS_TRY(hs_thread_of(srv, a, room, v.ev->content, &v.thread));
    v.ctx.room_members = room->joined;
    HS_TRY(read_power(&v, room, mentions, body));
    v.base = hs_push_eval(srv->push->base.rules, v.ev, &v.ctx);
    v.base.highlight = v.base.notify && v.base.highlight;

    /* Nobody is told of their own events; neither are those who ignore the sender. */
    if (v.base.notify) {
        for (size_t i = 0; i < room->local_members_n; i++) {
            if (room->local_members[i] == event->sender) {
                HS_TRY(add_note(&v, event->sender, -1, -(int)v.base.highlight));
                break;
            }
        }
        HS_TRY(ignorers_of(srv, a, event->sender, &ignorers));
        for (size_t i = 0; i < ignorers.n; i++) {
            for (size_t k = 0; k < room->local_members_n; k++) {
                if (room->local_members[k] == ignorers.at[i])
                    HS_TRY(add_note(&v, ignorers.at[i], -1, -(int)v.base.highlight));
            }
        }
    }
    if (hs_jv_is(mentions) || body.n) {
        size_t settled = v.notes.n;

        HS_TRY(hs_jv_is(mentions) ? find_mentions(&v, mentions, room, &list) : find_named(&v, body, room, &list));
        for (size_t i = 0; i < list.n; i++)
            HS_TRY(try_member(&v, list.at[i].user, list.at[i].name));
        /* An event that notifies nobody else does not notify its sender by name. */
        for (size_t i = settled; i < v.notes.n; i++) {
            if (v.notes.at[i].user == event->sender)
                v.notes.at[i] = v.notes.at[--v.notes.n];
        }
    }
    if (v.thread) {
        if (v.base.notify)
            HS_TRY(add_note(&v, 0, 1, v.base.highlight));
        ret->thread_notify = v.base.notify;
    } else {
        ret->d_notify = v.base.notify;
        ret->d_high = v.base.highlight;
    }
    ret->thread = v.thread;
    ret->notes = v.notes.at;
    ret->notes_n = v.notes.n;
    return NULL;
}

/* ── lifetime ── */
static void hear_names(struct hs_push *p, room_names *r, const hs_news_event *e)
{
    hear_member(r, e);
    account_names(p, r);
}

static void drop_rules(struct hs_push *p, hs_nid user)
{
    user_rules *u = hs_map_get_n(p->rules, (uint64_t)user);

    if (u)
        forget_rules(p, u);
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    hs_server *srv = ud;

    (void)first;
    for (size_t i = 0; i < news->events_n; i++) {
        room_names *r = news->events[i].target && news->events[i].event
                            ? hs_map_get_n(srv->push->rooms, (uint64_t)news->events[i].room)
                            : NULL;

        if (r && hs_user_is_local(srv, news->events[i].event->ev->state_key))
            hear_names(srv->push, r, &news->events[i]);
    }
    for (size_t i = 0; i < news->users_n; i++) {
        const hs_news_user *u = &news->users[i];

        if (u->what == HS_NEWS_ACCOUNT_DATA && hs_str_eq(u->type, HS_S("m.ignored_user_list")))
            hs_nid_lists_clear(&srv->push->ignorers);
        if (u->what == HS_NEWS_PUSH_RULES)
            drop_rules(srv->push, u->user);
    }
}

hs_error *hs_push_open(hs_server *srv, hs_arena *a)
{
    struct hs_push *p = calloc(1, sizeof *p);

    if (!p)
        return HS_ERR_NOMEM;
    srv->push = p;
    p->rules = hs_map_open(srv->hash_seed);
    p->rooms = hs_map_open(srv->hash_seed);
    if (!p->rules || !p->rooms)
        return HS_ERR_NOMEM;
    hs_cache_open(srv->caches, &p->rules_cache, "push_rules", RULES_BYTES, trim_rules, p);
    hs_cache_open(srv->caches, &p->rooms_cache, "push_names", NAMES_BYTES, trim_names, p);
    HS_TRY(hs_nid_lists_open(srv, &p->ignorers, "ignorers", IGNORERS_BYTES));
    /* A user id that nobody has and no text holds. */
    HS_TRY(compile(a, HS_S("@\x01nobody\x01:\x01"), &p->base));
    return hs_fanout_listen(srv, hear, srv);
}

void hs_push_close(hs_server *srv)
{
    struct hs_push *p = srv->push;

    if (!p)
        return;
    if (p->rules_cache.name)
        while (p->rules_cache.lru.prev != &p->rules_cache.lru)
            forget_rules(p, rules_of_link(p->rules_cache.lru.prev));
    if (p->rooms_cache.name)
        while (p->rooms_cache.lru.prev != &p->rooms_cache.lru)
            forget_names(p, names_of_link(p->rooms_cache.lru.prev));
    hs_nid_lists_close(&p->ignorers);
    hs_map_close(p->rules);
    hs_map_close(p->rooms);
    if (p->base.a)
        hs_arena_close(p->base.a);
    free(p);
    srv->push = NULL;
}
