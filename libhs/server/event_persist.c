/* Writing a room: order, locks, staleness. See event_persist.h.
 *
 * Messages. The room's lock is held shared from building to durable; `order` is held only until the unit is in the
 * store's queue, which keeps the queue in the order of the graph. Meanwhile the newest queued event is the pending
 * head, on which the next message builds: a linear chain, no matter how many send at once. When one fails, the chain is
 * dropped: those queued behind it come back stale and build anew. State. The lock is held exclusively, so nothing is
 * pending and the head is durable. Another process may still move the head; the ticket sees that (stale), the room is
 * read again and the unit built anew. */
#include "server/event_accept.h"
#include "server/event_build.h"
#include "server/event_write.h"
#include "server/sticky.h"

#include "core/canonical.h"
#include "store/timeline.h"

#include <stdlib.h>

#define STALE_TRIES 6

struct hs_room_pending {
    hs_stored *tip;        /* NULL: the durable head */
    hs_write_chain *chain; /* of the units between the durable head and the tip */
    size_t in_flight;
};

hs_error *hs_persist_listen(hs_server *srv, hs_persist_hook *fn, void *ud)
{
    struct hs_rooms *c = srv->rooms;

    if (c->hooks_n == HS_PERSIST_HOOKS_MAX)
        return hs_err_internal(srv->arena, NULL, "too many persist hooks");
    c->hook_ud[c->hooks_n] = ud;
    c->hooks[c->hooks_n++] = fn;
    return NULL;
}

hs_server *hs_room_write_server(const hs_room_write *w)
{
    return w->srv;
}

hs_arena *hs_room_write_arena(const hs_room_write *w)
{
    return w->a;
}

hs_room *hs_room_write_room(const hs_room_write *w)
{
    return w->room;
}

hs_write *hs_room_write_unit(const hs_room_write *w)
{
    return w->unit;
}

hs_error *hs_content_parse(hs_arena *a, hs_str json, hs_jv *ret)
{
    return hs_tape_parse(a, json, HS_JSON_OBJECT, ret);
}

/* ── the state that the next event meets ── */

static hs_stored *overlaid(const hs_room_write *w, int64_t slot)
{
    for (size_t i = w->overlay.n; i-- > 0;)
        if (w->overlay.at[i].slot == slot)
            return w->overlay.at[i].event;
    return NULL;
}

/* ret[i]: NULL for none. At most one round trip. */
static hs_error *state_of(hs_room_write *w, const hs_state_key_pair *want, size_t n, hs_stored **ret)
{
    hs_room *room = w->room;
    hs_nid nids[HS_AUTH_TYPES_MAX + 1];
    hs_stored *found[HS_AUTH_TYPES_MAX + 1];
    size_t where[HS_AUTH_TYPES_MAX + 1], m = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t slot = hs_slot(w->srv->slot_key, want[i].type, want[i].state_key);
        bool there;
        ret[i] = overlaid(w, slot);
        if (ret[i])
            continue;
        size_t at = hs_state_search(room->state, room->state_n, slot, &there);
        if (!there)
            continue;
        where[m] = i;
        nids[m++] = room->state[at].event;
    }
    if (!m)
        return NULL;
    HS_TRY(hs_events_load_as(w->srv, w->a, room->nid, room->rv, nids, m, found));
    for (size_t i = 0; i < m; i++) {
        if (!found[i])
            return hs_err_internal(w->a, NULL, "state event %lld of room %lld is missing", (long long)nids[i],
                                   (long long)room->nid);
        ret[where[i]] = found[i];
    }
    return NULL;
}

hs_error *hs_room_write_state(hs_room_write *w, hs_str type, hs_str state_key, hs_stored **ret)
{
    hs_state_key_pair pair = { type, state_key };

    return state_of(w, &pair, 1, ret);
}

typedef struct {
    hs_state_key_pair key;
    const hs_event *event;
} seen_state;

typedef struct {
    hs_room_write *w;
    seen_state *at;
    size_t n;
} view;

