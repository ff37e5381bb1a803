/* Metrics of a worker that belong to no single service. */
#ifndef HS_SERVER_GAUGES_H
#define HS_SERVER_GAUGES_H

#include "server/context.h"

HS_NODISCARD hs_error *hs_gauges_open(hs_server *srv, hs_arena *a);
void hs_gauges_close(hs_server *srv);

#endif
