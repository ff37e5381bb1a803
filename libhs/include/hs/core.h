/* hs/core.h: the pure part, for those who have a server of their own. No clock, no I/O, no state between calls.
 *
 * Every result lives in the arena that was passed. Errors are what a homeserver would answer (400 M_BAD_JSON, …). */
#ifndef HS_CORE_H
#define HS_CORE_H

#include <hs/arena.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Canonical JSON of any JSON value that the specification allows in events. */
HS_API HS_NODISCARD hs_error *hs_core_canonical_json(hs_arena *a, hs_str json, hs_str *ret);

/* "1" to "12". The functions below answer 400 M_UNSUPPORTED_ROOM_VERSION for what is not known. */
HS_API bool hs_core_room_version_known(hs_str version);

/* Reads a PDU by the rules of its room version (size, types, identifiers, canonical JSON) and gives its event id. */
HS_API HS_NODISCARD hs_error *hs_core_event_id(hs_arena *a, hs_str version, hs_str pdu, hs_str *ret);
/* Whether hashes.sha256 of the PDU is right. */
HS_API HS_NODISCARD hs_error *hs_core_event_hash_ok(hs_arena *a, hs_str version, hs_str pdu, bool *ret);
/* What redaction leaves of a PDU, as canonical JSON. */
HS_API HS_NODISCARD hs_error *hs_core_event_redact(hs_arena *a, hs_str version, hs_str pdu, hs_str *ret);

#ifdef __cplusplus
}
#endif
#endif
