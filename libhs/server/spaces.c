/* See spaces.h. */
#include "server/spaces.h"

#include "base/vec.h"
#include "runtime/random.h"
#include "server/cache.h"
#include "server/room_member.h"
#include "store/names.h"

#include <stdlib.h>

enum {
    PAGE_MAX = 50,
    /* What one request may cost: a room that is looked at counts one, one whose state is read for its join rules
     * RULES_COST. A page that ends there goes on with its token. */
    WORK_MAX = 1000,
    RULES_COST = 20,
    CARDS_AT_ONCE = 64,
    WALK_MS = 5 * 60 * 1000,
};

/* ── who may know of a room ── */
static bool is_restricted(const hs_room_card *c, const hs_roomver *rv)
{
    hs_str rule = c->summary.join_rules;

    return (rv->restricted && hs_str_eq(rule, HS_S("restricted"))) ||
           (rv->knock_restricted && hs_str_eq(rule, HS_S("knock_restricted")));
}

static hs_error *read_allowed(hs_server *srv, hs_arena *a, hs_nid nid, hs_strs *ret)
{
    HS_VEC(hs_str) ids = { 0 };
    hs_stored *rules;
    hs_room *room;

    *ret = (hs_strs){ 0 };
    HS_TRY(hs_room_load(srv, a, nid, &room));
    if (!room)
        return NULL;
    HS_TRY(hs_room_state_get(srv, a, room, HS_S("m.room.join_rules"), HS_S(""), &rules));
    if (!rules)
        return NULL;
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(rules->ev->content, HS_S("allow")), &it);) {
        hs_str id;

        if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("type"))), HS_S("m.room_membership")) &&
            hs_jv_str(hs_jv_get(it.value, HS_S("room_id")), &id))
            HS_TRY(hs_vec_push(a, &ids, id));
    }
    *ret = (hs_strs){ ids.at, ids.n };
    return NULL;
}

hs_error *hs_space_may_see(hs_server *srv, hs_arena *a, hs_nid user, hs_room_view_card *io, bool *ret)
{
    const hs_room_card *c = &io->card;
    const hs_roomver *rv = c->room ? hs_roomver_find(c->version) : NULL;
    hs_str rule = c->summary.join_rules;

    *ret = false;
    if (!rv)
        return NULL;
    *ret = hs_str_eq(rule, HS_S("public")) || (rv->knock && hs_str_eq(rule, HS_S("knock"))) ||
           (rv->knock_restricted && hs_str_eq(rule, HS_S("knock_restricted"))) ||
           hs_str_eq(c->summary.history_visibility, HS_S("world_readable")) || c->membership == HS_MEMBER_JOIN ||
           c->membership == HS_MEMBER_INVITE;
    if (!is_restricted(c, rv))
        return NULL;
    HS_TRY(read_allowed(srv, a, c->room, &io->allowed));
    if (!*ret && user)
        HS_TRY(hs_store_joined_any(srv->db, a, user, io->allowed, ret));
    return NULL;
}

void hs_space_show(hs_json_out *j, const hs_room_view_card *c)
{
    const hs_room_summary *s = &c->card.summary;

    hs_json_str(j, "room_id", c->card.room_id);
    hs_json_str(j, "room_version", c->card.version);
    hs_json_opt_str(j, "name", s->name);
    hs_json_opt_str(j, "topic", s->topic);
    hs_json_opt_str(j, "canonical_alias", s->canonical_alias);
    hs_json_int(j, "num_joined_members", s->joined);
    hs_json_opt_str(j, "avatar_url", s->avatar);
    hs_json_bool(j, "world_readable", hs_str_eq(s->history_visibility, HS_S("world_readable")));
    hs_json_bool(j, "guest_can_join", hs_str_eq(s->guest_access, HS_S("can_join")));
    hs_json_opt_str(j, "room_type", s->room_type);
    hs_json_opt_str(j, "encryption", s->encryption);
    hs_json_opt_str(j, "join_rule", s->join_rules);
    if (c->allowed.n) {
        hs_json_arr_at(j, "allowed_room_ids");
        for (size_t i = 0; i < c->allowed.n; i++)
            hs_json_v_str(j, c->allowed.at[i]);
        hs_json_end(j);
    }
}

