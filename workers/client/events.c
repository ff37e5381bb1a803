/* GET /events: what clients listened to before /sync. Spec: Client-Server API, getEvents and peekEvents (deprecated). A
 * request with nothing to say is parked, as one of /sync is. */
#include "server/event_stream.h"

#include "runtime/http.h"
#include "server/presence.h"
#include "server/room_block.h"
#include "server/typing.h"

#include <stdlib.h>

enum {
    TIMEOUT_MS = 30000,
    TIMEOUT_MIN_MS = 500,
    TIMEOUT_MAX_MS = 600000,
    LIMIT = 10,
    ROUNDS = 8,
    LOOK_MS = 250, /* who looks into a room is not woken by it: how often they look, in memory */
};

/* A parked request: what is needed to answer it anew. */
typedef struct {
    hs_waiter waiter;
    hs_parked *parked;
    hs_event_stream_in in;
    hs_sync_token start;
    unsigned show;
    int64_t deadline; /* hs_loop_now's clock */
    hs_session who;   /* its strings, and the room's, are in text */
    char text[];
} poll;

static void poll_free(poll *p)
{
    hs_wait_stop(&p->waiter);
    free(p);
}

static void gone(void *ud)
{
    poll_free(ud);
}

static void wake(hs_waiter *w)
{
    hs_parked_wake(((poll *)w->ud)->parked);
}

static hs_error *resume(hs_req *q, hs_res *r, void *ud);

static hs_str keep(char **at, hs_str s)
{
    hs_str kept = { s.p ? *at : NULL, s.n };

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

static hs_error *park(hs_req *q, hs_res *r, const poll *now, int64_t left)
{
    const hs_session *who = &now->who;
    poll *p = calloc(1, sizeof *p + who->user_id.n + who->device_id.n + now->in.room_id.n);
    char *at;
    hs_error *e;

    if (!p)
        return HS_ERR_NOMEM;
    at = p->text;
    p->in = now->in;
    p->start = now->start;
    p->show = now->show;
    p->deadline = now->deadline;
    p->who = *who;
    p->who.user_id = keep(&at, who->user_id);
    p->who.localpart = who->localpart.n ? hs_str_make(p->who.user_id.p + 1, who->localpart.n) : who->localpart;
    p->who.device_id = keep(&at, who->device_id);
    p->in.room_id = keep(&at, now->in.room_id);
    p->waiter.fn = wake;
    p->waiter.ud = p;
    p->waiter.device_id = p->who.device_id;
    e = hs_wait_start(q->srv, &p->waiter, who->user, left > 0 ? left : 0);
    if (!e)
        e = hs_req_park(q, r, resume, gone, p, &p->parked);
    if (e)
        poll_free(p);
    return e;
}

static hs_error *write_page(hs_req *q, hs_res *r, const poll *p, const hs_event_stream_page *page)
{
    hs_show how = { .flags = p->show, .viewer = &p->who, .now = hs_loop_wall(q->loop) };
    hs_str start, end;
    hs_json_out *j;

    HS_TRY(hs_sync_token_write(q->a, &p->start, &start));
    HS_TRY(hs_sync_token_write(q->a, &page->end, &end));
    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "chunk");
    for (size_t i = 0; i < page->events_n; i++)
        hs_event_show(j, &how, &page->events[i]);
    for (size_t i = 0; i < page->others.n; i++)
        hs_json_v_raw(j, page->others.at[i]);
    hs_json_end(j);
    hs_json_str(j, "start", start);
    hs_json_str(j, "end", end);
    hs_json_end(j);
    return NULL;
}

