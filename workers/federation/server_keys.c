/* GET /_matrix/key/v2/server. Spec: Server-Server API, "Publishing keys". The form with a key id is from before v1.6
 * and gives the same. */
#include "server/server_keys.h"
#include "workers/federation/role.h"

static hs_error *get_keys(hs_req *q, hs_res *r)
{
    hs_str json;

    HS_TRY(hs_server_keys(q->srv, q->a, &json));

    hs_res_bytes(r, 200, HS_S("application/json"), json);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_server_keys[] = {
    { HS_GET, "v2", "/server", get_keys, .who = HS_AUTH_NONE, .servlet = "LocalKey" },
    { HS_GET, "v2", "/server/{keyId...}", get_keys, .who = HS_AUTH_NONE, .servlet = "LocalKey" },
    { 0 },
};
/* clang-format on */
