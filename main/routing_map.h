/* From the route tables to a proxy's configuration: which path belongs to which role, and which requests had better go
 * to the same worker again (correctness does not need that). */
#ifndef HS_MAIN_ROUTING_MAP_H
#define HS_MAIN_ROUTING_MAP_H

#include <hs/error.h>

#define HS_UPSTREAMS_MAX 16

typedef struct {
    bool haproxy;                       /* else nginx */
    const char *bind;                   /* where the proxy listens */
    hs_str upstreams[HS_UPSTREAMS_MAX]; /* "client=127.0.0.1:8101,127.0.0.1:8102"; a role without one gets an example */
    size_t upstreams_n;
} hs_routing_map;

HS_NODISCARD hs_error *hs_routing_map_write(hs_arena *a, const hs_routing_map *m, hs_str *ret);

#endif
