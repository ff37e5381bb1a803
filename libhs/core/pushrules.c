/* See pushrules.h. Rules are compiled once into conditions with their key paths split; evaluating reads the event's
 * tape. */
#include "core/pushrules.h"

#include "base/fields.h"
#include "base/vec.h"
#include "core/glob.h"

/* What judging one event by one set may cost, in steps of about a nanosecond. Patterns that are asked when it is used
 * up do not match. */
#define SET_STEPS ((size_t)4 << 20)

typedef enum {
    MATCH,
    PROPERTY_IS,
    PROPERTY_CONTAINS,
    DISPLAY_NAME,
    MEMBER_COUNT,
    SENDER_PERMISSION,
    IN_ROOM,
    FROM_SENDER,
    FOLLOWED, /* MSC4306 */
    NEVER,    /* an unknown condition matches nothing */
} condition_kind;

/* Whose name stands in the place of a condition's text. */
typedef enum { NOBODY, USER_ID, LOCALPART } self_kind;

typedef struct {
    condition_kind kind;
    self_kind self;
    hs_strs path;
    hs_str text;     /* pattern, value, room or sender */
    hs_jv value;     /* property conditions */
    char compare[2]; /* member count: '<', '>', '=' and whether '=' follows */
    int64_t count;
    bool body;                 /* content.body: matched at word boundaries */
    hs_push_followed followed; /* what it asks for */
} condition;

typedef struct {
    hs_str id;
    const condition *conditions;
    size_t n;
    hs_push_result result;
    bool legacy_mention; /* off when the event states its mentions */
} rule;

struct hs_pushrules {
    const rule *const *rules; /* enabled ones only, in order; default ones may be another set's */
    size_t n;
    bool ask_name, ask_power;
};

typedef HS_VEC(const rule *) rule_vec;

/* A set that is being made: what lasts goes to `a`, what does not to `scratch`. */
typedef struct {
    hs_arena *a, *scratch;
    const hs_pushrules *base; /* whose default rules are shared; NULL: nobody's */
    rule_vec rules;
    bool ask_name, ask_power;
} compiler;

/* "content.m\.relates_to.rel_type": dots separate, a backslash keeps a dot or a backslash. */
static hs_error *split_path(hs_arena *a, hs_str key, hs_strs *ret)
{
    HS_VEC(hs_str) parts = { 0 };
    char *p;
    size_t from = 0, n = 0;

    HS_TRY(hs_alloc(a, key.n + 1, &p));
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        if (c == '.') {
            HS_TRY(hs_vec_push(a, &parts, hs_str_make(p + from, n - from)));
            from = n;
            continue;
        }
        if (c == '\\' && i + 1 < key.n && (key.p[i + 1] == '.' || key.p[i + 1] == '\\'))
            c = key.p[++i];
        p[n++] = c;
    }
    HS_TRY(hs_vec_push(a, &parts, hs_str_make(p + from, n - from)));

    *ret = (hs_strs){ .at = parts.at, .n = parts.n };
    return NULL;
}

static self_kind self_of(hs_str text)
{
    if (hs_str_eq(text, hs_push_anybody))
        return USER_ID;
    return hs_str_eq(text, HS_S("\x01")) ? LOCALPART : NOBODY;
}

static bool read_count(hs_str is, condition *c)
{
    size_t i = 0;

    c->compare[0] = '=';
    if (is.n && strchr("<>=", is.p[0])) {
        c->compare[0] = is.p[i++];
        if (i < is.n && is.p[i] == '=')
            c->compare[1] = is.p[i++];
    }
    return hs_str_to_i64(hs_str_from(is, i), &c->count);
}