static hs_error *find_card(hs_server *srv, hs_arena *a, hs_nid user, hs_str room_id, hs_room_card *ret)
{
    hs_nid nid = 0;

    *ret = (hs_room_card){ 0 };
    HS_TRY(hs_store_rooms_find(srv->db, a, &room_id, 1, &nid));
    return nid ? hs_store_room_cards(srv->db, a, user, &nid, 1, ret) : NULL;
}

hs_error *hs_space_summary(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room, hs_room_view_card *ret)
{
    hs_room_view_card out = { 0 };
    hs_nid user = who ? who->user : 0;
    hs_str room_id;
    bool sees;

    HS_TRY(hs_room_resolve(srv, a, room, &room_id));
    HS_TRY(find_card(srv, a, user, room_id, &out.card));
    HS_TRY(hs_space_may_see(srv, a, user, &out, &sees));
    if (!sees)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Room not found or is not accessible");
    *ret = out;
    return NULL;
}

/* ── children ── */
static bool has_via(hs_jv content)
{
    hs_jv via = hs_jv_get(content, HS_S("via"));

    if (hs_jv_type_of(via) != HS_JV_ARR || !hs_jv_count(via))
        return false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(via, &it);) {
        if (hs_jv_type_of(it.value) != HS_JV_STR)
            return false;
    }
    return true;
}

static bool is_suggested(hs_jv content)
{
    bool yes;

    return hs_jv_bool(hs_jv_get(content, HS_S("suggested")), &yes) && yes;
}

/* p NULL: none, or not a valid one. */
static hs_str order_of(const hs_stored *child)
{
    hs_str order = hs_jv_str_or_null(hs_jv_get(child->ev->content, HS_S("order")));

    if (order.n > 50)
        return hs_str_make(NULL, 0);
    for (size_t i = 0; i < order.n; i++) {
        if (order.p[i] < 0x20 || order.p[i] > 0x7e)
            return hs_str_make(NULL, 0);
    }
    return order;
}

/* Those with an order first, by it; then by time, then by the child's id. */
static int by_order(const void *l, const void *r)
{
    const hs_stored *a = *(hs_stored *const *)l, *b = *(hs_stored *const *)r;
    hs_str x = order_of(a), y = order_of(b);
    int c;

    if (!x.p != !y.p)
        return x.p ? -1 : 1;
    c = hs_str_cmp(x, y);
    if (c)
        return c;
    if (a->ev->origin_ts != b->ev->origin_ts)
        return a->ev->origin_ts < b->ev->origin_ts ? -1 : 1;
    return hs_str_cmp(a->ev->state_key, b->ev->state_key);
}

static hs_error *read_children(hs_server *srv, hs_arena *a, hs_nid space, bool suggested_only, hs_hierarchy_room *io)
{
    hs_stored **events;
    hs_room *room;
    hs_nid *nids;
    size_t low, high, n = 0;
    bool found;

    HS_TRY(hs_room_load(srv, a, space, &room));
    if (!room)
        return NULL;
    low = hs_state_search(room->state, room->state_n, hs_slot_low(HS_SLOT_SPACE_CHILD), &found);
    high = hs_state_search(room->state, room->state_n, hs_slot_low(HS_SLOT_SPACE_CHILD + 1), &found);
    if (low == high)
        return NULL;
    HS_TRY(hs_alloc(a, high - low, &nids));
    HS_TRY(hs_alloc(a, high - low, &events));
    for (size_t i = low; i < high; i++)
        nids[i - low] = room->state[i].event;
    HS_TRY(hs_events_load_as(srv, a, room->nid, room->rv, nids, high - low, events));
    for (size_t i = 0; i < high - low; i++) {
        if (events[i] && has_via(events[i]->ev->content) && (!suggested_only || is_suggested(events[i]->ev->content)))
            events[n++] = events[i];
    }
    if (n)
        qsort(events, n, sizeof *events, by_order);
    io->children = events;
    io->children_n = n;
    return NULL;
}

/* ── the walk ── */
typedef struct {
    hs_nid room;
    int64_t depth;
} place;

typedef struct {
    hs_server *srv;
    hs_arena *a;
    hs_nid user;
    HS_VEC(place) queue; /* the next one is the last */
    HS_VEC(hs_nid) done; /* sorted */
    hs_room_card *cards; /* read ahead for this page, sorted by number */
    size_t cards_n, cards_cap;
    int work;
} walk;

