/* Deleting a room: everybody of this server leaves it (into a new room, if so wished), and all that is remembered of it
 * goes, in steps of a job. Synapse's admin API, "Delete Room API". */
#ifndef HS_SERVER_ROOM_DELETE_H
#define HS_SERVER_ROOM_DELETE_H

#include "server/jobs.h"
#include "server/room.h"
#include "server/session.h"

#define HS_JOB_DELETE_ROOM "shutdown_and_purge_room"

#define HS_JOB_PURGE_ROOM "purge_room"

HS_NODISCARD hs_error *hs_room_delete_open(hs_server *srv);

/* Somebody has forgotten the room: if now nobody here remembers it, it is deleted after
 * forgotten_room_retention_period, unless somebody has come back by then. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_forgotten(hs_server *srv, hs_arena *a, const hs_room *room);

typedef struct {
    hs_str room_id;
    hs_str new_room_user_id;   /* p NULL: there is no new room */
    hs_str room_name, message; /* of the new room; p NULL: Synapse's */
    bool block, purge, force_purge;
} hs_room_deletion;
/* Begins. 400 for a bad room id, a user of another server, or while one is under way. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_delete(hs_server *srv, const hs_session *who, hs_arena *a,
                                                  const hs_room_deletion *in, hs_str *ret_id);
/* The same, and waits for the end: the result as JSON, or what it failed with. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_delete_now(hs_server *srv, const hs_session *who, hs_arena *a,
                                                      const hs_room_deletion *in, hs_str *ret_result);
/* The deletions of a room that have begun, oldest first. 404 when there are none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_delete_list(hs_server *srv, hs_arena *a, hs_str room_id, hs_job_row **ret,
                                                       size_t *ret_n);

#endif
