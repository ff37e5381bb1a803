/* Feed by protobuf-c, with the arena as its allocator; no generated type leaves this file. */
#include "bus/feed.h"

#include "bus/proto.h"
#include "proto/news.pb-c.h"

/* ── reading ── */

static hs_error *read_notes(hs_arena *a, const Hs__RoomEvent *in, hs_feed_event *out)
{
    hs_feed_note *notes;

    HS_TRY(hs_alloc(a, in->n_notes, &notes));
    for (size_t i = 0; i < in->n_notes; i++)
        notes[i] = (hs_feed_note){ .user = in->notes[i]->user,
                                   .d_notify = in->notes[i]->d_notify,
                                   .d_high = in->notes[i]->d_high,
                                   .thread = in->notes[i]->thread,
                                   .actions = in->notes[i]->actions };
    out->notes = notes;
    out->notes_n = in->n_notes;
    return NULL;
}

static hs_error *read_event(hs_arena *a, const Hs__RoomEvent *in, hs_feed_event *out)
{
    *out = (hs_feed_event){
        .room = in->room,
        .event = in->event,
        .at = in->at,
        .prev_pos = in->prev_pos,
        .depth = in->depth,
        .line = (int32_t)in->line,
        .snap = (int32_t)in->snap,
        .slot = in->slot,
        .sender = in->sender,
        .d_notify = in->d_notify,
        .d_high = in->d_high,
        .heads = in->heads,
        .heads_n = in->n_heads,
        .flags = in->flags,
        .target = in->target,
        .membership = in->membership,
        .was = in->was,
        .device_id = hs_proto_str(in->device_id),
        .txn_id = hs_proto_str(in->txn_id),
        .redacts = in->redacts,
        .received_ts = in->received_ts,
        .event_line = (int32_t)in->event_line,
        .event_snap = (int32_t)in->event_snap,
        .room_version = hs_proto_str(in->room_version),
        .released = in->released,
    };
    return read_notes(a, in, out);
}

static hs_error *read_delta(hs_arena *a, const Hs__StateDelta *in, hs_feed_delta *out)
{
    if (in->n_slots != in->n_events)
        return hs_err_internal(a, NULL, "a state delta of %zu slots and %zu events", in->n_slots, in->n_events);
    *out = (hs_feed_delta){ .room = in->room,
                            .at = in->at,
                            .line = (int32_t)in->line,
                            .snap = (int32_t)in->snap,
                            .slots = in->slots,
                            .events = in->events,
                            .n = in->n_events };
    return NULL;
}

/* Bodies are in the order of their events. */
static void read_bodies(const Hs__Feed *in, hs_feed_msg *out)
{
    size_t i = 0;

    for (size_t k = 0; k < in->n_bodies; k++) {
        const Hs__Body *b = in->bodies[k];
        while (i < out->events_n && out->events[i].at < b->at)
            i++;
        if (i < out->events_n && out->events[i].at == b->at)
            out->events[i].json = hs_str_make((const char *)b->json.data, b->json.len);
    }
}

static hs_error *read_feed(hs_arena *a, const Hs__Feed *in, hs_feed_msg *out)
{
    *out = (hs_feed_msg){ .pos_from = in->pos_from, .pos = in->pos, .worker = hs_proto_str(in->worker) };
    out->events_n = in->n_events;
    out->deltas_n = in->n_deltas;
    out->receipts_n = in->n_receipts;
    out->users_n = in->n_users;
    out->to_device_n = in->n_to_device;
    HS_TRY(hs_alloc(a, in->n_events, &out->events));
    HS_TRY(hs_alloc(a, in->n_deltas, &out->deltas));
    HS_TRY(hs_alloc(a, in->n_receipts, &out->receipts));
    HS_TRY(hs_alloc(a, in->n_users, &out->users));
    HS_TRY(hs_alloc(a, in->n_to_device, &out->to_device));
    for (size_t i = 0; i < in->n_events; i++)
        HS_TRY(read_event(a, in->events[i], &out->events[i]));
    read_bodies(in, out);
    for (size_t i = 0; i < in->n_deltas; i++)
        HS_TRY(read_delta(a, in->deltas[i], &out->deltas[i]));
    for (size_t i = 0; i < in->n_receipts; i++) {
        const Hs__Receipt *r = in->receipts[i];
        out->receipts[i] = (hs_feed_receipt){ .room = r->room,
                                              .user = r->user,
                                              .type = hs_proto_str(r->type),
                                              .thread = r->thread,
                                              .event = r->event,
                                              .ts = r->ts,
                                              .at = r->at,
                                              .user_id = hs_proto_str(r->user_id),
                                              .event_id = hs_proto_str(r->event_id),
                                              .thread_id = hs_proto_str(r->thread_id) };
    }
    for (size_t i = 0; i < in->n_users; i++) {
        const Hs__UserChange *u = in->users[i];
        out->users[i] = (hs_feed_user){
            .user = u->user, .at = u->at, .what = (int)u->what, .room = u->room, .type = hs_proto_str(u->type)
        };
    }
    for (size_t i = 0; i < in->n_to_device; i++) {
        const Hs__ToDevice *d = in->to_device[i];
        out->to_device[i] = (hs_feed_to_device){ .user = d->user, .device_id = hs_proto_str(d->device), .at = d->at };
    }
    return NULL;
}

