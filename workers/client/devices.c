/* A user's own devices. Spec: Client-Server API, "Device Management". */
#include "server/devices.h"
#include "runtime/http.h"
#include "server/uia.h"

static void write_device(hs_json_out *j, const hs_session *who, const hs_device_row *d)
{
    hs_json_obj(j);
    hs_json_str(j, "device_id", d->device_id);
    hs_json_str(j, "user_id", who->user_id);
    hs_json_str_or_null(j, "display_name", d->display_name);
    hs_json_str_or_null(j, "last_seen_ip", d->ip);
    hs_json_int_or_null(j, "last_seen_ts", d->seen_ts);
    hs_json_end(j);
}

/* GET …/devices */
static hs_error *get_devices(hs_req *q, hs_res *r)
{
    hs_device_row *devices;
    size_t n;

    HS_TRY(hs_devices_list(q->srv, q->a, q->who, &devices, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "devices");
    for (size_t i = 0; i < n; i++)
        write_device(j, q->who, &devices[i]);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET …/devices/{deviceId} */
static hs_error *get_device(hs_req *q, hs_res *r)
{
    hs_device_row *device;

    HS_TRY(hs_device_get(q->srv, q->a, q->who, hs_path_param(q, "deviceId"), &device));

    write_device(hs_res_json(r, 200), q->who, device);
    return NULL;
}

typedef struct {
    hs_str display_name;
} rename_body;

static const hs_field RENAME_BODY[] = {
    HS_OPT_STR(rename_body, display_name),
    { 0 },
};

/* PUT …/devices/{deviceId} */
static hs_error *put_device(hs_req *q, hs_res *r)
{
    rename_body body = { 0 };

    HS_TRY(hs_req_fields(q, RENAME_BODY, &body));

    HS_TRY(hs_device_rename(q->srv, q->a, q->who, hs_path_param(q, "deviceId"), body.display_name));

    hs_res_empty(r);
    return NULL;
}

/* Removing devices needs the password again. */
static hs_error *remove_devices(hs_req *q, hs_res *r, hs_jv body, hs_strs devices)
{
    hs_uia_in in = {
        .kind = HS_UIA_REAUTH_SKIPPABLE,
        .body = body,
        .method = q->method == HS_DELETE ? HS_S("DELETE") : HS_S("POST"),
        .path = q->path,
        .who = q->who,
    };
    hs_uia uia;

    HS_TRY(hs_uia_check(q->srv, q->a, &in, &uia));
    if (!uia.complete) {
        hs_res_bytes(r, 401, HS_S("application/json"), uia.answer);
        return NULL;
    }

    HS_TRY(hs_devices_remove(q->srv, q->a, q->who, devices));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/devices/{deviceId} */
static hs_error *delete_device(hs_req *q, hs_res *r)
{
    hs_str device = hs_path_param(q, "deviceId");
    hs_jv body;

    HS_TRY(hs_req_object_or_empty(q, &body));
    return remove_devices(q, r, body, (hs_strs){ &device, 1 });
}

typedef struct {
    hs_strs devices;
} delete_body;

static const hs_field DELETE_BODY[] = {
    HS_NAMED("devices", HS_F_STRS, true, delete_body, devices),
    { 0 },
};

/* POST …/delete_devices */
static hs_error *post_delete_devices(hs_req *q, hs_res *r)
{
    delete_body in = { 0 };
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));
    HS_TRY(hs_fields_read(q->a, body, DELETE_BODY, &in));
    return remove_devices(q, r, body, in.devices);
}

/* clang-format off */
const hs_route hs_routes_devices[] = {
    { HS_GET, "r0 v3 unstable", "/devices", get_devices, .who = HS_AUTH_USER, .guest = true, .servlet = "DevicesRestServlet" },
    { HS_GET, "r0 v3 unstable", "/devices/{deviceId}", get_device, .who = HS_AUTH_USER, .guest = true, .servlet = "DeviceRestServlet" },
    { HS_PUT, "r0 v3 unstable", "/devices/{deviceId}", put_device, .who = HS_AUTH_USER, .guest = true, .servlet = "DeviceRestServlet" },
    { HS_DELETE, "r0 v3 unstable", "/devices/{deviceId}", delete_device, .who = HS_AUTH_USER, .body = HS_KIB(64), .servlet = "DeviceRestServlet" },
    { HS_POST, "r0 v3 unstable", "/delete_devices", post_delete_devices, .who = HS_AUTH_USER, .servlet = "DeleteDevicesRestServlet" },
    { 0 },
};
/* clang-format on */
