/* The private PostgreSQL of `hs run`: a cluster in the data directory, reached over a Unix socket only.
 *
 * Blocking calls, made before the loop runs, but for hs_private_pg_watch. The cluster outlives a killed hs; the next
 * start takes it over. */
#ifndef HS_MAIN_PRIVATE_PG_H
#define HS_MAIN_PRIVATE_PG_H

#include "runtime/log.h"
#include "runtime/loop.h"

typedef struct hs_private_pg hs_private_pg;

/* Makes the cluster if it is not there, starts or adopts its server and waits until it is ready. `dir` is absolute.
 * The error's message is the operator's one line. Everything lives in `a`. */
HS_NODISCARD hs_error *hs_private_pg_start(hs_arena *a, hs_str dir, hs_private_pg **ret);
/* How to reach one that another process runs in `dir`; { NULL, 0 }: none answers there. */
HS_NODISCARD hs_error *hs_private_pg_find(hs_arena *a, hs_str dir, hs_str *ret_conninfo);
/* For libpq. */
hs_str hs_private_pg_conninfo(const hs_private_pg *pg);
/* From now on a server that dies is started again. */
HS_NODISCARD hs_error *hs_private_pg_watch(hs_private_pg *pg, hs_loop *loop, hs_logger *log);
/* A fast shutdown: sessions are ended, everything is written. Waits for it. */
void hs_private_pg_stop(hs_private_pg *pg);

#endif
