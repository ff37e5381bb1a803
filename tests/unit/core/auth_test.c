/* The rules over the table of tests/vectors/auth_rules.md, and the questions that services ask of a state. */
#include "core/auth.h"

#include "support/file.h"
#include "support/rules_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MEMBER(user, m)                                                                                                \
    {                                                                                                                  \
        .type = "m.room.member", .sender = user, .state_key = user, .content = "{'membership':'" m "'}"                \
    }
#define POWER(content_)                                                                                                \
    {                                                                                                                  \
        .type = "m.room.power_levels", .sender = "@admin:x", .state_key = "", .content = content_                      \
    }
#define SENDS(who, t, c)                                                                                               \
    {                                                                                                                  \
        .type = t, .sender = who, .content = c                                                                         \
    }
#define MAKES(who, user, m)                                                                                            \
    {                                                                                                                  \
        .type = "m.room.member", .sender = who, .state_key = user, .content = "{'membership':'" m "'}"                 \
    }

/* The room that the table describes. */
static const test_event_in ROOM[] = {
    { .type = "m.room.create", .sender = "@c:x", .state_key = "", .content = "{'creator':'@c:x','room_version':'10'}" },
    MEMBER("@c:x", "join"),
    MEMBER("@admin:x", "join"),
    MEMBER("@mod:x", "join"),
    MEMBER("@mod2:x", "join"),
    MEMBER("@u:x", "join"),
    MEMBER("@v:x", "join"),
    MEMBER("@banned:x", "ban"),
    MEMBER("@invited:x", "invite"),
    MEMBER("@knocks:x", "knock"),
    MEMBER("@gone:x", "leave"),
    { .type = "m.room.join_rules", .sender = "@c:x", .state_key = "", .content = "{'join_rule':'invite'}" },
    POWER(RULES_POWER),
};

typedef struct {
    hs_arena *a;
    const hs_roomver *rv;
    const hs_event *events[32];
    size_t n;
} room;

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    const room *r = ud;

    for (size_t i = r->n; i-- > 0;)
        if (hs_str_eq(r->events[i]->type, type) && hs_str_eq(r->events[i]->state_key, state_key))
            return r->events[i];
    return NULL;
}

static void put(room *r, const test_event_in *in)
{
    test_event_in e = *in;

    if (!e.id)
        e.id = strcmp(e.type, "m.room.create") ? "$state" : "$create";
    r->events[r->n++] = test_event(r->a, r->rv, &e);
}

static hs_state_view view_of(room *r)
{
    return (hs_state_view){ .get = get, .ud = r, .create = get(r, HS_S("m.room.create"), HS_S("")) };
}

static void build(room *r, hs_arena *a, const hs_roomver *rv)
{
    *r = (room){ .a = a, .rv = rv };
    for (size_t i = 0; i < sizeof ROOM / sizeof *ROOM; i++)
        put(r, &ROOM[i]);
}

/* ── the table: tests/vectors/auth_rules.md ── */

typedef struct {
    hs_arena *a; /* lives as long as the tests */
    hs_str file;
} table;

static int open_table(void **state)
{
    table *t = calloc(1, sizeof *t);

    assert_non_null(t);
    t->a = hs_arena_open((size_t)1 << 24);
    assert_non_null(t->a);
    t->file = test_file(t->a, "tests/vectors/auth_rules.md");
    *state = t;
    return 0;
}

static int close_table(void **state)
{
    table *t = *state;

    hs_arena_close(t->a);
    free(t);
    return 0;
}

static hs_verdict judge_auth(room *r, const hs_event *e, const rules_event *in)
{
    const hs_event *auth[8];
    bool rejected[8];

    for (size_t i = 0; i < in->auth_n; i++) {
        auth[i] = get(r, in->auth[i].type, in->auth[i].state_key);
        assert_non_null(auth[i]);
        rejected[i] = in->auth[i].rejected;
        if (in->auth[i].elsewhere) {
            hs_event *copy;
            assert_null(hs_alloc(r->a, 1, &copy));
            *copy = *auth[i];
            copy->room_id = HS_S("!elsewhere:x");
            auth[i] = copy;
        }
    }
    return hs_auth_check_auth_events(e, auth, rejected, in->auth_n);
}

static hs_verdict judge(hs_arena *a, const hs_roomver *rv, const rules_row *row)
{
    bool nothing = hs_str_eq(row->cells[0], HS_S("NOTHING"));
    rules_event over[4], in = rules_event_read(a, row->cells[1]);
    room r = { .a = a, .rv = rv };

    if (!nothing) {
        size_t n = rules_events_read(a, row->cells[0], over, 4);
        build(&r, a, rv);
        for (size_t i = 0; i < n; i++)
            put(&r, &over[i].in);
    }
    if (!in.in.id)
        in.in.id = "$event";
    const hs_event *e = test_event(a, rv, &in.in);
    hs_state_view view = view_of(&r);
    return in.has_auth ? judge_auth(&r, e, &in) : hs_auth_check(e, &view);
}

