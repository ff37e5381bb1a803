/* What a client is shown of an event. Spec: Client-Server API, "Room event format". */
#ifndef HS_CORE_CLIENT_EVENT_H
#define HS_CORE_CLIENT_EVENT_H

#include "core/event.h"

/* Writes the client form, left open:
 * {"content":…,"event_id":…,"origin_server_ts":…,"room_id":…,"sender":…,"state_key":…,"type":… with `redacts` where the
 * versions want it, and msc4354_sticky where it is; the caller adds ,"unsigned":{…} and the brace. Content bytes are
 * spliced. */
void hs_client_event_head(hs_buf *b, const hs_event *e);
/* The four members of a stripped state event: content, sender, state_key, type. A whole object. */
void hs_client_event_stripped(hs_buf *b, const hs_event *e);

#endif
