/* Looks up what goes into the `unsigned` of events: redactions, what they replaced, transaction ids, aggregations. */
#include "server/timeline.h"

#include "core/visibility.h"
#include "server/cache.h"
#include "server/delayed.h"
#include "server/relations.h"
#include "server/sync_wait.h"
#include "server/timeline_state.h"
#include "store/relations.h"
#include "store/state_points.h"

#include <stdlib.h>

#define IGNORED_BYTES ((size_t)16 << 20) /* at factor 1 */

/* Reactions are not shown with an event. */
static bool is_bundled(const hs_relates_to *rel)
{
    return rel->rel_type.p && !hs_str_eq(rel->rel_type, HS_S("m.annotation"));
}

/* Whatever worker wrote it: what it relates to is related from now on. */
static void hear_relation(hs_server *srv, const hs_stored *e)
{
    hs_relates_to rel = hs_relates_to_read(e->ev->content);
    hs_stored *target;

    if (!is_bundled(&rel))
        return;
    srv->timelines->related_version++;
    target = hs_cache_event_named(srv->rooms, rel.event_id);
    if (target)
        target->unrelated = false;
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    hs_server *srv = ud;

    (void)first;
    for (size_t i = 0; i < news->events_n; i++) {
        if (news->events[i].event)
            hear_relation(srv, news->events[i].event);
    }
    for (size_t i = 0; i < news->users_n; i++) {
        if (news->users[i].what == HS_NEWS_ACCOUNT_DATA && hs_str_eq(news->users[i].type, HS_S("m.ignored_user_list")))
            hs_nid_lists_drop(&srv->timelines->ignored, news->users[i].user);
    }
}

hs_error *hs_timeline_open(hs_server *srv, hs_arena *a)
{
    struct hs_timelines *t = calloc(1, sizeof *t);

    if (!t)
        return HS_ERR_NOMEM;
    srv->timelines = t;
    (void)a;
    HS_TRY(hs_nid_lists_open(srv, &t->ignored, "ignored", IGNORED_BYTES));
    return hs_fanout_listen(srv, hear, srv);
}

void hs_timeline_close(hs_server *srv)
{
    struct hs_timelines *t = srv->timelines;

    if (!t)
        return;
    hs_nid_lists_close(&t->ignored);
    free(t);
    srv->timelines = NULL;
}

/* ── replaced state ── */
hs_error *hs_events_replaced(hs_server *srv, hs_arena *a, hs_stored *const *events, size_t n, hs_nid *ret)
{
    hs_state_point *ask;
    hs_nid *answer;
    size_t *index, asked = 0;

    HS_TRY(hs_alloc(a, n, &ask));
    HS_TRY(hs_alloc(a, n, &answer));
    HS_TRY(hs_alloc(a, n, &index));
    for (size_t i = 0; i < n; i++) {
        const hs_stored *e = events[i];

        ret[i] = e->replaced > 0 ? e->replaced : 0;
        if (!e->ev->is_state || e->line < 0 || e->snap <= 0 || e->replaced)
            continue;
        index[asked] = i;
        ask[asked++] = (hs_state_point){ e->room, { e->line, e->snap - 1 }, e->slot };
    }
    if (!asked)
        return NULL;
    HS_TRY(hs_store_state_points(srv->db, a, ask, asked, answer));
    for (size_t i = 0; i < asked; i++) {
        hs_stored *e = events[index[i]];
        hs_nid was = answer[i] == e->nid || answer[i] < 0 ? 0 : answer[i];

        ret[index[i]] = was;
        e->replaced = was ? was : HS_REPLACED_NONE;
    }
    return NULL;
}

