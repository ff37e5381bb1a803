/* What reading timelines remembers, shared by the timeline_*.c files. */
#ifndef HS_SERVER_TIMELINE_STATE_H
#define HS_SERVER_TIMELINE_STATE_H

#include "base/map.h"
#include "server/context.h"

struct hs_timelines {
    hs_map *ignored;          /* user → those whom they ignore */
    uint32_t ignored_version; /* moves when somebody's list changes: what was read meanwhile is not kept */
    uint32_t related_version; /* the same for relations */
};

void hs_ignored_clear(hs_server *srv);
/* The user's list has changed. */
void hs_ignored_drop(hs_server *srv, hs_nid user);

#endif
