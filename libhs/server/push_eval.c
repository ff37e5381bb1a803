/* See push_eval.h. */
#include "server/push_eval.h"

#include "base/checked.h"
#include "base/vec.h"
#include "core/ids.h"
#include "core/pushrules.h"
#include "server/invite_rules.h"
#include "server/names.h"
#include "server/nid_lists.h"
#include "server/push_rules.h"
#include "server/push_users.h"
#include "server/relations.h"
#include "store/thread_subs.h"
#include "store/unread.h"

#include <stdlib.h>

#define RULES_ARENA HS_MIB(1)          /* of the default rules */
#define EVENT_STEPS ((size_t)32 << 20) /* some 30 ms: what all patterns of a room's members may cost an event */
/* Budgets at factor 1. */
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

struct hs_push {
    hs_arena *a;
    hs_pushrules *base; /* the default rules */
    hs_push_users users;
    uint64_t turn; /* of the evaluation under way */
    hs_map *rooms; /* room → room_names */
    hs_cache rooms_cache;
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

/* ── evaluation ── */
typedef struct {
    hs_nid user;
    hs_str id, name;
} meant;
typedef HS_VEC(meant) meant_list;

typedef struct {
    hs_server *srv;
    hs_arena *a;
    const hs_room *room;
    const hs_event *ev;
    hs_nid sender;
    hs_push_ctx ctx;
    hs_push_result base;
    hs_nid thread;
    hs_nids followers; /* of the thread, in order (MSC4306) */
    hs_nids own;       /* members who may have rules of their own */
    meant_list meant;  /* those whose names matter: copied, since what is remembered of a room may change meanwhile */
    bool ask_name, ask_power;
    HS_VEC(hs_news_note) notes;
} evaluation;

static hs_error *add_note(evaluation *v, hs_nid user, hs_push_result r)
{
    int notify = (int)r.notify - (int)v->base.notify;
    int high = (int)(r.notify && r.highlight) - (int)v->base.highlight;
    hs_news_note n = { .user = user, .d_notify = notify, .d_high = high, .thread = v->thread };

    return notify || high ? hs_vec_push(v->a, &v->notes, n) : NULL;
}

/* False when the user has a verdict already. For those whose rules are known. */
static bool first_time(evaluation *v, hs_push_user *u)
{
    if (!u)
        return true;
    if (u->turn == v->srv->push->turn)
        return false;
    u->turn = v->srv->push->turn;
    return true;
}

/* Nobody is told of their own events; neither are those who ignore the sender. */
static hs_error *judge_untold(evaluation *v, hs_nids ignorers)
{
    const hs_push_result nothing = { 0 };

    (void)first_time(v, hs_push_user_get(&v->srv->push->users, v->sender));
    if (hs_room_has_local(v->room, v->sender))
        HS_TRY(add_note(v, v->sender, nothing));
    for (size_t i = 0; i < ignorers.n; i++) {
        if (ignorers.at[i] == v->sender || !hs_room_has_local(v->room, ignorers.at[i]))
            continue;
        (void)first_time(v, hs_push_user_get(&v->srv->push->users, ignorers.at[i]));
        HS_TRY(add_note(v, ignorers.at[i], nothing));
    }
    return NULL;
}

static bool follows(const evaluation *v, hs_nid user)
{
    size_t low = 0, high = v->followers.n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (v->followers.at[mid] < user)
            low = mid + 1;
        else
            high = mid;
    }
    return low < v->followers.n && v->followers.at[low] == user;
}

/* Users who may be meant by name, or follow the thread: their own verdicts against everybody's. */
static hs_error *judge_meant(evaluation *v)
{
    for (size_t i = 0; i < v->meant.n; i++) {
        const meant *m = &v->meant.at[i];
        hs_push_user *u = hs_push_user_get(&v->srv->push->users, m->user);
        hs_push_ctx ctx = v->ctx;
        hs_id id;

        if (!u || !first_time(v, u) || !hs_user_id_parse(m->id, &id))
            continue;
        ctx.user_id = m->id;
        ctx.localpart = id.local;
        ctx.display_name = m->name;
        if (follows(v, m->user))
            ctx.followed = HS_PUSH_FOLLOWED;
        HS_TRY(add_note(v, m->user, hs_push_eval(u->shape ? u->shape->rules : v->srv->push->base, v->ev, &ctx)));
    }
    return NULL;
}

