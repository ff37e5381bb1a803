/* The client role: all that is served under /_matrix/client and /_synapse/admin, and the well-known files. */
#ifndef HS_WORKERS_CLIENT_ROLE_H
#define HS_WORKERS_CLIENT_ROLE_H

#include "runtime/http.h"

/* For the listener resource "client". */
extern const hs_route_set hs_client_routes[];
extern const size_t hs_client_routes_n;

#endif
