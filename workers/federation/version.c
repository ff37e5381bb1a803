/* GET /_matrix/federation/v1/version. Spec: Server-Server API, "Server implementation". */
#include "workers/federation/role.h"

#include <hs/version.h>

static hs_error *get_version(hs_req *q, hs_res *r)
{
    (void)q;
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_obj_at(j, "server");
    hs_json_str(j, "name", HS_S("hs"));
    hs_json_str(j, "version", HS_S(HS_VERSION));
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_version[] = {
    { HS_GET, "v1", "/version", get_version, .who = HS_AUTH_NONE, .servlet = "FederationVersionServlet" },
    { 0 },
};
/* clang-format on */
