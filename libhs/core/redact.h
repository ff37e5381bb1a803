/* Redaction as keep-lists over canonical bytes. Spec: Rooms, "Redactions" of each version.
 *
 * What stays of a canonical event is canonical again, so members are copied as they stand. The same form feeds the
 * reference hash, the signature and real redactions. */
#ifndef HS_CORE_REDACT_H
#define HS_CORE_REDACT_H

#include "base/tape.h"
#include "core/roomver.h"

/* Bytes into room that the caller has made; redaction never makes an event longer, but for HS_REDACT_SLACK. */
typedef struct {
    char *p;
    size_t n;
} hs_redact_out;

#define HS_REDACT_SLACK 16u

typedef enum { HS_REDACT_WHOLE, HS_REDACT_FOR_HASH /* without signatures */ } hs_redact_use;

/* The redacted form of the canonical event `top`. */
void hs_redact_write(hs_redact_out *o, const hs_roomver *rv, hs_jv top, hs_redact_use use);
/* What stays of the canonical `content` of an event of that type. */
void hs_redact_write_content(hs_redact_out *o, const hs_roomver *rv, hs_str type, hs_jv content);
/* Whether anything stays at all: most types keep nothing. */
bool hs_redact_keeps_content(const hs_roomver *rv, hs_str type);

#endif
