/* What rooms need now and then, found by walking through all of them: events that tie many heads together, new lines
 * for their states. A once-only duty (leases.h) of the workers with the role background. */
#ifndef HS_SERVER_ROOM_UPKEEP_H
#define HS_SERVER_ROOM_UPKEEP_H

#include "server/leases.h"

/* An event without meaning that nobody is shown: it only follows all heads. */
#define HS_DUMMY_EVENT "org.matrix.dummy_event"

HS_NODISCARD hs_error *hs_room_upkeep_open(hs_server *srv);
/* One round now, for the holder of lease `l`. NULL: without one. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_upkeep_run(hs_server *srv, hs_lease *l, hs_arena *a);

#endif
