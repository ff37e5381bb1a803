/* What reading timelines remembers, shared by the timeline_*.c files. */
#ifndef HS_SERVER_TIMELINE_STATE_H
#define HS_SERVER_TIMELINE_STATE_H

#include "server/nid_lists.h"

struct hs_timelines {
    hs_nid_lists ignored;     /* user → those whom they ignore */
    uint32_t related_version; /* moves with every relation that is told: what was read meanwhile is not kept */
};

#endif
