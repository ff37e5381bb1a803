/* Users, for administrators: lists, details, making and changing them, finding them by what else they are known by. */
#include "runtime/http.h"
#include "server/admin_users.h"
#include "server/register.h"
#include "workers/admin/list.h"

/* ── lists ── */

static const hs_admin_order ORDERS[] = {
    { "name", HS_USER_ORDER_NAME, 0, false },
    { "displayname", HS_USER_ORDER_DISPLAYNAME, 0, false },
    { "is_guest", HS_USER_ORDER_FLAG, HS_ACCOUNT_GUEST, false },
    { "admin", HS_USER_ORDER_FLAG, HS_ACCOUNT_ADMIN, false },
    { "deactivated", HS_USER_ORDER_FLAG, HS_ACCOUNT_DEACTIVATED, false },
    { "user_type", HS_USER_ORDER_KIND, 0, false },
    { "avatar_url", HS_USER_ORDER_AVATAR, 0, false },
    { "shadow_banned", HS_USER_ORDER_FLAG, HS_ACCOUNT_SHADOW_BANNED, false },
    { "creation_ts", HS_USER_ORDER_CREATED, 0, false },
    { "last_seen_ts", HS_USER_ORDER_SEEN, 0, false },
    { "locked", HS_USER_ORDER_FLAG, HS_ACCOUNT_LOCKED, false },
    { 0 },
};

static void need(hs_user_list_query *in, unsigned flag, bool on)
{
    if (on)
        in->with |= flag;
    else
        in->without |= flag;
}

/* guests: are shown unless false; locked: only when true; admins: both unless said. */
static hs_error *read_flags(hs_req *q, bool v3, hs_user_list_query *in)
{
    bool guests = true, locked = false, admins = false, deactivated = false;

    HS_TRY(hs_query_bool(q, "guests", &guests));
    HS_TRY(hs_query_bool(q, "deactivated", &deactivated));
    HS_TRY(hs_query_bool(q, "locked", &locked));
    HS_TRY(hs_query_bool(q, "admins", &admins));
    if (!guests)
        need(in, HS_ACCOUNT_GUEST, false);
    if (!locked)
        need(in, HS_ACCOUNT_LOCKED, false);
    if (hs_query(q, "admins").p)
        need(in, HS_ACCOUNT_ADMIN, admins);
    if (v3 ? hs_query(q, "deactivated").p != NULL : !deactivated)
        need(in, HS_ACCOUNT_DEACTIVATED, deactivated);
    return NULL;
}

/* Each not_user_type; an empty one stands for those without a type. */
static hs_error *read_kinds(hs_req *q, hs_user_list_query *in)
{
    hs_str *kinds;
    size_t n = 0;

    HS_TRY(hs_alloc(q->a, q->query_n + 1, &kinds));
    for (size_t i = 0; i < q->query_n; i++) {
        if (!hs_str_eq(q->query[i].name, HS_S("not_user_type")))
            continue;
        HS_TRY(hs_admin_query_text(q, "not_user_type", q->query[i].value));
        if (q->query[i].value.n)
            kinds[n++] = q->query[i].value;
        else
            in->needs_kind = true;
    }
    in->not_kinds = (hs_strs){ kinds, n };
    return NULL;
}

static void show_listed(hs_json_out *j, const void *row)
{
    const hs_listed_user *u = row;

    hs_json_obj(j);
    hs_json_str(j, "name", u->user_id);
    hs_json_str_or_null(j, "user_type", u->kind);
    hs_json_bool(j, "is_guest", u->flags & HS_ACCOUNT_GUEST);
    hs_json_bool(j, "admin", u->flags & HS_ACCOUNT_ADMIN);
    hs_json_bool(j, "deactivated", u->flags & HS_ACCOUNT_DEACTIVATED);
    hs_json_bool(j, "shadow_banned", u->flags & HS_ACCOUNT_SHADOW_BANNED);
    hs_json_str_or_null(j, "displayname", u->displayname);
    hs_json_str_or_null(j, "avatar_url", u->avatar_url);
    hs_json_int(j, "creation_ts", u->created_ts);
    hs_json_bool(j, "erased", u->flags & HS_ACCOUNT_ERASED);
    hs_json_int_or_null(j, "last_seen_ts", u->seen_ts);
    hs_json_bool(j, "locked", u->flags & HS_ACCOUNT_LOCKED);
    hs_json_end(j);
}

