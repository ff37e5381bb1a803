/* Between auth.c, auth_member.c and auth_power.c: one function per group of rules. */
#ifndef HS_CORE_AUTH_RULES_H
#define HS_CORE_AUTH_RULES_H

#include "core/auth.h"

#define ALLOW(r) ((hs_verdict){ .ok = true, .rule = (r) })
/* {sender}, {target} and {room} in the text are filled in by hs_auth_refusal. */
#define REJECT(r, t)       ((hs_verdict){ .rule = (r), .text = (t), .status = 403 })
#define REJECT_SHAPE(r, t) ((hs_verdict){ .rule = (r), .text = (t), .status = 400 })

/* What the rules ask of a state, with the create event found. */
typedef struct {
    const hs_roomver *rv;
    const hs_state_view *state;
    const hs_event *create;
} hs_auth_in;

hs_verdict hs_auth_member(const hs_auth_in *in, const hs_event *ev);
hs_verdict hs_auth_power_levels(const hs_auth_in *in, const hs_event *ev);

const hs_event *hs_auth_create(const hs_state_view *state);
/* What follows the first ':'; empty when there is none. */
hs_str hs_auth_domain(hs_str id);
/* m.federate of the create event. */
bool hs_auth_federates(const hs_event *create);

#endif
