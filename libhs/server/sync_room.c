/* The timeline of one room in a sync: which events, whether there is a gap before them. */
#include "server/sync_part.h"

#include "base/vec.h"
#include "server/relations.h"

enum { SCAN_FACTOR = 2, SCAN_ROUNDS = 5, LIMIT_DEFAULT = 10 };

static int64_t limit_of(const hs_sync_job *job)
{
    int64_t limit = job->in->filter->timeline.limit, most = job->srv->config->filter_timeline_limit;

    if (limit < 0)
        limit = LIMIT_DEFAULT;
    if (most <= 0 || most > HS_PAGE_LIMIT)
        most = HS_PAGE_LIMIT;
    return limit > most ? most : limit;
}

/* The newest rows from memory, at most `most`, newest first; *ret_whole: nothing in the range is missing. */
static hs_error *recent_rows(hs_sync_job *job, hs_sync_part *p, size_t most, bool *ret_whole)
{
    const hs_room *room = p->room;
    size_t i = room->recent_n;

    HS_TRY(hs_alloc(job->a, most + 1, &p->rows));
    *ret_whole = false;
    while (i > 0 && room->recent[i - 1].pos > p->upto)
        i--;
    for (; i > 0 && p->rows_n < most; i--) {
        const hs_timeline_entry *e = &room->recent[i - 1];

        if (e->event)
            HS_TRY(hs_stored_hold(job->a, e->event));
        p->rows[p->rows_n] = (hs_sync_row){ .pos = e->pos,
                                            .depth = e->event ? e->event->ev->depth : 0,
                                            .event = e->event,
                                            .line = e->line,
                                            .snap = e->snap };
        if (e->pos <= p->since) {
            p->has_base = true; /* one more than the range: what held before it */
            *ret_whole = true;
            return NULL;
        }
        p->rows_n++;
    }
    *ret_whole = i == 0 && room->recent_complete;
    return NULL;
}

/* Older rows from the store, behind those that are there. */
static hs_error *stored_rows(hs_sync_job *job, hs_sync_part *p, size_t most, bool *ret_whole)
{
    int64_t high = p->rows_n ? p->rows[p->rows_n - 1].pos - 1 : p->upto;
    hs_timeline_row *rows;
    hs_stored **events;
    hs_nid *nids;
    hs_sync_row *grown;
    size_t n;

    HS_TRY(
        hs_store_timeline(job->srv->db, job->a, p->room->nid, p->since, high, HS_BACKWARD, (int32_t)most, &rows, &n));
    HS_TRY(hs_alloc(job->a, n, &nids));
    HS_TRY(hs_alloc(job->a, n, &events));
    HS_TRY(hs_alloc(job->a, p->rows_n + n + 1, &grown));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].event;
    if (n)
        HS_TRY(hs_events_load(job->srv, job->a, p->room->nid, nids, n, events));
    if (p->rows_n)
        memcpy(grown, p->rows, p->rows_n * sizeof *grown);
    for (size_t i = 0; i < n; i++) {
        grown[p->rows_n + i] = (hs_sync_row){
            .pos = rows[i].pos, .depth = rows[i].depth, .event = events[i], .line = rows[i].line, .snap = rows[i].snap
        };
    }
    p->rows = grown;
    p->rows_n += n;
    *ret_whole = n < most;
    return NULL;
}

/* Was the user joined all the time? Then everything is seen, and no state has to be looked at. */
static bool sees_all(const hs_sync_job *job, const hs_sync_part *p)
{
    return !job->srv->config->retention.enabled && !job->ignores.n && !p->archived &&
           p->me.membership == HS_MEMBER_JOIN && !p->newly_joined && p->since != INT64_MIN && p->me.pos <= p->since;
}

