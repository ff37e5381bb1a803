/* News as the bus message: the wire form of proto/news.proto's Feed, written directly, without what must not be in the
 * table (event bytes, messages to devices). Positions are item numbers: what is unknown before the transaction is not
 * in it. */
#include "server/news_encode.h"

static void put_varint(hs_buf *b, uint64_t v)
{
    char bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    hs_buf_add(b, hs_str_make(bytes, n));
}

/* proto3 leaves zeros out. */
static void put_u64(hs_buf *b, unsigned field, uint64_t v)
{
    if (!v)
        return;
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, v);
}

static void put_i64(hs_buf *b, unsigned field, int64_t v)
{
    put_u64(b, field, (uint64_t)v);
}

/* Of a list, where a zero counts. */
static void put_element(hs_buf *b, unsigned field, int64_t v)
{
    put_varint(b, (uint64_t)field << 3);
    put_varint(b, (uint64_t)v);
}

/* sint: small negative numbers stay small. */
static void put_sint(hs_buf *b, unsigned field, int64_t v)
{
    put_u64(b, field, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void put_bytes(hs_buf *b, unsigned field, hs_str s)
{
    if (!s.n)
        return;
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, s.n);
    hs_buf_add(b, s);
}

static hs_error *put_message(hs_buf *b, unsigned field, hs_buf *inner)
{
    hs_str s;

    HS_TRY(hs_buf_flatten(inner, &s));
    put_varint(b, (uint64_t)field << 3 | 2);
    put_varint(b, s.n);
    hs_buf_splice(b, s);
    return NULL;
}

static hs_error *put_note(hs_arena *a, hs_buf *out, const hs_news_note *n)
{
    hs_buf b;

    hs_buf_init(&b, a);
    put_i64(&b, 1, n->user);
    put_sint(&b, 2, n->d_notify);
    put_sint(&b, 3, n->d_high);
    put_i64(&b, 4, n->thread);
    put_u64(&b, 5, n->actions);
    return put_message(out, 14, &b);
}

static hs_error *put_event(hs_arena *a, hs_buf *out, const hs_news_event *e, uint32_t base)
{
    hs_buf b;

    hs_buf_init(&b, a);
    put_i64(&b, 1, e->room);
    put_i64(&b, 2, e->event ? e->event->nid : 0);
    put_u64(&b, 3, (uint64_t)base + e->at);
    put_i64(&b, 5, e->depth);
    put_u64(&b, 6, (uint64_t)(uint32_t)e->line);
    put_u64(&b, 7, (uint64_t)(uint32_t)e->snap);
    put_i64(&b, 8, e->event ? e->event->slot : 0);
    put_i64(&b, 9, e->event ? e->event->sender : 0);
    put_i64(&b, 10, e->d_notify);
    put_i64(&b, 11, e->d_high);
    for (size_t i = 0; i < e->heads_n; i++)
        put_i64(&b, 12, e->heads[i]);
    put_u64(&b, 13, e->event ? e->event->flags : 0);
    for (size_t i = 0; i < e->notes_n; i++)
        HS_TRY(put_note(a, &b, &e->notes[i]));
    put_i64(&b, 16, e->target);
    put_sint(&b, 17, (int64_t)e->membership);
    if (e->txn_id.p) {
        put_bytes(&b, 18, e->device_id);
        put_bytes(&b, 19, e->txn_id);
    }
    put_i64(&b, 20, e->redacts);
    put_sint(&b, 21, (int64_t)e->was);
    if (e->event) {
        put_i64(&b, 22, e->event->received_ts);
        put_u64(&b, 23, (uint64_t)(uint32_t)e->event->line);
        put_u64(&b, 24, (uint64_t)(uint32_t)e->event->snap);
        if (e->event->ev)
            put_bytes(&b, 25, e->event->ev->rv->name);
    }
    put_u64(&b, 26, e->released);
    return put_message(out, 4, &b);
}

/* What an event changed in the current state, unless it is just what the event says: itself for a state event, nothing
 * for a message. */
static hs_error *put_delta(hs_arena *a, hs_buf *out, const hs_news_event *e, uint32_t base)
{
    bool is_state = e->event && e->event->slot;
    hs_buf b;

    if (is_state ? e->state_n == 1 && e->state[0].event == e->event->nid : !e->state_n)
        return NULL;
    hs_buf_init(&b, a);
    put_i64(&b, 1, e->room);
    put_u64(&b, 2, (uint64_t)base + e->at);
    for (size_t i = 0; i < e->state_n; i++)
        put_element(&b, 3, e->state[i].event);
    put_u64(&b, 4, (uint64_t)(uint32_t)e->line);
    put_u64(&b, 5, (uint64_t)(uint32_t)e->snap);
    for (size_t i = 0; i < e->state_n; i++)
        put_element(&b, 6, e->state[i].slot);
    return put_message(out, 5, &b);
}

static hs_error *put_receipt(hs_arena *a, hs_buf *out, const hs_news_receipt *r, uint32_t base)
{
    hs_buf b;

    hs_buf_init(&b, a);
    put_i64(&b, 1, r->room);
    put_i64(&b, 2, r->user);
    put_bytes(&b, 3, r->type);
    put_sint(&b, 4, r->thread);
    put_i64(&b, 5, r->event);
    put_i64(&b, 6, r->ts);
    put_u64(&b, 7, (uint64_t)base + r->at);
    put_bytes(&b, 8, r->user_id);
    put_bytes(&b, 9, r->event_id);
    put_bytes(&b, 10, r->thread_id);
    return put_message(out, 6, &b);
}

static hs_error *put_user(hs_arena *a, hs_buf *out, const hs_news_user *u, uint32_t base)
{
    hs_buf b;

    hs_buf_init(&b, a);
    put_i64(&b, 1, u->user);
    put_u64(&b, 2, (uint64_t)base + u->at);
    put_u64(&b, 3, (uint64_t)u->what);
    put_i64(&b, 4, u->room);
    put_bytes(&b, 5, u->type);
    return put_message(out, 7, &b);
}

static hs_error *put_to_device(hs_arena *a, hs_buf *out, const hs_news_to_device *d, uint32_t base)
{
    hs_buf b;

    hs_buf_init(&b, a);
    put_i64(&b, 1, d->user);
    put_bytes(&b, 2, d->device_id);
    put_u64(&b, 3, (uint64_t)base + d->at);
    return put_message(out, 9, &b);
}

static hs_error *put_unit(hs_arena *a, hs_buf *out, const hs_news *news, uint32_t base)
{
    for (size_t i = 0; i < news->events_n; i++) {
        HS_TRY(put_event(a, out, &news->events[i], base));
        HS_TRY(put_delta(a, out, &news->events[i], base));
    }
    for (size_t i = 0; i < news->receipts_n; i++)
        HS_TRY(put_receipt(a, out, &news->receipts[i], base));
    for (size_t i = 0; i < news->users_n; i++)
        HS_TRY(put_user(a, out, &news->users[i], base));
    for (size_t i = 0; i < news->to_device_n; i++)
        HS_TRY(put_to_device(a, out, &news->to_device[i], base));
    return NULL;
}

hs_error *hs_news_encode(hs_arena *a, const hs_told *units, size_t n, hs_str *ret_msg)
{
    hs_buf b;

    hs_buf_init(&b, a);
    for (size_t i = 0; i < n; i++)
        if (units[i].news)
            HS_TRY(put_unit(a, &b, units[i].news, units[i].base));
    return hs_buf_flatten(&b, ret_msg);
}
