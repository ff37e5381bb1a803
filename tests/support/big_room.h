/* A forked room of any size, for measuring state resolution and for bounding it. Failures end the program. */
#ifndef HS_TESTS_SUPPORT_BIG_ROOM_H
#define HS_TESTS_SUPPORT_BIG_ROOM_H

#include "core/stateres.h"

typedef struct {
    hs_str type, state_key;
} big_key;

/* Events are numbered from 1. Two branches fork behind the room's first events; sets[] is the state at their ends. */
typedef struct {
    hs_arena *a;
    const hs_roomver *rv;
    const hs_event **events; /* by number */
    int64_t *auth;           /* all auth events, one event's behind the other's … */
    size_t *auth_from;       /* … and where they begin; one more than there are events */
    size_t n, cap;
    hs_arena *scratch; /* of the making */
    hs_state_set sets[2];
} big_room;

static inline size_t big_room_auth(const big_room *r, int64_t nid, const int64_t **ret)
{
    *ret = r->auth + r->auth_from[nid];
    return r->auth_from[nid + 1] - r->auth_from[nid];
}

/* `conflicted` events on the two branches together: joins and leaves, kicks, names, power levels, join rules. */
big_room *big_room_make(hs_arena *a, const hs_roomver *rv, size_t conflicted, unsigned seed);
hs_resolver big_room_resolver(big_room *r);
int64_t big_room_slot(void *room, hs_str type, hs_str state_key);

#endif
