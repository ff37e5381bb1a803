/* Which rooms have news for a user since a token, and which stay of the user's in them is told. */
#include "server/names.h"
#include "server/receipts.h"
#include "server/sync_run.h"
#include "server/timeline_state.h"
#include "server/typing.h"
#include "store/members.h"
#include "store/receipts.h"
#include "store/state_points.h"

static bool in_set(const hs_nid *set, size_t n, hs_nid room)
{
    for (size_t i = 0; i < n; i++) {
        if (set[i] == room)
            return true;
    }
    return false;
}

static bool has_data(const hs_sync_run *s, hs_nid room)
{
    size_t low = 0, high = s->data_n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (s->data[mid].room < room)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->data_n && s->data[low].room == room;
}

/* Has anything happened in a room where the user is joined? `below`: rooms with news older than the process' memory. */
static bool has_news(const hs_sync_run *s, const hs_su_room *me, const hs_nids *below)
{
    hs_server *srv = s->job.srv;
    int64_t since = s->job.in->since.pos;
    const hs_sync_room *memory;

    if (hs_fanout_room_position(srv, me->room) > since || in_set(below->at, below->n, me->room) ||
        has_data(s, me->room) || hs_sync_sticky_has(s, me->room))
        return true;
    memory = hs_sync_room_peek(srv, me->room);
    if (memory && memory->receipts_pos > since)
        return true;
    /* What was remembered has gone while this request waited for something: then the room is looked at. */
    if (hs_sync_rooms_floor(srv) > s->floor && hs_sync_rooms_floor(srv) > since)
        return true;
    return hs_typing_room_serial(srv, me->room) > s->typing.since;
}

static hs_error *add_part(hs_sync_run *s, const hs_sync_part *p)
{
    hs_sync_part part = *p;

    if (!part.room)
        HS_TRY(hs_room_load(s->job.srv, s->job.a, part.me.room, &part.room));
    if (!part.room || !hs_filter_room(s->job.in->filter, part.room->id))
        return NULL;
    return hs_vec_push(s->job.a, &s->parts, part);
}

/* Neither those of people whom one ignores nor those that one's rules pass over. */
static hs_error *invite_is_told(hs_sync_run *s, hs_nid sender, bool *ret)
{
    hs_str inviter;

    *ret = false;
    if (in_set(s->job.ignores.at, s->job.ignores.n, sender))
        return NULL;
    if (!s->has_invite_rules)
        HS_TRY(hs_invite_rules_load(s->job.srv, s->job.a, s->job.who->user, &s->invite_rules));
    s->has_invite_rules = true;
    HS_TRY(hs_user_name(s->job.srv, s->job.a, sender, &inviter));
    *ret = hs_invite_rules_ask(&s->invite_rules, inviter) != HS_INVITE_IGNORE;
    return NULL;
}

static hs_error *add_pending(hs_sync_run *s, const hs_su_room *me)
{
    hs_sync_pending p = { .me = *me };
    bool told = true;

    HS_TRY(hs_room_load(s->job.srv, s->job.a, me->room, &p.room));
    if (!p.room || !hs_filter_room(s->job.in->filter, p.room->id))
        return NULL;
    if (me->membership == HS_MEMBER_INVITE)
        HS_TRY(invite_is_told(s, me->sender, &told));
    if (!told)
        return NULL;
    return me->membership == HS_MEMBER_INVITE ? hs_vec_push(s->job.a, &s->invites, p)
                                              : hs_vec_push(s->job.a, &s->knocks, p);
}

/* What is shown of a room that the user is not in any more ends with the stay. Who was only invited, or knew of the end
 * already, is shown the own member event alone. */
static hs_error *end_with_stay(hs_sync_run *s, hs_sync_part *p)
{
    hs_user_room row;
    bool found;

    HS_TRY(hs_store_user_room(s->job.srv->db, s->job.a, s->job.who->user, p->me.room, &row, &found));
    p->archived = true;
    p->only_own = !found || !row.left_pos || row.left_pos <= p->since || row.left_pos > p->me.pos;
    p->upto = p->only_own ? p->me.pos : row.left_pos;
    return add_part(s, p);
}

static hs_error *initial_room(hs_sync_run *s, const hs_su_room *me)
{
    hs_sync_part p = { .me = *me, .full = true, .since = INT64_MIN, .upto = s->job.upto };

    p.always = s->job.in->full_state;
    switch (me->membership) {
    case HS_MEMBER_JOIN:
        return add_part(s, &p);
    case HS_MEMBER_INVITE:
    case HS_MEMBER_KNOCK:
        return add_pending(s, me);
    case HS_MEMBER_LEAVE:
        /* Who was kicked or banned is always told. */
        if (!s->job.in->filter->include_leave && me->sender == s->job.who->user)
            return NULL;
        break;
    case HS_MEMBER_BAN:
        break;
    case HS_MEMBER_NONE:
        return NULL;
    }
    if (me->flags & HS_USER_ROOM_FORGOTTEN)
        return NULL;
    return end_with_stay(s, &p);
}

/* The user's own membership in a room, before the token and since. */
typedef struct {
    hs_membership before;
    bool joined, other; /* since: some join, something else */
} own_history;

static hs_membership membership_of(const hs_stored *e)
{
    return e ? hs_membership_parse(hs_jv_str_or_null(hs_jv_get(e->ev->content, HS_S("membership")))) : HS_MEMBER_NONE;
}

