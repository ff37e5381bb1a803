/* Building our own events. The event is made in the request's arena, where building leaves much behind, and then read
 * once into one that is as large as the event. */
#include "server/event_build.h"

hs_error *hs_event_build_local(hs_server *srv, hs_arena *a, const hs_build_in *in, hs_stored **ret)
{
    size_t skip = in->prev_n > HS_PREV_MAX ? in->prev_n - HS_PREV_MAX : 0, prev_n = in->prev_n - skip;
    hs_str *prev, *auth;
    hs_event *ev;
    hs_stored *s;

    HS_TRY(hs_alloc(a, prev_n, &prev));
    HS_TRY(hs_alloc(a, in->auth_n, &auth));
    for (size_t i = 0; i < prev_n; i++)
        prev[i] = in->prev[skip + i]->ev->event_id;
    for (size_t i = 0; i < in->auth_n; i++)
        auth[i] = in->auth[i]->ev->event_id;
    hs_event_draft d = { .room_id = in->room_id,
                         .type = in->wish->type,
                         .sender = in->wish->sender,
                         .state_key = in->wish->state_key,
                         .is_state = in->wish->is_state,
                         .content = in->content,
                         .redacts = in->wish->redacts,
                         .depth = in->depth,
                         .origin_ts = in->wish->has_ts ? in->wish->ts : in->facts.received_ts,
                         .is_sticky = in->wish->is_sticky,
                         .sticky_ms = in->wish->sticky_ms,
                         .prev = prev,
                         .auth = auth,
                         .prev_n = prev_n,
                         .auth_n = in->auth_n };
    HS_TRY(hs_event_build(a, in->rv, &d, srv->server_name, srv->key, &ev));

    HS_TRY(hs_stored_make(srv->rooms, a, in->rv, &in->facts, ev->json, ev->event_id, &s));
    hs_error *e = hs_stored_hold(a, s);
    hs_stored_unref(s);
    if (e)
        return e;
    *ret = s;
    return NULL;
}
