/* Rate limits over all workers: what each lets through, the others count too. */
#ifndef HS_SERVER_LIMIT_SHARE_H
#define HS_SERVER_LIMIT_SHARE_H

#include "server/limiter.h"

HS_NODISCARD hs_error *hs_limit_share_open(hs_server *srv, hs_arena *a);
void hs_limit_share_close(hs_server *srv);

/* Something was counted here. `urgent`: not much is left, so the others hear of it at once; else within 50 ms. */
void hs_limit_share_note(hs_server *srv, hs_limit kind, hs_str key, bool urgent);

#endif
