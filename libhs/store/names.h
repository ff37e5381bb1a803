/* Users, rooms and servers: names ↔ numbers. Owns: server (its name part), user_id; rooms are inserted by rooms.h.
 *
 * Names never change and rows are never removed while something refers to them, so answers may be cached for ever;
 * "unknown" may not. All functions take n names or numbers and answer in the order asked; one round trip each. */
#ifndef HS_STORE_NAMES_H
#define HS_STORE_NAMES_H

#include "store/db.h"

/* ret[i]: 0 when unknown. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_users_find(hs_db *db, hs_arena *a, const hs_str *user_ids, size_t n,
                                                       hs_nid *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_rooms_find(hs_db *db, hs_arena *a, const hs_str *room_ids, size_t n,
                                                       hs_nid *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_servers_find(hs_db *db, hs_arena *a, const hs_str *names, size_t n,
                                                         hs_nid *ret);

/* Finds or creates, in a short transaction of its own (two or three round trips when something is new). User ids must
 * have been parsed: what follows the first ':' is the server. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_users_ensure(hs_db *db, hs_arena *a, const hs_str *user_ids, size_t n,
                                                         hs_nid *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_servers_ensure(hs_db *db, hs_arena *a, const hs_str *names, size_t n,
                                                           hs_nid *ret);

/* ret[i]: { NULL, 0 } when there is no such number. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_ids(hs_db *db, hs_arena *a, const hs_nid *nids, size_t n, hs_str *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_ids(hs_db *db, hs_arena *a, const hs_nid *nids, size_t n, hs_str *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_server_names(hs_db *db, hs_arena *a, const hs_nid *nids, size_t n,
                                                         hs_str *ret);

/* ── meta: what the database as a whole remembers (server name, slot key, …) ── */
/* *ret: p NULL when there is no such key. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_meta_get(hs_db *db, hs_arena *a, hs_str key, hs_str *ret);
/* Sets it if it is not there; *ret is what holds now (somebody else may have been first). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_meta_ensure(hs_db *db, hs_arena *a, hs_str key, hs_str value, hs_str *ret);

#endif
