/* See http_router.h.
 *
 * A node has literal children (sorted), one child for any segment, and one for the rest of the path. Parameter names
 * belong to the rows, since two rows may name the same place differently. A lookup walks the trie depth first, literals
 * before parameters; a node is at one depth only, so it is visited at most once. */
#include "runtime/http_router.h"

#include "base/vec.h"

#define ROUTER_BYTES HS_MIB(16)

typedef struct entry {
    struct entry *next;
    const hs_route *route;
    uint32_t groups;
    hs_str names[HS_PATH_MAX_SEGMENTS];
    uint8_t at[HS_PATH_MAX_SEGMENTS]; /* the segment of each name */
    size_t names_n;
    bool takes_rest; /* the last name does */
} entry;

typedef struct node node;
typedef struct {
    hs_str text;
    node *to;
} literal;

struct node {
    HS_VEC(literal) literals;
    node *any;
    entry *entries; /* rows that end here */
    entry *rest;    /* rows whose last segment takes the rest of the path */
};

typedef struct {
    const hs_route_set *set;
    const hs_route *route;
} listed;

struct hs_router {
    hs_arena *a;
    node *root;
    HS_VEC(listed) all;
};

hs_router *hs_router_open(void)
{
    hs_arena *a = hs_arena_open(ROUTER_BYTES);
    hs_router *r = a ? hs_arena_alloc(a, sizeof *r) : NULL;

    if (r) {
        r->a = a;
        r->root = hs_arena_alloc(a, sizeof *r->root);
    }
    if (!r || !r->root) {
        hs_arena_close(a);
        return NULL;
    }
    return r;
}

void hs_router_close(hs_router *r)
{
    if (r)
        hs_arena_close(r->a);
}

bool hs_router_next(const hs_router *r, size_t *it, const hs_route_set **set, const hs_route **row)
{
    if (*it >= r->all.n)
        return false;
    *set = r->all.at[*it].set;
    *row = r->all.at[*it].route;
    ++*it;
    return true;
}

