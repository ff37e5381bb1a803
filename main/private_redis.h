/* The private Redis of `hs run --workers N`: what the workers tell each other passes through it. It listens on a Unix
 * socket in the data directory only and keeps nothing.
 *
 * Blocking calls, made before the loop runs, but for hs_private_redis_watch. The server outlives a killed hs; the next
 * start takes it over. */
#ifndef HS_MAIN_PRIVATE_REDIS_H
#define HS_MAIN_PRIVATE_REDIS_H

#include "runtime/log.h"
#include "runtime/loop.h"

typedef struct hs_private_redis hs_private_redis;

/* Starts or adopts the server and waits until it answers. `dir` is absolute. The error's message is the operator's one
 * line, also when the package is not installed. Everything lives in `a`. */
HS_NODISCARD hs_error *hs_private_redis_start(hs_arena *a, hs_str dir, hs_private_redis **ret);
/* The socket of one that another process runs in `dir`; { NULL, 0 }: none answers there. */
HS_NODISCARD hs_error *hs_private_redis_find(hs_arena *a, hs_str dir, hs_str *ret);
/* The socket's path, ended by a NUL; the same after each restart. */
hs_str hs_private_redis_path(const hs_private_redis *r);
/* From now on a server that dies is started again. */
HS_NODISCARD hs_error *hs_private_redis_watch(hs_private_redis *r, hs_loop *loop, hs_logger *log);
/* Waits for its end. Once the workers have ended. */
void hs_private_redis_stop(hs_private_redis *r);

#endif
