/* Rooms as they are shown to who is not in them, and the tree of rooms below a space.
 * Spec: Client-Server API, "Room Summaries", "Discovering rooms within spaces". */
#ifndef HS_SERVER_SPACES_H
#define HS_SERVER_SPACES_H

#include "base/json_out.h"
#include "server/room.h"
#include "server/session.h"
#include "store/spaces.h"

typedef struct {
    hs_room_card card;
    hs_strs allowed; /* rooms whose members may join it; of restricted rooms only */
} hs_room_view_card;

/* May `user` (0: anybody) know of the room? Those who are in it or invited, those who could join or knock, everybody
 * where history is world readable. Fills ret->allowed. This is where every view of a room from outside is decided. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_space_may_see(hs_server *srv, hs_arena *a, hs_nid user, hs_room_view_card *io,
                                                    bool *ret);
/* Writes the members that say what the room is into the open object. */
void hs_space_show(hs_json_out *j, const hs_room_view_card *c);

/* A summary of one room, by id or alias. who NULL: nobody is logged in. 404 M_NOT_FOUND alike for rooms that are not
 * there and rooms that are not to be known. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_space_summary(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room,
                                                    hs_room_view_card *ret);

typedef struct {
    hs_str room_id;
    hs_str from; /* p NULL: from the start */
    bool suggested_only;
    bool has_depth;
    int64_t max_depth;
    int64_t limit; /* 0: as many as the server gives */
    bool all;      /* an admin asks: what may be seen does not matter */
} hs_hierarchy_query;

typedef struct {
    hs_room_view_card room;
    hs_stored **children; /* valid m.space.child events, in order */
    size_t children_n;
} hs_hierarchy_room;

typedef struct {
    hs_hierarchy_room *at;
    size_t n;
    hs_str next_batch; /* p NULL: that was all */
} hs_hierarchy_page;

/* Depth first, at most 50 rooms a page. 403 M_FORBIDDEN when the space may not be seen, to an admin who asks for all
 * 404 when it is not there, 400 M_INVALID_PARAM for a token that is none, has expired (5 minutes) or belongs to another
 * user or question. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_hierarchy_get(hs_server *srv, const hs_session *who, hs_arena *a,
                                                    const hs_hierarchy_query *in, hs_hierarchy_page *ret);
/* {"rooms": …, "next_batch": …} as the next value. */
void hs_hierarchy_show(hs_json_out *j, const hs_hierarchy_page *page);

#endif