/* ── adding ─────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

/* Index of the literal, or of the place where it belongs. */
static size_t literal_at(const node *n, hs_str text, bool *found)
{
    size_t lo = 0, hi = n->literals.n;

    *found = false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = hs_str_cmp(n->literals.at[mid].text, text);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static hs_error *literal_child(hs_router *r, node *n, hs_str text, node **ret)
{
    bool found;
    size_t at = literal_at(n, text, &found);

    if (!found) {
        literal fresh = { .text = text };
        HS_TRY(hs_alloc(r->a, 1, &fresh.to));
        HS_TRY(hs_vec_push(r->a, &n->literals, fresh));
        for (size_t i = n->literals.n - 1; i > at; i--)
            n->literals.at[i] = n->literals.at[i - 1];
        n->literals.at[at] = fresh;
    }
    *ret = n->literals.at[at].to;
    return NULL;
}

static hs_error *any_child(hs_router *r, node *n, node **ret)
{
    if (!n->any)
        HS_TRY(hs_alloc(r->a, 1, &n->any));
    *ret = n->any;
    return NULL;
}

static hs_error *append_entry(hs_arena *a, entry **list, entry *e)
{
    while (*list) {
        const entry *other = *list;
        if (other->route->method == e->route->method && (other->groups & e->groups))
            return hs_err_internal(a, NULL, "two routes for one path: %s", e->route->path);
        list = &(*list)->next;
    }
    *list = e;
    return NULL;
}

/* "{name}" or "{name...}"; false for a literal. */
static bool parameter_name(hs_str segment, hs_str *ret_name, bool *ret_rest)
{
    if (segment.n < 3 || segment.p[0] != '{' || segment.p[segment.n - 1] != '}')
        return false;
    *ret_name = hs_str_make(segment.p + 1, segment.n - 2);
    *ret_rest = hs_str_ends(*ret_name, HS_S("..."));
    if (*ret_rest)
        ret_name->n -= 3;
    return true;
}

static hs_error *add_path(hs_router *r, hs_arena *a, const hs_route *route, uint32_t groups, hs_str path)
{
    hs_str rest = hs_str_from(path, 1);
    node *n = r->root;
    size_t depth = 0;
    entry *e;

    if (!hs_str_starts(path, HS_S("/")))
        return hs_err_internal(a, NULL, "a route does not start with '/': %s", route->path);
    HS_TRY(hs_alloc(r->a, 1, &e));
    e->route = route;
    e->groups = groups;
    while (rest.p) {
        hs_str segment = hs_str_split(&rest, '/'), name;
        bool takes_rest = false;
        if (++depth > HS_PATH_MAX_SEGMENTS)
            return hs_err_internal(a, NULL, "a route is too deep: %s", route->path);
        if (parameter_name(segment, &name, &takes_rest)) {
            e->at[e->names_n] = (uint8_t)(depth - 1);
            e->names[e->names_n++] = name;
            if (takes_rest && rest.p)
                return hs_err_internal(a, NULL, "a route goes on behind its rest: %s", route->path);
            if (!takes_rest)
                HS_TRY(any_child(r, n, &n));
        } else {
            HS_TRY(literal_child(r, n, segment, &n));
        }
        e->takes_rest = takes_rest;
        if (takes_rest)
            return append_entry(a, &n->rest, e);
    }
    return append_entry(a, &n->entries, e);
}

/* base, prefix and path with one '/' where they meet. */
static hs_error *join_path(hs_arena *a, hs_str base, hs_str prefix, hs_str path, hs_str *ret)
{
    bool slash = hs_str_starts(path, HS_S("/"));

    if (prefix.n)
        return hs_str_cat(a, ret, 4, base, prefix, slash ? HS_S("") : HS_S("/"), path);
    if (slash && hs_str_ends(base, HS_S("/")))
        path = hs_str_from(path, 1);
    return hs_str_cat(a, ret, 2, base, path);
}

static hs_error *add_row(hs_router *r, hs_arena *a, const hs_route_set *set, const hs_route *route, uint32_t groups)
{
    hs_str prefixes = hs_str_c(route->prefixes), whole;
    listed row = { .set = set, .route = route };

    HS_TRY(hs_vec_push(r->a, &r->all, row));
    if (!prefixes.n) {
        HS_TRY(join_path(r->a, hs_str_c(set->base), prefixes, hs_str_c(route->path), &whole));
        return add_path(r, a, route, groups, whole);
    }
    while (prefixes.p) {
        hs_str prefix = hs_str_split(&prefixes, ' ');
        if (!prefix.n)
            continue;
        HS_TRY(join_path(r->a, hs_str_c(set->base), prefix, hs_str_c(route->path), &whole));
        HS_TRY(add_path(r, a, route, groups, whole));
    }
    return NULL;
}

hs_error *hs_router_add(hs_router *r, hs_arena *a, const hs_route_set *set, uint32_t groups)
{
    for (const hs_route *route = set->routes; route->path; route++)
        HS_TRY(add_row(r, a, set, route, groups));
    return NULL;
}

/* ── finding ────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

typedef struct {
    uint32_t groups;
    hs_method method;
    const entry *found;
    bool other_methods;
} search;

static bool look_in(search *s, const entry *e)
{
    for (; e; e = e->next) {
        if (!(e->groups & s->groups))
            continue;
        if (e->route->method == s->method) {
            s->found = e;
            return true;
        }
        s->other_methods = true;
    }
    return false;
}

/* Depth first; `stage` says what was tried at each depth. `more`: the path goes on behind the segments. */
static void walk(const hs_router *r, search *s, const hs_str *segments, size_t n, bool more)
{
    struct {
        const node *at;
        int stage;
    } stack[HS_PATH_MAX_SEGMENTS + 1] = { { .at = r->root } };
    size_t depth = 0;

    for (;;) {
        const node *at = stack[depth].at, *down = NULL;
        int stage = stack[depth].stage++;
        if (depth == n) {
            if (!more && look_in(s, at->entries))
                return;
            stage = 3;
        }
        if (stage == 0) {
            bool found;
            size_t i = literal_at(at, segments[depth], &found);
            down = found ? at->literals.at[i].to : NULL;
        } else if (stage == 1) {
            down = segments[depth].n ? at->any : NULL;
        } else if (stage == 2) {
            if (look_in(s, at->rest))
                return;
        } else if (depth == 0) {
            return;
        } else {
            depth--;
        }
        if (down) {
            stack[++depth].at = down;
            stack[depth].stage = 0;
        }
    }
}

static hs_error *read_params(hs_arena *a, const entry *e, const hs_str *segments, hs_str path, hs_match *ret)
{
    hs_pair *params;

    HS_TRY(hs_alloc(a, e->names_n, &params));
    for (size_t i = 0; i < e->names_n; i++) {
        hs_str raw = segments[e->at[i]];
        if (e->takes_rest && i + 1 == e->names_n)
            raw.n = (size_t)(path.p + path.n - raw.p);
        params[i].name = e->names[i];
        HS_TRY(hs_segment_decode(a, raw, &params[i].value));
    }
    *ret = (hs_match){ .route = e->route, .params = params, .params_n = e->names_n };
    return NULL;
}

hs_error *hs_router_find(const hs_router *r, hs_arena *a, uint32_t groups, hs_method method, hs_str path, hs_match *ret)
{
    hs_str segments[HS_PATH_MAX_SEGMENTS];
    hs_str rest = hs_str_from(path, 1);
    search s = { .groups = groups, .method = method };
    size_t n = 0;

    if (hs_str_starts(path, HS_S("/"))) {
        /* Deeper than any row can be: only one that takes the rest may match, and it reads on from its own segment. */
        while (rest.p && n < HS_PATH_MAX_SEGMENTS)
            segments[n++] = hs_str_split(&rest, '/');
        walk(r, &s, segments, n, rest.p != NULL);
        if (!s.found && method == HS_HEAD) {
            s.method = HS_GET;
            walk(r, &s, segments, n, rest.p != NULL);
        }
    }
    if (s.found)
        return read_params(a, s.found, segments, path, ret);
    return hs_err(a, s.other_methods ? 405 : 404, HS_M_UNRECOGNIZED, "Unrecognized request");
}

/* ── decoding ───────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static hs_error *decode(hs_arena *a, hs_str s, bool plus, hs_str *ret)
{
    size_t n = 0;
    char *p;

    if (hs_str_find(s, '%', 0) == s.n && (!plus || hs_str_find(s, '+', 0) == s.n)) {
        *ret = s;
    } else {
        HS_TRY(hs_alloc(a, s.n + 1, &p));
        for (size_t i = 0; i < s.n; i++) {
            char c = s.p[i];
            if (c == '%') {
                int hi = i + 2 < s.n ? hs_hex_digit(s.p[i + 1]) : -1;
                int lo = i + 2 < s.n ? hs_hex_digit(s.p[i + 2]) : -1;
                if (hi < 0 || lo < 0)
                    return hs_err(a, 400, HS_M_INVALID_PARAM, "The request target is badly percent-encoded");
                c = (char)(hi << 4 | lo);
                i += 2;
            } else if (plus && c == '+') {
                c = ' ';
            }
            p[n++] = c;
        }
        *ret = hs_str_make(p, n);
    }
    if (ret->n && (memchr(ret->p, 0, ret->n) || !hs_str_is_utf8(*ret)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "The request target is not valid UTF-8");
    return NULL;
}

hs_error *hs_segment_decode(hs_arena *a, hs_str s, hs_str *ret)
{
    return decode(a, s, false, ret);
}

hs_error *hs_query_decode(hs_arena *a, hs_str query, const hs_pair **ret, size_t *ret_n)
{
    hs_str rest = query;
    size_t pairs = query.n != 0, n = 0;
    hs_pair *out;

    for (size_t i = 0; i < query.n; i++)
        pairs += query.p[i] == '&';
    if (pairs > HS_QUERY_MAX_PAIRS)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Too many query parameters");
    HS_TRY(hs_alloc(a, pairs, &out));
    while (rest.n) {
        hs_str pair = hs_str_split(&rest, '&');
        size_t eq = hs_str_find(pair, '=', 0);
        if (!pair.n)
            continue;
        HS_TRY(decode(a, hs_str_first(pair, eq), true, &out[n].name));
        HS_TRY(decode(a, hs_str_from(pair, eq + 1), true, &out[n].value));
        n++;
    }

    *ret = out;
    *ret_n = n;
    return NULL;
}