static hs_error *read_list(hs_req *q, bool v3, hs_user_list_query *in, hs_admin_page *page)
{
    HS_TRY(hs_admin_page_read(q, page));
    HS_TRY(hs_admin_query_text(q, "name", in->name));
    HS_TRY(hs_admin_query_text(q, "user_id", in->user_id));
    if (in->name.n)
        in->user_id = (hs_str){ NULL, 0 };
    else
        in->name = (hs_str){ NULL, 0 };
    HS_TRY(read_flags(q, v3, in));
    HS_TRY(read_kinds(q, in));
    HS_TRY(hs_admin_page_order(q, ORDERS, "name", page));
    in->from = page->from;
    in->limit = page->limit;
    in->order = (hs_user_order)page->order->order;
    in->flag = page->order->flag;
    in->descending = page->descending;
    return NULL;
}

static hs_error *list(hs_req *q, hs_res *r, bool v3)
{
    hs_user_list_query in = { .name = hs_query(q, "name"), .user_id = hs_query(q, "user_id") };
    hs_listed_user *users;
    hs_admin_page page;
    int64_t total;
    hs_str next;
    size_t n;

    HS_TRY(read_list(q, v3, &in, &page));

    HS_TRY(hs_admin_users(q->srv, q->a, &in, &users, &n, &total));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_admin_rows(j, "users", users, sizeof *users, n, show_listed);
    hs_json_int(j, "total", total);
    if (hs_admin_page_more(&page, total)) { /* a string, in this list only */
        HS_TRY(hs_str_fmt(q->a, &next, "%lld", (long long)(page.from + (int64_t)n)));
        hs_json_str(j, "next_token", next);
    }
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v2/users */
static hs_error *get_users(hs_req *q, hs_res *r)
{
    return list(q, r, false);
}

/* GET /_synapse/admin/v3/users */
static hs_error *get_users_v3(hs_req *q, hs_res *r)
{
    return list(q, r, true);
}

/* ── one ── */

static void show_identities(hs_json_out *j, const hs_admin_user_view *v)
{
    hs_json_arr_at(j, "threepids");
    for (size_t i = 0; i < v->threepids_n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "medium", v->threepids[i].medium);
        hs_json_str(j, "address", v->threepids[i].address);
        hs_json_int(j, "validated_at", v->threepids[i].validated_ts);
        hs_json_int(j, "added_at", v->threepids[i].added_ts);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_arr_at(j, "external_ids");
    for (size_t i = 0; i < v->external_ids_n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "auth_provider", v->external_ids[i].provider);
        hs_json_str(j, "external_id", v->external_ids[i].id);
        hs_json_end(j);
    }
    hs_json_end(j);
}

static hs_error *show_user(hs_req *q, hs_res *r, hs_str user_id, int status)
{
    hs_admin_user_view v;

    HS_TRY(hs_admin_user(q->srv, q->a, user_id, &v));

    const hs_listed_user *u = &v.details.row;
    hs_json_out *j = hs_res_json(r, status);
    hs_json_obj(j);
    hs_json_str(j, "name", u->user_id);
    hs_json_bool(j, "admin", u->flags & HS_ACCOUNT_ADMIN);
    hs_json_bool(j, "deactivated", u->flags & HS_ACCOUNT_DEACTIVATED);
    hs_json_bool(j, "locked", u->flags & HS_ACCOUNT_LOCKED);
    hs_json_bool(j, "shadow_banned", u->flags & HS_ACCOUNT_SHADOW_BANNED);
    hs_json_int(j, "creation_ts", u->created_ts / 1000);
    hs_json_str_or_null(j, "appservice_id", v.details.appservice_id);
    hs_json_null(j, "consent_server_notice_sent");
    hs_json_str_or_null(j, "consent_version", v.details.consent_version);
    hs_json_int_or_null(j, "consent_ts", v.details.consent_ts);
    hs_json_str_or_null(j, "user_type", u->kind);
    hs_json_bool(j, "is_guest", u->flags & HS_ACCOUNT_GUEST);
    hs_json_bool(j, "suspended", u->flags & HS_ACCOUNT_SUSPENDED);
    hs_json_str_or_null(j, "displayname", u->displayname);
    hs_json_str_or_null(j, "avatar_url", u->avatar_url);
    show_identities(j, &v);
    hs_json_bool(j, "erased", u->flags & HS_ACCOUNT_ERASED);
    hs_json_int_or_null(j, "last_seen_ts", u->seen_ts);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v2/users/{userId} */
static hs_error *get_user(hs_req *q, hs_res *r)
{
    hs_str user_id = hs_path_param(q, "userId");
    hs_session target;

    HS_TRY(hs_admin_target(q->srv, q->a, user_id, "Can only look up local users", "User not found", &target));
    return show_user(q, r, user_id, 200);
}

/* PUT /_synapse/admin/v2/users/{userId} */
static hs_error *put_user(hs_req *q, hs_res *r)
{
    hs_str user_id = hs_path_param(q, "userId");
    bool is_new;
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_admin_user_put(q->srv, q->who, q->a, user_id, body, &is_new));

    return show_user(q, r, user_id, is_new ? 201 : 200);
}

