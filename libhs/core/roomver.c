/* See roomver.h. A row says what the version has; the members are sorted by the version that brought them. */
#include "core/roomver.h"

/* clang-format off */
#define SINCE_3  .event_id = HS_EVENT_ID_HASH_URLSAFE, .stateres = HS_STATERES_V2
#define SINCE_6  SINCE_3, .key_validity = true, .strict_json = true, .notifications_power = true
#define SINCE_7  SINCE_6, .knock = true
#define SINCE_8  SINCE_7, .restricted = true
#define SINCE_10 SINCE_8, .knock_restricted = true, .integer_power = true
#define SINCE_11 SINCE_10, .redaction = HS_REDACT_R11, .creator_is_sender = true, .redacts_in_content = true, \
                 .strict_field_bytes = true

static const hs_roomver V1 = { .name = HS_S_INIT("1"), .stable = true,
    .event_id = HS_EVENT_ID_GIVEN, .stateres = HS_STATERES_V1, .redaction = HS_REDACT_R1,
    .aliases_rule = true, .redaction_auth_rule = true };
static const hs_roomver V2 = { .name = HS_S_INIT("2"), .stable = true,
    .event_id = HS_EVENT_ID_GIVEN, .stateres = HS_STATERES_V2, .redaction = HS_REDACT_R1,
    .aliases_rule = true, .redaction_auth_rule = true };
static const hs_roomver V3 = { .name = HS_S_INIT("3"), .stable = true,
    .event_id = HS_EVENT_ID_HASH_BASE64, .stateres = HS_STATERES_V2, .redaction = HS_REDACT_R1, .aliases_rule = true };
static const hs_roomver V4 = { .name = HS_S_INIT("4"), .stable = true,
    SINCE_3, .redaction = HS_REDACT_R1, .aliases_rule = true };
static const hs_roomver V5 = { .name = HS_S_INIT("5"), .stable = true,
    SINCE_3, .redaction = HS_REDACT_R1, .aliases_rule = true, .key_validity = true };
static const hs_roomver V6 = { .name = HS_S_INIT("6"), .stable = true, SINCE_6, .redaction = HS_REDACT_R6 };
static const hs_roomver V7 = { .name = HS_S_INIT("7"), .stable = true, SINCE_7, .redaction = HS_REDACT_R6 };
static const hs_roomver V8 = { .name = HS_S_INIT("8"), .stable = true, SINCE_8, .redaction = HS_REDACT_R8 };
static const hs_roomver V9 = { .name = HS_S_INIT("9"), .stable = true, SINCE_8, .redaction = HS_REDACT_R9 };
static const hs_roomver V10 = { .name = HS_S_INIT("10"), .stable = true, SINCE_10, .redaction = HS_REDACT_R9 };
static const hs_roomver V11 = { .name = HS_S_INIT("11"), .stable = true, SINCE_11 };
/* The state resolution of version 12 is a new value, so its row is written out. */
static const hs_roomver V12 = { .name = HS_S_INIT("12"), .stable = true,
    .event_id = HS_EVENT_ID_HASH_URLSAFE, .stateres = HS_STATERES_V2_1, .redaction = HS_REDACT_R11,
    .key_validity = true, .strict_json = true, .notifications_power = true, .knock = true,
    .restricted = true, .knock_restricted = true, .integer_power = true, .creator_is_sender = true,
    .redacts_in_content = true, .strict_field_bytes = true,
    .privileged_creators = true, .room_id_is_hash = true, .create_not_in_auth = true };

/* Unstable ones that Synapse offers: state that belongs to a user (MSC3757). */
static const hs_roomver OWNED_10 = { .name = HS_S_INIT("org.matrix.msc3757.10"), SINCE_10, .redaction = HS_REDACT_R9, .owned_state = true };
static const hs_roomver OWNED_11 = { .name = HS_S_INIT("org.matrix.msc3757.11"), SINCE_11, .owned_state = true };
/* clang-format on */

static const hs_roomver *const ALL[] = { &V1, &V2,  &V3,  &V4,  &V5,       &V6,       &V7, &V8,
                                         &V9, &V10, &V11, &V12, &OWNED_10, &OWNED_11, NULL };

const hs_roomver *const *hs_roomver_all(void)
{
    return ALL;
}

const hs_roomver *hs_roomver_find(hs_str name)
{
    for (const hs_roomver *const *v = ALL; *v; v++)
        if (hs_str_eq((*v)->name, name))
            return *v;
    return NULL;
}
