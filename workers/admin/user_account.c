/* What administrators do to accounts. */
#include "runtime/http.h"
#include "server/admin_accounts.h"
#include "server/admin_users.h"
#include "server/password.h"

/* {"admin": …} and the like: a boolean that must be there. */
static hs_error *read_bool(hs_req *q, const char *name, const char *text, bool *ret)
{
    hs_jv body, v;

    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, hs_str_c(name));
    if (!hs_jv_is(v))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['%s']", name);
    return hs_jv_bool(v, ret) ? NULL : hs_err(q->a, 400, HS_M_BAD_JSON, "%s", text);
}

/* ── flags ── */

static hs_error *admin_target(hs_req *q, hs_session *ret)
{
    return hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"),
                           "Only local users can be admins of this homeserver", "User not found", ret);
}

/* GET /_synapse/admin/v1/users/{userId}/admin */
static hs_error *get_admin(hs_req *q, hs_res *r)
{
    hs_session target;

    HS_TRY(admin_target(q, &target));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "admin", target.flags & HS_ACCOUNT_ADMIN);
    hs_json_end(j);
    return NULL;
}

/* PUT /_synapse/admin/v1/users/{userId}/admin */
static hs_error *put_admin(hs_req *q, hs_res *r)
{
    hs_session target;
    bool admin;

    HS_TRY(read_bool(q, "admin", "Param 'admin' must be a boolean", &admin));
    HS_TRY(admin_target(q, &target));

    HS_TRY(hs_admin_set_admin(q->srv, q->who, q->a, &target, admin));

    hs_res_empty(r);
    return NULL;
}

/* PUT /_synapse/admin/v1/suspend/{targetUserId} */
static hs_error *put_suspend(hs_req *q, hs_res *r)
{
    hs_session target;
    bool suspend;
    hs_str name;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "targetUserId"), "Can only suspend local users",
                           "User not found", &target));
    HS_TRY(read_bool(q, "suspend", "Param 'suspend' must be a boolean", &suspend));

    HS_TRY(hs_admin_flags(q->srv, q->a, target.user, suspend ? HS_ACCOUNT_SUSPENDED : 0,
                          suspend ? 0 : HS_ACCOUNT_SUSPENDED));

    hs_json_out *j = hs_res_json(r, 200);
    HS_TRY(hs_str_cat(q->a, &name, 3, HS_S("user_"), target.user_id, HS_S("_suspended")));
    hs_json_obj(j);
    hs_json_key(j, name);
    hs_json_v_bool(j, suspend);
    hs_json_end(j);
    return NULL;
}

static hs_error *shadow_ban(hs_req *q, hs_res *r, bool banned)
{
    hs_session target;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "Only local users can be shadow-banned",
                           "User not found", &target));

    HS_TRY(hs_admin_flags(q->srv, q->a, target.user, banned ? HS_ACCOUNT_SHADOW_BANNED : 0,
                          banned ? 0 : HS_ACCOUNT_SHADOW_BANNED));

    hs_res_empty(r);
    return NULL;
}

/* POST /_synapse/admin/v1/users/{userId}/shadow_ban */
static hs_error *post_shadow_ban(hs_req *q, hs_res *r)
{
    return shadow_ban(q, r, true);
}

/* DELETE /_synapse/admin/v1/users/{userId}/shadow_ban */
static hs_error *delete_shadow_ban(hs_req *q, hs_res *r)
{
    return shadow_ban(q, r, false);
}

/* ── the account ── */

/* POST /_synapse/admin/v1/deactivate/{targetUserId} */
static hs_error *post_deactivate(hs_req *q, hs_res *r)
{
    hs_session target;
    bool erase = false;
    hs_jv body, v;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "targetUserId"), "Can only deactivate local users",
                           "User not found", &target));
    HS_TRY(hs_req_object_or_empty(q, &body));
    v = hs_jv_get(body, HS_S("erase"));
    if (hs_jv_is(v) && !hs_jv_bool(v, &erase))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "Param 'erase' must be a boolean, if given");

    HS_TRY(hs_admin_deactivate(q->srv, q->a, &target, erase));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "id_server_unbind_result", HS_S("success")); /* nothing is bound anywhere */
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v1/reset_password/{targetUserId} */
static hs_error *post_reset_password(hs_req *q, hs_res *r)
{
    bool logout = true;
    hs_session target;
    hs_str password;
    hs_jv body, v;

    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, HS_S("new_password"));
    if (!hs_jv_is(v))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['new_password']");
    if (!hs_jv_str(v, &password) || password.n > HS_PASSWORD_MAX)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Invalid new_password");
    v = hs_jv_get(body, HS_S("logout_devices"));
    if (hs_jv_is(v) && !hs_jv_bool(v, &logout))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "logout_devices must be true or false");
    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "targetUserId"),
                           "This endpoint can only be used with local users", "User not found", &target));

    HS_TRY(hs_admin_set_password(q->srv, q->who, q->a, &target, password, logout));

    hs_res_empty(r);
    return NULL;
}