/* Loads one event for each number that is not 0, whatever rooms they are in. */
static hs_error *load_each(hs_server *srv, hs_arena *a, const hs_nid *rooms, const hs_nid *nids, size_t n,
                           hs_stored **ret)
{
    hs_nid *run;
    hs_stored **got;

    HS_TRY(hs_alloc(a, n, &run));
    HS_TRY(hs_alloc(a, n, &got));
    for (size_t i = 0; i < n;) {
        size_t j = i, k = 0;

        for (; j < n && rooms[j] == rooms[i]; j++) {
            if (nids[j])
                run[k++] = nids[j];
        }
        if (k)
            HS_TRY(hs_events_load(srv, a, rooms[i], run, k, got));
        for (size_t m = i, at = 0; m < j; m++)
            ret[m] = nids[m] ? got[at++] : NULL;
        i = j;
    }
    return NULL;
}

/* May the viewer see one more event of a room beside those of a page? */
static hs_error *sees(hs_server *srv, hs_arena *a, const hs_session *viewer, hs_stored *event, bool *ret,
                      hs_membership *ret_membership)
{
    hs_room *room;

    HS_TRY(hs_room_load(srv, a, event->room, &room));
    *ret = false;
    return room ? hs_timeline_visible(srv, a, room, viewer, HS_SEES_PAST_STAYS, &event, 1, ret, ret_membership) : NULL;
}

/* Has all history of the room been open to its members at all times? It is so in nearly all rooms. */
static hs_error *always_open(hs_server *srv, hs_arena *a, hs_room *room, bool *ret)
{
    hs_nid nid = hs_room_state_nid(srv, room, HS_S("m.room.history_visibility"), HS_S("")), was = 0;
    hs_stored *e = NULL;
    hs_visibility now;

    if (nid)
        HS_TRY(hs_events_load(srv, a, room->nid, &nid, 1, &e));
    if (e)
        HS_TRY(hs_events_replaced(srv, a, &e, 1, &was));
    now = hs_visibility_of(e ? e->ev : NULL);
    *ret = !was && (now == HS_VIS_SHARED || now == HS_VIS_WORLD_READABLE);
    return NULL;
}

/* What one was oneself is known. */
static bool is_own(const hs_session *viewer, const hs_stored *e)
{
    return hs_str_eq(e->ev->type, HS_S("m.room.member")) && hs_str_eq(e->ev->state_key, viewer->user_id);
}

/* Of one room: what state events replaced, without what the viewer may not see: what held while they were not there. */
static hs_error *drop_unseen(hs_server *srv, hs_arena *a, const hs_session *viewer, bool state,
                             const hs_dressed *events, hs_stored **was, size_t n)
{
    hs_stored **asked;
    hs_membership *memberships;
    bool *visible, open = false;
    size_t *index, k = 0;
    hs_room *room;

    HS_TRY(hs_alloc(a, n, &asked));
    HS_TRY(hs_alloc(a, n, &index));
    for (size_t i = 0; i < n; i++) {
        if (!was[i] || (state ? events[i].membership != HS_MEMBER_NONE : events[i].membership == HS_MEMBER_NONE) ||
            events[i].membership == HS_MEMBER_JOIN || is_own(viewer, was[i]))
            continue;
        index[k] = i;
        asked[k++] = was[i];
    }
    if (!k)
        return NULL;
    HS_TRY(hs_room_load(srv, a, asked[0]->room, &room));
    if (!room)
        return NULL;
    if (state && hs_room_has_local(room, viewer->user))
        HS_TRY(always_open(srv, a, room, &open));
    if (open)
        return NULL;
    HS_TRY(hs_alloc(a, k, &visible));
    HS_TRY(hs_alloc(a, k, &memberships));
    HS_TRY(hs_timeline_visible(srv, a, room, viewer, HS_SEES_PAST_STAYS, asked, k, visible, memberships));
    for (size_t i = 0; i < k; i++) {
        if (!visible[i])
            was[index[i]] = NULL;
    }
    return NULL;
}

