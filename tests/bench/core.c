/* What the core's work costs, and the same work written down for others to do: see core.py, which runs this.
 *
 *     bench_core dump VERSION EVENTS      the room as JSON: events, the two states, what we resolve them to
 *     bench_core resolve VERSION EVENTS   seconds for one resolution, best of several
 *     bench_core auth VERSION EVENTS      auth checks per second
 *     bench_core verify VERSION           events per second: libsodium alone, signature and hash, all from bytes */
#include "core/event.h"
#include "core/sign.h"
#include "support/big_room.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_core: %s\n", what);
    exit(1);
}

/* CPU time: others use the machine too. */
static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static hs_state_set resolved(hs_arena *a, big_room *r)
{
    hs_resolver ask = big_room_resolver(r);
    hs_state_set out = { 0 };
    hs_error *err = hs_state_resolve(a, &ask, r->sets, 2, &out);

    must(!err, err ? "resolution failed" : "");
    return out;
}

/* ── dump ── */

static void put_ids(hs_json_out *j, const char *key, const big_room *r, const hs_state_set *set)
{
    hs_json_arr_at(j, key);
    for (size_t i = 0; i < set->n; i++)
        hs_json_v_str(j, r->events[set->at[i].event]->event_id);
    hs_json_end(j);
}

static void put_event(hs_json_out *j, const hs_event *e)
{
    hs_json_obj(j);
    hs_json_str(j, "id", e->event_id);
    hs_json_str(j, "room_id", e->room_id);
    hs_json_str(j, "type", e->type);
    hs_json_str(j, "sender", e->sender);
    hs_json_str(j, "state_key", e->state_key);
    hs_json_raw(j, "content", hs_jv_raw(e->content));
    hs_json_int(j, "ts", e->origin_ts);
    hs_json_int(j, "depth", e->depth);
    hs_json_arr_at(j, "prev");
    for (size_t i = 0; i < e->prev_n; i++)
        hs_json_v_str(j, e->prev[i]);
    hs_json_end(j);
    hs_json_arr_at(j, "auth");
    for (size_t i = 0; i < e->auth_n; i++)
        hs_json_v_str(j, e->auth[i]);
    hs_json_end(j);
    hs_json_bool(j, "rejected", false);
    hs_json_end(j);
}

static void dump(hs_arena *a, big_room *r)
{
    hs_state_set out = resolved(a, r);
    hs_json_out j;
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "version", r->rv->name);
    hs_json_arr_at(&j, "events");
    for (size_t i = 1; i <= r->n; i++)
        put_event(&j, r->events[i]);
    hs_json_end(&j);
    put_ids(&j, "a", r, &r->sets[0]);
    put_ids(&j, "b", r, &r->sets[1]);
    put_ids(&j, "resolved", r, &out);
    hs_json_end(&j);
    must(!hs_buf_flatten(&b, &text) && fwrite(text.p, 1, text.n, stdout) == text.n, "output");
}

/* ── resolve ── */

/* Several at once: looking at the clock costs as much as a part of a small one. Giving the memory back is counted. */
enum { AT_ONCE = 10 };

static void time_resolve(big_room *r)
{
    hs_arena *a = hs_arena_open((size_t)1 << 30);
    double best = 1e9, spent = 0;
    size_t used = 0;

    must(a != NULL, "memory");
    for (int i = 0; i < 1000 && (i < 3 || spent < 1); i++) {
        double t = now();
        for (int k = 0; k < AT_ONCE; k++) {
            (void)resolved(a, r);
            used = hs_arena_used(a);
            hs_arena_reset(a);
        }
        t = (now() - t) / AT_ONCE;
        spent += AT_ONCE * t;
        best = t < best ? t : best;
    }
    hs_arena_close(a);
    printf("{\"seconds\": %.9f, \"bytes\": %zu}\n", best, used);
}

/* ── auth ── */

typedef struct {
    const big_room *r;
    int64_t nid;
} own_auth;

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    const own_auth *o = ud;

    const int64_t *auth;
    size_t n = big_room_auth(o->r, o->nid, &auth);

    for (size_t i = 0; i < n; i++) {
        const hs_event *e = o->r->events[auth[i]];
        if (hs_str_eq(e->type, type) && hs_str_eq(e->state_key, state_key))
            return e;
    }
    return NULL;
}

static void time_auth(const big_room *r)
{
    size_t done = 0;
    double t = now(), spent;

    do {
        for (size_t i = 2; i <= r->n; i++) {
            own_auth o = { r, (int64_t)i };
            hs_state_view view = { .get = get, .ud = &o, .create = r->events[1] };
            (void)hs_auth_check(r->events[i], &view);
            done++;
        }
        spent = now() - t;
    } while (spent < 0.5);
    printf("{\"per_second\": %.0f}\n", (double)done / spent);
}

/* ── verify ── */

enum { EVENTS = 500 };

typedef struct {
    const uint8_t *public_key;
} one_key;

static bool give_key(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    const one_key *k = ud;
    (void)server;
    (void)key_id;
    (void)valid_at;

    memcpy(ret, k->public_key, 32);
    return true;
}

static double best_rate(double (*run)(void *ud), void *ud)
{
    double best = 0;

    for (int i = 0; i < 7; i++) {
        double rate = EVENTS / run(ud);
        best = rate > best ? rate : best;
    }
    return best;
}