/* Answers now, or parks when there is nothing and time is left. */
static hs_error *answer(hs_req *q, hs_res *r, poll *p)
{
    for (int round = 0;; round++) {
        hs_event_stream_page page;
        int64_t left = p->deadline - hs_loop_now(q->loop);

        HS_TRY(hs_event_stream(q->srv, &p->who, q->a, &p->in, &page));
        if (page.events_n || page.others.n || left <= 0 || !hs_req_may_park(q))
            return write_page(q, r, p, &page);
        p->in.from = page.end;
        if (page.looks_in || round == ROUNDS)
            return park(q, r, p, left < LOOK_MS ? left : LOOK_MS);
        if (hs_fanout_position(q->srv) == page.end.pos && hs_typing_settled(q->srv, page.end.serial))
            return park(q, r, p, left);
    }
}

static hs_error *resume(hs_req *q, hs_res *r, void *ud)
{
    poll *p = ud;
    hs_error *e;

    q->who = &p->who;
    e = answer(q, r, p);
    q->who = NULL;
    poll_free(p);
    return e;
}

/* `from`: a token of /sync or of this; none, or END: now. */
static hs_error *read_from(hs_req *q, hs_sync_token *ret)
{
    hs_str from = hs_query(q, "from");

    if (!from.n || hs_str_eq(from, HS_S("END"))) {
        *ret = hs_event_stream_now(q->srv);
        return NULL;
    }
    if (hs_sync_token_read(q->a, from, ret))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "'from' parameter is invalid");
    if (ret->pos > hs_fanout_position(q->srv)) {
        HS_TRY(hs_fanout_fresh(q->srv, q->a));
        if (ret->pos > hs_fanout_position(q->srv))
            *ret = hs_event_stream_now(q->srv);
    }
    return NULL;
}

static hs_error *read_query(hs_req *q, poll *p, int64_t *ret_timeout)
{
    hs_str timeout = hs_query(q, "timeout");
    bool has;

    p->in.room_id = hs_query(q, "room_id");
    if (q->who->flags & HS_ACCOUNT_GUEST && !p->in.room_id.p)
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Guest users must specify room_id param");
    if (!p->in.room_id.n)
        p->in.room_id = hs_str_make(NULL, 0);
    HS_TRY(hs_query_i64(q, "limit", &has, &p->in.limit));
    if (p->in.limit < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");
    if (!p->in.limit)
        p->in.limit = LIMIT;
    if (p->in.limit > HS_PAGE_LIMIT)
        p->in.limit = HS_PAGE_LIMIT;
    if (timeout.p && !hs_str_to_i64(timeout, ret_timeout))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "timeout must be in milliseconds.");
    if (*ret_timeout && *ret_timeout < TIMEOUT_MIN_MS)
        *ret_timeout = TIMEOUT_MIN_MS;
    if (*ret_timeout > TIMEOUT_MAX_MS)
        *ret_timeout = TIMEOUT_MAX_MS;
    p->show = hs_query(q, "raw").p ? HS_SHOW_FEDERATION : HS_SHOW_ROOM_ID;
    return NULL;
}

/* GET …/events */
static hs_error *get_events(hs_req *q, hs_res *r)
{
    poll p = { .in.limit = LIMIT, .who = *q->who };
    int64_t timeout = TIMEOUT_MS;

    HS_TRY(read_query(q, &p, &timeout));
    if (timeout == 0)
        HS_TRY(hs_fanout_fresh(q->srv, q->a));
    HS_TRY(read_from(q, &p.in.from));
    if (p.in.room_id.p)
        HS_TRY(hs_room_block_check(q->srv, q->a, p.in.room_id));
    if (!(q->who->flags & HS_ACCOUNT_GUEST))
        HS_TRY(hs_presence_syncing(q->srv, q->who, q->a, HS_PRESENCE_ONLINE));
    p.start = p.in.from;
    p.deadline = hs_loop_now(q->loop) + timeout;
    return answer(q, r, &p);
}

/* clang-format off */
const hs_route hs_routes_events[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/events", get_events,
      .who = HS_AUTH_USER, .guest = true, .lax = true, .servlet = "EventStreamRestServlet" },
    { 0 },
};
/* clang-format on */
