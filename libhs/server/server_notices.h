/* Messages of the server itself to its users, in a room that each has for it: `server_notices` of homeserver.yaml.
 * Synapse's admin API, "Server Notices". */
#ifndef HS_SERVER_SERVER_NOTICES_H
#define HS_SERVER_SERVER_NOTICES_H

#include "server/room.h"
#include "server/session.h"

/* Is this who sends notices? Nobody does when they are not configured. */
bool hs_notices_sender_is(const hs_server *srv, hs_str user_id);
/* Was the room made for notices? By who made it. */
bool hs_notices_room_is(const hs_server *srv, const hs_event *create);

typedef struct {
    hs_str user_id, type; /* type p NULL: a message */
    hs_str state_key;     /* p NULL: not a state event */
    hs_str txn_id;        /* of the asking administrator; p NULL: none */
    hs_jv content;
} hs_notice;
/* Makes the room when there is none yet, and invites its user when they are not in it. 400 when there are no notices or
 * the user is not ours, 404 for an unknown user. `who` may be NULL where there is no txn_id. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_notice_send(hs_server *srv, const hs_session *who, hs_arena *a,
                                                  const hs_notice *in, hs_str *ret_event_id);

/* The user's room of notices; *ret NULL: there is none yet. 400 when there are no notices. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_notices_room_of(hs_server *srv, hs_arena *a, hs_nid user, hs_room **ret);

#endif
