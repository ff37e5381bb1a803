/* Users as an administrator sees and changes them. Synapse's admin API, "Users"; texts are Synapse's. */
#ifndef HS_SERVER_ADMIN_USERS_H
#define HS_SERVER_ADMIN_USERS_H

#include "base/tape.h"
#include "server/threepids.h"
#include "store/external_ids.h"
#include "store/user_list.h"

/* Somebody with an account here, in the form in which services take who is asking. 400 with `foreign` for users of
 * other servers, 404 M_NOT_FOUND with `unknown`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_target(hs_server *srv, hs_arena *a, hs_str user_id, const char *foreign,
                                                   const char *unknown, hs_session *ret);

/* The same for a name that need not be anybody's. */
HS_NODISCARD hs_error *hs_admin_local(hs_server *srv, hs_arena *a, hs_str user_id, const char *foreign);

/* `q->limit` is cut at 10,000. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_users(hs_server *srv, hs_arena *a, hs_user_list_query *q,
                                                  hs_listed_user **ret, size_t *ret_n, int64_t *ret_total);

typedef struct {
    hs_user_details details;
    hs_threepid_row *threepids;
    size_t threepids_n;
    hs_external_id_row *external_ids;
    size_t external_ids_n;
} hs_admin_user_view;
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user(hs_server *srv, hs_arena *a, hs_str user_id, hs_admin_user_view *ret);
/* Who has an address, or an id at another service? 404 M_NOT_FOUND. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user_by_threepid(hs_server *srv, hs_arena *a, hs_str medium, hs_str address,
                                                             hs_str *ret_user_id);
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user_by_external_id(hs_server *srv, hs_arena *a, hs_str provider, hs_str id,
                                                                hs_str *ret_user_id);

/* Makes the user (*ret_new), or changes what the body names. All of the body is looked at first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id,
                                                     hs_jv body, bool *ret_new);

/* Ids of the rooms that any user, ours or not, is joined to. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user_rooms(hs_server *srv, hs_arena *a, hs_str user_id, hs_strs *ret);
/* The rooms that a user of ours has to do with, and how. */
typedef struct {
    hs_str room_id, membership;
} hs_admin_membership;
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user_memberships(hs_server *srv, hs_arena *a, hs_str user_id,
                                                             hs_admin_membership **ret, size_t *ret_n);
/* All account data of somebody: the global one first, then by room. */
typedef struct {
    hs_str room_id; /* p NULL: global */
    hs_str type, content;
} hs_admin_account_data;
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_user_account_data(hs_server *srv, hs_arena *a, const hs_session *target,
                                                              hs_admin_account_data **ret, size_t *ret_n);

#endif
