/* What users are called at other services, by which they log in. Owns: external_id. */
#ifndef HS_STORE_EXTERNAL_IDS_H
#define HS_STORE_EXTERNAL_IDS_H

#include "store/db.h"

typedef struct {
    hs_str provider, id;
} hs_external_id_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_external_ids(hs_db *db, hs_arena *a, hs_nid user, hs_external_id_row **ret,
                                                         size_t *ret_n);
/* The user has these and no others. *ret_taken: somebody else has one of them, and nothing has changed. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_external_ids_set(hs_db *db, hs_arena *a, hs_nid user, hs_strs providers,
                                                             hs_strs ids, bool *ret_taken);
/* *ret_user_id p NULL: nobody. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_external_id_find(hs_db *db, hs_arena *a, hs_str provider, hs_str id,
                                                             hs_str *ret_user_id);

#endif