static hs_error *read_condition(hs_arena *a, hs_jv v, condition *c)
{
    hs_str kind = hs_jv_str_or_null(hs_jv_get(v, HS_S("kind")));
    hs_str key = hs_jv_str_or_null(hs_jv_get(v, HS_S("key")));

    *c = (condition){ .kind = NEVER };
    if (hs_str_eq(kind, HS_S("event_match"))) {
        if (key.p && hs_jv_str(hs_jv_get(v, HS_S("pattern")), &c->text))
            c->kind = MATCH;
        c->body = hs_str_eq(key, HS_S("content.body"));
    } else if (hs_str_eq(kind, HS_S("event_property_is")) || hs_str_eq(kind, HS_S("event_property_contains"))) {
        c->value = hs_jv_get(v, HS_S("value"));
        if (key.p && hs_jv_is(c->value))
            c->kind = kind.n == strlen("event_property_is") ? PROPERTY_IS : PROPERTY_CONTAINS;
    } else if (hs_str_eq(kind, HS_S("contains_display_name"))) {
        c->kind = DISPLAY_NAME;
    } else if (hs_str_eq(kind, HS_S("room_member_count"))) {
        if (read_count(hs_jv_str_or_null(hs_jv_get(v, HS_S("is"))), c))
            c->kind = MEMBER_COUNT;
    } else if (hs_str_eq(kind, HS_S("sender_notification_permission"))) {
        c->kind = hs_str_eq(key, HS_S("room")) ? SENDER_PERMISSION : NEVER;
    } else if (hs_str_eq(kind, HS_S("io.element.msc4306.thread_subscription"))) {
        bool is;

        if (hs_jv_bool(hs_jv_get(v, HS_S("subscribed")), &is)) {
            c->kind = FOLLOWED;
            c->followed = is ? HS_PUSH_FOLLOWED : HS_PUSH_NOT_FOLLOWED;
        }
    }
    return c->kind != NEVER && key.p ? split_path(a, key, &c->path) : NULL;
}

/* notify counts; highlight is a tweak whose value is true unless it says otherwise. */
static hs_push_result read_actions(hs_jv actions)
{
    hs_push_result r = { .actions = hs_jv_is(actions) ? hs_jv_raw(actions) : HS_S("") };

    for (hs_jv_iter it = { 0 }; hs_jv_next(actions, &it);) {
        hs_str s = hs_jv_str_or_null(it.value);
        if (hs_str_eq(s, HS_S("notify")))
            r.notify = true;
        if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("set_tweak"))), HS_S("highlight"))) {
            r.highlight = true;
            (void)hs_jv_bool(hs_jv_get(it.value, HS_S("value")), &r.highlight);
        }
    }
    r.highlight = r.highlight && r.notify;
    return r;
}

static bool is_legacy_mention(hs_str rule_id)
{
    return hs_str_eq(rule_id, HS_S(".m.rule.contains_display_name")) ||
           hs_str_eq(rule_id, HS_S(".m.rule.contains_user_name")) || hs_str_eq(rule_id, HS_S(".m.rule.roomnotif"));
}

static hs_error *read_rule(compiler *k, hs_str kind, hs_jv v, bool is_default)
{
    hs_str id = hs_jv_str_or_null(hs_jv_get(v, HS_S("rule_id")));
    hs_jv list = hs_jv_get(v, HS_S("conditions"));
    condition *c;
    size_t n = 0;
    rule *r;

    HS_TRY(hs_alloc(k->a, hs_jv_count(list) + 1, &c));
    if (hs_str_eq(kind, HS_S("content"))) {
        c[n] = (condition){ .kind = MATCH, .body = true };
        HS_TRY(split_path(k->a, HS_S("content.body"), &c[n].path));
        if (!hs_jv_str(hs_jv_get(v, HS_S("pattern")), &c[n].text))
            return NULL;
        c[n].self = is_default ? self_of(c[n].text) : NOBODY;
        n++;
    } else if (hs_str_eq(kind, HS_S("room")) || hs_str_eq(kind, HS_S("sender"))) {
        c[n++] = (condition){ .kind = kind.p[0] == 'r' ? IN_ROOM : FROM_SENDER, .text = id };
    } else {
        for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it); n++) {
            HS_TRY(read_condition(k->a, it.value, &c[n]));
            c[n].self = is_default ? self_of(c[n].text.n ? c[n].text : hs_jv_str_or_null(c[n].value)) : NOBODY;
            k->ask_name |= !is_default && c[n].kind == DISPLAY_NAME;
            k->ask_power |= !is_default && c[n].kind == SENDER_PERMISSION;
        }
    }
    HS_TRY(hs_alloc(k->a, 1, &r));
    *r = (rule){ .id = id,
                 .conditions = c,
                 .n = n,
                 .result = read_actions(hs_jv_get(v, HS_S("actions"))),
                 .legacy_mention = is_legacy_mention(id) };
    return hs_vec_push(k->scratch, &k->rules, r);
}

