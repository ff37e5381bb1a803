/* homeserver.yaml by the table of config_keys.def: read files, merge, fill the struct, tell about what is not
 * understood. */
#include "runtime/config.h"

#include "base/buf.h"
#include "base/vec.h"
#include "runtime/config_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef enum {
    STR,
    SECRET,
    BOOL,
    INT,
    DUR,
    SIZE,
    NUM,
    RATE,
    STRS,
    JSON,
    LIST,
    CODE,
    LATER,
    QUIET,
    VOID,
    REFUSE,
    GONE
} kind;

typedef struct {
    kind kind;
    const char *path;
    size_t offset;
    const char *deflt;
    const char *meaning;
    bool unused; /* read, but nothing uses it yet */
} row;

static const row ROWS[] = {
#define KEY(k, path, member, deflt, meaning)  { k, path, offsetof(hs_config, member), deflt, meaning, false },
#define KEYL(k, path, member, deflt, meaning) { k, path, offsetof(hs_config, member), deflt, meaning, true },
#define KEY_(k, path, deflt, meaning)         { k, path, 0, deflt, meaning, false },
#include "runtime/config_keys.def"
#undef KEY
#undef KEYL
#undef KEY_
};
enum { ROWS_N = sizeof ROWS / sizeof *ROWS };

hs_error *hs_config_err_at(hs_arena *a, const char *where, const hs_yaml *n, const char *path, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!n)
        return hs_err_at(a, where, 500, HS_M_UNKNOWN, "%s: %s", path, text);
    return hs_err_at(a, where, 500, HS_M_UNKNOWN, "%.*s:%zu: %s: %s", HS_FMT(n->file), n->line, path, text);
}

hs_error *hs_config_read_file_or_missing(hs_arena *a, hs_str path, hs_str *ret, bool *ret_missing)
{
    enum { MOST = 4 << 20 };
    const char *name;
    char *bytes;
    size_t n = 0, cap = 4096;
    FILE *f;

    HS_TRY(hs_cstr(a, path, &name));
    f = fopen(name, "re");
    if (!f) {
        *ret_missing = errno == ENOENT;
        if (*ret_missing)
            return NULL;
        return hs_err(a, 500, HS_M_UNKNOWN, "%s: %s", name, strerror(errno));
    }
    *ret_missing = false;
    for (hs_error *e = hs_alloc(a, cap, &bytes);; e = NULL) {
        if (e) {
            fclose(f);
            return e;
        }
        n += fread(bytes + n, 1, cap - n, f);
        if (n < cap)
            break;
        char *more;
        if (cap >= MOST || (e = hs_alloc(a, cap * 2, &more))) {
            fclose(f);
            return e ? e : hs_err(a, 500, HS_M_UNKNOWN, "%s: larger than 4 MiB", name);
        }
        memcpy(more, bytes, n);
        bytes = more;
        cap *= 2;
    }
    bool bad = ferror(f);
    fclose(f);
    if (bad)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s: cannot be read", name);
    *ret = hs_str_make(bytes, n);
    return NULL;
}

hs_error *hs_config_read_file(hs_arena *a, hs_str path, hs_str *ret)
{
    bool missing;

    HS_TRY(hs_config_read_file_or_missing(a, path, ret, &missing));
    return missing ? hs_err(a, 500, HS_M_UNKNOWN, "%.*s: no such file", HS_FMT(path)) : NULL;
}

/* ── values ── */

/* "50M", "1h": the number before a unit letter, times the unit. */
static bool with_unit(const hs_yaml *n, const char *units, const int64_t *factors, int64_t *ret)
{
    const char *unit;
    int64_t v;

    if (!n || n->kind != HS_YAML_SCALAR || n->text.n == 0)
        return false;
    unit = strchr(units, n->text.p[n->text.n - 1]);
    if (!unit)
        return hs_str_to_i64(n->text, ret);
    return hs_str_to_i64(hs_str_first(n->text, n->text.n - 1), &v) &&
           !__builtin_mul_overflow(v, factors[unit - units], ret);
}

