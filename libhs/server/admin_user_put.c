/* PUT of a user: made or changed. See admin_users.h. What the body asks for is read and judged whole before anything is
 * done. */
#include "core/ids.h"
#include "server/admin_accounts.h"
#include "server/admin_users.h"
#include "server/password.h"
#include "server/profile.h"
#include "server/register.h"

typedef struct {
    hs_jv displayname, avatar_url; /* absent: stay */
    bool has_threepids, has_external_ids, has_kind;
    hs_strs media, addresses, providers, external_ids;
    hs_str kind, password; /* p NULL: none */
    bool logout_devices;
    unsigned given, set; /* HS_ACCOUNT_*: which flags the body names, and those that shall be set */
} wish;

static hs_error *bad(hs_arena *a, hs_errcode code, const char *text)
{
    return hs_err(a, 400, code, "%s", text);
}

/* null is as good as nothing */
static bool is_given(hs_jv v)
{
    return hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL;
}

enum { ID_MAX = 500 };

static bool is_text(hs_str s)
{
    return s.p && (!s.n || !memchr(s.p, 0, s.n));
}

static hs_error *read_flag(hs_arena *a, hs_jv body, const char *name, unsigned flag, hs_errcode code, const char *text,
                           wish *w)
{
    hs_jv v = hs_jv_get(body, hs_str_c(name));
    bool on;

    if (!hs_jv_is(v))
        return NULL;
    if (!hs_jv_bool(v, &on))
        return bad(a, code, text);
    w->given |= flag;
    w->set |= on ? flag : 0;
    return NULL;
}

/* The members x and y of each element of a list. */
static hs_error *read_pairs(hs_arena *a, hs_jv list, const char *x, const char *y, hs_strs *ret_x, hs_strs *ret_y)
{
    hs_str *xs, *ys;
    size_t n = hs_jv_count(list), i = 0;

    if (hs_jv_type_of(list) != HS_JV_ARR)
        return hs_err(a, 400, HS_M_BAD_JSON, "A list of objects with '%s' and '%s' is expected", x, y);
    HS_TRY(hs_alloc(a, n + 1, &xs));
    HS_TRY(hs_alloc(a, n + 1, &ys));
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it); i++) {
        hs_jv vx = hs_jv_get(it.value, hs_str_c(x)), vy = hs_jv_get(it.value, hs_str_c(y));
        if (!hs_jv_is(vx) || !hs_jv_is(vy))
            return hs_err(a, 400, HS_M_MISSING_PARAM, "Missing params: ['%s']", hs_jv_is(vx) ? y : x);
        xs[i] = hs_jv_str_or_null(vx);
        ys[i] = hs_jv_str_or_null(vy);
        if (!is_text(xs[i]) || !is_text(ys[i]))
            return hs_err(a, 400, HS_M_BAD_JSON, "'%s' and '%s' must be strings", x, y);
        if (xs[i].n > ID_MAX || ys[i].n > ID_MAX) /* they are keys of an index */
            return hs_err(a, 400, HS_M_INVALID_PARAM, "'%s' and '%s' have at most %d bytes", x, y, ID_MAX);
    }
    *ret_x = (hs_strs){ xs, n };
    *ret_y = (hs_strs){ ys, n };
    return NULL;
}

static hs_error *canonical(hs_arena *a, hs_strs media, hs_str *addresses)
{
    for (size_t i = 0; i < media.n; i++)
        HS_TRY(hs_threepid_canonical(a, media.at[i], addresses[i], &addresses[i]));
    return NULL;
}

static hs_error *read_lists(hs_arena *a, hs_jv body, wish *w)
{
    hs_jv threepids = hs_jv_get(body, HS_S("threepids")), external_ids = hs_jv_get(body, HS_S("external_ids"));

    w->has_threepids = is_given(threepids);
    if (w->has_threepids) {
        HS_TRY(read_pairs(a, threepids, "medium", "address", &w->media, &w->addresses));
        HS_TRY(canonical(a, w->media, w->addresses.at));
    }
    w->has_external_ids = is_given(external_ids);
    if (w->has_external_ids)
        HS_TRY(read_pairs(a, external_ids, "auth_provider", "external_id", &w->providers, &w->external_ids));
    return NULL;
}

static hs_error *read_kind(const hs_config *c, hs_arena *a, hs_jv body, wish *w)
{
    hs_jv v = hs_jv_get(body, HS_S("user_type"));

    w->has_kind = hs_jv_is(v);
    if (!is_given(v))
        return NULL;
    if (!hs_jv_str(v, &w->kind) || (!hs_account_kind_known(c, w->kind)))
        return bad(a, HS_M_UNKNOWN, "Invalid user type");
    return NULL;
}

