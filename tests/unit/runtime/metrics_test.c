#include "runtime/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = hs_metrics_open();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    hs_metrics_close(*state);
    return 0;
}

/* The text of a scrape, NUL-terminated; it lives until the next call. */
static const char *scrape(hs_metrics *m)
{
    static char text[1 << 20];
    hs_arena *a = hs_arena_open(8 << 20);
    hs_buf b;
    hs_str s;

    hs_buf_init(&b, a);
    hs_metrics_write(m, &b);
    assert_null(hs_buf_flatten(&b, &s));
    assert_true(s.n < sizeof text);
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    hs_arena_close(a);
    return text;
}

static void a_counter_has_a_series_per_label_values(void **state)
{
    hs_metrics *m = *state;
    hs_metric *f = hs_metric_get(m, HS_COUNTER, "things_total", "Things", "kind colour");

    hs_metric_add(f, 1, "a", "red");
    hs_metric_add(f, 2, "a", "red");
    hs_metric_add(f, 0.5, "b", "say \"x\"\n\\");
    const char *text = scrape(m);
    assert_non_null(strstr(text, "# HELP things_total Things\n# TYPE things_total counter\n"));
    assert_non_null(strstr(text, "things_total{kind=\"a\",colour=\"red\"} 3\n"));
    assert_non_null(strstr(text, "things_total{kind=\"b\",colour=\"say \\\"x\\\"\\n\\\\\"} 0.5\n"));
}

static void a_family_is_made_once(void **state)
{
    hs_metrics *m = *state;

    assert_ptr_equal(hs_metric_get(m, HS_GAUGE, "g", "G", NULL), hs_metric_get(m, HS_GAUGE, "g", "G", NULL));
    assert_null(hs_metric_get(NULL, HS_GAUGE, "g", "G", NULL));
    hs_metric_add(NULL, 1);
}

static void synapse_series_carry_the_server_name(void **state)
{
    hs_metrics *m = *state;

    hs_metrics_set_server_name(m, HS_S("example.org"));
    hs_metric_set(hs_metric_get(m, HS_GAUGE, "synapse_x", "X", NULL), 4);
    hs_metric_set(hs_metric_get(m, HS_GAUGE, "synapse_build_info", "B", "version"), 1, "1");
    hs_metric_set(hs_metric_get(m, HS_GAUGE, "other_x", "X", NULL), -2);
    const char *text = scrape(m);
    assert_non_null(strstr(text, "synapse_x{server_name=\"example.org\"} 4\n"));
    assert_non_null(strstr(text, "synapse_build_info{version=\"1\"} 1\n"));
    assert_non_null(strstr(text, "other_x -2\n"));
}

static void a_histogram_counts_cumulatively(void **state)
{
    hs_metrics *m = *state;
    hs_metric *f = hs_metric_get(m, HS_HISTOGRAM, "t_seconds", "T", "how");

    hs_metric_observe(f, 0.005, "a");
    hs_metric_observe(f, 0.3, "a");
    hs_metric_observe(f, 99, "a");
    const char *text = scrape(m);
    assert_non_null(strstr(text, "t_seconds_bucket{how=\"a\",le=\"0.005\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{how=\"a\",le=\"0.25\"} 1\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{how=\"a\",le=\"0.5\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{how=\"a\",le=\"10.0\"} 2\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{how=\"a\",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "t_seconds_sum{how=\"a\"} 99.305\n"));
    assert_non_null(strstr(text, "t_seconds_count{how=\"a\"} 3\n"));
}

static void past_2000_series_the_rest_is_other(void **state)
{
    hs_metrics *m = *state;
    hs_metric *f = hs_metric_get(m, HS_COUNTER, "c_total", "C", "who");
    char who[32];

    for (int i = 0; i < 3000; i++) {
        snprintf(who, sizeof who, "user%d", i);
        hs_metric_add(f, 1, who);
    }
    hs_metric_add(f, 1, "user0");
    const char *text = scrape(m);
    assert_non_null(strstr(text, "c_total{who=\"other\"} 1000\n"));
    assert_non_null(strstr(text, "c_total{who=\"user0\"} 2\n"));
}

static void fill_gauge(void *ud)
{
    hs_metric_set(hs_metric_get(ud, HS_GAUGE, "filled", "F", NULL), 7);
}

static void collectors_run_at_each_scrape(void **state)
{
    hs_metrics *m = *state;

    hs_metrics_collector(m, fill_gauge, m);
    assert_non_null(strstr(scrape(m), "\nfilled 7\n"));
}

static void the_process_is_described(void **state)
{
    const char *text = scrape(*state);
    const char *rss = strstr(text, "\nprocess_resident_memory_bytes ");
    const char *fds = strstr(text, "\nprocess_open_fds ");
    const char *began = strstr(text, "\nprocess_start_time_seconds ");

    assert_non_null(rss);
    assert_true(strtod(rss + 31, NULL) > 100000);
    assert_non_null(fds);
    assert_true(strtod(fds + 18, NULL) >= 3);
    assert_non_null(began);
    assert_true(strtod(began + 28, NULL) > 1.6e9);
    assert_non_null(strstr(text, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(text, "\nprocess_max_fds "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_counter_has_a_series_per_label_values),
        T(a_family_is_made_once),
        T(synapse_series_carry_the_server_name),
        T(a_histogram_counts_cumulatively),
        T(past_2000_series_the_rest_is_other),
        T(collectors_run_at_each_scrape),
        T(the_process_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