/* All others who have rules of their own: once for those who have the same ones. */
static hs_error *judge_own(evaluation *v)
{
    uint64_t turn = v->srv->push->turn;

    for (size_t i = 0; i < v->own.n; i++) {
        hs_push_user *u = hs_push_user_get(&v->srv->push->users, v->own.at[i]);

        if (!u || !u->shape || !first_time(v, u) || !hs_room_has_local(v->room, u->user))
            continue;
        if (u->shape->turn != turn) {
            u->shape->unmeant = hs_push_eval(u->shape->rules, v->ev, &v->ctx);
            u->shape->turn = turn;
        }
        HS_TRY(add_note(v, u->user, u->shape->unmeant));
    }
    return NULL;
}

static hs_error *add_meant(evaluation *v, const member_name *m)
{
    meant x = { .user = m->user };

    HS_TRY(hs_str_dup(v->a, hs_str_make(m->name, m->name_n), &x.name));
    return hs_vec_push(v->a, &v->meant, x);
}

/* content["m.mentions"] names those who are meant … */
static hs_error *find_mentions(evaluation *v, hs_jv mentions, hs_room *room)
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
                HS_TRY(add_meant(v, &names->at[i]));
                break;
            }
        }
    }
    return NULL;
}

/* … without it whoever's name is in the text. */
static hs_error *find_named(evaluation *v, hs_str body, hs_room *room)
{
    room_names *names;
    word_set words;

    HS_TRY(words_of(v->a, body, &words));
    HS_TRY(names_of(v->srv, v->a, room, &names));
    for (size_t i = 0; i < names->n; i++) {
        const member_name *m = &names->at[i];

        if (has_word(&words, m->name_word) || has_word(&words, m->local_word))
            HS_TRY(add_meant(v, m));
    }
    return NULL;
}

/* Everybody else does not follow it. */
static hs_error *find_followers(evaluation *v, const hs_room *room)
{
    if (!v->srv->config->msc4306_enabled || !v->thread)
        return NULL;
    v->ctx.followed = HS_PUSH_NOT_FOLLOWED;
    HS_TRY(hs_store_thread_followers(v->srv->db, v->a, room->nid, v->thread, &v->followers));
    for (size_t i = 0; i < v->followers.n; i++)
        if (hs_room_has_local(room, v->followers.at[i]))
            HS_TRY(hs_vec_push(v->a, &v->meant, (meant){ .user = v->followers.at[i] }));
    return NULL;
}

