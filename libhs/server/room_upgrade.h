/* Replacing a room by one of another version. */
#ifndef HS_SERVER_ROOM_UPGRADE_H
#define HS_SERVER_ROOM_UPGRADE_H

#include "server/room.h"
#include "server/session.h"

typedef struct {
    hs_str room_id, new_version;
    hs_jv additional_creators; /* from version 12 on; absent: none */
} hs_upgrade;

/* 404 M_NOT_FOUND, 403 M_FORBIDDEN for who may not send the tombstone, 400 M_UNSUPPORTED_ROOM_VERSION, 400 while
 * somebody else has just done it. Repeated by the same user within five minutes it gives the same room. Tombstone, new
 * room, power levels, aliases and the directory are one durable unit. Spec: "Room upgrades". */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_upgrade(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   const hs_upgrade *in, hs_str *ret_room_id);

#endif
