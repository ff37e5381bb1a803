/* Which events of a room a user may see, and what the user's membership was at each. */
#include "server/timeline.h"

#include "core/visibility.h"
#include "server/retention.h"
#include "server/room_upkeep.h"
#include "server/timeline_state.h"
#include "store/events.h"
#include "store/members.h"
#include "store/state_points.h"
#include "store/unread.h"

#include <stdlib.h>

/* ── ignored users ── */
hs_error *hs_ignored_users(hs_server *srv, hs_arena *a, hs_nid user, hs_nids *ret)
{
    hs_nid_lists *l = &srv->timelines->ignored;
    uint64_t mark;
    bool found;

    HS_TRY(hs_nid_lists_get(l, a, user, ret, &found, &mark));
    if (found)
        return NULL;
    HS_TRY(hs_store_ignored(srv->db, a, user, ret));
    hs_nid_lists_put(l, user, *ret, mark);
    return NULL;
}

/* ── what held at an event ── */
typedef struct {
    hs_nid visibility, member; /* events that hold the two slots after the event; 0: none */
    hs_nid before;             /* of an event that is itself one of the two: what it replaced */
} sight_nids;

/* The slot's event in the present state. */
static hs_nid current(const hs_room *room, int64_t slot)
{
    size_t low = 0, high = room->state_n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (room->state[mid].slot < slot)
            low = mid + 1;
        else
            high = mid;
    }
    return low < room->state_n && room->state[low].slot == slot ? room->state[low].event : 0;
}

/* What held in a slot at snapshots of its line, newest first, as far as memory goes: events that followed each other
 * there. */
enum { CHAIN = 8 };
typedef struct {
    hs_nid nid[CHAIN + 1]; /* the last one may be 0: there was nothing before */
    hs_snap from[CHAIN];
    size_t n;
    bool whole; /* nid[n] is what was before the oldest */
} slot_chain;

static hs_error *chain_of(hs_server *srv, hs_arena *a, hs_room *room, int64_t slot, hs_snap oldest, slot_chain *ret)
{
    slot_chain c = { 0 };
    hs_nid at = current(room, slot);

    if (!at) {
        /* Empty now: it may have been emptied by a resolution; the store knows. */
        *ret = c;
        return NULL;
    }
    while (at && c.n < CHAIN) {
        hs_stored *e;
        hs_nid before;

        HS_TRY(hs_events_load(srv, a, room->nid, &at, 1, &e));
        if (!e || e->line < 0)
            break;
        c.nid[c.n] = at;
        c.from[c.n++] = (hs_snap){ e->line, e->snap };
        if (e->line == oldest.line && e->snap <= oldest.snap)
            break;
        HS_TRY(hs_events_replaced(srv, a, &e, 1, &before));
        at = before;
        c.whole = at == 0;
    }
    *ret = c;
    return NULL;
}

/* false: memory does not say. */
static bool in_chain(const slot_chain *c, const hs_stored *e, hs_nid *ret)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->from[i].line != e->line)
            return false;
        if (c->from[i].snap <= e->snap) {
            *ret = c->nid[i];
            return true;
        }
    }
    *ret = 0;
    return c->whole;
}

/* The slot's event at each snapshot: from memory where what followed each other there is known, the rest in one round
 * trip. */
static hs_error *slot_at(hs_server *srv, hs_arena *a, hs_room *room, int64_t slot, hs_stored *const *events, size_t n,
                         hs_nid *ret)
{
    hs_nid *answer;
    hs_snap *ask, last = { -2, 0 }, oldest = { -1, 0 };
    slot_chain chain;
    size_t *index, asked = 0;

    HS_TRY(hs_alloc(a, n, &ask));
    HS_TRY(hs_alloc(a, n, &answer));
    HS_TRY(hs_alloc(a, n, &index));
    for (size_t i = 0; i < n; i++) {
        if (events[i]->line >= 0 && (oldest.line < 0 || events[i]->snap < oldest.snap))
            oldest = (hs_snap){ events[i]->line, events[i]->snap };
    }
    HS_TRY(chain_of(srv, a, room, slot, oldest, &chain));
    for (size_t i = 0; i < n; i++) {
        const hs_stored *e = events[i];

        index[i] = SIZE_MAX;
        ret[i] = 0;
        if (e->line < 0 || in_chain(&chain, e, &ret[i]))
            continue;
        if (last.line != e->line || last.snap != e->snap) {
            last = (hs_snap){ e->line, e->snap };
            ask[asked++] = last;
        }
        index[i] = asked - 1;
    }
    if (!asked)
        return NULL;
    HS_TRY(hs_store_state_slot_at(srv->db, a, room->nid, slot, ask, asked, answer));
    for (size_t i = 0; i < n; i++) {
        if (index[i] != SIZE_MAX)
            ret[i] = answer[index[i]] == HS_STATE_GONE ? 0 : answer[index[i]];
    }
    return NULL;
}