static hs_error *own_history_of(hs_sync_run *s, hs_room *room, own_history *ret)
{
    hs_sync_job *job = &s->job;
    int64_t slot = hs_slot(job->srv->slot_key, HS_S("m.room.member"), job->who->user_id), since = job->in->since.pos;
    own_history h = { .before = HS_MEMBER_NONE };
    hs_timeline_row head;
    hs_stored **events, *before;
    hs_nid *nids, nid;
    size_t n;
    bool found;

    HS_TRY(hs_store_slot_events(job->srv->db, job->a, room->nid, slot, since, job->upto, &nids, &n));
    HS_TRY(hs_alloc(job->a, n, &events));
    if (n)
        HS_TRY(hs_events_load(job->srv, job->a, room->nid, nids, n, events));
    for (size_t i = 0; i < n; i++) {
        if (membership_of(events[i]) == HS_MEMBER_JOIN)
            h.joined = true;
        else
            h.other = true;
    }
    HS_TRY(hs_store_head_at(job->srv->db, job->a, room->nid, since, &head, &found));
    if (found) {
        hs_snap at = { head.line, head.snap };

        HS_TRY(hs_store_state_slots(job->srv->db, job->a, room->nid, at, &slot, 1, &nid));
        if (nid > 0) {
            HS_TRY(hs_events_load(job->srv, job->a, room->nid, &nid, 1, &before));
            h.before = membership_of(before);
        }
    }
    *ret = h;
    return NULL;
}

/* A room where the user's membership has changed since the token. */
static hs_error *changed_room(hs_sync_run *s, const hs_su_room *me)
{
    hs_sync_part p = { .me = *me, .since = s->job.in->since.pos, .upto = s->job.upto, .always = s->job.in->full_state };
    own_history h;

    HS_TRY(hs_room_load(s->job.srv, s->job.a, me->room, &p.room));
    if (!p.room)
        return NULL;
    if (me->membership == HS_MEMBER_INVITE || me->membership == HS_MEMBER_KNOCK)
        HS_TRY(add_pending(s, me));
    HS_TRY(own_history_of(s, p.room, &h));
    p.newly_joined = h.joined && (h.before != HS_MEMBER_JOIN || h.other);
    p.full = s->job.in->full_state || p.newly_joined;
    switch (me->membership) {
    case HS_MEMBER_JOIN:
        if (p.newly_joined)
            p.since = INT64_MIN;
        return add_part(s, &p);
    case HS_MEMBER_LEAVE:
    case HS_MEMBER_BAN: /* forgotten or not: the user's other devices have to learn of it */
        p.newly_joined = h.joined && h.before != HS_MEMBER_JOIN;
        p.full = s->job.in->full_state || p.newly_joined;
        return end_with_stay(s, &p);
    default:
        return NULL;
    }
}

/* Rooms whose news are older than what the process remembers. */
static hs_error *news_below(hs_sync_run *s, const hs_su_room *rooms, size_t n, hs_nids *ret)
{
    hs_server *srv = s->job.srv;
    int64_t since = s->job.in->since.pos, floor = hs_fanout_floor(srv);
    hs_nid *joined, *both;
    hs_nids timeline;
    hs_receipt_row *receipts;
    size_t k = 0, receipts_n;

    *ret = (hs_nids){ NULL, 0 };
    s->floor = hs_sync_rooms_floor(srv);
    if (hs_sync_rooms_floor(srv) > floor)
        floor = hs_sync_rooms_floor(srv);
    if (since >= floor)
        return NULL;
    HS_TRY(hs_alloc(s->job.a, n, &joined));
    for (size_t i = 0; i < n; i++) {
        if (rooms[i].membership == HS_MEMBER_JOIN)
            joined[k++] = rooms[i].room;
    }
    if (!k)
        return NULL;
    HS_TRY(hs_store_rooms_with_news(srv->db, s->job.a, joined, k, since, floor, &timeline));
    HS_TRY(hs_store_receipts_after(srv->db, s->job.a, joined, k, s->job.who->user, since, s->job.upto, &receipts,
                                   &receipts_n));
    HS_TRY(hs_alloc(s->job.a, timeline.n + receipts_n, &both));
    if (timeline.n)
        memcpy(both, timeline.at, timeline.n * sizeof *both);
    k = timeline.n;
    for (size_t i = 0; i < receipts_n; i++) {
        if (!i || receipts[i].room != receipts[i - 1].room)
            both[k++] = receipts[i].room;
    }
    *ret = (hs_nids){ both, k };
    return NULL;
}

hs_error *hs_sync_choose(hs_sync_run *s)
{
    const hs_sync_in *in = s->job.in;
    const hs_waiter *w = in->woken && !in->woken->all ? in->woken : NULL;
    hs_nids below = { NULL, 0 };

    if (in->has_since && !w)
        HS_TRY(news_below(s, s->rooms, s->rooms_n, &below));
    for (size_t i = 0; i < s->rooms_n; i++) {
        const hs_su_room *me = &s->rooms[i];

        if (!in->has_since)
            HS_TRY(initial_room(s, me));
        else if (me->pos > in->since.pos)
            HS_TRY(changed_room(s, me));
        else if (me->membership == HS_MEMBER_JOIN && (in->full_state || has_news(s, me, &below))) {
            hs_sync_part p = { .me = *me, .since = in->since.pos, .upto = s->job.upto };

            p.full = p.always = in->full_state;
            HS_TRY(add_part(s, &p));
        }
    }
    return NULL;
}
