/* See push_rules.h. */
#include "server/push_rules.h"

#include "base/checked.h"
#include "base/json_out.h"
#include "core/sign.h"
#include "server/account_data.h"
#include "server/news.h"
#include "store/push_rules.h"

#define CHANGES_MAX HS_MIB(1) /* of all rules of a user */

unsigned hs_push_features(const hs_config *c)
{
    return (c->msc3381_polls_enabled ? HS_PUSH_POLLS : 0) | (c->msc4028_push_encrypted_events ? HS_PUSH_ENCRYPTED : 0) |
           (c->msc4075_enabled ? HS_PUSH_CALLS : 0) | (c->msc4210_enabled ? HS_PUSH_ONLY_MENTIONS : 0) |
           (c->msc4306_enabled ? HS_PUSH_THREADS : 0);
}

hs_error *hs_push_rules_json(hs_server *srv, hs_arena *a, const hs_session *who, hs_str *ret)
{
    hs_push_rules_row row;

    HS_TRY(hs_store_push_rules_get(srv->db, a, who->user, &row));
    return hs_pushrules_json(a, who->user_id, row.changes, hs_push_features(srv->config), ret);
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

/* ── changes ── */

int64_t hs_push_rules_shape(hs_str changes)
{
    uint8_t hash[32];
    uint64_t v = 0;

    hs_sha256(changes, hash);
    for (int i = 0; i < 8; i++)
        v = v << 8 | hash[i];
    v >>= 1;
    return v ? (int64_t)v : 1;
}

/* What is to be done to the text of a user's changes; *changed false: nothing. */
typedef struct {
    hs_account_data_edit *edit;
    const void *ud;
    hs_nid user; /* filled in by do_change */
} change;

static hs_error *write_changes(hs_server *srv, hs_arena *a, hs_nid user, int64_t seen_pos, hs_str changes,
                               hs_write_result *ret)
{
    hs_write *w;
    uint32_t at;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &at));
    HS_TRY(hs_store_push_rules_put(w, user, seen_pos, hs_push_rules_shape(changes), changes, at));
    const hs_news_user told = { .user = user, .at = at, .what = HS_NEWS_PUSH_RULES };
    HS_TRY(hs_news_give(w, &(hs_news){ .users = &told, .users_n = 1 }));
    return hs_write_commit(w, ret);
}

/* What is stored must be readable by whoever evaluates it. */
static hs_error *check_usable(hs_arena *a, hs_str changes, unsigned features)
{
    hs_pushrules *compiled;
    hs_str json;

    if (changes.n > CHANGES_MAX)
        return hs_err(a, 400, HS_M_UNKNOWN, "The push rules of an account may have %zu bytes at most", CHANGES_MAX);
    HS_TRY(hs_pushrules_json(a, hs_push_anybody, changes, features, &json));
    return hs_pushrules_compile(a, json, &compiled);
}

static hs_error *change_once(hs_server *srv, hs_arena *a, void *ud, hs_write_result *ret)
{
    const change *c = ud;
    hs_push_rules_row row;
    bool changed = true;
    hs_str next;

    HS_TRY(hs_store_push_rules_get(srv->db, a, c->user, &row));
    HS_TRY(c->edit(a, c->ud, row.changes, &changed, &next));
    if (!changed)
        return NULL;
    HS_TRY(check_usable(a, next, hs_push_features(srv->config)));
    return write_changes(srv, a, c->user, row.pos, next, ret);
}

static hs_error *do_change(hs_server *srv, hs_arena *a, hs_nid user, change c)
{
    c.user = user;
    return hs_change_in_rounds(srv, a, srv->push_rules_locks, user, change_once, &c, "push rules are");
}

static hs_push_limits limits_of(const hs_config *c)
{
    return (hs_push_limits){ c->push_rules_count, c->push_rules_id_length, c->push_rules_size };
}

typedef struct {
    const hs_push_put *put;
    hs_str kind, rule_id, from, to;
    hs_jv body;
    hs_push_limits limits;
} edit_in;

static hs_error *edit_put(hs_arena *a, const void *ud, hs_str changes, bool *changed, hs_str *ret)
{
    const edit_in *e = ud;

    (void)changed;
    return hs_pushrules_put(a, changes, e->put, &e->limits, ret);
}

static hs_error *edit_remove(hs_arena *a, const void *ud, hs_str changes, bool *changed, hs_str *ret)
{
    const edit_in *e = ud;

    (void)changed;
    return hs_pushrules_remove(a, changes, e->kind, e->rule_id, ret);
}

static hs_error *edit_enable(hs_arena *a, const void *ud, hs_str changes, bool *changed, hs_str *ret)
{
    const edit_in *e = ud;

    (void)changed;
    return hs_pushrules_enable(a, changes, e->kind, e->rule_id, e->body, ret);
}

static hs_error *edit_actions(hs_arena *a, const void *ud, hs_str changes, bool *changed, hs_str *ret)
{
    const edit_in *e = ud;

    (void)changed;
    return hs_pushrules_set_actions(a, changes, e->kind, e->rule_id, e->body, &e->limits, ret);
}

static hs_error *edit_move(hs_arena *a, const void *ud, hs_str changes, bool *changed, hs_str *ret)
{
    const edit_in *e = ud;

    return hs_pushrules_move_room(a, changes, e->from, e->to, &e->limits, changed, ret);
}

static hs_error *no_slashes(hs_arena *a, hs_str rule_id)
{
    if (hs_str_find(rule_id, '/', 0) < rule_id.n || hs_str_find(rule_id, '\\', 0) < rule_id.n)
        return hs_err(a, 400, HS_M_UNKNOWN, "rule_id may not contain slashes");
    return hs_str_find(rule_id, 0, 0) < rule_id.n || !hs_str_is_utf8(rule_id)
               ? hs_err(a, 400, HS_M_INVALID_PARAM, "rule_id is not text")
               : NULL;
}

hs_error *hs_push_rules_put(hs_server *srv, hs_arena *a, const hs_session *who, const hs_push_put *in)
{
    edit_in e = { .put = in, .limits = limits_of(srv->config) };

    HS_TRY(no_slashes(a, in->rule_id));
    return do_change(srv, a, who->user, (change){ .edit = edit_put, .ud = &e });
}

hs_error *hs_push_rules_remove(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind, hs_str rule_id)
{
    edit_in e = { .kind = kind, .rule_id = rule_id };

    return do_change(srv, a, who->user, (change){ .edit = edit_remove, .ud = &e });
}

hs_error *hs_push_rules_set(hs_server *srv, hs_arena *a, const hs_session *who, hs_str kind, hs_str rule_id,
                            hs_str attribute, hs_jv body)
{
    edit_in e = { .kind = kind, .rule_id = rule_id, .body = body, .limits = limits_of(srv->config) };

    HS_TRY(no_slashes(a, rule_id));
    if (hs_str_eq(attribute, HS_S("enabled")))
        return do_change(srv, a, who->user, (change){ .edit = edit_enable, .ud = &e });
    if (hs_str_eq(attribute, HS_S("actions")))
        return do_change(srv, a, who->user, (change){ .edit = edit_actions, .ud = &e });
    return unrecognized(a);
}

hs_error *hs_push_rules_move_room(hs_server *srv, hs_arena *a, hs_nid user, hs_str from, hs_str to)
{
    edit_in e = { .from = from, .to = to, .limits = limits_of(srv->config) };

    return do_change(srv, a, user, (change){ .edit = edit_move, .ud = &e });
}
