/* Who is typing: in memory only, the same in all workers. Spec: Client-Server API, "Typing Notifications". */
#ifndef HS_SERVER_TYPING_H
#define HS_SERVER_TYPING_H

#include "server/room.h"
#include "server/session.h"

HS_NODISCARD hs_error *hs_typing_open(hs_server *srv, hs_arena *a);
void hs_typing_close(hs_server *srv);

/* Returns once all who ask this worker see it. 403 M_FORBIDDEN for another user or when not joined. timeout_ms as
 * given; capped. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_typing_set(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                 hs_str user_id, bool typing, int64_t timeout_ms);

/* ── for /sync ──
 * Changes are numbered by a clock that all workers share (typing_share.c), so a token made by one says to another what
 * its client has been told. */
enum { HS_TYPING_CLOCK = 1 }; /* the "boot" of such a token; another number: made by something older */

/* Reading typing since a token. Does not change while the answer is made. */
typedef struct {
    bool tells;            /* false: this worker has not caught up with the others, so it tells nothing of typing */
    uint64_t since;        /* rooms with a higher number are told; 0: whatever there is, to a client that comes anew */
    uint64_t boot, serial; /* of the next token */
} hs_typing_view;
hs_typing_view hs_typing_look(const hs_server *srv, uint64_t boot, uint64_t serial); /* 0, 0: no token */
/* Whether nothing has happened since a token that this worker made. */
bool hs_typing_settled(const hs_server *srv, uint64_t serial);
/* Number of the room's newest change; 0: never. */
uint64_t hs_typing_room_serial(const hs_server *srv, hs_nid room);
/* {"user_ids":[…]} of those who type there now. */
HS_NODISCARD hs_error *hs_typing_content(hs_server *srv, hs_arena *a, hs_nid room, hs_str *ret);

#endif
