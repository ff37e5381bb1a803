/* Finding users by name. Spec: Client-Server API, "User Directory". */
#ifndef HS_SERVER_USER_DIRECTORY_H
#define HS_SERVER_USER_DIRECTORY_H

#include "server/session.h"
#include "store/user_directory.h"

enum { HS_USER_SEARCH_MAX = 50 };

/* The best matches first, limit of them at most (0 … HS_USER_SEARCH_MAX); *ret_limited: there are more. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_users_search(hs_server *srv, const hs_session *who, hs_arena *a, hs_str term,
                                                   int32_t limit, hs_user_found **ret, size_t *ret_n,
                                                   bool *ret_limited);

#endif
