/* What a request says before its body: framing that is not in doubt, addresses, target, headers. */
#include "runtime/http_framing.h"
#include "runtime/http_impl.h"

#include <arpa/inet.h>

#define MAX_HEAD HS_KIB(64)

hs_str hs_req_header(const hs_req *q, hs_str name)
{
    const hs_parked *x = q->conn;
    ssize_t at;

    if (!x)
        return hs_str_make(NULL, 0);
    if (hs_str_eq(name, HS_S("host")))
        return hs_http_str(x->req->input.authority);
    at = h2o_find_header_by_str(&x->req->headers, name.p, name.n, -1);
    return at < 0 ? hs_str_make(NULL, 0) : hs_http_str(x->req->headers.entries[at].value);
}

/* NULL when the head may be served. Content behind it in the buffer starts where h2o says the entity does. */
static const char *check_framing(h2o_req_t *req, size_t *ret_head, bool *ret_has_length)
{
    const h2o_buffer_t *in = req->conn->callbacks->get_socket(req->conn)->input;
    hs_str bytes = hs_str_make(in->bytes, in->size);
    const char *wrong;
    hs_framing f;

    if (req->entity.base)
        bytes.n = (size_t)(req->entity.base - in->bytes);
    else
        bytes.n = hs_framing_head_len(bytes);
    *ret_head = bytes.n;
    wrong = hs_framing_check(bytes, &f);
    *ret_has_length = f.has_length;
    /* h2o reads chunk sizes sloppily; what follows such a body is not to be trusted. */
    if (wrong || f.chunked)
        req->http1_is_persistent = 0;
    return wrong;
}

static bool is_address(hs_str s, char *room, size_t room_n)
{
    unsigned char parsed[16];

    if (!s.n || s.n >= room_n)
        return false;
    memcpy(room, s.p, s.n);
    room[s.n] = 0;
    return inet_pton(AF_INET, room, parsed) == 1 || inet_pton(AF_INET6, room, parsed) == 1;
}

/* The last entry of the last X-Forwarded-For is the one that our own proxy wrote; those before are the client's word.
 */
static void read_forwarded(hs_req *q, const h2o_req_t *req)
{
    char room[46];
    ssize_t at = -1, last = -1;
    hs_str list, proto = hs_req_header(q, HS_S("x-forwarded-proto"));

    while ((at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("x-forwarded-for"), at)) >= 0)
        last = at;
    if (last >= 0) {
        list = hs_http_str(req->headers.entries[last].value);
        while (hs_str_find(list, ',', 0) < list.n)
            (void)hs_str_split(&list, ',');
        list = hs_str_trim(list);
        if (is_address(list, room, sizeof room))
            q->client_ip = list;
    }
    if (proto.p)
        q->secure = hs_str_eq_nocase(hs_str_trim(proto), HS_S("https"));
}

/* "http://host/path" names a path too (RFC 9112, 3.2.2). */
static hs_str origin_form(hs_str target)
{
    if (target.n && target.p[0] != '/') {
        size_t scheme = hs_str_starts(target, HS_S("http://")) ? 7 : hs_str_starts(target, HS_S("https://")) ? 8 : 0;
        if (scheme)
            target = hs_str_from(target, hs_str_find(target, '/', scheme));
    }
    return target;
}

void hs_http_read_request(hs_parked *x)
{
    const h2o_req_t *req = x->req;
    hs_req *q = x->q;
    ssize_t agent = h2o_find_header(&req->headers, H2O_TOKEN_USER_AGENT, -1);

    q->target = origin_form(hs_http_str(req->input.path));
    q->path = hs_str_first(q->target, hs_str_find(q->target, '?', 0));
    q->body = hs_http_str(req->entity);
    q->host = hs_http_str(req->input.authority);
    q->client_ip = hs_str_c(x->conn->peer);
    q->secure = x->conn->listener->accept.ssl_ctx != NULL;
    if (agent >= 0)
        q->user_agent = hs_http_str(req->headers.entries[agent].value);
    if (x->conn->listener->x_forwarded)
        read_forwarded(q, req);
    x->client_ip = q->client_ip;
}

hs_error *hs_http_refuse_framing(hs_parked *x)
{
    size_t head;
    bool has_length = false;
    const char *wrong = check_framing(x->req, &head, &has_length);

    if (!x->body.on && has_length)
        x->body.length = (int64_t)x->req->entity.len;
    if (!wrong && head > MAX_HEAD) {
        x->req->http1_is_persistent = 0;
        return hs_err(x->a, 431, HS_M_TOO_LARGE, "The request head is too large");
    }
    return wrong ? hs_err(x->a, 400, HS_M_UNKNOWN, "Bad request: %s", wrong) : NULL;
}
