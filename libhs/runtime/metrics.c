/* The registry of metrics and its text form. A series is found by its label values, joined. */
#include "runtime/metrics.h"

#include "base/map.h"
#include "runtime/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_LABELS 8u
#define MAX_SERIES 2000u
#define KEY_BYTES  512u
#define SEP        '\x1f'

/* The Prometheus client libraries' default, which Synapse uses. */
static const double BUCKETS[] = { .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10 };
static const double FINE[] = { .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10 };
static const double SIZES[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256 };
#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef struct series {
    struct series *next;
    double v;         /* value, or the sum of a histogram */
    uint64_t *counts; /* buckets_n + 1, of histograms */
    size_t key_n;
    char key[];
} series;

struct hs_metric {
    hs_metric *next;
    hs_metric_kind kind;
    const double *buckets; /* NULL: not a histogram */
    size_t buckets_n;
    char *name, *help;
    char *labels; /* cut at its blanks */
    const char *label[MAX_LABELS];
    unsigned labels_n;
    bool named; /* carries server_name */
    hs_map *map;
    series *first, **last;
};

typedef struct collector {
    struct collector *next;
    void (*fn)(void *ud);
    void *ud;
} collector;

struct hs_metrics {
    hs_map *by_name;
    hs_metric *first, **last;
    collector *collectors;
    char *server_name;
    double started; /* seconds since 1970 */
};

/* ── making ─────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static size_t read_proc(const char *path, char *room, size_t room_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, room, room_n - 1);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        n = 0;
    room[n] = 0;
    return (size_t)n;
}

/* The process's start: its clock ticks since boot against the seconds that the machine is up. */
static double process_start(void)
{
    char text[1024];
    const char *p;
    double up, ticks;

    if (!read_proc("/proc/uptime", text, sizeof text))
        return 0;
    up = strtod(text, NULL);
    if (!read_proc("/proc/self/stat", text, sizeof text) || !(p = strrchr(text, ')')))
        return 0;
    for (int field = 2; field < 22 && p; field++)
        p = strchr(p + 1, ' ');
    if (!p)
        return 0;
    ticks = strtod(p, NULL);
    return (double)time(NULL) - up + ticks / (double)sysconf(_SC_CLK_TCK);
}

hs_metrics *hs_metrics_open(void)
{
    hs_metrics *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->last = &m->first;
    m->by_name = hs_map_open(hs_random_u64());
    if (!m->by_name) {
        free(m);
        return NULL;
    }
    m->started = process_start();
    return m;
}

static void metric_free(hs_metric *f)
{
    while (f->first) {
        series *s = f->first;
        f->first = s->next;
        free(s->counts);
        free(s);
    }
    hs_map_close(f->map);
    free(f->name);
    free(f->help);
    free(f->labels);
    free(f);
}

void hs_metrics_close(hs_metrics *m)
{
    if (!m)
        return;
    while (m->first) {
        hs_metric *f = m->first;
        m->first = f->next;
        metric_free(f);
    }
    while (m->collectors) {
        collector *c = m->collectors;
        m->collectors = c->next;
        free(c);
    }
    hs_map_close(m->by_name);
    free(m->server_name);
    free(m);
}

void hs_metrics_set_server_name(hs_metrics *m, hs_str name)
{
    free(m->server_name);
    m->server_name = strndup(name.p, name.n);
}

static hs_metric *metric_new(hs_metric_kind kind, const char *name, const char *help, const char *labels)
{
    hs_metric *f = calloc(1, sizeof *f);
    char *save = NULL;

    if (!f)
        return NULL;
    f->kind = kind;
    if (kind == HS_HISTOGRAM || kind == HS_HISTOGRAM_FINE || kind == HS_HISTOGRAM_SIZES) {
        f->buckets = kind == HS_HISTOGRAM ? BUCKETS : kind == HS_HISTOGRAM_FINE ? FINE : SIZES;
        f->buckets_n = kind == HS_HISTOGRAM ? COUNT(BUCKETS) : kind == HS_HISTOGRAM_FINE ? COUNT(FINE) : COUNT(SIZES);
    }
    f->last = &f->first;
    f->name = strdup(name);
    f->help = strdup(help);
    f->labels = strdup(labels ? labels : "");
    f->map = hs_map_open(hs_random_u64());
    if (!f->name || !f->help || !f->labels || !f->map) {
        metric_free(f);
        return NULL;
    }
    f->named = strncmp(name, "synapse_", 8) == 0 && strcmp(name, "synapse_build_info") != 0;
    for (char *l = strtok_r(f->labels, " ", &save); l && f->labels_n < MAX_LABELS; l = strtok_r(NULL, " ", &save))
        f->label[f->labels_n++] = l;
    return f;
}

