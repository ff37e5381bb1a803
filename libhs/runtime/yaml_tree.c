/* See yaml_tree.h. */
#include "runtime/yaml_tree.h"

#include "base/checked.h"
#include "base/json_out.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <yaml.h>

/* Copies the document's nodes, index by index, so that aliases stay shared and nothing recurses. */
static hs_error *copy(hs_arena *a, hs_str file, yaml_document_t *doc, const hs_yaml **ret)
{
    size_t n = (size_t)(doc->nodes.top - doc->nodes.start);
    hs_yaml *nodes;

    *ret = NULL;
    if (n == 0)
        return NULL;
    HS_TRY(hs_alloc(a, n, &nodes));
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *from = doc->nodes.start + i;
        hs_yaml *to = &nodes[i];

        to->file = file;
        to->line = from->start_mark.line + 1;
        if (from->type == YAML_SCALAR_NODE) {
            hs_str text = hs_str_make((const char *)from->data.scalar.value, from->data.scalar.length);
            to->kind = HS_YAML_SCALAR;
            to->plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
            HS_TRY(hs_str_dup(a, text, &to->text));
        } else if (from->type == YAML_SEQUENCE_NODE) {
            const yaml_node_item_t *at = from->data.sequence.items.start;
            to->kind = HS_YAML_SEQ;
            to->n = (size_t)(from->data.sequence.items.top - at);
            HS_TRY(hs_alloc(a, to->n, &to->items));
            for (size_t k = 0; k < to->n; k++)
                to->items[k] = &nodes[at[k] - 1];
        } else if (from->type == YAML_MAPPING_NODE) {
            const yaml_node_pair_t *at = from->data.mapping.pairs.start;
            size_t pairs = (size_t)(from->data.mapping.pairs.top - at);
            to->kind = HS_YAML_MAP;
            HS_TRY(hs_alloc(a, pairs, &to->pairs));
            for (size_t k = 0; k < pairs; k++) {
                const yaml_node_t *key = yaml_document_get_node(doc, at[k].key);
                hs_yaml_pair pair = { .value = &nodes[at[k].value - 1] };
                size_t same = 0;

                if (!key || key->type != YAML_SCALAR_NODE)
                    return hs_err(a, 500, HS_M_UNKNOWN, "%.*s:%zu: a key that is not a plain name", HS_FMT(file),
                                  to->line);
                HS_TRY(hs_str_dup(a, hs_str_make((const char *)key->data.scalar.value, key->data.scalar.length),
                                  &pair.key));
                pair.line = key->start_mark.line + 1;
                while (same < to->n && !hs_str_eq(to->pairs[same].key, pair.key))
                    same++;
                to->pairs[same] = pair;
                if (same == to->n)
                    to->n++;
            }
        }
    }
    *ret = &nodes[0];
    return NULL;
}

hs_error *hs_yaml_parse(hs_arena *a, hs_str file, hs_str bytes, const hs_yaml **ret)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    hs_error *e;

    if (!yaml_parser_initialize(&parser))
        return HS_ERR_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)(bytes.p ? bytes.p : ""), bytes.n);
    if (!yaml_parser_load(&parser, &doc)) {
        const char *problem = parser.problem ? parser.problem : "cannot be read";
        e = hs_err(a, 500, HS_M_UNKNOWN, "%.*s:%zu: this is not YAML: %s", HS_FMT(file), parser.problem_mark.line + 1,
                   problem);
        yaml_parser_delete(&parser);
        return e;
    }
    e = copy(a, file, &doc, ret);
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return e;
}

const hs_yaml *hs_yaml_get(const hs_yaml *map, hs_str key)
{
    const hs_yaml *merged = NULL;

    if (!map || map->kind != HS_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++) {
        if (hs_str_eq(map->pairs[i].key, key))
            return map->pairs[i].value;
        if (hs_str_eq(map->pairs[i].key, HS_S("<<")))
            merged = map->pairs[i].value;
    }
    /* One level of YAML's merge key. */
    if (merged && merged->kind == HS_YAML_MAP)
        for (size_t i = 0; i < merged->n; i++)
            if (hs_str_eq(merged->pairs[i].key, key))
                return merged->pairs[i].value;
    return NULL;
}

const hs_yaml *hs_yaml_path(const hs_yaml *map, hs_str path)
{
    while (path.p && map) {
        hs_str name = hs_str_split(&path, '.');
        map = hs_yaml_get(map, name);
    }
    return map;
}

