/* A user's push rules: as clients read and change them. */
#ifndef HS_SERVER_PUSH_RULES_H
#define HS_SERVER_PUSH_RULES_H

#include "core/pushrules.h"
#include "server/session.h"

/* Of which the default rules are; core/pushrules.h. */
unsigned hs_push_features(const hs_config *c);

/* {"global":{"override":[…],…}} */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_json(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret);
/* The part of it that is named: kind alone, one rule, or an attribute of a rule ("enabled", "actions") as an object. p
 * NULL: not named. 400 M_UNRECOGNIZED for an unknown kind or attribute, 404 M_NOT_FOUND for an unknown rule. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_part(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind,
                                                      hs_str rule_id, hs_str attribute, hs_str *ret);

/* ── changes ── durable and told to the user's devices and to all workers when they return; events that come later are
 * judged by them. Errors: core/pushrules.h. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_put(hs_server *srv, hs_arena *a, const hs_session *who,
                                                     const hs_push_put *in);
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind,
                                                        hs_str rule_id);
/* attribute: "enabled" or "actions"; 400 M_UNRECOGNIZED for another. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_set(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind,
                                                     hs_str rule_id, hs_str attribute, hs_jv body);
/* The user has gone from a room to the one that replaces it: rules about the old one hold for the new one too. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_push_rules_move_room(hs_server *srv, hs_arena *a, hs_nid user, hs_str from,
                                                           hs_str to);
/* What is the same for the same changes; never 0. */
int64_t hs_push_rules_shape(hs_str changes);

#endif
