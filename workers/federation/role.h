/* The federation role: what other servers ask. */
#ifndef HS_WORKERS_FEDERATION_ROLE_H
#define HS_WORKERS_FEDERATION_ROLE_H

#include "workers/http/role.h"

extern const hs_role hs_role_federation;

#endif
