/* The client role: all that is served under /_matrix/client and /_synapse/admin, and where clients find the server. */
#ifndef HS_WORKERS_CLIENT_ROLE_H
#define HS_WORKERS_CLIENT_ROLE_H

#include "workers/http/role.h"

extern const hs_role hs_role_client;

#endif
