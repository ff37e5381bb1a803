/* Sessions of user-interactive authentication. Owns: uia_session. */
#ifndef HS_STORE_UIA_H
#define HS_STORE_UIA_H

#include "store/db.h"

typedef struct {
    hs_str method, uri;
    hs_str client; /* JSON: the request's parameters, without secrets */
    hs_str server; /* JSON: what we remember of it */
    hs_str done;   /* JSON: stage → what it has shown */
    int64_t created_ts;
} hs_uia_row;

HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_insert(hs_db *db, hs_arena *a, hs_str session_id,
                                                       const hs_uia_row *row);
/* *ret NULL: no such session. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_get(hs_db *db, hs_arena *a, hs_str session_id, hs_uia_row **ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_set_client(hs_db *db, hs_arena *a, hs_str session_id, hs_str client);
/* Adds the members of a JSON object to what is remembered. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_remember(hs_db *db, hs_arena *a, hs_str session_id, hs_str members);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_remember_tx(hs_tx *tx, hs_arena *a, hs_str session_id, hs_str members);
/* `result` is JSON. *ret_found false: no such session. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_stage_done(hs_db *db, hs_arena *a, hs_str session_id, hs_str stage,
                                                           hs_str result, bool *ret_found);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_stage_done_tx(hs_tx *tx, hs_arena *a, hs_str session_id, hs_str stage,
                                                              hs_str result);
/* *ret_found false: another request was first. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_remove(hs_db *db, hs_arena *a, hs_str session_id, bool *ret_found);
/* What somebody is registering now waits until the transaction ends. The row as it is then; *ret NULL: gone. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_lock(hs_tx *tx, hs_arena *a, hs_str session_id, hs_uia_row **ret);
/* Forgets a slice of what began before `before_ts`; uses of registration tokens that they held are free again. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_uia_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n);

#endif
