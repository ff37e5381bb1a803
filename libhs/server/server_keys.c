/* See server_keys.h. Spec: Server-Server API, "Publishing keys". */
#include "server/server_keys.h"

#include "base/json_out.h"

#define PUBLIC_KEY_BYTES 32

static hs_error *bad_key(hs_arena *a, hs_str id, const char *what)
{
    return hs_err(a, 500, HS_M_UNKNOWN, "old_signing_keys: %.*s: %s", HS_FMT(id), what);
}

/* One of old_signing_keys: { key: "unpadded base64", expired_ts: ms }. */
static hs_error *read_old(hs_arena *a, const hs_jv_iter *it, hs_str *ret_key, int64_t *ret_expired)
{
    hs_str text, bytes;
    bool ok;

    if (!hs_str_starts(it->key, HS_S("ed25519:")))
        return bad_key(a, it->key, "the name of a key begins with ed25519:");
    if (!hs_jv_str(hs_jv_get(it->value, HS_S("key")), &text))
        return bad_key(a, it->key, "key: expected a public key in base64");
    HS_TRY(hs_base64_decode(a, text, false, &bytes, &ok));
    if (!ok || bytes.n != PUBLIC_KEY_BYTES)
        return bad_key(a, it->key, "key: expected 32 bytes in base64");
    if (!hs_jv_int(hs_jv_get(it->value, HS_S("expired_ts")), ret_expired))
        return bad_key(a, it->key, "expired_ts: expected milliseconds since 1970");
    return hs_base64_encode(a, bytes, false, ret_key);
}

hs_error *hs_server_keys_check(const hs_server *srv, hs_arena *a)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(srv->config->old_signing_keys, &it);) {
        hs_str key;
        int64_t expired;
        HS_TRY(read_old(a, &it, &key, &expired));
    }
    return NULL;
}

static void write_key(hs_json_out *j, hs_str id, hs_str key)
{
    hs_json_key(j, id);
    hs_json_obj(j);
    hs_json_str(j, "key", key);
}

hs_error *hs_server_keys(const hs_server *srv, hs_arena *a, hs_str *ret)
{
    hs_str public_key, json;
    hs_json_out j;
    hs_buf b;

    HS_TRY(hs_base64_encode(a, hs_str_make((const char *)hs_signing_key_public(srv->key), PUBLIC_KEY_BYTES), false,
                            &public_key));
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "server_name", srv->server_name);
    hs_json_int(&j, "valid_until_ts", hs_loop_wall(srv->loop) + srv->config->key_refresh_interval_ms);
    hs_json_obj_at(&j, "verify_keys");
    write_key(&j, hs_signing_key_id(srv->key), public_key);
    hs_json_end(&j);
    hs_json_end(&j);
    hs_json_obj_at(&j, "old_verify_keys");
    for (hs_jv_iter it = { 0 }; hs_jv_next(srv->config->old_signing_keys, &it);) {
        hs_str key;
        int64_t expired;
        HS_TRY(read_old(a, &it, &key, &expired));
        write_key(&j, it.key, key);
        hs_json_int(&j, "expired_ts", expired);
        hs_json_end(&j);
    }
    hs_json_end(&j);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &json));
    return hs_sign_json(a, json, srv->server_name, srv->key, ret);
}
