/* What /sync tells of sticky events (MSC4354), as Synapse does: those after the token, of all joined rooms together no
 * more than a page, whose end is in the next token; of a room just joined all that there are. What the timeline shows
 * is not told twice. */
#include "server/relations.h"
#include "server/sticky.h"
#include "server/sync_run.h"

enum {
    PAGE = 100,
    AT_JOIN = 5000, /* the oldest: there is no later page. Synapse knows no bound here */
};

hs_error *hs_sync_sticky_find(hs_sync_run *s)
{
    hs_server *srv = s->job.srv;
    int64_t after = s->job.in->has_since ? s->job.in->since.sticky : 0;
    hs_nid *rooms = NULL;
    size_t n = 0;

    s->sticky_upto = s->job.upto;
    if (!hs_sticky_enabled(srv))
        return NULL;
    for (size_t i = 0; i < s->rooms_n; i++) {
        if (s->rooms[i].membership != HS_MEMBER_JOIN || !hs_sticky_later(srv, s->rooms[i].room, after))
            continue;
        if (!rooms)
            HS_TRY(hs_alloc(s->job.a, s->rooms_n, &rooms));
        rooms[n++] = s->rooms[i].room;
    }
    if (!n)
        return NULL;
    HS_TRY(hs_sticky_read(srv, s->job.a, rooms, n, after, s->job.upto, PAGE, &s->sticky, &s->sticky_n));
    if (s->sticky_n == PAGE)
        s->sticky_upto = s->sticky[PAGE - 1].pos;
    return NULL;
}

bool hs_sync_sticky_has(const hs_sync_run *s, hs_nid room)
{
    for (size_t i = 0; i < s->sticky_n; i++)
        if (s->sticky[i].room == room)
            return true;
    return false;
}

static hs_error *rows_of(hs_sync_run *s, const hs_sync_part *p, hs_sticky_row **ret, size_t *ret_n)
{
    size_t n = 0;

    *ret_n = 0;
    if (p->newly_joined)
        return hs_sticky_read(s->job.srv, s->job.a, &p->room->nid, 1, 0, s->job.upto, AT_JOIN, ret, ret_n);
    if (!hs_sync_sticky_has(s, p->room->nid))
        return NULL;
    HS_TRY(hs_alloc(s->job.a, s->sticky_n, ret));
    for (size_t i = 0; i < s->sticky_n; i++)
        if (s->sticky[i].room == p->room->nid)
            (*ret)[n++] = s->sticky[i];
    *ret_n = n;
    return NULL;
}

/* A timeline that somebody else was shown has all that came since the token and fits the filter. */
static bool in_timeline(const hs_sync_run *s, const hs_sync_part *p, const hs_stored *e, int64_t pos, bool keep)
{
    for (size_t i = 0; i < p->events_n; i++)
        if (p->events[i].event->nid == e->nid)
            return true;
    return p->timeline_json.p && pos > p->since && keep &&
           hs_event_filter_match(&s->job.in->filter->timeline, e->ev->type, e->ev->sender, p->room->id, e->ev->content);
}

static bool is_ignored(const hs_sync_run *s, const hs_stored *e)
{
    for (size_t i = 0; !e->ev->is_state && i < s->job.ignores.n; i++)
        if (s->job.ignores.at[i] == e->sender)
            return true;
    return false;
}

/* Calls are not told of in public rooms: they would ring at many people. */
static bool rings_all(const hs_stored *e, bool is_public)
{
    return is_public && !e->ev->is_state && hs_str_eq(e->ev->type, HS_S("m.call.invite"));
}

static hs_error *is_public(hs_sync_run *s, hs_room *room, bool *ret)
{
    hs_nid nid = hs_room_state_nid(s->job.srv, room, HS_S("m.room.join_rules"), HS_S(""));
    hs_stored *rules;

    *ret = false;
    if (!nid)
        return NULL;
    HS_TRY(hs_events_load(s->job.srv, s->job.a, room->nid, &nid, 1, &rules));
    *ret = rules && hs_str_eq(hs_jv_str_or_null(hs_jv_get(rules->ev->content, HS_S("join_rule"))), HS_S("public"));
    return NULL;
}

/* Whoever is joined may see them, whatever the history's visibility; the membership at the event is told as always. */
static hs_error *take(hs_sync_run *s, hs_sync_part *p, const hs_sticky_row *rows, hs_stored **events, size_t n)
{
    hs_membership *memberships;
    bool *visible, *keep, in_public;
    size_t k = 0;

    HS_TRY(hs_alloc(s->job.a, n, &keep));
    HS_TRY(hs_alloc(s->job.a, n, &visible));
    HS_TRY(hs_alloc(s->job.a, n, &memberships));
    HS_TRY(hs_alloc(s->job.a, n, &p->sticky));
    HS_TRY(is_public(s, p->room, &in_public));
    HS_TRY(hs_relations_filter(s->job.srv, s->job.a, p->room->nid, &s->job.in->filter->timeline, events, n, keep));
    HS_TRY(hs_timeline_visible(s->job.srv, s->job.a, p->room, s->job.who, HS_SEES_PAST_STAYS, events, n, visible,
                               memberships));
    for (size_t i = 0; i < n; i++)
        if (!in_timeline(s, p, events[i], rows[i].pos, keep[i]) && !is_ignored(s, events[i]) &&
            !rings_all(events[i], in_public))
            p->sticky[k++] = (hs_dressed){ .event = events[i], .membership = memberships[i], .pos = rows[i].pos };
    p->sticky_n = k;
    return NULL;
}

hs_error *hs_sync_sticky_part(hs_sync_run *s, hs_sync_part *p)
{
    hs_sticky_row *rows;
    hs_stored **events;
    hs_nid *nids;
    size_t n, k = 0;

    if (p->archived || !hs_sticky_enabled(s->job.srv))
        return NULL;
    HS_TRY(rows_of(s, p, &rows, &n));
    if (!n)
        return NULL;
    HS_TRY(hs_alloc(s->job.a, n, &nids));
    HS_TRY(hs_alloc(s->job.a, n, &events));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].event;
    HS_TRY(hs_events_load(s->job.srv, s->job.a, p->room->nid, nids, n, events));
    for (size_t i = 0; i < n; i++) {
        if (!events[i]) /* purged with its history */
            continue;
        rows[k] = rows[i];
        events[k++] = events[i];
    }
    HS_TRY(take(s, p, rows, events, k));
    return hs_timeline_dress(s->job.srv, s->job.a, s->job.who, HS_DRESS_REPLACED, p->sticky, p->sticky_n);
}