/* The table speaks of the numbered versions. */
static unsigned version_bit(const hs_roomver *rv)
{
    int64_t number;

    return hs_str_to_i64(rv->name, &number) ? 1u << number : 0;
}

/* F09 F27 F29 S08 S10 F08 */
static void each_rule_says_what_the_table_says(void **state)
{
    table *t = *state;
    rules_rows rows = rules_read(t->a, t->file, "The authorization rules as a table");
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    size_t checked = 0;

    for (size_t i = 0; i < rows.n; i++) {
        bool ok = hs_str_eq(rows.at[i].cells[2], HS_S("allowed"));
        assert_true(ok || hs_str_eq(rows.at[i].cells[2], HS_S("refused")));
        for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
            if (!(rows.at[i].versions & version_bit(*v)))
                continue;
            hs_arena_reset(a);
            hs_verdict said = judge(a, *v, &rows.at[i]);
            if (said.ok != ok || !hs_str_eq(hs_str_c(said.rule), rows.at[i].cells[3]))
                fail_msg("auth_rules.md:%zu: version %.*s: %s, \"%s\"", rows.at[i].line, HS_FMT((*v)->name),
                         said.ok ? "allowed" : "refused", said.rule);
            checked++;
        }
    }
    print_message("%zu rows, %zu verdicts\n", rows.n, checked);
    assert_true(checked > 1500);
    hs_arena_close(a);
}

/* F09 */
static void each_rule_has_an_allowed_and_a_refused_event_in_each_version(void **state)
{
    table *t = *state;
    rules_rows rows = rules_read(t->a, t->file, "The authorization rules as a table");
    size_t pairs = 0;

    for (size_t i = 0; i < rows.n; i++) {
        unsigned allowed = 0, refused = 0;
        if (i && !strcmp(rows.at[i].section, rows.at[i - 1].section))
            continue;
        for (size_t k = i; k < rows.n && !strcmp(rows.at[k].section, rows.at[i].section); k++)
            *(hs_str_eq(rows.at[k].cells[2], HS_S("allowed")) ? &allowed : &refused) |= rows.at[k].versions;
        unsigned missing = rows.at[i].section_versions & ~(allowed & refused);
        if (missing)
            fail_msg("section \"%s\" lacks a case in versions 0x%x", rows.at[i].section, missing);
        pairs += (size_t)__builtin_popcount(rows.at[i].section_versions);
    }
    print_message("%zu pairs of rule and version, each with both verdicts\n", pairs);
    assert_true(pairs > 250);
}

/* A rule name is a literal behind one of three macros; each must be some row's. */
static void each_name_of_a_rule_is_in_the_table(void **state)
{
    static const char *const FILES[] = { "libhs/core/auth.c", "libhs/core/auth_member.c", "libhs/core/auth_power.c" };
    static const char *const BEFORE[] = { "ALLOW(\"", "REJECT(\"", "REJECT_SHAPE(\"" };
    table *t = *state;
    rules_rows rows = rules_read(t->a, t->file, "The authorization rules as a table");
    size_t names = 0;

    for (size_t f = 0; f < 3; f++) {
        const char *text;
        assert_null(hs_cstr(t->a, test_file(t->a, FILES[f]), &text));
        for (size_t m = 0; m < 3; m++) {
            for (const char *at = text; (at = strstr(at, BEFORE[m])) != NULL; names++) {
                at += strlen(BEFORE[m]);
                hs_str name = hs_str_make(at, (size_t)(strchr(at, '"') - at));
                bool found = false;
                for (size_t i = 0; i < rows.n && !found; i++)
                    found = hs_str_eq(rows.at[i].cells[3], name);
                if (!found)
                    fail_msg("%s gives \"%.*s\", which no row expects", FILES[f], HS_FMT(name));
            }
        }
    }
    assert_true(names > 60);
}

