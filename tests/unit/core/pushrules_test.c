#include "core/pushrules.h"

#include "support/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

    assert_null(hs_pushrules_default_json(a, BOB.user_id, &json));
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

    assert_null(hs_pushrules_default_json(a, BOB.user_id, &json));
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

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(the_default_rules_decide_as_specified),
        CASE(stated_mentions_replace_guessed_ones),
        CASE(conditions_hold_as_specified),
        CASE(the_first_enabled_rule_of_the_highest_kind_decides),
        CASE(the_defaults_are_shown_in_the_order_of_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
