#include "workers/http/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = hs_arena_open(1 << 20);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    hs_arena_close(*state);
    return 0;
}

#define HOSTILE "\"'><svg onload=x>&"
static const hs_html_var VARS[] = {
    { "x", HS_S_INIT(HOSTILE) },
    { "empty", HS_S_INIT("") },
    { "none", { NULL, 0 } },
    { "evil", HS_S_INIT("javascript:x") },
    { "site", HS_S_INIT("https://a/?b&c") },
    { "other", HS_S_INIT("//evil/") },
};

static hs_error *render(hs_arena *a, const char *tmpl, hs_str *ret)
{
    return hs_html_render(a, hs_str_c(tmpl), VARS, sizeof VARS / sizeof *VARS, ret);
}

/* C15: a variable is text where it stands */
static void what_a_variable_holds_is_escaped(void **state)
{
    static const struct {
        const char *tmpl, *html;
    } CASES[] = {
        { "<p>{{ x }}</p>", "<p>&#34;&#39;&gt;&lt;svg onload=x&gt;&amp;</p>" },
        { "<i a=\"{{x}}\" b='{{ x }}'>",
          "<i a=\"&#34;&#39;&gt;&lt;svg onload=x&gt;&amp;\" b='&#34;&#39;&gt;&lt;svg onload=x&gt;&amp;'>" },
        { "<a href=\"{{ evil }}\">", "<a href=\"#\">" },
        { "<a HREF='{{ other }}'>", "<a HREF='#'>" },
        { "<a href=\"{{ site }}\">", "<a href=\"https://a/?b&amp;c\">" },
        { "<a href=\"/p?{{ evil }}\">", "<a href=\"/p?javascript:x\">" },
        { "{{ none }}{{ unknown }}{# {{ x }} #}.", "." },
        { "{% if x %}a{% else %}b{% endif %}{% if none %}c{% else %}d{% endif %}", "ad" },
        { "{% if not x %}a{% if x %}b{% endif %}{% endif %}{%- if not none -%}c{% endif %}{% if empty %}e{% endif %}",
          "ce" },
        { "<script>a < b</script><p>{{ x }}", "<script>a < b</script><p>&#34;&#39;&gt;&lt;svg onload=x&gt;&amp;" },
    };

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_str got;
        assert_null(render(*state, CASES[i].tmpl, &got));
        if (!hs_str_eq(got, hs_str_c(CASES[i].html)))
            fail_msg("%s gave %.*s", CASES[i].tmpl, HS_FMT(got));
    }
}

/* C15: where text cannot be made safe, there is no page */
static void a_variable_in_any_other_place_is_an_error(void **state)
{
    static const char *const CASES[] = {
        "<script>{{ x }}</script>",
        "<STYLE>{{ x }}</STYLE>",
        "<p {{ x }}>",
        "<p a={{ x }}>",
        "<p a=b{{ x }}>",
        "<{{ x }}>",
        "<p onclick=\"{{ x }}\">",
        "<p style=\"{{ x }}\">",
        "<script>a</p>{{ x }}</script>",
        "{{ x",
        "{% if x %}",
        "{% endif %}",
        "{% for x in y %}{% endfor %}",
        "{{ x|safe }}",
        "{% if x %}{% else %}{% else %}{% endif %}",
    };
    hs_str got;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (!render(*state, CASES[i], &got))
            fail_msg("%s gave %.*s", CASES[i], HS_FMT(got));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(what_a_variable_holds_is_escaped),
        T(a_variable_in_any_other_place_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
