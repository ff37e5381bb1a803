/* Who holds which share of the once-only duties: tables `lease` and `lease_member`. What a turn does is said in
 * migrations/0002_leases.sql; who takes turns is server/leases.c. */
#ifndef HS_STORE_LEASES_H
#define HS_STORE_LEASES_H

#include "store/write.h"

typedef struct {
    hs_str duty;
    int32_t shard;
    int64_t epoch;
    bool keep; /* false: more than this worker's part */
} hs_lease_row;

/* Renews `me` for ttl_ms of PostgreSQL's clock, takes what is free up to this worker's part of each duty, and lists
 * what it holds. `duties` and `shards` go together. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_lease_turn(hs_db *db, hs_arena *a, hs_str me, int64_t ttl_ms,
                                                       hs_strs duties, hs_ints shards, hs_lease_row **ret,
                                                       size_t *ret_n);
/* Gives one share back, if it is still held in that epoch. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_lease_give(hs_db *db, hs_arena *a, hs_str me, hs_str duty, int32_t shard,
                                                       int64_t epoch);
/* Gives everything back and takes part no longer. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_lease_leave(hs_db *db, hs_arena *a, hs_str me);

/* Into the unit's transaction: the unit is HS_WRITE_FENCED if the share has moved on from this epoch. */
HS_NODISCARD hs_error *hs_store_lease_fence(hs_write *w, hs_str duty, int32_t shard, int64_t epoch);
/* The same for a transaction: false if it has moved on. If true, it stays so until the transaction ends, which must not
 * idle for 2 s. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_lease_holds(hs_tx *tx, hs_arena *a, hs_str duty, int32_t shard,
                                                        int64_t epoch, bool *ret);

#endif
