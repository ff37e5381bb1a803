/* Whose invites a user of this server wants. */
#ifndef HS_SERVER_INVITE_RULES_H
#define HS_SERVER_INVITE_RULES_H

#include "core/invite_rules.h"
#include "server/context.h"

typedef struct {
    hs_jv all, lists; /* account data; `all` decides when it is there, `lists` only when msc4155_enabled */
} hs_invite_rules;

HS_NODISCARD HS_SUSPENDS hs_error *hs_invite_rules_load(hs_server *srv, hs_arena *a, hs_nid user, hs_invite_rules *ret);
hs_invite_rule hs_invite_rules_ask(const hs_invite_rules *r, hs_str inviter);
/* Both, for one inviter. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_invite_rule_of(hs_server *srv, hs_arena *a, hs_nid user, hs_str inviter,
                                                     hs_invite_rule *ret);

#endif