static const hs_event *view_get(void *ud, hs_str type, hs_str state_key)
{
    const view *v = ud;

    for (size_t i = 0; i < v->n; i++)
        if (hs_str_eq(v->at[i].key.type, type) && hs_str_eq(v->at[i].key.state_key, state_key))
            return v->at[i].event;
    hs_stored *s = overlaid(v->w, hs_slot(v->w->srv->slot_key, type, state_key));
    if (!s) {
        hs_nid nid = hs_room_state_nid(v->w->srv, v->w->room, type, state_key);
        s = nid ? hs_cache_event_get(v->w->srv->rooms, nid) : NULL;
    }
    return s ? s->ev : NULL;
}

/* want[0] is the create event. */
static hs_error *view_make(hs_room_write *w, const hs_state_key_pair *want, hs_stored *const *events, size_t n,
                           hs_state_view *ret)
{
    view *v;

    HS_TRY(hs_alloc(w->a, 1, &v));
    HS_TRY(hs_alloc(w->a, n, &v->at));
    v->w = w;
    v->n = n;
    for (size_t i = 0; i < n; i++)
        v->at[i] = (seen_state){ .key = want[i], .event = events[i] ? events[i]->ev : NULL };
    *ret = (hs_state_view){ .get = view_get, .ud = v, .create = v->at[0].event };
    return NULL;
}

hs_error *hs_room_write_view(hs_room_write *w, const hs_state_key_pair *want, size_t n, hs_state_view *ret)
{
    hs_state_key_pair *all;
    hs_stored **events;

    HS_TRY(hs_alloc(w->a, n + 2, &all));
    HS_TRY(hs_alloc(w->a, n + 2, &events));
    all[0] = (hs_state_key_pair){ HS_S("m.room.create"), HS_S("") };
    all[1] = (hs_state_key_pair){ HS_S("m.room.power_levels"), HS_S("") };
    for (size_t i = 0; i < n; i++)
        all[i + 2] = want[i];
    for (size_t i = 0; i < n + 2; i += HS_AUTH_TYPES_MAX) {
        size_t some = n + 2 - i < HS_AUTH_TYPES_MAX ? n + 2 - i : HS_AUTH_TYPES_MAX;
        HS_TRY(state_of(w, all + i, some, events + i));
    }
    return view_make(w, all, events, n + 2, ret);
}

/* ── adding an event ── */

typedef struct {
    hs_state_view view;
    hs_stored *auth[HS_AUTH_TYPES_MAX];
    hs_nid auth_nids[HS_AUTH_TYPES_MAX];
    size_t auth_n;
} selected;

/* Spec "Auth events selection", and the view that the rules ask. */
static hs_error *select_auth(hs_room_write *w, const hs_event_wish *wish, selected *ret)
{
    hs_state_key_pair keys[HS_AUTH_TYPES_MAX + 1];
    hs_stored *events[HS_AUTH_TYPES_MAX + 1];
    size_t n =
        hs_auth_types(w->room->rv, wish->type, wish->sender, wish->state_key, wish->is_state, wish->content, keys + 1);

    ret->auth_n = 0;
    keys[0] = (hs_state_key_pair){ HS_S("m.room.create"), HS_S("") };
    HS_TRY(state_of(w, keys, n + 1, events));
    for (size_t i = 1; i <= n; i++) {
        if (!events[i])
            continue;
        ret->auth_nids[ret->auth_n] = events[i]->nid;
        ret->auth[ret->auth_n++] = events[i];
    }
    return view_make(w, keys, events, n + 1, &ret->view);
}

/* Setting state to what it is already gives the event that holds it, as Synapse does. */
static bool is_same(const hs_stored *was, const hs_event_wish *wish, hs_str content)
{
    return was && was->sender == wish->sender_nid && hs_str_eq(hs_jv_raw(was->ev->content), content);
}

