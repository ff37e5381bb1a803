/* All roles, and which of their routes a listener's resources open. */
#ifndef HS_WORKERS_ROLES_H
#define HS_WORKERS_ROLES_H

#include "workers/http/role.h"

extern const hs_role *const hs_roles[]; /* ends with NULL */

/* "client,media" → HS_ROLE_*; M_UNKNOWN with the operator's line for a name that is none, or twice the same. */
HS_NODISCARD hs_error *hs_roles_parse(hs_arena *a, hs_str names, unsigned *ret);
/* The names, with commas. */
HS_NODISCARD hs_error *hs_roles_names(hs_arena *a, unsigned roles, hs_str *ret);

/* The route groups that a resource of a listener opens ("federation" opens the keys too); 0 for a name that is no
 * resource. Groups that no role of the worker has are empty. */
#define HS_RESOURCE_GROUPS 6
size_t hs_resource_groups(hs_str resource, const char *ret[HS_RESOURCE_GROUPS]);
/* Whether a worker of these roles has anything to serve under a resource. */
bool hs_roles_serve(unsigned roles, hs_str resource);

#endif
