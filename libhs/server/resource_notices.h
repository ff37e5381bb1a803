/* Notices to those who are served that others no longer are: `mau_limit_alerting`. */
#ifndef HS_SERVER_RESOURCE_NOTICES_H
#define HS_SERVER_RESOURCE_NOTICES_H

#include "server/context.h"

/* `full`: nobody else comes in. Sends a notice and pins it, or takes the pin away again; nothing where the room says so
 * already, or where there are no server notices. What fails is logged. */
HS_SUSPENDS void hs_resource_tell(hs_server *srv, hs_arena *a, hs_nid user, bool full);

#endif
