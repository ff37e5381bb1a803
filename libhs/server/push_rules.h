/* A user's push rules as clients read them. */
#ifndef HS_SERVER_PUSH_RULES_H
#define HS_SERVER_PUSH_RULES_H

#include "base/tape.h"
#include "server/session.h"

/* {"global":{"override":[…],…}} */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_json(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret);
/* The part of it that is named: kind alone, one rule, or an attribute of a rule ("enabled", "actions") as an object. p
 * NULL: not named. 400 M_UNRECOGNIZED for an unknown kind or attribute, 404 M_NOT_FOUND for an unknown rule. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_part(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind,
                                                      hs_str rule_id, hs_str attribute, hs_str *ret);

#endif
