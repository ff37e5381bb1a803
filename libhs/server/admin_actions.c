/* See admin_actions.h. */
#include "server/admin_actions.h"

#include "store/admin_actions.h"

hs_error *hs_admin_action_note(hs_server *srv, hs_arena *a, const hs_session *who, const hs_admin_action *in)
{
    hs_admin_action_row row = {
        .ts = hs_loop_wall(srv->loop),
        .by = who->user,
        .action = in->action,
        .target = in->target,
        .ip = in->ip,
        .request_id = in->request_id,
    };

    if (!hs_str_is_utf8(row.target) || (row.target.n && memchr(row.target.p, 0, row.target.n)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "A part of the path is not text");
    HS_TRY(hs_store_admin_action_add(srv->db, a, &row));
    hs_log_req(srv->log, HS_LOG_INFO, in->request_id, "admin.action", "user=%.*s action=\"%.*s\" target=\"%.*s\"",
               HS_FMT(who->user_id), HS_FMT(in->action), HS_FMT(in->target));
    return NULL;
}
