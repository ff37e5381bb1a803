/* Local messages, state events and redactions. */
#ifndef HS_SERVER_ROOM_SEND_H
#define HS_SERVER_ROOM_SEND_H

#include "server/room.h"
#include "server/session.h"

typedef struct {
    hs_str room_id, type;
    hs_str txn_id;    /* p NULL: not idempotent */
    hs_str state_key; /* hs_room_send_state only */
    hs_jv content;    /* the body as received: checked here */
    bool has_ts;      /* application services only */
    int64_t ts;
    bool is_sticky; /* messages only (MSC4354): for sticky_ms */
    int64_t sticky_ms;
} hs_send;

/* Sends one message event as `who` and returns when it is durable. The same (device, txn_id) always gives the same id.
 * 403 M_FORBIDDEN not joined or not allowed; 413 M_TOO_LARGE; 400 M_BAD_JSON. Spec: "Sending events to a room". */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_send(hs_server *srv, const hs_session *who, hs_arena *a, const hs_send *in,
                                                hs_str *ret_event_id);
/* Sets state; content equal to what is there gives the event that holds it. Member events take hs_room_member's way. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_send_state(hs_server *srv, const hs_session *who, hs_arena *a,
                                                      const hs_send *in, hs_str *ret_event_id);

typedef struct {
    hs_str room_id, event_id; /* event_id: what is redacted */
    hs_str txn_id;            /* p NULL: not idempotent */
    hs_jv content;            /* reason and whatever else; `redacts` is set here */
    bool unlimited;           /* not counted for rate limits */
} hs_redact;
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_redact(hs_server *srv, const hs_session *who, hs_arena *a,
                                                  const hs_redact *in, hs_str *ret_event_id);

/* The id of an event that there is not: what a shadow-banned user is answered, the same for the same transaction. */
HS_NODISCARD hs_error *hs_shadow_event_id(const hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                          hs_str txn_id, hs_str *ret);

/* The store's answer for a transaction of the room: from before a restart, or from another worker. p NULL: it has none.
 */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_txn_answer(hs_server *srv, const hs_session *who, hs_arena *a, hs_room *room,
                                                      hs_str txn_id, hs_str *ret_event_id);

#endif
