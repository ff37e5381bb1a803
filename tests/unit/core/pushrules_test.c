#include "core/pushrules.h"

#include "support/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(HS_COVERAGE)
#define SLOWER 20
#else
#define SLOWER 1
#endif

static hs_arena *a;

static int open_arena(void **state)
{
    (void)state;
    a = hs_arena_open((size_t)64 << 20);
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

/* Bob reads what Alice sends into a room of three. */
static const hs_push_ctx BOB = {
    .user_id = HS_S_INIT("@bob.b:x"),
    .localpart = HS_S_INIT("bob.b"),
    .display_name = HS_S_INIT("Bobby"),
    .room_members = 3,
    .room_notification_power = 50,
};

static hs_pushrules *defaults(void)
{
    hs_str json;
    hs_pushrules *r = NULL;

    assert_null(hs_pushrules_json(a, BOB.user_id, HS_S(""), 0, &json));
    assert_null(hs_pushrules_compile(a, json, &r));
    return r;
}

static hs_event *event(const char *type, const char *state_key, const char *content)
{
    return test_event(
        a, hs_roomver_find(HS_S("10")),
        &(test_event_in){ .id = "$e", .type = type, .sender = "@alice:x", .state_key = state_key, .content = content });
}

typedef struct {
    const char *type, *state_key, *content;
    int64_t members, power;
    bool notify, highlight;
} push_case;

static void the_default_rules_decide_as_specified(void **state)
{
    static const push_case CASES[] = {
        { "m.room.message", NULL, "{'body':'hi','msgtype':'m.text'}", 3, 0, true, false },
        { "m.room.message", NULL, "{'body':'hi','msgtype':'m.text'}", 2, 0, true, false },
        { "m.room.message", NULL, "{'body':'hi bob.b','msgtype':'m.notice'}", 3, 0, false, false },
        { "m.room.message", NULL, "{'body':'hi bob.b!','msgtype':'m.text'}", 3, 0, true, true },
        { "m.room.message", NULL, "{'body':'hi BOBBY','msgtype':'m.text'}", 3, 0, true, true },
        { "m.room.message", NULL, "{'body':'hi bobbyx','msgtype':'m.text'}", 3, 0, true, false },
        { "m.room.message", NULL, "{'body':'@room','msgtype':'m.text'}", 3, 49, true, false },
        { "m.room.message", NULL, "{'body':'@room','msgtype':'m.text'}", 3, 50, true, true },
        { "m.room.encrypted", NULL, "{}", 3, 0, true, false },
        { "m.call.invite", NULL, "{}", 3, 0, true, false },
        { "m.reaction", NULL, "{'body':'bob.b'}", 3, 0, false, false },
        { "m.room.name", "", "{'name':'x'}", 3, 0, false, false },
        { "m.room.tombstone", "", "{'body':'moved'}", 3, 0, true, true },
        { "m.room.tombstone", "x", "{'body':'moved'}", 3, 0, false, false },
        { "m.room.server_acl", "", "{}", 3, 0, false, false },
        { "m.room.member", "@bob.b:x", "{'membership':'invite'}", 3, 0, true, false },
        { "m.room.member", "@carl:x", "{'membership':'invite'}", 3, 0, false, false },
        { "m.room.member", "@bob.b:x", "{'membership':'leave'}", 3, 0, false, false },
        { "m.room.message", NULL, "{'body':'* hi','m.relates_to':{'rel_type':'m.replace'},'msgtype':'m.text'}", 3, 0,
          false, false },
        { "im.vector.modular.widgets", "w", "{'type':'jitsi'}", 3, 0, true, false },
        { "org.other", NULL, "{'body':1}", 3, 0, false, false },
    };
    hs_pushrules *r = defaults();
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_push_ctx ctx = BOB;
        ctx.room_members = CASES[i].members;
        ctx.sender_power = CASES[i].power;
        hs_push_result got = hs_push_eval(r, event(CASES[i].type, CASES[i].state_key, CASES[i].content), &ctx);
        if (got.notify != CASES[i].notify || got.highlight != CASES[i].highlight)
            fail_msg("case %zu: notify %d highlight %d", i, got.notify, got.highlight);
    }
}