static hs_error *dress_replaced(hs_server *srv, hs_arena *a, const hs_session *viewer, bool state, hs_dressed *events,
                                size_t n)
{
    hs_stored **stored, **was;
    hs_nid *nids, *rooms;
    bool any = false;

    for (size_t i = 0; i < n; i++)
        any |= events[i].event->ev->is_state;
    if (!any)
        return NULL;
    HS_TRY(hs_alloc(a, n, &stored));
    HS_TRY(hs_alloc(a, n, &was));
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &rooms));
    for (size_t i = 0; i < n; i++) {
        stored[i] = events[i].event;
        rooms[i] = events[i].event->room;
    }
    HS_TRY(hs_events_replaced(srv, a, stored, n, nids));
    HS_TRY(load_each(srv, a, rooms, nids, n, was));
    for (size_t i = 0, end; viewer && i < n; i = end) {
        for (end = i; end < n && rooms[end] == rooms[i];)
            end++;
        HS_TRY(drop_unseen(srv, a, viewer, state, events + i, was + i, end - i));
    }
    for (size_t i = 0; i < n; i++)
        events[i].replaced = was[i];
    return NULL;
}

static hs_error *dress_redactions(hs_server *srv, hs_arena *a, hs_dressed *events, size_t n)
{
    hs_nid *nids, *rooms;
    hs_stored **by;
    bool any = false;

    for (size_t i = 0; i < n; i++)
        any |= (events[i].event->flags & HS_EV_REDACTED) && events[i].event->redacted_by;
    if (!any)
        return NULL;
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &rooms));
    HS_TRY(hs_alloc(a, n, &by));
    for (size_t i = 0; i < n; i++) {
        nids[i] = events[i].event->flags & HS_EV_REDACTED ? events[i].event->redacted_by : 0;
        rooms[i] = events[i].event->room;
    }
    HS_TRY(load_each(srv, a, rooms, nids, n, by));
    for (size_t i = 0; i < n; i++)
        events[i].redaction = by[i];
    return NULL;
}

static hs_error *dress_txns(hs_server *srv, hs_arena *a, const hs_session *who, hs_dressed *events, size_t n)
{
    hs_nid *nids;
    size_t *index;
    hs_str *txns;

    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &index));
    HS_TRY(hs_alloc(a, n, &txns));
    for (size_t i = 0; i < n;) {
        hs_nid room = events[i].event->room;
        size_t k = 0, j = i;

        for (; j < n && events[j].event->room == room; j++) {
            hs_dressed *e = &events[j];

            if (e->event->sender != who->user || e->event->ev->is_state) /* state is set without one */
                continue;
            switch (hs_recent_txn_find(srv, room, e->event->nid, e->pos, who->user, who->device_id, &e->txn_id)) {
            case 1:
                HS_TRY(hs_str_dup(a, e->txn_id, &e->txn_id));
                break;
            case -1:
                index[k] = j;
                nids[k++] = e->event->nid;
                break;
            default:
                break;
            }
        }
        if (k)
            HS_TRY(hs_store_txns_of_events(srv->db, a, room, who->user, who->device_id, nids, k, txns));
        for (size_t m = 0; m < k; m++)
            events[index[m]].txn_id = txns[m];
        i = j;
    }
    return NULL;
}

/* Of events without a transaction id of the device: they may have been sent later. */
static hs_error *dress_delays(hs_server *srv, hs_arena *a, const hs_session *who, hs_dressed *events, size_t n)
{
    hs_nid *nids;
    size_t *index;
    hs_str *ids;

    if (!hs_delayed_enabled(srv))
        return NULL;
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &index));
    HS_TRY(hs_alloc(a, n, &ids));
    for (size_t i = 0, j; i < n; i = j) {
        hs_nid room = events[i].event->room;
        size_t k = 0;

        for (j = i; j < n && events[j].event->room == room; j++) {
            if (events[j].event->sender == who->user && !events[j].txn_id.p) {
                index[k] = j;
                nids[k++] = events[j].event->nid;
            }
        }
        HS_TRY(hs_delayed_ids(srv, a, room, who->user, nids, k, ids));
        for (size_t m = 0; m < k; m++)
            events[index[m]].delay_id = ids[m];
    }
    return NULL;
}

