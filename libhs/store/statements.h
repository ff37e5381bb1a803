/* All statements of the store, for tests/sql: a module lists its own, ending with NULL, and has a line in statements.c.
 */
#ifndef HS_STORE_STATEMENTS_H
#define HS_STORE_STATEMENTS_H

#include "store/db.h"

/* *ret_n lists. */
const hs_stmt *const *const *hs_store_statements(size_t *ret_n);

#endif
