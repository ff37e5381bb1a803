/* Push rules: the default set and its evaluation. Pure.
 * Spec: Client-Server API, "Push Notifications", "Push Rules". */
#ifndef HS_CORE_PUSHRULES_H
#define HS_CORE_PUSHRULES_H

#include "core/event.h"

typedef struct hs_pushrules hs_pushrules;

/* The rule set of somebody who has changed nothing, as a client reads it ({"global":{…}}). */
HS_NODISCARD hs_error *hs_pushrules_default_json(hs_arena *a, hs_str user_id, hs_str *ret);
/* From that form. Unknown conditions never match; disabled rules are dropped. `rules_json` is borrowed. */
HS_NODISCARD hs_error *hs_pushrules_compile(hs_arena *a, hs_str rules_json, hs_pushrules **ret);

typedef struct {
    hs_str user_id, localpart, display_name; /* display_name.p NULL: none */
    int64_t room_members;
    int64_t sender_power, room_notification_power; /* for sender_notification_permission of "room" */
} hs_push_ctx;

typedef struct {
    bool notify, highlight;
} hs_push_result;

/* The first enabled rule that matches decides. An event never notifies its own sender: the caller sees to that. */
hs_push_result hs_push_eval(const hs_pushrules *r, const hs_event *e, const hs_push_ctx *ctx);

#endif
