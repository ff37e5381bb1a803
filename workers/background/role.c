/* Rounds of upkeep: a duty that one of the workers with this role does at a time. */
#include "workers/background/role.h"

#include "server/upkeep.h"

static hs_error *open_loops(hs_server *srv, hs_arena *a)
{
    (void)a;
    return hs_upkeep_open(srv);
}

const hs_role hs_role_background = {
    .bit = HS_ROLE_BACKGROUND,
    .name = "background",
    .open = open_loops,
};
