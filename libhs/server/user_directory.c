/* See user_directory.h. */
#include "server/user_directory.h"

hs_error *hs_users_search(hs_server *srv, const hs_session *who, hs_arena *a, hs_str term, int32_t limit,
                          hs_user_found **ret, size_t *ret_n, bool *ret_limited)
{
    const hs_config *c = srv->config;
    const hs_user_search in = {
        .searcher = who->user,
        .term = term,
        .all = c->user_directory_search_all,
        .local_only = c->user_directory_exclude_remote,
        .prefer_local = c->user_directory_prefer_local,
        .hidden = HS_ACCOUNT_DEACTIVATED | (c->user_directory_show_locked ? 0 : HS_ACCOUNT_LOCKED),
        .limit = limit + 1,
    };

    *ret_n = 0;
    *ret_limited = false;
    if (!c->user_directory_enabled)
        return NULL;
    HS_TRY(hs_store_user_search(srv->db, a, &in, ret, ret_n));
    if (*ret_n > (size_t)limit) {
        *ret_n = (size_t)limit;
        *ret_limited = true;
    }
    return NULL;
}