/* The same default rule of the base; NULL: the user has changed it. */
static const rule *shared_rule(const compiler *k, hs_jv v)
{
    hs_str id = hs_jv_str_or_null(hs_jv_get(v, HS_S("rule_id")));
    hs_jv actions = hs_jv_get(v, HS_S("actions"));

    for (size_t i = 0; k->base && i < k->base->n; i++) {
        const rule *r = k->base->rules[i];

        if (hs_str_eq(r->id, id))
            return hs_jv_is(actions) && hs_str_eq(hs_jv_raw(actions), r->result.actions) ? r : NULL;
    }
    return NULL;
}

static hs_error *add_rule(compiler *k, hs_str kind, hs_jv v)
{
    bool enabled = true, is_default = false;
    const rule *shared;
    hs_str text;

    (void)hs_jv_bool(hs_jv_get(v, HS_S("default")), &is_default);
    (void)hs_jv_bool(hs_jv_get(v, HS_S("enabled")), &enabled);
    if (!enabled)
        return NULL;
    shared = is_default ? shared_rule(k, v) : NULL;
    if (shared)
        return hs_vec_push(k->scratch, &k->rules, shared);
    if (k->a != k->scratch) { /* its texts must last */
        HS_TRY(hs_str_dup(k->a, hs_jv_raw(v), &text));
        HS_TRY(hs_tape_parse(k->a, text, HS_JSON_OBJECT, &v));
    }
    return read_rule(k, kind, v, is_default);
}

hs_error *hs_pushrules_compile_onto(hs_arena *a, hs_arena *scratch, const hs_pushrules *base, hs_str rules_json,
                                    hs_pushrules **ret)
{
    static const hs_str KINDS[] = { HS_S_INIT("override"), HS_S_INIT("content"), HS_S_INIT("postcontent"),
                                    HS_S_INIT("room"),     HS_S_INIT("sender"),  HS_S_INIT("underride") };
    compiler k = { .a = a, .scratch = scratch, .base = base };
    const rule **rules;
    hs_pushrules *r;
    hs_jv top;

    HS_TRY(hs_tape_parse(scratch, rules_json, HS_JSON_OBJECT, &top));
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        hs_jv list = hs_jv_get(hs_jv_get(top, HS_S("global")), KINDS[i]);
        for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);)
            HS_TRY(add_rule(&k, KINDS[i], it.value));
    }
    HS_TRY(hs_alloc(a, k.rules.n, &rules));
    if (k.rules.n)
        memcpy(rules, k.rules.at, k.rules.n * sizeof *rules);
    HS_TRY(hs_alloc(a, 1, &r));
    *r = (hs_pushrules){ .rules = rules, .n = k.rules.n, .ask_name = k.ask_name, .ask_power = k.ask_power };

    *ret = r;
    return NULL;
}

hs_error *hs_pushrules_compile(hs_arena *a, hs_str rules_json, hs_pushrules **ret)
{
    return hs_pushrules_compile_onto(a, a, NULL, rules_json, ret);
}

bool hs_pushrules_ask_name(const hs_pushrules *r)
{
    return r->ask_name;
}

bool hs_pushrules_ask_power(const hs_pushrules *r)
{
    return r->ask_power;
}

static hs_jv lookup(const hs_event *e, hs_strs path)
{
    hs_jv v = e->top;

    for (size_t i = 0; i < path.n; i++)
        v = hs_jv_get(v, path.at[i]);
    return v;
}

