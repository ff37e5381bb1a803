/* See state_rollover.h. A marker in the timeline says which line is the main one from then on; it makes all workers
 * read the room again. Whoever has built on the old line meanwhile is stale. Events stay at the snapshots that they
 * have; who is placed behind one that the new line is a copy of goes on there (hs_place_on_main). */
#include "server/state_rollover.h"

#include "server/event_write.h"
#include "store/timeline.h"

enum { TRIES = 20 };

static hs_error *once(hs_server *srv, hs_lease *l, hs_arena *a, hs_nid room, hs_write_status *ret)
{
    hs_write_result res;
    hs_timeline_row head;
    hs_write *w;
    int32_t line;
    bool found;

    *ret = HS_WRITE_OK;
    HS_TRY(hs_store_head(srv->db, a, room, &head, &found));
    if (!found)
        return NULL;
    HS_TRY(hs_store_line_next(srv->db, a, room, &line));
    HS_TRY(hs_write_open(srv->db, a, &w));
    if (l)
        HS_TRY(hs_lease_fence(l, w));
    HS_TRY(hs_store_rollover(w, room, line, (hs_snap){ head.line, head.snap }));
    HS_TRY(hs_room_write_marker(w, &head, (hs_snap){ line, 0 }));
    HS_TRY(hs_write_commit(w, &res));
    *ret = res.status;
    if (res.status == HS_WRITE_OK)
        hs_log(srv->log, HS_LOG_INFO, "room.state_rollover", "room=%lld line=%d of=%d:%d", (long long)room, (int)line,
               (int)head.line, (int)head.snap);
    return NULL;
}

hs_error *hs_state_rollover_now(hs_server *srv, hs_lease *l, hs_arena *a, hs_nid room)
{
    hs_write_status status = HS_WRITE_STALE;

    for (int i = 0; i < TRIES && (status == HS_WRITE_STALE || status == HS_WRITE_CONFLICT); i++)
        HS_TRY(once(srv, l, a, room, &status));
    return status == HS_WRITE_OK ? NULL : hs_err(a, 503, HS_M_UNKNOWN, "The room is changing too fast");
}

hs_error *hs_state_rollover(hs_server *srv, hs_lease *l, hs_arena *a, hs_nid room, hs_snap at)
{
    bool due;

    HS_TRY(hs_store_rollover_due(srv->db, a, room, at, &due));
    return due ? hs_state_rollover_now(srv, l, a, room) : NULL;
}
