/* A room's main line is followed by a new one when it has become long. store-design §1.2. */
#ifndef HS_SERVER_STATE_ROLLOVER_H
#define HS_SERVER_STATE_ROLLOVER_H

#include "server/leases.h"
#include "store/state_rollover.h"

/* Looks whether it is time (`at`: the line and snapshot of the room's newest row), and does it. `l` as for
 * hs_room_upkeep_run. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_state_rollover(hs_server *srv, hs_lease *l, hs_arena *a, hs_nid room, hs_snap at);
/* The same, whether or not it is time. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_state_rollover_now(hs_server *srv, hs_lease *l, hs_arena *a, hs_nid room);

#endif
