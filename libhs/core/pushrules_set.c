/* See pushrules_set.h. Stored as {"override":[{"rule_id":…,"conditions":[…],"actions":[…],"enabled":true}, …], …,
 * "default":{"override/.m.rule.master":{"enabled":true,"actions":[…]}}}. */
#include "core/pushrules_set.h"

const hs_str hs_push_kind_names[HS_PUSH_KINDS] = {
    [HS_PUSH_OVERRIDE] = HS_S_INIT("override"),       [HS_PUSH_CONTENT] = HS_S_INIT("content"),
    [HS_PUSH_POSTCONTENT] = HS_S_INIT("postcontent"), [HS_PUSH_ROOM] = HS_S_INIT("room"),
    [HS_PUSH_SENDER] = HS_S_INIT("sender"),           [HS_PUSH_UNDERRIDE] = HS_S_INIT("underride"),
};

bool hs_push_kind_parse(hs_str s, hs_push_kind *ret)
{
    for (int k = 0; k < HS_PUSH_KINDS; k++) {
        if (hs_str_eq(s, hs_push_kind_names[k])) {
            *ret = (hs_push_kind)k;
            return true;
        }
    }
    return false;
}

static hs_str raw_or_null(hs_jv v)
{
    return hs_jv_is(v) ? hs_jv_raw(v) : hs_str_make(NULL, 0);
}

static hs_error *read_own(hs_arena *a, hs_jv list, hs_push_owns *out)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        hs_push_own own = { .rule_id = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("rule_id"))),
                            .conditions = raw_or_null(hs_jv_get(it.value, HS_S("conditions"))),
                            .pattern = raw_or_null(hs_jv_get(it.value, HS_S("pattern"))),
                            .actions = raw_or_null(hs_jv_get(it.value, HS_S("actions"))),
                            .enabled = true };

        (void)hs_jv_bool(hs_jv_get(it.value, HS_S("enabled")), &own.enabled);
        if (own.rule_id.p && own.actions.p)
            HS_TRY(hs_vec_push(a, out, own));
    }
    return NULL;
}

static hs_error *read_changed(hs_arena *a, hs_jv map, hs_push_set *s)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(map, &it);) {
        hs_push_changed c = { .actions = raw_or_null(hs_jv_get(it.value, HS_S("actions"))) };
        hs_str id = it.key, kind = hs_str_split(&id, '/');

        c.has_enabled = hs_jv_bool(hs_jv_get(it.value, HS_S("enabled")), &c.enabled);
        c.rule_id = id;
        if (hs_push_kind_parse(kind, &c.kind))
            HS_TRY(hs_vec_push(a, &s->changed, c));
    }
    return NULL;
}

hs_error *hs_push_set_read(hs_arena *a, hs_str changes, hs_push_set *ret)
{
    hs_jv top;

    *ret = (hs_push_set){ 0 };
    if (!changes.n)
        return NULL;
    HS_TRY(hs_tape_parse(a, changes, HS_JSON_OBJECT, &top));
    for (int k = 0; k < HS_PUSH_KINDS; k++)
        HS_TRY(read_own(a, hs_jv_get(top, hs_push_kind_names[k]), &ret->own[k]));
    return read_changed(a, hs_jv_get(top, HS_S("default")), ret);
}

static hs_error *write_changed(hs_arena *a, hs_json_out *j, const hs_push_set *s)
{
    hs_json_obj_at(j, "default");
    for (size_t i = 0; i < s->changed.n; i++) {
        const hs_push_changed *c = &s->changed.at[i];
        hs_str key;

        HS_TRY(hs_str_cat(a, &key, 3, hs_push_kind_names[c->kind], HS_S("/"), c->rule_id));
        hs_json_key(j, key);
        hs_json_obj(j);
        if (c->has_enabled)
            hs_json_bool(j, "enabled", c->enabled);
        if (c->actions.p)
            hs_json_raw(j, "actions", c->actions);
        hs_json_end(j);
    }
    hs_json_end(j);
    return NULL;
}

hs_error *hs_push_set_write(hs_arena *a, const hs_push_set *s, hs_str *ret)
{
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (int k = 0; k < HS_PUSH_KINDS; k++) {
        if (!s->own[k].n)
            continue;
        hs_json_key(&j, hs_push_kind_names[k]);
        hs_json_arr(&j);
        for (size_t i = 0; i < s->own[k].n; i++) {
            const hs_push_own *own = &s->own[k].at[i];

            hs_json_obj(&j);
            hs_json_str(&j, "rule_id", own->rule_id);
            if (own->conditions.p)
                hs_json_raw(&j, "conditions", own->conditions);
            if (own->pattern.p)
                hs_json_raw(&j, "pattern", own->pattern);
            hs_json_raw(&j, "actions", own->actions);
            hs_json_bool(&j, "enabled", own->enabled);
            hs_json_end(&j);
        }
        hs_json_end(&j);
    }
    if (s->changed.n)
        HS_TRY(write_changed(a, &j, s));
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

hs_push_changed *hs_push_set_changed(const hs_push_set *s, hs_push_kind kind, hs_str rule_id)
{
    for (size_t i = 0; i < s->changed.n; i++) {
        if (s->changed.at[i].kind == kind && hs_str_eq(s->changed.at[i].rule_id, rule_id))
            return &s->changed.at[i];
    }
    return NULL;
}