static void the_selection_is_that_of_the_table(void **state)
{
    table *t = *state;
    rules_rows rows = rules_read(t->a, t->file, "Auth events selection");
    hs_arena *a = hs_arena_open((size_t)1 << 22);

    for (size_t i = 0; i < rows.n; i++) {
        for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
            hs_state_key_pair got[HS_AUTH_TYPES_MAX];
            hs_str text = { 0 };
            if (!(rows.at[i].versions & version_bit(*v)))
                continue;
            hs_arena_reset(a);
            rules_event in = rules_event_read(a, rows.at[i].cells[0]);
            in.in.id = "$event";
            hs_event *e = test_event(a, *v, &in.in);
            size_t n = hs_auth_types(*v, e->type, e->sender, e->state_key, e->is_state, e->content, got);
            for (size_t k = 0; k < n; k++)
                assert_null(
                    hs_str_cat(a, &text, 5, text, k ? HS_S(" ") : HS_S(""), got[k].type, HS_S("/"), got[k].state_key));
            if (!hs_str_eq(text, rows.at[i].cells[1]))
                fail_msg("auth_rules.md:%zu: version %.*s: %.*s", rows.at[i].line, HS_FMT((*v)->name), HS_FMT(text));
        }
    }
    hs_arena_close(a);
}

/* F25 */
static void those_who_must_sign_are_in_the_table(void **state)
{
    table *t = *state;
    rules_rows rows = rules_read(t->a, t->file, "Who must have signed");
    hs_arena *a = hs_arena_open((size_t)1 << 22);

    for (size_t i = 0; i < rows.n; i++) {
        for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
            hs_str got[HS_SIGNERS_MAX], text = { 0 };
            if (!(rows.at[i].versions & version_bit(*v)))
                continue;
            hs_arena_reset(a);
            rules_event in = rules_event_read(a, rows.at[i].cells[0]);
            if (!in.in.id)
                in.in.id = "$event";
            size_t n = hs_event_signers(test_event(a, *v, &in.in), got);
            for (size_t k = 0; k < n; k++)
                assert_null(hs_str_cat(a, &text, 3, text, k ? HS_S(" ") : HS_S(""), got[k]));
            if (!hs_str_eq(text, rows.at[i].cells[1]))
                fail_msg("auth_rules.md:%zu: version %.*s: %.*s", rows.at[i].line, HS_FMT((*v)->name), HS_FMT(text));
        }
    }
    hs_arena_close(a);
}

static void owned_state_is_written_by_its_owner_and_those_above(void **state)
{
    static const struct {
        const char *version, *sender, *state_key;
        bool ok;
    } CASES[] = {
        { "org.matrix.msc3757.11", "@u:x", "@u:x", true },
        { "org.matrix.msc3757.11", "@u:x", "@u:x_1", true },
        { "org.matrix.msc3757.11", "@u:x", "@u:x_", true },
        { "org.matrix.msc3757.11", "@u:x", "@c:x_1", false },
        { "org.matrix.msc3757.11", "@c:x", "@u:x_1", true },
        { "org.matrix.msc3757.11", "@c:x", "@u:x", true },
        { "org.matrix.msc3757.11", "@u:x", "@u_1", false },
        { "org.matrix.msc3757.11", "@u:x", "@u:x1", false },
        { "org.matrix.msc3757.10", "@u:x", "@u:x_1", true },
        { "11", "@u:x", "@u:x_1", false },
        { "11", "@c:x", "@u:x", false },
        { "org.matrix.msc3757.10", "@u:x", "@v:x_1", false },
    };
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const hs_roomver *rv = hs_roomver_find(hs_str_c(CASES[i].version));
        room r = { .a = a, .rv = rv };
        assert_non_null(rv);
        put(&r, &ROOM[0]);
        put(&r, &(test_event_in)POWER("{'users':{'@c:x':100},'state_default':0}"));
        put(&r, &(test_event_in){ .id = "$cj",
                                  .type = "m.room.member",
                                  .sender = "@c:x",
                                  .state_key = "@c:x",
                                  .content = "{'membership':'join'}" });
        put(&r, &(test_event_in){ .id = "$uj",
                                  .type = "m.room.member",
                                  .sender = "@u:x",
                                  .state_key = "@u:x",
                                  .content = "{'membership':'join'}" });
        hs_state_view view = view_of(&r);
        hs_event *e = test_event(a, rv,
                                 &(test_event_in){ .id = "$e",
                                                   .type = "org.example.owned",
                                                   .sender = CASES[i].sender,
                                                   .state_key = CASES[i].state_key,
                                                   .content = "{}" });
        if (hs_auth_check(e, &view).ok != CASES[i].ok)
            fail_msg("%s: %s writes %s", CASES[i].version, CASES[i].sender, CASES[i].state_key);
    }
    hs_arena_close(a);
}

