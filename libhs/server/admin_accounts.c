/* See admin_accounts.h. */
#include "server/admin_accounts.h"

#include "server/account_end.h"
#include "server/login.h"
#include "server/names.h"
#include "server/password.h"
#include "store/account_close.h"
#include "store/sessions.h"
#include "store/user_list.h"

static const hs_strs EVERY_DEVICE = { NULL, 0 };

hs_error *hs_admin_flags(hs_server *srv, hs_arena *a, hs_nid user, unsigned set, unsigned clear)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_change_flags(w, user, set, clear));
    HS_TRY(hs_sessions_end(w, user, EVERY_DEVICE));
    if (clear & HS_ACCOUNT_ADMIN || set & (HS_ACCOUNT_LOCKED | HS_ACCOUNT_SUSPENDED))
        return hs_sessions_end_acting(srv, a, user); /* nobody acts as others who may not act */
    return NULL;
}

hs_error *hs_admin_set_admin(hs_server *srv, const hs_session *who, hs_arena *a, const hs_session *target, bool admin)
{
    if (!admin && target->user == who->user)
        return hs_err(a, 400, HS_M_UNKNOWN, "You may not demote yourself.");
    return hs_admin_flags(srv, a, target->user, admin ? HS_ACCOUNT_ADMIN : 0, admin ? 0 : HS_ACCOUNT_ADMIN);
}

hs_error *hs_admin_set_password(hs_server *srv, const hs_session *who, hs_arena *a, const hs_session *target,
                                hs_str password, bool logout_devices)
{
    hs_str hash, keep = target->user == who->user ? who->device_id : hs_str_make(NULL, 0);
    hs_write *w;

    if (!srv->config->password_enabled || !srv->config->password_localdb_enabled)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Password change disabled");
    HS_TRY(hs_password_hash(srv, a, password, &hash));
    HS_TRY(hs_store_account_set_password(srv->db, a, target->user, hash));
    if (!logout_devices)
        return NULL;
    HS_TRY(hs_sessions_end_acting(srv, a, target->user));
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_devices_remove_others(w, target->user, keep.n ? keep : hs_str_make(NULL, 0)));
    return hs_sessions_end(w, target->user, EVERY_DEVICE);
}

hs_error *hs_admin_deactivate(hs_server *srv, hs_arena *a, const hs_session *target, bool erase)
{
    return hs_account_end(srv, a, target, erase);
}

hs_error *hs_admin_activate(hs_server *srv, hs_arena *a, const hs_session *target)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_change_flags(w, target->user, 0, HS_ACCOUNT_DEACTIVATED | HS_ACCOUNT_ERASED));
    HS_TRY(hs_store_account_listed(w, target->user));
    return hs_sessions_end(w, target->user, EVERY_DEVICE);
}

hs_error *hs_admin_login_as(hs_server *srv, const hs_session *who, hs_arena *a, const hs_session *target,
                            int64_t expires_ts, hs_str *ret_token)
{
    uint8_t sha256[32];
    hs_str token;

    if (target->user == who->user)
        return hs_err(a, 400, HS_M_UNKNOWN, "Cannot use admin API to login as self");
    HS_TRY(hs_token_draw(a, HS_S("syt"), who->localpart, &token));
    hs_token_hash(token, sha256);
    HS_TRY(hs_store_login_as(srv->db, a, hs_str_make((const char *)sha256, sizeof sha256), target->user, who->user,
                             hs_loop_wall(srv->loop), expires_ts));
    *ret_token = token;
    return NULL;
}

hs_error *hs_admin_ratelimit(hs_server *srv, hs_arena *a, hs_nid user, int32_t *ret_per_second, int32_t *ret_burst)
{
    return hs_store_account_ratelimit(srv->db, a, user, ret_per_second, ret_burst);
}

hs_error *hs_admin_ratelimit_set(hs_server *srv, hs_arena *a, hs_nid user, int32_t per_second, int32_t burst)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_set_ratelimit(w, user, per_second, burst));
    return hs_sessions_end(w, user, EVERY_DEVICE);
}

hs_error *hs_admin_features(hs_server *srv, hs_arena *a, hs_nid user, hs_strs *ret)
{
    return hs_store_account_features(srv->db, a, user, ret);
}

hs_error *hs_admin_features_set(hs_server *srv, hs_arena *a, hs_nid user, hs_strs on, hs_strs off)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_set_features(w, user, on, off));
    return hs_sessions_end(w, user, EVERY_DEVICE);
}

hs_error *hs_admin_device_add(hs_server *srv, hs_arena *a, const hs_session *target, hs_str device_id)
{
    if (device_id.n > 512)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "device_id cannot be longer than 512 characters.");
    return hs_store_device_add(srv->db, a, target->user, device_id);
}

hs_error *hs_admin_counts(hs_server *srv, hs_arena *a, hs_str user_id, int64_t from_ts, int64_t *ret_invites,
                          int64_t *ret_rooms)
{
    hs_nid user;

    HS_TRY(hs_user_nid_find(srv, a, user_id, &user));
    return hs_store_sent_member_counts(srv->db, a, user, user_id, from_ts, ret_invites, ret_rooms);
}
