/* Access tokens: from the Authorization header or the query, to a session. Order and texts of the refusals are
 * Synapse's. */
#include "server/account_validity.h"
#include "server/admin_actions.h"
#include "server/news.h"
#include "server/session.h"
#include "workers/http/hooks.h"

bool hs_http_has_token(const hs_req *q)
{
    return hs_req_header(q, HS_S("authorization")).p || hs_query(q, "access_token").p;
}

static hs_error *missing(hs_req *q, const char *text)
{
    return hs_err(q->a, 401, HS_M_MISSING_TOKEN, "%s", text);
}

static hs_error *read_token(hs_req *q, hs_str *ret)
{
    hs_str header = hs_req_header(q, HS_S("authorization"));
    hs_str query = hs_query(q, "access_token");
    const hs_str bearer = HS_S("Bearer ");

    if (!header.p) {
        if (!query.n)
            return missing(q, "Missing access token");
        *ret = query;
        return NULL;
    }
    if (query.p)
        return missing(q, "Mixing Authorization headers and access_token query parameters.");
    hs_str token = hs_str_from(header, bearer.n);
    if (!hs_str_starts(header, bearer) || !token.n || hs_str_find(token, ' ', 0) < token.n)
        return missing(q, "Invalid Authorization header.");
    *ret = token;
    return NULL;
}

static hs_error *with_soft_logout(hs_error *e, bool soft)
{
    if (e != HS_ERR_NOMEM)
        e->extra = soft ? HS_S("\"soft_logout\":true") : HS_S("\"soft_logout\":false");
    return e;
}

static bool asks_for_renewal(const hs_route *row)
{
    return hs_str_eq(hs_str_c(row->path), HS_S("/account_validity/send_mail"));
}

/* What an administrator's request is about to do. */
static hs_error *note_action(hs_req *q)
{
    static const char *const METHODS[] = { [HS_PUT] = "PUT ", [HS_POST] = "POST ", [HS_DELETE] = "DELETE " };
    hs_admin_action in = { .ip = q->client_ip, .request_id = q->request_id };
    hs_buf target;

    if (q->method != HS_PUT && q->method != HS_POST && q->method != HS_DELETE)
        return NULL;
    HS_TRY(hs_str_cat(q->a, &in.action, 2, hs_str_c(METHODS[q->method]), hs_str_c(q->route->path)));
    hs_buf_init(&target, q->a);
    for (size_t i = 0; i < q->params_n; i++) {
        if (i)
            hs_buf_addc(&target, ' ');
        hs_buf_add(&target, q->params[i].value);
    }
    HS_TRY(hs_buf_flatten(&target, &in.target));
    return hs_admin_action_note(q->srv, q->a, q->who, &in);
}

hs_error *hs_http_authenticate(hs_req *q)
{
    const hs_route *row = q->route;
    hs_str token;

    q->known = hs_fanout_position(q->srv);
    if (row->who == HS_AUTH_NONE || row->who == HS_AUTH_SECRET || row->who == HS_AUTH_SERVER ||
        (row->who == HS_AUTH_OPTIONAL && !hs_http_has_token(q)))
        return NULL;

    HS_TRY(read_token(q, &token));
    if (q->srv->lost)
        return hs_err(q->a, 503, HS_M_UNKNOWN, "The server is starting again");
    if (!row->lax)
        HS_TRY(hs_fanout_fresh(q->srv, q->a));
    HS_TRY(hs_session_find(q->srv, q->a, token, &q->who));
    const hs_session *who = q->who;
    if (!who || who->flags & HS_ACCOUNT_DEACTIVATED)
        return with_soft_logout(hs_err(q->a, 401, HS_M_UNKNOWN_TOKEN, "Invalid access token passed."), false);
    q->requester = who->user_id;

    if (who->expires_ts && who->expires_ts < hs_loop_wall(q->loop) && !row->locked)
        return with_soft_logout(hs_err(q->a, 401, HS_M_UNKNOWN_TOKEN, "Access token has expired"), true);
    if (who->flags & HS_ACCOUNT_LOCKED && !row->locked)
        return with_soft_logout(hs_err(q->a, 401, HS_M_USER_LOCKED, "User account has been locked"), true);
    if (hs_account_is_over(q->srv, who) && !row->locked && !asks_for_renewal(row))
        return hs_err(q->a, 403, HS_M_EXPIRED_ACCOUNT, "User account has expired");
    HS_TRY(hs_session_used(q->srv, q->a, q->who));
    hs_session_seen(q->srv, who, q->client_ip, q->user_agent);
    if (who->flags & HS_ACCOUNT_GUEST && !row->guest)
        return hs_err(q->a, 403, HS_M_GUEST_ACCESS_FORBIDDEN, "Guest access not allowed");
    if (row->who == HS_AUTH_ADMIN && !(who->flags & HS_ACCOUNT_ADMIN))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "You are not a server admin");
    HS_TRY(hs_http_restrict(q));
    return row->who == HS_AUTH_ADMIN ? note_action(q) : NULL;
}
