/* The background role: what has to be done whether or not anybody asks. It serves nothing. */
#ifndef HS_WORKERS_BACKGROUND_ROLE_H
#define HS_WORKERS_BACKGROUND_ROLE_H

#include "workers/http/role.h"

extern const hs_role hs_role_background;

#endif
