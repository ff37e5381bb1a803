/* hs_event_build: a local event from its draft. Members are written in sorted order around the canonical content, so
 * nothing is canonicalised again:
 *
 *     before   {"auth_events":…,"content":…,"depth":…,["event_id":…,]
 *              "hashes":…,                                              not in the content hash
 *     middle   ["msc4354_sticky":…,]"origin_server_ts":…,"prev_events":…,["redacts":…,]["room_id":…,]"sender":…,
 *              "signatures":…,                                          not in any hash
 *     after    ["state_key":…,]"type":…}
 *
 * The redacted form is the same with another content and without redacts and msc4354_sticky; its bytes are signed, and
 * their hash is the event id. */
#include "core/event.h"
#include "core/redact.h"
#include "core/sign.h"

#include <inttypes.h>
#include <stdio.h>

#define MAX_EVENT 65536u
#define MAX_FIELD 255u

typedef struct {
    hs_arena *a;
    char *p;
    size_t n, cap;
} writer;

static void put(writer *w, hs_str s)
{
    if (s.n)
        memcpy(w->p + w->n, s.p, s.n);
    w->n += s.n;
}

static hs_error *quote(hs_arena *a, hs_str s, hs_str *ret)
{
    hs_buf b;

    hs_buf_init(&b, a);
    hs_json_quote(&b, s);
    return hs_buf_flatten(&b, ret);
}

static void put_int(writer *w, int64_t v)
{
    int n = snprintf(w->p + w->n, w->cap - w->n, "%" PRId64, v);

    w->n += n > 0 ? (size_t)n : 0;
}

/* The draft with its strings quoted, and the bytes all of it needs. */
typedef struct {
    const hs_roomver *rv;
    const hs_event_draft *d;
    hs_str type, sender, state_key, room_id, redacts, event_id, server, key_id;
    hs_str *prev, *auth;
    size_t bytes;
} quoted;

static hs_error *quote_all(hs_arena *a, const hs_str *in, size_t n, hs_str **ret, size_t *bytes)
{
    hs_str *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++) {
        HS_TRY(quote(a, in[i], &out[i]));
        *bytes += out[i].n + 8; /* comma, and a pair's brackets in versions 1 and 2 */
    }
    *ret = out;
    return NULL;
}

static hs_error *quote_draft(hs_arena *a, const hs_roomver *rv, const hs_event_draft *d, hs_str server, hs_str key_id,
                             quoted *ret)
{
    quoted q = { .rv = rv, .d = d };

    q.bytes = 512 + d->content.n; /* names of members, numbers, hash, signature */
    HS_TRY(quote(a, d->type, &q.type));
    HS_TRY(quote(a, d->sender, &q.sender));
    HS_TRY(quote(a, server, &q.server));
    HS_TRY(quote(a, key_id, &q.key_id));
    if (d->is_state)
        HS_TRY(quote(a, d->state_key, &q.state_key));
    if (d->room_id.n)
        HS_TRY(quote(a, d->room_id, &q.room_id));
    if (d->redacts.p && !rv->redacts_in_content)
        HS_TRY(quote(a, d->redacts, &q.redacts));
    q.bytes += q.type.n + q.sender.n + q.server.n + q.key_id.n + q.state_key.n + q.room_id.n + q.redacts.n + server.n;
    HS_TRY(quote_all(a, d->prev, d->prev_n, &q.prev, &q.bytes));
    HS_TRY(quote_all(a, d->auth, d->auth_n, &q.auth, &q.bytes));
    *ret = q;
    return NULL;
}

static void put_refs(writer *w, const hs_roomver *rv, const hs_str *ids, size_t n)
{
    bool pairs = rv->event_id == HS_EVENT_ID_GIVEN;

    put(w, HS_S("["));
    for (size_t i = 0; i < n; i++) {
        if (i)
            put(w, HS_S(","));
        if (pairs)
            put(w, HS_S("["));
        put(w, ids[i]);
        if (pairs)
            put(w, HS_S(",{}]"));
    }
    put(w, HS_S("]"));
}

static void put_before(writer *w, const quoted *q, hs_str content)
{
    put(w, HS_S("{\"auth_events\":"));
    put_refs(w, q->rv, q->auth, q->d->auth_n);
    put(w, HS_S(",\"content\":"));
    put(w, content);
    put(w, HS_S(",\"depth\":"));
    put_int(w, q->d->depth);
    put(w, HS_S(","));
    if (q->event_id.n) {
        put(w, HS_S("\"event_id\":"));
        put(w, q->event_id);
        put(w, HS_S(","));
    }
}

typedef enum { FULL, REDACTED } form;

static void put_middle(writer *w, const quoted *q, form f)
{
    if (q->d->is_sticky && f == FULL) {
        put(w, HS_S("\"msc4354_sticky\":{\"duration_ms\":"));
        put_int(w, q->d->sticky_ms);
        put(w, HS_S("},"));
    }
    put(w, HS_S("\"origin_server_ts\":"));
    put_int(w, q->d->origin_ts);
    put(w, HS_S(",\"prev_events\":"));
    put_refs(w, q->rv, q->prev, q->d->prev_n);
    if (q->redacts.n && f == FULL) {
        put(w, HS_S(",\"redacts\":"));
        put(w, q->redacts);
    }
    if (q->room_id.n) {
        put(w, HS_S(",\"room_id\":"));
        put(w, q->room_id);
    }
    put(w, HS_S(",\"sender\":"));
    put(w, q->sender);
    put(w, HS_S(","));
}

