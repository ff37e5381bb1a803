/* See tape.h.
 *
 * One pass, no recursion: containers that are open live on a stack of frames. A node is 16 bytes; the nodes of a value
 * are contiguous, so the next sibling is `span` nodes on. A member of an object is its key's node and then its value's.
 * While reading we also learn whether each value's bytes are canonical JSON already: canonical.c copies those whole. */
#include "base/tape.h"

#include "base/checked.h"

#include <stdarg.h>

#define MAX_NODES (HS_MIB(4) / sizeof(node))

/* tag: type in bits 0-3, flags in bits 4-7, span above. */
#define FLAG_CANONICAL 0x10u
#define FLAG_DEAD      0x20u /* a key that a later duplicate overrides */
#define SPAN_SHIFT     8u

typedef struct {
    uint32_t at, n; /* the value's bytes */
    uint32_t
        count; /* containers: members or elements; strings: 1 + index in decoded, 0 when the bytes are the string */
    uint32_t tag;
} node;

struct hs_tape {
    hs_str doc;
    node *nodes;
    hs_str *decoded;
    size_t n, cap, decoded_n, decoded_cap;
};

typedef struct {
    uint32_t node, count, last_key;
    bool object, canonical, sorted;
} frame;

typedef struct {
    hs_arena *a;
    hs_tape *t;
    const char *p, *end;
    unsigned flags;
    unsigned depth;
    frame *frames;
    frame shallow[HS_JSON_MAX_DEPTH]; /* where they are while that is enough */
    uint32_t *order;                  /* scratch for the check of keys */
    size_t order_cap;
} reader;

static node *node_of(hs_jv v)
{
    return &v.t->nodes[v.i];
}

static uint32_t span(const node *n)
{
    return n->tag >> SPAN_SHIFT;
}

static hs_jv_type type_of(const node *n)
{
    return (hs_jv_type)(n->tag & 15u);
}

/* What node i holds, decoded, without quotes. */
static hs_str text_of(const hs_tape *t, uint32_t i)
{
    const node *n = &t->nodes[i];

    if (n->count)
        return t->decoded[n->count - 1];
    return hs_str_make(t->doc.p + n->at + 1, n->n - 2);
}

/* ── errors ── */

static hs_error *not_json(const reader *r, const char *what)
{
    return hs_err(r->a, 400, HS_M_NOT_JSON, "Content not JSON: %s at byte %zu", what, (size_t)(r->p - r->t->doc.p));
}

static hs_error *bad_json(const reader *r, const char *what)
{
    return hs_err(r->a, 400, HS_M_BAD_JSON, "Bad JSON: %s at byte %zu", what, (size_t)(r->p - r->t->doc.p));
}

/* ── nodes ── */

static hs_error *add_node(reader *r, hs_jv_type type, uint32_t at, uint32_t n, uint32_t *ret)
{
    hs_tape *t = r->t;

    if (t->n == t->cap) {
        size_t cap = t->cap * 2 < MAX_NODES ? t->cap * 2 : MAX_NODES;
        node *grown;
        if (t->n == MAX_NODES)
            return bad_json(r, "too many values");
        HS_TRY(hs_alloc(r->a, cap, &grown));
        memcpy(grown, t->nodes, t->n * sizeof *grown);
        t->nodes = grown;
        t->cap = cap;
    }
    t->nodes[t->n] = (node){ .at = at, .n = n, .tag = (uint32_t)type | 1u << SPAN_SHIFT };

    *ret = (uint32_t)t->n++;
    return NULL;
}

static uint32_t offset(const reader *r)
{
    return (uint32_t)(r->p - r->t->doc.p);
}

static void not_canonical(reader *r)
{
    if (r->depth)
        r->frames[r->depth - 1].canonical = false;
}

static void skip_blanks(reader *r)
{
    const char *from = r->p;

    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
        r->p++;
    if (r->p != from)
        not_canonical(r);
}

/* ── strings ── */

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

static uint64_t has_zero(uint64_t v)
{
    return (v - ONES) & ~v & HIGHS;
}

/* Eight bytes at a time over what needs no look: not a quote, a backslash, a control or a high byte. */
static const char *skip_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        if ((v & HIGHS) | has_zero(v ^ (ONES * '"')) | has_zero(v ^ (ONES * '\\')) | ((v - ONES * 0x20) & ~v & HIGHS))
            break;
        p += 8;
    }
    return p;
}

