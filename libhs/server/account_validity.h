/* Accounts that end on a day unless they are renewed (account_validity). */
#ifndef HS_SERVER_ACCOUNT_VALIDITY_H
#define HS_SERVER_ACCOUNT_VALIDITY_H

#include "base/tape.h"
#include "server/session.h"

/* Is the session's account over? Never where the option is off. */
bool hs_account_is_over(const hs_server *srv, const hs_session *who);
/* By a token that was mailed to the user, once. *ret_until 0: nobody has that token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_renew(hs_server *srv, hs_arena *a, hs_str token, int64_t *ret_until);
/* By an administrator: user_id, and expiration_ts or a whole period from now. 400, 404. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_renew_for(hs_server *srv, hs_arena *a, hs_jv body, int64_t *ret_until);
/* Accounts of before the option was on get a day, not all the same one. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_validity_begin(hs_server *srv, hs_arena *a);

#endif
