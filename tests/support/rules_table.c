/* See rules_table.h. */
#include "support/rules_table.h"

#include "base/vec.h"
#include "core/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *c_of(hs_arena *a, hs_str s)
{
    const char *c;

    assert_null(hs_cstr(a, s, &c));
    return c;
}

static hs_str replaced(hs_arena *a, hs_str in, hs_str what, hs_str with)
{
    for (size_t i = 0; i + what.n <= in.n; i++) {
        if (memcmp(in.p + i, what.p, what.n) != 0)
            continue;
        hs_str out;
        assert_null(hs_str_cat(a, &out, 3, hs_str_first(in, i), with, hs_str_from(in, i + what.n)));
        return out;
    }
    return in;
}

static unsigned versions_of(hs_str text)
{
    unsigned bits = 0;

    while (text.p) {
        hs_str last = hs_str_trim(hs_str_split(&text, ',')), first = hs_str_split(&last, '-');
        int64_t from, to;
        assert_true(hs_str_to_i64(first, &from));
        if (!last.p)
            to = from;
        else
            assert_true(hs_str_to_i64(last, &to));
        assert_true(from >= 1 && from <= to && to <= 12);
        for (int64_t v = from; v <= to; v++)
            bits |= 1u << v;
    }
    return bits;
}

static void read_heading(hs_arena *a, hs_str line, rules_row *ret)
{
    static const hs_str BEFORE = HS_S_INIT(" (versions ");

    for (size_t i = 0; i + BEFORE.n < line.n; i++) {
        if (!hs_str_starts(hs_str_from(line, i), BEFORE))
            continue;
        hs_str rest = hs_str_from(line, i + BEFORE.n);
        ret->section = c_of(a, hs_str_from(hs_str_first(line, i), 3));
        ret->section_versions = versions_of(hs_str_split(&rest, ')'));
        return;
    }
    fail_msg("heading without versions: %.*s", HS_FMT(line));
}

typedef HS_VEC(rules_row) row_list;

static hs_error *add_row(hs_arena *a, row_list *list, rules_row row)
{
    HS_TRY(hs_vec_push(a, list, row));
    return NULL;
}

rules_rows rules_read(hs_arena *a, hs_str file, const char *chapter)
{
    row_list out = { 0 };
    rules_row now = { .section = "" };
    bool inside = false;

    while (file.p) {
        hs_str line = hs_str_split(&file, '\n');
        now.line++;
        if (hs_str_starts(line, HS_S("# ")))
            inside = hs_str_eq(hs_str_from(line, 2), hs_str_c(chapter));
        if (!inside)
            continue;
        if (hs_str_starts(line, HS_S("## ")))
            read_heading(a, line, &now);
        if (!hs_str_starts(line, HS_S("| ")) || hs_str_starts(line, HS_S("| versions ")))
            continue;
        rules_row row = now;
        hs_str rest = hs_str_from(line, 2);
        row.versions = versions_of(hs_str_trim(hs_str_split(&rest, '|')));
        for (size_t i = 0; rest.n; i++) {
            assert_true(i < 6);
            row.cells[i] = hs_str_trim(hs_str_split(&rest, '|'));
        }
        assert_null(add_row(a, &out, row));
    }
    assert_true(out.n > 0);
    return (rules_rows){ out.at, out.n };
}

/* ── contents ── */

static hs_jv object(hs_arena *a, hs_str text)
{
    char *p = hs_arena_alloc(a, text.n + 1);
    hs_jv v;

    assert_non_null(p);
    for (size_t i = 0; i < text.n; i++)
        p[i] = text.p[i] == '\'' ? '"' : text.p[i];
    if (hs_tape_parse(a, hs_str_make(p, text.n), HS_JSON_OBJECT, &v))
        fail_msg("no object: %.*s", HS_FMT(text));
    return v;
}

/* The room's power levels with the members of `over` in place of theirs. */
static hs_str power_with(hs_arena *a, hs_str over)
{
    hs_jv room = object(a, HS_S(RULES_POWER)), more = object(a, over);
    hs_jv_iter r = { 0 }, m = { 0 };
    bool has_r = hs_jv_next(room, &r), has_m = hs_jv_next(more, &m);
    hs_json_out j;
    hs_buf b;
    hs_str out;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    while (has_r || has_m) {
        int order = !has_r ? 1 : !has_m ? -1 : hs_str_cmp(r.key, m.key);
        hs_json_key(&j, order < 0 ? r.key : m.key);
        hs_json_v_raw(&j, hs_jv_raw(order < 0 ? r.value : m.value));
        if (order <= 0)
            has_r = hs_jv_next(room, &r);
        if (order >= 0)
            has_m = hs_jv_next(more, &m);
    }
    hs_json_end(&j);
    assert_null(hs_buf_flatten(&b, &out));
    return out;
}