/* What redacting needs beyond the auth rules. *ret_target 0: the redaction has no effect here. */
static hs_error *check_redaction(hs_room_write *w, const hs_stored *s, const hs_state_view *state, hs_nid *ret_target)
{
    hs_room *room = w->room;
    hs_stored *target;
    bool may = hs_auth_power(room->rv, state, s->ev->sender) >= hs_auth_level(room->rv, state, HS_LEVEL_REDACT);

    *ret_target = 0;
    HS_TRY(hs_event_find(w->srv, w->a, room->nid, s->ev->redacts, &target));
    if (!target) {
        hs_event_row elsewhere;
        HS_TRY(hs_store_events_by_id(w->srv->db, w->a, 0, &s->ev->redacts, 1, &elsewhere));
        if (elsewhere.event)
            return hs_err(w->a, 400, HS_M_UNKNOWN, "Cannot redact event from a different room");
        if (may)
            return NULL;
        return hs_err(w->a, 404, HS_M_NOT_FOUND, "Could not find event %.*s", HS_FMT(s->ev->redacts));
    }
    if (hs_str_eq(target->ev->type, HS_S("m.room.create")))
        return hs_err(w->a, 403, HS_M_FORBIDDEN, "Redacting create events is not permitted");
    if (hs_str_eq(target->ev->type, HS_S("m.room.server_acl")))
        return hs_err(w->a, 403, HS_M_FORBIDDEN, "Redacting server ACL events is not permitted");
    if (!may && target->sender != s->sender)
        return hs_err(w->a, 403, HS_M_FORBIDDEN, "You don't have permission to redact events");
    *ret_target = target->nid;
    return NULL;
}

static hs_error *parents(hs_room_write *w, hs_nids *ret)
{
    size_t n = w->heads.n > HS_PREV_MAX ? HS_PREV_MAX : w->heads.n, skip = w->heads.n - n;
    hs_nid *nids;

    HS_TRY(hs_alloc(w->a, n, &nids));
    for (size_t i = 0; i < n; i++)
        nids[i] = w->heads.at[skip + i]->nid;
    *ret = (hs_nids){ .at = nids, .n = n };
    return NULL;
}

/* The room's next event: moves the unit's head and state. */
static hs_error *advance(hs_room_write *w, hs_stored *s)
{
    w->heads.n = 0;
    HS_TRY(hs_vec_push(w->a, &w->heads, s));
    w->depth = s->ev->depth;
    w->line = s->line;
    w->snap = s->snap;
    if (s->ev->is_state)
        HS_TRY(hs_vec_push(w->a, &w->overlay, (hs_overlay){ .slot = s->slot, .event = s }));
    return NULL;
}

/* A slot is a hash: two different keys in one would mix their states up. It is seen here, and the event refused. */
static hs_error *check_slot(hs_room_write *w, const hs_stored *was, const hs_event_wish *wish)
{
    if (was && (!hs_str_eq(was->ev->type, wish->type) || !hs_str_eq(was->ev->state_key, wish->state_key)))
        return hs_err(w->a, 400, HS_M_UNKNOWN, "This state key can not be used in this room");
    return NULL;
}

/* No fractions, no integers past 2^53: a request's body may have them, an event of these room versions may not. */
static hs_error *check_canonical(hs_arena *a, hs_str content)
{
    hs_jv v;

    return hs_tape_parse(a, content, HS_JSON_CANONICAL | HS_JSON_OBJECT, &v);
}