/* ── finding ── */

static void show_found(hs_res *r, hs_str user_id)
{
    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "user_id", user_id);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/auth_providers/{provider}/users/{externalId} */
static hs_error *get_by_external_id(hs_req *q, hs_res *r)
{
    hs_str provider = hs_path_param(q, "provider"), id = hs_path_param(q, "externalId"), user_id;

    HS_TRY(hs_admin_query_text(q, "provider", provider));
    HS_TRY(hs_admin_query_text(q, "externalId", id));

    HS_TRY(hs_admin_user_by_external_id(q->srv, q->a, provider, id, &user_id));

    show_found(r, user_id);
    return NULL;
}

/* GET /_synapse/admin/v1/threepid/{medium}/users/{address} */
static hs_error *get_by_threepid(hs_req *q, hs_res *r)
{
    hs_str medium = hs_path_param(q, "medium"), address = hs_path_param(q, "address"), user_id;

    HS_TRY(hs_admin_query_text(q, "medium", medium));
    HS_TRY(hs_admin_query_text(q, "address", address));

    HS_TRY(hs_admin_user_by_threepid(q->srv, q->a, medium, address, &user_id));

    show_found(r, user_id);
    return NULL;
}

static void show_match(hs_json_out *j, const hs_listed_user *u)
{
    hs_json_obj(j);
    hs_json_str(j, "name", u->user_id);
    hs_json_null(j, "password_hash"); /* is shown to nobody */
    hs_json_bool(j, "is_guest", u->flags & HS_ACCOUNT_GUEST);
    hs_json_bool(j, "admin", u->flags & HS_ACCOUNT_ADMIN);
    hs_json_str_or_null(j, "user_type", u->kind);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/search_users/{targetUserId}: whose id is in the path does not matter, as long as it is ours */
static hs_error *get_search_users(hs_req *q, hs_res *r)
{
    hs_user_list_query in = { .user_id = hs_query(q, "term"), .limit = INT64_MAX };
    hs_listed_user *users;
    int64_t total;
    size_t n;

    HS_TRY(hs_admin_local(q->srv, q->a, hs_path_param(q, "targetUserId"), "Can only users a local user"));
    if (!in.user_id.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing string query parameter 'term'");
    HS_TRY(hs_admin_query_text(q, "term", in.user_id));

    HS_TRY(hs_admin_users(q->srv, q->a, &in, &users, &n, &total));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_arr(j);
    for (size_t i = 0; i < n; i++)
        show_match(j, &users[i]);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/username_available */
static hs_error *get_username_available(hs_req *q, hs_res *r)
{
    hs_str username = hs_query(q, "username");

    if (!username.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter 'username'");

    HS_TRY(hs_username_check(q->srv, q->a, username));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_bool(j, "available", true);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_users[] = {
    { HS_GET, "v2", "/users", get_users, .who = HS_AUTH_ADMIN, .servlet = "UsersRestServletV2" },
    { HS_GET, "v3", "/users", get_users_v3, .who = HS_AUTH_ADMIN, .servlet = "UsersRestServletV3" },
    { HS_GET, "v2", "/users/{userId}", get_user, .who = HS_AUTH_ADMIN, .servlet = "UserRestServletV2" },
    { HS_PUT, "v2", "/users/{userId}", put_user, .who = HS_AUTH_ADMIN, .servlet = "UserRestServletV2" },
    { HS_GET, "v1", "/auth_providers/{provider}/users/{externalId}", get_by_external_id, .who = HS_AUTH_ADMIN, .servlet = "UserByExternalId" },
    { HS_GET, "v1", "/threepid/{medium}/users/{address}", get_by_threepid, .who = HS_AUTH_ADMIN, .servlet = "UserByThreePid" },
    { HS_GET, "v1", "/search_users/{targetUserId}", get_search_users, .who = HS_AUTH_ADMIN, .servlet = "SearchUsersRestServlet" },
    { HS_GET, "v1", "/username_available", get_username_available, .who = HS_AUTH_ADMIN, .servlet = "UsernameAvailableRestServlet" },
    { 0 },
};
/* clang-format on */