static hs_signing_key *identity_server(hs_arena *a)
{
    static const uint8_t SEED[32] = { 250, 1 };
    hs_signing_key *key;

    assert_null(hs_signing_key_open(a, HS_S("0"), SEED, &key));
    return key;
}

/* KEY, KEY_URL and SIGNED(user,token). */
static hs_str filled_in(hs_arena *a, hs_str text)
{
    static const hs_str SIGNED = HS_S_INIT("SIGNED(");
    hs_signing_key *key = identity_server(a);
    hs_str public_key = hs_str_make((const char *)hs_signing_key_public(key), 32), b64, url;

    assert_null(hs_base64_encode(a, public_key, false, &b64));
    assert_null(hs_base64_encode(a, public_key, true, &url));
    for (size_t i = 0; i + SIGNED.n < text.n; i++) {
        if (!hs_str_starts(hs_str_from(text, i), SIGNED))
            continue;
        hs_str rest = hs_str_from(text, i + SIGNED.n), what, json;
        hs_str user = hs_str_split(&rest, ','), token = hs_str_split(&rest, ')');
        hs_str whole = hs_str_make(text.p + i, (size_t)(rest.p - text.p) - i);
        assert_null(hs_str_fmt(a, &what, "{\"mxid\":\"%.*s\",\"token\":\"%.*s\"}", HS_FMT(user), HS_FMT(token)));
        assert_null(hs_sign_json(a, what, HS_S("id.example"), key, &json));
        text = replaced(a, text, whole, json);
        break;
    }
    text = replaced(a, text, HS_S("KEY_URL"), url);
    return replaced(a, text, HS_S("KEY'"), replaced(a, HS_S("K'"), HS_S("K"), b64));
}

static const char *content_of(hs_arena *a, const char *type, hs_str text)
{
    hs_str out;

    if (hs_str_starts(text, HS_S("+")))
        return c_of(a, power_with(a, hs_str_from(text, 1)));
    if (hs_str_starts(text, HS_S("{")))
        return c_of(a, filled_in(a, text));
    const char *key = !strcmp(type, "m.room.join_rules") ? "join_rule" : "membership";
    assert_null(hs_str_fmt(a, &out, "{'%s':'%.*s'}", key, HS_FMT(text)));
    return c_of(a, out);
}

/* ── events ── */

static void read_auth(hs_arena *a, hs_str text, rules_event *ret)
{
    (void)a;
    ret->has_auth = true;
    while (text.n) {
        hs_str key = hs_str_split(&text, ',');
        rules_auth *auth = &ret->auth[ret->auth_n++];
        assert_true(ret->auth_n <= 8);
        auth->rejected = hs_str_ends(key, HS_S("!"));
        auth->elsewhere = hs_str_ends(key, HS_S("~"));
        if (auth->rejected || auth->elsewhere)
            key.n--;
        auth->type = hs_str_split(&key, '/');
        auth->state_key = key;
    }
}

static bool attribute(hs_arena *a, hs_str word, rules_event *ret)
{
    const struct {
        hs_str name;
        const char **at;
    } names[] = {
        { HS_S_INIT("prev="), &ret->in.prev },
        { HS_S_INIT("id="), &ret->in.id },
        { HS_S_INIT("redacts="), &ret->in.redacts },
        { HS_S_INIT("room="), &ret->in.room },
    };

    if (hs_str_starts(word, HS_S("auth="))) {
        read_auth(a, hs_str_from(word, 5), ret);
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!hs_str_starts(word, names[i].name))
            continue;
        *names[i].at = c_of(a, hs_str_from(word, names[i].name.n));
        return true;
    }
    return false;
}

static const char *state_key_of(hs_arena *a, hs_str text)
{
    hs_str out = text;

    if (hs_str_eq(text, HS_S("LONG"))) {
        out = (hs_str){ 0 };
        for (int i = 0; i < 64; i++)
            assert_null(hs_str_cat(a, &out, 2, out, HS_S("\xf0\x9f\x98\x80")));
    }
    return c_of(a, out);
}

rules_event rules_event_read(hs_arena *a, hs_str text)
{
    rules_event ret = { .in = { .sender = c_of(a, hs_str_split(&text, ' ')) } };
    hs_str key = hs_str_split(&text, ' ');

    ret.in.type = c_of(a, hs_str_split(&key, '/'));
    if (key.p)
        ret.in.state_key = state_key_of(a, key);
    for (;;) {
        hs_str rest = text;
        if (!attribute(a, hs_str_split(&rest, ' '), &ret))
            break;
        text = rest;
    }
    ret.in.content = content_of(a, ret.in.type, text);
    return ret;
}

size_t rules_events_read(hs_arena *a, hs_str text, rules_event *ret, size_t max)
{
    size_t n = 0;

    while (text.n) {
        hs_str one = hs_str_trim(hs_str_split(&text, ';'));
        assert_true(n < max);
        ret[n++] = rules_event_read(a, one);
    }
    return n;
}
