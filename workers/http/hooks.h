/* What stands before every handler: who is asking, and may they ask so often. */
#ifndef HS_WORKERS_HTTP_HOOKS_H
#define HS_WORKERS_HTTP_HOOKS_H

#include "runtime/http.h"

/* authenticate.c: sets q->who by the row's `who`. */
hs_error *hs_http_authenticate(hs_req *q);
/* Whether the request carries an access token at all, good or bad. */
bool hs_http_has_token(const hs_req *q);
/* restrict.c: what suspended accounts, and people who have not agreed to the terms, may not do. */
hs_error *hs_http_restrict(hs_req *q);
/* ratelimit.c: by the row's class. */
hs_error *hs_http_rate_limit(hs_req *q);

/* Both, for hs_http_open. */
hs_http_hooks hs_worker_hooks(void);

#endif