static void levels_have_their_defaults(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        room r = { .a = a, .rv = *v };
        put(&r, &ROOM[0]);
        hs_state_view view = view_of(&r);
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@c:x")), (*v)->privileged_creators ? HS_POWER_CREATOR : 100);
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@u:x")), 0);
        assert_int_equal(hs_auth_level(*v, &view, HS_LEVEL_BAN), 50);
        assert_int_equal(hs_auth_level(*v, &view, HS_LEVEL_INVITE), 0);
        assert_int_equal(hs_auth_level_for(*v, &view, HS_S("m.room.name"), true), 50);
        assert_int_equal(hs_auth_level_for(*v, &view, HS_S("m.room.message"), false), 0);
        assert_int_equal(hs_auth_notification_level(*v, &view, HS_S("room")), 50);
        put(&r, &(test_event_in)POWER("{'notifications':{'room':20},'users':{'@u:x':7},'users_default':3}"));
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@c:x")), (*v)->privileged_creators ? HS_POWER_CREATOR : 3);
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@u:x")), 7);
        assert_int_equal(hs_auth_notification_level(*v, &view, HS_S("room")), 20);
    }
    hs_arena_close(a);
}

/* S10 */
static void old_rooms_have_levels_as_strings_and_fractions(void **state)
{
    static const struct {
        const char *value;
        int64_t level;
    } LEVELS[] = { { "'50'", 50 },  { "' 0050 '", 50 }, { "'+50'", 50 }, { "'-7'", -7 },
                   { "50.57", 50 }, { "5.1E1", 51 },    { "-0.5", 0 },   { "'+-5'", 3 },
                   { "'5.5'", 3 },  { "null", 3 },      { "1e400", 3 } };
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("5"));
    (void)state;

    for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++) {
        room r = { .a = a, .rv = rv };
        hs_str content;
        const char *c;
        assert_null(hs_str_fmt(a, &content, "{'users':{'@u:x':%s},'users_default':3}", LEVELS[i].value));
        assert_null(hs_cstr(a, content, &c));
        put(&r, &ROOM[0]);
        put(&r, &(test_event_in)POWER(c));
        hs_state_view view = view_of(&r);
        assert_int_equal(hs_auth_power(rv, &view, HS_S("@u:x")), LEVELS[i].level);
    }
    hs_arena_close(a);
}

/* C09 F24 */
static void a_redaction_needs_power_or_the_same_server(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    room r;
    (void)state;

    build(&r, a, rv);
    hs_state_view view = view_of(&r);
    hs_event *near = test_event(a, rv, &(test_event_in)SENDS("@v:x", "m.room.message", "{}"));
    hs_event *far = test_event(a, rv, &(test_event_in)SENDS("@v:y", "m.room.message", "{}"));
    hs_event *by_user = test_event(a, rv, &(test_event_in)SENDS("@u:x", "m.room.redaction", "{'redacts':'$1'}"));
    hs_event *by_mod = test_event(a, rv, &(test_event_in)SENDS("@mod:x", "m.room.redaction", "{'redacts':'$1'}"));
    assert_true(hs_str_eq(by_user->redacts, HS_S("$1")));
    assert_true(hs_auth_redaction_ok(rv, &view, by_user, near));
    assert_false(hs_auth_redaction_ok(rv, &view, by_user, far));
    assert_true(hs_auth_redaction_ok(rv, &view, by_mod, far));
    hs_arena_close(a);
}

static void a_refusal_tells_the_client_who_and_where(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    room r;
    (void)state;

    build(&r, a, rv);
    hs_state_view view = view_of(&r);
    hs_event *e = test_event(a, rv, &(test_event_in)MAKES("@mod:x", "@banned:x", "invite"));
    hs_error *err = hs_auth_refusal(a, hs_auth_check(e, &view), e);
    assert_int_equal(err->status, 403);
    assert_int_equal(err->code, HS_M_FORBIDDEN);
    assert_true(hs_str_eq(err->message, HS_S("@banned:x is banned from the room")));
    e = test_event(a, rv, &(test_event_in)POWER("{'ban':'50'}"));
    err = hs_auth_refusal(a, hs_auth_check(e, &view), e);
    assert_int_equal(err->status, 400);
    assert_int_equal(err->code, HS_M_BAD_JSON);
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_says_what_the_table_says),
        cmocka_unit_test(each_rule_has_an_allowed_and_a_refused_event_in_each_version),
        cmocka_unit_test(each_name_of_a_rule_is_in_the_table),
        cmocka_unit_test(the_selection_is_that_of_the_table),
        cmocka_unit_test(those_who_must_sign_are_in_the_table),
        cmocka_unit_test(owned_state_is_written_by_its_owner_and_those_above),
        cmocka_unit_test(levels_have_their_defaults),
        cmocka_unit_test(old_rooms_have_levels_as_strings_and_fractions),
        cmocka_unit_test(a_redaction_needs_power_or_the_same_server),
        cmocka_unit_test(a_refusal_tells_the_client_who_and_where),
    };
    return cmocka_run_group_tests(tests, open_table, close_table);
}