static void stated_mentions_replace_guessed_ones(void **state)
{
    static const push_case CASES[] = {
        { "m.room.message", NULL, "{'body':'Bobby bob.b @room','m.mentions':{}}", 3, 100, true, false },
        { "m.room.message", NULL, "{'body':'x','m.mentions':{'user_ids':['@bob.b:x']}}", 3, 0, true, true },
        { "m.room.message", NULL, "{'body':'x','m.mentions':{'user_ids':['@carl:x']}}", 3, 0, true, false },
        { "m.room.message", NULL, "{'body':'x','m.mentions':{'user_ids':'@bob.b:x'}}", 3, 0, true, false },
        { "m.room.message", NULL, "{'body':'x','m.mentions':{'room':true}}", 3, 100, true, true },
        { "m.room.message", NULL, "{'body':'x','m.mentions':{'room':true}}", 3, 0, true, false },
        { "m.room.message", NULL, "{'body':'x','m.mentions':{'room':'true'}}", 3, 100, true, false },
        { "m.room.message", NULL,
          "{'body':'x','m.mentions':{'user_ids':['@bob.b:x']},'m.relates_to':{'rel_type':'m.replace'}}", 3, 0, true,
          true },
    };
    hs_pushrules *r = defaults();
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_push_ctx ctx = BOB;
        ctx.sender_power = CASES[i].power;
        hs_push_result got = hs_push_eval(r, event(CASES[i].type, CASES[i].state_key, CASES[i].content), &ctx);
        if (got.notify != CASES[i].notify || got.highlight != CASES[i].highlight)
            fail_msg("case %zu: notify %d highlight %d", i, got.notify, got.highlight);
    }
}

static hs_push_result eval(const char *rules, const hs_event *e, const hs_push_ctx *ctx)
{
    hs_pushrules *r = NULL;
    hs_str json = { NULL, 0 };

    assert_null(hs_str_cat(a, &json, 3, HS_S("{\"global\":{"), hs_str_c(rules), HS_S("}}")));
    assert_null(hs_pushrules_compile(a, json, &r));
    return hs_push_eval(r, e, ctx);
}

static void conditions_hold_as_specified(void **state)
{
    static const struct {
        const char *condition;
        bool holds;
    } CASES[] = {
        { "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"org.X.*\"}", true },
        { "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"x\"}", false },
        { "{\"kind\":\"event_match\",\"key\":\"room_id\",\"pattern\":\"!r:x\"}", true },
        { "{\"kind\":\"event_match\",\"key\":\"sender\",\"pattern\":\"@ali?e:x\"}", true },
        { "{\"kind\":\"event_match\",\"key\":\"content.body\",\"pattern\":\"two\"}", true },
        { "{\"kind\":\"event_match\",\"key\":\"content.title\",\"pattern\":\"two\"}", false },
        { "{\"kind\":\"event_match\",\"key\":\"content.dotted\\\\.key\",\"pattern\":\"v\"}", true },
        { "{\"kind\":\"event_match\",\"key\":\"content.dotted.key\",\"pattern\":\"v\"}", false },
        { "{\"kind\":\"event_match\",\"key\":\"content.back\\\\\\\\slash\",\"pattern\":\"v\"}", true },
        { "{\"kind\":\"event_match\",\"key\":\"content.n\",\"pattern\":\"5\"}", false },
        { "{\"kind\":\"event_match\",\"key\":\"content.missing\",\"pattern\":\"*\"}", false },
        { "{\"kind\":\"event_match\",\"key\":\"content.body\"}", false },
        { "{\"kind\":\"event_property_is\",\"key\":\"content.n\",\"value\":5}", true },
        { "{\"kind\":\"event_property_is\",\"key\":\"content.n\",\"value\":\"5\"}", false },
        { "{\"kind\":\"event_property_is\",\"key\":\"content.t\",\"value\":true}", true },
        { "{\"kind\":\"event_property_is\",\"key\":\"content.nil\",\"value\":null}", true },
        { "{\"kind\":\"event_property_is\",\"key\":\"content.missing\",\"value\":null}", false },
        { "{\"kind\":\"event_property_is\",\"key\":\"content.list\",\"value\":[]}", false },
        { "{\"kind\":\"event_property_contains\",\"key\":\"content.list\",\"value\":2}", true },
        { "{\"kind\":\"event_property_contains\",\"key\":\"content.list\",\"value\":\"2\"}", false },
        { "{\"kind\":\"event_property_contains\",\"key\":\"content.n\",\"value\":5}", false },
        { "{\"kind\":\"room_member_count\",\"is\":\"3\"}", true },
        { "{\"kind\":\"room_member_count\",\"is\":\"==3\"}", true },
        { "{\"kind\":\"room_member_count\",\"is\":\"<3\"}", false },
        { "{\"kind\":\"room_member_count\",\"is\":\"<=3\"}", true },
        { "{\"kind\":\"room_member_count\",\"is\":\">2\"}", true },
        { "{\"kind\":\"room_member_count\",\"is\":\">=4\"}", false },
        { "{\"kind\":\"room_member_count\",\"is\":\"many\"}", false },
        { "{\"kind\":\"room_member_count\"}", false },
        { "{\"kind\":\"sender_notification_permission\",\"key\":\"room\"}", false },
        { "{\"kind\":\"sender_notification_permission\",\"key\":\"other\"}", false },
        { "{\"kind\":\"contains_display_name\"}", false },
        { "{\"kind\":\"org.unknown\"}", false },
        { "{}", false },
    };
    hs_event *e = event("org.x.y", NULL,
                        "{'back\\\\slash':'v','body':'one "
                        "two','dotted.key':'v','list':[1,2],'n':5,'nil':null,'t':true,'title':'one two'}");
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_str rules = { NULL, 0 };
        assert_null(hs_str_cat(a, &rules, 3,
                               HS_S("\"override\":[{\"rule_id\":\"r\",\"actions\":[\"notify\"],\"conditions\":["),
                               hs_str_c(CASES[i].condition), HS_S("]}]")));
        if (eval(rules.p, e, &BOB).notify != CASES[i].holds)
            fail_msg("%s", CASES[i].condition);
    }
}

