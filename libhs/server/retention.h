/* How long messages are kept: `retention` of homeserver.yaml and m.room.retention of rooms (MSC1763). What has expired
 * is shown to nobody, and deleted by a duty. */
#ifndef HS_SERVER_RETENTION_H
#define HS_SERVER_RETENTION_H

#include "server/room.h"

/* Takes part in the duty, where retention is enabled. */
HS_NODISCARD hs_error *hs_retention_open(hs_server *srv);
/* Events of the room that were sent before it have expired, but for state; INT64_MIN: none have. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_retention_oldest(hs_server *srv, hs_arena *a, hs_room *room, int64_t *ret);

#endif
