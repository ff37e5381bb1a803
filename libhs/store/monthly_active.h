/* Who is active: account.active_ts, of the table that users.c owns. */
#ifndef HS_STORE_MONTHLY_ACTIVE_H
#define HS_STORE_MONTHLY_ACTIVE_H

#include "store/write.h"

typedef struct {
    int64_t active_ts; /* 0: never counted */
    int64_t created_ts;
    unsigned flags;
    hs_str kind; /* p NULL: an ordinary person */
} hs_activity;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_activity(hs_db *db, hs_arena *a, hs_nid user, hs_activity *ret,
                                                     bool *ret_found);
/* How many have been active since. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_active_count(hs_db *db, hs_arena *a, int64_t since_ts, int64_t *ret);
/* Unless somebody else has set it to something later than `before_ts`: then *ret_set is false. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_active_set(hs_db *db, hs_arena *a, hs_nid user, int64_t ts,
                                                       int64_t before_ts, bool *ret_set);

#endif
