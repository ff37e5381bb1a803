/* A change of somebody's push rules: the stored text of their changes in, the new one out. Errors are those that the
 * client reads, with Synapse's texts. Spec: Client-Server API, "Push Rules: API". */
#include "core/pushrules_set.h"

static hs_error *bad(hs_arena *a, const char *text)
{
    return hs_err(a, 400, HS_M_UNKNOWN, "%s", text);
}

static size_t find_own(const hs_push_owns *owns, hs_str rule_id)
{
    size_t i = 0;

    while (i < owns->n && !hs_str_eq(owns->at[i].rule_id, rule_id))
        i++;
    return i;
}

static void take_out(hs_push_owns *owns, size_t at)
{
    memmove(owns->at + at, owns->at + at + 1, (owns->n - at - 1) * sizeof *owns->at);
    owns->n--;
}

static hs_error *check_actions(hs_arena *a, hs_jv actions, const char *before)
{
    if (hs_jv_type_of(actions) != HS_JV_ARR)
        return hs_err(a, 400, HS_M_UNKNOWN, "%sNo actions found", before);
    for (hs_jv_iter it = { 0 }; hs_jv_next(actions, &it);) {
        hs_str s = hs_jv_str_or_null(it.value);

        if (hs_str_eq(s, HS_S("notify")) || hs_str_eq(s, HS_S("dont_notify")) || hs_str_eq(s, HS_S("coalesce")) ||
            hs_jv_is(hs_jv_get(it.value, HS_S("set_tweak"))))
            continue;
        hs_str raw = hs_str_first(hs_jv_raw(it.value), 100);
        return hs_err(a, 400, HS_M_UNKNOWN, "%sUnrecognised action %.*s", before, HS_FMT(raw));
    }
    return NULL;
}

static hs_error *check_kind(hs_arena *a, hs_str kind, hs_push_kind *ret)
{
    if (!hs_push_kind_parse(kind, ret))
        return hs_err(a, 400, HS_M_UNKNOWN, "Unknown template: %.*s", HS_FMT(kind));
    return NULL;
}

static hs_error *check_size(hs_arena *a, const hs_push_own *own, const hs_push_limits *limits)
{
    size_t n = own->conditions.n + own->pattern.n + own->actions.n;

    if ((int64_t)n > limits->rule_size)
        return hs_err(a, 413, HS_M_UNKNOWN, "Push rule size exceeds server limit (%zu bytes > %lld bytes).", n,
                      (long long)limits->rule_size);
    return NULL;
}

static hs_error *read_rule(hs_arena *a, hs_push_kind kind, hs_str rule_id, hs_jv body, hs_push_own *ret)
{
    hs_jv conditions = hs_jv_get(body, HS_S("conditions")), pattern = hs_jv_get(body, HS_S("pattern"));
    hs_jv actions = hs_jv_get(body, HS_S("actions"));

    *ret = (hs_push_own){ .rule_id = rule_id, .enabled = true };
    switch (kind) {
    case HS_PUSH_POSTCONTENT:
        return hs_err(a, 400, HS_M_INVALID_PARAM, "user-defined rules using `postcontent` are not accepted");
    case HS_PUSH_OVERRIDE:
    case HS_PUSH_UNDERRIDE:
        if (hs_jv_type_of(conditions) != HS_JV_ARR)
            return bad(a, "Missing 'conditions'");
        for (hs_jv_iter it = { 0 }; hs_jv_next(conditions, &it);)
            if (hs_jv_type_of(hs_jv_get(it.value, HS_S("kind"))) != HS_JV_STR)
                return bad(a, "Condition without 'kind'");
        ret->conditions = hs_jv_raw(conditions);
        break;
    case HS_PUSH_CONTENT:
        if (hs_jv_type_of(pattern) != HS_JV_STR)
            return bad(a, "Content rule missing 'pattern'");
        ret->pattern = hs_jv_raw(pattern);
        break;
    case HS_PUSH_ROOM:
    case HS_PUSH_SENDER:
    case HS_PUSH_KINDS:
        break;
    }
    if (!hs_jv_is(actions))
        return bad(a, "No actions found");
    ret->actions = hs_jv_raw(actions);
    return check_actions(a, actions, "");
}

/* Where a rule goes: at the top of its kind, or beside another one. */
static hs_error *place_of(hs_arena *a, const hs_push_set *s, hs_push_kind kind, hs_str before, hs_str after,
                          size_t *ret)
{
    hs_str other = before.n ? before : after;
    const hs_push_changed *changed;

    *ret = 0;
    if (!other.n)
        return NULL;
    *ret = find_own(&s->own[kind], other);
    if (*ret < s->own[kind].n) {
        *ret += before.n ? 0 : 1;
        return NULL;
    }
    changed = hs_push_set_changed(s, kind, other);
    if (changed && changed->actions.p)
        return bad(a, "Given priority class does not match class of relative rule");
    return hs_err(a, 400, HS_M_UNKNOWN, "before/after rule not found: global/%.*s/%.*s",
                  HS_FMT(hs_push_kind_names[kind]), HS_FMT(other));
}

