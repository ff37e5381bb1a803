#include "core/filter.h"

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

static hs_error *read(const char *text, hs_filter *f)
{
    hs_jv v = { 0 };

    assert_null(hs_tape_parse(a, hs_str_c(text), 0, &v));
    return hs_filter_read(a, v, f);
}

static hs_event_filter part(const char *text)
{
    hs_event_filter f = { 0 };
    hs_jv v = { 0 };

    assert_null(hs_tape_parse(a, hs_str_c(text), 0, &v));
    assert_null(hs_event_filter_read(a, v, &f));
    return f;
}

static void every_part_is_read(void **state)
{
    hs_filter f;
    (void)state;

    assert_null(
        read("{\"presence\":{\"types\":[]},\"account_data\":{\"not_types\":[\"*\"]},\"event_format\":\"federation\","
             "\"event_fields\":[\"type\"],\"future\":1,\"room\":{\"include_leave\":true,\"rooms\":[\"!a:x\"],"
             "\"not_rooms\":[\"!b:x\"],\"timeline\":{\"limit\":3,\"unread_thread_notifications\":true},"
             "\"state\":{\"lazy_load_members\":true,\"include_redundant_members\":true},"
             "\"ephemeral\":{\"not_senders\":[\"@a:x\"]},\"account_data\":{\"contains_url\":false}}}",
             &f));
    assert_true(f.presence.has_types && f.presence.types.n == 0);
    assert_int_equal(f.account_data.not_types.n, 1);
    assert_true(f.federation_format && f.has_event_fields && f.include_leave);
    assert_true(f.timeline.limit == 3 && f.timeline.unread_thread_notifications);
    assert_true(f.state.lazy_load_members && f.state.include_redundant_members && f.state.limit == -1);
    assert_int_equal(f.ephemeral.not_senders.n, 1);
    assert_true(f.room_account_data.has_contains_url && !f.room_account_data.contains_url);
    assert_true(hs_filter_room(&f, HS_S("!a:x")));
    assert_false(hs_filter_room(&f, HS_S("!b:x")));
    assert_false(hs_filter_room(&f, HS_S("!c:x")));
}

static void wrong_shapes_are_bad_json(void **state)
{
    static const char *const CASES[] = {
        "[]",
        "{\"room\":[]}",
        "{\"presence\":\"x\"}",
        "{\"event_format\":\"xml\"}",
        "{\"event_format\":1}",
        "{\"event_fields\":\"type\"}",
        "{\"room\":{\"include_leave\":1}}",
        "{\"room\":{\"rooms\":[\"r\"]}}",
        "{\"room\":{\"not_rooms\":[1]}}",
        "{\"room\":{\"timeline\":{\"types\":{}}}}",
        "{\"room\":{\"timeline\":{\"types\":[1]}}}",
        "{\"room\":{\"timeline\":{\"senders\":[\"a\"]}}}",
        "{\"room\":{\"timeline\":{\"not_senders\":[\"#a:x\"]}}}",
        "{\"room\":{\"timeline\":{\"rooms\":[\"not-a-room\"]}}}",
        "{\"room\":{\"timeline\":{\"limit\":\"1\"}}}",
        "{\"room\":{\"timeline\":{\"limit\":-1}}}",
        "{\"room\":{\"timeline\":{\"contains_url\":\"yes\"}}}",
        "{\"room\":{\"state\":{\"lazy_load_members\":0}}}",
        "{\"room\":{\"timeline\":{\"related_by_rel_types\":\"m.thread\"}}}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_filter f;
        hs_error *e = read(CASES[i], &f);
        if (!e)
            fail_msg("%s", CASES[i]);
        assert_true(e->status == 400 && e->code == HS_M_BAD_JSON);
    }
}

static void the_default_lets_all_pass(void **state)
{
    hs_filter f = hs_filter_default(), empty;
    (void)state;

    assert_null(read("{}", &empty));
    assert_true(hs_event_filter_match(&f.timeline, HS_S("m.x"), HS_S("@a:x"), HS_S("!r:x"), (hs_jv){ 0 }));
    assert_true(hs_event_filter_match(&empty.timeline, HS_S("m.x"), HS_S("@a:x"), HS_S("!r:x"), (hs_jv){ 0 }));
    assert_true(hs_filter_room(&f, HS_S("!r:x")) && f.timeline.limit == -1);
}

static void what_is_excluded_wins_over_what_is_wanted(void **state)
{
    static const struct {
        const char *filter;
        bool match;
    } CASES[] = {
        { "{}", true },
        { "{\"types\":[]}", false },
        { "{\"types\":[\"m.room.*\"]}", true },
        { "{\"types\":[\"m.room\"]}", false },
        { "{\"types\":[\"*\"],\"not_types\":[\"m.room.mess*\"]}", false },
        { "{\"senders\":[]}", false },
        { "{\"senders\":[\"@a:x\"]}", true },
        { "{\"senders\":[\"@b:x\"]}", false },
        { "{\"senders\":[\"@a:x\"],\"not_senders\":[\"@a:x\"]}", false },
        { "{\"rooms\":[\"!r:x\"]}", true },
        { "{\"rooms\":[]}", false },
        { "{\"not_rooms\":[\"!r:x\"]}", false },
        { "{\"contains_url\":true}", true },
        { "{\"contains_url\":false}", false },
        { "{\"contains_url\":null,\"types\":null}", true },
        { "{\"org.matrix.msc3874.rel_types\":[\"m.thread\",\"m.replace\"]}", true },
        { "{\"org.matrix.msc3874.rel_types\":[\"m.replace\"]}", false },
        { "{\"org.matrix.msc3874.rel_types\":[]}", false },
        { "{\"org.matrix.msc3874.not_rel_types\":[\"m.replace\"]}", true },
        { "{\"org.matrix.msc3874.not_rel_types\":[\"m.thread\"]}", false },
    };
    hs_jv content;
    (void)state;

    assert_null(
        hs_tape_parse(a, HS_S("{\"url\":\"mxc://x/y\",\"m.relates_to\":{\"rel_type\":\"m.thread\"}}"), 0, &content));
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_event_filter f = part(CASES[i].filter);
        if (hs_event_filter_match(&f, HS_S("m.room.message"), HS_S("@a:x"), HS_S("!r:x"), content) != CASES[i].match)
            fail_msg("%s", CASES[i].filter);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(every_part_is_read),
        CASE(wrong_shapes_are_bad_json),
        CASE(the_default_lets_all_pass),
        CASE(what_is_excluded_wins_over_what_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
