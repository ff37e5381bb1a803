/* The rooms that every new account is put into: auto_join_rooms and the options beside it. */
#ifndef HS_SERVER_AUTO_JOIN_H
#define HS_SERVER_AUTO_JOIN_H

#include "server/login.h"

/* Never fails: what did not work in a room is logged. The first one who comes finds no room and makes it, if so
 * configured. */
HS_SUSPENDS void hs_auto_join(hs_server *srv, hs_arena *a, const hs_identity *who);

#endif
