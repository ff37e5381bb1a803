#include "core/sign.h"

#include "core/canonical.h"
#include "support/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static hs_arena *a;

static int open_arena(void **state)
{
    (void)state;
    a = hs_arena_open((size_t)64 << 20);
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    (void)state;
    hs_arena_close(a);
    return 0;
}

static hs_jv vectors(void)
{
    hs_jv top = { 0 };

    assert_null(hs_tape_parse(a, test_file(a, "tests/vectors/vectors.json"), 0, &top));
    return top;
}

static hs_signing_key *spec_key(hs_jv top)
{
    hs_str text, seed = hs_jv_str_or_null(hs_jv_path(top, "spec_key", "seed_unpadded_base64", NULL));
    hs_signing_key *k = NULL;

    assert_null(hs_str_cat(a, &text, 3, HS_S("# a comment\n\n  ed25519 1 "), seed, HS_S("\n")));
    assert_null(hs_signing_key_read(a, text, &k));
    return k;
}

static void the_specs_key_has_its_public_half(void **state)
{
    hs_jv top = vectors();
    hs_signing_key *k = spec_key(top);
    hs_str b64, line;
    (void)state;

    assert_true(hs_str_eq(hs_signing_key_id(k), HS_S("ed25519:1")));
    assert_null(hs_base64_encode(a, hs_str_make((const char *)hs_signing_key_public(k), 32), false, &b64));
    assert_true(hs_str_eq(b64, hs_jv_str_or_null(hs_jv_path(top, "spec_key", "public_key_unpadded_base64", NULL))));
    assert_null(hs_signing_key_write(a, k, &line));
    assert_true(hs_str_starts(line, HS_S("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA")));
    assert_int_equal(line.p[line.n - 1], '\n');
}

static void the_specs_signatures_come_out(void **state)
{
    hs_jv top = vectors();
    hs_signing_key *k = spec_key(top);
    size_t n = 0;
    (void)state;

    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(top, "spec_json_signing", "vectors", NULL), &it); n++) {
        hs_str wanted, got;
        bool ok = false;
        assert_null(hs_canonical(a, hs_jv_get(it.value, HS_S("signed")), NULL, 0, &wanted));
        assert_null(hs_sign_json(a, hs_jv_raw(hs_jv_get(it.value, HS_S("input"))), HS_S("domain"), k, &got));
        assert_true(hs_str_eq(got, wanted));
        assert_null(hs_verify_json(a, got, HS_S("domain"), HS_S("ed25519:1"), hs_signing_key_public(k), &ok));
        assert_true(ok);
    }
    assert_int_equal(n, 2);
}

static void signing_keeps_what_others_signed(void **state)
{
    hs_signing_key *k = spec_key(vectors());
    hs_jv v;
    hs_str out;
    bool ok = false;
    (void)state;

    assert_null(hs_sign_json(a,
                             HS_S("{\"unsigned\":{\"age\":1},\"signatures\":{\"other\":{\"ed25519:x\":\"s\"},"
                                  "\"domain\":{\"ed25519:0\":\"t\",\"ed25519:1\":\"old\"}},\"b\":1}"),
                             HS_S("domain"), k, &out));
    assert_null(hs_tape_parse(a, out, 0, &v));
    assert_true(hs_jv_is_canonical(v));
    assert_int_equal(hs_jv_count(hs_jv_path(v, "signatures", "domain", NULL)), 2);
    assert_true(hs_str_eq(hs_jv_str_or_null(hs_jv_path(v, "signatures", "other", "ed25519:x", NULL)), HS_S("s")));
    assert_true(hs_jv_is(hs_jv_path(v, "unsigned", "age", NULL)));
    assert_null(hs_verify_json(a, out, HS_S("domain"), HS_S("ed25519:1"), hs_signing_key_public(k), &ok));
    assert_true(ok);
}

static void a_signature_holds_for_its_bytes_alone(void **state)
{
    static const char *const FORGED[] = {
        "{\"a\":2,\"signatures\":{\"domain\":{\"ed25519:1\":\"%s\"}}}",
        "{\"a\":1,\"b\":1,\"signatures\":{\"domain\":{\"ed25519:1\":\"%s\"}}}",
        "{\"a\":1,\"signatures\":{\"domain\":{\"ed25519:1\":\"A%s\"}}}",
        "{\"a\":1,\"signatures\":{\"other\":{\"ed25519:1\":\"%s\"}}}",
        "{\"a\":1,\"signatures\":{\"domain\":{\"ed25519:2\":\"%s\"}}}",
        "{\"a\":1,\"signatures\":{\"domain\":\"%s\"}}",
        "{\"a\":1,\"signatures\":[\"%s\"]}",
        "{\"a\":1}",
    };
    hs_signing_key *k = spec_key(vectors());
    hs_jv v;
    hs_str out, signature;
    bool ok = false;
    (void)state;

    assert_null(hs_sign_json(a, HS_S("{\"a\":1}"), HS_S("domain"), k, &out));
    assert_null(hs_tape_parse(a, out, 0, &v));
    signature = hs_jv_str_or_null(hs_jv_path(v, "signatures", "domain", "ed25519:1", NULL));
    assert_int_equal(signature.n, 86);
    for (size_t i = 0; i < sizeof FORGED / sizeof *FORGED; i++) {
        const char *mark = strstr(FORGED[i], "%s");
        hs_str text = hs_str_c(FORGED[i]);
        ok = true;
        if (mark)
            assert_null(hs_str_cat(a, &text, 3, hs_str_make(FORGED[i], (size_t)(mark - FORGED[i])), signature,
                                   hs_str_c(mark + 2)));
        assert_null(hs_verify_json(a, text, HS_S("domain"), HS_S("ed25519:1"), hs_signing_key_public(k), &ok));
        assert_false(ok);
    }
}

