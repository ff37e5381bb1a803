/* What one does with an own account. */
#ifndef HS_SERVER_ACCOUNT_H
#define HS_SERVER_ACCOUNT_H

#include "server/session.h"
#include "server/uia.h"

/* POST /account/password. *ret_uia p not NULL: the body of a 401, nothing has changed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_change_password(hs_server *srv, hs_arena *a, const hs_uia_in *in,
                                                              hs_str *ret_uia);
/* POST /account/deactivate. *ret_uia as above. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_account_deactivate(hs_server *srv, hs_arena *a, const hs_uia_in *in,
                                                         hs_str *ret_uia);

#endif
