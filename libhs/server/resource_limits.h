/* Who is served at all: `hs_disabled`, and the cap on people who are active in a month (`limit_usage_by_mau`), as
 * Synapse has them. Those who were counted within 30 days go on; others come in while there is room. */
#ifndef HS_SERVER_RESOURCE_LIMITS_H
#define HS_SERVER_RESOURCE_LIMITS_H

#include "server/session.h"

/* 403 M_RESOURCE_LIMIT_EXCEEDED with limit_type and admin_contact, here and below. `user` asks for something: who comes
 * in is counted. Costs a query where there is a limit, else nothing. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_resource_check(hs_server *srv, hs_arena *a, hs_nid user);
/* The same without counting: at a login. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_resource_check_login(hs_server *srv, hs_arena *a, hs_nid user);
/* Is there room for somebody who is not there yet? */
HS_NODISCARD HS_SUSPENDS hs_error *hs_resource_check_new(hs_server *srv, hs_arena *a);

#endif
