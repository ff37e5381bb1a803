/* What users sent who had themselves erased: those who were in the room then see it as ever, the others its redacted
 * form. Asked only where somebody looks at what was said while they were not there. */
#include "server/timeline.h"
#include "store/users.h"

static bool was_away(const hs_dressed *e)
{
    return e->event && e->membership != HS_MEMBER_JOIN && e->membership != HS_MEMBER_NONE;
}

static bool is_in(hs_nids list, hs_nid user)
{
    for (size_t i = 0; i < list.n; i++)
        if (list.at[i] == user)
            return true;
    return false;
}

/* The same event with the redacted form's content; in `a`. */
static hs_error *pruned(hs_arena *a, const hs_stored *e, hs_stored **ret)
{
    hs_stored *copy;
    hs_str json;
    hs_buf b;

    HS_TRY(hs_alloc(a, 1, &copy));
    *copy = *e;
    copy->flags |= HS_EV_REDACTED; /* nor are edits shown with it */
    HS_TRY(hs_event_redact(a, e->ev, &json));
    HS_TRY(hs_event_read(a, e->ev->rv, json, e->ev->event_id, &copy->ev));
    hs_buf_init(&b, a);
    hs_client_event_head(&b, copy->ev);
    HS_TRY(hs_buf_flatten(&b, &copy->client));
    *ret = copy;
    return NULL;
}

hs_error *hs_timeline_erase(hs_server *srv, hs_arena *a, hs_dressed *events, size_t n)
{
    hs_nid *senders;
    hs_nids erased;
    size_t k = 0;

    HS_TRY(hs_alloc(a, n, &senders));
    for (size_t i = 0; i < n; i++)
        if (was_away(&events[i]) && !is_in((hs_nids){ senders, k }, events[i].event->sender))
            senders[k++] = events[i].event->sender;
    if (!k)
        return NULL;
    HS_TRY(hs_store_accounts_erased(srv->db, a, (hs_nids){ senders, k }, &erased));
    for (size_t i = 0; i < n && erased.n; i++)
        if (was_away(&events[i]) && is_in(erased, events[i].event->sender))
            HS_TRY(pruned(a, events[i].event, &events[i].event));
    return NULL;
}
