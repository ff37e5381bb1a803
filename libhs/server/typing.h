/* Who is typing: in memory only. Spec: Client-Server API, "Typing Notifications". */
#ifndef HS_SERVER_TYPING_H
#define HS_SERVER_TYPING_H

#include "server/room.h"
#include "server/session.h"

HS_NODISCARD hs_error *hs_typing_open(hs_server *srv, hs_arena *a);
void hs_typing_close(hs_server *srv);

/* 403 M_FORBIDDEN for another user or when not joined. timeout_ms as given; capped. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_typing_set(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                 hs_str user_id, bool typing, int64_t timeout_ms);

/* Number of the newest change anywhere, and this process' boot number: the second half of a sync token. */
uint64_t hs_typing_serial(const hs_server *srv);
uint64_t hs_typing_boot(const hs_server *srv);
/* Number of the room's newest change; 0: never. */
uint64_t hs_typing_room_serial(const hs_server *srv, hs_nid room);
/* {"user_ids":[…]} of those who type there now. */
HS_NODISCARD hs_error *hs_typing_content(hs_server *srv, hs_arena *a, hs_nid room, hs_str *ret);

#endif
