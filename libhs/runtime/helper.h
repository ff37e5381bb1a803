/* A process of our own that does what must not be done in a worker: decoding what strangers have sent. It is started
 * when it is first asked, and again after it has died. */
#ifndef HS_RUNTIME_HELPER_H
#define HS_RUNTIME_HELPER_H

#include "runtime/loop.h"

typedef struct hs_helper hs_helper;

/* `program` is run with the one argument `command`; both are borrowed. NULL without memory. */
hs_helper *hs_helper_open(hs_loop *loop, const char *program, const char *command);
/* Ends the process; nobody may be asking. */
void hs_helper_close(hs_helper *h);

/* Sends `job` (at most 4 KiB) and the descriptor `in`, and collects what is answered until the other side closes. At
 * most `most` bytes and `ms` milliseconds, else, and when the helper cannot be started, an internal error. Holds a
 * thread of the pool: the caller bounds how many ask at once. Several fibers may ask. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_helper_ask(hs_helper *h, hs_arena *a, hs_str job, int in, size_t most, int ms,
                                                 hs_str *ret);

/* ── the helper's side ── */

enum { HS_HELPER_FD = 3 };
/* Waits for the next job of exactly n bytes, with its two descriptors. False when the worker has gone. */
bool hs_helper_next(int fd, void *ret_job, size_t n, int *ret_in, int *ret_out);

#endif
