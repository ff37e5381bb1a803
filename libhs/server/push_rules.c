/* See push_rules.h. */
#include "server/push_rules.h"

#include "base/json_out.h"
#include "core/pushrules.h"

hs_error *hs_push_rules_json(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret)
{
    (void)srv;
    return hs_pushrules_default_json(a, who->user_id, ret);
}

static hs_error *unrecognized(hs_arena *a)
{
    return hs_err(a, 400, HS_M_UNRECOGNIZED, "Unrecognized request");
}

static hs_jv find_rule(hs_jv rules, hs_str rule_id)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(rules, &it);)
        if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("rule_id"))), rule_id))
            return it.value;
    return (hs_jv){ 0 };
}

hs_error *hs_push_rules_part(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind, hs_str rule_id,
                             hs_str attribute, hs_str *ret)
{
    hs_jv part, value;
    hs_str all;

    HS_TRY(hs_push_rules_json(srv, a, who, &all));
    HS_TRY(hs_tape_parse(a, all, HS_JSON_OBJECT, &part));
    part = hs_jv_get(part, HS_S("global"));
    if (kind.p) {
        part = hs_jv_get(part, kind);
        if (!hs_jv_is(part))
            return unrecognized(a);
    }
    if (rule_id.p) {
        part = find_rule(part, rule_id);
        if (!hs_jv_is(part))
            return hs_err(a, 404, HS_M_NOT_FOUND, "Not found");
    }
    if (!attribute.p) {
        *ret = hs_jv_raw(part);
        return NULL;
    }
    value = hs_jv_get(part, attribute);
    if (!hs_jv_is(value))
        return unrecognized(a);

    hs_buf b;
    hs_json_out j;
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_key(&j, attribute);
    hs_json_v_raw(&j, hs_jv_raw(value));
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}
