/* Authorization rules. Pure: what must be looked up is asked of a callback. Spec: Rooms, "Authorization rules". */
#ifndef HS_CORE_AUTH_H
#define HS_CORE_AUTH_H

#include "core/event.h"

/* A room state as the rules see it: the event for (type, state_key), NULL when there is none. Must not suspend: fetch
 * what hs_auth_types names first. */
typedef struct {
    const hs_event *(*get)(void *ud, hs_str type, hs_str state_key);
    void *ud;
    const hs_event *create; /* the room's create event, always set unless it is the one that is checked */
} hs_state_view;

typedef struct {
    bool ok;
    const char *rule; /* "member.ban: sender is not joined": fixed text, for logs and tests */
    const char *text; /* what a client is told of a refusal, before hs_auth_refusal fills in names; NULL: "Forbidden" */
    int status;       /* of the refusal: 403, or 400 for contents that no state would allow */
} hs_verdict;

/* The refusal as an error for the local client that asked for `ev`: 403 M_FORBIDDEN, or 400 M_BAD_JSON for a content
 * that no state would allow. */
hs_error *hs_auth_refusal(hs_arena *a, hs_verdict v, const hs_event *ev);

/* The rules over a state: all but those about auth_events. Content hash and signatures were checked before. */
hs_verdict hs_auth_check(const hs_event *ev, const hs_state_view *state);
/* Rules about auth_events themselves: none duplicated, none unexpected, create present (absent in v12), none rejected,
 * all of this room. */
hs_verdict hs_auth_check_auth_events(const hs_event *ev, const hs_event *const *auth, const bool *rejected, size_t n);

typedef struct {
    hs_str type, state_key;
} hs_state_key_pair;
#define HS_AUTH_TYPES_MAX 8
/* Spec "Auth events selection": which state an event is authorised by; create first, unless the version leaves it out.
 */
size_t hs_auth_types(const hs_roomver *rv, hs_str type, hs_str sender, hs_str state_key, bool is_state, hs_jv content,
                     hs_state_key_pair ret[HS_AUTH_TYPES_MAX]);

/* ── questions that services ask of a state ── */
hs_membership hs_auth_membership(const hs_state_view *state, hs_str user);

#define HS_POWER_CREATOR INT64_MAX /* v12: above every number */
int64_t hs_auth_power(const hs_roomver *rv, const hs_state_view *state, hs_str user);
/* The sender of the create event, or its content's creator before version 11. */
hs_str hs_auth_creator(const hs_event *create);
/* v12: the creator and all additional_creators; false in other versions. */
bool hs_auth_is_privileged(const hs_event *create, hs_str user);
/* The join rule of the room: "invite" when there is none. */
hs_str hs_auth_join_rule(const hs_state_view *state);
typedef enum {
    HS_LEVEL_BAN,
    HS_LEVEL_KICK,
    HS_LEVEL_INVITE,
    HS_LEVEL_REDACT,
    HS_LEVEL_EVENTS_DEFAULT,
    HS_LEVEL_STATE_DEFAULT,
    HS_LEVEL_USERS_DEFAULT
} hs_level;
int64_t hs_auth_level(const hs_roomver *rv, const hs_state_view *state, hs_level level);
int64_t hs_auth_level_for(const hs_roomver *rv, const hs_state_view *state, hs_str type, bool is_state);
/* notifications.<key>; 50 unless the room says otherwise. */
int64_t hs_auth_notification_level(const hs_roomver *rv, const hs_state_view *state, hs_str key);
/* May `redaction` redact `target` (v3+ deferred check, v1-2 rule alike)? */
bool hs_auth_redaction_ok(const hs_roomver *rv, const hs_state_view *state, const hs_event *redaction,
                          const hs_event *target);

#endif
