#include "base/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    hs_str name, nick;
    bool has_limit, flag;
    int64_t limit;
    hs_jv more, any, list;
    hs_strs users;
} body;

static const hs_field BODY[] = {
    HS_NEED_STR(body, name),
    HS_OPT_STR(body, nick),
    HS_OPT_INT(body, limit, has_limit),
    HS_OPT_BOOL(body, flag),
    HS_NAMED("m.more", HS_F_OBJ, false, body, more),
    HS_OPT_ARR(body, list),
    HS_OPT_ANY(body, any),
    HS_OPT_STRS(body, users),
    { 0 },
};

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

static hs_error *read(const char *text, body *b)
{
    hs_jv v = { 0 };

    assert_null(hs_tape_parse(a, hs_str_c(text), 0, &v));
    return hs_fields_read(a, v, BODY, b);
}

static void members_land_in_their_fields(void **state)
{
    body b = { 0 };
    (void)state;

    assert_null(read("{\"name\":\"n\",\"limit\":7,\"flag\":true,\"m.more\":{\"x\":1},\"any\":null,\"list\":[1],"
                     "\"users\":[\"@a:x\",\"@b:x\"],\"unknown\":0}",
                     &b));
    assert_true(hs_str_eq(b.name, HS_S("n")));
    assert_null(b.nick.p);
    assert_true(b.has_limit && b.limit == 7 && b.flag);
    assert_int_equal(hs_jv_count(b.more), 1);
    assert_int_equal(hs_jv_count(b.list), 1);
    assert_int_equal(hs_jv_type_of(b.any), HS_JV_NULL);
    assert_int_equal(b.users.n, 2);
    assert_true(hs_str_eq(b.users.at[1], HS_S("@b:x")));
}

static void absent_and_null_leave_defaults(void **state)
{
    body b = { .flag = true, .limit = 10 };
    (void)state;

    assert_null(read("{\"name\":\"\",\"flag\":null,\"limit\":null,\"users\":null}", &b));
    assert_true(b.flag);
    assert_false(b.has_limit);
    assert_int_equal(b.limit, 10);
    assert_null(b.users.at);
    assert_non_null(b.name.p);
}

static void errors_name_the_member(void **state)
{
    static const struct {
        const char *text;
        hs_errcode code;
        const char *name;
    } CASES[] = {
        { "{}", HS_M_MISSING_PARAM, "name" },
        { "{\"name\":null}", HS_M_BAD_JSON, "name" },
        { "{\"name\":1}", HS_M_BAD_JSON, "name" },
        { "{\"name\":\"\",\"limit\":\"1\"}", HS_M_BAD_JSON, "limit" },
        { "{\"name\":\"\",\"limit\":1.5}", HS_M_BAD_JSON, "limit" },
        { "{\"name\":\"\",\"flag\":0}", HS_M_BAD_JSON, "flag" },
        { "{\"name\":\"\",\"m.more\":[]}", HS_M_BAD_JSON, "m.more" },
        { "{\"name\":\"\",\"list\":{}}", HS_M_BAD_JSON, "list" },
        { "{\"name\":\"\",\"users\":[1]}", HS_M_BAD_JSON, "users" },
        { "{\"name\":\"\",\"users\":\"x\"}", HS_M_BAD_JSON, "users" },
        { "[]", HS_M_BAD_JSON, "object" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        body b = { 0 };
        hs_error *e = read(CASES[i].text, &b);
        assert_non_null(e);
        assert_int_equal(e->status, 400);
        assert_int_equal(e->code, CASES[i].code);
        assert_non_null(memmem(e->message.p, e->message.n, CASES[i].name, strlen(CASES[i].name)));
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(members_land_in_their_fields),
        CASE(absent_and_null_leave_defaults),
        CASE(errors_name_the_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
