/* The state section of a room: what the client needs to know between its token and the first event shown; or, where it
 * asked for the state after the timeline (MSC4222), what has changed up to the last one. */
#include "server/sync_part.h"

#include "base/vec.h"
#include "core/sign.h"
#include "server/names.h"
#include "server/relations.h"

#include <stdlib.h>

typedef HS_VEC(hs_state_change) changes;
typedef HS_VEC(hs_nid) nid_vec;

hs_nid hs_state_find(const hs_state_entry *at, size_t n, int64_t slot)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (at[mid].slot < slot)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n && at[low].slot == slot ? at[low].event : 0;
}

static const hs_state_change *change_of(const changes *c, int64_t slot)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->at[i].slot == slot)
            return &c->at[i];
    }
    return NULL;
}

static bool shown(const hs_sync_part *p, hs_nid event)
{
    for (size_t i = 0; i < p->events_n; i++) {
        if (p->events[i].event->nid == event)
            return true;
    }
    return false;
}

/* Does the client learn of it from the timeline? Not who asked for the state after it. */
static bool told(const hs_sync_job *job, const hs_sync_part *p, hs_nid event)
{
    return !job->in->state_after && shown(p, event);
}

bool hs_sync_linear(const hs_sync_row *rows, size_t newest, size_t oldest)
{
    for (size_t i = oldest; i > newest; i--) {
        const hs_sync_row *before = &rows[i], *row = &rows[i - 1];

        if (!row->event || row->line != before->line || row->snap != before->snap + row->event->ev->is_state)
            return false;
    }
    return true;
}

/* What changed from after the first event shown up to the end. */
static hs_error *changes_shown(hs_sync_job *job, const hs_sync_part *p, changes *ret)
{
    const hs_sync_row *first;
    hs_stored **events;
    hs_nid *was;
    size_t n = 0;

    if (!p->events_n || p->first >= p->rows_n)
        return NULL;
    first = &p->rows[p->first];
    if (!hs_sync_linear(p->rows, 0, p->first)) {
        hs_state_change *c;
        size_t c_n;

        HS_TRY(hs_store_state_diff(job->srv->db, job->a, p->room->nid, (hs_snap){ first->line, first->snap }, p->end,
                                   &c, &c_n));
        *ret = (changes){ c, c_n, c_n };
        return NULL;
    }
    HS_TRY(hs_alloc(job->a, p->first + 1, &events));
    HS_TRY(hs_alloc(job->a, p->first + 1, &was));
    for (size_t i = p->first; i > 0; i--) { /* oldest first */
        if (p->rows[i - 1].event->ev->is_state)
            events[n++] = p->rows[i - 1].event;
    }
    if (n)
        HS_TRY(hs_events_replaced(job->srv, job->a, events, n, was));
    for (size_t i = 0; i < n; i++) {
        hs_state_change *c = NULL;

        for (size_t k = 0; k < ret->n && !c; k++) {
            if (ret->at[k].slot == events[i]->slot)
                c = &ret->at[k];
        }
        if (c)
            c->after = events[i]->nid;
        else
            HS_TRY(hs_vec_push(job->a, ret, (hs_state_change){ events[i]->slot, was[i], events[i]->nid }));
    }
    return NULL;
}

/* What changed from the token up to the end. */
static hs_error *changes_since(hs_sync_job *job, const hs_sync_part *p, changes *ret)
{
    hs_timeline_row at;
    hs_state_change *c;
    size_t n;
    bool found;

    HS_TRY(hs_store_head_at(job->srv->db, job->a, p->room->nid, p->since, &at, &found));
    if (!found || p->end.line < 0)
        return NULL;
    HS_TRY(hs_store_state_diff(job->srv->db, job->a, p->room->nid, (hs_snap){ at.line, at.snap }, p->end, &c, &n));
    *ret = (changes){ c, n, n };
    return NULL;
}

/* The state at the end: the room's own when nothing has happened since, in memory. */
static hs_error *end_state(hs_sync_job *job, const hs_sync_part *p, hs_state_set *ret)
{
    if (p->end.line < 0) {
        *ret = (hs_state_set){ NULL, 0 };
        return NULL;
    }
    return hs_room_snapshot(job->srv, job->a, p->room, p->end.line, p->end.snap, ret);
}

static hs_error *want(hs_sync_job *job, const hs_sync_part *p, nid_vec *v, hs_nid event)
{
    if (event <= 0 || told(job, p, event))
        return NULL;
    for (size_t i = 0; i < v->n; i++) {
        if (v->at[i] == event)
            return NULL;
    }
    return hs_vec_push(job->a, v, event);
}

/* What held in the slot when the first event was in. */
static hs_nid at_start(const changes *in_window, int64_t slot, hs_nid at_end)
{
    const hs_state_change *c = change_of(in_window, slot);

    return c ? c->before : at_end;
}

static hs_error *full_state(hs_sync_job *job, const hs_sync_part *p, const changes *in_window, nid_vec *out)
{
    bool lazy = job->in->filter->state.lazy_load_members;
    hs_state_set end;
    int64_t mine;

    HS_TRY(end_state(job, p, &end));
    for (size_t i = 0; i < end.n; i++) {
        if (end.at[i].event <= 0 || (lazy && hs_slot_is_member(end.at[i].slot)))
            continue;
        /* Not through `want`: slots are distinct, and there may be 100,000 of them. */
        if (!told(job, p, end.at[i].event))
            HS_TRY(hs_vec_push(job->a, out, end.at[i].event));
    }
    for (size_t i = 0; i < in_window->n; i++) {
        const hs_state_change *c = &in_window->at[i];

        if (!(lazy && hs_slot_is_member(c->slot)) && (c->after <= 0 || shown(p, c->after)))
            HS_TRY(want(job, p, out, c->before));
    }
    if (!lazy)
        return NULL;
    for (size_t i = 0; i < p->senders_n; i++) {
        int64_t slot = p->sender_slots[i];

        HS_TRY(want(job, p, out, at_start(in_window, slot, hs_state_find(end.at, end.n, slot))));
    }
    mine = hs_slot(job->srv->slot_key, HS_S("m.room.member"), job->who->user_id);
    return want(job, p, out, at_start(in_window, mine, hs_state_find(end.at, end.n, mine)));
}

