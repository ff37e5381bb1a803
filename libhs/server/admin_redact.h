/* Redacting what somebody has said, in some rooms or all. */
#ifndef HS_SERVER_ADMIN_REDACT_H
#define HS_SERVER_ADMIN_REDACT_H

#include "server/jobs.h"
#include "server/session.h"

#define HS_JOB_REDACT_USER "redact_all_events"

HS_NODISCARD hs_error *hs_admin_redact_open(hs_server *srv);

typedef struct {
    hs_str user_id;
    hs_strs rooms;               /* ids; none: those that the user is in, or banned from */
    hs_str reason;               /* p NULL: none */
    int64_t limit;               /* messages in each room, the newest of them; 0: 1,000 */
    int64_t before_ts, after_ts; /* of the event; 0: any */
    bool by_admin;               /* in the administrator's name, not the user's */
} hs_user_redaction;
/* A job: messages and joins of the user are redacted in the user's name where the user is ours and in the room,
 * otherwise in that of `who`. 400 while another of the user has not ended. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_redact(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   const hs_user_redaction *in, hs_str *ret_id);

#endif
