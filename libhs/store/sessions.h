/* Access tokens, devices, one-time secrets. Owns: access_token, device, short_token. */
#ifndef HS_STORE_SESSIONS_H
#define HS_STORE_SESSIONS_H

#include "store/write.h"

typedef struct {
    hs_nid user;
    hs_str user_id, localpart;
    hs_str device_id;                   /* p NULL: a token without a device */
    unsigned flags;                     /* of the account */
    int64_t expires_ts;                 /* 0: never */
    bool unused;                        /* one that can be refreshed, and nobody has shown it yet */
    int64_t account_expires_ts;         /* 0: never */
    hs_str consent_version, kind;       /* of the account; p NULL: none */
    int32_t messages_per_second, burst; /* the account\'s own limit for sending; -1: none is set */
} hs_token_row;

/* *ret NULL: no such token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_token_find(hs_db *db, hs_arena *a, hs_str token_sha256, hs_token_row **ret);
/* When the session's user last showed the password again (ms since 1970); 0: never. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_token_validated(hs_db *db, hs_arena *a, hs_str token_sha256, int64_t *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_token_validate(hs_db *db, hs_arena *a, hs_str token_sha256, int64_t ts);
/* A token of `user` without a device, made for an administrator; expires_ts 0: never. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_login_as(hs_db *db, hs_arena *a, hs_str token_sha256, hs_nid user,
                                                     hs_nid by, int64_t now_ts, int64_t expires_ts);
/* As whom an administrator has such tokens. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_logged_in_as(hs_db *db, hs_arena *a, hs_nid by, hs_nids *ret);
/* Ends those for one user; into a unit as below. */
HS_NODISCARD hs_error *hs_store_logout_as(hs_write *w, hs_nid by, hs_nid user);
/* A device that nobody has logged in with, unless there is one of the id. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_device_add(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id);
/* ── into a unit of writing, which tells the other workers (server/session.h: hs_sessions_end) ── */
/* Makes or takes over a device (its display name stays if it has one), ends the device's earlier tokens, adds the new
 * one. expires_ts 0: never. */
HS_NODISCARD hs_error *hs_store_login(hs_write *w, hs_nid user, hs_str device_id, hs_str display_name,
                                      hs_str token_sha256, int64_t now_ts, int64_t expires_ts);
/* Ends the tokens of devices and removes the devices. */
HS_NODISCARD hs_error *hs_store_devices_remove(hs_write *w, hs_nid user, hs_strs device_ids);
/* All of the user's but `keep` (p NULL: really all), tokens without a device included, but not those that
 * administrators have made for themselves. */
HS_NODISCARD hs_error *hs_store_devices_remove_others(hs_write *w, hs_nid user, hs_str keep);
/* Ends one token that has no device. */
HS_NODISCARD hs_error *hs_store_token_remove(hs_write *w, hs_str token_sha256);

typedef struct {
    hs_str device_id, display_name, ip, user_agent; /* p NULL: not known */
    int64_t seen_ts;                                /* 0: never */
} hs_device_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_devices_list(hs_db *db, hs_arena *a, hs_nid user, hs_device_row **ret,
                                                         size_t *ret_n);
/* *ret NULL: no such device. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_device_get(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id,
                                                       hs_device_row **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_device_rename(hs_db *db, hs_arena *a, hs_nid user, hs_str device_id,
                                                          hs_str display_name, bool *ret_found);
/* Last seen, of many devices in one statement. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_devices_seen(hs_db *db, hs_arena *a, hs_nids users, hs_strs device_ids,
                                                         hs_strs ips, hs_strs user_agents, hs_nids seen_ts);

/* Secrets that live for a while. user 0: nobody's; of somebody's the newest 100 of a kind are kept. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_short_token_put(hs_db *db, hs_arena *a, hs_str kind, hs_str token_sha256,
                                                            hs_nid user, int64_t now_ts, int64_t expires_ts);
/* Once. *ret_found false: never given, used or expired. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_short_token_take(hs_db *db, hs_arena *a, hs_str kind, hs_str token_sha256,
                                                             int64_t now_ts, bool *ret_found, hs_nid *ret_user);
/* As often as one likes. *ret 0: no such token. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_short_token_user(hs_db *db, hs_arena *a, hs_str kind, hs_str token_sha256,
                                                             int64_t now_ts, hs_nid *ret);

#endif
