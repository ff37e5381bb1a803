/* What each room version takes for an event: numbers, names, sizes. The same template with one thing different, in all
 * versions. */
#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ARENA ((size_t)1 << 24)

typedef struct {
    const char *content, *depth, *ts, *room_id, *sender, *state_key, *type, *event_id, *more;
} parts;

static const parts PLAIN = { .content = "{}",
                             .depth = "\"depth\":1,",
                             .ts = "1",
                             .room_id = "!r:x",
                             .sender = "@a:x",
                             .state_key = "k",
                             .type = "t",
                             .event_id = "$e:x",
                             .more = "" };

/* The HTTP status that the event of these parts gets; 0: it is one. */
static int status_of(hs_arena *a, const hs_roomver *rv, const parts *p, hs_event **ret)
{
    hs_str json, id = { 0 };
    hs_event *e = NULL;

    if (rv->event_id == HS_EVENT_ID_GIVEN)
        assert_null(hs_str_fmt(a, &id, "\"event_id\":\"%s\",", p->event_id));
    assert_null(hs_str_fmt(a, &json,
                           "{\"auth_events\":[],\"content\":%s,%s%.*s\"origin_server_ts\":%s,\"prev_events\":[],"
                           "\"room_id\":\"%s\",\"sender\":\"%s\",\"state_key\":\"%s\",\"type\":\"%s\"%s}",
                           p->content, p->depth, HS_FMT(id), p->ts, p->room_id, p->sender, p->state_key, p->type,
                           p->more));
    hs_error *err = hs_event_parse(a, rv, json, &e);
    if (ret)
        *ret = e;
    return err ? err->status : 0;
}

static int64_t number_of(const hs_roomver *rv)
{
    int64_t n;

    hs_str name = rv->name; /* "org.matrix.msc3757.11" has the events of version 11 */
    for (size_t i = 0; i < rv->name.n; i++)
        if (rv->name.p[i] == '.')
            name = hs_str_make(rv->name.p + i + 1, rv->name.n - i - 1);
    assert_true(hs_str_to_i64(name, &n));
    return n;
}

static void expect(hs_arena *a, const hs_roomver *rv, const parts *p, int status, const char *what)
{
    int is = status_of(a, rv, p, NULL);

    if (is != status)
        fail_msg("version %.*s, %s: %d", HS_FMT(rv->name), what, is);
}

#define EACH_VERSION(a, v) for (const hs_roomver *const *v = hs_roomver_all(); *v && (hs_arena_reset(a), true); v++)

/* F06 */
static void depth_is_from_0_to_2_53_less_1_in_every_version(void **state)
{
    static const struct {
        const char *depth;
        int status;
    } CASES[] = {
        { "\"depth\":0,", 0 },
        { "\"depth\":9007199254740991,", 0 },
        { "\"depth\":9007199254740992,", 400 },
        { "\"depth\":9223372036854775807,", 400 },
        { "\"depth\":9223372036854775808,", 400 },
        { "\"depth\":-1,", 400 },
        { "\"depth\":1.0,", 400 },
        { "\"depth\":1e3,", 400 },
        { "\"depth\":\"1\",", 400 },
        { "\"depth\":null,", 400 },
        { "\"depth\":true,", 400 },
        { "", 400 },
    };
    hs_arena *a = hs_arena_open(ARENA);
    (void)state;

    EACH_VERSION(a, v)
    {
        for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
            parts p = PLAIN;
            p.depth = CASES[i].depth;
            expect(a, *v, &p, CASES[i].status, CASES[i].depth);
        }
    }
    hs_arena_close(a);
}

