/* What administrators did, to be looked up later: the log and the table admin_action. */
#ifndef HS_SERVER_ADMIN_ACTIONS_H
#define HS_SERVER_ADMIN_ACTIONS_H

#include "server/session.h"

typedef struct {
    hs_str action;         /* "PUT /v1/rooms/{roomId}/block" */
    hs_str target;         /* what the request's path names, separated by blanks */
    hs_str ip, request_id; /* where it came from; its lines in the log */
} hs_admin_action;
/* Written before the administrator's request is carried out: nothing is done without it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_action_note(hs_server *srv, hs_arena *a, const hs_session *who,
                                                        const hs_admin_action *in);

#endif