hs_error *hs_feed_decode(hs_arena *a, hs_str bytes, hs_feed_msg *ret)
{
    ProtobufCMessage *m;

    HS_TRY(hs_proto_unpack(a, &hs__feed__descriptor, bytes, "feed", &m));
    return read_feed(a, (const Hs__Feed *)m, ret);
}

/* ── writing ── */

static hs_error *copy_numbers(hs_arena *a, const int64_t *in, size_t n, int64_t **ret)
{
    HS_TRY(hs_alloc(a, n, ret));
    if (n)
        memcpy(*ret, in, n * sizeof *in);
    return NULL;
}

static hs_error *write_event(hs_arena *a, const hs_feed_event *in, Hs__RoomEvent **ret)
{
    Hs__RoomEvent *e;
    Hs__Note *notes;

    HS_TRY(hs_alloc(a, 1, &e));
    hs__room_event__init(e);
    e->room = in->room;
    e->event = in->event;
    e->at = in->at;
    e->prev_pos = in->prev_pos;
    e->depth = in->depth;
    e->line = (uint32_t)in->line;
    e->snap = (uint32_t)in->snap;
    e->slot = in->slot;
    e->sender = in->sender;
    e->d_notify = in->d_notify;
    e->d_high = in->d_high;
    e->n_heads = in->heads_n;
    HS_TRY(copy_numbers(a, in->heads, in->heads_n, &e->heads));
    e->flags = in->flags;
    e->n_notes = in->notes_n;
    HS_TRY(hs_alloc(a, in->notes_n, &notes));
    HS_TRY(hs_alloc(a, in->notes_n, &e->notes));
    for (size_t i = 0; i < in->notes_n; i++) {
        hs__note__init(&notes[i]);
        notes[i].user = in->notes[i].user;
        notes[i].d_notify = in->notes[i].d_notify;
        notes[i].d_high = in->notes[i].d_high;
        notes[i].thread = in->notes[i].thread;
        notes[i].actions = in->notes[i].actions;
        e->notes[i] = &notes[i];
    }
    e->target = in->target;
    e->membership = in->membership;
    e->was = in->was;
    e->received_ts = in->received_ts;
    e->event_line = (uint32_t)in->event_line;
    e->event_snap = (uint32_t)in->event_snap;
    e->released = in->released;
    HS_TRY(hs_proto_text(a, in->room_version, &e->room_version));
    HS_TRY(hs_proto_text(a, in->device_id, &e->device_id));
    HS_TRY(hs_proto_text(a, in->txn_id, &e->txn_id));
    e->redacts = in->redacts;
    *ret = e;
    return NULL;
}

static hs_error *write_delta(hs_arena *a, const hs_feed_delta *in, Hs__StateDelta **ret)
{
    Hs__StateDelta *d;

    HS_TRY(hs_alloc(a, 1, &d));
    hs__state_delta__init(d);
    d->room = in->room;
    d->at = in->at;
    d->line = (uint32_t)in->line;
    d->snap = (uint32_t)in->snap;
    d->n_slots = d->n_events = in->n;
    HS_TRY(copy_numbers(a, in->slots, in->n, &d->slots));
    HS_TRY(copy_numbers(a, in->events, in->n, &d->events));
    *ret = d;
    return NULL;
}

static hs_error *write_receipt(hs_arena *a, const hs_feed_receipt *in, Hs__Receipt **ret)
{
    Hs__Receipt *r;

    HS_TRY(hs_alloc(a, 1, &r));
    hs__receipt__init(r);
    r->room = in->room;
    r->user = in->user;
    HS_TRY(hs_proto_text(a, in->type, &r->type));
    r->thread = in->thread;
    r->event = in->event;
    r->ts = in->ts;
    r->at = in->at;
    HS_TRY(hs_proto_text(a, in->user_id, &r->user_id));
    HS_TRY(hs_proto_text(a, in->event_id, &r->event_id));
    HS_TRY(hs_proto_text(a, in->thread_id, &r->thread_id));
    *ret = r;
    return NULL;
}

static hs_error *write_user(hs_arena *a, const hs_feed_user *in, Hs__UserChange **ret)
{
    Hs__UserChange *u;

    HS_TRY(hs_alloc(a, 1, &u));
    hs__user_change__init(u);
    u->user = in->user;
    u->at = in->at;
    u->what = (Hs__UserChange__What)in->what;
    u->room = in->room;
    HS_TRY(hs_proto_text(a, in->type, &u->type));
    *ret = u;
    return NULL;
}

