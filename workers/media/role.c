/* The route sets of the media role: a line for each. */
#include "workers/media/role.h"

#include "server/media.h"

extern const hs_route hs_routes_media_upload[];
extern const hs_route hs_routes_media_download[];
extern const hs_route hs_routes_media_download_old[];
extern const hs_route hs_routes_media_thumbnail[];
extern const hs_route hs_routes_media_thumbnail_old[];
extern const hs_route hs_routes_media_config[];
extern const hs_route hs_routes_media_config_old[];

static const hs_route_set SETS[] = {
    { "/_matrix/media/", hs_routes_media_upload },     { "/_matrix/media/", hs_routes_media_download_old },
    { "/_matrix/client/", hs_routes_media_download },  { "/_matrix/client/", hs_routes_media_config },
    { "/_matrix/client/", hs_routes_media_thumbnail }, { "/_matrix/media/", hs_routes_media_thumbnail_old },
    { "/_matrix/media/", hs_routes_media_config_old },
};

static const hs_route_group GROUPS[] = { { "media", SETS, sizeof SETS / sizeof *SETS } };

const hs_role hs_role_media = {
    .bit = HS_ROLE_MEDIA,
    .name = "media",
    .groups = GROUPS,
    .groups_n = sizeof GROUPS / sizeof *GROUPS,
    .open = hs_media_open,
    .close = hs_media_close,
};
