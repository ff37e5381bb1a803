#include "core/invite_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static hs_arena *a;

static int open_arena(void **state)
{
    (void)state;
    a = hs_arena_open((size_t)4 << 20);
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

static hs_jv json(const char *text)
{
    hs_jv v;

    assert_null(hs_tape_parse(a, hs_str_c(text), HS_JSON_OBJECT, &v));
    return v;
}

typedef struct {
    const char *config, *inviter;
    hs_invite_rule rule;
} invite_case;

static void the_first_list_that_has_the_inviter_decides(void **state)
{
    static const invite_case CASES[] = {
        { "{}", "@a:x", HS_INVITE_ALLOW },
        { "{\"blocked_users\":[\"@a:x\"]}", "@a:x", HS_INVITE_BLOCK },
        { "{\"blocked_users\":[\"@a:x\"]}", "@ab:x", HS_INVITE_ALLOW },
        { "{\"blocked_users\":[\"@A:X\"]}", "@a:x", HS_INVITE_BLOCK },
        { "{\"ignored_users\":[\"@b:x\",\"@?:x\"]}", "@a:x", HS_INVITE_IGNORE },
        { "{\"blocked_users\":[\"*\"],\"ignored_users\":[\"@a:*\"]}", "@a:x", HS_INVITE_IGNORE },
        { "{\"blocked_users\":[\"*\"],\"ignored_users\":[\"*\"],\"allowed_users\":[\"@a:*\"]}", "@a:x",
          HS_INVITE_ALLOW },
        { "{\"blocked_servers\":[\"x\"]}", "@a:x", HS_INVITE_BLOCK },
        { "{\"blocked_servers\":[\"x\"]}", "@x:y", HS_INVITE_ALLOW },
        { "{\"blocked_servers\":[\"*.x:80*\"]}", "@a:b.x:8080", HS_INVITE_BLOCK },
        { "{\"ignored_servers\":[\"*\"],\"blocked_servers\":[\"*\"]}", "@a:x", HS_INVITE_IGNORE },
        { "{\"allowed_servers\":[\"x\"],\"blocked_servers\":[\"*\"]}", "@a:x", HS_INVITE_ALLOW },
        { "{\"allowed_servers\":[\"x\"],\"blocked_servers\":[\"*\"]}", "@a:y", HS_INVITE_BLOCK },
        { "{\"allowed_servers\":[\"x\"],\"blocked_users\":[\"@a:x\"]}", "@a:x", HS_INVITE_BLOCK },
        { "{\"allowed_users\":[\"@a:x\"],\"blocked_servers\":[\"x\"]}", "@a:x", HS_INVITE_ALLOW },
        { "{\"blocked_users\":\"@a:x\",\"ignored_users\":[1,null,{},\"\"]}", "@a:x", HS_INVITE_ALLOW },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (hs_invite_rule_listed(json(CASES[i].config), hs_str_c(CASES[i].inviter)) != CASES[i].rule)
            fail_msg("%s of %s", CASES[i].config, CASES[i].inviter);
}

static void one_rule_for_everybody_blocks_or_not(void **state)
{
    (void)state;

    assert_int_equal(hs_invite_rule_for_all(json("{\"default_action\":\"block\"}")), HS_INVITE_BLOCK);
    assert_int_equal(hs_invite_rule_for_all(json("{\"default_action\":\"ignore\"}")), HS_INVITE_ALLOW);
    assert_int_equal(hs_invite_rule_for_all(json("{}")), HS_INVITE_ALLOW);
}

static void a_pattern_longer_than_a_user_id_is_no_rule(void **state)
{
    char text[400] = "{\"blocked_users\":[\"*";
    size_t n = strlen(text);

    (void)state;
    memset(text + n, '*', 254);
    memcpy(text + n + 254, "\"]}", 4);
    assert_int_equal(hs_invite_rule_listed(json(text), HS_S("@a:x")), HS_INVITE_BLOCK);
    memcpy(text + n + 254, "*\"]}", 5);
    assert_int_equal(hs_invite_rule_listed(json(text), HS_S("@a:x")), HS_INVITE_ALLOW);
}

/* X08 hostile lists */
static void hostile_lists_cost_little(void **state)
{
    enum { N = 2000 };
    size_t n = 0, cap = (size_t)N * 130 + 100;
    char *text = malloc(cap);
    clock_t from;

    (void)state;
    assert_non_null(text);
    n += (size_t)snprintf(text, cap, "{\"blocked_users\":[\"b\"");
    for (int i = 0; i < N; i++) {
        memcpy(text + n, ",\"", 2);
        for (int k = 0; k < 60; k++)
            memcpy(text + n + 2 + 2 * k, "*a", 2);
        memcpy(text + n + 122, "b\"", 2);
        n += 124;
    }
    memcpy(text + n, "]}", 3);
    from = clock();
    assert_int_equal(
        hs_invite_rule_listed(json(text), HS_S("@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:x")),
        HS_INVITE_ALLOW);
    assert_true((clock() - from) * 1000 / CLOCKS_PER_SEC < 500);
    free(text);
}

int main(void)
{
    const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(the_first_list_that_has_the_inviter_decides),
        cmocka_unit_test(one_rule_for_everybody_blocks_or_not),
        cmocka_unit_test(a_pattern_longer_than_a_user_id_is_no_rule),
        cmocka_unit_test(hostile_lists_cost_little),
    };

    return cmocka_run_group_tests(TESTS, open_arena, close_arena);
}
