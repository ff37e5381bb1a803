#include "runtime/http_router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static hs_error *unused(hs_req *q, hs_res *r)
{
    (void)q;
    (void)r;
    return NULL;
}

/* clang-format off */
static const hs_route ROUTES[] = {
    { HS_GET, "r0 v3 unstable/org.matrix.x", "/rooms/{roomId}/state", unused, .servlet = "all" },
    { HS_GET, "v3", "/rooms/{roomId}/state/{eventType}", unused, .servlet = "one" },
    { HS_PUT, "v3", "/rooms/{roomId}/state/{eventType}/{stateKey...}", unused, .servlet = "put" },
    { HS_GET, "v3", "/profile/{userId}/displayname", unused, .servlet = "name" },
    { HS_GET, "v3", "/profile/{userId}/{field}", unused, .servlet = "field" },
    { HS_PUT, "v3", "/profile/{userId}/displayname", unused, .servlet = "putname" },
    { HS_DELETE, "v3", "/profile/{userId}/{field}", unused, .servlet = "delfield" },
    { HS_GET, "v3", "/pushrules/", unused, .servlet = "rules" },
    { HS_GET, NULL, "/versions", unused, .servlet = "versions" },
    { 0 },
};
static const hs_route HEALTH[] = { { HS_GET, NULL, "/health", unused, .servlet = "health" }, { 0 } };
/* clang-format on */
static const hs_route_set SET = { "/_matrix/client/", ROUTES };
static const hs_route_set HEALTH_SET = { "/", HEALTH };

typedef struct {
    hs_router *r;
    hs_arena *a;
} fixture;

static int setup(void **state)
{
    static fixture f;

    f = (fixture){ .r = hs_router_open(), .a = hs_arena_open(1 << 20) };
    *state = &f;
    return hs_router_add(f.r, f.a, &SET, 1) || hs_router_add(f.r, f.a, &HEALTH_SET, 3) ? -1 : 0;
}

static int teardown(void **state)
{
    fixture *f = *state;

    hs_router_close(f->r);
    hs_arena_close(f->a);
    return 0;
}

/* "servlet name=value …", or the status of the error. */
static void assert_finds(fixture *f, uint32_t groups, hs_method method, const char *path, const char *expected)
{
    char got[512];
    hs_match m;
    hs_error *e = hs_router_find(f->r, f->a, groups, method, hs_str_c(path), &m);

    if (e) {
        snprintf(got, sizeof got, "%d %.*s", e->status, HS_FMT(hs_errcode_str(e->code)));
    } else {
        int n = snprintf(got, sizeof got, "%s", m.route->servlet);
        for (size_t i = 0; i < m.params_n; i++)
            n += snprintf(got + n, sizeof got - (size_t)n, " %.*s=%.*s", HS_FMT(m.params[i].name),
                          HS_FMT(m.params[i].value));
    }
    assert_string_equal(got, expected);
}

static void every_prefix_leads_to_the_row(void **state)
{
    fixture *f = *state;

    assert_finds(f, 1, HS_GET, "/_matrix/client/r0/rooms/!a:b/state", "all roomId=!a:b");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/!a:b/state", "all roomId=!a:b");
    assert_finds(f, 1, HS_GET, "/_matrix/client/unstable/org.matrix.x/rooms/!a:b/state", "all roomId=!a:b");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v1/rooms/!a:b/state", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/_matrix/client/versions", "versions");
    assert_finds(f, 1, HS_GET, "/health", "health");
}

/* Z08 */
static void segments_are_split_before_they_are_decoded(void **state)
{
    fixture *f = *state;

    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/!a%2Fb%3Ac/state", "all roomId=!a/b:c");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/..%2F..%2Fx/state", "all roomId=../../x");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/a+b%20c/state", "all roomId=a+b c");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/a/%73tate", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/../versions", "404 M_UNRECOGNIZED");
}

static void bad_encoding_is_an_invalid_parameter(void **state)
{
    fixture *f = *state;
    static const char *const BAD[] = { "%", "%4", "%zz", "%4g", "a%", "%00", "%ff", "%c0%af", "%ed%a0%80", "\xff" };

    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char path[128];
        snprintf(path, sizeof path, "/_matrix/client/v3/rooms/%s/state", BAD[i]);
        assert_finds(f, 1, HS_GET, path, "400 M_INVALID_PARAM");
    }
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/%41%e2%82%ac/state", "all roomId=A\xe2\x82\xac");
}

static void literals_win_over_parameters(void **state)
{
    fixture *f = *state;

    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/profile/@a:b/displayname", "name userId=@a:b");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/profile/@a:b/other", "field userId=@a:b field=other");
}

static void a_parameter_row_serves_the_method_that_the_literal_row_lacks(void **state)
{
    fixture *f = *state;

    assert_finds(f, 1, HS_DELETE, "/_matrix/client/v3/profile/@a:b/displayname",
                 "delfield userId=@a:b field=displayname");
}

static void another_method_is_405_and_an_unknown_path_404(void **state)
{
    fixture *f = *state;

    assert_finds(f, 1, HS_POST, "/_matrix/client/versions", "405 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_OTHER_METHOD, "/_matrix/client/versions", "405 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_POST, "/_matrix/client/version", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "*", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "health", "404 M_UNRECOGNIZED");
}

static void head_finds_the_row_of_get(void **state)
{
    assert_finds(*state, 1, HS_HEAD, "/_matrix/client/versions", "versions");
}

static void slashes_at_the_end_count(void **state)
{
    fixture *f = *state;

    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/pushrules/", "rules");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/pushrules", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/_matrix/client/versions/", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/_matrix/client//versions", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms//state", "404 M_UNRECOGNIZED");
    assert_finds(f, 1, HS_GET, "/_matrix/client/v3/rooms/x/state/", "404 M_UNRECOGNIZED");
}

