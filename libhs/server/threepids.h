/* E-mail addresses and phone numbers of users. */
#ifndef HS_SERVER_THREEPIDS_H
#define HS_SERVER_THREEPIDS_H

#include "server/session.h"
#include "store/threepids.h"

/* Bytes of an address, as in Synapse. */
#define HS_ADDRESS_MAX 500

/* An address as it is kept: e-mail addresses in lower case, phone numbers (written in their international form) as
 * digits. 400 for what cannot be one. */
HS_NODISCARD hs_error *hs_threepid_canonical(hs_arena *a, hs_str medium, hs_str address, hs_str *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_threepids_list(hs_server *srv, hs_arena *a, const hs_session *who,
                                                     hs_threepid_row **ret, size_t *ret_n);
/* What is not there is fine. 400 M_FORBIDDEN where changes are disabled. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_threepid_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_str medium,
                                                      hs_str address);
/* 400 M_FORBIDDEN where changes are disabled. */
HS_NODISCARD hs_error *hs_threepid_check_changes(const hs_server *srv, hs_arena *a);

#endif
