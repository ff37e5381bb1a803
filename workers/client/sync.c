/* GET /sync. Spec: Client-Server API, "Syncing". A request with nothing to say is parked without a fiber until there is
 * something. */
#include "server/sync.h"

#include "runtime/http.h"
#include "server/presence.h"
#include "server/todevice.h"
#include "server/typing.h"

#include <stdlib.h>

enum {
    TIMEOUT_MAX_MS = 600000,
    ROUNDS = 8, /* news of others while one's own are looked for */
    BREATH_MS = 20,
};

/* A parked request: what is needed to answer it anew. */
typedef struct {
    hs_waiter waiter;
    hs_parked *parked;
    hs_sync_filter *filter;
    hs_sync_token since;
    const char *state_after;
    int64_t deadline; /* hs_loop_now's clock */
    hs_session who;   /* its strings are in text */
    char text[];
} poll;

static void poll_free(poll *p)
{
    hs_wait_stop(&p->waiter);
    hs_sync_filter_unref(p->filter);
    free(p);
}

static void gone(void *ud)
{
    poll_free(ud);
}

static void wake(hs_waiter *w)
{
    poll *p = w->ud;

    hs_parked_wake(p->parked);
}

static hs_error *resume(hs_req *q, hs_res *r, void *ud);

static hs_str keep(char **at, hs_str s)
{
    hs_str kept = { *at, s.n };

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

/* unsure: there was news between the token and now that may concern the user, so everything is looked at again soon. */
static hs_error *park(hs_req *q, hs_res *r, const hs_session *who, const hs_sync_in *in, const hs_sync_token *since,
                      hs_sync_filter *filter, int64_t deadline, bool unsure)
{
    int64_t left = deadline - hs_loop_now(q->loop);
    poll *p = calloc(1, sizeof *p + who->user_id.n + who->device_id.n);
    char *at;
    hs_error *e;

    if (!p)
        return HS_ERR_NOMEM;
    at = p->text;
    p->who = *who;
    p->who.user_id = keep(&at, who->user_id);
    p->who.localpart = who->localpart.n ? hs_str_make(p->who.user_id.p + 1, who->localpart.n) : who->localpart;
    p->who.device_id = keep(&at, who->device_id);
    p->filter = hs_sync_filter_ref(filter);
    p->since = *since;
    p->state_after = in->state_after;
    p->deadline = deadline;
    p->waiter.fn = wake;
    p->waiter.ud = p;
    p->waiter.device_id = p->who.device_id;
    p->waiter.all = unsure;
    if (unsure && left > BREATH_MS)
        left = BREATH_MS;
    e = hs_wait_start(q->srv, &p->waiter, who->user, left > 0 ? left : 0);
    if (!e)
        e = hs_req_park(q, r, resume, gone, p, &p->parked);
    if (e)
        poll_free(p);
    return e;
}

/* Answers now, or parks when there is nothing and time is left. */
static hs_error *answer(hs_req *q, hs_res *r, const hs_session *who, hs_sync_in *in, hs_sync_filter *filter,
                        int64_t deadline, bool may_wait)
{
    hs_sync_made made;

    for (int round = 0;; round++) {
        hs_buf_init(&r->body, q->a);
        HS_TRY(hs_sync(q->srv, who, q->a, in, &r->body, &made));
        if (!made.empty || !may_wait || !hs_req_may_park(q) || deadline <= hs_loop_now(q->loop)) {
            r->status = 200;
            return NULL;
        }
        if (hs_fanout_position(q->srv) == made.next.pos && hs_typing_settled(q->srv, made.next.serial))
            return park(q, r, who, in, &made.next, filter, deadline, false);
        if (round == ROUNDS)
            return park(q, r, who, in, &made.next, filter, deadline, true);
        in->woken = NULL;
    }
}

static hs_error *resume(hs_req *q, hs_res *r, void *ud)
{
    poll *p = ud;
    hs_sync_in in = { .has_since = true,
                      .since = p->since,
                      .state_after = p->state_after,
                      .filter = &p->filter->filter,
                      .filter_id = p->filter->id,
                      .woken = &p->waiter };
    hs_error *e;

    /* The waiter goes on collecting until the answer is made: there may be more news before its position is read. */
    q->who = &p->who;
    e = answer(q, r, &p->who, &in, p->filter, p->deadline, true);
    q->who = NULL;
    poll_free(p);
    return e;
}

/* Under the name that the client knows; the older one where an operator allows it. */
static hs_error *read_state_after(hs_req *q, const char **ret)
{
    bool stable = false, unstable = false;

    HS_TRY(hs_query_bool(q, "use_state_after", &stable));
    if (q->srv->config->msc4222_enabled)
        HS_TRY(hs_query_bool(q, "org.matrix.msc4222.use_state_after", &unstable));
    *ret = stable ? "state_after" : unstable ? "org.matrix.msc4222.state_after" : NULL;
    return NULL;
}

/* GET …/sync */
static hs_error *get_sync(hs_req *q, hs_res *r)
{
    hs_str since = hs_query(q, "since"), presence = hs_query(q, "set_presence");
    hs_presence_state state = HS_PRESENCE_ONLINE;
    hs_sync_in in = { 0 };
    hs_sync_filter *filter;
    int64_t timeout = 0;
    bool has_timeout;

    if (hs_query(q, "from").p)
        return hs_err(q->a, 400, HS_M_UNKNOWN, "'from' is not a valid query parameter. Did you mean 'since'?");
    HS_TRY(hs_query_i64(q, "timeout", &has_timeout, &timeout));
    if (timeout < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter timeout must be a positive integer.");
    if (presence.p && (!hs_presence_parse(q->srv, presence, &state) || state == HS_PRESENCE_BUSY))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM,
                      "Query parameter 'set_presence' must be one of ['offline', 'online', 'unavailable']");
    HS_TRY(hs_query_bool(q, "full_state", &in.full_state));
    HS_TRY(read_state_after(q, &in.state_after));
    HS_TRY(hs_sync_filter_get(q->srv, q->who, q->a, hs_query(q, "filter"), &filter));
    if (since.p) {
        in.has_since = true;
        HS_TRY(hs_sync_token_read(q->a, since, &in.since));
    }
    /* Who waits is woken by what other workers have done. Who does not, or comes from a worker that is ahead, is to see
     * it at once. */
    if (!in.has_since || in.full_state || timeout == 0 || in.since.pos > hs_fanout_position(q->srv))
        HS_TRY(hs_fanout_fresh(q->srv, q->a));
    if (in.has_since) {
        /* From a time that this database has not seen (it was restored, or the token is made up): all that is here is
         * news. Messages to the device and sticky events are rather shown again than lost. */
        if (in.since.pos > hs_fanout_position(q->srv)) {
            in.since.pos = hs_fanout_position(q->srv);
            in.since.to_device = 0;
            in.since.sticky = 0;
        }
        HS_TRY(hs_todevice_acknowledge(q->srv, q->who, q->a, in.since.to_device));
    }
    HS_TRY(hs_presence_syncing(q->srv, q->who, q->a, state));
    in.filter = &filter->filter;
    in.filter_id = filter->id;
    if (timeout > TIMEOUT_MAX_MS)
        timeout = TIMEOUT_MAX_MS;

    if (!in.has_since || in.full_state) {
        hs_buf_init(&r->body, q->a);
        r->status = 200;
        return hs_sync_whole(q->srv, q->who, q->a, &in, &r->body);
    }
    hs_sync_answers_taken(q->srv, q->who, in.since.pos);
    return answer(q, r, q->who, &in, filter, hs_loop_now(q->loop) + timeout, timeout > 0);
}

/* clang-format off */
const hs_route hs_routes_sync[] = {
    { HS_GET, "r0 v3 unstable", "/sync", get_sync, .who = HS_AUTH_USER, .lax = true, .guest = true, .servlet = "SyncRestServlet" },
    { 0 },
};
/* clang-format on */
