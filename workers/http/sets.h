/* Route sets that every role shares, and what the well-known file says. */
#ifndef HS_WORKERS_HTTP_SETS_H
#define HS_WORKERS_HTTP_SETS_H

#include "runtime/http.h"

extern const hs_route_set hs_http_health_routes;     /* for every listener */
extern const hs_route_set hs_http_metrics_routes;    /* for the listener resource "metrics" */
extern const hs_route_set hs_http_well_known_routes; /* of the roles client and federation */

/* The members of /.well-known/matrix/client, as login answers carry them too. False: none, no public_baseurl was given.
 */
bool hs_well_known_write(const struct hs_server *srv, hs_json_out *j);

#endif
