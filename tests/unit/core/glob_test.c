#include "core/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

typedef struct {
    const char *pattern, *text;
    bool match;
} glob_case;

static void whole_strings_match(void **state)
{
    static const glob_case CASES[] = {
        { "", "", true },
        { "", "a", false },
        { "*", "", true },
        { "*", "abc", true },
        { "a", "a", true },
        { "a", "A", false },
        { "a", "ab", false },
        { "ab", "a", false },
        { "a*", "abc", true },
        { "*c", "abc", true },
        { "*b*", "abc", true },
        { "*b", "abc", false },
        { "a*c", "ac", true },
        { "a*c", "abcbc", true },
        { "a*c", "abcb", false },
        { "a**c", "abc", true },
        { "a*b*c", "a1b2c", true },
        { "a*b*c", "a1c2b", false },
        { "?", "a", true },
        { "?", "", false },
        { "??", "a", false },
        { "?", "\xe6\x97\xa5", true },
        { "??", "\xe6\x97\xa5", false },
        { "*?", "\xe6\x97\xa5", true },
        { "*??", "\xe6\x97\xa5", false },
        { "?*?", "ab", true },
        { "?*?", "a", false },
        { "m.*", "m.room.name", true },
        { "m.*", "org.m.x", false },
        { "a\\*", "a*", false },
        { "aba*aba", "aba", false },
        { "aba*aba", "ababa", false },
        { "aba*aba", "abaaba", true },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (hs_glob_match(hs_str_c(CASES[i].pattern), hs_str_c(CASES[i].text), false) != CASES[i].match)
            fail_msg("%s on %s", CASES[i].pattern, CASES[i].text);
    assert_true(hs_glob_match(HS_S("aB*"), HS_S("AbC"), true));
}

/* The verdicts are those of Synapse's evaluator for a content rule (1.163). */
static void words_match_in_bodies(void **state)
{
    static const glob_case CASES[] = {
        { "@room", "foo@room", true },
        { "@room", "@rooms", false },
        { "foo", "xfoo", false },
        { "foo", "foox", false },
        { "foo", "a foo b", true },
        { "foo", "fOO", true },
        { "foo*baz", "foobar baz", true },
        { "foo*baz", "afoobar baz", false },
        { "f?o", "foo", true },
        { "f?o", "f\xe6\x97\xa5o", true },
        { "*", "a", true },
        { "*", "", true },
        { "", "", true },
        { "", "abc", true },
        { "foo", "_foo", false },
        { "foo", "foo-bar", true },
        { "*bar", "foo bar", true },
        { "*bar", "foobar", true },
        { "foo*", "foobar", true },
        { "fo* a", "foob ar", false },
        { "fo? b*", "foo bar", true },
        { "foo", "xfoo foo", true },
        { "foo", "", false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (hs_glob_match_words(hs_str_c(CASES[i].pattern), hs_str_c(CASES[i].text)) != CASES[i].match)
            fail_msg("%s on %s", CASES[i].pattern, CASES[i].text);
}

static void names_are_no_patterns(void **state)
{
    (void)state;

    assert_true(hs_words_match(HS_S("Bob"), HS_S("hi bob!")));
    assert_false(hs_words_match(HS_S("*"), HS_S("anything")));
    assert_true(hs_words_match(HS_S("*"), HS_S("a * b")));
    assert_false(hs_words_match(HS_S("Bob?"), HS_S("hi bobx")));
}

/* F13 */
static void hostile_patterns_cost_linear_time(void **state)
{
    enum { N = 60000 };
    char *text = malloc(N), *pattern = malloc(N);
    struct timespec from, to;
    (void)state;

    assert_true(text && pattern);
    memset(text, 'a', N);
    for (size_t i = 0; i < N; i++)
        pattern[i] = i % 3 ? 'a' : '?';
    pattern[0] = '*';
    pattern[N / 2] = 'b';
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_false(hs_glob_match(hs_str_make(pattern, N), hs_str_make(text, N), true));
    assert_false(hs_glob_match_words(hs_str_make(pattern, N), hs_str_make(text, N)));
    for (size_t i = 0; i < N; i += 2)
        pattern[i] = '*';
    pattern[N - 1] = 'b';
    assert_false(hs_glob_match(hs_str_make(pattern, N), hs_str_make(text, N), true));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    assert_true(to.tv_sec - from.tv_sec < 2); /* N × N steps would be more */
    free(text);
    free(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_strings_match),
        cmocka_unit_test(words_match_in_bodies),
        cmocka_unit_test(names_are_no_patterns),
        cmocka_unit_test(hostile_patterns_cost_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
