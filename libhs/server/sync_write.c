/* A room of a sync answer in words. Timelines that are the same for everybody are written once. */
#include "server/sync_part.h"

#include <stdlib.h>

enum { KEEP_MS = 2000 }; /* `unsigned.age` is that much behind at most */

static hs_show how_to_show(const hs_sync_job *job)
{
    const hs_filter *f = job->in->filter;
    hs_show how = { .now = job->now };

    if (f->federation_format)
        how.flags |= HS_SHOW_FEDERATION;
    if (f->has_event_fields)
        how.fields = f->event_fields;
    return how;
}

static void write_timeline(const hs_sync_job *job, hs_json_out *j, const hs_sync_part *p)
{
    hs_show how = how_to_show(job);
    hs_str prev;

    hs_json_obj(j);
    hs_json_key(j, HS_S("events"));
    hs_dressed_show(j, &how, p->events, p->events_n);
    if (hs_page_token_write(job->a, &p->prev, &prev))
        j->b->failed = true;
    else
        hs_json_str(j, "prev_batch", prev);
    hs_json_bool(j, "limited", p->limited);
    hs_json_end(j);
}

/* The rows of the range, from memory; false when they are not all there. */
static bool range_of(const hs_sync_part *p, int64_t *ret_first, int64_t *ret_last)
{
    const hs_room *r = p->room;
    size_t i = r->recent_n;

    if (!i || r->pos > p->upto)
        return false;
    while (i > 0 && r->recent[i - 1].pos > p->since)
        i--;
    if (i == r->recent_n || (i == 0 && !r->recent_complete))
        return false;
    *ret_first = r->recent[i].pos;
    *ret_last = r->recent[r->recent_n - 1].pos;
    return true;
}

static bool sent_some(const hs_nid *senders, size_t n, hs_nid user)
{
    for (size_t i = 0; i < n; i++) {
        if (senders[i] == user)
            return true;
    }
    return false;
}

hs_error *hs_sync_reuse(hs_sync_job *job, hs_sync_part *p, bool *ret)
{
    const hs_sync_room *memory = hs_sync_room_peek(job->srv, p->room->nid);
    int64_t first, last;

    *ret = false;
    if (!memory || p->full || p->archived || p->since == INT64_MIN || job->ignores.n ||
        p->me.membership != HS_MEMBER_JOIN || p->me.pos > p->since || !range_of(p, &first, &last))
        return NULL;
    for (size_t i = 0; i < HS_RENDERS; i++) {
        const hs_render *r = &memory->renders[i];

        if (!r->timeline || r->first != first || r->last != last || r->filter != job->in->filter_id ||
            job->now - r->made_ms > KEEP_MS || sent_some(r->senders, r->senders_n, job->who->user) ||
            (r->has_state && job->in->filter->state.lazy_load_members))
            continue;
        HS_TRY(hs_blob_hold(job->a, r->timeline));
        if (r->senders_n) {
            hs_nid *senders;

            /* Copied: the memory may go while this request waits for something. */
            HS_TRY(hs_alloc(job->a, r->senders_n * 2, &senders));
            memcpy(senders, r->senders, r->senders_n * 2 * sizeof *senders);
            p->senders = senders;
            p->sender_slots = senders + r->senders_n;
            p->senders_n = r->senders_n;
        }
        p->timeline_json = hs_blob_str(r->timeline);
        p->member_events = r->member_events;
        p->has_state = r->has_state;
        p->plain = true;
        p->end = (hs_snap){ p->room->line, p->room->snap };
        *ret = true;
        return NULL;
    }
    return NULL;
}

hs_error *hs_sync_keep(hs_sync_job *job, hs_sync_part *p)
{
    hs_sync_room *memory;
    hs_render *r;
    hs_buf b;
    hs_json_out j;
    hs_str text;
    hs_blob *blob;
    hs_nid *senders;
    int64_t first, last;

    if (!p->same_for_all || !p->events_n || sent_some(p->senders, p->senders_n, job->who->user) ||
        !range_of(p, &first, &last))
        return NULL;
    memory = hs_sync_room_get(job->srv, p->room->nid);
    if (!memory)
        return NULL;
    hs_buf_init(&b, job->a);
    hs_json_out_init(&j, &b);
    write_timeline(job, &j, p);
    HS_TRY(hs_buf_flatten(&b, &text));
    blob = hs_blob_new(text);
    senders = malloc((p->senders_n * 2 + 1) * sizeof *senders);
    if (!blob || !senders) {
        hs_blob_unref(blob);
        free(senders);
        return HS_ERR_NOMEM;
    }
    memcpy(senders, p->senders, p->senders_n * sizeof *senders);
    memcpy(senders + p->senders_n, p->sender_slots, p->senders_n * sizeof *senders);
    p->timeline_json = text;

    r = &memory->renders[memory->next_render++ % HS_RENDERS];
    hs_blob_unref(r->timeline);
    free(r->senders);
    *r = (hs_render){ .first = first,
                      .last = last,
                      .made_ms = job->now,
                      .filter = job->in->filter_id,
                      .timeline = blob,
                      .senders = senders,
                      .sender_slots = senders + p->senders_n,
                      .senders_n = p->senders_n,
                      .member_events = p->member_events,
                      .has_state = p->has_state };
    hs_sync_room_changed(job->srv, memory);
    return NULL;
}

