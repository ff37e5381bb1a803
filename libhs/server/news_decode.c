/* See news_decode.h. */
#include "server/news_decode.h"

#include "bus/feed.h"
#include "server/cache.h"

/* The event from the bytes that came with it; its id is what they hash to. */
static hs_error *from_bytes(hs_server *srv, hs_arena *a, const hs_roomver *rv, const hs_feed_event *in, hs_stored **ret)
{
    hs_stored_facts f = { .nid = in->event,
                          .room = in->room,
                          .sender = in->sender,
                          .flags = in->flags,
                          .received_ts = in->received_ts,
                          .slot = in->slot,
                          .line = in->event_line,
                          .snap = in->event_snap };
    hs_stored *s;

    HS_TRY(hs_stored_make(srv->rooms, a, rv, &f, in->json, hs_str_make(NULL, 0), &s));
    hs_error *e = hs_stored_hold(a, s);
    hs_stored_unref(s);
    *ret = s;
    return e;
}

static hs_error *find_event(hs_server *srv, hs_arena *a, const hs_feed_event *in, hs_stored **ret)
{
    const hs_roomver *rv;

    *ret = in->event ? hs_cache_event_get(srv->rooms, in->event) : NULL;
    if (*ret)
        return hs_stored_hold(a, *ret);
    if (!in->event)
        return NULL;
    rv = hs_roomver_find(in->room_version);
    if (!rv)
        return hs_err_internal(a, NULL, "news of room %lld, whose version \"%.*s\" is not known here",
                               (long long)in->room, HS_FMT(in->room_version));
    return in->json.n ? from_bytes(srv, a, rv, in, ret) : hs_events_load_as(srv, a, in->room, rv, &in->event, 1, ret);
}

static hs_error *read_notes(hs_arena *a, const hs_feed_event *in, hs_news_event *out)
{
    hs_news_note *notes;

    HS_TRY(hs_alloc(a, in->notes_n, &notes));
    for (size_t i = 0; i < in->notes_n; i++)
        notes[i] = (hs_news_note){ .user = in->notes[i].user,
                                   .d_notify = in->notes[i].d_notify,
                                   .d_high = in->notes[i].d_high,
                                   .thread = in->notes[i].thread,
                                   .actions = in->notes[i].actions };
    out->notes = notes;
    out->notes_n = in->notes_n;
    return NULL;
}

static hs_error *read_state(hs_arena *a, const hs_feed_msg *msg, const hs_feed_event *in, hs_news_event *out)
{
    const hs_feed_delta *d = NULL;
    hs_state_entry *state;
    size_t n;

    for (size_t i = 0; i < msg->deltas_n && !d; i++)
        if (msg->deltas[i].at == in->at)
            d = &msg->deltas[i];
    n = d ? d->n : in->slot != 0;
    HS_TRY(hs_alloc(a, n, &state));
    for (size_t i = 0; i < n; i++)
        state[i] = d ? (hs_state_entry){ .slot = d->slots[i], .event = d->events[i] }
                     : (hs_state_entry){ .slot = in->slot, .event = in->event };
    out->state = state;
    out->state_n = n;
    return NULL;
}

static hs_error *read_event(hs_server *srv, hs_arena *a, const hs_feed_msg *msg, const hs_feed_event *in,
                            hs_news_event *out)
{
    *out = (hs_news_event){ .room = in->room,
                            .at = in->at,
                            .depth = in->depth,
                            .line = in->line,
                            .snap = in->snap,
                            .heads = in->heads,
                            .heads_n = in->heads_n,
                            .d_notify = in->d_notify,
                            .d_high = in->d_high,
                            .target = in->target,
                            .membership = (hs_membership)in->membership,
                            .was = (hs_membership)in->was,
                            .device_id = in->device_id,
                            .txn_id = in->txn_id,
                            .redacts = in->redacts,
                            .released = in->released };
    if (out->txn_id.p && !out->device_id.p) /* a token without a device */
        out->device_id = HS_S("");
    HS_TRY(find_event(srv, a, in, &out->event));
    HS_TRY(read_notes(a, in, out));
    return read_state(a, msg, in, out);
}

static hs_error *read_receipts(hs_arena *a, const hs_feed_msg *msg, hs_news *ret)
{
    hs_news_receipt *out;

    HS_TRY(hs_alloc(a, msg->receipts_n, &out));
    for (size_t i = 0; i < msg->receipts_n; i++) {
        const hs_feed_receipt *r = &msg->receipts[i];
        out[i] = (hs_news_receipt){ .room = r->room,
                                    .user = r->user,
                                    .type = r->type,
                                    .thread = r->thread,
                                    .event = r->event,
                                    .ts = r->ts,
                                    .at = r->at,
                                    .user_id = r->user_id,
                                    .event_id = r->event_id,
                                    .thread_id = r->thread_id };
    }
    ret->receipts = out;
    ret->receipts_n = msg->receipts_n;
    return NULL;
}

static hs_error *read_users(hs_arena *a, const hs_feed_msg *msg, hs_news *ret)
{
    hs_news_user *out;

    HS_TRY(hs_alloc(a, msg->users_n, &out));
    for (size_t i = 0; i < msg->users_n; i++) {
        const hs_feed_user *u = &msg->users[i];
        out[i] = (hs_news_user){
            .user = u->user, .at = u->at, .what = (hs_news_user_what)u->what, .room = u->room, .type = u->type
        };
    }
    ret->users = out;
    ret->users_n = msg->users_n;
    return NULL;
}

static hs_error *read_to_device(hs_arena *a, const hs_feed_msg *msg, hs_news *ret)
{
    hs_news_to_device *out;

    HS_TRY(hs_alloc(a, msg->to_device_n, &out));
    for (size_t i = 0; i < msg->to_device_n; i++)
        out[i] = (hs_news_to_device){ .user = msg->to_device[i].user,
                                      .device_id = msg->to_device[i].device_id,
                                      .at = msg->to_device[i].at };
    ret->to_device = out;
    ret->to_device_n = msg->to_device_n;
    return NULL;
}

hs_error *hs_news_decode(hs_server *srv, hs_arena *a, hs_str bytes, hs_news *ret)
{
    hs_feed_msg msg;
    hs_news_event *events;

    *ret = (hs_news){ 0 };
    HS_TRY(hs_feed_decode(a, bytes, &msg));
    HS_TRY(hs_alloc(a, msg.events_n, &events));
    for (size_t i = 0; i < msg.events_n; i++)
        HS_TRY(read_event(srv, a, &msg, &msg.events[i], &events[i]));
    ret->events = events;
    ret->events_n = msg.events_n;
    HS_TRY(read_receipts(a, &msg, ret));
    HS_TRY(read_users(a, &msg, ret));
    return read_to_device(a, &msg, ret);
}