static void the_first_enabled_rule_of_the_highest_kind_decides(void **state)
{
#define OVERRIDE(enabled) "\"override\":[{\"rule_id\":\"o\",\"enabled\":" enabled ",\"actions\":[],\"conditions\":[]}]"
#define CONTENT                                                                                                        \
    "\"content\":[{\"rule_id\":\"c\",\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}],\"pattern\":\"two\"}]"
#define ROOM "\"room\":[{\"rule_id\":\"!r:x\",\"actions\":[\"notify\"]}]"
#define SENDER                                                                                                         \
    "\"sender\":[{\"rule_id\":\"@alice:x\",\"actions\":[\"notify\",{\"set_tweak\":\"highlight\",\"value\":false}]}]"
    static const struct {
        const char *rules;
        bool notify, highlight;
    } CASES[] = {
        { OVERRIDE("true") "," CONTENT "," ROOM, false, false },
        { OVERRIDE("false") "," CONTENT "," ROOM, true, true },
        { ROOM "," CONTENT, true, true }, /* whatever the order in the document */
        { ROOM, true, false },
        { SENDER, true, false },
        { "\"room\":[{\"rule_id\":\"!other:x\",\"actions\":[\"notify\"]}]", false, false },
        { "\"override\":[{\"rule_id\":\"o\",\"actions\":[{\"set_tweak\":\"highlight\"}],\"conditions\":[]}]", false,
          false },
        { "\"override\":[{\"rule_id\":\"o\",\"actions\":[\"dont_notify\"],\"conditions\":[]}]," ROOM, false, false },
        { "", false, false },
    };
    hs_event *e = event("m.room.message", NULL, "{'body':'one two'}");
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_push_result got = eval(CASES[i].rules, e, &BOB);
        if (got.notify != CASES[i].notify || got.highlight != CASES[i].highlight)
            fail_msg("case %zu: notify %d highlight %d", i, got.notify, got.highlight);
    }
}

static void the_defaults_are_shown_in_the_order_of_the_specification(void **state)
{
    static const char *const OVERRIDES[] = {
        ".m.rule.master",          ".m.rule.suppress_notices", ".m.rule.invite_for_me",
        ".m.rule.member_event",    ".m.rule.is_user_mention",  ".m.rule.contains_display_name",
        ".m.rule.is_room_mention", ".m.rule.roomnotif",        ".m.rule.tombstone",
        ".m.rule.reaction",        ".m.rule.room.server_acl",  ".m.rule.suppress_edits",
    };
    hs_str json;
    hs_jv v;
    size_t n = 0;
    bool enabled = true;
    (void)state;

    assert_null(hs_pushrules_json(a, BOB.user_id, HS_S(""), 0, &json));
    assert_null(hs_tape_parse(a, json, HS_JSON_CANONICAL, &v));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(v, "global", "override", NULL), &it); n++) {
        assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("rule_id"))), hs_str_c(OVERRIDES[n])));
        assert_true(hs_jv_bool(hs_jv_get(it.value, HS_S("enabled")), &enabled));
        assert_int_equal(enabled, n != 0);
    }
    assert_int_equal(n, sizeof OVERRIDES / sizeof *OVERRIDES);
    assert_int_equal(hs_jv_count(hs_jv_path(v, "global", "underride", NULL)), 6);
    hs_jv_iter it = { 0 };
    assert_true(hs_jv_next(hs_jv_path(v, "global", "content", NULL), &it));
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("pattern"))), BOB.localpart));
}