hs_error *hs_config_duration(hs_arena *a, const hs_yaml *n, const char *path, int64_t *ret)
{
    static const int64_t MS[] = { 1000, 60000, 3600000, 86400000, 7 * 86400000LL, 365 * 86400000LL };

    if (hs_yaml_is_null(n) || hs_str_eq(n->text, HS_S("infinity"))) {
        *ret = 0;
        return NULL;
    }
    if (!with_unit(n, "smhdwy", MS, ret) || *ret < 0)
        return hs_config_err(a, n, path, "expected a duration, such as 30s, 5m, 1h, 7d or a number of milliseconds");
    return NULL;
}

hs_error *hs_config_size(hs_arena *a, const hs_yaml *n, const char *path, int64_t *ret)
{
    static const int64_t BYTES[] = { 1 << 10, 1 << 20, 1 << 30, 1LL << 40 };

    if (hs_yaml_is_null(n)) {
        *ret = 0;
        return NULL;
    }
    if (!with_unit(n, "KMGT", BYTES, ret) || *ret < 0)
        return hs_config_err(a, n, path, "expected a size, such as 50M or a number of bytes");
    return NULL;
}

hs_error *hs_config_strs(hs_arena *a, const hs_yaml *n, const char *path, hs_strs *ret)
{
    hs_str *at;

    *ret = (hs_strs){ 0 };
    if (hs_yaml_is_null(n))
        return NULL;
    if (n->kind != HS_YAML_SEQ)
        return hs_config_err(a, n, path, "expected a list");
    HS_TRY(hs_alloc(a, n->n, &at));
    for (size_t i = 0; i < n->n; i++) {
        if (n->items[i]->kind != HS_YAML_SCALAR)
            return hs_config_err(a, n->items[i], path, "expected a list of strings");
        at[i] = n->items[i]->text;
    }
    *ret = (hs_strs){ .at = at, .n = n->n };
    return NULL;
}

/* Whole numbers are wanted; 10.0 is one. */
static bool whole(const hs_yaml *n, int64_t *ret)
{
    double d;

    if (hs_yaml_to_i64(n, ret))
        return true;
    if (!hs_yaml_to_double(n, &d) || d < -9e15 || d > 9e15)
        return false;
    *ret = (int64_t)d;
    return true;
}

/* A map of per_second and burst_count (what it lacks keeps the default), or "0.2/10" from the table. */
static hs_error *rate(hs_arena *a, const hs_yaml *n, const char *path, hs_rate_limit *ret)
{
    const hs_yaml *per = hs_yaml_get(n, HS_S("per_second")), *burst = hs_yaml_get(n, HS_S("burst_count"));

    if (hs_yaml_is_null(n))
        return NULL;
    if (n->kind == HS_YAML_SCALAR && !n->line) {
        hs_str rest = n->text;
        hs_yaml part = { .kind = HS_YAML_SCALAR, .plain = true, .text = hs_str_split(&rest, '/') };
        if (!hs_yaml_to_double(&part, &ret->per_second) || !hs_str_to_i64(rest, &ret->burst))
            return hs_config_err(a, NULL, path, "bad default");
        return NULL;
    }
    if (n->kind != HS_YAML_MAP)
        return hs_config_err(a, n, path, "expected per_second and burst_count");
    if (per && (!hs_yaml_to_double(per, &ret->per_second) || ret->per_second < 0))
        return hs_config_err(a, per, path, "per_second: expected a number");
    if (burst && (!whole(burst, &ret->burst) || ret->burst < 0))
        return hs_config_err(a, burst, path, "burst_count: expected a whole number");
    return NULL;
}

static hs_error *json(hs_arena *a, const hs_yaml *n, const char *path, bool list, hs_jv *ret)
{
    hs_str text;

    if (hs_yaml_is_null(n))
        return NULL;
    if (n->kind != (list ? HS_YAML_SEQ : HS_YAML_MAP))
        return hs_config_err(a, n, path, list ? "expected a list" : "expected a map");
    HS_TRY(hs_yaml_to_json(a, n, &text));
    return hs_tape_parse(a, text, list ? 0 : HS_JSON_OBJECT, ret);
}