/* Only @room asks for power levels, and rules of one's own that do. */
static hs_error *read_power(evaluation *v, hs_room *room, hs_jv mentions, hs_str body)
{
    hs_state_view view;
    bool room_mention = false;

    if (v->ask_power) {
        room_mention = true;
    } else if (hs_jv_is(mentions)) {
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

/* The rules of all who have some, in memory until the next suspension. */
static hs_error *need_rules(evaluation *v)
{
    HS_VEC(hs_nid) users = { 0 };

    for (size_t i = 0; i < v->own.n; i++)
        HS_TRY(hs_vec_push(v->a, &users, v->own.at[i]));
    for (size_t i = 0; i < v->meant.n; i++)
        HS_TRY(hs_vec_push(v->a, &users, v->meant.at[i].user));
    return hs_push_users_need(v->srv, &v->srv->push->users, v->a, (hs_nids){ users.at, users.n });
}

static void see_what_is_asked(evaluation *v)
{
    for (size_t i = 0; i < v->own.n; i++) {
        const hs_push_user *u = hs_push_user_get(&v->srv->push->users, v->own.at[i]);

        if (u && u->shape) {
            v->ask_name |= hs_pushrules_ask_name(u->shape->rules);
            v->ask_power |= hs_pushrules_ask_power(u->shape->rules);
        }
    }
}

static hs_error *names_of_meant(evaluation *v)
{
    for (size_t i = 0; i < v->meant.n; i++)
        HS_TRY(hs_user_name(v->srv, v->a, v->meant.at[i].user, &v->meant.at[i].id));
    return NULL;
}

/* A membership is news to the one whose it is, and to nobody else: as in Synapse, which spares large rooms their joins.
 */
static hs_error *judge_member(evaluation *v, hs_room *room)
{
    hs_str name = hs_jv_str_or_null(hs_jv_get(v->ev->content, HS_S("displayname")));
    hs_invite_rule rule = HS_INVITE_ALLOW;
    hs_nid user;

    if (!hs_user_is_local(v->srv, v->ev->state_key) || hs_str_eq(v->ev->state_key, v->ev->sender))
        return NULL;
    HS_TRY(hs_user_nid_find(v->srv, v->a, v->ev->state_key, &user));
    if (!user || (!hs_room_has_local(room, user) && v->ev->membership != HS_MEMBER_INVITE))
        return NULL;
    if (v->ev->membership == HS_MEMBER_INVITE)
        HS_TRY(hs_invite_rule_of(v->srv, v->a, user, v->ev->sender, &rule));
    if (rule != HS_INVITE_ALLOW)
        return NULL;
    HS_TRY(hs_vec_push(v->a, &v->meant, (meant){ .user = user, .id = v->ev->state_key, .name = name }));
    v->own = (hs_nids){ &user, 1 };
    HS_TRY(need_rules(v));
    see_what_is_asked(v);
    HS_TRY(read_power(v, room, (hs_jv){ 0 }, HS_S("")));
    HS_TRY(need_rules(v));
    v->srv->push->turn++;
    return judge_meant(v);
}

static hs_error *judge_all(evaluation *v, hs_room *room)
{
    hs_jv mentions = hs_jv_get(v->ev->content, HS_S("m.mentions"));
    hs_str body = hs_jv_str_or_null(hs_jv_get(v->ev->content, HS_S("body")));
    struct hs_push *p = v->srv->push;
    hs_nids ignorers;

    HS_TRY(hs_push_users_of(v->srv, &p->users, v->a, room, &v->own));
    if (!hs_push_users_known(&p->users, room->nid)) {
        HS_TRY(need_rules(v));
        hs_push_users_all(&p->users, room->nid);
    }
    see_what_is_asked(v);
    HS_TRY(read_power(v, room, mentions, body));
    HS_TRY(ignorers_of(v->srv, v->a, v->sender, &ignorers));
    if (hs_jv_is(mentions))
        HS_TRY(find_mentions(v, mentions, room));
    if (body.n && (v->ask_name || !hs_jv_is(mentions)))
        HS_TRY(find_named(v, body, room));
    HS_TRY(find_followers(v, room)); /* after those of whom more is known */
    HS_TRY(names_of_meant(v));
    if (v->meant.n || !hs_push_users_known(&p->users, room->nid))
        HS_TRY(need_rules(v));

    /* Nothing suspends from here on. */
    p->turn++;
    v->base = hs_push_eval(p->base, v->ev, &v->ctx);
    v->base.highlight = v->base.notify && v->base.highlight;
    HS_TRY(judge_untold(v, ignorers));
    HS_TRY(judge_meant(v));
    return judge_own(v);
}

hs_error *hs_push_eval_event(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *event, hs_push_outcome *ret)
{
    evaluation v = { .srv = srv, .a = a, .room = room, .ev = event->ev, .sender = event->sender };
    bool member = v.ev->kind == HS_KIND_MEMBER && v.ev->is_state;
    size_t steps = EVENT_STEPS;

    *ret = (hs_push_outcome){ 0 };
    v.ctx.steps = &steps;
    /* A room that is only being made has nobody, and may invite. */
    if (event->flags & (HS_EV_OUTLIER | HS_EV_REJECTED | HS_EV_SOFT_FAILED) || (!room->local_members_n && !member))
        return NULL;
    HS_TRY(hs_thread_of(srv, a, room, v.ev->content, &v.thread));
    v.ctx.room_members = room->joined;
    if (member)
        HS_TRY(judge_member(&v, room));
    else
        HS_TRY(judge_all(&v, room));
    if (v.thread && v.base.notify) {
        hs_news_note everybody = { .d_notify = 1, .d_high = v.base.highlight, .thread = v.thread };
        HS_TRY(hs_vec_push(a, &v.notes, everybody));
        ret->thread_notify = 1;
    } else {
        ret->d_notify = v.base.notify;
        ret->d_high = v.base.highlight;
    }
    ret->thread = v.thread;
    ret->notes = v.notes.at;
    ret->notes_n = v.notes.n;
    return NULL;
}

/* Without the old actions that mean nothing. */
static hs_error *clean_actions(hs_arena *a, hs_str actions, hs_str *ret)
{
    hs_json_out j;
    hs_jv list;
    hs_buf b;

    HS_TRY(hs_tape_parse(a, actions, 0, &list));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_arr(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        hs_str s = hs_jv_str_or_null(it.value);
        if (!hs_str_eq(s, HS_S("dont_notify")) && !hs_str_eq(s, HS_S("coalesce")))
            hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

static hs_error *see_thread(evaluation *v, hs_room *room, hs_nid user)
{
    hs_thread_sub sub;
    bool found;

    if (!v->srv->config->msc4306_enabled)
        return NULL;
    HS_TRY(hs_thread_of(v->srv, v->a, room, v->ev->content, &v->thread));
    if (!v->thread)
        return NULL;
    HS_TRY(hs_store_thread_sub_get(v->srv->db, v->a, user, room->nid, v->thread, &sub, &found));
    v->ctx.followed = found && sub.subscribed ? HS_PUSH_FOLLOWED : HS_PUSH_NOT_FOLLOWED;
    return NULL;
}

hs_error *hs_push_actions(hs_server *srv, hs_arena *a, hs_room *room, const hs_stored *event, const hs_session *who,
                          bool highlight, hs_str *ret)
{
    evaluation v = { .srv = srv, .a = a, .room = room, .ev = event->ev, .own = { &who->user, 1 } };
    hs_str body = hs_jv_str_or_null(hs_jv_get(v.ev->content, HS_S("body")));
    const hs_push_user *u;
    hs_push_result r;
    hs_stored *member;

    HS_TRY(need_rules(&v));
    see_what_is_asked(&v);
    HS_TRY(read_power(&v, room, hs_jv_get(v.ev->content, HS_S("m.mentions")), body));
    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.member"), who->user_id, &member));
    HS_TRY(see_thread(&v, room, who->user));
    HS_TRY(need_rules(&v));
    v.ctx.room_members = room->joined;
    v.ctx.user_id = who->user_id;
    v.ctx.localpart = who->localpart;
    if (member)
        v.ctx.display_name = hs_jv_str_or_null(hs_jv_get(member->ev->content, HS_S("displayname")));
    u = hs_push_user_get(&srv->push->users, who->user);
    r = hs_push_eval(u && u->shape ? u->shape->rules : srv->push->base, v.ev, &v.ctx);
    if (r.notify && r.highlight == highlight)
        return clean_actions(a, r.actions, ret);
    *ret = highlight
               ? HS_S("[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"},{\"set_tweak\":\"highlight\"}]")
               : HS_S("[\"notify\",{\"set_tweak\":\"highlight\",\"value\":false}]");
    return NULL;
}

/* ── lifetime ── */
static void hear_names(struct hs_push *p, room_names *r, const hs_news_event *e)
{
    hear_member(r, e);
    account_names(p, r);
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
    }
    hs_push_users_hear(srv, &srv->push->users, news);
}

hs_error *hs_push_open(hs_server *srv, hs_arena *a)
{
    struct hs_push *p = calloc(1, sizeof *p);
    hs_str json;

    (void)a;
    if (!p)
        return HS_ERR_NOMEM;
    srv->push = p;
    p->rooms = hs_map_open(srv->hash_seed);
    p->a = hs_arena_open(RULES_ARENA);
    if (!p->rooms || !p->a)
        return HS_ERR_NOMEM;
    hs_cache_open(srv->caches, &p->rooms_cache, "push_names", NAMES_BYTES, trim_names, p);
    HS_TRY(hs_nid_lists_open(srv, &p->ignorers, "ignorers", IGNORERS_BYTES));
    HS_TRY(hs_pushrules_json(p->a, hs_push_anybody, HS_S(""), hs_push_features(srv->config), &json));
    HS_TRY(hs_pushrules_compile(p->a, json, &p->base));
    HS_TRY(hs_push_users_open(srv, p->base, &p->users));
    return hs_fanout_listen(srv, hear, srv);
}

void hs_push_close(hs_server *srv)
{
    struct hs_push *p = srv->push;

    if (!p)
        return;
    hs_push_users_close(&p->users);
    if (p->rooms_cache.name)
        while (p->rooms_cache.lru.prev != &p->rooms_cache.lru)
            forget_names(p, names_of_link(p->rooms_cache.lru.prev));
    hs_nid_lists_close(&p->ignorers);
    hs_map_close(p->rooms);
    if (p->a)
        hs_arena_close(p->a);
    free(p);
    srv->push = NULL;
}
