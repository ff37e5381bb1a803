/* What users have changed about their push rules (core/pushrules.h says in which form). Owns: push_ruleset. */
#ifndef HS_STORE_PUSH_RULES_H
#define HS_STORE_PUSH_RULES_H

#include "store/write.h"

typedef struct {
    hs_str changes; /* empty: nothing */
    int64_t pos;    /* of the last change; 0: there was none */
} hs_push_rules_row;

HS_NODISCARD HS_SUSPENDS hs_error *hs_store_push_rules_get(hs_db *db, hs_arena *a, hs_nid user, hs_push_rules_row *ret);
/* `seen_pos`: of the row that the change was made from. If another one has come between, the unit is a conflict.
 * `shape`: the same for the same changes, never 0. */
HS_NODISCARD hs_error *hs_store_push_rules_put(hs_write *w, hs_nid user, int64_t seen_pos, int64_t shape,
                                               hs_str changes, uint32_t at);

typedef struct {
    hs_nid user;
    int64_t shape;
} hs_push_shape_row;
/* Which of these users have changed something, and its shape. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_push_shapes(hs_db *db, hs_arena *a, hs_nids users, hs_push_shape_row **ret,
                                                        size_t *ret_n);
typedef struct {
    hs_nid user;
    hs_str changes;
} hs_push_changes_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_push_changes(hs_db *db, hs_arena *a, hs_nids users,
                                                         hs_push_changes_row **ret, size_t *ret_n);

#endif