bool hs_yaml_is_null(const hs_yaml *n)
{
    if (!n)
        return true;
    return n->kind == HS_YAML_SCALAR && n->plain &&
           (n->text.n == 0 || hs_str_eq(n->text, HS_S("~")) || hs_str_eq_nocase(n->text, HS_S("null")));
}

bool hs_yaml_to_bool(const hs_yaml *n, bool *ret)
{
    static const char *const YES[] = { "true", "yes", "on" }, *const NO[] = { "false", "no", "off" };

    if (!n || n->kind != HS_YAML_SCALAR || !n->plain)
        return false;
    for (size_t i = 0; i < 3; i++) {
        if (hs_str_eq_nocase(n->text, hs_str_c(YES[i]))) {
            *ret = true;
            return true;
        }
        if (hs_str_eq_nocase(n->text, hs_str_c(NO[i]))) {
            *ret = false;
            return true;
        }
    }
    return false;
}

bool hs_yaml_to_i64(const hs_yaml *n, int64_t *ret)
{
    hs_str t;
    char digits[32];
    size_t k = 0;

    if (!n || n->kind != HS_YAML_SCALAR || !n->plain || n->text.n >= sizeof digits)
        return false;
    t = n->text;
    if (t.n > 1 && t.p[0] == '+')
        t = hs_str_from(t, 1);
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] != '_')
            digits[k++] = t.p[i];
    if (k > 1 && digits[0] == '0') { /* file modes: 0660, 0o660 */
        int64_t v = 0;
        size_t i = k > 2 && digits[1] == 'o' ? 2 : 1;
        for (; i < k; i++) {
            if (digits[i] < '0' || digits[i] > '7' || v > (INT64_MAX >> 3) - 8)
                return false;
            v = v * 8 + (digits[i] - '0');
        }
        *ret = v;
        return true;
    }
    return hs_str_to_i64(hs_str_make(digits, k), ret);
}

bool hs_yaml_to_double(const hs_yaml *n, double *ret)
{
    char text[64], *end;
    double v;

    if (!n || n->kind != HS_YAML_SCALAR || !n->plain || n->text.n == 0 || n->text.n >= sizeof text)
        return false;
    if (!isdigit((unsigned char)n->text.p[n->text.n - 1]) && n->text.p[n->text.n - 1] != '.')
        return false;
    memcpy(text, n->text.p, n->text.n);
    text[n->text.n] = '\0';
    v = strtod(text, &end);
    if (*end || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

static void scalar_json(hs_json_out *j, const hs_yaml *n)
{
    bool b;
    int64_t i;

    if (hs_yaml_is_null(n))
        hs_json_v_null(j);
    else if (hs_yaml_to_bool(n, &b))
        hs_json_v_bool(j, b);
    else if (hs_yaml_to_i64(n, &i))
        hs_json_v_int(j, i);
    else
        hs_json_v_str(j, n->text);
}

hs_error *hs_yaml_to_json(hs_arena *a, const hs_yaml *n, hs_str *ret)
{
    enum { DEPTH = 32, VALUES = 100000 };
    struct {
        const hs_yaml *n;
        size_t at;
    } stack[DEPTH];
    size_t depth = 0, values = 0; /* bounded: aliases may make a small document large, or endless */
    hs_buf b;
    hs_json_out j;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    for (;;) {
        if (++values > VALUES)
            return hs_err(a, 500, HS_M_UNKNOWN, "%.*s:%zu: too large", HS_FMT(n->file), n->line);
        if (!n || n->kind == HS_YAML_SCALAR) {
            scalar_json(&j, n);
        } else {
            if (depth == DEPTH)
                return hs_err(a, 500, HS_M_UNKNOWN, "%.*s:%zu: nested too deeply", HS_FMT(n->file), n->line);
            if (n->kind == HS_YAML_MAP)
                hs_json_obj(&j);
            else
                hs_json_arr(&j);
            stack[depth].n = n;
            stack[depth++].at = 0;
        }
        while (depth && stack[depth - 1].at == stack[depth - 1].n->n) {
            hs_json_end(&j);
            depth--;
        }
        if (!depth)
            return hs_buf_flatten(&b, ret);
        const hs_yaml *in = stack[depth - 1].n;
        size_t at = stack[depth - 1].at++;
        if (in->kind == HS_YAML_MAP) {
            hs_json_key(&j, in->pairs[at].key);
            n = in->pairs[at].value;
        } else {
            n = in->items[at];
        }
    }
}
