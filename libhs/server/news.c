/* See news.h. */
#include "server/news.h"

static hs_error *own(hs_arena *a, hs_str *s)
{
    return s->p ? hs_str_dup(a, *s, s) : NULL;
}

static hs_error *own_events(hs_arena *a, const hs_news *in, hs_news *out)
{
    hs_news_event *at;

    HS_TRY(hs_alloc(a, in->events_n, &at));
    for (size_t i = 0; i < in->events_n; i++) {
        at[i] = in->events[i];
        HS_TRY(own(a, &at[i].device_id));
        HS_TRY(own(a, &at[i].txn_id));
    }
    out->events = at;
    return NULL;
}

static hs_error *own_receipts(hs_arena *a, const hs_news *in, hs_news *out)
{
    hs_news_receipt *at;

    HS_TRY(hs_alloc(a, in->receipts_n, &at));
    for (size_t i = 0; i < in->receipts_n; i++) {
        at[i] = in->receipts[i];
        HS_TRY(own(a, &at[i].type));
        HS_TRY(own(a, &at[i].user_id));
        HS_TRY(own(a, &at[i].event_id));
        HS_TRY(own(a, &at[i].thread_id));
    }
    out->receipts = at;
    return NULL;
}

static hs_error *own_users(hs_arena *a, const hs_news *in, hs_news *out)
{
    hs_news_user *at;

    HS_TRY(hs_alloc(a, in->users_n, &at));
    for (size_t i = 0; i < in->users_n; i++) {
        at[i] = in->users[i];
        HS_TRY(own(a, &at[i].type));
    }
    out->users = at;
    return NULL;
}

static hs_error *own_to_device(hs_arena *a, const hs_news *in, hs_news *out)
{
    hs_news_to_device *at;

    HS_TRY(hs_alloc(a, in->to_device_n, &at));
    for (size_t i = 0; i < in->to_device_n; i++) {
        at[i] = in->to_device[i];
        HS_TRY(own(a, &at[i].device_id));
    }
    out->to_device = at;
    return NULL;
}

hs_error *hs_news_give(hs_write *w, const hs_news *news)
{
    hs_arena *a = hs_write_arena(w);
    hs_news *out;

    HS_TRY(hs_alloc(a, 1, &out));
    *out = *news;
    HS_TRY(own_events(a, news, out));
    HS_TRY(own_receipts(a, news, out));
    HS_TRY(own_users(a, news, out));
    HS_TRY(own_to_device(a, news, out));
    hs_write_news(w, out);
    return NULL;
}