hs_error *hs_room_write_add(hs_room_write *w, const hs_event_wish *wish, hs_event_made *ret)
{
    hs_room *room = w->room;
    bool first = room->is_new && !w->heads.n;
    hs_str content;
    hs_stored *was = NULL, *s;
    selected sel;
    hs_push_outcome push = { 0 };
    hs_nids prev;
    hs_nid redacts = 0;
    uint32_t flags;

    HS_TRY(hs_canonical(w->a, wish->content, NULL, 0, &content));
    if (room->rv->strict_json)
        HS_TRY(check_canonical(w->a, content));
    if (wish->is_state) {
        HS_TRY(hs_room_write_state(w, wish->type, wish->state_key, &was));
        HS_TRY(check_slot(w, was, wish));
        if (is_same(was, wish, content)) {
            *ret = (hs_event_made){ .event_id = was->ev->event_id, .nid = was->nid, .already = true };
            return NULL;
        }
    }
    HS_TRY(select_auth(w, wish, &sel));
    HS_TRY(parents(w, &prev));

    hs_build_in b = { .rv = room->rv,
                      .room_id = first && room->rv->room_id_is_hash ? hs_str_make(NULL, 0) : room->id,
                      .wish = wish,
                      .content = content,
                      .prev = w->heads.at,
                      .prev_n = w->heads.n,
                      .auth = sel.auth,
                      .auth_n = sel.auth_n,
                      .depth = w->depth + 1,
                      .facts = { .room = room->nid,
                                 .sender = wish->sender_nid,
                                 .received_ts = hs_loop_wall(w->srv->loop),
                                 .slot = wish->is_state ? hs_slot(w->srv->slot_key, wish->type, wish->state_key) : 0,
                                 .line = w->line < 0 ? 0 : w->line,
                                 .snap = wish->is_state ? w->snap + 1 : w->snap } };
    HS_TRY(hs_db_new_nid(w->srv->db, w->a, &b.facts.nid));
    HS_TRY(hs_event_build_local(w->srv, w->a, &b, &s));
    if (!room->id.n)
        HS_TRY(hs_cache_room_name(room, s->ev->room_id));
    hs_accept_in accept = { .origin = HS_ORIGIN_LOCAL, .event = s->ev, .before = &sel.view };
    HS_TRY(hs_event_accept(w->a, &accept, &flags));
    if (s->ev->redacts.p)
        HS_TRY(check_redaction(w, s, &sel.view, &redacts));
    if (!wish->no_push)
        HS_TRY(hs_push_eval_event(w->srv, w->a, room, s, &push));

    hs_state_row row = { .at = { s->line, s->snap }, .slot = s->slot, .event = s->nid };
    hs_state_swap swap = { .slot = s->slot, .was = was, .now = s };
    hs_event_rows_in rows = { .event = s,
                              .prev = prev,
                              .auth = { .at = sel.auth_nids, .n = sel.auth_n },
                              .device_id = wish->device_id,
                              .txn_id = wish->txn_id,
                              .redacts = redacts,
                              .push = &push,
                              .after = { s->line, s->snap },
                              .rows = &row,
                              .rows_n = wish->is_state,
                              .changes = &swap,
                              .changes_n = wish->is_state };
    HS_TRY(hs_event_rows_add(w, &rows));
    HS_TRY(advance(w, s));
    HS_TRY(hs_sticky_recheck(w, &rows));
    *ret = (hs_event_made){ .event_id = s->ev->event_id, .nid = s->nid };
    return NULL;
}

/* ── running a unit ── */

static hs_error *write_make(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write **ret)
{
    hs_room_write *w;

    HS_TRY(hs_alloc(a, 1, &w));
    w->srv = srv;
    w->a = a;
    w->room = room;
    w->line = room->is_new ? -1 : room->line;
    w->snap = room->is_new ? 0 : room->snap;
    *ret = w;
    return NULL;
}

hs_error *hs_room_write_beside(hs_room_write *w, hs_room *room, hs_room_write **ret)
{
    if (!room->is_new || w->beside)
        return hs_err_internal(w->a, NULL, "a unit has one new room beside its own");
    HS_TRY(write_make(w->srv, w->a, room, &w->beside));
    w->beside->unit = w->unit;
    *ret = w->beside;
    return NULL;
}

hs_error *hs_room_write_begin(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write **ret)
{
    const struct hs_room_pending *p = room->pending;
    hs_room_write *w;

    HS_TRY(write_make(srv, a, room, &w));
    HS_TRY(hs_write_open(srv->db, a, &w->unit));
    if (p && p->tip) {
        HS_TRY(hs_vec_push(a, &w->heads, p->tip));
        HS_TRY(hs_stored_hold(a, p->tip));
        w->depth = p->tip->ev->depth;
    } else {
        for (size_t i = 0; i < room->heads.n; i++) {
            HS_TRY(hs_vec_push(a, &w->heads, room->head_events[i]));
            HS_TRY(hs_stored_hold(a, room->head_events[i]));
        }
        w->depth = room->depth;
    }
    *ret = w;
    return NULL;
}

/* Both rooms' events in one order of position. */
static hs_error *merge_beside(hs_room_write *w)
{
    const hs_room_write *b = w->beside;
    hs_news_event *all;
    size_t n = 0, i = 0, k = 0;

    HS_TRY(hs_event_rows_end(w->beside));
    HS_TRY(hs_alloc(w->a, w->events.n + b->events.n, &all));
    while (i < w->events.n || k < b->events.n) {
        bool own = k == b->events.n || (i < w->events.n && w->events.at[i].at < b->events.at[k].at);
        all[n++] = own ? w->events.at[i++] : b->events.at[k++];
    }
    w->events.at = all;
    w->events.n = n;
    return NULL;
}