static bool has_rule(unsigned features, const char *kind, const char *id)
{
    hs_str text;
    hs_jv v;

    assert_null(hs_pushrules_json(a, BOB.user_id, HS_S(""), features, &text));
    assert_null(hs_tape_parse(a, text, HS_JSON_CANONICAL, &v));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(v, "global", kind, NULL), &it);)
        if (hs_str_eq(hs_jv_str_or_null(hs_jv_get(it.value, HS_S("rule_id"))), hs_str_c(id)))
            return true;
    return false;
}

static void rules_of_a_proposal_are_there_when_it_is_on(void **state)
{
    static const struct {
        unsigned feature;
        const char *kind, *id;
        bool there; /* with the feature; without it the other way round */
    } CASES[] = {
        { HS_PUSH_POLLS, "override", ".org.matrix.msc3930.rule.poll_response", true },
        { HS_PUSH_POLLS, "underride", ".org.matrix.msc3930.rule.poll_start_one_to_one", true },
        { HS_PUSH_POLLS, "underride", ".org.matrix.msc3930.rule.poll_start", true },
        { HS_PUSH_POLLS, "underride", ".org.matrix.msc3930.rule.poll_end_one_to_one", true },
        { HS_PUSH_POLLS, "underride", ".org.matrix.msc3930.rule.poll_end", true },
        { HS_PUSH_ENCRYPTED, "override", ".org.matrix.msc4028.encrypted_event", true },
        { HS_PUSH_CALLS, "override", ".org.matrix.msc4075.rule.rtc.invite_for_me", true },
        { HS_PUSH_CALLS, "override", ".org.matrix.msc4075.rule.rtc.invite_for_room", true },
        { HS_PUSH_THREADS, "postcontent", ".io.element.msc4306.rule.unsubscribed_thread", true },
        { HS_PUSH_THREADS, "postcontent", ".io.element.msc4306.rule.subscribed_thread", true },
        { HS_PUSH_ONLY_MENTIONS, "override", ".m.rule.contains_display_name", false },
        { HS_PUSH_ONLY_MENTIONS, "override", ".m.rule.roomnotif", false },
        { HS_PUSH_ONLY_MENTIONS, "content", ".m.rule.contains_user_name", false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const unsigned all =
            HS_PUSH_POLLS | HS_PUSH_ENCRYPTED | HS_PUSH_CALLS | HS_PUSH_ONLY_MENTIONS | HS_PUSH_THREADS;
        unsigned with = CASES[i].feature, without = all & ~with;

        if (has_rule(with, CASES[i].kind, CASES[i].id) != CASES[i].there ||
            has_rule(without, CASES[i].kind, CASES[i].id) == CASES[i].there)
            fail_msg("%s", CASES[i].id);
    }
}

static void rules_of_proposals_decide_as_they_say(void **state)
{
    static const struct {
        unsigned features;
        push_case is;
        hs_push_followed followed;
        const char *actions;
    } CASES[] = {
        { HS_PUSH_POLLS,
          { "org.matrix.msc3381.poll.response", NULL, "{'body':'bob.b'}", 3, 0, false, false },
          0,
          "[]" },
        { HS_PUSH_POLLS, { "org.matrix.msc3381.poll.start", NULL, "{}", 3, 0, true, false }, 0, "['notify']" },
        { HS_PUSH_POLLS,
          { "org.matrix.msc3381.poll.end", NULL, "{}", 2, 0, true, false },
          0,
          "['notify',{'set_tweak':'sound','value':'default'}]" },
        { 0, { "org.matrix.msc3381.poll.start", NULL, "{}", 3, 0, false, false }, 0, "" },
        { HS_PUSH_ENCRYPTED, { "m.room.encrypted", NULL, "{}", 2, 0, true, false }, 0, "['notify']" },
        { HS_PUSH_CALLS,
          { "org.matrix.msc4075.rtc.notification", NULL, "{'m.mentions':{'user_ids':['@bob.b:x']}}", 3, 0, true,
            false },
          0,
          "['notify',{'set_tweak':'sound','value':'ring'}]" },
        { HS_PUSH_CALLS,
          { "org.matrix.msc4075.rtc.notification", NULL, "{'m.mentions':{'room':true}}", 3, 49, false, false },
          0,
          "" },
        { HS_PUSH_CALLS,
          { "org.matrix.msc4075.rtc.notification", NULL, "{'m.mentions':{'room':true}}", 3, 50, true, false },
          0,
          "['notify',{'set_tweak':'sound','value':'ring'}]" },
        { HS_PUSH_ONLY_MENTIONS,
          { "m.room.message", NULL, "{'body':'bob.b Bobby @room'}", 3, 50, true, false },
          0,
          "['notify',{'set_tweak':'highlight','value':false}]" },
        { HS_PUSH_THREADS, { "m.room.message", NULL, "{'body':'x'}", 3, 0, false, false }, HS_PUSH_NOT_FOLLOWED, "[]" },
        { HS_PUSH_THREADS,
          { "m.room.message", NULL, "{'body':'x'}", 3, 0, true, false },
          HS_PUSH_FOLLOWED,
          "['notify',{'set_tweak':'sound','value':'default'}]" },
        { HS_PUSH_THREADS,
          { "m.room.message", NULL, "{'body':'x'}", 3, 0, true, false },
          HS_PUSH_NO_THREAD,
          "['notify',{'set_tweak':'highlight','value':false}]" },
        { HS_PUSH_THREADS,
          { "m.room.message", NULL, "{'body':'bob.b'}", 3, 0, true, true },
          HS_PUSH_NOT_FOLLOWED,
          "['notify',{'set_tweak':'highlight'},{'set_tweak':'sound','value':'default'}]" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_push_ctx ctx = BOB;
        hs_push_result got;
        hs_pushrules *r;
        hs_str text;
        char actions[200];
        size_t n = 0;

        ctx.room_members = CASES[i].is.members;
        ctx.sender_power = CASES[i].is.power;
        ctx.followed = CASES[i].followed;
        for (; CASES[i].actions[n]; n++)
            actions[n] = CASES[i].actions[n] == '\'' ? '"' : CASES[i].actions[n];
        assert_null(hs_pushrules_json(a, BOB.user_id, HS_S(""), CASES[i].features, &text));
        assert_null(hs_pushrules_compile(a, text, &r));
        got = hs_push_eval(r, event(CASES[i].is.type, NULL, CASES[i].is.content), &ctx);
        if (got.notify != CASES[i].is.notify || got.highlight != CASES[i].is.highlight ||
            !hs_str_eq(got.actions, hs_str_make(actions, n)))
            fail_msg("case %zu: %.*s", i, HS_FMT(got.actions));
    }
}

/* ── changes ── */
static const hs_push_limits LIMITS = { .rule_count = 3, .rule_id_length = 40, .rule_size = 80 };

static hs_jv json(const char *text)
{
    hs_jv v;

    assert_null(hs_tape_parse(a, hs_str_c(text), 0, &v));
    return v;
}

static hs_error *put(hs_str *changes, const char *kind, const char *id, const char *body)
{
    hs_push_put in = { .kind = hs_str_c(kind), .rule_id = hs_str_c(id), .body = json(body) };

    return hs_pushrules_put(a, *changes, &in, &LIMITS, changes);
}

/* The ids of the own rules of a kind, each with a blank behind. */
static hs_str own_ids(hs_str changes, const char *kind)
{
    hs_str text, all = HS_S("");
    hs_jv v;

    assert_null(hs_pushrules_json(a, BOB.user_id, changes, 0, &text));
    assert_null(hs_tape_parse(a, text, HS_JSON_OBJECT, &v));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(v, "global", kind, NULL), &it);) {
        bool is_default = true;

        assert_true(hs_jv_bool(hs_jv_get(it.value, HS_S("default")), &is_default));
        if (!is_default)
            assert_null(
                hs_str_cat(a, &all, 3, all, hs_jv_str_or_null(hs_jv_get(it.value, HS_S("rule_id"))), HS_S(" ")));
    }
    return all;
}