hs_metric *hs_metric_get(hs_metrics *m, hs_metric_kind kind, const char *name, const char *help, const char *labels)
{
    hs_metric *f;

    if (!m)
        return NULL;
    f = hs_map_get(m->by_name, hs_str_c(name));
    if (f)
        return f;
    f = metric_new(kind, name, help, labels);
    if (!f)
        return NULL;
    if (!hs_map_put(m->by_name, hs_str_c(name), f, NULL)) {
        metric_free(f);
        return NULL;
    }
    *m->last = f;
    m->last = &f->next;
    return f;
}

void hs_metrics_collector(hs_metrics *m, void (*fn)(void *ud), void *ud)
{
    collector *c = m ? malloc(sizeof *c) : NULL;

    if (!c)
        return;
    *c = (collector){ .next = m->collectors, .fn = fn, .ud = ud };
    m->collectors = c;
}

void hs_metrics_forget(hs_metrics *m, const void *ud)
{
    collector **at = m ? &m->collectors : NULL;

    while (at && *at) {
        collector *c = *at;
        if (c->ud == ud) {
            *at = c->next;
            free(c);
        } else {
            at = &c->next;
        }
    }
}

/* ── counting ───────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static series *series_new(hs_metric *f, hs_str key)
{
    series *s = calloc(1, sizeof *s + key.n + 1);

    if (!s)
        return NULL;
    if (f->buckets)
        s->counts = calloc(f->buckets_n + 1, sizeof *s->counts);
    s->key_n = key.n;
    if (key.n)
        memcpy(s->key, key.p, key.n);
    if ((f->buckets && !s->counts) || !hs_map_put(f->map, key, s, NULL)) {
        free(s->counts);
        free(s);
        return NULL;
    }
    *f->last = s;
    f->last = &s->next;
    return s;
}

static hs_str other_key(const hs_metric *f, char *room)
{
    size_t n = 0;

    for (unsigned i = 0; i < f->labels_n; i++) {
        memcpy(room + n, "other", 5);
        n += 5;
        room[n++] = SEP;
    }
    return hs_str_make(room, n);
}

static series *series_of(hs_metric *f, va_list ap)
{
    char room[KEY_BYTES];
    size_t n = 0;
    bool fits = true;

    for (unsigned i = 0; i < f->labels_n; i++) {
        const char *v = va_arg(ap, const char *);
        size_t len = v ? strlen(v) : 0;
        fits = fits && len + 1 <= sizeof room - n;
        if (!fits)
            continue;
        if (len)
            memcpy(room + n, v, len);
        n += len;
        room[n++] = SEP;
    }
    hs_str key = fits ? hs_str_make(room, n) : other_key(f, room);
    series *s = hs_map_get(f->map, key);
    if (!s && hs_map_count(f->map) >= MAX_SERIES) {
        key = other_key(f, room);
        s = hs_map_get(f->map, key);
    }
    return s ? s : series_new(f, key);
}

void hs_metric_add(hs_metric *f, double v, ...)
{
    va_list ap;

    if (!f)
        return;
    va_start(ap, v);
    series *s = series_of(f, ap);
    va_end(ap);
    if (s)
        s->v += v;
}

void hs_metric_set(hs_metric *f, double v, ...)
{
    va_list ap;

    if (!f)
        return;
    va_start(ap, v);
    series *s = series_of(f, ap);
    va_end(ap);
    if (s)
        s->v = v;
}

void hs_metric_clear(hs_metric *f)
{
    for (series *s = f ? f->first : NULL; s; s = s->next)
        s->v = 0;
}

void hs_metric_observe(hs_metric *f, double v, ...)
{
    va_list ap;
    size_t i = 0;

    if (!f)
        return;
    va_start(ap, v);
    series *s = series_of(f, ap);
    va_end(ap);
    if (!s || !s->counts)
        return;
    while (i < f->buckets_n && v > f->buckets[i])
        i++;
    s->counts[i]++;
    s->v += v;
}

/* ── the text ───────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static void add_c(hs_buf *out, const char *s)
{
    hs_buf_add(out, hs_str_c(s));
}

static void add_number(hs_buf *out, double v)
{
    char text[40];
    bool whole = v > -1e15 && v < 1e15 && (double)(int64_t)v == v;

    snprintf(text, sizeof text, whole ? "%.0f" : "%.10g", v);
    add_c(out, text);
}

static void add_label(hs_buf *out, bool *any, const char *name, hs_str value)
{
    add_c(out, *any ? "," : "{");
    *any = true;
    add_c(out, name);
    add_c(out, "=\"");
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\n')
            add_c(out, "\\n");
        else {
            if (c == '"' || c == '\\')
                hs_buf_addc(out, '\\');
            hs_buf_addc(out, c);
        }
    }
    hs_buf_addc(out, '"');
}

/* name suffix { labels , le } value */
static void add_series(hs_buf *out, const hs_metrics *m, const hs_metric *f, const series *s, const char *suffix,
                       const char *le, double v)
{
    hs_str rest = hs_str_make(s->key, s->key_n);
    bool any = false;

    add_c(out, f->name);
    add_c(out, suffix);
    for (unsigned i = 0; i < f->labels_n; i++)
        add_label(out, &any, f->label[i], hs_str_split(&rest, SEP));
    if (f->named && m->server_name)
        add_label(out, &any, "server_name", hs_str_c(m->server_name));
    if (le)
        add_label(out, &any, "le", hs_str_c(le));
    if (any)
        hs_buf_addc(out, '}');
    hs_buf_addc(out, ' ');
    add_number(out, v);
    hs_buf_addc(out, '\n');
}