static hs_error *value(hs_arena *a, const row *r, const hs_yaml *n, hs_config *c)
{
    void *to = (char *)c + r->offset;

    switch (r->kind) {
    case STR:
    case SECRET:
        if (hs_yaml_is_null(n)) {
            *(hs_str *)to = HS_S("");
            return NULL;
        }
        if (n->kind != HS_YAML_SCALAR)
            return hs_config_err(a, n, r->path, "expected a string");
        *(hs_str *)to = n->text;
        return NULL;
    case BOOL:
        if (!hs_yaml_is_null(n) && !hs_yaml_to_bool(n, to))
            return hs_config_err(a, n, r->path, "expected true or false");
        return NULL;
    case INT:
        if (!hs_yaml_is_null(n) && !whole(n, to))
            return hs_config_err(a, n, r->path, "expected a whole number");
        return NULL;
    case NUM:
        if (!hs_yaml_is_null(n) && !hs_yaml_to_double(n, to))
            return hs_config_err(a, n, r->path, "expected a number");
        return NULL;
    case DUR:
        return hs_config_duration(a, n, r->path, to);
    case SIZE:
        return hs_config_size(a, n, r->path, to);
    case RATE:
        return rate(a, n, r->path, to);
    case STRS:
        return hs_config_strs(a, n, r->path, to);
    case JSON:
    case LIST:
        return json(a, n, r->path, r->kind == LIST, to);
    case CODE:
    case LATER:
    case QUIET:
    case VOID:
    case REFUSE:
    case GONE:
        return NULL;
    }
    return NULL;
}

/* SECRET given by a file: key_path. */
static hs_error *secret_file(hs_arena *a, const row *r, const hs_yaml *top, const hs_yaml *inline_one, hs_config *c)
{
    const hs_yaml *n;
    hs_str path, text = HS_S("");
    bool missing;

    HS_TRY(hs_str_fmt(a, &path, "%s_path", r->path));
    n = hs_yaml_path(top, path);
    if (hs_yaml_is_null(n))
        return NULL;
    if (n->kind != HS_YAML_SCALAR)
        return hs_config_err(a, n, r->path, "expected a file name");
    if (!hs_yaml_is_null(inline_one))
        return hs_config_err(a, n, r->path, "both %s and %s_path are set; one of them must go", r->path, r->path);
    HS_TRY(hs_config_read_file_or_missing(a, n->text, &text, &missing));
    if (missing && r->offset == offsetof(hs_config, registration_shared_secret)) {
        c->registration_shared_secret_path = n->text;
        return NULL;
    }
    text = hs_str_trim(text);
    if (missing || text.n == 0)
        return hs_config_err(a, n, r->path, "the file %.*s is %s", HS_FMT(n->text), missing ? "missing" : "empty");
    *(hs_str *)(void *)((char *)c + r->offset) = text;
    return NULL;
}

/* Whether an option was left at its default, so that nothing need be said about it. */
static bool is_default(const row *r, const hs_yaml *n)
{
    hs_yaml d = { .kind = HS_YAML_SCALAR, .plain = true, .text = hs_str_c(r->deflt) };
    bool x, y;
    double p, q;

    if (hs_yaml_is_null(n) || (n->kind != HS_YAML_SCALAR && n->n == 0))
        return true;
    if (n->kind != HS_YAML_SCALAR)
        return false;
    if (hs_yaml_to_bool(n, &x))
        return hs_yaml_to_bool(&d, &y) ? x == y : !x;
    if (hs_yaml_to_double(n, &p) && hs_yaml_to_double(&d, &q))
        return p >= q && p <= q;
    return hs_str_eq(n->text, d.text);
}

/* ── what is not understood ── */

static const row *row_of(hs_str path)
{
    for (size_t i = 0; i < ROWS_N; i++)
        if (hs_str_eq(hs_str_c(ROWS[i].path), path))
            return &ROWS[i];
    return NULL;
}

/* A row below `path`, or a SECRET that `path` is the file of. */
static bool leads_somewhere(hs_str path)
{
    for (size_t i = 0; i < ROWS_N; i++) {
        hs_str p = hs_str_c(ROWS[i].path);
        if (p.n > path.n && hs_str_starts(p, path) && p.p[path.n] == '.')
            return true;
        if (ROWS[i].kind == SECRET && path.n == p.n + 5 && hs_str_starts(path, p) && hs_str_ends(path, HS_S("_path")))
            return true;
    }
    return false;
}

/* Sections of which one switch matters: options in a section that is switched off are not worth a word. */
static bool switched_off(const hs_yaml *map)
{
    bool on;

    return hs_yaml_to_bool(hs_yaml_get(map, HS_S("enabled")), &on) && !on;
}

