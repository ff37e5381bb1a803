/* What is kept of presence over a restart: when users were last active, and their status. Owns: presence. */
#ifndef HS_STORE_PRESENCE_H
#define HS_STORE_PRESENCE_H

#include "store/db.h"

typedef struct {
    hs_nid user;
    int64_t active_ms;
    hs_str status; /* p NULL: none */
} hs_presence_row;

HS_NODISCARD HS_SUSPENDS hs_error *hs_store_presence_get(hs_db *db, hs_arena *a, hs_nid user, hs_presence_row *ret,
                                                         bool *ret_found);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_presence_put(hs_db *db, hs_arena *a, const hs_presence_row *rows, size_t n);

#endif
