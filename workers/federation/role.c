/* The route sets of the federation role. Other paths under /_matrix/federation are M_UNRECOGNIZED until they have a
 * row. */
#include "workers/federation/role.h"

#include "server/server_keys.h"
#include "workers/http/sets.h"

extern const hs_route hs_routes_version[];
extern const hs_route hs_routes_server_keys[];
extern const hs_route hs_routes_federation_openid[];

static const hs_route_set FEDERATION[] = { { "/_matrix/federation/", hs_routes_version } };
static const hs_route_set OPENID[] = { { "/_matrix/federation/", hs_routes_federation_openid } };
static const hs_route_set KEYS[] = { { "/_matrix/key/", hs_routes_server_keys } };

static const hs_route_group GROUPS[] = {
    { "federation", FEDERATION, sizeof FEDERATION / sizeof *FEDERATION },
    { "keys", KEYS, sizeof KEYS / sizeof *KEYS },
    { "openid", OPENID, sizeof OPENID / sizeof *OPENID },
    { "well-known", &hs_http_well_known_routes, 1 },
};

/* A mistake in the configuration is told at the start, not when the first server asks. */
static hs_error *open_role(hs_server *srv, hs_arena *a)
{
    return hs_server_keys_check(srv, a);
}

const hs_role hs_role_federation = {
    .bit = HS_ROLE_FEDERATION,
    .name = "federation",
    .groups = GROUPS,
    .groups_n = sizeof GROUPS / sizeof *GROUPS,
    .open = open_role,
};
