/* A role: what one kind of worker adds to a process. A worker holds any set of them; libhs/server/context.h numbers
 * them (HS_ROLE_*). Each folder of workers/ that is a role has one such value in its role.c. */
#ifndef HS_WORKERS_HTTP_ROLE_H
#define HS_WORKERS_HTTP_ROLE_H

#include "runtime/http.h"
#include "server/context.h"

/* Routes that go on the same listeners. workers/roles.c says which groups a listener's resource opens. A group that two
 * roles have (well-known) is the same in both. */
typedef struct {
    const char *name; /* "client", "keys" … */
    const hs_route_set *sets;
    size_t n;
} hs_route_group;

typedef struct {
    unsigned bit;     /* one of HS_ROLE_* */
    const char *name; /* as `hs worker` takes it */
    const hs_route_group *groups;
    size_t groups_n;
    /* Loops that run without a request, and checks. NULL: nothing. `open` is on a fiber once the services are open;
     * `close` comes before they are closed, only after an `open` that went well. */
    HS_SUSPENDS hs_error *(*open)(hs_server *srv, hs_arena *a);
    void (*close)(hs_server *srv);
} hs_role;

#endif
