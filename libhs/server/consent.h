/* The terms of the operator (user_consent), and who has agreed to them. */
#ifndef HS_SERVER_CONSENT_H
#define HS_SERVER_CONSENT_H

#include "server/context.h"

/* Text of the page <template_dir>/en/<name>.html. 404 M_NOT_FOUND "Unknown policy version". */
HS_NODISCARD HS_SUSPENDS hs_error *hs_consent_page(hs_server *srv, hs_arena *a, hs_str name, hs_str *ret);
/* A visitor who says to be `user` (a localpart, or a user id of this server) and shows `mac` for it. 403 when it is not
 * ours, 404 when there is nobody of that name. *ret_version: what the user has agreed to; p NULL: nothing. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_consent_visitor(hs_server *srv, hs_arena *a, hs_str user, hs_str mac,
                                                      hs_nid *ret_user, hs_str *ret_version);
/* The visitor agrees; whoever was waiting for that is put into the first rooms. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_consent_give(hs_server *srv, hs_arena *a, hs_nid user, hs_str version);
/* Where a user of ours can agree. */
HS_NODISCARD hs_error *hs_consent_uri(const hs_server *srv, hs_arena *a, hs_str localpart, hs_str *ret);

#endif
