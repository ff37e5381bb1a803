/* Rounds of upkeep. Any number of workers may hold this role: each step is harmless when repeated. */
#include "workers/background/role.h"

#include "server/upkeep.h"

static hs_error *open_loops(hs_server *srv, hs_arena *a)
{
    (void)a;
    return hs_upkeep_open(srv, srv->arena);
}

const hs_role hs_role_background = {
    .bit = HS_ROLE_BACKGROUND,
    .name = "background",
    .open = open_loops,
    .close = hs_upkeep_close,
};
