/* Addresses outside Matrix that belong to users. Owns: threepid. */
#ifndef HS_STORE_THREEPIDS_H
#define HS_STORE_THREEPIDS_H

#include "store/db.h"

typedef struct {
    hs_str medium, address;
    int64_t validated_ts, added_ts;
} hs_threepid_row;

HS_NODISCARD HS_SUSPENDS hs_error *hs_store_threepids_list(hs_db *db, hs_arena *a, hs_nid user, hs_threepid_row **ret,
                                                           size_t *ret_n);
/* *ret 0: nobody's. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_threepid_user(hs_db *db, hs_arena *a, hs_str medium, hs_str address,
                                                          hs_nid *ret);
/* What is not the user's stays. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_threepid_remove(hs_db *db, hs_arena *a, hs_nid user, hs_str medium,
                                                            hs_str address);
/* The user has these and no others; those that others had are taken over. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_threepids_set(hs_db *db, hs_arena *a, hs_nid user, hs_strs media,
                                                          hs_strs addresses, int64_t ts);

#endif