/* Loads the events behind a column of numbers (few are distinct). */
static hs_error *load_column(hs_server *srv, hs_arena *a, hs_nid room, const hs_nid *nids, size_t n, hs_stored **ret)
{
    hs_nid *distinct;
    hs_stored **loaded;
    size_t k = 0;

    HS_TRY(hs_alloc(a, n, &distinct));
    HS_TRY(hs_alloc(a, n, &loaded));
    for (size_t i = 0; i < n; i++) {
        size_t m = 0;

        while (m < k && distinct[m] != nids[i])
            m++;
        if (m == k && nids[i])
            distinct[k++] = nids[i];
    }
    if (k)
        HS_TRY(hs_events_load(srv, a, room, distinct, k, loaded));
    for (size_t i = 0; i < n; i++) {
        ret[i] = NULL;
        for (size_t m = 0; m < k && nids[i]; m++) {
            if (distinct[m] == nids[i])
                ret[i] = loaded[m];
        }
    }
    return NULL;
}

static hs_membership membership_of(const hs_stored *member)
{
    return member ? hs_membership_parse(hs_jv_str_or_null(hs_jv_get(member->ev->content, HS_S("membership"))))
                  : HS_MEMBER_NONE;
}

static bool ignored(const hs_nids *list, const hs_stored *e, hs_nid viewer)
{
    if (e->ev->is_state || e->sender == viewer)
        return false;
    for (size_t i = 0; i < list->n; i++) {
        if (list->at[i] == e->sender)
            return true;
    }
    return false;
}

/* Up to which position somebody who is not joined now was joined at some later time. */
static hs_error *joined_until(hs_server *srv, hs_arena *a, hs_room *room, const hs_session *who,
                              hs_stored *const *events, size_t n, bool *joined_since)
{
    hs_user_room row;
    hs_timeline_row *at;
    hs_nid *nids;
    bool found;

    HS_TRY(hs_store_user_room(srv->db, a, who->user, room->nid, &row, &found));
    if (!found || row.left_pos == 0)
        return NULL;
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &at));
    for (size_t i = 0; i < n; i++)
        nids[i] = events[i]->nid;
    HS_TRY(hs_store_timeline_of(srv->db, a, room->nid, nids, n, at));
    for (size_t i = 0; i < n; i++)
        joined_since[i] = at[i].pos != 0 && at[i].pos < row.left_pos;
    return NULL;
}

hs_error *hs_timeline_state_visible(hs_server *srv, hs_arena *a, hs_room *room, const hs_session *who, hs_stored *event,
                                    hs_membership membership, bool *ret)
{
    int64_t visibility_slot = hs_slot(srv->slot_key, HS_S("m.room.history_visibility"), HS_S(""));
    int64_t member_slot = hs_slot(srv->slot_key, HS_S("m.room.member"), who->user_id);
    hs_stored *holds;
    hs_nid nid;

    *ret = membership == HS_MEMBER_JOIN;
    if (*ret)
        return NULL;
    if (event->ev->is_state && event->slot == member_slot) { /* the end of a stay, or of an invite */
        HS_TRY(hs_events_replaced(srv, a, &event, 1, &nid));
        HS_TRY(load_column(srv, a, room->nid, &nid, 1, &holds));
        *ret = membership_of(holds) == HS_MEMBER_JOIN;
    }
    if (*ret)
        return NULL;
    HS_TRY(slot_at(srv, a, room, visibility_slot, &event, 1, &nid));
    HS_TRY(load_column(srv, a, room->nid, &nid, 1, &holds));
    *ret = hs_visibility_of(holds ? holds->ev : NULL) == HS_VIS_WORLD_READABLE;
    return NULL;
}

/* Aliases are anybody's claim about a room, and nobody can redact what is wrong in them: as with Synapse, they are
 * state only. */
bool hs_event_is_shown(const hs_event *ev)
{
    return !hs_str_eq(ev->type, HS_S(HS_DUMMY_EVENT)) && !hs_str_eq(ev->type, HS_S("m.room.aliases"));
}

static bool expired(const hs_stored *e, int64_t oldest)
{
    return e->ev->origin_ts < oldest && !e->ev->is_state;
}