static void put_after(writer *w, const quoted *q)
{
    if (q->d->is_state) {
        put(w, HS_S("\"state_key\":"));
        put(w, q->state_key);
        put(w, HS_S(","));
    }
    put(w, HS_S("\"type\":"));
    put(w, q->type);
    put(w, HS_S("}"));
}

static void put_hashes(writer *w, hs_str sha256)
{
    put(w, HS_S("\"hashes\":{\"sha256\":\""));
    put(w, sha256);
    put(w, HS_S("\"},"));
}

static hs_error *redacted_content(hs_arena *a, const quoted *q, hs_str *ret)
{
    hs_redact_out o = { 0 };
    hs_jv content;

    *ret = HS_S("{}");
    if (!hs_redact_keeps_content(q->rv, q->d->type))
        return NULL;
    HS_TRY(hs_tape_parse(a, q->d->content, HS_JSON_OBJECT | HS_JSON_CANONICAL, &content));
    HS_TRY(hs_alloc(a, q->d->content.n + HS_REDACT_SLACK, &o.p));
    hs_redact_write_content(&o, q->rv, q->d->type, content);
    *ret = hs_str_make(o.p, o.n);
    return NULL;
}

static hs_error *base64(hs_arena *a, const uint8_t *bytes, size_t n, bool url_safe, hs_str *ret)
{
    return hs_base64_encode(a, hs_str_make((const char *)bytes, n), url_safe, ret);
}

static void put_hashed(writer *w, const quoted *q)
{
    w->n = 0;
    put_before(w, q, q->d->content);
    put_middle(w, q, FULL);
    put_after(w, q);
}

/* Versions 1 and 2 let the server choose: the hash of all the rest is as unique as a random name, and needs none. */
static hs_error *choose_event_id(hs_arena *a, writer *w, quoted *q, hs_str server, hs_str *ret)
{
    uint8_t hash[32];
    hs_str text;

    put_hashed(w, q);
    hs_sha256(hs_str_make(w->p, w->n), hash);
    HS_TRY(base64(a, hash, 18, true, &text));
    HS_TRY(hs_str_cat(a, ret, 4, HS_S("$"), text, HS_S(":"), server));
    return quote(a, *ret, &q->event_id);
}

static hs_error *check_length(hs_arena *a, hs_str s, const char *name)
{
    if (s.n > MAX_FIELD)
        return hs_err(a, 413, HS_M_TOO_LARGE, "'%s' too large", name);
    return NULL;
}

static hs_error *check_draft(hs_arena *a, const hs_event_draft *d)
{
    HS_TRY(check_length(a, d->sender, "user_id"));
    HS_TRY(check_length(a, d->room_id, "room_id"));
    HS_TRY(check_length(a, d->state_key, "state_key"));
    HS_TRY(check_length(a, d->type, "type"));
    if (d->content.n > MAX_EVENT)
        return hs_err(a, 413, HS_M_TOO_LARGE, "event too large");
    return NULL;
}

hs_error *hs_event_build(hs_arena *a, const hs_roomver *rv, const hs_event_draft *d, hs_str server_name,
                         const struct hs_signing_key *key, hs_event **ret)
{
    writer w = { .a = a };
    uint8_t hash[32], signature[64];
    hs_str event_id = { 0 }, sha256, signed_text, content;
    quoted q;

    HS_TRY(check_draft(a, d));
    HS_TRY(quote_draft(a, rv, d, server_name, hs_signing_key_id(key), &q));
    w.cap = q.bytes;
    HS_TRY(hs_alloc(a, w.cap, &w.p));

    if (rv->event_id == HS_EVENT_ID_GIVEN)
        HS_TRY(choose_event_id(a, &w, &q, server_name, &event_id));
    put_hashed(&w, &q);
    hs_sha256(hs_str_make(w.p, w.n), hash);
    HS_TRY(base64(a, hash, sizeof hash, false, &sha256));

    HS_TRY(redacted_content(a, &q, &content));
    w.n = 0;
    put_before(&w, &q, content);
    put_hashes(&w, sha256);
    put_middle(&w, &q, REDACTED);
    put_after(&w, &q);
    hs_sign_bytes(key, hs_str_make(w.p, w.n), signature);
    HS_TRY(base64(a, signature, sizeof signature, false, &signed_text));
    if (!event_id.n) {
        hs_str text;
        hs_sha256(hs_str_make(w.p, w.n), hash);
        HS_TRY(base64(a, hash, sizeof hash, rv->event_id == HS_EVENT_ID_HASH_URLSAFE, &text));
        HS_TRY(hs_str_cat(a, &event_id, 2, HS_S("$"), text));
    }

    w.n = 0;
    put_before(&w, &q, d->content);
    put_hashes(&w, sha256);
    put_middle(&w, &q, FULL);
    put(&w, HS_S("\"signatures\":{"));
    put(&w, q.server);
    put(&w, HS_S(":{"));
    put(&w, q.key_id);
    put(&w, HS_S(":\""));
    put(&w, signed_text);
    put(&w, HS_S("\"}},"));
    put_after(&w, &q);
    if (w.n > MAX_EVENT)
        return hs_err(a, 413, HS_M_TOO_LARGE, "event too large");

    /* What the reader refuses came with the content: too deep inside an event, for one. */
    hs_error *err = hs_event_read(a, rv, hs_str_make(w.p, w.n), event_id, ret);
    for (const hs_error *cause = err; cause; cause = cause->cause)
        if (cause->status == 400)
            return hs_err(a, 400, cause->code, "%.*s", HS_FMT(cause->message));
    return err;
}