/* Four hex digits at p; -1 when they are not. */
static long hex4(const char *p, const char *end)
{
    long v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hs_hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static size_t put_utf8(char *out, unsigned long c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The byte that a one-letter escape stands for, 0 for none. */
static char short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

/* Canonical JSON writes \u only for controls that have no letter, in lower case. */
static bool is_canonical_u(const char *digits, long c)
{
    return c < 0x20 && c != '\b' && c != '\f' && c != '\n' && c != '\r' && c != '\t' && digits[3] >= '0' &&
           (digits[3] <= '9' || digits[3] >= 'a');
}

/* r->p is behind "\u"; writes one character, of one or two escapes. */
static hs_error *read_u(reader *r, char *out, size_t *n, bool *canonical)
{
    long c = hex4(r->p, r->end);

    if (c < 0)
        return not_json(r, "four hexadecimal digits wanted");
    if (!is_canonical_u(r->p, c))
        *canonical = false;
    if (c >= 0xdc00 && c <= 0xdfff)
        return bad_json(r, "a lone surrogate");
    r->p += 4;
    if (c >= 0xd800 && c <= 0xdbff) {
        long low = r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2, r->end) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return bad_json(r, "a lone surrogate");
        r->p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *n += put_utf8(out + *n, (unsigned long)c);
    return NULL;
}

/* The string whose first escape is at r->p; `raw_n` bytes (with both quotes) from `start` bound its length. */
static hs_error *decode(reader *r, const char *start, const char *close, bool *canonical, uint32_t *ret)
{
    hs_tape *t = r->t;
    size_t n = (size_t)(r->p - start);
    char *out;

    HS_TRY(hs_alloc(r->a, (size_t)(close - start), &out));
    memcpy(out, start, n);
    while (r->p < close) {
        const char *next = memchr(r->p, '\\', (size_t)(close - r->p));
        size_t plain = (size_t)((next ? next : close) - r->p);
        memcpy(out + n, r->p, plain);
        n += plain;
        r->p += plain;
        if (!next)
            break;
        r->p++;
        if (*r->p == 'u') {
            r->p++;
            HS_TRY(read_u(r, out, &n, canonical));
            continue;
        }
        char c = short_escape(*r->p);
        if (!c)
            return not_json(r, "an unknown escape");
        if (c == '/')
            *canonical = false;
        out[n++] = c;
        r->p++;
    }
    if (t->decoded_n == t->decoded_cap) {
        size_t cap = t->decoded_cap ? t->decoded_cap * 2 : 8;
        hs_str *grown;
        HS_TRY(hs_alloc(r->a, cap, &grown));
        if (t->decoded_n)
            memcpy(grown, t->decoded, t->decoded_n * sizeof *grown);
        t->decoded = grown;
        t->decoded_cap = cap;
    }
    t->decoded[t->decoded_n++] = hs_str_make(out, n);

    *ret = (uint32_t)t->decoded_n;
    return NULL;
}

/* r->p is at the opening quote. */
static hs_error *read_string(reader *r, uint32_t *ret)
{
    const char *start = r->p + 1, *escape = NULL;
    uint32_t at = offset(r), decoded = 0, i;
    bool high = false, canonical = true;

    for (r->p = start;; r->p++) {
        r->p = skip_plain(r->p, r->end);
        if (r->p == r->end)
            return not_json(r, "an unclosed string");
        unsigned char c = (unsigned char)*r->p;
        if (c == '"')
            break;
        if (c < 0x20)
            return not_json(r, "a control character in a string");
        if (c == '\\') {
            escape = escape ? escape : r->p;
            r->p++; /* what follows cannot close the string; decode() judges it */
            if (r->p == r->end)
                return not_json(r, "an unclosed string");
            if ((unsigned char)*r->p < 0x20)
                return not_json(r, "a control character in a string");
            c = (unsigned char)*r->p;
        }
        high = high || c >= 0x80;
    }
    const char *close = r->p;
    if (high && !hs_str_is_utf8(hs_str_make(start, (size_t)(close - start)))) {
        r->p = start;
        return not_json(r, "bad UTF-8 in the string");
    }
    if (escape) {
        r->p = escape;
        HS_TRY(decode(r, start, close, &canonical, &decoded));
    }
    r->p = close + 1;
    HS_TRY(add_node(r, HS_JV_STR, at, (uint32_t)(r->p - start) + 1, &i));
    r->t->nodes[i].count = decoded;
    if (canonical)
        r->t->nodes[i].tag |= FLAG_CANONICAL;
    else
        not_canonical(r);

    *ret = i;
    return NULL;
}

/* ── numbers and words ── */

static size_t digits(const reader *r, const char *p)
{
    const char *from = p;

    while (p < r->end && *p >= '0' && *p <= '9')
        p++;
    return (size_t)(p - from);
}

static hs_error *read_number(reader *r, uint32_t *ret)
{
    const char *start = r->p;
    uint32_t at = offset(r);
    bool negative = *r->p == '-', whole = true;
    int64_t v;
    hs_jv_type type = HS_JV_REAL;

    if (negative)
        r->p++;
    size_t n = digits(r, r->p);
    if (!n)
        return not_json(r, "a digit wanted");
    if (n > 1 && *r->p == '0')
        return not_json(r, "a leading zero");
    r->p += n;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        whole = false;
        n = digits(r, r->p);
        if (!n)
            return not_json(r, "a digit wanted");
        r->p += n;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        whole = false;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        n = digits(r, r->p);
        if (!n)
            return not_json(r, "a digit wanted");
        r->p += n;
    }
    hs_str text = hs_str_make(start, (size_t)(r->p - start));
    if (whole && text.n <= 17 && hs_str_to_i64(text, &v) && v <= HS_JSON_INT_MAX && v >= -HS_JSON_INT_MAX &&
        !(negative && v == 0))
        type = HS_JV_INT;
    if (type == HS_JV_REAL && (r->flags & HS_JSON_CANONICAL)) {
        r->p = start;
        return bad_json(r, "a number that is not an integer within 53 bits");
    }
    HS_TRY(add_node(r, type, at, (uint32_t)text.n, ret));
    if (type == HS_JV_INT)
        r->t->nodes[*ret].tag |= FLAG_CANONICAL;
    else
        not_canonical(r);
    return NULL;
}

static hs_error *read_word(reader *r, hs_str word, hs_jv_type type, uint32_t *ret)
{
    if (!hs_str_starts(hs_str_make(r->p, (size_t)(r->end - r->p)), word))
        return not_json(r, "a value wanted");
    HS_TRY(add_node(r, type, offset(r), (uint32_t)word.n, ret));
    r->t->nodes[*ret].tag |= FLAG_CANONICAL;
    r->p += word.n;
    return NULL;
}

/* ── duplicate keys ── */

static bool key_before(const hs_tape *t, uint32_t x, uint32_t y)
{
    int c = hs_str_cmp(text_of(t, x), text_of(t, y));

    return c ? c < 0 : x < y;
}

static void sift(const hs_tape *t, uint32_t *o, size_t i, size_t n)
{
    for (;;) {
        size_t big = i, left = 2 * i + 1;
        if (left < n && key_before(t, o[big], o[left]))
            big = left;
        if (left + 1 < n && key_before(t, o[big], o[left + 1]))
            big = left + 1;
        if (big == i)
            return;
        uint32_t swap = o[i];
        o[i] = o[big];
        o[big] = swap;
        i = big;
    }
}

/* Heapsort: bounded whatever the keys are, and in place. */
static void sort_keys(const hs_tape *t, uint32_t *o, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(t, o, i, n);
    for (size_t i = n; i-- > 1;) {
        uint32_t swap = o[0];
        o[0] = o[i];
        o[i] = swap;
        sift(t, o, 0, i);
    }
}

/* The keys of an object just closed, when they did not come in ascending order. */
static hs_error *check_keys(reader *r, frame *f)
{
    hs_tape *t = r->t;
    uint32_t n = f->count;

    if (n > r->order_cap) {
        HS_TRY(hs_alloc(r->a, (size_t)n * 2, &r->order));
        r->order_cap = (size_t)n * 2;
    }
    uint32_t key = f->node + 1;
    for (uint32_t i = 0; i < n; i++) {
        r->order[i] = key;
        key += 1 + span(&t->nodes[key + 1]);
    }
    sort_keys(t, r->order, n);
    for (uint32_t i = 1; i < n; i++) {
        if (!hs_str_eq(text_of(t, r->order[i - 1]), text_of(t, r->order[i])))
            continue;
        if (!(r->flags & HS_JSON_DUP_KEYS_LAST)) {
            r->p = t->doc.p + t->nodes[r->order[i]].at;
            return bad_json(r, "a duplicate key");
        }
        t->nodes[r->order[i - 1]].tag |= FLAG_DEAD;
        f->count--;
    }
    return NULL;
}

/* ── containers ── */

static hs_error *go_deep(reader *r)
{
    frame *more;

    if (!(r->flags & HS_JSON_DEEP))
        return bad_json(r, "nested too deep");
    if (r->frames != r->shallow)
        return NULL;
    HS_TRY(hs_alloc(r->a, HS_JSON_DEEP_DEPTH, &more));
    memcpy(more, r->frames, r->depth * sizeof *more);
    r->frames = more;
    return NULL;
}

static hs_error *open_container(reader *r, bool object)
{
    uint32_t i;

    if (r->depth == HS_JSON_MAX_DEPTH)
        HS_TRY(go_deep(r));
    if (r->depth == HS_JSON_DEEP_DEPTH)
        return bad_json(r, "nested too deep");
    HS_TRY(add_node(r, object ? HS_JV_OBJ : HS_JV_ARR, offset(r), 0, &i));
    r->frames[r->depth++] = (frame){ .node = i, .object = object, .canonical = true, .sorted = true };
    r->p++;
    return NULL;
}

/* r->p is at the closing bracket. */
static hs_error *close_container(reader *r)
{
    hs_tape *t = r->t;
    frame *f = &r->frames[r->depth - 1];
    node *n = &t->nodes[f->node];
    const char *close = r->p;

    if (!f->sorted) {
        f->canonical = false;
        HS_TRY(check_keys(r, f));
    }
    r->p = close + 1;
    n->n = offset(r) - n->at;
    n->count = f->count;
    n->tag = (n->tag & 15u) | (f->canonical ? FLAG_CANONICAL : 0) | (uint32_t)(t->n - f->node) << SPAN_SHIFT;
    r->depth--;
    if (!f->canonical)
        not_canonical(r);
    return NULL;
}

/* A key and its colon. */
static hs_error *read_key(reader *r)
{
    frame *f = &r->frames[r->depth - 1];
    uint32_t i;

    skip_blanks(r);
    if (r->p == r->end || *r->p != '"')
        return not_json(r, "a key wanted");
    HS_TRY(read_string(r, &i));
    if (f->count && f->sorted && hs_str_cmp(text_of(r->t, f->last_key), text_of(r->t, i)) >= 0)
        f->sorted = false;
    f->last_key = i;
    skip_blanks(r);
    if (r->p == r->end || *r->p != ':')
        return not_json(r, "a colon wanted");
    r->p++;
    return NULL;
}

/* A scalar, or the opening of a container. */
static hs_error *read_value(reader *r, bool *ret_opened)
{
    uint32_t i;

    skip_blanks(r);
    *ret_opened = false;
    if (r->p == r->end)
        return not_json(r, "a value wanted");
    if (r->depth)
        r->frames[r->depth - 1].count++;
    switch (*r->p) {
    case '{':
    case '[':
        *ret_opened = true;
        return open_container(r, *r->p == '{');
    case '"':
        return read_string(r, &i);
    case 't':
        return read_word(r, HS_S("true"), HS_JV_TRUE, &i);
    case 'f':
        return read_word(r, HS_S("false"), HS_JV_FALSE, &i);
    case 'n':
        return read_word(r, HS_S("null"), HS_JV_NULL, &i);
    default:
        if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9'))
            return read_number(r, &i);
        return not_json(r, "a value wanted");
    }
}

/* After a value: closes what ends here; *ret_more when another value follows (a comma was read). */
static hs_error *after_value(reader *r, bool just_opened, bool *ret_more)
{
    *ret_more = false;
    while (r->depth) {
        const frame *f = &r->frames[r->depth - 1];
        skip_blanks(r);
        if (r->p < r->end && *r->p == (f->object ? '}' : ']')) {
            HS_TRY(close_container(r));
            just_opened = false;
            continue;
        }
        if (!just_opened) {
            if (r->p == r->end || *r->p != ',')
                return not_json(r, f->object ? "a comma or a closing brace wanted"
                                             : "a comma or a closing bracket wanted");
            r->p++;
        }
        *ret_more = true;
        return NULL;
    }
    return NULL;
}

hs_error *hs_tape_parse(hs_arena *a, hs_str bytes, unsigned flags, hs_jv *ret_top)
{
    reader r = { .a = a, .p = bytes.p, .end = bytes.p ? bytes.p + bytes.n : NULL, .flags = flags };
    bool more = true, opened;

    r.frames = r.shallow;
    if (bytes.n >= UINT32_MAX)
        return hs_err(a, 413, HS_M_TOO_LARGE, "The JSON document is too large");
    HS_TRY(hs_alloc(a, 1, &r.t));
    r.t->doc = bytes;
    r.t->cap = bytes.n / 16 + 16 < MAX_NODES ? bytes.n / 16 + 16 : MAX_NODES;
    HS_TRY(hs_alloc(a, r.t->cap, &r.t->nodes));
    while (more) {
        if (r.depth && r.frames[r.depth - 1].object)
            HS_TRY(read_key(&r));
        HS_TRY(read_value(&r, &opened));
        HS_TRY(after_value(&r, opened, &more));
    }
    skip_blanks(&r);
    if (r.p != r.end)
        return not_json(&r, "bytes after the value");
    if ((flags & HS_JSON_OBJECT) && type_of(&r.t->nodes[0]) != HS_JV_OBJ)
        return hs_err(a, 400, HS_M_BAD_JSON, "Content must be a JSON object.");

    *ret_top = (hs_jv){ .t = r.t, .i = 0 };
    return NULL;
}

/* ── reading ── */

hs_jv_type hs_jv_type_of(hs_jv v)
{
    return v.t ? type_of(node_of(v)) : HS_JV_ABSENT;
}

hs_str hs_jv_raw(hs_jv v)
{
    return v.t ? hs_str_make(v.t->doc.p + node_of(v)->at, node_of(v)->n) : hs_str_make(NULL, 0);
}

bool hs_jv_is_canonical(hs_jv v)
{
    return v.t && (node_of(v)->tag & FLAG_CANONICAL);
}

hs_jv hs_jv_get(hs_jv obj, hs_str key)
{
    if (hs_jv_type_of(obj) != HS_JV_OBJ)
        return (hs_jv){ 0 };

    const hs_tape *t = obj.t;
    uint32_t end = obj.i + span(node_of(obj));
    for (uint32_t i = obj.i + 1; i < end; i += 1 + span(&t->nodes[i + 1]))
        if (!(t->nodes[i].tag & FLAG_DEAD) && hs_str_eq(text_of(t, i), key))
            return (hs_jv){ .t = t, .i = i + 1 };
    return (hs_jv){ 0 };
}

hs_jv hs_jv_path(hs_jv v, ...)
{
    va_list ap;
    const char *key;

    va_start(ap, v);
    while ((key = va_arg(ap, const char *)) != NULL)
        v = hs_jv_get(v, hs_str_c(key));
    va_end(ap);
    return v;
}

size_t hs_jv_count(hs_jv v)
{
    hs_jv_type type = hs_jv_type_of(v);

    return type == HS_JV_ARR || type == HS_JV_OBJ ? node_of(v)->count : 0;
}

bool hs_jv_str(hs_jv v, hs_str *ret)
{
    if (hs_jv_type_of(v) != HS_JV_STR)
        return false;
    *ret = text_of(v.t, v.i);
    return true;
}

bool hs_jv_int(hs_jv v, int64_t *ret)
{
    return hs_jv_type_of(v) == HS_JV_INT && hs_str_to_i64(hs_jv_raw(v), ret);
}

bool hs_jv_bool(hs_jv v, bool *ret)
{
    hs_jv_type type = hs_jv_type_of(v);

    if (type != HS_JV_TRUE && type != HS_JV_FALSE)
        return false;
    *ret = type == HS_JV_TRUE;
    return true;
}

hs_str hs_jv_str_or_null(hs_jv v)
{
    hs_str s = { NULL, 0 };

    hs_jv_str(v, &s);
    return s;
}

bool hs_jv_next(hs_jv container, hs_jv_iter *it)
{
    if (!it->started) {
        it->started = true;
        it->at = container.i + 1;
        it->left = (uint32_t)hs_jv_count(container);
    }
    if (!it->left)
        return false;

    const hs_tape *t = container.t;
    if (hs_jv_type_of(container) == HS_JV_OBJ) {
        while (t->nodes[it->at].tag & FLAG_DEAD)
            it->at += 1 + span(&t->nodes[it->at + 1]);
        it->key = text_of(t, it->at);
        it->raw_key = hs_jv_raw((hs_jv){ .t = t, .i = it->at });
        it->at++;
    }
    it->value = (hs_jv){ .t = t, .i = it->at };
    it->at += span(&t->nodes[it->at]);
    it->left--;
    return true;
}
