/* See account.h. */
#include "server/account.h"

#include "server/account_end.h"
#include "server/password.h"
#include "store/sessions.h"
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
