/* See html.h. */
#include "workers/http/html.h"

#include "server/context.h"

enum { IF_DEPTH = 16 };

/* Where in the HTML the template stands. */
typedef enum { TEXT, TAG, VALUE_QUOTED, VALUE_BARE, RAW } place;

typedef struct {
    hs_arena *a;
    hs_buf out;
    hs_str tmpl;
    size_t at;
    place place;
    char quote;
    hs_str tag, attr; /* being read */
    size_t value_at;  /* where the value began, in the template */
    bool shown[IF_DEPTH], taken[IF_DEPTH];
    size_t depth;
    const hs_html_var *vars;
    size_t n;
} walk;

/* ── where it stands ── */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == ':';
}

static bool is_raw_element(hs_str tag)
{
    static const char *const RAWS[] = {
        "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noscript"
    };

    for (size_t i = 0; i < sizeof RAWS / sizeof *RAWS; i++)
        if (hs_str_eq_nocase(tag, hs_str_c(RAWS[i])))
            return true;
    return false;
}

static void end_of_tag(walk *p)
{
    p->place = is_raw_element(p->tag) && !hs_str_starts(p->tag, HS_S("/")) ? RAW : TEXT;
    p->attr = hs_str_make(NULL, 0);
}

/* One character of the template's own text. */
static void step(walk *p, size_t i)
{
    hs_str t = p->tmpl;
    char c = t.p[i];

    switch (p->place) {
    case TEXT:
        if (c == '<' && i + 1 < t.n && (is_name(t.p[i + 1]) || t.p[i + 1] == '/' || t.p[i + 1] == '!')) {
            p->place = TAG;
            p->tag = hs_str_make(t.p + i + 1, 0);
            for (size_t k = i + 1; k < t.n && (is_name(t.p[k]) || (k == i + 1 && t.p[k] == '/')); k++)
                p->tag.n++;
        }
        break;
    case TAG:
        if (c == '>')
            end_of_tag(p);
        else if (is_name(c) && p->attr.p && p->attr.p + p->attr.n == t.p + i)
            p->attr.n++;
        else if (is_name(c))
            p->attr = hs_str_make(t.p + i, 1);
        else if (c == '=')
            p->place = VALUE_BARE;
        break;
    case VALUE_BARE:
        p->value_at = i + 1;
        p->quote = c;
        if (c == '"' || c == '\'')
            p->place = VALUE_QUOTED;
        else if (c == '>')
            end_of_tag(p);
        else if (is_blank(c) && t.p[i - 1] != '=' && !is_blank(t.p[i - 1]))
            p->place = TAG;
        break;
    case VALUE_QUOTED:
        if (c == p->quote)
            p->place = TAG;
        break;
    case RAW: {
        hs_str rest = hs_str_from(t, i);
        if (hs_str_starts(rest, HS_S("</")) && hs_str_eq_nocase(hs_str_first(hs_str_from(rest, 2), p->tag.n), p->tag)) {
            p->place = TAG;
            p->tag = hs_str_make(rest.p + 1, p->tag.n + 1);
        }
        break;
    }
    }
}

/* ── variables ── */

static hs_error *wrong(walk *p, const char *what)
{
    size_t line = 1;

    for (size_t i = 0; i < p->at && i < p->tmpl.n; i++)
        line += p->tmpl.p[i] == '\n';
    return hs_err_internal(p->a, NULL, "a template, line %zu: %s", line, what);
}

static hs_str value_of(const walk *p, hs_str name)
{
    for (size_t i = 0; i < p->n; i++)
        if (hs_str_eq(name, hs_str_c(p->vars[i].name)))
            return p->vars[i].value;
    return hs_str_make(NULL, 0);
}

static void add_escaped(hs_buf *b, hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&':
            hs_buf_add(b, HS_S("&amp;"));
            break;
        case '<':
            hs_buf_add(b, HS_S("&lt;"));
            break;
        case '>':
            hs_buf_add(b, HS_S("&gt;"));
            break;
        case '"':
            hs_buf_add(b, HS_S("&#34;"));
            break;
        case '\'':
            hs_buf_add(b, HS_S("&#39;"));
            break;
        default:
            hs_buf_addc(b, s.p[i]);
        }
    }
}

static bool is_address(hs_str attr)
{
    return hs_str_eq_nocase(attr, HS_S("href")) || hs_str_eq_nocase(attr, HS_S("src")) ||
           hs_str_eq_nocase(attr, HS_S("action")) || hs_str_eq_nocase(attr, HS_S("formaction"));
}

static bool leads_to_a_site(hs_str v)
{
    return (hs_str_starts(v, HS_S("/")) && !hs_str_starts(v, HS_S("//")) && !hs_str_starts(v, HS_S("/\\"))) ||
           hs_str_starts(v, HS_S("http://")) || hs_str_starts(v, HS_S("https://"));
}

static hs_error *write_var(walk *p, hs_str name, size_t start)
{
    hs_str v = value_of(p, name);

    if (hs_str_starts(p->attr, HS_S("on")) || hs_str_starts(p->attr, HS_S("ON")) ||
        hs_str_eq_nocase(p->attr, HS_S("style")) || (p->place != TEXT && p->place != VALUE_QUOTED) ||
        (p->place == TEXT && start && p->tmpl.p[start - 1] == '<'))
        return wrong(p, "a variable may stand in text or between the quotes of an attribute only");
    if (p->place == VALUE_QUOTED && p->value_at == start && is_address(p->attr) && !leads_to_a_site(v))
        v = HS_S("#");
    add_escaped(&p->out, v);
    return NULL;
}

/* ── statements ── */