static void add_histogram(hs_buf *out, const hs_metrics *m, const hs_metric *f, const series *s)
{
    uint64_t below = 0;
    char le[32];

    for (size_t i = 0; i <= f->buckets_n; i++) {
        double most = i < f->buckets_n ? f->buckets[i] : 0;
        below += s->counts[i];
        snprintf(le, sizeof le, most >= 1 && (double)(int)most == most ? "%.1f" : "%g", most);
        add_series(out, m, f, s, "_bucket", i < f->buckets_n ? le : "+Inf", (double)below);
    }
    add_series(out, m, f, s, "_sum", NULL, s->v);
    add_series(out, m, f, s, "_count", NULL, (double)below);
}

static void add_head(hs_buf *out, const char *name, const char *help, const char *type)
{
    add_c(out, "# HELP ");
    add_c(out, name);
    add_c(out, " ");
    add_c(out, help);
    add_c(out, "\n# TYPE ");
    add_c(out, name);
    add_c(out, " ");
    add_c(out, type);
    add_c(out, "\n");
}

static void add_one(hs_buf *out, const char *name, const char *help, const char *type, double v)
{
    add_head(out, name, help, type);
    add_c(out, name);
    add_c(out, " ");
    add_number(out, v);
    add_c(out, "\n");
}

static double open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    double n = -3; /* ".", ".." and the directory itself */

    if (!d)
        return 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void add_process(hs_buf *out, const hs_metrics *m)
{
    struct rusage u;
    struct rlimit fds = { 0 };
    char text[128], *end = text;
    double page = (double)sysconf(_SC_PAGESIZE);

    getrusage(RUSAGE_SELF, &u);
    double user = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
    double sys = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
    (void)read_proc("/proc/self/statm", text, sizeof text);
    double virtual = strtod(text, &end) * page;
    double resident = strtod(end, NULL) * page;
    (void)getrlimit(RLIMIT_NOFILE, &fds);

    add_one(out, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter",
            user + sys);
    add_one(out, "process_cpu_user_seconds_total", "User CPU time spent in seconds.", "counter", user);
    add_one(out, "process_cpu_system_seconds_total", "System CPU time spent in seconds.", "counter", sys);
    add_one(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge", virtual);
    add_one(out, "process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", resident);
    add_one(out, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge",
            m->started);
    add_one(out, "process_open_fds", "Number of open file descriptors.", "gauge", open_fds());
    add_one(out, "process_max_fds", "Maximum number of open file descriptors.", "gauge", (double)fds.rlim_cur);
}

void hs_metrics_write(hs_metrics *m, hs_buf *out)
{
    static const char *const KINDS[] = { [HS_COUNTER] = "counter",
                                         [HS_GAUGE] = "gauge",
                                         [HS_HISTOGRAM] = "histogram",
                                         [HS_HISTOGRAM_FINE] = "histogram",
                                         [HS_HISTOGRAM_SIZES] = "histogram" };

    if (!m)
        return;
    for (collector *c = m->collectors; c; c = c->next)
        c->fn(c->ud);
    add_process(out, m);
    for (const hs_metric *f = m->first; f; f = f->next) {
        add_head(out, f->name, f->help, KINDS[f->kind]);
        for (const series *s = f->first; s; s = s->next) {
            if (f->buckets)
                add_histogram(out, m, f, s);
            else
                add_series(out, m, f, s, "", NULL, s->v);
        }
    }
}
