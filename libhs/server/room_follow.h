/* What users have said of a room holds for the room that replaces it: its tags, its place in their m.direct, push rules
 * about it. A job that begins with the unit which replaces the room, so that a crash loses none of it; done user by
 * user, and done again it changes nothing. */
#ifndef HS_SERVER_ROOM_FOLLOW_H
#define HS_SERVER_ROOM_FOLLOW_H

#include "server/context.h"
#include "store/write.h"

HS_NODISCARD hs_error *hs_room_follow_open(hs_server *srv);
/* Part of the unit that replaces `from`. */
HS_NODISCARD hs_error *hs_room_follow_add(hs_arena *a, hs_write *w, hs_str from, hs_str to, hs_str *ret_job);
/* After the commit: returns when it is done, or soon when that takes long. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_follow_wait(hs_server *srv, hs_arena *a, hs_str from, hs_str job);

#endif