static void bad_key_files_are_refused(void **state)
{
    static const char *const CASES[] = {
        "",
        "\n# only\n",
        "ed25519 1",
        "rsa 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
        "ed25519 1 YJDB",
        "ed25519 1 !JDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
        "ed25519 \x01\x7f YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
        "ed25519  YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1",
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_signing_key *k = NULL;
        assert_non_null(hs_signing_key_read(a, hs_str_c(CASES[i]), &k));
        assert_null(k);
    }
}

static void base64_goes_both_ways(void **state)
{
    size_t n = 0;
    (void)state;

    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_path(vectors(), "spec_base64", "vectors", NULL), &it); n++) {
        hs_str plain = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("ascii")));
        hs_str coded = hs_jv_str_or_null(hs_jv_get(it.value, HS_S("unpadded_base64")));
        hs_str out;
        bool ok = false;
        assert_null(hs_base64_encode(a, plain, false, &out));
        assert_true(hs_str_eq(out, coded));
        assert_null(hs_base64_decode(a, coded, false, &out, &ok));
        assert_true(ok && hs_str_eq(out, plain));
    }
    assert_int_equal(n, 7);
}

static void base64_decoding_is_strict_but_for_padding_and_stray_bits(void **state)
{
    static const struct {
        const char *text;
        bool url_safe, ok;
    } CASES[] = {
        { "Zg==", false, true },        { "Zg", false, true },      { "Zh", false, true },
        { "Zm9v", false, true },        { "Z", false, false },      { "Zm9vY", false, false },
        { "Zm 9v", false, false },      { "Zm9v\n", false, false }, { "+/+/", false, true },
        { "-_-_", false, false },       { "-_-_", true, true },     { "+/+/", true, false },
        { "Z\xc3\xa9g", false, false }, { "Zg=a", false, false },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        hs_str out;
        bool ok = !CASES[i].ok;
        assert_null(hs_base64_decode(a, hs_str_c(CASES[i].text), CASES[i].url_safe, &out, &ok));
        if (ok != CASES[i].ok)
            fail_msg("%s", CASES[i].text);
    }
}

static void digests_are_sha256(void **state)
{
    uint8_t digest[32];
    hs_str hex;
    (void)state;

    hs_sha256(HS_S("abc"), digest);
    assert_null(hs_hex_encode(a, hs_str_make((const char *)digest, 32), &hex));
    assert_true(hs_str_eq(hex, HS_S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")));
}

/* X11 */
static void slots_of_a_kind_are_a_range(void **state)
{
    static const uint8_t KEY[16] = { 1, 2, 3 }, OTHER[16] = { 3, 2, 1 };
    static const struct {
        const char *type, *key;
        int kind;
    } CASES[] = {
        { "m.room.name", "", HS_SLOT_PLAIN },
        { "m.room.member", "@a:x", HS_SLOT_MEMBER },
        { "m.room.member", "", HS_SLOT_PLAIN },
        { "m.space.child", "!r:x", HS_SLOT_SPACE_CHILD },
        { "m.space.parent", "!r:x", HS_SLOT_SPACE_PARENT },
        { "m.room.third_party_invite", "t", HS_SLOT_THIRD_PARTY },
        { "org.x", "k", HS_SLOT_OTHER },
    };
    (void)state;

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        int64_t s = hs_slot(KEY, hs_str_c(CASES[i].type), hs_str_c(CASES[i].key));
        assert_true(s >= hs_slot_low(CASES[i].kind) && s < hs_slot_low(CASES[i].kind + 1));
        assert_true(s == hs_slot(KEY, hs_str_c(CASES[i].type), hs_str_c(CASES[i].key)));
        assert_true(s != hs_slot(OTHER, hs_str_c(CASES[i].type), hs_str_c(CASES[i].key)));
    }
    assert_true(hs_slot(KEY, HS_S("ab"), HS_S("c")) != hs_slot(KEY, HS_S("a"), HS_S("bc")));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        CASE(the_specs_key_has_its_public_half),
        CASE(the_specs_signatures_come_out),
        CASE(signing_keeps_what_others_signed),
        CASE(a_signature_holds_for_its_bytes_alone),
        CASE(bad_key_files_are_refused),
        CASE(base64_goes_both_ways),
        CASE(base64_decoding_is_strict_but_for_padding_and_stray_bits),
        CASE(digests_are_sha256),
        CASE(slots_of_a_kind_are_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
