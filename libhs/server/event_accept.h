/* The one entry for events, local or remote: the checks of a PDU in the specification's order.
 * Spec: Server-Server API, "Checks performed on receipt of a PDU". */
#ifndef HS_SERVER_EVENT_ACCEPT_H
#define HS_SERVER_EVENT_ACCEPT_H

#include "server/room.h"

typedef enum { HS_ORIGIN_LOCAL, HS_ORIGIN_REMOTE } hs_origin;

typedef struct {
    hs_origin origin;
    const hs_event *event;
    /* its auth events, in the order it names them; remote ones only */
    const hs_event *const *auth;
    const bool *auth_rejected;
    size_t auth_n;
    const hs_event *create;      /* without `before` */
    const hs_state_view *before; /* the state before it; NULL: a remote event beside the graph, judged by step 4 only */
    const hs_state_view *current; /* the room's present state; NULL: the same */
} hs_accept_in;

/* A local event that fails is an error, with the text that Synapse's users read. */
HS_NODISCARD hs_error *hs_event_accept(hs_arena *a, const hs_accept_in *in, uint32_t *ret_flags);

/* 403 for a verdict of the auth rules. */
hs_error *hs_forbidden(hs_arena *a, const hs_event *ev, const hs_state_view *state, const char *rule);

#endif
