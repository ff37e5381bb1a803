/* Account data (tags, read lines and the client's own) and stored filters. Owns: account_data, filter. */
#ifndef HS_STORE_ACCOUNT_DATA_H
#define HS_STORE_ACCOUNT_DATA_H

#include "store/write.h"

typedef struct {
    hs_nid room; /* 0: global */
    hs_str type, content;
    int64_t pos;
} hs_account_data_row;

/* *ret: p NULL when there is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_data_get(hs_db *db, hs_arena *a, hs_nid user, hs_nid room,
                                                             hs_str type, hs_str *ret);
/* The same, and its position; 0: there is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_data_seen(hs_db *db, hs_arena *a, hs_nid user, hs_nid room,
                                                              hs_str type, hs_str *ret, int64_t *ret_pos);
/* Everything of the user with after < pos <= upto, in order of position: a range of account_data_pos. What the user has
 * changed about push rules (store/push_rules.h) is among it, as if it were the content of a global m.push_rules. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_data_after(hs_db *db, hs_arena *a, hs_nid user, int64_t after,
                                                               int64_t upto, hs_account_data_row **ret, size_t *ret_n);
HS_NODISCARD hs_error *hs_store_account_data_put(hs_write *w, hs_nid user, hs_nid room, hs_str type, hs_str content,
                                                 uint32_t at);
/* The same in place of what was seen: HS_WRITE_CONFLICT when that is not what is there. */
HS_NODISCARD hs_error *hs_store_account_data_change(hs_write *w, hs_nid user, hs_nid room, hs_str type,
                                                    int64_t seen_pos, hs_str content, uint32_t at);

/* How many other types the user has there. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_account_data_others(hs_db *db, hs_arena *a, hs_nid user, hs_nid room,
                                                                hs_str type, int64_t *ret);

/* The same body gives the same id, as in Synapse; ids of a user count from 0. -1: the user has `most` others. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_filter_add(hs_db *db, hs_arena *a, hs_nid user, hs_str body, int32_t most,
                                                       int64_t *ret_id);
/* *ret: p NULL when there is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_filter_get(hs_db *db, hs_arena *a, hs_nid user, int64_t id, hs_str *ret);

#endif