/* Adds the visible ones of rows[from … to) to p->events (newest first) until there are `enough`. */
static hs_error *take(hs_sync_job *job, hs_sync_part *p, size_t from, size_t to, bool all, size_t enough)
{
    const hs_event_filter *f = &job->in->filter->timeline;
    hs_stored **events;
    hs_membership *memberships;
    bool *visible, *keep, related = hs_relations_filters(f);
    size_t *index, n = 0, sure = 0; /* sure: no redaction, which may have nothing to redact */

    HS_TRY(hs_alloc(job->a, to - from, &events));
    HS_TRY(hs_alloc(job->a, to - from, &visible));
    HS_TRY(hs_alloc(job->a, to - from, &memberships));
    HS_TRY(hs_alloc(job->a, to - from, &index));
    HS_TRY(hs_alloc(job->a, to - from, &keep));
    for (size_t i = from; i < to && (!all || related || p->events_n + sure < enough); i++) {
        const hs_stored *e = p->rows[i].event;

        if (!e || !hs_event_is_shown(e->ev) ||
            !hs_event_filter_match(f, e->ev->type, e->ev->sender, p->room->id, e->ev->content))
            continue;
        index[n] = i;
        sure += !e->ev->redacts.p;
        events[n++] = p->rows[i].event;
    }
    HS_TRY(hs_relations_filter(job->srv, job->a, p->room->nid, f, events, n, keep));
    if (all) {
        for (size_t i = 0; i < n; i++) {
            visible[i] = true;
            memberships[i] = HS_MEMBER_JOIN;
        }
        HS_TRY(hs_timeline_hide_idle_redactions(job->srv, job->a, p->room->nid, events, n, visible));
    } else {
        HS_TRY(hs_timeline_visible(job->srv, job->a, p->room, job->who, HS_SEES_PAST_STAYS, events, n, visible,
                                   memberships));
        /* State that holds is never kept from the timeline: the client would not learn of it otherwise. */
        for (size_t i = 0; i < n; i++) {
            visible[i] = visible[i] || (events[i]->ev->is_state && hs_state_find(p->room->state, p->room->state_n,
                                                                                 events[i]->slot) == events[i]->nid);
        }
    }
    for (size_t i = 0; i < n && p->events_n < enough; i++) {
        if (!visible[i] || !keep[i])
            continue;
        p->events[p->events_n++] =
            (hs_dressed){ .event = events[i], .membership = memberships[i], .pos = p->rows[index[i]].pos };
        if (p->events_n < enough)
            p->first = index[i];
    }
    return NULL;
}

static hs_error *senders_of(hs_sync_job *job, hs_sync_part *p)
{
    hs_nid *senders;
    int64_t *slots;

    HS_TRY(hs_alloc(job->a, p->events_n, &senders));
    HS_TRY(hs_alloc(job->a, p->events_n, &slots));
    for (size_t i = 0; i < p->events_n; i++) {
        const hs_stored *e = p->events[i].event;
        size_t k = 0;

        p->has_state |= e->ev->is_state;
        p->member_events |= e->ev->is_state && hs_str_eq(e->ev->type, HS_S("m.room.member"));
        while (k < p->senders_n && senders[k] != e->sender)
            k++;
        if (k == p->senders_n) {
            slots[k] = hs_slot(job->srv->slot_key, HS_S("m.room.member"), e->ev->sender);
            senders[p->senders_n++] = e->sender;
        }
    }
    p->senders = senders;
    p->sender_slots = slots;
    return NULL;
}

/* From newest first with maybe one too many, to what is shown. */
static void cut(hs_sync_part *p, size_t limit)
{
    if (p->events_n > limit)
        p->events_n = limit;
    for (size_t i = 0; i < p->events_n / 2; i++) {
        hs_dressed t = p->events[i];

        p->events[i] = p->events[p->events_n - 1 - i];
        p->events[p->events_n - 1 - i] = t;
    }
}

static size_t batch_of(size_t limit)
{
    return limit * SCAN_FACTOR > 10 ? limit * SCAN_FACTOR : 10;
}

