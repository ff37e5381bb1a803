/* See invite_rules.h. */
#include "core/invite_rules.h"

#include "core/glob.h"

#define PATTERN_MAX 255               /* bytes of a user id: a longer pattern is no rule */
#define LIST_STEPS  ((size_t)1 << 20) /* about a millisecond: what is asked when it is used up does not match */

hs_invite_rule hs_invite_rule_for_all(hs_jv config)
{
    hs_str action = hs_jv_str_or_null(hs_jv_get(config, HS_S("default_action")));

    return hs_str_eq(action, HS_S("block")) ? HS_INVITE_BLOCK : HS_INVITE_ALLOW;
}

static bool listed(hs_jv list, hs_str name, size_t *steps)
{
    if (hs_jv_type_of(list) != HS_JV_ARR)
        return false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        hs_str pattern = hs_jv_str_or_null(it.value);

        if (pattern.n && pattern.n <= PATTERN_MAX && hs_glob_match_within(pattern, name, steps))
            return true;
    }
    return false;
}

hs_invite_rule hs_invite_rule_listed(hs_jv config, hs_str inviter)
{
    static const struct {
        hs_str list;
        bool server;
        hs_invite_rule rule;
    } LISTS[] = {
        { HS_S_INIT("allowed_users"), false, HS_INVITE_ALLOW },
        { HS_S_INIT("ignored_users"), false, HS_INVITE_IGNORE },
        { HS_S_INIT("blocked_users"), false, HS_INVITE_BLOCK },
        { HS_S_INIT("allowed_servers"), true, HS_INVITE_ALLOW },
        { HS_S_INIT("ignored_servers"), true, HS_INVITE_IGNORE },
        { HS_S_INIT("blocked_servers"), true, HS_INVITE_BLOCK },
    };
    hs_str server = hs_str_from(inviter, hs_str_find(inviter, ':', 0) + 1);
    size_t steps = LIST_STEPS;

    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++) {
        if (listed(hs_jv_get(config, LISTS[i].list), LISTS[i].server ? server : inviter, &steps))
            return LISTS[i].rule;
    }
    return HS_INVITE_ALLOW;
}
