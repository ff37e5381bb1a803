/* Messages from device to device, kept until the receiver has acknowledged them. Owns: to_device.
 *
 * A message is there only for a device that exists: writing looks at `device` under the ticket, and a device that goes
 * takes its messages along (sessions.c). */
#ifndef HS_STORE_TODEVICE_H
#define HS_STORE_TODEVICE_H

#include "store/write.h"

/* A device that exists, of those asked for. */
typedef struct {
    size_t of; /* index in what was asked */
    hs_nid user;
    hs_str device_id;
} hs_todevice_target;
/* Of user_ids[i] the device device_ids[i], or all of them where everyone[i] is 1; in order of i, at most `limit`.
 * Hidden devices (cross-signing keys) get no messages. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_todevice_targets(hs_db *db, hs_arena *a, hs_strs user_ids,
                                                             hs_strs device_ids, hs_ints everyone, int32_t limit,
                                                             hs_todevice_target **ret, size_t *ret_n);
/* msgs[which[i]] for the device device_ids[i] of users[i]; all have the same position. Devices that are gone by then
 * are passed over. */
HS_NODISCARD hs_error *hs_store_todevice_put(hs_write *w, hs_nids users, hs_strs device_ids, hs_ints which,
                                             hs_strs msgs, uint32_t at);

typedef struct {
    int64_t pos;
    hs_str msg; /* {"type", "sender", "content"} */
} hs_todevice_row;
/* The oldest ones with after < pos <= upto. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_todevice_after(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id,
                                                           int64_t after, int64_t upto, int32_t limit,
                                                           hs_todevice_row **ret, size_t *ret_n);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_todevice_delete(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id,
                                                            int64_t upto);

#endif
