/* Power levels around an upgrade, by table. */
#include "server/room_upgrade_power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ALICE "@alice:x"
#define BOB   "@bob:x"

typedef struct {
    const char *what, *old; /* NULL: the room has no power levels */
    const char *user, *old_creator, *new_creator;
    const char *first, *last, *closed;
    bool changed;
} row;

static const row ROWS[] = {
    { "what there is is kept, and who upgrades keeps the level",
      "{\"users\":{\"@alice:x\":100,\"@bob:x\":50},\"events\":{\"m.room.name\":30},\"invite\":0}", ALICE, NULL, NULL,
      "{\"events\":{\"m.room.name\":30},\"invite\":0,\"users\":{\"@bob:x\":50,\"@alice:x\":100}}",
      "{\"events\":{\"m.room.name\":30},\"invite\":0,\"users\":{\"@bob:x\":50,\"@alice:x\":100}}",
      "{\"users\":{\"@alice:x\":100,\"@bob:x\":50},\"events\":{\"m.room.name\":30},\"invite\":50,\"events_default\":"
      "50}",
      true },
    { "who upgrades may set all that is copied, for as long as that takes",
      "{\"users\":{\"@bob:x\":50},\"events\":{\"m.room.server_acl\":100,\"m.room.tombstone\":50},\"ban\":70}", BOB,
      NULL, NULL,
      "{\"events\":{\"m.room.server_acl\":100,\"m.room.tombstone\":50},\"ban\":70,\"users\":{\"@bob:x\":100}}",
      "{\"events\":{\"m.room.server_acl\":100,\"m.room.tombstone\":50},\"ban\":70,\"users\":{\"@bob:x\":50}}",
      "{\"users\":{\"@bob:x\":50},\"events\":{\"m.room.server_acl\":100,\"m.room.tombstone\":50},\"ban\":70,\"invite\":"
      "50,"
      "\"events_default\":50}",
      true },
    { "texts become integers, and what is none goes",
      "{\"users\":{\"@alice:x\":\" 100 \",\"@bob:x\":\"many\"},\"kick\":\"30\",\"ban\":{},\"redact\":null}", ALICE,
      NULL, NULL, "{\"kick\":30,\"ban\":{},\"users\":{\"@alice:x\":100}}",
      "{\"kick\":30,\"ban\":{},\"users\":{\"@alice:x\":100}}",
      "{\"users\":{\"@alice:x\":100},\"kick\":30,\"ban\":{},\"invite\":50,\"events_default\":50}", true },
    { "creators that have power by themselves are not named", "{\"users\":{\"@alice:x\":100,\"@bob:x\":50}}", ALICE,
      NULL, ALICE, "{\"users\":{\"@bob:x\":50}}", "{\"users\":{\"@bob:x\":50}}",
      "{\"users\":{\"@alice:x\":100,\"@bob:x\":50},\"invite\":50,\"events_default\":50}", true },
    { "creators that have it no longer are named, above all that is asked for",
      "{\"users\":{\"@bob:x\":50},\"events\":{\"m.room.tombstone\":150}}", BOB, ALICE, NULL,
      "{\"events\":{\"m.room.tombstone\":150},\"users\":{\"@alice:x\":150,\"@bob:x\":150}}",
      "{\"events\":{\"m.room.tombstone\":150},\"users\":{\"@alice:x\":150,\"@bob:x\":50}}",
      "{\"users\":{\"@bob:x\":50},\"events\":{\"m.room.tombstone\":150},\"invite\":50,\"events_default\":50}", true },
    { "a room that only moderators speak in stays as it is",
      "{\"users\":{\"@alice:x\":100},\"invite\":60,\"events_default\":50}", ALICE, NULL, NULL,
      "{\"invite\":60,\"events_default\":50,\"users\":{\"@alice:x\":100}}",
      "{\"invite\":60,\"events_default\":50,\"users\":{\"@alice:x\":100}}",
      "{\"users\":{\"@alice:x\":100},\"invite\":60,\"events_default\":50}", false },
    { "where everybody is a moderator it takes more than that",
      "{\"users\":{\"@alice:x\":100},\"users_default\":60,\"invite\":60}", ALICE, NULL, NULL,
      "{\"users_default\":60,\"invite\":60,\"users\":{\"@alice:x\":100}}",
      "{\"users_default\":60,\"invite\":60,\"users\":{\"@alice:x\":100}}",
      "{\"users\":{\"@alice:x\":100},\"users_default\":60,\"invite\":61,\"events_default\":61}", true },
    { "who has the default level is not named", "{\"users\":{\"@bob:x\":100},\"users_default\":50}", ALICE, NULL, NULL,
      "{\"users_default\":50,\"users\":{\"@bob:x\":100}}", "{\"users_default\":50,\"users\":{\"@bob:x\":100}}",
      "{\"users\":{\"@bob:x\":100},\"users_default\":50,\"invite\":51,\"events_default\":51}", true },
    { "a room without power levels gets what filling takes, and none in the end", NULL, ALICE, NULL, NULL,
      "{\"users\":{\"@alice:x\":50}}", "{\"users\":{}}", "{\"invite\":50,\"events_default\":50}", true },
};

static void assert_text(const row *r, const char *which, hs_str is, const char *want)
{
    if (!hs_str_eq(is, hs_str_c(want)))
        fail_msg("%s, %s:\n  %.*s\nis not\n  %s", r->what, which, HS_FMT(is), want);
}

static void the_levels_around_an_upgrade(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        const row *r = &ROWS[i];
        hs_arena *a = hs_arena_open((size_t)1 << 16);
        hs_str was = hs_str_c(r->old_creator ? r->old_creator : ""),
               is = hs_str_c(r->new_creator ? r->new_creator : "");
        hs_upgrade_power in = { .user = hs_str_c(r->user),
                                .old_creators = { &was, r->old_creator != NULL },
                                .new_creators = { &is, r->new_creator != NULL } };
        bool changed = !r->changed;
        hs_str text;

        if (r->old)
            assert_null(hs_tape_parse(a, hs_str_c(r->old), HS_JSON_OBJECT, &in.old));
        assert_null(hs_upgrade_power_first(a, &in, &text));
        assert_text(r, "first", text, r->first);
        assert_null(hs_upgrade_power_last(a, &in, &text));
        assert_text(r, "last", text, r->last);
        assert_null(hs_upgrade_power_old(a, &in, &changed, &text));
        assert_text(r, "of the old room", text, r->closed);
        assert_int_equal(changed, r->changed);
        hs_arena_close(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_levels_around_an_upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