hs_error *hs_room_write_finish(hs_room_write *w)
{
    HS_TRY(hs_event_rows_end(w));
    if (w->beside)
        HS_TRY(merge_beside(w));
    return hs_news_give(w->unit, &(hs_news){ .events = w->events.at, .events_n = w->events.n });
}

static struct hs_room_pending *pending_of(hs_room *room)
{
    if (!room->pending)
        room->pending = calloc(1, sizeof *room->pending);
    return room->pending;
}

static void drop_chain(struct hs_room_pending *p)
{
    hs_stored_unref(p->tip);
    p->tip = NULL;
    hs_write_chain_unref(p->chain);
    p->chain = NULL;
}

/* A message follows the tip, if what it stands on is still on its way. */
static hs_error *build_message(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write_fn *fill, void *ud,
                               hs_room_write **ret)
{
    struct hs_room_pending *p = pending_of(room);
    hs_room_write *w;

    if (!p)
        return HS_ERR_NOMEM;
    if (p->chain && hs_write_chain_broken(p->chain))
        drop_chain(p);
    HS_TRY(hs_room_write_begin(srv, a, room, &w));
    HS_TRY(fill(w, ud));
    if (w->events.n) {
        HS_TRY(hs_room_write_finish(w));
        if (!p->chain)
            p->chain = hs_write_chain_open();
        if (!p->chain)
            return HS_ERR_NOMEM;
        hs_write_follow(w->unit, p->chain);
    }
    *ret = w;
    return NULL;
}

static hs_error *run_message(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write_fn *fill, void *ud,
                             hs_write_result *ret)
{
    hs_room_write *w = NULL;

    hs_lock_shared(srv->loop, &room->lock);
    hs_lock_exclusive(srv->loop, &room->order);
    hs_error *e = build_message(srv, a, room, fill, ud, &w);
    if (e || !w->events.n) {
        hs_unlock(&room->order);
        hs_unlock(&room->lock);
        ret->status = HS_WRITE_OK;
        return e;
    }

    struct hs_room_pending *p = room->pending;
    hs_write_chain *chain = hs_write_chain_ref(p->chain);
    hs_stored *tip = hs_stored_ref(w->heads.at[0]);
    hs_stored_unref(p->tip);
    p->tip = tip;
    p->in_flight++;
    hs_unlock(&room->order); /* whoever waits runs at the loop's next turn: our unit is queued first */
    e = hs_write_commit(w->unit, ret);
    p->in_flight--;
    if (!p->in_flight || (p->chain == chain && hs_write_chain_broken(chain)))
        drop_chain(p);
    hs_write_chain_unref(chain);
    hs_unlock(&room->lock);
    return e;
}

static hs_error *run_state(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write_fn *fill, void *ud,
                           hs_write_result *ret)
{
    hs_room_write *w = NULL;

    hs_lock_exclusive(srv->loop, &room->lock);
    hs_error *e = hs_room_write_begin(srv, a, room, &w);
    if (!e)
        e = fill(w, ud);
    ret->status = HS_WRITE_OK;
    if (!e && w->events.n) {
        e = hs_room_write_finish(w);
        if (!e)
            e = hs_write_commit(w->unit, ret);
    }
    hs_unlock(&room->lock);
    return e;
}

hs_error *hs_room_write_run(hs_server *srv, hs_arena *a, hs_room *room, hs_room_write_kind kind, hs_room_write_fn *fill,
                            void *ud, bool *ret_conflict)
{
    if (ret_conflict)
        *ret_conflict = false;
    for (int i = 0; i < STALE_TRIES; i++) {
        hs_write_result res = { 0 };
        if (kind == HS_WRITE_MESSAGE && i < STALE_TRIES / 2) /* then alone, with nothing under way to follow */
            HS_TRY(run_message(srv, a, room, fill, ud, &res));
        else
            HS_TRY(run_state(srv, a, room, fill, ud, &res));
        if (res.status == HS_WRITE_OK)
            return NULL;
        if (res.status == HS_WRITE_CONFLICT && ret_conflict) {
            *ret_conflict = true;
            return NULL;
        }
        if (room->is_new)
            return hs_err_internal(a, NULL, "a row of a new event was there already");
        /* stale, or what another worker has just made byte for byte the same */
        HS_TRY(hs_room_refresh(srv, a, room, &room));
    }
    return hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast; try again");
}