/* ── aggregations ── */
/* State, edits and reactions have none; of a redacted event only the thread is left. */
static bool may_have_bundle(const hs_stored *e)
{
    hs_relates_to rel;

    if (e->ev->is_state)
        return false;
    rel = hs_relates_to_read(e->ev->content);
    return !hs_str_eq(rel.rel_type, HS_S("m.annotation")) && !hs_str_eq(rel.rel_type, HS_S("m.replace"));
}

/* Who is in the room and ignores nobody is shown all references: what can be told from their ids alone is nothing. */
static hs_error *apply_references(hs_server *srv, hs_arena *a, const hs_session *who, const hs_nids *ignores,
                                  const hs_bundles *b, hs_dressed *e)
{
    size_t first = 0, n = 0, kept = 0;
    const hs_room *room = hs_room_cached(srv, e->event->room);
    bool whole = !who || (!ignores->n && room && hs_room_has_local(room, who->user));
    hs_membership membership;
    hs_stored *event;
    hs_str *ids;

    while (first < b->references_n && b->references[first].target != e->event->nid)
        first++;
    while (first + n < b->references_n && b->references[first + n].target == e->event->nid)
        n++;
    if (!n)
        return NULL;
    HS_TRY(hs_alloc(a, n, &ids));
    for (size_t i = 0; i < n; i++) {
        bool seen = whole;

        if (!whole) {
            HS_TRY(hs_events_load(srv, a, e->event->room, &b->references[first + i].event, 1, &event));
            if (event)
                HS_TRY(sees(srv, a, who, event, &seen, &membership));
        }
        if (seen)
            ids[kept++] = b->references[first + i].event_id;
    }
    e->references = ids;
    e->references_n = kept;
    return NULL;
}

static hs_error *one_dressed(hs_server *srv, hs_arena *a, const hs_session *who, const hs_stored *target, hs_nid nid,
                             unsigned what, const hs_dressed **ret);

/* The newest reply that the viewer may see, and how many there are up to it. */
static hs_error *dress_thread(hs_server *srv, hs_arena *a, const hs_session *who, const hs_nids *ignores,
                              const hs_thread_row *thread, hs_dressed *e)
{
    enum { TAIL = 50 };
    hs_nid nids[TAIL];
    int64_t positions[TAIL];
    const hs_dressed *last = NULL;
    size_t n;

    if (!ignores->n)
        HS_TRY(one_dressed(srv, a, who, e->event, thread->last, HS_DRESS_BUNDLE, &last));
    e->thread_count = thread->replies;
    if (!last && who) {
        HS_TRY(hs_store_thread_tail(srv->db, a, e->event->room, e->event->nid, *ignores, TAIL, nids, positions, &n));
        for (size_t i = 0; i < n && !last; i++) {
            HS_TRY(one_dressed(srv, a, who, e->event, nids[i], HS_DRESS_BUNDLE, &last));
            if (last)
                HS_TRY(hs_store_thread_count(srv->db, a, e->event->room, e->event->nid, *ignores, positions[i],
                                             &e->thread_count));
        }
    }
    e->participated = thread->participated || (who && e->event->sender == who->user);
    e->thread_last = last;
    return NULL;
}

static bool is_related(const hs_bundles *b, hs_nid event)
{
    for (size_t i = 0; i < b->edits_n; i++)
        if (b->edits[i].target == event)
            return true;
    for (size_t i = 0; i < b->references_n; i++)
        if (b->references[i].target == event)
            return true;
    for (size_t i = 0; i < b->threads_n; i++)
        if (b->threads[i].root == event)
            return true;
    return false;
}

/* Asks the store about those of whom it is not known that nothing relates to them, which is remembered. */
static hs_error *read_bundles(hs_server *srv, hs_arena *a, const hs_session *who, const hs_dressed *events, size_t n,
                              hs_bundles *ret)
{
    uint32_t version = srv->timelines->related_version;
    hs_nid *rooms, *targets;
    hs_stored **asked;
    size_t k = 0;

    HS_TRY(hs_alloc(a, n, &rooms));
    HS_TRY(hs_alloc(a, n, &targets));
    HS_TRY(hs_alloc(a, n, &asked));
    for (size_t i = 0; i < n; i++) {
        hs_stored *e = events[i].event;

        if (e->unrelated || !may_have_bundle(e))
            continue;
        rooms[k] = e->room;
        targets[k] = e->nid;
        asked[k++] = e;
    }
    HS_TRY(hs_store_bundles(srv->db, a, who ? who->user : 0, rooms, targets, k, ret));
    /* What was told meanwhile may be newer than the answer. */
    if (version != srv->timelines->related_version)
        return NULL;
    for (size_t i = 0; i < k; i++)
        asked[i]->unrelated = !is_related(ret, targets[i]);
    return NULL;
}