static hs_push_result judge(hs_str changes, const hs_event *e, const hs_push_ctx *ctx)
{
    hs_pushrules *r;
    hs_str text;

    assert_null(hs_pushrules_json(a, hs_push_anybody, changes, 0, &text));
    assert_null(hs_pushrules_compile(a, text, &r));
    return hs_push_eval(r, e, ctx);
}

/* C17 as many rules as there may be, and one more; the largest rule, and one byte more */
static void what_a_user_may_keep_is_bounded(void **state)
{
    hs_str changes = HS_S(""), full;
    (void)state;

    assert_null(put(&changes, "room", "a", "{\"actions\":[]}"));
    assert_null(put(&changes, "sender", "b", "{\"actions\":[]}"));
    assert_null(put(&changes, "content", "c", "{\"actions\":[],\"pattern\":\"c\"}"));
    full = changes;
    assert_int_equal(put(&changes, "room", "d", "{\"actions\":[]}")->status, 400);
    assert_null(put(&changes, "room", "a", "{\"actions\":[\"notify\"]}")); /* not one more */
    assert_true(hs_str_eq(own_ids(full, "room"), HS_S("a ")));
    assert_null(hs_pushrules_remove(a, changes, HS_S("sender"), HS_S("b"), &changes));
    /* 78 + 2 bytes and 79 + 2; global/room/ is 12 of 40 */
    assert_null(put(&changes, "content", "s",
                    "{\"actions\":[],\"pattern\":\"0123456789012345678901234567890123456789"
                    "012345678901234567890123456789012345\"}"));
    assert_int_equal(put(&changes, "content", "s",
                         "{\"actions\":[],\"pattern\":\"0123456789012345678901234567890123456789"
                         "0123456789012345678901234567890123456\"}")
                         ->status,
                     413);
    assert_null(put(&changes, "room", "a", "{\"actions\":[]}"));
    assert_int_equal(put(&changes, "room", "0123456789012345678901234567", "{\"actions\":[]}")->status, 400);
    assert_int_equal(put(&changes, "room", "01234567890123456789012345678", "{\"actions\":[]}")->status, 413);
}