hs_error *hs_sync_foresee(hs_sync_job *job, const hs_sync_part *parts, size_t n)
{
    size_t batch = batch_of((size_t)limit_of(job));
    HS_VEC(hs_stored *) states = { 0 };
    hs_nid *replaced;

    for (size_t i = 0; i < n; i++) {
        const hs_room *room = parts[i].room;

        if (parts[i].since != INT64_MIN)
            continue;
        for (size_t k = 0; k < batch && k < room->recent_n; k++) {
            hs_stored *e = room->recent[room->recent_n - 1 - k].event;

            if (!e || !e->ev->is_state)
                continue;
            HS_TRY(hs_stored_hold(job->a, e));
            HS_TRY(hs_vec_push(job->a, &states, e));
        }
    }
    if (!states.n)
        return NULL;
    HS_TRY(hs_alloc(job->a, states.n, &replaced));
    return hs_events_replaced(job->srv, job->a, states.at, states.n, replaced);
}

/* The user's own member event, if it came after the token. */
static hs_error *collect_own(hs_sync_job *job, hs_sync_part *p)
{
    hs_timeline_row at;
    hs_stored *event;

    HS_TRY(hs_alloc(job->a, 1, &p->events));
    p->end = (hs_snap){ -1, 0 };
    HS_TRY(hs_events_load(job->srv, job->a, p->room->nid, &p->me.event, 1, &event));
    if (!event)
        return NULL;
    HS_TRY(hs_store_timeline_of(job->srv->db, job->a, p->room->nid, &event->nid, 1, &at));
    if (!at.pos || at.pos <= p->since ||
        !hs_event_filter_match(&job->in->filter->timeline, event->ev->type, event->ev->sender, p->room->id,
                               event->ev->content))
        return NULL;
    p->events[p->events_n++] = (hs_dressed){ .event = event, .membership = event->ev->membership, .pos = at.pos };
    p->prev = (hs_page_token){ .pos = at.pos - 1 };
    return senders_of(job, p);
}

hs_error *hs_sync_collect(hs_sync_job *job, hs_sync_part *p)
{
    size_t limit = (size_t)limit_of(job), batch = batch_of(limit), done = 0;
    bool whole, all;

    if (p->only_own)
        return collect_own(job, p);
    HS_TRY(recent_rows(job, p, batch, &whole));
    if (!p->rows_n && !whole)
        HS_TRY(stored_rows(job, p, batch, &whole));
    all = sees_all(job, p);
    HS_TRY(hs_alloc(job->a, limit + 1, &p->events));
    for (int round = 0;; round++) {
        HS_TRY(take(job, p, done, p->rows_n, all, limit + 1));
        done = p->rows_n;
        if (p->events_n > limit || whole || round == SCAN_ROUNDS)
            break;
        HS_TRY(stored_rows(job, p, batch, &whole));
    }
    p->limited = p->events_n > limit || !whole || p->newly_joined;
    for (size_t i = 0; i < p->rows_n; i++)
        p->has_state |= p->rows[i].event && p->rows[i].event->ev->is_state;
    p->plain = !p->limited && hs_sync_linear(p->rows, 0, p->rows_n ? p->rows_n - 1 + p->has_base : 0);
    p->same_for_all = all && p->plain && !p->full && p->since != INT64_MIN && p->me.pos <= p->since;
    cut(p, limit);
    if (!p->events_n)
        p->first = p->rows_n;

    if (p->rows_n || p->has_base) {
        p->end = (hs_snap){ p->rows[0].line, p->rows[0].snap };
    } else {
        hs_timeline_row at;
        bool found;

        HS_TRY(hs_store_head_at(job->srv->db, job->a, p->room->nid, p->upto, &at, &found));
        p->end = found ? (hs_snap){ at.line, at.snap } : (hs_snap){ -1, 0 };
    }
    /* The timeline goes by position, and so does what was before it: some of that may be deeper. */
    p->prev = (hs_page_token){ .pos = p->events_n ? p->events[0].pos - 1 : p->upto };
    /* Before a whole history there is no page left, which the depth says; the position is the present, as in Synapse:
     * …/members?at= is asked about it. */
    if (p->events_n && hs_str_eq(p->events[0].event->ev->type, HS_S("m.room.create")))
        p->prev = (hs_page_token){ .has_depth = true, .depth = p->events[0].event->ev->depth - 1, .pos = p->upto };
    return senders_of(job, p);
}
