/* The media role: what is served under /_matrix/media and /_matrix/client/v1/media. */
#ifndef HS_WORKERS_MEDIA_ROLE_H
#define HS_WORKERS_MEDIA_ROLE_H

#include "workers/http/role.h"

extern const hs_role hs_role_media;

#endif
