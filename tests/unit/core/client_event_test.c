#include "core/client_event.h"

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
    a = hs_arena_open((size_t)1 << 20);
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

static void assert_head(const char *version, const test_event_in *in, const char *wanted)
{
    hs_event *e = test_event(a, hs_roomver_find(hs_str_c(version)), in);
    hs_buf b;
    hs_str got;

    hs_buf_init(&b, a);
    hs_client_event_head(&b, e);
    assert_null(hs_buf_flatten(&b, &got));
    if (!hs_str_eq(got, hs_str_c(wanted)))
        fail_msg("%.*s", HS_FMT(got));
}

static void the_head_holds_what_clients_read(void **state)
{
    (void)state;

    assert_head("10",
                &(test_event_in){ .id = "$e", .type = "m.x", .sender = "@a:x", .content = "{'k':['\\n']}", .ts = 5 },
                "{\"content\":{\"k\":[\"\\n\"]},\"event_id\":\"$e\",\"origin_server_ts\":5,\"room_id\":\"!r:x\","
                "\"sender\":\"@a:x\",\"type\":\"m.x\"");
    assert_head(
        "12", &(test_event_in){ .id = "$e", .type = "m.x", .sender = "@a:x", .state_key = "" },
        "{\"content\":{},\"event_id\":\"$e\",\"origin_server_ts\":0,\"room_id\":\"!create\",\"sender\":\"@a:x\","
        "\"state_key\":\"\",\"type\":\"m.x\"");
}

static void a_redaction_names_its_target_at_both_places(void **state)
{
    static const struct {
        const char *version, *content, *redacts, *shown;
    } CASES[] = {
        { "10", "{}", "$t", "{\"redacts\":\"$t\"}" },
        { "10", "{'redacts':'$other'}", "$t", "{\"redacts\":\"$other\"}" }, /* as it was sent */
        { "10", "{'reason':'r'}", "$t", "{\"redacts\":\"$t\",\"reason\":\"r\"}" },
        { "11", "{'reason':'r','redacts':'$t'}", NULL, "{\"reason\":\"r\",\"redacts\":\"$t\"}" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_str wanted = { NULL, 0 };
        assert_null(
            hs_str_cat(a, &wanted, 3, HS_S("{\"content\":"), hs_str_c(CASES[i].shown),
                       HS_S(",\"event_id\":\"$e\",\"origin_server_ts\":0,\"redacts\":\"$t\",\"room_id\":\"!r:x\","
                            "\"sender\":\"@a:x\",\"type\":\"m.room.redaction\"")));
        assert_head(CASES[i].version,
                    &(test_event_in){ .id = "$e",
                                      .type = "m.room.redaction",
                                      .sender = "@a:x",
                                      .content = CASES[i].content,
                                      .redacts = CASES[i].redacts },
                    wanted.p);
    }
}

static void a_stripped_event_has_four_members(void **state)
{
    hs_event *e = test_event(
        a, hs_roomver_find(HS_S("10")),
        &(test_event_in){
            .id = "$e", .type = "m.room.name", .sender = "@a:x", .state_key = "", .content = "{'name':'n'}" });
    hs_buf b;
    hs_str got;
    (void)state;

    hs_buf_init(&b, a);
    hs_client_event_stripped(&b, e);
    assert_null(hs_buf_flatten(&b, &got));
    assert_true(hs_str_eq(
        got, HS_S("{\"content\":{\"name\":\"n\"},\"sender\":\"@a:x\",\"state_key\":\"\",\"type\":\"m.room.name\"}")));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(the_head_holds_what_clients_read),
        CASE(a_redaction_names_its_target_at_both_places),
        CASE(a_stripped_event_has_four_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
