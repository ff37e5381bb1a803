/* Room versions 1-12, and unstable ones, as one table of traits. No version is tested by number anywhere else.
 * Spec: Rooms, "Room Versions". */
#ifndef HS_CORE_ROOMVER_H
#define HS_CORE_ROOMVER_H

#include <hs/str.h>

typedef enum { HS_STATERES_V1, HS_STATERES_V2, HS_STATERES_V2_1 } hs_stateres_kind;
typedef enum { HS_EVENT_ID_GIVEN, HS_EVENT_ID_HASH_BASE64, HS_EVENT_ID_HASH_URLSAFE } hs_event_id_kind;
typedef enum { HS_REDACT_R1, HS_REDACT_R6, HS_REDACT_R8, HS_REDACT_R9, HS_REDACT_R11 } hs_redact_kind;

typedef struct hs_roomver {
    hs_str name;
    bool stable;
    hs_event_id_kind event_id;
    hs_stateres_kind stateres;
    hs_redact_kind redaction;
    bool strict_json;         /* v6: canonical JSON enforced */
    bool aliases_rule;        /* v1-5: m.room.aliases has its own auth rule */
    bool redaction_auth_rule; /* v1-2 */
    bool notifications_power; /* v6 */
    bool key_validity;        /* v5 */
    bool knock;               /* v7 */
    bool restricted;          /* v8 */
    bool knock_restricted;    /* v10 */
    bool integer_power;       /* v10 */
    bool creator_is_sender;   /* v11: create needs no creator */
    bool redacts_in_content;  /* v11 */
    bool strict_field_bytes;  /* v11: 255 counted in bytes */
    bool privileged_creators; /* v12 */
    bool room_id_is_hash;     /* v12 */
    bool create_not_in_auth;  /* v12: same as room_id_is_hash, named for the auth rules */
    bool owned_state;         /* MSC3757: "@user:server_suffix" is a state key of that user */
} hs_roomver;

/* NULL for one we do not know. */
const hs_roomver *hs_roomver_find(hs_str name);
/* All of them, ending with NULL. */
const hs_roomver *const *hs_roomver_all(void);

#endif