/* Members whom the client may not know yet, for a lazily loading one. */
static hs_error *senders_state(hs_sync_job *job, const hs_sync_part *p, const changes *in_window, nid_vec *out)
{
    const int64_t *slots = p->sender_slots;
    hs_nid *nids;
    size_t n = p->senders_n;

    if (!n)
        return NULL;
    HS_TRY(hs_alloc(job->a, n, &nids));
    if (p->end.line == p->room->line && p->end.snap == p->room->snap) {
        for (size_t i = 0; i < n; i++)
            nids[i] = hs_state_find(p->room->state, p->room->state_n, slots[i]);
    } else {
        HS_TRY(hs_store_state_slots(job->srv->db, job->a, p->room->nid, p->end, slots, n, nids));
    }
    for (size_t i = 0; i < n; i++)
        HS_TRY(want(job, p, out, at_start(in_window, slots[i], nids[i])));
    return NULL;
}

/* A lazily loading client is not told again of members it knows; changes it is told of always. */
static void drop_known(hs_sync_job *job, const hs_sync_part *p, size_t changed, hs_stored **events, size_t *n)
{
    hs_lazy *l = hs_lazy_of(job->srv, job->who->user, job->who->device_id);
    size_t kept = 0;

    if (!l)
        return;
    for (size_t i = 0; i < *n; i++) {
        hs_stored *e = events[i];

        if (hs_slot_is_member(e->slot) && i >= changed && hs_lazy_sent(l, e->nid) &&
            !job->in->filter->state.include_redundant_members)
            continue;
        events[kept++] = e;
    }
    *n = kept;
    if (job->in->filter->state.include_redundant_members)
        return;
    for (size_t i = 0; i < kept; i++) {
        if (hs_slot_is_member(events[i]->slot))
            hs_lazy_mark(l, events[i]->nid, job->upto);
    }
    for (size_t i = 0; i < p->events_n; i++) {
        if (p->events[i].event->ev->is_state && hs_slot_is_member(p->events[i].event->slot))
            hs_lazy_mark(l, p->events[i].event->nid, job->upto);
    }
}

/* What is in the state section whatever the client knows of members; the first `changed` are news. */
static hs_error *collect_state(hs_sync_job *job, const hs_sync_part *p, nid_vec *out, size_t *ret_changed)
{
    bool after = job->in->state_after != NULL, lazy = job->in->filter->state.lazy_load_members;
    changes in_window = { 0 }, since = { 0 };

    *ret_changed = 0;
    if (p->only_own) {
        for (size_t i = 0; after && i < p->events_n; i++)
            HS_TRY(hs_vec_push(job->a, out, p->events[i].event->nid));
        *ret_changed = out->n;
        return NULL;
    }
    if (!after && (p->full || !p->plain || lazy))
        HS_TRY(changes_shown(job, p, &in_window));
    if (p->full)
        return full_state(job, p, &in_window, out);
    if (!p->plain || (after && p->has_state)) {
        HS_TRY(changes_since(job, p, &since));
        for (size_t i = 0; i < since.n; i++) {
            if (since.at[i].after > 0 && !told(job, p, since.at[i].after))
                HS_TRY(hs_vec_push(job->a, out, since.at[i].after));
        }
        for (size_t i = 0; i < in_window.n; i++) {
            const hs_state_change *w = &in_window.at[i], *s = change_of(&since, w->slot);

            /* It held at the start, neither at the token nor at the end. */
            if (s && w->before != s->before && (w->after <= 0 || shown(p, w->after)))
                HS_TRY(want(job, p, out, w->before));
        }
    }
    *ret_changed = out->n;
    return lazy ? senders_state(job, p, &in_window, out) : NULL;
}

hs_error *hs_sync_state(hs_sync_job *job, hs_sync_part *p)
{
    const hs_event_filter *f = &job->in->filter->state;
    nid_vec out = { 0 };
    hs_stored **events;
    bool *related;
    size_t n = 0, changed;

    HS_TRY(collect_state(job, p, &out, &changed));
    if (!out.n)
        return NULL;
    HS_TRY(hs_alloc(job->a, out.n, &events));
    HS_TRY(hs_events_load(job->srv, job->a, p->room->nid, out.at, out.n, events));
    HS_TRY(hs_alloc(job->a, out.n, &related));
    HS_TRY(hs_relations_filter(job->srv, job->a, p->room->nid, f, events, out.n, related));
    for (size_t i = 0, asked = changed; i < out.n; i++) {
        const hs_stored *e = events[i];
        bool keep = e && related[i] && !hs_str_eq(e->ev->type, HS_S("m.room.aliases")) &&
                    hs_event_filter_match(f, e->ev->type, e->ev->sender, p->room->id, e->ev->content);

        if (keep)
            events[n++] = events[i];
        else if (i < asked)
            changed--;
    }
    if (f->lazy_load_members)
        drop_known(job, p, changed, events, &n);
    p->state = events;
    p->state_n = n;
    return NULL;
}
