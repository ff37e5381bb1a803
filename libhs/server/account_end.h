/* The end of an account: one unit closes it and takes away all that is its own, then a job leaves its rooms. */
#ifndef HS_SERVER_ACCOUNT_END_H
#define HS_SERVER_ACCOUNT_END_H

#include "server/session.h"

#define HS_JOB_END_ACCOUNT "deactivate_user"

/* Knows the job. */
HS_NODISCARD hs_error *hs_account_end_open(hs_server *srv);
/* When this returns the account is closed for good, whatever happens to the process: no password, devices, tokens,
 * addresses, data; with `erase` no profile, and what the user said is shown to nobody new. The name stays taken. Rooms
 * are left soon after, invites and knocks taken back, by whichever worker has the job. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_end(hs_server *srv, hs_arena *a, const hs_session *who, bool erase);

#endif
