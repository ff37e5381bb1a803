/* What administrators do to accounts. Each target comes from hs_admin_target. */
#ifndef HS_SERVER_ADMIN_ACCOUNTS_H
#define HS_SERVER_ADMIN_ACCOUNTS_H

#include "server/session.h"
#include "store/users.h"

/* Sets and clears flags; known to all workers when this returns. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_flags(hs_server *srv, hs_arena *a, hs_nid user, unsigned set,
                                                  unsigned clear);
/* The same for the flag of administrators; nobody demotes oneself. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_set_admin(hs_server *srv, const hs_session *who, hs_arena *a,
                                                      const hs_session *target, bool admin);
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_set_password(hs_server *srv, const hs_session *who, hs_arena *a,
                                                         const hs_session *target, hs_str password,
                                                         bool logout_devices);
/* Rooms are left, devices, tokens, password and account data go, as if the user had asked. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_deactivate(hs_server *srv, hs_arena *a, const hs_session *target,
                                                       bool erase);
/* The account may be used again, once it has a password. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_activate(hs_server *srv, hs_arena *a, const hs_session *target);
/* A token without a device, with which the administrator acts as the user; expires_ts 0: never. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_login_as(hs_server *srv, const hs_session *who, hs_arena *a,
                                                     const hs_session *target, int64_t expires_ts, hs_str *ret_token);
/* How many messages a second and at once are let through; -1: as for everybody. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_ratelimit(hs_server *srv, hs_arena *a, hs_nid user, int32_t *ret_per_second,
                                                      int32_t *ret_burst);
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_ratelimit_set(hs_server *srv, hs_arena *a, hs_nid user, int32_t per_second,
                                                          int32_t burst);
/* Experimental features of a user, by name; `on` are set and `off` cleared. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_features(hs_server *srv, hs_arena *a, hs_nid user, hs_strs *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_features_set(hs_server *srv, hs_arena *a, hs_nid user, hs_strs on,
                                                         hs_strs off);
/* A device without a token; there may be one already. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_device_add(hs_server *srv, hs_arena *a, const hs_session *target,
                                                       hs_str device_id);

/* Rooms joined, and times that others were invited, from a moment on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_admin_counts(hs_server *srv, hs_arena *a, hs_str user_id, int64_t from_ts,
                                                   int64_t *ret_invites, int64_t *ret_rooms);

#endif
