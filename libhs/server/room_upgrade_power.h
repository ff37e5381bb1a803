/* The power levels around an upgrade: as values, from the old room's content. */
#ifndef HS_SERVER_ROOM_UPGRADE_POWER_H
#define HS_SERVER_ROOM_UPGRADE_POWER_H

#include "base/fields.h"
#include "core/roomver.h"

typedef struct {
    const hs_roomver *from, *to;
    hs_jv old;                          /* content of the old room's m.room.power_levels; absent: none */
    hs_str user;                        /* who upgrades */
    hs_strs old_creators, new_creators; /* of rooms whose creators have power by themselves; empty otherwise */
} hs_upgrade_power;

/* The new room's while it is filled: who upgrades may set all that is copied. */
HS_NODISCARD hs_error *hs_upgrade_power_first(hs_arena *a, const hs_upgrade_power *in, hs_str *ret);
/* The new room's in the end: the old ones, without the new creators. */
HS_NODISCARD hs_error *hs_upgrade_power_last(hs_arena *a, const hs_upgrade_power *in, hs_str *ret);
/* The old room's in the end: only moderators speak and invite. *ret_changed false: they are so already. */
HS_NODISCARD hs_error *hs_upgrade_power_old(hs_arena *a, const hs_upgrade_power *in, bool *ret_changed, hs_str *ret);

#endif
