/* See account_validity.h. */
#include "server/account_validity.h"

#include "core/ids.h"
#include "server/names.h"
#include "store/sessions.h"
#include "store/users.h"

bool hs_account_is_over(const hs_server *srv, const hs_session *who)
{
    return srv->config->account_validity_enabled && who->account_expires_ts &&
           who->account_expires_ts <= hs_loop_wall(srv->loop);
}

static hs_error *set_until(hs_server *srv, hs_arena *a, hs_nid user, int64_t until)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_valid_until(w, user, until));
    return hs_sessions_end(w, user, (hs_strs){ NULL, 0 });
}

hs_error *hs_account_renew(hs_server *srv, hs_arena *a, hs_str token, int64_t *ret_until)
{
    uint8_t sha256[32];
    hs_nid user;
    bool found;

    hs_token_hash(token, sha256);
    HS_TRY(hs_store_short_token_take(srv->db, a, HS_S("renewal"), hs_str_make((const char *)sha256, sizeof sha256),
                                     hs_loop_wall(srv->loop), &found, &user));
    *ret_until = 0;
    if (!user || !srv->config->account_validity_period_ms)
        return NULL;
    *ret_until = hs_loop_wall(srv->loop) + srv->config->account_validity_period_ms;
    return set_until(srv, a, user, *ret_until);
}

hs_error *hs_account_renew_for(hs_server *srv, hs_arena *a, hs_jv body, int64_t *ret_until)
{
    hs_jv ts = hs_jv_get(body, HS_S("expiration_ts"));
    int64_t until = hs_loop_wall(srv->loop) + srv->config->account_validity_period_ms;
    hs_account_row *account = NULL;
    hs_str user_id;
    hs_nid user = 0;

    if (!hs_jv_is(hs_jv_get(body, HS_S("user_id"))))
        return hs_err(a, 400, HS_M_UNKNOWN, "Missing property 'user_id' in the request body");
    if (!hs_jv_str(hs_jv_get(body, HS_S("user_id")), &user_id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "user_id must be a string");
    if (hs_jv_is(ts) && hs_jv_type_of(ts) != HS_JV_NULL) {
        if (!hs_jv_int(ts, &until) || until <= 0)
            return hs_err(a, 400, HS_M_INVALID_PARAM, "expiration_ts must be a number of milliseconds");
    } else if (!srv->config->account_validity_period_ms) {
        return hs_err(a, 400, HS_M_UNKNOWN, "expiration_ts is needed: account_validity has no period");
    }
    if (hs_user_is_local(srv, user_id) && hs_str_is_utf8(user_id) && !memchr(user_id.p, 0, user_id.n))
        HS_TRY(hs_user_nid_find(srv, a, user_id, &user));
    if (user)
        HS_TRY(hs_store_account_get(srv->db, a, user, &account));
    if (!account)
        return hs_err(a, 404, HS_M_NOT_FOUND, "User not found");
    *ret_until = until;
    return set_until(srv, a, user, until);
}

hs_error *hs_account_validity_begin(hs_server *srv, hs_arena *a)
{
    const hs_config *c = srv->config;

    if (!c->account_validity_enabled)
        return NULL;
    /* nobody is known to have none: sessions are looked up before they are used up, and the day is far off */
    return hs_store_accounts_begin_validity(srv->db, a, hs_loop_wall(srv->loop) + c->account_validity_period_ms,
                                            c->account_validity_period_ms / 10);
}
