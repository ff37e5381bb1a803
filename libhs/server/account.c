/* See account.h. */
#include "server/account.h"

#include "server/password.h"
#include "server/profile.h"
#include "server/room_member.h"
#include "store/account_data.h"
#include "store/delayed.h"
#include "store/members.h"
#include "store/names.h"
#include "store/sessions.h"
#include "store/threepids.h"
#include "store/users.h"

static hs_error *end_other_sessions(hs_server *srv, hs_arena *a, const hs_session *who)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_devices_remove_others(w, who->user, who->device_id));
    return hs_sessions_end(w, who->user, (hs_strs){ NULL, 0 }); /* the own one is looked up again */
}

hs_error *hs_account_change_password(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_str *ret_uia)
{
    hs_jv v = hs_jv_get(in->body, HS_S("new_password")), keep = hs_jv_get(in->body, HS_S("logout_devices"));
    hs_str password = { 0 }, hash;
    bool logout = true;
    hs_uia u;

    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL && (!hs_jv_str(v, &password) || password.n > HS_PASSWORD_MAX))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid new_password");
    if (hs_jv_is(keep) && !hs_jv_bool(keep, &logout))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "logout_devices must be true or false");
    if (password.p)
        HS_TRY(hs_password_check_policy(srv->config, a, password));
    HS_TRY(hs_uia_check(srv, a, in, &u));
    if (!u.complete) {
        if (password.n && !u.kept_hash.p) { /* need not be sent again */
            HS_TRY(hs_password_hash(srv, a, password, &u.kept_hash));
            HS_TRY(hs_uia_keep(srv, a, &u));
        }
        *ret_uia = u.answer;
        return NULL;
    }

    hash = u.kept_hash;
    if (password.n)
        HS_TRY(hs_password_hash(srv, a, password, &hash));
    if (!hash.p)
        return hs_err(a, 400, HS_M_MISSING_PARAM, "Missing params: password");
    if (!srv->config->password_enabled || !srv->config->password_localdb_enabled)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Password change disabled");
    hs_jv_bool(hs_jv_get(u.params, HS_S("logout_devices")), &logout);
    HS_TRY(hs_store_account_set_password(srv->db, a, in->who->user, hash));
    if (logout)
        HS_TRY(end_other_sessions(srv, a, in->who));
    *ret_uia = hs_str_make(NULL, 0);
    return NULL;
}

/* Rooms, invites and knocks. What cannot be left (a room without power, say) is logged and passed over. */
static hs_error *leave_rooms(hs_server *srv, hs_arena *a, const hs_session *who)
{
    hs_user_room *rooms;
    hs_nid *nids;
    hs_str *ids;
    size_t n;

    HS_TRY(hs_store_user_rooms(srv->db, a, who->user,
                               1u << HS_MEMBER_JOIN | 1u << HS_MEMBER_INVITE | 1u << HS_MEMBER_KNOCK, &rooms, &n));
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &ids));
    for (size_t i = 0; i < n; i++)
        nids[i] = rooms[i].room;
    HS_TRY(hs_store_room_ids(srv->db, a, nids, n, ids));
    for (size_t i = 0; i < n; i++) {
        hs_member_change leave = { .action = HS_CHANGE_LEAVE, .room_id = ids[i] };
        hs_error *e = ids[i].p ? hs_room_member_change(srv, who, a, &leave, NULL) : NULL;
        if (e)
            hs_log_error(srv->log, HS_LOG_WARN, HS_S("-"), "account.leave_failed", e);
    }
    return NULL;
}

/* What rooms see of somebody who is erased. */
static hs_error *clear_profile(hs_server *srv, hs_arena *a, const hs_session *who)
{
    hs_session self = *who;

    self.flags = HS_ACCOUNT_ADMIN; /* whatever the account may not change otherwise */
    HS_TRY(hs_profile_clear(srv, a, &self, who->user_id, HS_S("displayname")));
    HS_TRY(hs_profile_clear(srv, a, &self, who->user_id, HS_S("avatar_url")));
    return hs_profile_clear_fields(srv, a, who->user);
}

/* Rooms first: if the process dies half-way the account is still there and its owner can ask again. */
hs_error *hs_account_end(hs_server *srv, hs_arena *a, const hs_session *who, bool erase)
{
    hs_str nothing = { NULL, 0 };
    hs_strs none = { &nothing, 0 };
    hs_write *w;

    HS_TRY(hs_store_delayed_forget(srv->db, a, who->user)); /* or they would bring the user back */
    HS_TRY(leave_rooms(srv, a, who));
    if (erase)
        HS_TRY(clear_profile(srv, a, who));
    HS_TRY(hs_store_account_set_password(srv->db, a, who->user, hs_str_make(NULL, 0)));
    HS_TRY(hs_store_account_data_purge(srv->db, a, who->user));
    HS_TRY(hs_store_threepids_set(srv->db, a, who->user, none, none, hs_loop_wall(srv->loop)));
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_change_flags(
        w, who->user, HS_ACCOUNT_DEACTIVATED | (erase ? (unsigned)HS_ACCOUNT_ERASED : 0), HS_ACCOUNT_ADMIN));
    HS_TRY(hs_store_devices_remove_others(w, who->user, hs_str_make(NULL, 0)));
    HS_TRY(hs_sessions_end(w, who->user, (hs_strs){ NULL, 0 }));
    return hs_sessions_end_acting(srv, a, who->user);
}

hs_error *hs_account_deactivate(hs_server *srv, hs_arena *a, const hs_uia_in *in, hs_str *ret_uia)
{
    hs_jv v = hs_jv_get(in->body, HS_S("erase"));
    bool erase = false;
    hs_uia u;

    if (hs_jv_is(v) && !hs_jv_bool(v, &erase))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "erase must be true or false");
    HS_TRY(hs_uia_check(srv, a, in, &u));
    if (!u.complete) {
        *ret_uia = u.answer;
        return NULL;
    }

    hs_jv_bool(hs_jv_get(u.params, HS_S("erase")), &erase);
    HS_TRY(hs_account_end(srv, a, in->who, erase));
    *ret_uia = hs_str_make(NULL, 0);
    return NULL;
}
