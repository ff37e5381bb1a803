/* See pushers.h. */
#include "server/pushers.h"

#include "core/macaroon.h"
#include "server/names.h"
#include "server/news.h"

#define PUSHERS_MAX 100
#define APP_ID_MAX  64
#define PUSHKEY_MAX 512
#define TEXT_MAX    1024
#define DATA_MAX    ((size_t)8 << 10)
#define PUSH_PATH   "/_matrix/push/v1/notify"

void hs_pushers_open(hs_server *srv)
{
    if (srv->roles & HS_ROLE_BACKGROUND)
        hs_log(srv->log, HS_LOG_WARN, "pushers.idle",
               "pushers are kept, but nothing is sent to push gateways or by email yet");
}

hs_error *hs_pushers_list(hs_server *srv, hs_arena *a, hs_nid user, hs_pusher_row **ret, size_t *ret_n)
{
    return hs_store_pushers_list(srv->db, a, user, ret, ret_n);
}

void hs_pushers_write(hs_json_out *j, const hs_pusher_row *rows, size_t n, bool for_admin)
{
    hs_json_arr_at(j, "pushers");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "app_display_name", rows[i].app_name);
        hs_json_str(j, "app_id", rows[i].app_id);
        hs_json_raw(j, "data", rows[i].data);
        hs_json_str(j, "device_display_name", rows[i].device_name);
        hs_json_str(j, "kind", rows[i].kind);
        hs_json_str_or_null(j, "lang", rows[i].lang);
        hs_json_str(j, "profile_tag", rows[i].profile_tag);
        hs_json_str(j, "pushkey", rows[i].pushkey);
        if (for_admin) {
            hs_json_bool(j, "enabled", true);
            hs_json_str_or_null(j, "device_id", rows[i].device_id);
        }
        hs_json_end(j);
    }
    hs_json_end(j);
}

static hs_error *check_present(hs_arena *a, hs_jv body)
{
    static const char *const NEEDED[] = { "kind", "app_id", "app_display_name", "device_display_name", "pushkey",
                                          "lang", "data" };
    hs_str list = HS_S("");

    for (size_t i = 0; i < sizeof NEEDED / sizeof *NEEDED; i++) {
        if (!hs_jv_is(hs_jv_get(body, hs_str_c(NEEDED[i]))))
            HS_TRY(hs_str_cat(a, &list, 5, list, list.n ? HS_S(", ") : HS_S(""), HS_S("'"), hs_str_c(NEEDED[i]),
                              HS_S("'")));
    }
    return list.n ? hs_err(a, 400, HS_M_MISSING_PARAM, "Missing params: [%.*s]", HS_FMT(list)) : NULL;
}

/* A text of at most `most` bytes; PostgreSQL has no NUL in texts. */
static hs_error *text_of(hs_arena *a, hs_jv body, const char *key, size_t most, hs_str *ret)
{
    if (!hs_jv_str(hs_jv_get(body, hs_str_c(key)), ret) || (ret->n && memchr(ret->p, 0, ret->n)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%s must be a text", key);
    if (ret->n > most)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "%s may have %zu bytes at most", key, most);
    return NULL;
}

/* Of http[s]://host/path?query#fragment. */
static hs_str path_of(hs_str url)
{
    size_t at = hs_str_find(url, ':', 0);
    hs_str rest = hs_str_from(url, at + 1), path;

    if (hs_str_starts(rest, HS_S("//")))
        rest = hs_str_from(rest, 2);
    path = hs_str_from(rest, hs_str_find(rest, '/', 0));
    path = hs_str_first(path, hs_str_find(path, '?', 0));
    return hs_str_first(path, hs_str_find(path, '#', 0));
}

static hs_error *bad_config(hs_arena *a, const char *text)
{
    return hs_err(a, 400, HS_M_MISSING_PARAM, "Config Error: %s", text);
}

static hs_error *check_http(hs_arena *a, hs_jv data)
{
    hs_jv url = hs_jv_get(data, HS_S("url"));
    hs_str text;

    if (hs_jv_type_of(data) == HS_JV_NULL)
        return bad_config(a, "'data' key can not be null for HTTP pusher");
    if (!hs_jv_is(url))
        return bad_config(a, "'url' required in data for HTTP pusher");
    if (!hs_jv_str(url, &text))
        return bad_config(a, "'url' must be a string");
    if (!hs_str_starts(text, HS_S("https://")) && !hs_str_starts(text, HS_S("http://")))
        return bad_config(a, "'url' must begin with https:// or http://");
    return hs_str_eq(path_of(text), HS_S(PUSH_PATH)) ? NULL
                                                     : bad_config(a, "'url' must have a path of '" PUSH_PATH "'");
}

static hs_error *check_email(hs_server *srv, hs_arena *a, const hs_session *who, hs_str pushkey)
{
    char *lower;
    bool ok;

    HS_TRY(hs_alloc(a, pushkey.n + 1, &lower));
    for (size_t i = 0; i < pushkey.n; i++)
        lower[i] = (char)(pushkey.p[i] >= 'A' && pushkey.p[i] <= 'Z' ? pushkey.p[i] + ('a' - 'A') : pushkey.p[i]);
    HS_TRY(hs_store_pusher_email_ok(srv->db, a, who->user, hs_str_make(lower, pushkey.n), &ok));
    return ok ? NULL : hs_err(a, 400, HS_M_THREEPID_NOT_FOUND, "Email not found");
}

static hs_error *read_pusher(hs_server *srv, hs_arena *a, const hs_session *who, hs_jv body, hs_pusher_row *ret)
{
    hs_jv data = hs_jv_get(body, HS_S("data"));

    HS_TRY(check_present(a, body));
    HS_TRY(text_of(a, body, "kind", TEXT_MAX, &ret->kind));
    HS_TRY(text_of(a, body, "app_id", APP_ID_MAX, &ret->app_id));
    HS_TRY(text_of(a, body, "pushkey", PUSHKEY_MAX, &ret->pushkey));
    HS_TRY(text_of(a, body, "app_display_name", TEXT_MAX, &ret->app_name));
    HS_TRY(text_of(a, body, "device_display_name", TEXT_MAX, &ret->device_name));
    if (hs_jv_type_of(hs_jv_get(body, HS_S("lang"))) != HS_JV_NULL)
        HS_TRY(text_of(a, body, "lang", TEXT_MAX, &ret->lang));
    ret->profile_tag = HS_S("");
    if (hs_jv_is(hs_jv_get(body, HS_S("profile_tag"))))
        HS_TRY(text_of(a, body, "profile_tag", TEXT_MAX, &ret->profile_tag));
    if (hs_str_eq(ret->kind, HS_S("http")))
        HS_TRY(check_http(a, data));
    else if (hs_str_eq(ret->kind, HS_S("email")))
        HS_TRY(check_email(srv, a, who, ret->pushkey));
    else
        return hs_err(a, 400, HS_M_INVALID_PARAM, "kind must be \"http\", \"email\" or null");
    if (hs_jv_type_of(data) != HS_JV_OBJ)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "data must be an object");
    ret->data = hs_jv_raw(data);
    if (ret->data.n > DATA_MAX || memmem(ret->data.p, ret->data.n, "\\u0000", 6))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "data may have %zu bytes at most, and no NUL", DATA_MAX);
    return NULL;
}