static hs_error *write_to_device(hs_arena *a, const hs_feed_to_device *in, Hs__ToDevice **ret)
{
    Hs__ToDevice *d;

    HS_TRY(hs_alloc(a, 1, &d));
    hs__to_device__init(d);
    d->user = in->user;
    HS_TRY(hs_proto_text(a, in->device_id, &d->device));
    d->at = in->at;
    *ret = d;
    return NULL;
}

hs_error *hs_feed_encode(hs_arena *a, const hs_feed_msg *msg, hs_str *ret)
{
    Hs__Feed feed;

    hs__feed__init(&feed);
    feed.pos_from = msg->pos_from;
    feed.pos = msg->pos;
    HS_TRY(hs_proto_text(a, msg->worker, &feed.worker));
    feed.n_events = msg->events_n;
    feed.n_deltas = msg->deltas_n;
    feed.n_receipts = msg->receipts_n;
    feed.n_users = msg->users_n;
    feed.n_to_device = msg->to_device_n;
    HS_TRY(hs_alloc(a, msg->events_n, &feed.events));
    HS_TRY(hs_alloc(a, msg->deltas_n, &feed.deltas));
    HS_TRY(hs_alloc(a, msg->receipts_n, &feed.receipts));
    HS_TRY(hs_alloc(a, msg->users_n, &feed.users));
    HS_TRY(hs_alloc(a, msg->to_device_n, &feed.to_device));
    for (size_t i = 0; i < msg->events_n; i++)
        HS_TRY(write_event(a, &msg->events[i], &feed.events[i]));
    for (size_t i = 0; i < msg->deltas_n; i++)
        HS_TRY(write_delta(a, &msg->deltas[i], &feed.deltas[i]));
    for (size_t i = 0; i < msg->receipts_n; i++)
        HS_TRY(write_receipt(a, &msg->receipts[i], &feed.receipts[i]));
    for (size_t i = 0; i < msg->users_n; i++)
        HS_TRY(write_user(a, &msg->users[i], &feed.users[i]));
    for (size_t i = 0; i < msg->to_device_n; i++)
        HS_TRY(write_to_device(a, &msg->to_device[i], &feed.to_device[i]));
    return hs_proto_pack(a, &feed.base, ret);
}

static hs_error *write_bodies(hs_arena *a, const hs_feed_body *in, size_t n, Hs__Feed *out)
{
    Hs__Body *all;

    HS_TRY(hs_alloc(a, n, &all));
    HS_TRY(hs_alloc(a, n, &out->bodies));
    for (size_t i = 0; i < n; i++) {
        hs__body__init(&all[i]);
        all[i].at = in[i].at;
        all[i].json.data = (uint8_t *)(uintptr_t)in[i].json.p;
        all[i].json.len = in[i].json.n;
        out->bodies[i] = &all[i];
    }
    out->n_bodies = n;
    return NULL;
}

/* Messages one behind the other are one message with the fields of all. */
hs_error *hs_feed_address(hs_arena *a, int64_t pos_from, int64_t pos, hs_str worker, hs_str row,
                          const hs_feed_body *bodies, size_t bodies_n, hs_str *ret)
{
    Hs__Feed head, tail;
    size_t head_n, tail_n, n;
    uint8_t *out;

    hs__feed__init(&head);
    hs__feed__init(&tail);
    head.pos_from = pos_from;
    head.pos = pos;
    HS_TRY(hs_proto_text(a, worker, &head.worker));
    HS_TRY(write_bodies(a, bodies, bodies_n, &tail));
    head_n = hs__feed__get_packed_size(&head);
    tail_n = hs__feed__get_packed_size(&tail);
    n = head_n + row.n + tail_n;
    HS_TRY(hs_alloc(a, n, &out));
    hs__feed__pack(&head, out);
    if (row.n)
        memcpy(out + head_n, row.p, row.n);
    hs__feed__pack(&tail, out + head_n + row.n);
    *ret = hs_str_make((const char *)out, n);
    return NULL;
}

/* ── the head alone ── */

static bool take_varint(hs_str *s, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; s->n && shift < 64; shift += 7) {
        unsigned char c = (unsigned char)s->p[0];
        *s = hs_str_from(*s, 1);
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take_tag(hs_str *s, uint64_t want)
{
    uint64_t tag;

    return take_varint(s, &tag) && tag == want;
}

bool hs_feed_peek(hs_str bytes, int64_t *ret_pos_from, int64_t *ret_pos, hs_str *ret_worker)
{
    uint64_t from, pos, n;

    if (!take_tag(&bytes, 1 << 3) || !take_varint(&bytes, &from) || !take_tag(&bytes, 2 << 3) ||
        !take_varint(&bytes, &pos) || !take_tag(&bytes, 3 << 3 | 2) || !take_varint(&bytes, &n) || n > bytes.n ||
        from > INT64_MAX || pos > INT64_MAX || from > pos)
        return false;
    *ret_pos_from = (int64_t)from;
    *ret_pos = (int64_t)pos;
    *ret_worker = hs_str_first(bytes, (size_t)n);
    return true;
}