static size_t nid_place(const hs_nid *at, size_t n, hs_nid nid)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (at[mid] < nid)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_done(const walk *w, hs_nid room)
{
    size_t i = nid_place(w->done.at, w->done.n, room);

    return i < w->done.n && w->done.at[i] == room;
}

static hs_error *mark_done(walk *w, hs_nid room)
{
    size_t i = nid_place(w->done.at, w->done.n, room);

    HS_TRY(hs_vec_push(w->a, &w->done, 0));
    memmove(w->done.at + i + 1, w->done.at + i, (w->done.n - 1 - i) * sizeof *w->done.at);
    w->done.at[i] = room;
    return NULL;
}

static const hs_room_card *card_of(const walk *w, hs_nid room)
{
    for (size_t i = w->cards_n; i > 0; i--) {
        if (w->cards[i - 1].room == room)
            return &w->cards[i - 1];
    }
    return NULL;
}

/* Cards of the rooms that come next, the last of the queue among them. What was read before is let go. */
static hs_error *read_ahead(walk *w)
{
    hs_nid nids[CARDS_AT_ONCE];
    size_t n = 0;

    for (size_t i = w->queue.n; i > 0 && n < CARDS_AT_ONCE; i--) {
        if (!is_done(w, w->queue.at[i - 1].room))
            nids[n++] = w->queue.at[i - 1].room;
    }
    HS_TRY(hs_alloc(w->a, n, &w->cards));
    w->cards_n = n;
    HS_TRY(hs_store_room_cards(w->srv->db, w->a, w->user, nids, n, w->cards));
    for (size_t i = 0; i < n; i++)
        w->cards[i].room = nids[i]; /* also of those that are not to be seen: their version is empty */
    return NULL;
}

/* The children that are here, so that the first is taken next. */
static hs_error *push_children(walk *w, const hs_hierarchy_room *space, int64_t depth)
{
    size_t n = space->children_n;
    hs_str *ids;
    hs_nid *nids;

    if (!n)
        return NULL;
    HS_TRY(hs_alloc(w->a, n, &ids));
    HS_TRY(hs_alloc(w->a, n, &nids));
    for (size_t i = 0; i < n; i++)
        ids[i] = space->children[i]->ev->state_key;
    HS_TRY(hs_store_rooms_find(w->srv->db, w->a, ids, n, nids));
    for (size_t i = n; i > 0; i--) {
        if (nids[i - 1] && !is_done(w, nids[i - 1]))
            HS_TRY(hs_vec_push(w->a, &w->queue, (place){ nids[i - 1], depth }));
    }
    w->cards_n = 0;
    return NULL;
}

/* Takes the next room; *ret_shown false: it is not to be seen, or has been. */
static hs_error *step(walk *w, const hs_hierarchy_query *in, hs_hierarchy_room *ret, bool *ret_shown)
{
    place at = w->queue.at[w->queue.n - 1];
    hs_hierarchy_room out = { 0 };
    const hs_room_card *card;

    *ret_shown = false;
    w->work++;
    if (!is_done(w, at.room)) {
        card = card_of(w, at.room);
        if (!card) {
            HS_TRY(read_ahead(w));
            card = card_of(w, at.room);
        }
        out.room.card = *card;
        if (card->version.n)
            HS_TRY(hs_space_may_see(w->srv, w->a, w->user, &out.room, ret_shown));
        *ret_shown |= in->all && card->version.n;
        if (hs_str_ends(card->summary.join_rules, HS_S("restricted")))
            w->work += RULES_COST;
        HS_TRY(mark_done(w, at.room));
    }
    w->queue.n--;
    if (!*ret_shown)
        return NULL;
    if (hs_str_eq(out.room.card.summary.room_type, HS_S("m.space")))
        HS_TRY(read_children(w->srv, w->a, at.room, in->suggested_only, &out));
    if (!in->has_depth || at.depth < in->max_depth)
        HS_TRY(push_children(w, &out, at.depth + 1));
    *ret = out;
    return NULL;
}

/* ── pages ── */
static hs_error *params_of(hs_arena *a, const hs_hierarchy_query *in, hs_str *ret)
{
    return hs_str_fmt(a, ret, "%d %d %lld %.*s", in->all, in->suggested_only,
                      in->has_depth ? (long long)in->max_depth : -1LL, HS_FMT(in->room_id));
}

