/* GET /.well-known/matrix/client and …/server. Spec: Client-Server API, "Well-known URIs"; Server-Server API,
 * "Resolving server names". */
#include "server/context.h"
#include "workers/http/sets.h"

bool hs_well_known_write(const hs_server *srv, hs_json_out *j)
{
    const hs_config *c = srv->config;

    if (!c->serve_client_wellknown)
        return false;
    hs_json_obj_at(j, "m.homeserver");
    hs_json_str(j, "base_url", c->public_baseurl);
    hs_json_end(j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(c->extra_well_known_client, &it);) {
        if (hs_str_eq(it.key, HS_S("m.homeserver")))
            continue;
        hs_json_key(j, it.key);
        hs_json_v_raw(j, hs_jv_raw(it.value));
    }
    return true;
}

static hs_error *get_client(hs_req *q, hs_res *r)
{
    if (!q->srv->config->serve_client_wellknown)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, ".well-known not available");

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_well_known_write(q->srv, j);
    hs_json_end(j);
    return NULL;
}

static hs_error *get_server(hs_req *q, hs_res *r)
{
    hs_str name = q->srv->server_name, with_port;
    size_t host_end =
        hs_str_starts(name, HS_S("[")) ? hs_str_find(name, ']', 0) : 0; /* an IPv6 address has colons of its own */
    bool has_port = hs_str_find(name, ':', host_end) < name.n;

    if (!q->srv->config->serve_server_wellknown) {
        hs_res_bytes(r, 404, HS_S("text/plain"), HS_S("404. There is no server well-known here.\n"));
        return NULL;
    }
    /* whoever reads this came in by https://<server_name>/, so the same door serves federation */
    HS_TRY(hs_str_fmt(q->a, &with_port, "%.*s%s", HS_FMT(name), has_port ? "" : ":443"));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "m.server", with_port);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
static const hs_route WELL_KNOWN[] = {
    { HS_GET, NULL, "client", get_client, .who = HS_AUTH_NONE, .servlet = "WellKnown" },
    { HS_GET, NULL, "server", get_server, .who = HS_AUTH_NONE, .servlet = "WellKnown" },
    { 0 },
};
/* clang-format on */

const hs_route_set hs_http_well_known_routes = { "/.well-known/matrix/", WELL_KNOWN };