static hs_error *read_wish(const hs_config *c, hs_arena *a, hs_jv body, wish *ret)
{
    wish w = { .logout_devices = true };
    hs_jv v;

    w.displayname = hs_jv_get(body, HS_S("displayname"));
    w.avatar_url = hs_jv_get(body, HS_S("avatar_url"));
    if (is_given(w.displayname))
        HS_TRY(hs_profile_check(a, HS_S("displayname"), w.displayname));
    if (is_given(w.avatar_url))
        HS_TRY(hs_profile_check(a, HS_S("avatar_url"), w.avatar_url));
    HS_TRY(read_lists(a, body, &w));
    HS_TRY(read_kind(c, a, body, &w));
    HS_TRY(
        read_flag(a, body, "admin", HS_ACCOUNT_ADMIN, HS_M_BAD_JSON, "Param 'admin' must be a boolean, if given", &w));
    v = hs_jv_get(body, HS_S("password"));
    if (is_given(v) && (!hs_jv_str(v, &w.password) || w.password.n > HS_PASSWORD_MAX))
        return bad(a, HS_M_UNKNOWN, "Invalid password");
    v = hs_jv_get(body, HS_S("logout_devices"));
    if (hs_jv_is(v) && !hs_jv_bool(v, &w.logout_devices))
        return bad(a, HS_M_UNKNOWN, "'logout_devices' parameter is not of type boolean");
    HS_TRY(read_flag(a, body, "deactivated", HS_ACCOUNT_DEACTIVATED, HS_M_UNKNOWN,
                     "'deactivated' parameter is not of type boolean", &w));
    HS_TRY(
        read_flag(a, body, "locked", HS_ACCOUNT_LOCKED, HS_M_UNKNOWN, "'locked' parameter is not of type boolean", &w));
    if (w.set & HS_ACCOUNT_DEACTIVATED && w.set & HS_ACCOUNT_LOCKED)
        return bad(a, HS_M_UNKNOWN, "An user can't be deactivated and locked");
    *ret = w;
    return NULL;
}

/* ── doing it ── */

static hs_error *set_profile(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id, hs_str field,
                             hs_jv value)
{
    if (!hs_jv_is(value))
        return NULL;
    return is_given(value) ? hs_profile_set(srv, a, who, user_id, field, value)
                           : hs_profile_clear(srv, a, who, user_id, field);
}

static hs_error *set_identities(hs_server *srv, hs_arena *a, hs_nid user, const wish *w)
{
    bool taken = false;

    if (w->has_external_ids)
        HS_TRY(hs_store_external_ids_set(srv->db, a, user, w->providers, w->external_ids, &taken));
    if (taken)
        return hs_err(a, 409, HS_M_UNKNOWN, "External id is already in use.");
    if (w->has_threepids)
        HS_TRY(hs_store_threepids_set(srv->db, a, user, w->media, w->addresses, hs_loop_wall(srv->loop)));
    return NULL;
}

static hs_error *set_kind(hs_server *srv, hs_arena *a, hs_nid user, hs_str kind)
{
    hs_write *w;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_account_set_kind(w, user, kind));
    return hs_sessions_end(w, user, (hs_strs){ NULL, 0 });
}

static hs_error *change(hs_server *srv, const hs_session *who, hs_arena *a, const hs_session *target, const wish *w)
{
    unsigned changed = w->given & (w->set ^ target->flags);

    if (changed & HS_ACCOUNT_ADMIN && !(w->set & HS_ACCOUNT_ADMIN) && target->user == who->user)
        return bad(a, HS_M_UNKNOWN, "You may not demote yourself.");
    HS_TRY(set_identities(srv, a, target->user, w));
    HS_TRY(set_profile(srv, who, a, target->user_id, HS_S("displayname"), w->displayname));
    HS_TRY(set_profile(srv, who, a, target->user_id, HS_S("avatar_url"), w->avatar_url));
    if (w->password.p)
        HS_TRY(hs_admin_set_password(srv, who, a, target, w->password, w->logout_devices));
    if (w->has_kind)
        HS_TRY(set_kind(srv, a, target->user, w->kind));
    if (changed & HS_ACCOUNT_DEACTIVATED && !(w->set & HS_ACCOUNT_DEACTIVATED))
        HS_TRY(hs_admin_activate(srv, a, target));
    changed &= HS_ACCOUNT_ADMIN | HS_ACCOUNT_LOCKED;
    if (changed)
        HS_TRY(hs_admin_flags(srv, a, target->user, w->set & changed, ~w->set & changed));
    if (w->given & w->set & ~target->flags & HS_ACCOUNT_DEACTIVATED)
        return hs_admin_deactivate(srv, a, target, false);
    return NULL;
}

static hs_error *make(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id, hs_str localpart,
                      const wish *w)
{
    hs_account_new in = { .localpart = localpart,
                          .kind = w->kind,
                          .flags = HS_ACCOUNT_APPROVED | (w->set & HS_ACCOUNT_ADMIN) };
    hs_str name = hs_str_trim(hs_jv_str_or_null(w->displayname));
    hs_identity made;

    HS_TRY(hs_username_check(srv, a, localpart));
    if (w->password.p)
        HS_TRY(hs_password_hash(srv, a, w->password, &in.password_hash));
    if (name.n)
        in.displayname = name;
    HS_TRY(hs_account_create(srv, a, &in, &made));
    HS_TRY(set_identities(srv, a, made.user, w));
    return set_profile(srv, who, a, user_id, HS_S("avatar_url"), w->avatar_url);
}

hs_error *hs_admin_user_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id, hs_jv body,
                            bool *ret_new)
{
    hs_session target;
    wish w;
    hs_id id;

    hs_error *e =
        hs_admin_target(srv, a, user_id, "This endpoint can only be used with local users", "User not found", &target);
    if (e && e->status != 404)
        return e;
    HS_TRY(read_wish(srv->config, a, body, &w));
    *ret_new = e != NULL;
    if (!e)
        return change(srv, who, a, &target, &w);
    return hs_user_id_parse(user_id, &id) ? make(srv, who, a, user_id, id.local, &w) : e;
}
