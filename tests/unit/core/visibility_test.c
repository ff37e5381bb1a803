/* Room History Visibility as a table: what the visibility was × what the viewer was × whether the viewer came later. */
#include "core/visibility.h"

#include "support/events.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void each_visibility_shows_what_the_specification_says(void **state)
{
    /* In the order of hs_membership: none, invite, join, leave, ban, knock. */
    static const struct {
        hs_visibility visibility;
        bool joined_since;
        bool seen[6];
    } TABLE[] = {
        { HS_VIS_WORLD_READABLE, false, { true, true, true, true, true, true } },
        { HS_VIS_WORLD_READABLE, true, { true, true, true, true, true, true } },
        { HS_VIS_SHARED, false, { false, false, true, false, false, false } },
        { HS_VIS_SHARED, true, { true, true, true, true, true, true } },
        { HS_VIS_INVITED, false, { false, true, true, false, false, false } },
        { HS_VIS_INVITED, true, { false, true, true, false, false, false } },
        { HS_VIS_JOINED, false, { false, false, true, false, false, false } },
        { HS_VIS_JOINED, true, { false, false, true, false, false, false } },
    };
    (void)state;

    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
        for (int m = 0; m < 6; m++)
            if (hs_event_visible(TABLE[i].visibility, (hs_membership)m, TABLE[i].joined_since) != TABLE[i].seen[m])
                fail_msg("row %zu, membership %d", i, m);
}

#define MEMBER(user, m)                                                                                                \
    {                                                                                                                  \
        .id = "$e", .type = "m.room.member", .sender = user, .state_key = user, .content = "{'membership':'" m "'}"    \
    }
#define MESSAGE                                                                                                        \
    {                                                                                                                  \
        .id = "$e", .type = "m.room.message", .sender = "@a:x", .content = "{}"                                        \
    }
#define VISIBILITY(v)                                                                                                  \
    {                                                                                                                  \
        .id = "$e", .type = "m.room.history_visibility", .sender = "@a:x", .state_key = "",                            \
        .content = "{'history_visibility':'" v "'}"                                                                    \
    }

/* clang-format off */
static const struct {
    const char *claim;
    test_event_in event;
    hs_sight sight;
    bool seen;
} CASES[] = {
    { "a message to somebody who is not there", MESSAGE, { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_LEAVE, HS_MEMBER_LEAVE, false }, false },
    { "the own join to a room that shows joined members only", MEMBER("@v:x", "join"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_NONE, HS_MEMBER_JOIN, false }, true },
    { "the own leave", MEMBER("@v:x", "leave"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_JOIN, HS_MEMBER_LEAVE, false }, true },
    { "the own refusal of an invite", MEMBER("@v:x", "leave"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_INVITE, HS_MEMBER_LEAVE, false }, true },
    { "the own ban", MEMBER("@v:x", "ban"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_JOIN, HS_MEMBER_BAN, false }, true },
    { "the own unban", MEMBER("@v:x", "leave"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_BAN, HS_MEMBER_LEAVE, false }, false },
    { "the own invite to a room that shows invited members", MEMBER("@v:x", "invite"), { HS_VIS_INVITED, HS_VIS_INVITED, HS_MEMBER_NONE, HS_MEMBER_INVITE, false }, true },
    { "the own invite to a room that shows joined members only", MEMBER("@v:x", "invite"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_NONE, HS_MEMBER_INVITE, false }, false },
    { "somebody else's join", MEMBER("@o:x", "join"), { HS_VIS_JOINED, HS_VIS_JOINED, HS_MEMBER_NONE, HS_MEMBER_NONE, false }, false },
    { "a change to joined, from world_readable", VISIBILITY("joined"), { HS_VIS_WORLD_READABLE, HS_VIS_JOINED, HS_MEMBER_NONE, HS_MEMBER_NONE, false }, true },
    { "a change to world_readable, from joined", VISIBILITY("world_readable"), { HS_VIS_JOINED, HS_VIS_WORLD_READABLE, HS_MEMBER_NONE, HS_MEMBER_NONE, false }, true },
    { "a change to invited, from joined, for the invited", VISIBILITY("invited"), { HS_VIS_JOINED, HS_VIS_INVITED, HS_MEMBER_INVITE, HS_MEMBER_INVITE, false }, true },
    { "a change to shared, from joined, for one who comes later", VISIBILITY("shared"), { HS_VIS_JOINED, HS_VIS_SHARED, HS_MEMBER_NONE, HS_MEMBER_NONE, true }, true },
    { "a change to shared, from joined, for a stranger", VISIBILITY("shared"), { HS_VIS_JOINED, HS_VIS_SHARED, HS_MEMBER_NONE, HS_MEMBER_NONE, false }, false },
};
/* clang-format on */

static void own_member_events_and_changes_of_visibility_are_seen_from_either_side(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (hs_history_visible(test_event(a, rv, &CASES[i].event), HS_S("@v:x"), &CASES[i].sight) != CASES[i].seen)
            fail_msg("%s", CASES[i].claim);
    hs_arena_close(a);
}

static void what_is_not_said_is_shared(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    test_event_in none = VISIBILITY("x");
    (void)state;

    assert_int_equal(hs_visibility_of(NULL), HS_VIS_SHARED);
    assert_int_equal(hs_visibility_of(test_event(a, rv, &none)), HS_VIS_SHARED);
    none.content = "{'history_visibility':1}";
    assert_int_equal(hs_visibility_of(test_event(a, rv, &none)), HS_VIS_SHARED);
    for (int v = HS_VIS_WORLD_READABLE; v <= HS_VIS_JOINED; v++)
        assert_int_equal(hs_visibility_parse(hs_visibility_str((hs_visibility)v)), v);
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_visibility_shows_what_the_specification_says),
        cmocka_unit_test(own_member_events_and_changes_of_visibility_are_seen_from_either_side),
        cmocka_unit_test(what_is_not_said_is_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
