/* What administrators did. Owns: admin_action. */
#ifndef HS_STORE_ADMIN_ACTIONS_H
#define HS_STORE_ADMIN_ACTIONS_H

#include "store/db.h"

typedef struct {
    int64_t ts;
    hs_nid by;
    hs_str action, target; /* method and path of the route; what its path named */
    hs_str ip, request_id;
} hs_admin_action_row;
/* Durable when this returns. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_admin_action_add(hs_db *db, hs_arena *a, const hs_admin_action_row *row);

#endif