static void own_rules_are_asked_before_the_default_ones(void **state)
{
    hs_str changes = HS_S("");
    hs_push_ctx nobody = BOB, two = BOB;
    hs_event *e = event("m.room.message", NULL, "{'body':'hi bob.b','msgtype':'m.text'}");
    (void)state;

    nobody.user_id = nobody.localpart = nobody.display_name = hs_str_make(NULL, 0);
    two.room_members = 2;
    assert_true(judge(changes, e, &BOB).highlight);
    assert_false(judge(changes, e, &nobody).highlight); /* whose name is not known is not meant */
    assert_true(judge(changes, e, &nobody).notify);
    assert_null(
        hs_pushrules_enable(a, changes, HS_S("content"), HS_S(".m.rule.contains_user_name"), json("false"), &changes));
    assert_false(judge(changes, e, &BOB).highlight);
    assert_null(put(&changes, "override", "o",
                    "{\"actions\":[],\"conditions\":[{\"kind\":\"room_member_count\",\"is\":\"2\"}]}"));
    assert_true(judge(changes, e, &BOB).notify);
    assert_false(judge(changes, e, &two).notify);
    assert_null(hs_pushrules_enable(a, changes, HS_S("override"), HS_S("o"), json("{\"enabled\":false}"), &changes));
    assert_true(judge(changes, e, &two).notify);
}

static void rules_about_a_room_follow_it(void **state)
{
    hs_str changes = HS_S("");
    bool changed;
    (void)state;

    assert_null(put(&changes, "room", "!old:x", "{\"actions\":[]}"));
    assert_null(put(&changes, "override", "o",
                    "{\"actions\":[],\"conditions\":[{\"kind\":\"event_match\",\"key\":\"room_id\","
                    "\"pattern\":\"!o\"}]}"));
    assert_null(hs_pushrules_move_room(a, changes, HS_S("!none:x"), HS_S("!new:x"), &LIMITS, &changed, &changes));
    assert_false(changed);
    assert_null(hs_pushrules_move_room(a, changes, HS_S("!o"), HS_S("!n"), &LIMITS, &changed, &changes));
    assert_true(changed);
    assert_true(hs_str_eq(own_ids(changes, "override"), HS_S("o !n ")));
    assert_null(hs_pushrules_remove(a, changes, HS_S("override"), HS_S("o"), &changes));
    assert_null(hs_pushrules_move_room(a, changes, HS_S("!old:x"), HS_S("!new:x"), &LIMITS, &changed, &changes));
    assert_true(hs_str_eq(own_ids(changes, "room"), HS_S("!old:x !new:x ")));
}

