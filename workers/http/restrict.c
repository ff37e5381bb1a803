/* Accounts that may not do everything: suspended ones (MSC3823), people who have not agreed to the terms, and those
 * beyond what the server may serve. In one place, and closed by default: an operation that is not named here is none
 * for a suspended account, unless it only reads. */
#include "server/consent.h"
#include "server/resource_limits.h"
#include "server/session.h"
#include "workers/http/hooks.h"

/* What a suspended account may still do: to leave, to take back what it said, to look after its sessions, keys and
 * settings, to have read things. Paths as in the route rows; one that ends with a slash stands for all below it. */
static const char *const ALLOWED[] = {
    "/account/",
    "/delete_devices",
    "/devices/{deviceId}",
    "/keys/",
    "/login/get_token",
    "/logout",
    "/logout/all",
    "/org.matrix.msc3882/login/token",
    "/presence/",
    "/publicRooms",
    "/pushers/set",
    "/pushrules/",
    "/room_keys/",
    "/rooms/{roomId}/forget",
    "/rooms/{roomId}/forget/{txnId}",
    "/rooms/{roomId}/leave",
    "/rooms/{roomId}/leave/{txnId}",
    "/rooms/{roomId}/read_markers",
    "/rooms/{roomId}/receipt/{receiptType}/{eventId}",
    "/rooms/{roomId}/redact/{eventId}",
    "/rooms/{roomId}/redact/{eventId}/{txnId}",
    "/search",
    "/sendToDevice/{eventType}/{txnId}",
    "/user/{userId}/account_data/{type}",
    "/user/{userId}/filter",
    "/user/{userId}/rooms/{roomId}/account_data/{type}",
    "/user/{userId}/rooms/{roomId}/tags/{tag}",
    "/user_directory/search",
};

/* What makes events, and Synapse's words for suspended accounts. The leave of oneself is always possible. */
static const struct {
    const char *path, *words;
} EVENTS[] = {
    { "/createRoom", "Sending messages while account is suspended is not allowed." },
    { "/createRoom/{txnId}", "Sending messages while account is suspended is not allowed." },
    { "/join/", "Joining rooms while account is suspended is not allowed." },
    { "/knock/", "Knocking on rooms while account is suspended is not allowed." },
    { "/rooms/{roomId}/ban", "Changing membership while account is suspended is not allowed." },
    { "/rooms/{roomId}/ban/", "Changing membership while account is suspended is not allowed." },
    { "/rooms/{roomId}/invite", "Sending invites while account is suspended is not allowed." },
    { "/rooms/{roomId}/invite/", "Sending invites while account is suspended is not allowed." },
    { "/rooms/{roomId}/join", "Joining rooms while account is suspended is not allowed." },
    { "/rooms/{roomId}/join/", "Joining rooms while account is suspended is not allowed." },
    { "/rooms/{roomId}/kick", "Changing membership while account is suspended is not allowed." },
    { "/rooms/{roomId}/kick/", "Changing membership while account is suspended is not allowed." },
    { "/rooms/{roomId}/redact/", "You can only redact your own events while account is suspended." },
    { "/rooms/{roomId}/send/", "Sending messages while account is suspended is not allowed." },
    { "/rooms/{roomId}/state/", "Sending messages while account is suspended is not allowed." },
    { "/rooms/{roomId}/unban", "Changing membership while account is suspended is not allowed." },
    { "/rooms/{roomId}/unban/", "Changing membership while account is suspended is not allowed." },
    { "/rooms/{roomId}/upgrade", "Sending messages while account is suspended is not allowed." },
    { "/profile/", "Updating profile while account is suspended is not allowed." },
};

static bool names(const char *entry, hs_str path)
{
    hs_str e = hs_str_c(entry);

    return hs_str_ends(e, HS_S("/")) ? hs_str_starts(path, e) : hs_str_eq(path, e);
}

static hs_error *suspended(hs_req *q, hs_str path)
{
    for (size_t i = 0; i < sizeof ALLOWED / sizeof *ALLOWED; i++)
        if (names(ALLOWED[i], path))
            return NULL;
    for (size_t i = 0; i < sizeof EVENTS / sizeof *EVENTS; i++)
        if (names(EVENTS[i].path, path))
            return hs_err(q->a, 403, HS_M_USER_SUSPENDED, "%s", EVENTS[i].words);
    return hs_err(q->a, 403, HS_M_USER_SUSPENDED, "This is not allowed while account is suspended.");
}

/* The operator's words, with the address where one can agree in place of %(consent_uri)s. */
static hs_error *not_agreed(hs_req *q)
{
    static const hs_str MARK = HS_S_INIT("%(consent_uri)s");
    hs_str words = q->srv->config->consent_block_error, uri, message;
    hs_buf b, extra;
    hs_json_out j;
    hs_error *e;

    HS_TRY(hs_consent_uri(q->srv, q->a, q->who->localpart, &uri));
    hs_buf_init(&b, q->a);
    for (size_t i = 0; i < words.n;) {
        bool mark = hs_str_starts(hs_str_from(words, i), MARK);
        hs_buf_add(&b, mark ? uri : hs_str_make(words.p + i, 1));
        i += mark ? MARK.n : 1;
    }
    HS_TRY(hs_buf_flatten(&b, &message));
    e = hs_err(q->a, 403, HS_M_CONSENT_NOT_GIVEN, "%.*s", HS_FMT(message));
    hs_buf_init(&extra, q->a);
    hs_json_out_init(&j, &extra);
    hs_buf_add(&extra, HS_S("\"consent_uri\":"));
    hs_json_v_str(&j, uri);
    if (e != HS_ERR_NOMEM)
        HS_TRY(hs_buf_flatten(&extra, &e->extra));
    return e;
}

static bool makes_events(hs_str path)
{
    for (size_t i = 0; i < sizeof EVENTS / sizeof *EVENTS; i++)
        if (names(EVENTS[i].path, path))
            return !hs_str_starts(path, HS_S("/profile/"));
    return false;
}

hs_error *hs_http_restrict(hs_req *q)
{
    hs_str path = hs_str_c(q->route->path);

    if (hs_str_eq(path, HS_S("/sync")))
        return hs_resource_check(q->srv, q->a, q->who->user);
    if (q->method == HS_GET || q->method == HS_HEAD)
        return NULL;
    if (q->who->flags & HS_ACCOUNT_SUSPENDED)
        HS_TRY(suspended(q, path));
    if (!q->who->agreed && q->srv->config->consent_block_error.n && makes_events(path))
        return not_agreed(q);
    if (makes_events(path) || hs_str_starts(path, HS_S("/rooms/{roomId}/leave")))
        return hs_resource_check(q->srv, q->a, q->who->user);
    return NULL;
}
