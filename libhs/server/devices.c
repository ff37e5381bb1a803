/* See devices.h. */
#include "server/devices.h"

#include "server/account_data.h"

#define DISPLAY_NAME_MAX 100

hs_error *hs_device_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str device_id, hs_device_row **ret)
{
    HS_TRY(hs_store_device_get(srv->db, a, who->user, device_id, ret));
    return *ret ? NULL : hs_err(a, 404, HS_M_NOT_FOUND, "No device found");
}

hs_error *hs_devices_list(hs_server *srv, hs_arena *a, const hs_session *who, hs_device_row **ret, size_t *ret_n)
{
    return hs_store_devices_list(srv->db, a, who->user, ret, ret_n);
}

hs_error *hs_device_rename(hs_server *srv, hs_arena *a, const hs_session *who, hs_str device_id, hs_str display_name)
{
    bool found;

    if (display_name.n > DISPLAY_NAME_MAX)
        return hs_err(a, 400, HS_M_TOO_LARGE, "Device display name is too long (max %d)", DISPLAY_NAME_MAX);
    HS_TRY(hs_store_device_rename(srv->db, a, who->user, device_id, display_name, &found));
    return found ? NULL : hs_err(a, 404, HS_M_NOT_FOUND, "Not found");
}

static hs_error *remove_settings(hs_server *srv, hs_arena *a, const hs_session *who, hs_str device_id)
{
    hs_str type, content;

    HS_TRY(hs_str_cat(a, &type, 2, HS_S("org.matrix.msc3890.local_notification_settings."), device_id));
    hs_error *e = hs_account_data_get(srv, a, who, (hs_str){ 0 }, type, &content);
    if (e && e->status == 404)
        return NULL;
    return e ? e : hs_account_data_delete(srv, a, who, (hs_str){ 0 }, type);
}

hs_error *hs_device_settings_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_strs device_ids)
{
    for (size_t i = 0; srv->config->msc3890_enabled && i < device_ids.n; i++)
        if (device_ids.at[i].n)
            HS_TRY(remove_settings(srv, a, who, device_ids.at[i]));
    return NULL;
}

hs_error *hs_devices_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_strs device_ids)
{
    hs_write *w;

    if (!device_ids.n)
        return NULL;
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_store_devices_remove(w, who->user, device_ids));
    HS_TRY(hs_sessions_end(w, who->user, device_ids));
    return hs_device_settings_remove(srv, a, who, device_ids);
}