/* F07 Z03 */
static void json_is_canonical_from_version_6_on_and_lenient_before(void **state)
{
    static const struct {
        const char *content;
        bool lenient, strict;
    } CASES[] = {
        { "{\"x\":1}", true, true },
        { "{\"x\":1.5}", true, false },
        { "{\"x\":1e3}", true, false },
        { "{\"x\":-0}", true, false },
        { "{\"x\":9007199254740991}", true, true },
        { "{\"x\":9007199254740992}", true, false },
        { "{\"x\":-9007199254740992}", true, false },
        { "{\"x\":123456789012345678901234567890}", true, false },
        { "{\"x\":1,\"x\":2}", true, false },
        { "{\"x\":NaN}", false, false },
        { "{\"x\":Infinity}", false, false },
        { "{\"x\":-Infinity}", false, false },
        { "{\"x\":01}", false, false },
        { "{\"x\":\"\xff\"}", false, false },
        { "{\"x\":\"\\ud800\"}", false, false },
        { "{\"x\":\"\\u0000\"}", true, true },
        { "{\"x\\u0000y\":1}", true, true },
        { "{\"x\":9223372036854775808}", true, false },
    };
    hs_arena *a = hs_arena_open(ARENA);
    (void)state;

    EACH_VERSION(a, v)
    {
        for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
            parts p = PLAIN;
            p.content = CASES[i].content;
            bool ok = number_of(*v) < 6 ? CASES[i].lenient : CASES[i].strict;
            expect(a, *v, &p, ok ? 0 : 400, CASES[i].content);
        }
        parts p = PLAIN;
        p.ts = "9007199254740993";
        expect(a, *v, &p, number_of(*v) < 6 ? 0 : 400, "origin_server_ts past 2^53");
    }
    hs_arena_close(a);
}

static const char *filled(hs_arena *a, const char *before, const char *unit, size_t n, const char *after)
{
    size_t b = strlen(before), u = strlen(unit), e = strlen(after);
    char *p = hs_arena_alloc(a, b + u * n + e + 1);

    assert_non_null(p);
    memcpy(p, before, b);
    for (size_t i = 0; i < n; i++)
        memcpy(p + b + i * u, unit, u);
    memcpy(p + b + u * n, after, e);
    return p;
}

#define GRIN "\xf0\x9f\x98\x80" /* four bytes, one character */

/* 255 bytes from version 11 on. Before it 255 characters, and what has more bytes than that is an event that the rules
 * refuse. */
static void names_have_255_bytes_or_before_version_11_characters(void **state)
{
    hs_arena *a = hs_arena_open(ARENA);
    (void)state;

    EACH_VERSION(a, v)
    {
        bool bytes = number_of(*v) >= 11;
        const char *const texts[] = { filled(a, "", "t", 255, ""),    filled(a, "", "t", 256, ""),
                                      filled(a, "", GRIN, 63, "abc"), filled(a, "", GRIN, 64, ""),
                                      filled(a, "", GRIN, 255, ""),   filled(a, "", GRIN, 256, "") };
        const int status[] = { 0, 413, 0, bytes ? 413 : 0, bytes ? 413 : 0, 413 };
        for (size_t i = 0; i < 6; i++) {
            hs_event *e;
            parts p = PLAIN;
            p.type = texts[i];
            assert_int_equal(status_of(a, *v, &p, &e), status[i]);
            if (!status[i])
                assert_int_equal(e->oversized, strlen(texts[i]) > 255);
            p = PLAIN;
            p.state_key = texts[i];
            assert_int_equal(status_of(a, *v, &p, &e), status[i]);
            if (!status[i])
                assert_int_equal(e->oversized, strlen(texts[i]) > 255);
        }
    }
    hs_arena_close(a);
}

