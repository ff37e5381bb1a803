/* Macaroons (version 1): tokens that carry what they are for, signed with a secret of the server. Synapse puts them
 * into the links by which its mails are unsubscribed from. */
#ifndef HS_CORE_MACAROON_H
#define HS_CORE_MACAROON_H

#include "base/fields.h"

/* The caveats of a token that was signed with `key`, in order; they are the reader's to check. *ret_ok false: it is no
 * such token. */
HS_NODISCARD hs_error *hs_macaroon_open(hs_arena *a, hs_str token, hs_str key, hs_strs *ret, bool *ret_ok);

#endif
