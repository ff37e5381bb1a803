/* Who must have signed an event, and whether they did. Spec: Server-Server API, "Validating hashes and signatures on
 * received events"; Rooms, versions 1 (event ids), 5 (validity of keys) and 8 (restricted joins). */
#include "core/auth_rules.h"
#include "core/redact.h"
#include "core/sign.h"

static size_t add_signer(hs_str ret[HS_SIGNERS_MAX], size_t n, hs_str server)
{
    for (size_t i = 0; i < n; i++)
        if (hs_str_eq(ret[i], server))
            return n;
    ret[n] = server;
    return n + 1;
}

size_t hs_event_signers(const hs_event *e, hs_str ret[HS_SIGNERS_MAX])
{
    bool member = e->is_state && e->kind == HS_KIND_MEMBER;
    size_t n = 0;

    /* An invite that an identity server vouches for may be made by another server in its sender's name. */
    if (!member || e->membership != HS_MEMBER_INVITE || !hs_jv_is(hs_jv_get(e->content, HS_S("third_party_invite"))))
        n = add_signer(ret, n, hs_auth_domain(e->sender));
    if (e->rv->event_id == HS_EVENT_ID_GIVEN)
        n = add_signer(ret, n, hs_auth_domain(e->event_id));
    hs_jv via = hs_jv_get(e->content, HS_S("join_authorised_via_users_server"));
    if (e->rv->restricted && member && hs_jv_is(via))
        n = add_signer(ret, n, hs_auth_domain(hs_jv_str_or_null(via)));
    return n;
}

typedef struct {
    hs_str bytes; /* what is signed */
    hs_jv all;    /* the event's signatures */
    const hs_key_view *keys;
    int64_t valid_at;
} checker;

/* At least one signature with a key that is known, and none of these bad. */
static hs_error *server_signed(hs_arena *a, const checker *c, hs_str server, bool *ret)
{
    bool good = false;

    *ret = false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(c->all, server), &it);) {
        uint8_t key[32];
        hs_str signature;
        bool ok = false;
        if (!hs_str_starts(it.key, HS_S("ed25519:")) || !c->keys->get(c->keys->ud, server, it.key, c->valid_at, key))
            continue;
        HS_TRY(hs_base64_decode(a, hs_jv_str_or_null(it.value), false, &signature, &ok));
        if (!ok || signature.n != 64 || !hs_verify_bytes(key, c->bytes, (const uint8_t *)signature.p))
            return NULL;
        good = true;
    }
    *ret = good;
    return NULL;
}

hs_error *hs_event_signatures_ok(hs_arena *a, const hs_event *e, const hs_key_view *keys, bool *ret, hs_str *ret_server)
{
    checker c = { .keys = keys, .valid_at = e->rv->key_validity ? e->origin_ts : HS_KEY_ANY_TIME };
    hs_redact_out o = { 0 };
    hs_str servers[HS_SIGNERS_MAX];
    size_t n = hs_event_signers(e, servers);

    HS_TRY(hs_alloc(a, e->json.n + HS_REDACT_SLACK, &o.p));
    hs_redact_write(&o, e->rv, e->top, HS_REDACT_FOR_HASH);
    c.bytes = hs_str_make(o.p, o.n);
    c.all = hs_jv_get(e->top, HS_S("signatures"));
    for (size_t i = 0; i < n; i++) {
        bool ok;
        HS_TRY(server_signed(a, &c, servers[i], &ok));
        if (!ok) {
            *ret = false;
            *ret_server = servers[i];
            return NULL;
        }
    }
    *ret = true;
    *ret_server = (hs_str){ 0 };
    return NULL;
}
