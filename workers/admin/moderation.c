/* The specification's own endpoints for administrators. Spec: Client-Server API, "Server Administration". */
#include "runtime/http.h"
#include "server/admin_accounts.h"
#include "server/admin_users.h"
#include "workers/admin/whois.h"

/* Somebody whose flag may be looked at and set: not oneself, no other administrator, nobody who is gone. */
static hs_error *look_up(hs_req *q, bool change, hs_session *ret)
{
    hs_error *e = hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "User does not belong to the local server.",
                                  "User not found.", ret);

    if (e && e->status == 400)
        e->code = HS_M_INVALID_PARAM;
    HS_TRY(e);
    if (ret->flags & HS_ACCOUNT_DEACTIVATED)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "User not found.");
    if (change && ret->user == q->who->user)
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "One cannot do this to one's own account");
    if (ret->flags & HS_ACCOUNT_ADMIN && ret->user != q->who->user)
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "The user is an administrator");
    return NULL;
}

static void show(hs_res *r, const char *name, bool on)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_bool(j, name, on);
    hs_json_end(j);
}

static hs_error *get_flag(hs_req *q, hs_res *r, const char *name, unsigned flag)
{
    hs_session target;

    HS_TRY(look_up(q, false, &target));
    show(r, name, target.flags & flag);
    return NULL;
}

static hs_error *put_flag(hs_req *q, hs_res *r, const char *name, unsigned flag)
{
    hs_session target;
    hs_jv body, v;
    bool on;

    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, hs_str_c(name));
    if (!hs_jv_is(v))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['%s']", name);
    if (!hs_jv_bool(v, &on))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param '%s' must be a boolean", name);
    HS_TRY(look_up(q, true, &target));

    HS_TRY(hs_admin_flags(q->srv, q->a, target.user, on ? flag : 0, on ? 0 : flag));

    show(r, name, on);
    return NULL;
}

/* GET …/admin/suspend/{userId} */
static hs_error *get_suspend(hs_req *q, hs_res *r)
{
    return get_flag(q, r, "suspended", HS_ACCOUNT_SUSPENDED);
}

/* PUT …/admin/suspend/{userId} */
static hs_error *put_suspend(hs_req *q, hs_res *r)
{
    return put_flag(q, r, "suspended", HS_ACCOUNT_SUSPENDED);
}

/* GET …/admin/lock/{userId} */
static hs_error *get_lock(hs_req *q, hs_res *r)
{
    return get_flag(q, r, "locked", HS_ACCOUNT_LOCKED);
}

/* PUT …/admin/lock/{userId} */
static hs_error *put_lock(hs_req *q, hs_res *r)
{
    return put_flag(q, r, "locked", HS_ACCOUNT_LOCKED);
}

/* GET …/admin/whois/{userId}: of oneself anybody may ask. */
static hs_error *get_whois(hs_req *q, hs_res *r)
{
    if (!(q->who->flags & HS_ACCOUNT_ADMIN) && !hs_str_eq(hs_path_param(q, "userId"), q->who->user_id))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "You are not a server admin");
    return hs_admin_get_whois(q, r);
}

/* clang-format off */
const hs_route hs_routes_admin_moderation[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/admin/whois/{userId}", get_whois, .who = HS_AUTH_USER, .servlet = "WhoisRestServlet" },
    { HS_GET, "v1", "/admin/suspend/{userId}", get_suspend, .who = HS_AUTH_ADMIN, .servlet = "SuspendAccountRestServlet" },
    { HS_PUT, "v1", "/admin/suspend/{userId}", put_suspend, .who = HS_AUTH_ADMIN, .servlet = "SuspendAccountRestServlet" },
    { HS_GET, "v1", "/admin/lock/{userId}", get_lock, .who = HS_AUTH_ADMIN, .servlet = "LockAccountRestServlet" },
    { HS_PUT, "v1", "/admin/lock/{userId}", put_lock, .who = HS_AUTH_ADMIN, .servlet = "LockAccountRestServlet" },
    { 0 },
};
/* clang-format on */