static void write_ephemeral(hs_json_out *j, const char *type, hs_str content)
{
    if (!content.p)
        return;
    hs_json_obj(j);
    hs_json_str(j, "type", hs_str_c(type));
    hs_json_raw(j, "content", content);
    hs_json_end(j);
}

static void write_counts(hs_json_out *j, int64_t notify, int64_t high)
{
    hs_json_int(j, "notification_count", notify);
    hs_json_int(j, "highlight_count", high);
}

static void write_unread(const hs_sync_job *job, hs_json_out *j, const hs_sync_part *p)
{
    int64_t notify = p->unread.notify, high = p->unread.high;
    bool threads = job->in->filter->timeline.unread_thread_notifications;

    for (size_t i = 0; !threads && i < p->unread.threads_n; i++) {
        notify += p->unread.threads[i].notify;
        high += p->unread.threads[i].high;
    }
    hs_json_obj_at(j, "unread_notifications");
    write_counts(j, notify, high);
    hs_json_end(j);
    if (!threads || !p->unread.threads_n)
        return;
    hs_json_obj_at(j, "unread_thread_notifications");
    for (size_t i = 0; i < p->unread.threads_n; i++) {
        hs_json_key(j, p->thread_ids[i]);
        hs_json_obj(j);
        write_counts(j, p->unread.threads[i].notify, p->unread.threads[i].high);
        hs_json_end(j);
    }
    hs_json_end(j);
}

static void write_summary(hs_json_out *j, const hs_sync_part *p)
{
    hs_json_obj_at(j, "summary");
    if (p->has_summary) {
        hs_json_int(j, "m.joined_member_count", p->joined);
        hs_json_int(j, "m.invited_member_count", p->invited);
        if (p->has_heroes) {
            hs_json_arr_at(j, "m.heroes");
            for (size_t i = 0; i < p->heroes.n; i++)
                hs_json_v_str(j, p->heroes.at[i]);
            hs_json_end(j);
        }
    }
    hs_json_end(j);
}

void hs_sync_write_part(const hs_sync_job *job, hs_json_out *j, const hs_sync_part *p)
{
    hs_show how = how_to_show(job);

    hs_json_key(j, p->room->id);
    hs_json_obj(j);
    hs_json_key(j, HS_S("timeline"));
    if (p->timeline_json.p)
        hs_json_v_raw(j, p->timeline_json);
    else
        write_timeline(job, j, p);
    hs_json_obj_at(j, job->in->state_after ? job->in->state_after : "state");
    hs_json_key(j, HS_S("events"));
    if (p->state_dressed)
        hs_dressed_show(j, &how, p->state_dressed, p->state_n);
    else
        hs_state_show(j, &how, p->state, p->state_n);
    hs_json_end(j);
    hs_json_obj_at(j, "account_data");
    hs_json_arr_at(j, "events");
    for (size_t i = 0; i < p->account_data.n; i++)
        hs_json_v_raw(j, p->account_data.at[i]);
    hs_json_end(j);
    hs_json_end(j);
    if (!p->archived) {
        hs_json_obj_at(j, "ephemeral");
        hs_json_arr_at(j, "events");
        write_ephemeral(j, "m.typing", p->typing);
        write_ephemeral(j, "m.receipt", p->receipts);
        hs_json_end(j);
        hs_json_end(j);
        if (p->sticky_n) {
            hs_json_obj_at(j, "msc4354_sticky");
            hs_json_key(j, HS_S("events"));
            hs_dressed_show(j, &how, p->sticky, p->sticky_n);
            hs_json_end(j);
        }
        write_unread(job, j, p);
        write_summary(j, p);
    }
    hs_json_end(j);
}