/* POST /_synapse/admin/v1/users/{userId}/login */
static hs_error *post_login(hs_req *q, hs_res *r)
{
    int64_t until = 0;
    hs_session target;
    hs_str token;
    hs_jv body, v;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "Only local users can be logged in as",
                           "User not found", &target));
    HS_TRY(hs_req_object_or_empty(q, &body));
    v = hs_jv_get(body, HS_S("valid_until_ms"));
    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL && (!hs_jv_int(v, &until) || until < 1))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "'valid_until_ms' parameter must be an int");

    HS_TRY(hs_admin_login_as(q->srv, q->who, q->a, &target, until, &token));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "access_token", token);
    hs_json_end(j);
    return NULL;
}

/* ── limits ── */

static void show_ratelimit(hs_res *r, int32_t per_second, int32_t burst)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    if (per_second >= 0 || burst >= 0) {
        hs_json_int(j, "messages_per_second", per_second > 0 ? per_second : 0);
        hs_json_int(j, "burst_count", burst > 0 ? burst : 0);
    }
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/users/{userId}/override_ratelimit */
static hs_error *get_ratelimit(hs_req *q, hs_res *r)
{
    int32_t per_second, burst;
    hs_session target;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "Can only look up local users", "User not found",
                           &target));

    HS_TRY(hs_admin_ratelimit(q->srv, q->a, target.user, &per_second, &burst));

    show_ratelimit(r, per_second, burst);
    return NULL;
}

/* A whole number that is not negative; absent is 0. */
static hs_error *read_limit(hs_req *q, hs_jv body, const char *name, int32_t *ret)
{
    hs_jv v = hs_jv_get(body, hs_str_c(name));
    int64_t n = 0;

    if (hs_jv_is(v) && (!hs_jv_int(v, &n) || n < 0 || n > INT32_MAX))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "%.*s parameter must be a positive int", HS_FMT(hs_jv_raw(v)));
    *ret = (int32_t)n;
    return NULL;
}

static hs_error *limited(hs_req *q, hs_session *ret)
{
    return hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), "Only local users can be ratelimited",
                           "User not found", ret);
}

/* POST /_synapse/admin/v1/users/{userId}/override_ratelimit */
static hs_error *post_ratelimit(hs_req *q, hs_res *r)
{
    int32_t per_second, burst;
    hs_session target;
    hs_jv body;

    HS_TRY(limited(q, &target));
    HS_TRY(hs_req_object_or_empty(q, &body));
    HS_TRY(read_limit(q, body, "messages_per_second", &per_second));
    HS_TRY(read_limit(q, body, "burst_count", &burst));

    HS_TRY(hs_admin_ratelimit_set(q->srv, q->a, target.user, per_second, burst));

    show_ratelimit(r, per_second, burst);
    return NULL;
}

/* DELETE /_synapse/admin/v1/users/{userId}/override_ratelimit */
static hs_error *delete_ratelimit(hs_req *q, hs_res *r)
{
    hs_session target;

    HS_TRY(limited(q, &target));

    HS_TRY(hs_admin_ratelimit_set(q->srv, q->a, target.user, -1, -1));

    hs_res_empty(r);
    return NULL;
}

/* ── experimental features ── */

static const char *const FEATURES[] = { "msc3881", "msc3575", "msc4222" };
enum { FEATURES_N = sizeof FEATURES / sizeof *FEATURES };

