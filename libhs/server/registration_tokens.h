/* Tokens that a registration may need: what administrators do with them. Texts are Synapse's. */
#ifndef HS_SERVER_REGISTRATION_TOKENS_H
#define HS_SERVER_REGISTRATION_TOKENS_H

#include "base/tape.h"
#include "server/context.h"
#include "store/registration_tokens.h"

HS_NODISCARD HS_SUSPENDS hs_error *hs_registration_tokens_list(hs_server *srv, hs_arena *a, hs_tokens_filter which,
                                                               hs_registration_token **ret, size_t *ret_n);
/* 404 M_NOT_FOUND. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_registration_token_get(hs_server *srv, hs_arena *a, hs_str token,
                                                             hs_registration_token **ret);
/* By the members token (otherwise one of `length` characters is drawn), uses_allowed and expiry_time of a request; 400
 * M_INVALID_PARAM for what cannot be, and for a name that is taken. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_registration_token_new(hs_server *srv, hs_arena *a, hs_jv body,
                                                             hs_registration_token *ret);
/* What of uses_allowed and expiry_time is there is set; null takes the limit away. 404 M_NOT_FOUND. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_registration_token_update(hs_server *srv, hs_arena *a, hs_str token, hs_jv body,
                                                                hs_registration_token **ret);
/* 404 M_NOT_FOUND. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_registration_token_remove(hs_server *srv, hs_arena *a, hs_str token);
/* Could somebody register with it now? 403 when registration is closed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_registration_token_valid(hs_server *srv, hs_arena *a, hs_str token, bool *ret);

#endif
