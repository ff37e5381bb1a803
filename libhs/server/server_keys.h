/* The keys that other servers check our signatures with. */
#ifndef HS_SERVER_SERVER_KEYS_H
#define HS_SERVER_SERVER_KEYS_H

#include "server/context.h"

/* Whether old_signing_keys can be published as it stands; the error's message is the operator's line. */
HS_NODISCARD hs_error *hs_server_keys_check(const hs_server *srv, hs_arena *a);
/* What GET /_matrix/key/v2/server answers: signed, good for key_refresh_interval from now. */
HS_NODISCARD hs_error *hs_server_keys(const hs_server *srv, hs_arena *a, hs_str *ret);

#endif
