/* The rate class of a route row. Classes that count by what a request is about (joins by room, logins by account,
 * invites by issuer) are counted by their services; here are those that count by who sends it. */
#include "server/limiter.h"
#include "server/news.h"
#include "server/session.h"
#include "workers/http/hooks.h"

static hs_error *by_user(hs_req *q, hs_limit kind)
{
    return q->who ? hs_limit_use_as(q->srv, q->a, kind, q->who, (hs_str){ 0 }, HS_LIMIT_TAKE) : NULL;
}

/* A room costs two limits; what one of them refuses is not counted by the other. */
static hs_error *room_creation(hs_req *q)
{
    HS_TRY(hs_limit_use_as(q->srv, q->a, HS_LIMIT_ROOM_CREATION, q->who, (hs_str){ 0 }, HS_LIMIT_PEEK));
    HS_TRY(by_user(q, HS_LIMIT_MESSAGE));
    return by_user(q, HS_LIMIT_ROOM_CREATION);
}

/* By who asks, or from where. */
static hs_error *profile(hs_req *q)
{
    return q->who ? by_user(q, HS_LIMIT_PROFILE)
                  : hs_limit_use(q->srv, q->a, HS_LIMIT_PROFILE, q->client_ip, HS_LIMIT_TAKE);
}

hs_error *hs_http_rate_limit(hs_req *q)
{
    switch (q->route->rate) {
    case HS_RC_MESSAGE:
        return by_user(q, HS_LIMIT_MESSAGE);
    case HS_RC_ADMIN_REDACTION: /* with a limit of its own it depends on whose event it is: room_send.c */
        return q->srv->config->has_rc_admin_redaction ? NULL : by_user(q, HS_LIMIT_MESSAGE);
    case HS_RC_REPORTS:
        return by_user(q, HS_LIMIT_REPORTS);
    case HS_RC_USER_DIRECTORY:
        return by_user(q, HS_LIMIT_USER_DIRECTORY);
    case HS_RC_PRESENCE:
        return by_user(q, HS_LIMIT_PRESENCE);
    case HS_RC_MEDIA_CREATE:
        return by_user(q, HS_LIMIT_MEDIA_CREATE);
    case HS_RC_DELAYED:
        return q->who ? by_user(q, HS_LIMIT_DELAYED)
                      : hs_limit_use(q->srv, q->a, HS_LIMIT_DELAYED, q->client_ip, HS_LIMIT_TAKE);
    case HS_RC_SUMMARY:
        return by_user(q, HS_LIMIT_SUMMARY);
    case HS_RC_ROOM_CREATION:
        return q->who ? room_creation(q) : NULL;
    case HS_RC_PROFILE:
        return profile(q);
    case HS_RC_REGISTRATION_TOKEN:
        return hs_limit_use(q->srv, q->a, HS_LIMIT_REGISTRATION_TOKEN, q->client_ip, HS_LIMIT_TAKE);
    case HS_RC_JOIN:
    case HS_RC_INVITE:
        return by_user(q, HS_LIMIT_MESSAGE);
    case HS_RC_REGISTRATION:
    case HS_RC_LOGIN:
    case HS_RC_NONE:
    case HS_RC_COUNT:
        break;
    }
    return NULL;
}

/* "You are not in the room" may be old by what another worker has acknowledged just now. */
static bool once_more(hs_req *q, hs_error **e)
{
    hs_error *unknown;

    if (!q->srv->shared || *e == HS_ERR_NOMEM || ((*e)->status != 403 && (*e)->status != 404))
        return false;
    unknown = hs_fanout_fresh(q->srv, q->a);
    if (unknown) {
        *e = unknown;
        return false;
    }
    return hs_fanout_position(q->srv) > q->known;
}

hs_http_hooks hs_worker_hooks(void)
{
    return (hs_http_hooks){ .authenticate = hs_http_authenticate,
                            .rate_limit = hs_http_rate_limit,
                            .once_more = once_more };
}