hs_error *hs_timeline_hide_idle_redactions(hs_server *srv, hs_arena *a, hs_nid room, hs_stored *const *events, size_t n,
                                           bool *io_visible)
{
    hs_event_row *rows;
    size_t *index, k = 0;
    hs_str *ids;

    for (size_t i = 0; i < n; i++)
        k += io_visible[i] && events[i]->ev->redacts.p;
    if (!k)
        return NULL;
    HS_TRY(hs_alloc(a, k, &ids));
    HS_TRY(hs_alloc(a, k, &index));
    HS_TRY(hs_alloc(a, k, &rows));
    k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!io_visible[i] || !events[i]->ev->redacts.p)
            continue;
        index[k] = i;
        ids[k++] = events[i]->ev->redacts;
    }
    HS_TRY(hs_store_events_by_id(srv->db, a, room, ids, k, rows));
    for (size_t i = 0; i < k; i++)
        io_visible[index[i]] = rows[i].event && !(rows[i].flags & HS_EVENT_STUB);
    return NULL;
}

static hs_error *see(hs_server *srv, hs_arena *a, hs_room *room, const hs_session *who, hs_sees sees,
                     hs_stored *const *events, size_t n, bool *visible, hs_membership *membership)
{
    int64_t oldest;
    int64_t visibility_slot = hs_slot(srv->slot_key, HS_S("m.room.history_visibility"), HS_S(""));
    int64_t member_slot = hs_slot(srv->slot_key, HS_S("m.room.member"), who->user_id);
    hs_nid *visibility_nids, *member_nids, *before_nids;
    hs_stored **visibilities, **members, **befores;
    hs_membership now;
    hs_nids ignores;
    bool *joined_since;

    if (!n)
        return NULL;
    HS_TRY(hs_retention_oldest(srv, a, room, &oldest));
    if (who->as_admin) {
        for (size_t i = 0; i < n; i++) {
            visible[i] = !expired(events[i], oldest);
            membership[i] = HS_MEMBER_NONE;
        }
        return NULL;
    }
    HS_TRY(hs_alloc(a, n, &visibility_nids));
    HS_TRY(hs_alloc(a, n, &member_nids));
    HS_TRY(hs_alloc(a, n, &before_nids));
    HS_TRY(hs_alloc(a, n, &visibilities));
    HS_TRY(hs_alloc(a, n, &members));
    HS_TRY(hs_alloc(a, n, &befores));
    HS_TRY(hs_alloc(a, n, &joined_since));
    HS_TRY(hs_ignored_users(srv, a, who->user, &ignores));
    HS_TRY(hs_room_membership(srv, a, room, who->user_id, &now));
    HS_TRY(slot_at(srv, a, room, visibility_slot, events, n, visibility_nids));
    HS_TRY(slot_at(srv, a, room, member_slot, events, n, member_nids));
    HS_TRY(hs_events_replaced(srv, a, events, n, before_nids));
    for (size_t i = 0; i < n; i++) {
        /* Only changes of the two slots have two sides. */
        if (events[i]->slot != visibility_slot && events[i]->slot != member_slot)
            before_nids[i] = 0;
    }
    HS_TRY(load_column(srv, a, room->nid, visibility_nids, n, visibilities));
    HS_TRY(load_column(srv, a, room->nid, member_nids, n, members));
    HS_TRY(load_column(srv, a, room->nid, before_nids, n, befores));
    if (now == HS_MEMBER_JOIN)
        memset(joined_since, true, n);
    else if (sees == HS_SEES_PAST_STAYS) /* whatever came after the stay */
        HS_TRY(joined_until(srv, a, room, who, events, n, joined_since));

    for (size_t i = 0; i < n; i++) {
        hs_visibility after = hs_visibility_of(visibilities[i] ? visibilities[i]->ev : NULL);
        hs_membership at = membership_of(members[i]);
        bool is_visibility = events[i]->ev->is_state && events[i]->slot == visibility_slot;
        bool is_member = events[i]->ev->is_state && events[i]->slot == member_slot;
        hs_sight sight = {
            .visibility_before = is_visibility ? hs_visibility_of(befores[i] ? befores[i]->ev : NULL) : after,
            .visibility_after = after,
            .viewer_before = is_member ? membership_of(befores[i]) : at,
            .viewer_after = at,
            .viewer_joined_since = joined_since[i],
        };

        visible[i] = hs_history_visible(events[i]->ev, who->user_id, &sight) &&
                     !ignored(&ignores, events[i], who->user) && !expired(events[i], oldest) &&
                     hs_event_is_shown(events[i]->ev);
        membership[i] = at == HS_MEMBER_NONE ? HS_MEMBER_LEAVE : at;
    }
    return NULL;
}

hs_error *hs_timeline_visible(hs_server *srv, hs_arena *a, hs_room *room, const hs_session *who, hs_sees sees,
                              hs_stored *const *events, size_t n, bool *visible, hs_membership *membership)
{
    HS_TRY(see(srv, a, room, who, sees, events, n, visible, membership));
    return hs_timeline_hide_idle_redactions(srv, a, room->nid, events, n, visible);
}
