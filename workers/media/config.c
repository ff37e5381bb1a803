/* How large an upload may be. Spec: Client-Server API, "Content repository", getConfigAuthed. */
#include "workers/media/role.h"

static hs_error *get_config(hs_req *q, hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_int(j, "m.upload.size", q->srv->config->max_upload_size);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_media_config[] = {
    { HS_GET, "v1", "/media/config", get_config, .who = HS_AUTH_USER, .servlet = "MediaConfigResource" },
    { 0 },
};

const hs_route hs_routes_media_config_old[] = {
    { HS_GET, "r0 v3 v1", "/config", get_config, .who = HS_AUTH_USER, .servlet = "MediaConfigResource" },
    { 0 },
};
/* clang-format on */
