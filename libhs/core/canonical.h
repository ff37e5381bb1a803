/* Canonical JSON. Spec: Appendices, "Canonical JSON". */
#ifndef HS_CORE_CANONICAL_H
#define HS_CORE_CANONICAL_H

#include "base/buf.h"
#include "base/tape.h"

/* Members sorted by key, no blanks, shortest escapes. Members named in `without` (top level only) are left out. A value
 * that is canonical already is copied in one piece. HS_JV_REAL values are written as they stand (lenient room
 * versions). */
HS_NODISCARD hs_error *hs_canonical(hs_arena *a, hs_jv v, const hs_str *without, size_t without_n, hs_str *ret);
void hs_canonical_add(hs_buf *b, hs_jv v, const hs_str *without, size_t without_n);

#endif
