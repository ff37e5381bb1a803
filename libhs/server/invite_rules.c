/* See invite_rules.h. */
#include "server/invite_rules.h"

#include "store/account_data.h"

static hs_error *load(hs_server *srv, hs_arena *a, hs_nid user, hs_str type, hs_jv *ret)
{
    hs_str text = { NULL, 0 };
    hs_jv config;

    *ret = (hs_jv){ 0 };
    HS_TRY(hs_store_account_data_get(srv->db, a, user, 0, type, &text));
    if (!text.p)
        return NULL;
    HS_TRY(hs_tape_parse(a, text, HS_JSON_OBJECT, &config));
    if (hs_jv_count(config) || !srv->config->msc3391_enabled) /* else it counts as deleted */
        *ret = config;
    return NULL;
}

hs_error *hs_invite_rules_load(hs_server *srv, hs_arena *a, hs_nid user, hs_invite_rules *ret)
{
    *ret = (hs_invite_rules){ 0 };
    HS_TRY(load(srv, a, user, HS_S("m.invite_permission_config"), &ret->all));
    if (hs_jv_is(ret->all) || !srv->config->msc4155_enabled)
        return NULL;
    return load(srv, a, user, HS_S("org.matrix.msc4155.invite_permission_config"), &ret->lists);
}

hs_invite_rule hs_invite_rules_ask(const hs_invite_rules *r, hs_str inviter)
{
    if (hs_jv_is(r->all))
        return hs_invite_rule_for_all(r->all);
    return hs_jv_is(r->lists) ? hs_invite_rule_listed(r->lists, inviter) : HS_INVITE_ALLOW;
}

hs_error *hs_invite_rule_of(hs_server *srv, hs_arena *a, hs_nid user, hs_str inviter, hs_invite_rule *ret)
{
    hs_invite_rules r;

    HS_TRY(hs_invite_rules_load(srv, a, user, &r));
    *ret = hs_invite_rules_ask(&r, inviter);
    return NULL;
}
