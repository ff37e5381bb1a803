/* Who may see an event, from what held when it was sent. Pure.
 * Spec: Client-Server API, "Room History Visibility", "Server behaviour". */
#ifndef HS_CORE_VISIBILITY_H
#define HS_CORE_VISIBILITY_H

#include "core/auth.h"

typedef enum { HS_VIS_WORLD_READABLE, HS_VIS_SHARED, HS_VIS_INVITED, HS_VIS_JOINED } hs_visibility;

/* NULL, and a value that is none of the four: shared. */
hs_visibility hs_visibility_of(const hs_event *history_visibility_event);
/* "world_readable" and so on; HS_VIS_SHARED for anything else. */
hs_visibility hs_visibility_parse(hs_str s);
hs_str hs_visibility_str(hs_visibility v);

/* An ordinary event. viewer_joined_since: the viewer joined at some point after the event was sent (a viewer who has
 * left again sees what was sent until then: the caller bounds the range). */
bool hs_event_visible(hs_visibility at_event, hs_membership viewer_at_event, bool viewer_joined_since);

/* What the state said on either side of the event. For most events both sides are equal. */
typedef struct {
    hs_visibility visibility_before, visibility_after;
    hs_membership viewer_before, viewer_after;
    bool viewer_joined_since;
} hs_sight;

/* Any event: a change of the visibility, and the viewer's own member events, are seen when either side allows it; the
 * viewer always sees the own leave or ban that ends an invite, a knock or a membership. */
bool hs_history_visible(const hs_event *e, hs_str viewer, const hs_sight *sight);

#endif