/* Of the same type and value; containers never are. */
static bool same_scalar(hs_jv x, hs_jv y)
{
    hs_jv_type t = hs_jv_type_of(x);
    hs_str s1, s2;

    if (t != hs_jv_type_of(y) || t == HS_JV_ABSENT || t == HS_JV_ARR || t == HS_JV_OBJ)
        return false;
    if (hs_jv_str(x, &s1) && hs_jv_str(y, &s2))
        return hs_str_eq(s1, s2);
    return hs_str_eq(hs_jv_raw(x), hs_jv_raw(y));
}

static bool same_text(hs_jv x, hs_str wanted)
{
    hs_str s;

    return hs_jv_str(x, &s) && hs_str_eq(s, wanted);
}

static bool contains(hs_jv list, const condition *c, hs_str self, size_t *steps)
{
    size_t cost = hs_jv_count(list) * 8;

    if (hs_jv_type_of(list) != HS_JV_ARR || cost > *steps)
        return false;
    *steps -= cost;
    for (hs_jv_iter it = { 0 }; hs_jv_next(list, &it);)
        if (c->self ? same_text(it.value, self) : same_scalar(it.value, c->value))
            return true;
    return false;
}

static bool count_matches(const condition *c, int64_t members)
{
    switch (c->compare[0]) {
    case '<':
        return members < c->count || (c->compare[1] && members == c->count);
    case '>':
        return members > c->count || (c->compare[1] && members == c->count);
    default:
        return members == c->count;
    }
}

static bool holds(const condition *c, const hs_event *e, const hs_push_ctx *ctx, size_t *steps)
{
    hs_str s, self = c->self == USER_ID ? ctx->user_id : ctx->localpart;

    if (c->self && !ctx->user_id.p)
        return false;
    switch (c->kind) {
    case MATCH:
        if (!hs_jv_str(lookup(e, c->path), &s))
            return false;
        if (c->self)
            return c->body ? hs_words_match(self, s) : hs_str_eq_nocase(self, s);
        return c->body ? hs_glob_match_words_within(c->text, s, steps) : hs_glob_match_within(c->text, s, steps);
    case PROPERTY_IS:
        return c->self ? same_text(lookup(e, c->path), self) : same_scalar(lookup(e, c->path), c->value);
    case PROPERTY_CONTAINS:
        return contains(lookup(e, c->path), c, self, steps);
    case DISPLAY_NAME:
        return ctx->display_name.n && hs_jv_str(hs_jv_get(e->content, HS_S("body")), &s) &&
               hs_words_match(ctx->display_name, s);
    case MEMBER_COUNT:
        return count_matches(c, ctx->room_members);
    case SENDER_PERMISSION:
        return ctx->sender_power >= ctx->room_notification_power;
    case IN_ROOM:
        return hs_str_eq(c->text, e->room_id);
    case FROM_SENDER:
        return hs_str_eq(c->text, e->sender);
    case FOLLOWED:
        return ctx->followed == c->followed;
    case NEVER:
        break;
    }
    return false;
}

static const rule *first_match(const hs_pushrules *r, const hs_event *e, const hs_push_ctx *ctx, size_t *steps)
{
    bool states_mentions = hs_jv_is(hs_jv_get(e->content, HS_S("m.mentions")));

    for (size_t i = 0; i < r->n; i++) {
        const rule *one = r->rules[i];
        size_t k = 0;
        if (one->legacy_mention && states_mentions)
            continue;
        while (k < one->n && holds(&one->conditions[k], e, ctx, steps))
            k++;
        if (k == one->n)
            return one;
    }
    return NULL;
}

hs_push_result hs_push_eval(const hs_pushrules *r, const hs_event *e, const hs_push_ctx *ctx)
{
    size_t most = ctx->steps && *ctx->steps < SET_STEPS ? *ctx->steps : SET_STEPS, left = most;
    const rule *found = first_match(r, e, ctx, &left);

    if (ctx->steps)
        *ctx->steps -= most - left;
    return found ? found->result : (hs_push_result){ 0 };
}