/* Refuses what must not be passed over, warns of what will be. */
static hs_error *judge(hs_arena *a, const row *r, const hs_yaml *v, hs_str path, hs_logger *log)
{
    if (is_default(r, v))
        return NULL;
    if (r->kind == REFUSE)
        return hs_config_err(a, v, r->path, "%s: not supported, and it would be unsafe to go on without it",
                             r->meaning);
    if (r->kind == GONE)
        return hs_config_err(a, v, r->path, "this option has been taken out of Synapse too. %s", r->meaning);
    if (r->kind == VOID)
        hs_log(log, HS_LOG_WARN, "config.needless", "%.*s:%zu: option %.*s has no effect: %s", HS_FMT(v->file), v->line,
               HS_FMT(path), r->meaning);
    if ((r->kind == LATER || r->unused) && !switched_off(v))
        hs_log(log, HS_LOG_WARN, "config.unsupported", "%.*s:%zu: option %.*s is not supported yet and has no effect",
               HS_FMT(v->file), v->line, HS_FMT(path));
    return NULL;
}

static hs_error *look_over(hs_arena *a, const hs_yaml *map, hs_str prefix, unsigned depth, hs_logger *log)
{
    for (size_t i = 0; map->kind == HS_YAML_MAP && i < map->n; i++) {
        const hs_yaml_pair *p = &map->pairs[i];
        const row *r;
        hs_str path;

        HS_TRY(hs_str_fmt(a, &path, "%.*s%s%.*s", HS_FMT(prefix), prefix.n ? "." : "", HS_FMT(p->key)));
        r = row_of(path);
        if (r)
            HS_TRY(judge(a, r, p->value, path, log));
        if (!r && !leads_somewhere(path) && !hs_str_starts(p->key, HS_S("x-")) && !hs_str_eq(p->key, HS_S("<<")))
            hs_log(log, HS_LOG_WARN, "config.unknown", "%.*s:%zu: unknown option %.*s is ignored; see docs/config.md",
                   HS_FMT(p->value->file), p->line, HS_FMT(path));
        if (leads_somewhere(path) && depth < 3)
            HS_TRY(look_over(a, p->value, path, depth + 1, r ? NULL : log));
    }
    return NULL;
}

/* ── files ── */

typedef HS_VEC(hs_yaml_pair) pairs;

static hs_error *add_text(hs_arena *a, hs_str name, hs_str bytes, pairs *top)
{
    const hs_yaml *doc;

    HS_TRY(hs_yaml_parse(a, name, bytes, &doc));
    if (hs_yaml_is_null(doc))
        return NULL;
    if (doc->kind != HS_YAML_MAP)
        return hs_err(a, 500, HS_M_UNKNOWN, "%.*s:%zu: expected options as \"name: value\"", HS_FMT(name), doc->line);
    for (size_t i = 0; i < doc->n; i++) {
        size_t k = 0;
        while (k < top->n && !hs_str_eq(top->at[k].key, doc->pairs[i].key))
            k++;
        if (k < top->n)
            top->at[k] = doc->pairs[i];
        else
            HS_TRY(hs_vec_push(a, top, doc->pairs[i]));
    }
    return NULL;
}

static hs_error *add_file(hs_arena *a, hs_str path, pairs *top)
{
    hs_str bytes;

    HS_TRY(hs_config_read_file(a, path, &bytes));
    return add_text(a, path, bytes, top);
}

static int is_yaml(const struct dirent *d)
{
    return hs_str_ends(hs_str_c(d->d_name), HS_S(".yaml"));
}

static hs_error *add_path(hs_arena *a, hs_str path, pairs *top)
{
    struct dirent **found;
    struct stat st;
    const char *name;
    hs_error *e = NULL;
    int n;

    HS_TRY(hs_cstr(a, path, &name));
    if (stat(name, &st) != 0 || !S_ISDIR(st.st_mode))
        return add_file(a, path, top);
    n = scandir(name, &found, is_yaml, alphasort);
    if (n < 0)
        return hs_err(a, 500, HS_M_UNKNOWN, "%s: %s", name, strerror(errno));
    for (int i = 0; i < n; i++) {
        hs_str file;
        if (!e)
            e = hs_str_fmt(a, &file, "%s/%s", name, found[i]->d_name);
        if (!e)
            e = add_file(a, file, top);
        free(found[i]);
    }
    free(found);
    return e;
}

