/* Request targets: path and query as they come over the wire. Whatever is decoded is UTF-8 without NUL and no longer
 * than it was; a route's parameters are as many as its row names. */
#include "runtime/http_router.h"

#include "fuzz/fuzz.h"

static hs_error *unused(hs_req *q, hs_res *r)
{
    (void)q;
    (void)r;
    return NULL;
}

static const hs_route ROUTES[] = {
    { HS_GET, "r0 v3 unstable/org.matrix.x", "/rooms/{roomId}/state", unused, .servlet = "all" },
    { HS_PUT, "v3", "/rooms/{roomId}/state/{eventType}/{stateKey...}", unused, .servlet = "put" },
    { HS_GET, "v3", "/rooms/{roomId}/state/{eventType}", unused, .servlet = "one" },
    { HS_GET, "v3", "/profile/{userId}/displayname", unused, .servlet = "name" },
    { HS_GET, "v3", "/profile/{userId}/{field}", unused, .servlet = "field" },
    { HS_GET, "v3", "/pushrules/", unused, .servlet = "rules" },
    { HS_GET, NULL, "/versions", unused, .servlet = "versions" },
    { 0 },
};
static const hs_route_set SET = { "/_matrix/client/", ROUTES };

static void check_decoded(hs_str s, size_t most)
{
    must(s.n <= most && hs_str_is_utf8(s) && !(s.n && memchr(s.p, 0, s.n)));
}

static size_t named(const char *path)
{
    size_t n = 0;

    for (; *path; path++)
        n += *path == '{';
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static hs_router *router;
    hs_arena *a = fresh_arena();
    hs_str rest = exactly(a, data, n), path, segment, decoded;
    const hs_pair *pairs;
    size_t pairs_n;
    hs_match m = { 0 };

    if (!router) {
        router = hs_router_open();
        must(router && !hs_router_add(router, a, &SET, 1));
    }
    path = hs_str_split(&rest, '?');
    hs_error *e = hs_query_decode(a, rest, &pairs, &pairs_n);
    must(!e || e->status == 400);
    if (!e) {
        must(pairs_n <= HS_QUERY_MAX_PAIRS);
        for (size_t i = 0; i < pairs_n; i++) {
            check_decoded(pairs[i].name, rest.n);
            check_decoded(pairs[i].value, rest.n);
        }
    }
    for (int method = HS_GET; method <= HS_OTHER_METHOD; method++) {
        m = (hs_match){ 0 };
        e = hs_router_find(router, a, 1, (hs_method)method, path, &m);
        must(!e || e->status == 404 || e->status == 405 || e->status == 400);
        if (e)
            continue;
        must(m.route && m.params_n == named(m.route->path));
        for (size_t i = 0; i < m.params_n; i++)
            check_decoded(m.params[i].value, path.n);
    }
    while (path.p) {
        segment = hs_str_split(&path, '/');
        if (!hs_segment_decode(a, segment, &decoded))
            check_decoded(decoded, segment.n);
    }
    return 0;
}
