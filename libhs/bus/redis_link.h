/* One connection to a Redis or a Sentinel: authenticated, then commands go out and replies come in. The bytes travel in
 * runtime/stream.h, since hiredis of Debian bookworm has neither TLS nor name lookups that do not block; its reader
 * takes the replies apart. */
#ifndef HS_BUS_REDIS_LINK_H
#define HS_BUS_REDIS_LINK_H

#include "runtime/stream.h"

#include <hiredis/hiredis.h>

typedef struct hs_redis_link hs_redis_link;

/* On the loop, never inside a function below. Each may close the link. */
typedef struct {
    void (*ready)(void *ud);
    void (*reply)(void *ud, const redisReply *r);
    void (*failed)(void *ud, hs_str why); /* once and last; hs_redis_link_close is next */
} hs_redis_link_calls;

/* Texts stay the caller's and outlive the link. */
typedef struct {
    hs_str host, path; /* path: a Unix socket, instead of host and port */
    uint16_t port;
    const hs_tls_client *tls;
    hs_str username, password; /* empty: none */
    hs_str name;               /* shown by CLIENT LIST */
    size_t out_max;
    const hs_redis_link_calls *calls;
    void *ud;
} hs_redis_link_options;

/* NULL without memory. */
hs_redis_link *hs_redis_link_open(hs_loop *loop, const hs_redis_link_options *o);
/* A command of at most 4 words. False: it does not fit into what may wait. */
HS_NODISCARD bool hs_redis_link_send(hs_redis_link *l, const hs_str *words, size_t n);
/* PUBLISH of a message that is `bytes` and then `tail`; false as above. */
HS_NODISCARD bool hs_redis_link_publish(hs_redis_link *l, hs_str channel, hs_str bytes, hs_str tail);
size_t hs_redis_link_waiting(const hs_redis_link *l);
void hs_redis_link_close(hs_redis_link *l); /* NULL is fine */

/* Whether a reply, or an element of one, is this text. */
bool hs_redis_is(const redisReply *r, hs_str text);
/* Its text; p NULL when it has none. */
hs_str hs_redis_text(const redisReply *r);

#endif
