/* All rooms or one as a whole, and an event by its id alone: what clients used before /sync, and still use to look into
 * rooms. Spec: Client-Server API, initialSync, roomInitialSync and getOneEvent (deprecated). */
#ifndef HS_SERVER_INITIAL_SYNC_H
#define HS_SERVER_INITIAL_SYNC_H

#include "server/room_state.h"
#include "server/sync.h"
#include "server/timeline.h"

typedef struct {
    hs_room_access access;
    hs_messages_page messages; /* newest first */
    hs_stored **state;
    size_t state_n;
    hs_strs account_data; /* whole events */
    hs_str receipts;      /* content of the m.receipt event; p NULL: none */
    bool published;
} hs_room_snapshot_answer;

/* The room as the user may see it: now, or as it was when they left. 403 M_FORBIDDEN as for its state. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_initial_sync_room(hs_server *srv, const hs_session *who, hs_arena *a,
                                                        hs_str room_id, int64_t limit, hs_room_snapshot_answer *ret);
/* A room of all: `room` as far as the user is or was in it, else `invite` alone. */
typedef struct {
    hs_membership membership;
    hs_room_snapshot_answer room;
    hs_stored *invite; /* the member event */
} hs_initial_room;

typedef struct {
    hs_initial_room *rooms;
    size_t rooms_n;
    hs_strs presence, account_data; /* whole events */
    hs_sync_token end;
} hs_initial_answer;

/* Rooms that the user has joined or is invited to, and with `archived` those that they have left and not forgotten. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_initial_sync(hs_server *srv, const hs_session *who, hs_arena *a, int64_t limit,
                                                   bool archived, hs_initial_answer *ret);
/* An event of whatever room. 404 M_NOT_FOUND when there is none, or none that the user may see. Not dressed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_initial_sync_event(hs_server *srv, const hs_session *who, hs_arena *a,
                                                         hs_str event_id, hs_dressed *ret);

#endif