static size_t count_own(const hs_push_set *s)
{
    size_t n = 0;

    for (int k = 0; k < HS_PUSH_KINDS; k++)
        n += s->own[k].n;
    return n;
}

static hs_error *insert_at(hs_arena *a, hs_push_owns *owns, size_t at, const hs_push_own *own)
{
    HS_TRY(hs_vec_push(a, owns, *own));
    memmove(owns->at + at + 1, owns->at + at, (owns->n - at - 1) * sizeof *owns->at);
    owns->at[at] = *own;
    return NULL;
}

/* A rule that is there keeps whether it is on, whatever else it becomes. */
static hs_error *put_own(hs_arena *a, hs_push_set *s, hs_push_kind kind, hs_push_own *own, size_t at,
                         const hs_push_limits *limits)
{
    hs_push_owns *owns = &s->own[kind];
    size_t old = find_own(owns, own->rule_id), n = count_own(s);

    if (old == owns->n) {
        if ((int64_t)n >= limits->rule_count)
            return hs_err(a, 400, HS_M_UNKNOWN,
                          "Creating a push rule would exceed the limit on the number of push rules associated with "
                          "your account (%zu rules > %lld rules)",
                          n + 1, (long long)limits->rule_count);
        return insert_at(a, owns, at, own);
    }
    own->enabled = owns->at[old].enabled;
    take_out(owns, old);
    return insert_at(a, owns, at > old ? at - 1 : at, own);
}

hs_error *hs_pushrules_put(hs_arena *a, hs_str changes, const hs_push_put *in, const hs_push_limits *limits,
                           hs_str *ret)
{
    hs_push_set s;
    hs_push_kind kind;
    hs_push_own own;
    size_t at, id_n = strlen("global//") + in->kind.n + in->rule_id.n;

    HS_TRY(check_kind(a, in->kind, &kind));
    if (hs_str_starts(in->rule_id, HS_S(".")))
        return bad(a, "cannot add new rule_ids that start with '.'");
    HS_TRY(read_rule(a, kind, in->rule_id, in->body, &own));
    if ((int64_t)id_n > limits->rule_id_length)
        return hs_err(a, 413, HS_M_UNKNOWN, "Push rule ID length exceeds server limit (%zu bytes > %lld bytes).", id_n,
                      (long long)limits->rule_id_length);
    HS_TRY(check_size(a, &own, limits));
    HS_TRY(hs_push_set_read(a, changes, &s));
    HS_TRY(place_of(a, &s, kind, in->before, in->after, &at));
    HS_TRY(put_own(a, &s, kind, &own, at, limits));
    return hs_push_set_write(a, &s, ret);
}

hs_error *hs_pushrules_remove(hs_arena *a, hs_str changes, hs_str kind_name, hs_str rule_id, hs_str *ret)
{
    hs_push_set s;
    hs_push_kind kind;
    hs_push_changed *changed;
    size_t at;

    HS_TRY(hs_push_set_read(a, changes, &s));
    if (!hs_push_kind_parse(kind_name, &kind))
        return hs_err(a, 404, HS_M_NOT_FOUND, "Not found");
    at = find_own(&s.own[kind], rule_id);
    changed = hs_push_set_changed(&s, kind, rule_id);
    if (at < s.own[kind].n)
        take_out(&s.own[kind], at);
    else if (changed && changed->actions.p) /* its actions are the default ones again */
        *changed = s.changed.at[--s.changed.n];
    else
        return hs_err(a, 404, HS_M_NOT_FOUND, "Not found");
    return hs_push_set_write(a, &s, ret);
}

/* What is said of a default rule, made when nothing was said yet. */
static hs_error *changed_of(hs_arena *a, hs_push_set *s, hs_push_kind kind, hs_str rule_id, hs_push_changed **ret)
{
    if (!hs_push_is_default(kind, rule_id))
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown rule");
    *ret = hs_push_set_changed(s, kind, rule_id);
    if (*ret)
        return NULL;
    HS_TRY(hs_vec_push(a, &s->changed, (hs_push_changed){ .kind = kind, .rule_id = rule_id }));
    *ret = &s->changed.at[s->changed.n - 1];
    return NULL;
}

static hs_error *own_of(hs_arena *a, hs_push_set *s, hs_push_kind kind, hs_str rule_id, hs_push_own **ret)
{
    size_t at = find_own(&s->own[kind], rule_id);

    if (at == s->own[kind].n)
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown rule");
    *ret = &s->own[kind].at[at];
    return NULL;
}

