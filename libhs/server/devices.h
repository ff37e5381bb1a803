/* A user's devices and password. */
#ifndef HS_SERVER_DEVICES_H
#define HS_SERVER_DEVICES_H

#include "server/session.h"
#include "store/sessions.h"

/* 404 M_NOT_FOUND "No device found". */
HS_NODISCARD HS_SUSPENDS hs_error *hs_device_get(hs_server *srv, hs_arena *a, const hs_session *who, hs_str device_id,
                                                 hs_device_row **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_devices_list(hs_server *srv, hs_arena *a, const hs_session *who,
                                                   hs_device_row **ret, size_t *ret_n);
/* display_name p NULL: stays. 404 for an unknown device, 400 M_TOO_LARGE past 100 characters. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_device_rename(hs_server *srv, hs_arena *a, const hs_session *who,
                                                    hs_str device_id, hs_str display_name);
/* Unknown ones are passed over. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_devices_remove(hs_server *srv, hs_arena *a, const hs_session *who,
                                                     hs_strs device_ids);

/* What devices that are gone have said of their own notifications (MSC3890); nothing without
 * experimental_features.msc3890_enabled. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_device_settings_remove(hs_server *srv, hs_arena *a, const hs_session *who,
                                                             hs_strs device_ids);

#endif
