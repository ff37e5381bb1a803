/* What has to be done now and then, whether or not anybody asks: forgetting what has had its time. A once-only duty
 * (leases.h) of the workers with the role background. */
#ifndef HS_SERVER_UPKEEP_H
#define HS_SERVER_UPKEEP_H

#include "server/leases.h"

HS_NODISCARD hs_error *hs_upkeep_open(hs_server *srv);
/* One round now, for the holder of lease `l`. NULL: without one, which is harmless too, as every step may be repeated.
 */
HS_NODISCARD HS_SUSPENDS hs_error *hs_upkeep_run(hs_server *srv, hs_lease *l, hs_arena *a);

#endif
