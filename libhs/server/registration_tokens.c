/* See registration_tokens.h. */
#include "server/registration_tokens.h"

enum { TOKEN_MAX = 64, TOKEN_LENGTH = 16, DRAWS = 3 };

static const char CHARACTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";

static hs_error *bad(hs_arena *a, const char *text)
{
    return hs_err(a, 400, HS_M_INVALID_PARAM, "%s", text);
}

static hs_error *none(hs_arena *a, hs_str token)
{
    return hs_err(a, 404, HS_M_NOT_FOUND, "No such registration token: %.*s", HS_FMT(token));
}

/* What no token is called is not asked for. */
static bool can_be(hs_str token)
{
    for (size_t i = 0; i < token.n; i++)
        if (!memchr(CHARACTERS, token.p[i], sizeof CHARACTERS - 1))
            return false;
    return token.n > 0 && token.n <= TOKEN_MAX;
}

hs_error *hs_registration_tokens_list(hs_server *srv, hs_arena *a, hs_tokens_filter which, hs_registration_token **ret,
                                      size_t *ret_n)
{
    return hs_store_registration_tokens_list(srv->db, a, which, hs_loop_wall(srv->loop), ret, ret_n);
}

hs_error *hs_registration_token_get(hs_server *srv, hs_arena *a, hs_str token, hs_registration_token **ret)
{
    if (!can_be(token))
        return none(a, token);
    HS_TRY(hs_store_registration_token_get(srv->db, a, token, ret));
    return *ret ? NULL : none(a, token);
}

/* The two limits; absent ones and null ones are none. */
static hs_error *read_limits(hs_server *srv, hs_arena *a, hs_jv body, hs_registration_token *t)
{
    hs_jv uses = hs_jv_get(body, HS_S("uses_allowed")), expiry = hs_jv_get(body, HS_S("expiry_time"));

    t->has_uses = hs_jv_is(uses) && hs_jv_type_of(uses) != HS_JV_NULL;
    if (t->has_uses && (!hs_jv_int(uses, &t->uses_allowed) || t->uses_allowed < 0 || t->uses_allowed > INT32_MAX))
        return bad(a, "uses_allowed must be a non-negative integer or null");
    t->has_expiry = hs_jv_is(expiry) && hs_jv_type_of(expiry) != HS_JV_NULL;
    if (t->has_expiry && !hs_jv_int(expiry, &t->expires_ts))
        return bad(a, "expiry_time must be an integer or null");
    if (t->has_expiry && t->expires_ts < hs_loop_wall(srv->loop))
        return bad(a, "expiry_time must not be in the past");
    return NULL;
}

static hs_error *check_name(hs_arena *a, hs_jv v, hs_str *ret)
{
    if (!hs_jv_str(v, ret))
        return bad(a, "token must be a string");
    if (!ret->n || ret->n > TOKEN_MAX)
        return bad(a, "token must not be empty and must not be longer than 64 characters");
    return can_be(*ret) ? NULL : bad(a, "token must consist only of characters matched by the regex [A-Za-z0-9-_]");
}

static hs_error *insert_drawn(hs_server *srv, hs_arena *a, int64_t length, hs_registration_token *t)
{
    bool is_new = false;

    for (int i = 0; i < DRAWS && !is_new; i++) {
        HS_TRY(hs_random_text(a, (size_t)length, CHARACTERS, &t->token));
        HS_TRY(hs_store_registration_token_insert(srv->db, a, t, &is_new));
    }
    return is_new ? NULL
                  : hs_err(a, 500, HS_M_UNKNOWN,
                           "Unable to generate a unique registration token. Try again with a greater length");
}

hs_error *hs_registration_token_new(hs_server *srv, hs_arena *a, hs_jv body, hs_registration_token *ret)
{
    hs_jv name = hs_jv_get(body, HS_S("token")), given = hs_jv_get(body, HS_S("length"));
    hs_registration_token t = { 0 };
    int64_t length = TOKEN_LENGTH;
    bool is_new;

    if (hs_jv_is(name))
        HS_TRY(check_name(a, name, &t.token));
    else if (hs_jv_is(given) && !hs_jv_int(given, &length))
        return bad(a, "length must be an integer");
    if (length <= 0 || length > TOKEN_MAX)
        return bad(a, "length must be greater than zero and not greater than 64");
    HS_TRY(read_limits(srv, a, body, &t));
    if (hs_jv_is(name)) {
        HS_TRY(hs_store_registration_token_insert(srv->db, a, &t, &is_new));
        if (!is_new)
            return hs_err(a, 400, HS_M_INVALID_PARAM, "Token already exists: %.*s", HS_FMT(t.token));
    } else {
        HS_TRY(insert_drawn(srv, a, length, &t));
    }
    *ret = t;
    return NULL;
}

hs_error *hs_registration_token_update(hs_server *srv, hs_arena *a, hs_str token, hs_jv body,
                                       hs_registration_token **ret)
{
    bool set_uses = hs_jv_is(hs_jv_get(body, HS_S("uses_allowed"))),
         set_expiry = hs_jv_is(hs_jv_get(body, HS_S("expiry_time")));
    hs_registration_token t = { .token = token };

    HS_TRY(read_limits(srv, a, body, &t));
    if (!can_be(token))
        return none(a, token);
    if (!set_uses && !set_expiry)
        return hs_registration_token_get(srv, a, token, ret);
    HS_TRY(hs_store_registration_token_update(srv->db, a, &t, set_uses, set_expiry, ret));
    return *ret ? NULL : none(a, token);
}

hs_error *hs_registration_token_remove(hs_server *srv, hs_arena *a, hs_str token)
{
    bool found = false;

    if (can_be(token))
        HS_TRY(hs_store_registration_token_remove(srv->db, a, token, &found));
    return found ? NULL : none(a, token);
}

hs_error *hs_registration_token_valid(hs_server *srv, hs_arena *a, hs_str token, bool *ret)
{
    hs_registration_token *t = NULL;

    if (!srv->config->enable_registration)
        return hs_err(a, 403, HS_M_FORBIDDEN, "Registration has been disabled");
    if (can_be(token))
        HS_TRY(hs_store_registration_token_get(srv->db, a, token, &t));
    *ret = t && (!t->has_expiry || t->expires_ts >= hs_loop_wall(srv->loop)) &&
           (!t->has_uses || t->pending + t->completed < t->uses_allowed);
    return NULL;
}
