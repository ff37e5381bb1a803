/* See admin_actions.h. */
#include "store/admin_actions.h"

#include "store/statements.h"

/* clang-format off */
static const hs_stmt ACTION_ADD = {
    .name = "admin_action_add",
    .sql = "INSERT INTO admin_action(action_nid, ts, by_nid, action, target, ip, request_id) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    .params = "nnntttt",
};
/* clang-format on */

const hs_stmt *const hs_admin_actions_statements[] = { &ACTION_ADD, NULL };

hs_error *hs_store_admin_action_add(hs_db *db, hs_arena *a, const hs_admin_action_row *row)
{
    hs_nid nid;

    HS_TRY(hs_db_new_nid(db, a, &nid));
    return hs_db_exec(db, a, &ACTION_ADD, NULL, nid, row->ts, row->by, row->action, row->target, row->ip,
                      row->request_id);
}
