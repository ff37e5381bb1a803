/* Schemas and programs of different ages. */
#include "support/pg.h"

#include "store/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TABLES                                                                                                         \
    "CREATE TABLE meta(key text PRIMARY KEY, value bytea NOT NULL);"                                                   \
    "CREATE TABLE migration(version int PRIMARY KEY, applied_ts bigint NOT NULL);"                                     \
    "CREATE TABLE thing(a int);"

/* Programs by their newest step. Steps 2 and 3 leave the one before them at work; 4 does not. */
#define STEP1                                                                                                          \
    {                                                                                                                  \
        1, "0001_init", TABLES, 1                                                                                      \
    }
#define STEP2                                                                                                          \
    {                                                                                                                  \
        2, "0002_b", "ALTER TABLE thing ADD COLUMN b int", 1                                                           \
    }
#define STEP3                                                                                                          \
    {                                                                                                                  \
        3, "0003_c", "ALTER TABLE thing ADD COLUMN c int", 2                                                           \
    }
#define STEP4                                                                                                          \
    {                                                                                                                  \
        4, "0004_a", "ALTER TABLE thing DROP COLUMN a", 4                                                              \
    }
#define STEP5                                                                                                          \
    {                                                                                                                  \
        5, "0005_d", "ALTER TABLE thing ADD COLUMN d int", 3                                                           \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        0, NULL, NULL, 0                                                                                               \
    }

static const hs_migration ONE[] = { STEP1, END };
static const hs_migration TWO[] = { STEP1, STEP2, END };
static const hs_migration THREE[] = { STEP1, STEP2, STEP3, END };
static const hs_migration FOUR[] = { STEP1, STEP2, STEP3, STEP4, END };
static const hs_migration FIVE[] = { STEP1, STEP2, STEP3, STEP4, STEP5, END };

typedef struct {
    hs_arena *a;
    const char *conninfo;
} scene;

static int begin(void **state)
{
    scene *s = calloc(1, sizeof *s);

    s->a = hs_arena_open((size_t)1 << 20);
    s->conninfo = test_pg_create("");
    *state = s;
    return 0;
}

static int end(void **state)
{
    scene *s = *state;

    hs_arena_close(s->a);
    free(s);
    return 0;
}

static hs_error *start(scene *s, const hs_migration *program)
{
    return hs_migrate_with(s->a, s->conninfo, program, NULL);
}

static long long version(const scene *s)
{
    return test_pg_sql(s->conninfo, "SELECT max(version) FROM migration");
}

static void refused(scene *s, const hs_migration *program, const char *part)
{
    hs_error *e = start(s, program);
    const char *text;

    assert_non_null(e);
    test_ok(hs_cstr(s->a, e->message, &text));
    assert_non_null(strstr(text, part));
    assert_non_null(strstr(text, "it has been used by a newer release"));
}

static void a_program_goes_on_beside_the_next_release(void **state)
{
    scene *s = *state;

    test_ok(start(s, ONE));
    test_ok(start(s, TWO)); /* the upgrade begins */
    test_ok(start(s, ONE)); /* a worker of before is started again meanwhile */
    assert_int_equal(version(s), 2);
    test_ok(start(s, TWO));
}

static void beyond_one_release_it_is_refused_clearly(void **state)
{
    scene *s = *state;

    test_ok(start(s, THREE));
    test_ok(start(s, TWO));
    refused(s, ONE,
            "its schema has version 3, which programs work with that know version 2; this one knows only up to 1");
}

static void a_step_that_nobody_else_can_go_beside_says_so(void **state)
{
    scene *s = *state;

    test_ok(start(s, THREE));
    test_ok(start(s, FOUR));
    refused(s, THREE, "version 4");
}

static void a_later_step_does_not_take_back_what_an_earlier_one_needs(void **state)
{
    scene *s = *state;

    test_ok(start(s, FIVE)); /* step 5 would work with 3, but step 4 does not */
    test_ok(start(s, FOUR));
    refused(s, THREE, "programs work with that know version 4");
}

static void a_schema_that_says_nothing_is_for_its_own_program(void **state)
{
    scene *s = *state;

    test_ok(start(s, TWO));
    test_pg_sql(s->conninfo, "DELETE FROM meta WHERE key = 'schema_works_with'");
    refused(s, ONE, "its schema has version 2 and this program knows only up to 1");
}

static void a_step_that_fails_leaves_nothing_behind(void **state)
{
    static const hs_migration BROKEN[] = {
        STEP1, STEP2, { 3, "0003_bad", "ALTER TABLE thing ADD COLUMN c int; SELECT 1 / 0", 3 }, END
    };
    scene *s = *state;

    hs_error *e = start(s, BROKEN);
    assert_non_null(e);
    assert_true(hs_str_find(e->message, '3', 0) < e->message.n); /* which step */
    assert_int_equal(version(s), 2);
    assert_int_equal(
        test_pg_sql(s->conninfo, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'thing'"), 2);
    test_ok(start(s, ONE)); /* nor is what it says about programs */
}

static void the_steps_of_this_program_say_whom_they_leave_at_work(void **state)
{
    int expected = 1;

    (void)state;
    for (const hs_migration *m = hs_migrations; m->version; m++) {
        assert_int_equal(m->version, expected++);
        assert_true(m->works_with >= 1 && m->works_with <= m->version);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_program_goes_on_beside_the_next_release),
        T(beyond_one_release_it_is_refused_clearly),
        T(a_step_that_nobody_else_can_go_beside_says_so),
        T(a_later_step_does_not_take_back_what_an_earlier_one_needs),
        T(a_schema_that_says_nothing_is_for_its_own_program),
        T(a_step_that_fails_leaves_nothing_behind),
        cmocka_unit_test(the_steps_of_this_program_say_whom_they_leave_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