/* Z04: Ids are ids in every version: a sigil, at most 255 bytes, a server where there must be one. */
static void ids_are_of_their_grammar(void **state)
{
    hs_arena *a = hs_arena_open(ARENA);
    (void)state;

    EACH_VERSION(a, v)
    {
        static const char *const SENDERS[] = { "a:x", "@a", "@a:", "@a:x y", "!a:x", "", "@a\\u0000:x" };
        static const char *const ROOMS[] = { "r:x", "!r", "!r:", "@r:x", "", "!r\\u0000:x" };
        for (size_t i = 0; i < sizeof SENDERS / sizeof *SENDERS; i++) {
            parts p = PLAIN;
            p.sender = SENDERS[i];
            expect(a, *v, &p, 400, SENDERS[i]);
        }
        for (size_t i = 0; i < sizeof ROOMS / sizeof *ROOMS; i++) {
            parts p = PLAIN;
            p.room_id = ROOMS[i];
            expect(a, *v, &p, 400, ROOMS[i]);
        }
        parts p = PLAIN;
        p.sender = filled(a, "@", "a", 252, ":x");
        expect(a, *v, &p, 0, "sender of 255");
        p.sender = filled(a, "@", "a", 253, ":x");
        expect(a, *v, &p, 413, "sender of 256");
        p = PLAIN;
        p.room_id = filled(a, "!", "r", 252, ":x");
        expect(a, *v, &p, 0, "room_id of 255");
        p.room_id = filled(a, "!", "r", 253, ":x");
        expect(a, *v, &p, 413, "room_id of 256");
        if ((*v)->event_id != HS_EVENT_ID_GIVEN)
            continue;
        p = PLAIN;
        p.event_id = filled(a, "$", "e", 252, ":x");
        expect(a, *v, &p, 0, "event_id of 255");
        p.event_id = filled(a, "$", "e", 253, ":x");
        expect(a, *v, &p, 413, "event_id of 256");
        p.event_id = "e:x";
        expect(a, *v, &p, 400, "event_id without sigil");
    }
    hs_arena_close(a);
}

static void an_event_has_65536_bytes_at_most_in_every_version(void **state)
{
    hs_arena *a = hs_arena_open(ARENA);
    hs_event *e;
    (void)state;

    EACH_VERSION(a, v)
    {
        parts p = PLAIN;
        assert_int_equal(status_of(a, *v, &p, &e), 0);
        size_t room = 65536 - e->json.n - strlen("\"x\":\"\"");
        p.content = filled(a, "{\"x\":\"", "x", room, "\"}");
        assert_int_equal(status_of(a, *v, &p, &e), 0);
        assert_int_equal(e->json.n, 65536);
        p.content = filled(a, "{\"x\":\"", "x", room + 1, "\"}");
        expect(a, *v, &p, 413, "65,537 bytes");
        p.content = PLAIN.content;
        p.more = filled(a, ",\"unsigned\":{\"x\":\"", "x", 70000, "\"}");
        expect(a, *v, &p, 0, "a long unsigned, which is dropped");
    }
    hs_arena_close(a);
}

/* Z02: as deep as other servers take it, and back as it came. */
static void an_event_is_990_levels_deep_at_most(void **state)
{
    hs_arena *a = hs_arena_open(ARENA);
    (void)state;

    EACH_VERSION(a, v)
    {
        for (size_t n = 987; n <= 989; n++) { /* under the event's and the content's own */
            hs_event *e, *again;
            hs_str redacted;
            parts p = PLAIN;
            p.content = filled(a, "{\"b\":1,\"a\":", "[", n, filled(a, "", "]", n, "}"));
            int status = status_of(a, *v, &p, &e);
            assert_int_equal(status, n <= HS_JSON_DEEP_DEPTH - 2 ? 0 : 400);
            if (status)
                continue;
            assert_null(hs_event_read(a, *v, e->json, (hs_str){ 0 }, &again));
            assert_true(hs_str_eq(e->event_id, again->event_id));
            assert_null(hs_event_redact(a, e, &redacted));
            assert_null(hs_redact_json(a, *v, e->json, &redacted));
        }
    }
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_is_from_0_to_2_53_less_1_in_every_version),
        cmocka_unit_test(json_is_canonical_from_version_6_on_and_lenient_before),
        cmocka_unit_test(names_have_255_bytes_or_before_version_11_characters),
        cmocka_unit_test(ids_are_of_their_grammar),
        cmocka_unit_test(an_event_has_65536_bytes_at_most_in_every_version),
        cmocka_unit_test(an_event_is_990_levels_deep_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
