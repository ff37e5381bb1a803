/* Whose invites somebody wants: what their account data says of an inviter. Pure. MSC4380, MSC4155. */
#ifndef HS_CORE_INVITE_RULES_H
#define HS_CORE_INVITE_RULES_H

#include "base/tape.h"

typedef enum {
    HS_INVITE_ALLOW,
    HS_INVITE_IGNORE, /* the invite is made, and its target never told */
    HS_INVITE_BLOCK,  /* it is refused */
} hs_invite_rule;

/* m.invite_permission_config: one rule for everybody. */
hs_invite_rule hs_invite_rule_for_all(hs_jv config);
/* org.matrix.msc4155.invite_permission_config: lists of globs for user ids and server names. The first list of
 * allowed, ignored and blocked users, then servers, that has the inviter decides; nobody's: allowed. */
hs_invite_rule hs_invite_rule_listed(hs_jv config, hs_str inviter);

#endif
