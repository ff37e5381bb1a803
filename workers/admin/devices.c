/* Devices of users, for administrators. */
#include "server/devices.h"
#include "runtime/http.h"
#include "server/admin_accounts.h"
#include "server/admin_users.h"

static hs_error *look_up(hs_req *q, const char *foreign, hs_session *ret)
{
    return hs_admin_target(q->srv, q->a, hs_path_param(q, "userId"), foreign, "Unknown user", ret);
}

static void show_device(hs_json_out *j, const hs_session *target, const hs_device_row *d)
{
    hs_json_obj(j);
    hs_json_str(j, "device_id", d->device_id);
    hs_json_str(j, "user_id", target->user_id);
    hs_json_str_or_null(j, "display_name", d->display_name);
    hs_json_str_or_null(j, "last_seen_ip", d->ip);
    hs_json_str_or_null(j, "last_seen_user_agent", d->user_agent);
    hs_json_int_or_null(j, "last_seen_ts", d->seen_ts);
    hs_json_end(j);
}

/* GET /_synapse/admin/v2/users/{userId}/devices */
static hs_error *get_devices(hs_req *q, hs_res *r)
{
    hs_device_row *devices;
    hs_session target;
    size_t n;

    HS_TRY(look_up(q, "Can only lookup local users", &target));

    HS_TRY(hs_devices_list(q->srv, q->a, &target, &devices, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "devices");
    for (size_t i = 0; i < n; i++)
        show_device(j, &target, &devices[i]);
    hs_json_end(j);
    hs_json_int(j, "total", (int64_t)n);
    hs_json_end(j);
    return NULL;
}

/* POST /_synapse/admin/v2/users/{userId}/devices */
static hs_error *post_device(hs_req *q, hs_res *r)
{
    hs_session target;
    hs_str device_id = { NULL, 0 };
    hs_jv body, v;

    HS_TRY(look_up(q, "Can only create devices for local users", &target));
    HS_TRY(hs_req_object(q, &body));
    v = hs_jv_get(body, HS_S("device_id"));
    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL && !hs_jv_str(v, &device_id))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "device_id must be a string");
    if (!device_id.n || memchr(device_id.p, 0, device_id.n))
        return hs_err(q->a, 400, HS_M_UNKNOWN, "Missing device_id");

    HS_TRY(hs_admin_device_add(q->srv, q->a, &target, device_id));

    hs_json_out *j = hs_res_json(r, 201);
    hs_json_obj(j);
    hs_json_end(j);
    return NULL;
}

/* GET /_synapse/admin/v2/users/{userId}/devices/{deviceId} */
static hs_error *get_device(hs_req *q, hs_res *r)
{
    hs_device_row *device;
    hs_session target;

    HS_TRY(look_up(q, "Can only lookup local users", &target));

    HS_TRY(hs_device_get(q->srv, q->a, &target, hs_path_param(q, "deviceId"), &device));

    show_device(hs_res_json(r, 200), &target, device);
    return NULL;
}

/* PUT /_synapse/admin/v2/users/{userId}/devices/{deviceId} */
static hs_error *put_device(hs_req *q, hs_res *r)
{
    hs_str name = { NULL, 0 };
    hs_session target;
    hs_jv body, v;

    HS_TRY(look_up(q, "Can only lookup local users", &target));
    HS_TRY(hs_req_object_or_empty(q, &body));
    v = hs_jv_get(body, HS_S("display_name"));
    if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_NULL &&
        (!hs_jv_str(v, &name) || (name.n && memchr(name.p, 0, name.n))))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "display_name must be a string");

    HS_TRY(hs_device_rename(q->srv, q->a, &target, hs_path_param(q, "deviceId"), name));

    hs_res_empty(r);
    return NULL;
}

/* DELETE /_synapse/admin/v2/users/{userId}/devices/{deviceId} */
static hs_error *delete_device(hs_req *q, hs_res *r)
{
    hs_str device_id = hs_path_param(q, "deviceId");
    hs_session target;

    HS_TRY(look_up(q, "Can only lookup local users", &target));

    HS_TRY(hs_devices_remove(q->srv, q->a, &target, (hs_strs){ &device_id, 1 }));

    hs_res_empty(r);
    return NULL;
}

/* POST /_synapse/admin/v2/users/{userId}/delete_devices */
static hs_error *post_delete_devices(hs_req *q, hs_res *r)
{
    hs_session target;
    hs_jv body, list;
    hs_str *ids;
    size_t n = 0;

    HS_TRY(look_up(q, "Can only lookup local users", &target));
    HS_TRY(hs_req_object(q, &body));
    list = hs_jv_get(body, HS_S("devices"));
    if (!hs_jv_is(list))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['devices']");
    HS_TRY(hs_alloc(q->a, hs_jv_count(list) + 1, &ids));
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it); n++)
        if (!hs_jv_str(it.value, &ids[n]) || (ids[n].n && memchr(ids[n].p, 0, ids[n].n)))
            return hs_err(q->a, 400, HS_M_INVALID_PARAM, "devices must be a list of strings");
    if (hs_jv_type_of(list) != HS_JV_ARR)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "devices must be a list of strings");

    HS_TRY(hs_devices_remove(q->srv, q->a, &target, (hs_strs){ ids, n }));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_admin_devices[] = {
    { HS_GET, "v2", "/users/{userId}/devices", get_devices, .who = HS_AUTH_ADMIN, .servlet = "DevicesRestServlet" },
    { HS_POST, "v2", "/users/{userId}/devices", post_device, .who = HS_AUTH_ADMIN, .servlet = "DevicesRestServlet" },
    { HS_GET, "v2", "/users/{userId}/devices/{deviceId}", get_device, .who = HS_AUTH_ADMIN, .servlet = "DeviceRestServlet" },
    { HS_PUT, "v2", "/users/{userId}/devices/{deviceId}", put_device, .who = HS_AUTH_ADMIN, .servlet = "DeviceRestServlet" },
    { HS_DELETE, "v2", "/users/{userId}/devices/{deviceId}", delete_device, .who = HS_AUTH_ADMIN, .servlet = "DeviceRestServlet" },
    { HS_POST, "v2", "/users/{userId}/delete_devices", post_delete_devices, .who = HS_AUTH_ADMIN, .servlet = "DeleteDevicesRestServlet" },
    { 0 },
};
/* clang-format on */
