/* What has to be done now and then, whether or not anybody asks: forgetting what has had its time. */
#ifndef HS_SERVER_UPKEEP_H
#define HS_SERVER_UPKEEP_H

#include "server/context.h"

HS_NODISCARD hs_error *hs_upkeep_open(hs_server *srv, hs_arena *a);
/* Waits for a round that is under way. */
void hs_upkeep_close(hs_server *srv);
/* One round now. Any number of workers may do this at once: every step is harmless when repeated. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_upkeep_run(hs_server *srv, hs_arena *a);

#endif