static void a_rest_takes_what_is_left_even_if_empty(void **state)
{
    fixture *f = *state;
    char path[8192];
    int n;

    assert_finds(f, 1, HS_PUT, "/_matrix/client/v3/rooms/x/state/t/", "put roomId=x eventType=t stateKey=");
    assert_finds(f, 1, HS_PUT, "/_matrix/client/v3/rooms/x/state/t/a/b%2Fc/",
                 "put roomId=x eventType=t stateKey=a/b/c/");
    assert_finds(f, 1, HS_PUT, "/_matrix/client/v3/rooms/x/state/t", "405 M_UNRECOGNIZED");

    n = snprintf(path, sizeof path, "/_matrix/client/v3/rooms/x/state/t");
    for (int i = 0; i < 200; i++)
        n += snprintf(path + n, sizeof path - (size_t)n, "/");
    assert_finds(f, 1, HS_GET, path, "405 M_UNRECOGNIZED");
    hs_match m;
    assert_null(hs_router_find(f->r, f->a, 1, HS_PUT, hs_str_c(path), &m));
    assert_int_equal(m.params[2].value.n, 199);
}

static void a_path_deeper_than_all_rows_is_not_found(void **state)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "/_matrix");

    for (int i = 0; i < 1000; i++)
        n += snprintf(path + n, sizeof path - (size_t)n, "/x");
    assert_finds(*state, 1, HS_GET, path, "404 M_UNRECOGNIZED");
}

static void rows_are_seen_in_their_groups_only(void **state)
{
    fixture *f = *state;

    assert_finds(f, 2, HS_GET, "/health", "health");
    assert_finds(f, 2, HS_GET, "/_matrix/client/versions", "404 M_UNRECOGNIZED");
    assert_finds(f, 2, HS_POST, "/_matrix/client/versions", "404 M_UNRECOGNIZED");
}

static void two_rows_for_one_place_are_refused(void **state)
{
    fixture *f = *state;
    static const hs_route AGAIN[] = { { HS_GET, NULL, "/health", unused, .servlet = "other" }, { 0 } };
    static const hs_route_set AGAIN_SET = { "/", AGAIN };

    assert_non_null(hs_router_add(f->r, f->a, &AGAIN_SET, 2));
    assert_null(hs_router_add(f->r, f->a, &AGAIN_SET, 4));
}

static void all_rows_can_be_listed(void **state)
{
    fixture *f = *state;
    const hs_route_set *set;
    const hs_route *row;
    size_t it = 0, n = 0;

    while (hs_router_next(f->r, &it, &set, &row))
        n++;
    assert_int_equal(n, 10);
    assert_ptr_equal(set, &HEALTH_SET);
    assert_ptr_equal(row, &HEALTH[0]);
}

static void assert_query(fixture *f, const char *query, const char *expected)
{
    char got[512] = "";
    const hs_pair *pairs;
    size_t pairs_n;
    int n = 0;

    assert_null(hs_query_decode(f->a, hs_str_c(query), &pairs, &pairs_n));
    for (size_t i = 0; i < pairs_n; i++)
        n += snprintf(got + n, sizeof got - (size_t)n, "[%.*s|%.*s]", HS_FMT(pairs[i].name), HS_FMT(pairs[i].value));
    assert_string_equal(got, expected);
}

static void a_query_becomes_pairs(void **state)
{
    fixture *f = *state;

    assert_query(f, "", "");
    assert_query(f, "a=b", "[a|b]");
    assert_query(f, "a", "[a|]");
    assert_query(f, "a=&=b&&c=d=e", "[a|][|b][c|d=e]");
    assert_query(f, "a=b+c%2Bd&a=%26", "[a|b c+d][a|&]");
    assert_query(f, "a%5Fb=%e2%82%ac", "[a_b|\xe2\x82\xac]");
}

static void a_bad_query_is_an_invalid_parameter(void **state)
{
    fixture *f = *state;
    static const char *const BAD[] = { "a=%", "a=%1", "%zz=1", "a=%00", "a=%ff" };
    const hs_pair *pairs;
    size_t n;

    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        hs_error *e = hs_query_decode(f->a, hs_str_c(BAD[i]), &pairs, &n);
        assert_non_null(e);
        assert_int_equal(e->status, 400);
        assert_int_equal(e->code, HS_M_INVALID_PARAM);
    }
}

static void a_query_has_at_most_256_pairs(void **state)
{
    fixture *f = *state;
    char query[1024];
    const hs_pair *pairs;
    size_t n;

    memset(query, '&', 255);
    assert_null(hs_query_decode(f->a, hs_str_make(query, 255), &pairs, &n));
    assert_int_equal(n, 0);
    memset(query, '&', sizeof query);
    assert_non_null(hs_query_decode(f->a, hs_str_make(query, 256), &pairs, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(every_prefix_leads_to_the_row),
        T(segments_are_split_before_they_are_decoded),
        T(bad_encoding_is_an_invalid_parameter),
        T(literals_win_over_parameters),
        T(a_parameter_row_serves_the_method_that_the_literal_row_lacks),
        T(another_method_is_405_and_an_unknown_path_404),
        T(head_finds_the_row_of_get),
        T(slashes_at_the_end_count),
        T(a_rest_takes_what_is_left_even_if_empty),
        T(a_path_deeper_than_all_rows_is_not_found),
        T(rows_are_seen_in_their_groups_only),
        T(two_rows_for_one_place_are_refused),
        T(all_rows_can_be_listed),
        T(a_query_becomes_pairs),
        T(a_bad_query_is_an_invalid_parameter),
        T(a_query_has_at_most_256_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
