/* The route sets of the client role: a line for each file. */
#include "workers/client/role.h"

/* clang-format off */
#define CLIENT(X) \
    X(account) \
    X(account_data) \
    X(capabilities) \
    X(devices) \
    X(directory) \
    X(filter) \
    X(login) \
    X(membership) \
    X(messages) \
    X(profile) \
    X(push_rules) \
    X(receipts) \
    X(register) \
    X(relations) \
    X(room_create) \
    X(room_send) \
    X(room_state) \
    X(sync) \
    X(typing)
/* clang-format on */

#define DECLARE(name) extern const hs_route hs_routes_##name[];
CLIENT(DECLARE)
extern const hs_route hs_routes_register_by_secret[];
extern const hs_route hs_routes_well_known[];

#define CLIENT_SET(name) { "/_matrix/client/", hs_routes_##name },

const hs_route_set hs_client_routes[] = {
    CLIENT(CLIENT_SET){ "/_synapse/admin/", hs_routes_register_by_secret },
    { "/.well-known/matrix/", hs_routes_well_known },
};
const size_t hs_client_routes_n = sizeof hs_client_routes / sizeof *hs_client_routes;
