/* What an administrator has blocked here. Owns: block. */
#ifndef HS_STORE_BLOCKS_H
#define HS_STORE_BLOCKS_H

#include "store/db.h"

/* Rooms, whether or not this server knows them. *ret_by: who did it; p NULL: it is not blocked. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_block_get(hs_db *db, hs_arena *a, hs_str room_id, hs_str *ret_by);
/* Who was first stays who did it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_block_add(hs_db *db, hs_arena *a, hs_str room_id, hs_nid by, int64_t ts);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_block_remove(hs_db *db, hs_arena *a, hs_str room_id);

#endif