typedef struct {
    hs_arena *a;
    const hs_roomver *rv;
    const uint8_t *key;
    hs_event *events[EVENTS];
    hs_str bytes[EVENTS]; /* what is signed */
    uint8_t signatures[EVENTS][64];
} verifying;

static double bare(void *ud)
{
    verifying *v = ud;
    double t = now();

    for (size_t i = 0; i < EVENTS; i++)
        must(!crypto_sign_verify_detached(v->signatures[i], (const uint8_t *)v->bytes[i].p, v->bytes[i].n, v->key),
             "bad signature");
    return now() - t;
}

static void check(verifying *v, const hs_event *e)
{
    one_key k = { v->key };
    hs_key_view view = { give_key, &k };
    hs_str server;
    bool ok = false;

    must(!hs_event_hash_ok(v->a, e, &ok) && ok, "bad hash");
    must(!hs_event_signatures_ok(v->a, e, &view, &ok, &server) && ok, "not signed");
}

static double signature_and_hash(void *ud)
{
    verifying *v = ud;
    hs_arena *keep = v->a, *a = hs_arena_open((size_t)1 << 24);
    double t = now();

    v->a = a;
    for (size_t i = 0; i < EVENTS; i++) {
        hs_arena_reset(a);
        check(v, v->events[i]);
    }
    t = now() - t;
    v->a = keep;
    hs_arena_close(a);
    return t;
}

static double from_bytes(void *ud)
{
    verifying *v = ud;
    hs_arena *keep = v->a, *a = hs_arena_open((size_t)1 << 24);
    double t = now();

    v->a = a;
    for (size_t i = 0; i < EVENTS; i++) {
        hs_event *e;
        hs_arena_reset(a);
        must(!hs_event_parse(a, v->rv, v->events[i]->json, &e), "no event");
        check(v, e);
    }
    t = now() - t;
    v->a = keep;
    hs_arena_close(a);
    return t;
}

static void time_verify(hs_arena *a, const hs_roomver *rv)
{
    static const uint8_t SEED[32] = { 9 };
    const hs_str refs[] = { HS_S("$0123456789012345678901234567890123456789012"),
                            HS_S("$1123456789012345678901234567890123456789012") };
    static verifying v;
    hs_signing_key *key;

    must(!hs_signing_key_open(a, HS_S("a_AbCd"), SEED, &key), "key");
    v.a = a;
    v.rv = rv;
    v.key = hs_signing_key_public(key);
    for (size_t i = 0; i < EVENTS; i++) {
        hs_event_draft d = { .room_id = HS_S("!0123456789012345678901234567890123456789012"),
                             .type = HS_S("m.room.message"),
                             .sender = HS_S("@somebody:example.org"),
                             .depth = (int64_t)i,
                             .origin_ts = 1700000000000,
                             .prev = refs,
                             .auth = refs,
                             .prev_n = 1,
                             .auth_n = 2 };
        hs_str redacted;
        hs_jv top;
        must(!hs_str_fmt(a, (hs_str *)&d.content,
                         "{\"body\":\"message number %zu, about as long as messages are: a sentence or two, rarely "
                         "more\",\"msgtype\":\"m.text\"}",
                         i),
             "memory");
        must(!hs_event_build(a, rv, &d, HS_S("example.org"), key, &v.events[i]), "build");
        must(!hs_event_redact(a, v.events[i], &redacted) && !hs_tape_parse(a, redacted, HS_JSON_OBJECT, &top),
             "redact");
        hs_jv sig = hs_jv_path(top, "signatures", "example.org", "ed25519:a_AbCd", NULL);
        hs_str bytes;
        bool ok;
        must(!hs_base64_decode(a, hs_jv_str_or_null(sig), false, &bytes, &ok) && ok && bytes.n == 64, "signature");
        memcpy(v.signatures[i], bytes.p, 64);
        /* the redacted form without its signatures */
        hs_str all = hs_jv_raw(hs_jv_get(top, HS_S("signatures")));
        size_t at = (size_t)(all.p - redacted.p), before = at - strlen(",\"signatures\":");
        must(!hs_str_cat(a, &v.bytes[i], 2, hs_str_first(redacted, before), hs_str_from(redacted, at + all.n)),
             "memory");
    }
    printf("{\"libsodium\": %.0f, \"signature_and_hash\": %.0f, \"from_bytes\": %.0f}\n", best_rate(bare, &v),
           best_rate(signature_and_hash, &v), best_rate(from_bytes, &v));
}

int main(int argc, char **argv)
{
    hs_arena *a = hs_arena_open((size_t)1 << 31);
    const hs_roomver *rv = argc > 2 ? hs_roomver_find(hs_str_c(argv[2])) : NULL;
    size_t events = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;

    must(a && rv, "usage: bench_core dump|resolve|auth|verify VERSION [EVENTS]");
    if (!strcmp(argv[1], "verify"))
        time_verify(a, rv);
    else {
        big_room *r = big_room_make(a, rv, events, 1);
        if (!strcmp(argv[1], "dump"))
            dump(a, r);
        else if (!strcmp(argv[1], "auth"))
            time_auth(r);
        else
            time_resolve(r);
    }
    hs_arena_close(a);
    return 0;
}
