/* Text for LIKE. */
#ifndef HS_STORE_PATTERN_H
#define HS_STORE_PATTERN_H

#include <hs/arena.h>

/* Text that LIKE takes as it is; ASCII letters in lower case, the rest as lower() of a database in locale C leaves it.
 */
HS_NODISCARD hs_error *hs_store_pattern(hs_arena *a, hs_str text, hs_str *ret);

#endif
