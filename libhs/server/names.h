/* User ids and server names ↔ our numbers. Both directions are cached; a number never changes its name, so entries
 * never go stale. */
#ifndef HS_SERVER_NAMES_H
#define HS_SERVER_NAMES_H

#include "server/context.h"

HS_NODISCARD hs_error *hs_names_open(hs_server *srv, hs_arena *a);
void hs_names_close(hs_server *srv);

/* The number of a user id, made when the user is new. The id must have been checked (hs_user_id_parse). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_user_nid(hs_server *srv, hs_arena *a, hs_str user_id, hs_nid *ret);
/* The same for many, in the order given; one round trip for those that are not cached. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_user_nids(hs_server *srv, hs_arena *a, const hs_str *user_ids, size_t n,
                                                hs_nid *ret);
/* 0 when this server has never heard of the user. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_user_nid_find(hs_server *srv, hs_arena *a, hs_str user_id, hs_nid *ret);
/* The name of a number, in `a`; an unknown number is an internal error. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_user_name(hs_server *srv, hs_arena *a, hs_nid user, hs_str *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_user_names(hs_server *srv, hs_arena *a, const hs_nid *users, size_t n,
                                                 hs_str *ret);
/* The number of a server name, made when it is new. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_server_nid(hs_server *srv, hs_arena *a, hs_str server_name, hs_nid *ret);

/* Does this user id belong to this server? */
bool hs_user_is_local(const hs_server *srv, hs_str user_id);

#endif