static hs_error *go_on(walk *w, const hs_hierarchy_query *in)
{
    hs_nids queue, done;
    uint8_t sha256[32];
    hs_str params;
    bool found;

    hs_token_hash(in->from, sha256);
    HS_TRY(params_of(w->a, in, &params));
    HS_TRY(hs_store_walk_get(w->srv->db, w->a, hs_str_make((const char *)sha256, sizeof sha256), w->user, params,
                             hs_loop_wall(w->srv->loop), &queue, &done, &found));
    if (!found)
        return hs_err(w->a, 400, HS_M_INVALID_PARAM, "Unknown pagination token");
    for (size_t i = 0; i + 1 < queue.n; i += 2)
        HS_TRY(hs_vec_push(w->a, &w->queue, (place){ queue.at[i], queue.at[i + 1] }));
    for (size_t i = 0; i < done.n; i++)
        HS_TRY(hs_vec_push(w->a, &w->done, done.at[i]));
    return NULL;
}

static hs_error *leave_off(walk *w, const hs_hierarchy_query *in, hs_str *ret)
{
    int64_t now = hs_loop_wall(w->srv->loop);
    HS_VEC(hs_nid) queue = { 0 };
    uint8_t sha256[32];
    hs_str params;

    for (size_t i = 0; i < w->queue.n; i++) {
        HS_TRY(hs_vec_push(w->a, &queue, w->queue.at[i].room));
        HS_TRY(hs_vec_push(w->a, &queue, w->queue.at[i].depth));
    }
    HS_TRY(hs_random_text(w->a, 24, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", ret));
    hs_token_hash(*ret, sha256);
    HS_TRY(params_of(w->a, in, &params));
    return hs_store_walk_put(w->srv->db, w->a, hs_str_make((const char *)sha256, sizeof sha256), w->user, params,
                             (hs_nids){ queue.at, queue.n }, (hs_nids){ w->done.at, w->done.n }, now, now + WALK_MS);
}

hs_error *hs_hierarchy_get(hs_server *srv, const hs_session *who, hs_arena *a, const hs_hierarchy_query *in,
                           hs_hierarchy_page *ret)
{
    walk w = { .srv = srv, .a = a, .user = who->user };
    hs_hierarchy_page out = { 0 };
    hs_room_view_card root = { 0 };
    size_t limit = in->limit > 0 && in->limit < PAGE_MAX ? (size_t)in->limit : PAGE_MAX;
    bool sees;

    HS_TRY(find_card(srv, a, who->user, in->room_id, &root.card));
    HS_TRY(hs_space_may_see(srv, a, who->user, &root, &sees));
    if (!root.card.room && in->all)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Room not found");
    if (!sees && !in->all)
        return hs_err(a, 403, HS_M_FORBIDDEN, "User %.*s not in room %.*s, and room previews are disabled",
                      HS_FMT(who->user_id), HS_FMT(in->room_id));
    if (in->from.p)
        HS_TRY(go_on(&w, in));
    else
        HS_TRY(hs_vec_push(a, &w.queue, (place){ root.card.room, 0 }));
    HS_TRY(hs_alloc(a, limit, &out.at));
    while (w.queue.n && out.n < limit && w.work < WORK_MAX) {
        bool shown;

        HS_TRY(step(&w, in, &out.at[out.n], &shown));
        out.n += shown;
    }
    if (w.queue.n)
        HS_TRY(leave_off(&w, in, &out.next_batch));
    *ret = out;
    return NULL;
}

void hs_hierarchy_show(hs_json_out *j, const hs_hierarchy_page *page)
{
    hs_json_obj(j);
    hs_json_arr_at(j, "rooms");
    for (size_t i = 0; i < page->n; i++) {
        const hs_hierarchy_room *r = &page->at[i];

        hs_json_obj(j);
        hs_space_show(j, &r->room);
        hs_json_arr_at(j, "children_state");
        for (size_t k = 0; k < r->children_n; k++) {
            const hs_event *e = r->children[k]->ev;

            hs_json_obj(j);
            hs_json_str(j, "type", e->type);
            hs_json_str(j, "state_key", e->state_key);
            hs_json_raw(j, "content", hs_jv_raw(e->content));
            hs_json_str(j, "sender", e->sender);
            hs_json_int(j, "origin_server_ts", e->origin_ts);
            hs_json_end(j);
        }
        hs_json_end(j);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_opt_str(j, "next_batch", page->next_batch);
    hs_json_end(j);
}