hs_error *hs_pushers_set(hs_server *srv, hs_arena *a, const hs_session *who, hs_jv body)
{
    hs_jv append = hs_jv_get(body, HS_S("append"));
    hs_pusher_row row = { 0 };
    bool appended = false, kept;

    if (hs_jv_type_of(hs_jv_get(body, HS_S("kind"))) == HS_JV_NULL && hs_jv_is(hs_jv_get(body, HS_S("app_id"))) &&
        hs_jv_is(hs_jv_get(body, HS_S("pushkey")))) {
        HS_TRY(text_of(a, body, "app_id", APP_ID_MAX, &row.app_id));
        HS_TRY(text_of(a, body, "pushkey", PUSHKEY_MAX, &row.pushkey));
        return hs_store_pusher_remove(srv->db, a, who->user, row.app_id, row.pushkey);
    }
    if (hs_jv_is(append) && !hs_jv_bool(append, &appended))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "append must be true or false");
    HS_TRY(read_pusher(srv, a, who, body, &row));
    if (who->device_id.n)
        row.device_id = who->device_id;
    else
        row.token = hs_store_pusher_token(hs_str_make((const char *)who->token_sha256, sizeof who->token_sha256));
    if (!appended)
        HS_TRY(hs_store_pusher_take_over(srv->db, a, who->user, row.app_id, row.pushkey));
    HS_TRY(hs_store_pusher_put(srv->db, a, who->user, &row, hs_loop_wall(srv->loop), hs_fanout_position(srv),
                               PUSHERS_MAX, &kept));
    return kept ? NULL : hs_err(a, 400, HS_M_UNKNOWN, "An account may have %d pushers at most", PUSHERS_MAX);
}

/* ── links in mails ── */
typedef struct {
    bool gen, type, app, key;
    hs_str user;
} link_claims;

/* Every caveat must be one of ours; whose two say different things is nobody's. */
static bool read_claim(hs_str caveat, hs_str app_id, hs_str pushkey, link_claims *c)
{
    const struct {
        hs_str name, value;
        bool *said;
    } KNOWN[] = {
        { HS_S("gen = "), HS_S("1"), &c->gen },
        { HS_S("type = "), HS_S("delete_pusher"), &c->type },
        { HS_S("app_id = "), app_id, &c->app },
        { HS_S("pushkey = "), pushkey, &c->key },
    };

    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (hs_str_starts(caveat, KNOWN[i].name) && hs_str_eq(hs_str_from(caveat, KNOWN[i].name.n), KNOWN[i].value))
            return *KNOWN[i].said = true;
    if (!hs_str_starts(caveat, HS_S("user_id = ")) || c->user.p)
        return false;
    c->user = hs_str_from(caveat, HS_S("user_id = ").n);
    return true;
}

hs_error *hs_pushers_unsubscribe(hs_server *srv, hs_arena *a, hs_str token, hs_str app_id, hs_str pushkey)
{
    hs_str key = srv->config->macaroon_secret_key;
    link_claims c = { 0 };
    hs_strs caveats;
    hs_nid user;
    bool ok;

    if (!key.n)
        key = srv->config->registration_shared_secret;
    HS_TRY(hs_macaroon_open(a, token, key, &caveats, &ok));
    for (size_t i = 0; ok && i < caveats.n; i++)
        ok = read_claim(caveats.at[i], app_id, pushkey, &c);
    if (!ok || !c.gen || !c.type || !c.app || !c.key || !c.user.p || !hs_user_is_local(srv, c.user))
        return hs_err(a, 403, HS_M_FORBIDDEN, "This link is not one of ours");
    HS_TRY(hs_user_nid_find(srv, a, c.user, &user));
    return user ? hs_store_pusher_remove(srv->db, a, user, app_id, pushkey) : NULL;
}
