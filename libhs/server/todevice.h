/* Messages from device to device: what end-to-end encryption agrees on its keys with. Kept in the store until the
 * receiving device comes back with a token that is past them. Spec: Client-Server API, "Send-to-Device messaging". */
#ifndef HS_SERVER_TODEVICE_H
#define HS_SERVER_TODEVICE_H

#include "server/session.h"

typedef struct {
    hs_str type, txn_id;
    hs_jv messages; /* user id → device id, or "*" for all → content */
} hs_todevice_send;
/* A repeat of the transaction id for the same type delivers nothing again. Who does not exist is passed over, and so
 * are users of other servers as long as there is no federation. 400 M_BAD_JSON for another shape, 413 M_TOO_LARGE for a
 * content above 64 KiB or too many receivers. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_todevice_send_all(hs_server *srv, const hs_session *who, hs_arena *a,
                                                        const hs_todevice_send *in);

typedef struct {
    hs_strs msgs; /* whole events, oldest first */
    int64_t upto; /* nothing at or below it is left out */
} hs_todevice_page;
/* What came for the device after one position up to another, at most 100 messages. Asks the store only when there may
 * be something. A session without a device gets nothing. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_todevice_read(hs_server *srv, const hs_session *who, hs_arena *a, int64_t after,
                                                    int64_t upto, hs_todevice_page *ret);
/* The device has what is at or below `upto`, and will not ask for it again. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_todevice_acknowledge(hs_server *srv, const hs_session *who, hs_arena *a,
                                                           int64_t upto);

/* Registers itself with fanout: before those who wait. */
HS_NODISCARD hs_error *hs_todevice_open(hs_server *srv, hs_arena *a);
void hs_todevice_close(hs_server *srv);

#endif
