/* Push rules. Spec: Client-Server API, "Push Rules: API". */
#include "server/push_rules.h"
#include "runtime/http.h"

/* GET …/pushrules/ */
static hs_error *get_all(hs_req *q, hs_res *r)
{
    hs_str rules;

    HS_TRY(hs_push_rules_json(q->srv, q->a, q->who, &rules));

    hs_res_bytes(r, 200, HS_S("application/json"), rules);
    return NULL;
}

static hs_error *get_part(hs_req *q, hs_res *r, hs_str kind, hs_str rule_id, hs_str attribute)
{
    hs_str part;

    HS_TRY(hs_push_rules_part(q->srv, q->a, q->who, kind, rule_id, attribute, &part));

    hs_res_bytes(r, 200, HS_S("application/json"), part);
    return NULL;
}

/* GET …/pushrules/global/ */
static hs_error *get_global(hs_req *q, hs_res *r)
{
    return get_part(q, r, (hs_str){ 0 }, (hs_str){ 0 }, (hs_str){ 0 });
}

/* GET …/pushrules/global/{kind}/ */
static hs_error *get_kind(hs_req *q, hs_res *r)
{
    return get_part(q, r, hs_path_param(q, "kind"), (hs_str){ 0 }, (hs_str){ 0 });
}

/* GET …/pushrules/global/{kind}/{ruleId} */
static hs_error *get_rule(hs_req *q, hs_res *r)
{
    return get_part(q, r, hs_path_param(q, "kind"), hs_path_param(q, "ruleId"), (hs_str){ 0 });
}

/* GET …/pushrules/global/{kind}/{ruleId}/{attribute} */
static hs_error *get_attribute(hs_req *q, hs_res *r)
{
    return get_part(q, r, hs_path_param(q, "kind"), hs_path_param(q, "ruleId"), hs_path_param(q, "attribute"));
}

/* PUT …/pushrules/global/{kind}/{ruleId} */
static hs_error *put_rule(hs_req *q, hs_res *r)
{
    hs_push_put in = { .kind = hs_path_param(q, "kind"), .rule_id = hs_path_param(q, "ruleId") };

    HS_TRY(hs_req_value(q, &in.body));
    in.before = hs_query(q, "before");
    in.after = hs_query(q, "after");

    HS_TRY(hs_push_rules_put(q->srv, q->a, q->who, &in));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/pushrules/global/{kind}/{ruleId} */
static hs_error *delete_rule(hs_req *q, hs_res *r)
{
    HS_TRY(hs_push_rules_remove(q->srv, q->a, q->who, hs_path_param(q, "kind"), hs_path_param(q, "ruleId")));

    hs_res_empty(r);
    return NULL;
}

/* PUT …/pushrules/global/{kind}/{ruleId}/{attribute} */
static hs_error *put_attribute(hs_req *q, hs_res *r)
{
    hs_jv body;

    HS_TRY(hs_req_value(q, &body));

    HS_TRY(hs_push_rules_set(q->srv, q->a, q->who, hs_path_param(q, "kind"), hs_path_param(q, "ruleId"),
                             hs_path_param(q, "attribute"), body));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_push_rules[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/pushrules/", get_all, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_GET, "api/v1 r0 v3 unstable", "/pushrules/global/", get_global, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_GET, "api/v1 r0 v3 unstable", "/pushrules/global/{kind}/", get_kind, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_GET, "api/v1 r0 v3 unstable", "/pushrules/global/{kind}/{ruleId}", get_rule, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_GET, "api/v1 r0 v3 unstable", "/pushrules/global/{kind}/{ruleId}/{attribute}", get_attribute, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_PUT, "api/v1 r0 v3 unstable", "/pushrules/global/{kind}/{ruleId}", put_rule, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_DELETE, "api/v1 r0 v3 unstable", "/pushrules/global/{kind}/{ruleId}", delete_rule, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { HS_PUT, "api/v1 r0 v3 unstable", "/pushrules/global/{kind}/{ruleId}/{attribute}", put_attribute, .who = HS_AUTH_USER, .servlet = "PushRuleRestServlet" },
    { 0 },
};
/* clang-format on */