/* N09 patterns that are made to be expensive: five milliseconds at most, on as much text as an event has */
static void hostile_rules_are_judged_in_no_time(void **state)
{
    static char content[70000];
    static const char *const PATTERNS[] = { "a*a*a*a*a*a*a*a*a*a*a*a*a*b", "*a?*a?*a?*a?*a?c",
                                            "????????????????????b" };
    (void)state;

    memset(content, 'a', 65000);
    memcpy(content, "{'body':'", 9);
    memcpy(content + 64990, "'}", 3);
    hs_event *e = event("m.room.message", NULL, content);
    for (size_t i = 0; i < sizeof PATTERNS / sizeof *PATTERNS; i++) {
        int64_t least = INT64_MAX;
        hs_str rules = { NULL, 0 };
        hs_pushrules *r;

        assert_null(hs_str_cat(a, &rules, 3, HS_S("{\"global\":{\"content\":[{\"rule_id\":\"r\",\"pattern\":\""),
                               hs_str_c(PATTERNS[i]), HS_S("\",\"actions\":[\"notify\"]}]}}")));
        assert_null(hs_pushrules_compile(a, rules, &r));
        for (int k = 0; k < 5; k++) {
            struct timespec from, to;
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
            assert_false(hs_push_eval(r, e, &BOB).notify);
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
            int64_t ns = (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec);
            least = ns < least ? ns : least;
        }
        if (least > 5000000 * SLOWER)
            fail_msg("%s takes %lld us", PATTERNS[i], (long long)least / 1000);
    }
}

/* N09 a thousand of them: the rest is not tried */
static void many_hostile_rules_cost_no_more_than_an_event_may(void **state)
{
    static char content[70000];
    size_t steps = (size_t)8 << 20;
    hs_push_ctx ctx = BOB;
    struct timespec from, to;
    hs_pushrules *r;
    hs_buf b;
    hs_str rules;
    (void)state;

    memset(content, 'a', 65000);
    memcpy(content, "{'body':'", 9);
    memcpy(content + 64990, "'}", 3);
    hs_event *e = event("m.room.message", NULL, content);
    hs_buf_init(&b, a);
    hs_buf_add(&b, HS_S("{\"global\":{\"content\":["));
    for (int i = 0; i < 1000; i++)
        hs_buf_add(&b, HS_S("{\"rule_id\":\"r\",\"pattern\":\"a*?*a*a*b\",\"actions\":[\"notify\"]},"));
    hs_buf_add(&b, HS_S("{\"rule_id\":\"r\",\"pattern\":\"x\",\"actions\":[]}],\"underride\":[{\"rule_id\":\"u\","
                        "\"conditions\":[],\"actions\":[\"notify\"]}]}}"));
    assert_null(hs_buf_flatten(&b, &rules));
    assert_null(hs_pushrules_compile(a, rules, &r));
    ctx.steps = &steps;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int i = 0; i < 100; i++)
        assert_true(hs_push_eval(r, e, &ctx).notify); /* what needs no pattern still decides */
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    assert_int_equal(steps, 0);
    assert_true((to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000 < 500 * SLOWER);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(rules_of_a_proposal_are_there_when_it_is_on),
        CASE(rules_of_proposals_decide_as_they_say),
        CASE(the_default_rules_decide_as_specified),
        CASE(stated_mentions_replace_guessed_ones),
        CASE(conditions_hold_as_specified),
        CASE(the_first_enabled_rule_of_the_highest_kind_decides),
        CASE(the_defaults_are_shown_in_the_order_of_the_specification),
        CASE(what_a_user_may_keep_is_bounded),
        CASE(own_rules_are_asked_before_the_default_ones),
        CASE(rules_about_a_room_follow_it),
        CASE(hostile_rules_are_judged_in_no_time),
        CASE(many_hostile_rules_cost_no_more_than_an_event_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
