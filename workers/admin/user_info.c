/* What users have and have done, for administrators. */
#include "runtime/http.h"
#include "server/admin_accounts.h"
#include "server/admin_users.h"
#include "server/devices.h"
#include "server/pushers.h"
#include "workers/admin/whois.h"

static hs_error *look_up(hs_req *q, const char *foreign, hs_session *ret)
{
    return hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), foreign, "User not found", ret);
}

/* GET /_synapse/admin/v1/whois/{userId}, GET /_matrix/client/v3/admin/whois/{userId}: one session for each device. */
hs_error *hs_admin_get_whois(hs_req *q, hs_res *r)
{
    hs_device_row *devices;
    hs_session target;
    size_t n;

    HS_TRY(look_up(q, "Can only whois a local user", &target));

    HS_TRY(hs_devices_list(q->srv, q->a, &target, &devices, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "user_id", target.user_id);
    hs_json_obj_at(j, "devices");
    hs_json_obj_at(j, "");
    hs_json_arr_at(j, "sessions");
    hs_json_obj(j);
    hs_json_arr_at(j, "connections");
    for (size_t i = 0; i < n; i++) {
        if (!devices[i].seen_ts)
            continue;
        hs_json_obj(j);
        hs_json_opt_str(j, "ip", devices[i].ip);
        hs_json_int(j, "last_seen", devices[i].seen_ts);
        hs_json_opt_str(j, "user_agent", devices[i].user_agent);
        hs_json_end(j);
    }
    for (size_t i = 0; i < 6; i++)
        hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/users/{userId}/joined_rooms */
static hs_error *get_joined_rooms(hs_req *q, hs_res *r)
{
    hs_strs rooms;

    HS_TRY(hs_admin_user_rooms(q->srv, q->a, hs_path_param(q, "userId"), &rooms));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "joined_rooms");
    for (size_t i = 0; i < rooms.n; i++)
        hs_json_v_str(j, rooms.at[i]);
    hs_json_end(j);
    hs_json_int(j, "total", (int64_t)rooms.n);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/users/{userId}/memberships */
static hs_error *get_memberships(hs_req *q, hs_res *r)
{
    hs_admin_membership *rows;
    size_t n;

    HS_TRY(hs_admin_user_memberships(q->srv, q->a, hs_path_param(q, "userId"), &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_obj_at(j, "memberships");
    for (size_t i = 0; i < n; i++) {
        hs_json_key(j, rows[i].room_id);
        hs_json_v_str(j, rows[i].membership);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/users/{userId}/pushers */
static hs_error *get_pushers(hs_req *q, hs_res *r)
{
    hs_pusher_row *rows;
    hs_session target;
    size_t n;

    HS_TRY(look_up(q, "Can only look up local users", &target));

    HS_TRY(hs_pushers_list(q->srv, q->a, target.user, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_pushers_write(j, rows, n, true);
    hs_json_int(j, "total", (int64_t)n);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v1/users/{userId}/accountdata */
static hs_error *get_account_data(hs_req *q, hs_res *r)
{
    hs_admin_account_data *rows;
    hs_session target;
    size_t n, i = 0;

    HS_TRY(look_up(q, "Can only look up local users", &target));

    HS_TRY(hs_admin_user_account_data(q->srv, q->a, &target, &rows, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_obj_at(j, "account_data");
    hs_json_obj_at(j, "global");
    for (; i < n && !rows[i].room_id.p; i++) {
        hs_json_key(j, rows[i].type);
        hs_json_v_raw(j, rows[i].content);
    }
    hs_json_end(j);
    hs_json_obj_at(j, "rooms");
    for (size_t first = i; i < n; i++) {
        if (i == first || !hs_str_eq(rows[i].room_id, rows[i - 1].room_id)) {
            if (i != first)
                hs_json_end(j);
            hs_json_key(j, rows[i].room_id);
            hs_json_obj(j);
        }
        hs_json_key(j, rows[i].type);
        hs_json_v_raw(j, rows[i].content);
        if (i + 1 == n)
            hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

static hs_error *read_counts(hs_req *q, int64_t *ret_invites, int64_t *ret_rooms)
{
    int64_t from_ts;
    bool has;

    HS_TRY(hs_query_i64(q, "from_ts", &has, &from_ts));
    if (!has)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required integer query parameter 'from_ts'");
    return hs_admin_counts(q->srv, q->a, hs_path_param(q, "userId"), from_ts, ret_invites, ret_rooms);
}

static void show_count(hs_res *r, const char *name, int64_t n)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_int(j, name, n);
    hs_json_end(j);
}

/* GET /_synapse/admin/v1/users/{userId}/sent_invite_count */
static hs_error *get_invite_count(hs_req *q, hs_res *r)
{
    int64_t invites, rooms;

    HS_TRY(read_counts(q, &invites, &rooms));
    show_count(r, "invite_count", invites);
    return NULL;
}

/* GET /_synapse/admin/v1/users/{userId}/cumulative_joined_room_count */
static hs_error *get_room_count(hs_req *q, hs_res *r)
{
    int64_t invites, rooms;

    HS_TRY(read_counts(q, &invites, &rooms));
    show_count(r, "cumulative_joined_room_count", rooms);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_user_info[] = {
    { HS_GET, "v1", "/whois/{userId}", hs_admin_get_whois, .who = HS_AUTH_ADMIN, .servlet = "WhoisRestServlet" },
    { HS_GET, "v1", "/users/{userId}/joined_rooms", get_joined_rooms, .who = HS_AUTH_ADMIN, .servlet = "UserJoinedRoomsRestServlet" },
    { HS_GET, "v1", "/users/{userId}/memberships", get_memberships, .who = HS_AUTH_ADMIN, .servlet = "UserMembershipsRestServlet" },
    { HS_GET, "v1", "/users/{userId}/accountdata", get_account_data, .who = HS_AUTH_ADMIN, .servlet = "AccountDataRestServlet" },
    { HS_GET, "v1", "/users/{userId}/pushers", get_pushers, .who = HS_AUTH_ADMIN, .servlet = "PushersRestServlet" },
    { HS_GET, "v1", "/users/{userId}/sent_invite_count", get_invite_count, .who = HS_AUTH_ADMIN, .servlet = "UserInvitesCount" },
    { HS_GET, "v1", "/users/{userId}/cumulative_joined_room_count", get_room_count, .who = HS_AUTH_ADMIN, .servlet = "UserJoinedRoomCount" },
    { 0 },
};
/* clang-format on */