static hs_error *finish(hs_arena *a, const pairs *top, hs_str first_file, hs_logger *log, const hs_config **ret)
{
    hs_yaml map = { .kind = HS_YAML_MAP, .pairs = top->at, .n = top->n };
    size_t slash = first_file.n;
    hs_config *c;

    HS_TRY(hs_alloc(a, 1, &c));
    while (slash > 0 && first_file.p[slash - 1] != '/')
        slash--;
    HS_TRY(look_over(a, &map, HS_S(""), 0, log));
    for (size_t i = 0; i < ROWS_N; i++) {
        const row *r = &ROWS[i];
        hs_yaml d = { .kind = HS_YAML_SCALAR, .plain = true, .text = hs_str_c(r->deflt) };
        const hs_yaml *n = hs_yaml_path(&map, hs_str_c(r->path));

        if (r->deflt[0] || r->kind == STR || r->kind == SECRET)
            if (!(r->kind == STR && ((hs_str *)(void *)((char *)c + r->offset))->n))
                HS_TRY(value(a, r, &d, c));
        if (n)
            HS_TRY(value(a, r, n, c));
        if (r->kind == SECRET)
            HS_TRY(secret_file(a, r, &map, n, c));
    }
    if (c->data_dir.n == 0)
        c->data_dir = slash > 1 ? hs_str_first(first_file, slash - 1) : slash ? HS_S("/") : HS_S(".");
    HS_TRY(hs_config_parts(a, &map, log, c));
    *ret = c;
    return NULL;
}

hs_error *hs_config_load(hs_arena *a, const hs_str *paths, size_t n, hs_logger *log, const hs_config **ret)
{
    pairs top = { 0 };

    for (size_t i = 0; i < n; i++)
        HS_TRY(add_path(a, paths[i], &top));
    return finish(a, &top, n ? paths[0] : HS_S(""), log, ret);
}

hs_error *hs_config_load_text(hs_arena *a, hs_str name, hs_str yaml, hs_logger *log, const hs_config **ret)
{
    pairs top = { 0 };

    HS_TRY(add_text(a, name, yaml, &top));
    return finish(a, &top, name, log, ret);
}

/* ── docs/config.md ── */

static void describe_rows(hs_buf *b, unsigned kinds)
{
    for (size_t i = 0; i < ROWS_N; i++) {
        const row *r = &ROWS[i];
        if (!(kinds & 1u << (r->unused ? LATER : r->kind)))
            continue;
        hs_buf_add(b, HS_S("| `"));
        hs_buf_add(b, hs_str_c(r->path));
        hs_buf_add(b, HS_S("` | "));
        if (r->deflt[0]) {
            hs_buf_addc(b, '`');
            hs_buf_add(b, hs_str_c(r->deflt));
            hs_buf_addc(b, '`');
        }
        hs_buf_add(b, HS_S(" | "));
        hs_buf_add(b, hs_str_c(r->meaning));
        hs_buf_add(b, HS_S(" |\n"));
    }
}

hs_error *hs_config_describe(hs_arena *a, hs_str *ret)
{
    static const struct {
        const char *title;
        unsigned kinds;
    } PARTS[] = {
        { "## Read\n\nRates are written `per_second/burst_count`. Secrets may come from a file: the option's name with "
          "`_path` at its "
          "end.\n",
          ~(1u << LATER | 1u << QUIET | 1u << VOID | 1u << REFUSE | 1u << GONE) },
        { "## Known, not supported yet\n\nSetting one to something else than its default gives a warning.\n",
          1u << LATER },
        { "## Refused\n\nThe server does not start when one is set: going on without it would be unsafe.\n",
          1u << REFUSE | 1u << GONE },
        { "## Without meaning here\n\nA warning says why.\n", 1u << VOID },
        { "## Accepted without effect\n", 1u << QUIET },
    };
    hs_buf b;

    hs_buf_init(&b, a);
    hs_buf_add(&b,
               HS_S("# Options of homeserver.yaml\n\nMade by `hs config-docs` from libhs/runtime/config_keys.def.\n"));
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
        hs_buf_addc(&b, '\n');
        hs_buf_add(&b, hs_str_c(PARTS[i].title));
        hs_buf_add(&b, HS_S("\n| option | default | meaning |\n|---|---|---|\n"));
        describe_rows(&b, PARTS[i].kinds);
    }
    return hs_buf_flatten(&b, ret);
}