hs_error *hs_pushrules_enable(hs_arena *a, hs_str changes, hs_str kind_name, hs_str rule_id, hs_jv body, hs_str *ret)
{
    hs_jv value = hs_jv_type_of(body) == HS_JV_OBJ ? hs_jv_get(body, HS_S("enabled")) : body;
    hs_push_changed *changed;
    hs_push_own *own;
    hs_push_kind kind;
    hs_push_set s;
    bool on;

    HS_TRY(check_kind(a, kind_name, &kind));
    HS_TRY(hs_push_set_read(a, changes, &s));
    if (rule_id.n && rule_id.p[0] == '.') {
        HS_TRY(changed_of(a, &s, kind, rule_id, &changed));
        if (!hs_jv_bool(value, &on))
            return bad(a, "Value for 'enabled' must be boolean");
        changed->has_enabled = true;
        changed->enabled = on;
    } else {
        if (!hs_jv_bool(value, &on))
            return bad(a, "Value for 'enabled' must be boolean");
        HS_TRY(own_of(a, &s, kind, rule_id, &own));
        own->enabled = on;
    }
    return hs_push_set_write(a, &s, ret);
}

hs_error *hs_pushrules_set_actions(hs_arena *a, hs_str changes, hs_str kind_name, hs_str rule_id, hs_jv body,
                                   const hs_push_limits *limits, hs_str *ret)
{
    hs_jv actions = hs_jv_get(body, HS_S("actions"));
    hs_push_own sized = { .actions = hs_jv_is(actions) ? hs_jv_raw(actions) : hs_str_make(NULL, 0) };
    hs_push_changed *changed;
    hs_push_own *own;
    hs_push_kind kind;
    hs_push_set s;

    HS_TRY(check_kind(a, kind_name, &kind));
    HS_TRY(hs_push_set_read(a, changes, &s));
    if (rule_id.n && rule_id.p[0] == '.' && !hs_push_is_default(kind, rule_id))
        return hs_err(a, 404, HS_M_NOT_FOUND, "Unknown rule");
    if (hs_jv_type_of(body) != HS_JV_OBJ)
        return bad(a, "Value must be a dict");
    if (hs_jv_type_of(actions) != HS_JV_ARR)
        return bad(a, "Value for 'actions' must be dict");
    HS_TRY(check_actions(a, actions, "Invalid actions: "));
    if (rule_id.n && rule_id.p[0] == '.') {
        HS_TRY(check_size(a, &sized, limits));
        HS_TRY(changed_of(a, &s, kind, rule_id, &changed));
        changed->actions = sized.actions;
    } else {
        HS_TRY(own_of(a, &s, kind, rule_id, &own));
        sized.conditions = own->conditions;
        sized.pattern = own->pattern;
        HS_TRY(check_size(a, &sized, limits));
        own->actions = sized.actions;
    }
    return hs_push_set_write(a, &s, ret);
}

/* ── a room that has moved ── */

/* The conditions with the new room in the place of the old one; p NULL: they do not name it. */
static hs_error *moved_conditions(hs_arena *a, hs_str conditions, hs_str from, hs_str to, hs_str *ret)
{
    bool named = false;
    hs_jv list;
    hs_buf b;
    hs_json_out j;

    *ret = hs_str_make(NULL, 0);
    if (!conditions.n)
        return NULL;
    HS_TRY(hs_tape_parse(a, conditions, 0, &list));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_arr(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);) {
        bool this = hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("key"))), HS_S("room_id")) &&
                    hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("pattern"))), from);

        named |= this;
        hs_json_obj(&j);
        for (hs_jv_iter m = { 0 }; hs_jv_next(it.value, &m);) {
            hs_json_key(&j, m.key);
            if (this && hs_str_eq(m.key, HS_S("pattern")))
                hs_json_v_str(&j, to);
            else
                hs_json_v_raw(&j, hs_jv_raw(m.value));
        }
        hs_json_end(&j);
    }
    hs_json_end(&j);
    return named ? hs_buf_flatten(&b, ret) : NULL;
}

hs_error *hs_pushrules_move_room(hs_arena *a, hs_str changes, hs_str from, hs_str to, const hs_push_limits *limits,
                                 bool *ret_changed, hs_str *ret)
{
    hs_push_set s;

    *ret_changed = false;
    HS_TRY(hs_push_set_read(a, changes, &s));
    for (int k = 0; k < HS_PUSH_KINDS; k++) {
        for (size_t i = 0, n = s.own[k].n; i < n && i < s.own[k].n; i++) {
            hs_push_own copy = s.own[k].at[i];
            hs_push_kind kind = (hs_push_kind)k;

            if (!copy.enabled || (kind == HS_PUSH_ROOM ? !hs_str_eq(copy.rule_id, from) : !copy.conditions.p))
                continue;
            if (kind != HS_PUSH_ROOM) {
                HS_TRY(moved_conditions(a, copy.conditions, from, to, &copy.conditions));
                if (!copy.conditions.p)
                    continue;
            }
            copy.rule_id = to;
            if (hs_str_eq(s.own[k].at[i].rule_id, to) || (int64_t)count_own(&s) >= limits->rule_count)
                continue;
            size_t before = s.own[k].n;
            HS_TRY(put_own(a, &s, kind, &copy, s.own[k].n, limits)); /* behind: the walk goes on undisturbed */
            *ret_changed = true;
            if (s.own[k].n == before)
                break;
        }
    }
    return hs_push_set_write(a, &s, ret);
}