static bool is_shown(const walk *p)
{
    for (size_t i = 0; i < p->depth; i++)
        if (!p->shown[i])
            return false;
    return true;
}

static bool is_variable(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_name(s.p[i]) || s.p[i] == '-' || s.p[i] == ':')
            return false;
    return s.n > 0;
}

static hs_error *statement(walk *p, hs_str s)
{
    bool no = false;

    if (hs_str_eq(s, HS_S("else")) || hs_str_eq(s, HS_S("endif"))) {
        if (!p->depth || (s.n == 4 && p->taken[p->depth - 1]))
            return wrong(p, "there is no if for this");
        if (s.n == 4)
            p->shown[p->depth - 1] = !p->shown[p->depth - 1];
        p->taken[p->depth - 1] = true;
        p->depth -= s.n == 5;
        return NULL;
    }
    if (!hs_str_starts(s, HS_S("if ")))
        return wrong(p, "only if, else and endif are known");
    s = hs_str_trim(hs_str_from(s, 3));
    if (hs_str_starts(s, HS_S("not "))) {
        no = true;
        s = hs_str_trim(hs_str_from(s, 4));
    }
    if (!is_variable(s) || p->depth == IF_DEPTH)
        return wrong(p, "expected: if name, or if not name");
    p->shown[p->depth] = (value_of(p, s).p != NULL) != no;
    p->taken[p->depth++] = false;
    return NULL;
}

/* What begins at p->at and ends with `end`; *ret is what is between, p->at behind it. */
static hs_error *inner(walk *p, hs_str end, hs_str *ret)
{
    size_t from = p->at + 2, to = from;

    while (to + 2 <= p->tmpl.n && !hs_str_starts(hs_str_from(p->tmpl, to), end))
        to++;
    if (to + 2 > p->tmpl.n)
        return wrong(p, "this does not end");
    *ret = hs_str_make(p->tmpl.p + from, to - from);
    if (ret->n && (ret->p[0] == '-' || ret->p[0] == '+')) /* Jinja's say over blanks, which HTML does not mind */
        *ret = hs_str_from(*ret, 1);
    if (ret->n && (ret->p[ret->n - 1] == '-' || ret->p[ret->n - 1] == '+'))
        ret->n--;
    *ret = hs_str_trim(*ret);
    p->at = to + 2;
    return NULL;
}

hs_error *hs_html_render(hs_arena *a, hs_str tmpl, const hs_html_var *vars, size_t n, hs_str *ret)
{
    walk p = { .a = a, .tmpl = tmpl, .vars = vars, .n = n };
    hs_str found;

    hs_buf_init(&p.out, a);
    while (p.at < tmpl.n) {
        hs_str rest = hs_str_from(tmpl, p.at);
        size_t start = p.at;

        if (hs_str_starts(rest, HS_S("{{"))) {
            HS_TRY(inner(&p, HS_S("}}"), &found));
            if (!is_variable(found))
                return wrong(&p, "expected the name of a variable");
            if (is_shown(&p))
                HS_TRY(write_var(&p, found, start));
        } else if (hs_str_starts(rest, HS_S("{%"))) {
            HS_TRY(inner(&p, HS_S("%}"), &found));
            HS_TRY(statement(&p, found));
        } else if (hs_str_starts(rest, HS_S("{#"))) {
            HS_TRY(inner(&p, HS_S("#}"), &found));
        } else {
            if (is_shown(&p))
                hs_buf_addc(&p.out, tmpl.p[p.at]);
            step(&p, p.at++);
        }
    }
    if (p.depth)
        return wrong(&p, "an if has no endif");
    return hs_buf_flatten(&p.out, ret);
}

/* ── answers ── */

static hs_error *answer(hs_res *r, int status, hs_str page, hs_str policy)
{
    static const hs_pair SAFETY[] = {
        { HS_S_INIT("X-Frame-Options"), HS_S_INIT("DENY") },
        { HS_S_INIT("X-Content-Type-Options"), HS_S_INIT("nosniff") },
        { HS_S_INIT("Referrer-Policy"), HS_S_INIT("no-referrer") },
        { HS_S_INIT("Cache-Control"), HS_S_INIT("no-store") },
    };

    hs_res_bytes(r, status, HS_S("text/html; charset=utf-8"), page);
    r->page = true;
    for (size_t i = 0; i < sizeof SAFETY / sizeof *SAFETY; i++)
        HS_TRY(hs_res_header(r, SAFETY[i].name, SAFETY[i].value));
    return hs_res_header(r, HS_S("Content-Security-Policy"), policy);
}

#define CLOSED "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

hs_error *hs_html_answer(hs_res *r, int status, hs_str page)
{
    return answer(r, status, page, HS_S(CLOSED));
}

hs_error *hs_html_answer_script(hs_res *r, int status, hs_str page, hs_str script)
{
    uint8_t sum[32];
    hs_str text, policy;

    hs_sha256(script, sum);
    HS_TRY(hs_base64_encode(r->a, hs_str_make((const char *)sum, sizeof sum), false, &text));
    HS_TRY(hs_str_fmt(r->a, &policy, CLOSED "; script-src 'sha256-%.*s='", HS_FMT(text)));
    return answer(r, status, page, policy);
}

hs_error *hs_html_answer_styled(hs_res *r, int status, hs_str page)
{
    return answer(
        r, status, page,
        HS_S("default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' https: data:; font-src 'self' "
             "data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"));
}

hs_error *hs_html_check_site(hs_req *q)
{
    if (hs_str_eq(hs_req_header(q, HS_S("sec-fetch-site")), HS_S("cross-site")))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "This form was sent from another site");
    return NULL;
}