/* GET /_synapse/admin/v1/experimental_features/{userId} */
static hs_error *get_features(hs_req *q, hs_res *r)
{
    hs_session target;
    hs_strs on;

    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"),
                           "User must be local to check what experimental features are enabled.", "User not found",
                           &target));

    HS_TRY(hs_admin_features(q->srv, q->a, target.user, &on));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_obj_at(j, "features");
    for (size_t i = 0; i < FEATURES_N; i++) {
        bool is_on = false;
        for (size_t k = 0; k < on.n; k++)
            is_on = is_on || hs_str_eq(on.at[k], hs_str_c(FEATURES[i]));
        hs_json_bool(j, FEATURES[i], is_on);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

static bool is_feature(hs_str name)
{
    for (size_t i = 0; i < FEATURES_N; i++)
        if (hs_str_eq(name, hs_str_c(FEATURES[i])))
            return true;
    return false;
}

/* PUT /_synapse/admin/v1/experimental_features/{userId} */
static hs_error *put_features(hs_req *q, hs_res *r)
{
    hs_str on[FEATURES_N], off[FEATURES_N];
    size_t on_n = 0, off_n = 0;
    hs_session target;
    hs_jv body, list;
    bool set;

    HS_TRY(hs_req_object(q, &body));
    HS_TRY(hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"),
                           "User must be local to enable experimental features.", "User not found", &target));
    list = hs_jv_get(body, HS_S("features"));
    if (hs_jv_type_of(list) != HS_JV_OBJ || !hs_jv_count(list))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "You must provide features to set.");
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        if (!is_feature(it.key))
            return hs_err(q->a, 400, HS_M_UNKNOWN, "'%.*s' is not recognised as a valid experimental feature.",
                          HS_FMT(it.key));
        if (!hs_jv_bool(it.value, &set))
            return hs_err(q->a, 400, HS_M_BAD_JSON, "A feature is true or false");
        if (set)
            on[on_n++] = it.key;
        else
            off[off_n++] = it.key;
    }

    HS_TRY(hs_admin_features_set(q->srv, q->a, target.user, (hs_strs){ on, on_n }, (hs_strs){ off, off_n }));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_user_account[] = {
    { HS_GET, "v1", "/users/{userId}/admin", get_admin, .who = HS_AUTH_ADMIN, .servlet = "UserAdminServlet" },
    { HS_PUT, "v1", "/users/{userId}/admin", put_admin, .who = HS_AUTH_ADMIN, .servlet = "UserAdminServlet" },
    { HS_PUT, "v1", "/suspend/{targetUserId}", put_suspend, .who = HS_AUTH_ADMIN, .servlet = "SuspendAccountRestServlet" },
    { HS_POST, "v1", "/users/{userId}/shadow_ban", post_shadow_ban, .who = HS_AUTH_ADMIN, .servlet = "ShadowBanRestServlet" },
    { HS_DELETE, "v1", "/users/{userId}/shadow_ban", delete_shadow_ban, .who = HS_AUTH_ADMIN, .servlet = "ShadowBanRestServlet" },
    { HS_POST, "v1", "/deactivate/{targetUserId}", post_deactivate, .who = HS_AUTH_ADMIN, .servlet = "DeactivateAccountRestServlet" },
    { HS_POST, "v1", "/reset_password/{targetUserId}", post_reset_password, .who = HS_AUTH_ADMIN, .servlet = "ResetPasswordRestServlet" },
    { HS_POST, "v1", "/users/{userId}/login", post_login, .who = HS_AUTH_ADMIN, .servlet = "UserTokenRestServlet" },
    { HS_GET, "v1", "/users/{userId}/override_ratelimit", get_ratelimit, .who = HS_AUTH_ADMIN, .servlet = "RateLimitRestServlet" },
    { HS_POST, "v1", "/users/{userId}/override_ratelimit", post_ratelimit, .who = HS_AUTH_ADMIN, .servlet = "RateLimitRestServlet" },
    { HS_DELETE, "v1", "/users/{userId}/override_ratelimit", delete_ratelimit, .who = HS_AUTH_ADMIN, .servlet = "RateLimitRestServlet" },
    { HS_GET, "v1", "/experimental_features/{userId}", get_features, .who = HS_AUTH_ADMIN, .servlet = "ExperimentalFeaturesRestServlet" },
    { HS_PUT, "v1", "/experimental_features/{userId}", put_features, .who = HS_AUTH_ADMIN, .servlet = "ExperimentalFeaturesRestServlet" },
    { 0 },
};
/* clang-format on */