static hs_error *dress_bundles(hs_server *srv, hs_arena *a, const hs_session *who, bool threads, hs_dressed *events,
                               size_t n)
{
    hs_nids ignores = { NULL, 0 };
    hs_bundles b;

    HS_TRY(read_bundles(srv, a, who, events, n, &b));
    if (!b.edits_n && !b.references_n && !b.threads_n)
        return NULL;
    if (who)
        HS_TRY(hs_ignored_users(srv, a, who->user, &ignores));
    for (size_t i = 0; i < n; i++) {
        hs_dressed *e = &events[i];

        if (!may_have_bundle(e->event))
            continue;
        HS_TRY(apply_references(srv, a, who, &ignores, &b, e));
        for (size_t m = 0; m < b.edits_n; m++) {
            if (b.edits[m].target == e->event->nid && !(e->event->flags & HS_EV_REDACTED))
                HS_TRY(one_dressed(srv, a, who, e->event, b.edits[m].event, 0, &e->edit));
        }
        for (size_t m = 0; threads && m < b.threads_n; m++) {
            if (b.threads[m].root != e->event->nid || hs_relates_to_read(e->event->ev->content).rel_type.p)
                continue;
            HS_TRY(dress_thread(srv, a, who, &ignores, &b.threads[m], e));
        }
    }
    return NULL;
}

/* An event that is shown inside another one; *ret stays NULL when the viewer may not see it. A thread's last event has
 * its own edit, but no thread. */
static hs_error *one_dressed(hs_server *srv, hs_arena *a, const hs_session *who, const hs_stored *target, hs_nid nid,
                             unsigned what, const hs_dressed **ret)
{
    hs_membership membership = HS_MEMBER_NONE;
    hs_stored *event;
    hs_dressed *d;
    bool seen = true;

    HS_TRY(hs_events_load(srv, a, target->room, &nid, 1, &event));
    if (event && who)
        HS_TRY(sees(srv, a, who, event, &seen, &membership));
    if (!event || !seen)
        return NULL;
    HS_TRY(hs_alloc(a, 1, &d));
    *d = (hs_dressed){ .event = event, .membership = membership };
    HS_TRY(hs_timeline_erase(srv, a, d, 1));
    d->membership = HS_MEMBER_NONE; /* not shown here */
    HS_TRY(hs_timeline_dress(srv, a, who, 0, d, 1));
    if (what & HS_DRESS_BUNDLE)
        HS_TRY(dress_bundles(srv, a, who, false, d, 1));
    *ret = d;
    return NULL;
}

hs_error *hs_timeline_dress(hs_server *srv, hs_arena *a, const hs_session *viewer, unsigned what, hs_dressed *events,
                            size_t n)
{
    if (!n)
        return NULL;
    if (!(what & HS_DRESS_STATE))
        HS_TRY(hs_timeline_erase(srv, a, events, n));
    HS_TRY(dress_redactions(srv, a, events, n));
    if (what & HS_DRESS_REPLACED)
        HS_TRY(dress_replaced(srv, a, viewer, what & HS_DRESS_STATE, events, n));
    if (viewer && viewer->device_id.n)
        HS_TRY(dress_txns(srv, a, viewer, events, n));
    if (viewer && !(what & HS_DRESS_STATE))
        HS_TRY(dress_delays(srv, a, viewer, events, n));
    if (what & HS_DRESS_BUNDLE)
        HS_TRY(dress_bundles(srv, a, viewer, true, events, n));
    return NULL;
}
