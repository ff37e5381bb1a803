/* See profile.h. Rooms show two of the fields; limits and texts are Synapse's. */
#include "server/profile.h"

#include "core/ids.h"
#include "server/names.h"
#include "server/news.h"
#include "server/room_member.h"

#define NAME_MAX_CHARACTERS   256
#define AVATAR_MAX_CHARACTERS 1000
#define FIELD_NAME_MAX        255
#define PROFILE_MAX           65536 /* bytes of names and values */

static hs_error *not_found(hs_arena *a)
{
    return hs_err(a, 404, HS_M_NOT_FOUND, "Profile was not found");
}

static hs_error *parse_user(hs_arena *a, hs_str user_id, hs_id *ret)
{
    return hs_user_id_parse(user_id, ret) ? NULL : hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid user id");
}

/* With limit_profile_requests_to_users_who_share_rooms: only people who are in a room together see each other. */
static hs_error *check_shared_room(hs_server *srv, hs_arena *a, const hs_session *who, hs_nid target)
{
    hs_strs mine, theirs;

    if (!srv->config->limit_profile_requests_to_users_who_share_rooms || !who || who->user == target)
        return NULL;
    HS_TRY(hs_rooms_joined(srv, a, who->user, &mine));
    HS_TRY(hs_rooms_joined(srv, a, target, &theirs));
    for (size_t i = 0; i < mine.n; i++)
        for (size_t k = 0; k < theirs.n; k++)
            if (hs_str_eq(mine.at[i], theirs.at[k]))
                return NULL;
    return hs_err(a, 403, HS_M_FORBIDDEN, "Profile isn't available");
}

hs_error *hs_profile_read(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id, hs_profile *ret)
{
    hs_profile out;
    hs_nid user;
    bool found;
    hs_id id;

    HS_TRY(parse_user(a, user_id, &id));
    if (!hs_str_is_utf8(user_id) || !hs_str_eq(id.server, srv->server_name))
        return not_found(a);
    HS_TRY(hs_user_nid_find(srv, a, user_id, &user));
    if (!user)
        return not_found(a);
    HS_TRY(check_shared_room(srv, a, who, user));
    HS_TRY(hs_store_profile_whole(srv->db, a, user, &found, &out.name, &out.avatar, &out.fields, &out.fields_n));
    if (!found)
        return not_found(a);
    *ret = out;
    return NULL;
}

static size_t characters(hs_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

typedef enum { DISPLAYNAME, AVATAR_URL, OTHER } field_kind;

static hs_error *check_value(hs_arena *a, field_kind field, hs_jv value, hs_str *ret)
{
    hs_str s;

    if (!hs_jv_str(value, &s) || (s.n && memchr(s.p, 0, s.n)))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "'%s' must be a string",
                      field == DISPLAYNAME ? "displayname" : "avatar_url");
    if (field == DISPLAYNAME && characters(s) > NAME_MAX_CHARACTERS)
        return hs_err(a, 400, HS_M_UNKNOWN, "Displayname is too long (max %d)", NAME_MAX_CHARACTERS);
    if (field == AVATAR_URL && characters(s) > AVATAR_MAX_CHARACTERS)
        return hs_err(a, 400, HS_M_UNKNOWN, "Avatar URL is too long (max %d)", AVATAR_MAX_CHARACTERS);
    *ret = field == DISPLAYNAME ? hs_str_trim(s) : s;
    if (!s.n) /* empty clears it */
        *ret = hs_str_make(NULL, 0);
    return NULL;
}

/* An operator may have closed changes; a first value may still be set. */
static hs_error *check_may_change(hs_server *srv, hs_arena *a, hs_nid user, field_kind field)
{
    bool allowed = field == DISPLAYNAME ? srv->config->enable_set_displayname : srv->config->enable_set_avatar_url;
    hs_str name, avatar;
    bool found;

    if (allowed)
        return NULL;
    HS_TRY(hs_store_profile_get(srv->db, a, user, &found, &name, &avatar));
    if (!found || !(field == DISPLAYNAME ? name : avatar).n)
        return NULL;
    return hs_err(a, 403, HS_M_FORBIDDEN, "Changing %s is disabled on this server",
                  field == DISPLAYNAME ? "display name" : "avatar");
}

static hs_error *commit(hs_write *w, hs_nid user, uint32_t at)
{
    const hs_news_user told = { .user = user, .at = at, .what = HS_NEWS_PROFILE };
    hs_write_result result;

    HS_TRY(hs_news_give(w, &(hs_news){ .users = &told, .users_n = 1 }));
    return hs_write_commit(w, &result);
}

static hs_error *write_value(hs_server *srv, hs_arena *a, hs_nid user, field_kind field, hs_str key, hs_str value)
{
    hs_write *w;
    uint32_t at;

    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &at));
    if (field == DISPLAYNAME)
        HS_TRY(hs_store_profile_set_name(w, user, value, at));
    else if (field == AVATAR_URL)
        HS_TRY(hs_store_profile_set_avatar(w, user, value, at));
    else
        HS_TRY(hs_store_profile_set_field(w, user, &(hs_profile_field){ key, value }, PROFILE_MAX, at));
    return commit(w, user, at);
}

/* Is there room for a field besides the others? *ret_same: it is there as it is to be. */
static hs_error *check_size(hs_server *srv, hs_arena *a, hs_nid user, hs_str key, hs_str value, bool *ret_same)
{
    hs_profile_field *fields;
    hs_str name, avatar;
    bool found;
    size_t n;

    HS_TRY(hs_store_profile_whole(srv->db, a, user, &found, &name, &avatar, &fields, &n));
    size_t size = key.n + value.n + name.n + avatar.n;
    *ret_same = false;
    for (size_t i = 0; i < n; i++)
        if (!hs_str_eq(fields[i].key, key))
            size += fields[i].key.n + fields[i].value.n;
        else
            *ret_same = hs_str_eq(fields[i].value, value);
    return size <= PROFILE_MAX ? NULL : hs_err(a, 400, HS_M_PROFILE_TOO_LARGE, "Profile too large");
}

/* A field that fitted may fit no more when its turn to be written comes; then it is not there, and there is no room. */
static hs_error *write_field(hs_server *srv, hs_arena *a, hs_nid user, hs_str key, hs_str value)
{
    bool same;

    HS_TRY(check_size(srv, a, user, key, value, &same));
    HS_TRY(write_value(srv, a, user, OTHER, key, value));
    hs_error *e = check_size(srv, a, user, key, value, &same);
    return same ? NULL : e;
}

/* value p NULL: the field goes. */
static hs_error *set(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id, field_kind field, hs_str key,
                     hs_str value)
{
    bool admin = (who->flags & HS_ACCOUNT_ADMIN) != 0;
    hs_session target = *who;
    hs_id id;

    HS_TRY(parse_user(a, user_id, &id));
    if (who->flags & HS_ACCOUNT_SUSPENDED)
        return hs_err(a, 403, HS_M_USER_SUSPENDED, "Updating profile while account is suspended is not allowed.");
    if (!hs_str_eq(id.server, srv->server_name))
        return hs_err(a, 400, HS_M_UNKNOWN, "User is not hosted on this homeserver");
    if (!hs_str_eq(user_id, who->user_id)) {
        if (!admin)
            return hs_err(a, 400, HS_M_FORBIDDEN, "Cannot set another user's %s",
                          field == DISPLAYNAME  ? "displayname"
                          : field == AVATAR_URL ? "avatar_url"
                                                : "profile");
        target = (hs_session){ .user_id = user_id, .localpart = id.local };
        HS_TRY(hs_user_nid_find(srv, a, user_id, &target.user));
        if (!target.user)
            return not_found(a);
    }
    if (!admin && field != OTHER)
        HS_TRY(check_may_change(srv, a, target.user, field));
    if (field == OTHER && value.p)
        return write_field(srv, a, target.user, key, value);

    HS_TRY(write_value(srv, a, target.user, field, key, value));
    return field == OTHER ? NULL : hs_rooms_profile_changed(srv, a, &target);
}

/* The specification's "common namespaced identifier". */
static bool is_namespaced(hs_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && (!i || (!(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')))
            return false;
    }
    return true;
}

hs_error *hs_profile_check_field(hs_arena *a, hs_str field)
{
    if (!field.n)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Field name too short");
    if (field.n > FIELD_NAME_MAX)
        return hs_err(a, 400, HS_M_KEY_TOO_LARGE, "Field name too long");
    if (!is_namespaced(field))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Field name does not follow Common Namespaced Identifier Grammar");
    return NULL;
}

static hs_error *parse_field(hs_arena *a, hs_str field, field_kind *ret)
{
    HS_TRY(hs_profile_check_field(a, field));
    *ret = hs_str_eq(field, HS_S("displayname"))  ? DISPLAYNAME
           : hs_str_eq(field, HS_S("avatar_url")) ? AVATAR_URL
                                                  : OTHER;
    return NULL;
}

hs_error *hs_profile_check(hs_arena *a, hs_str field, hs_jv value)
{
    field_kind kind;
    hs_str checked;

    HS_TRY(parse_field(a, field, &kind));
    return check_value(a, kind, value, &checked);
}

/* Guests may say what they are called, and no more. */
static hs_error *check_guest(hs_arena *a, const hs_session *who, hs_str field)
{
    if (who->flags & HS_ACCOUNT_GUEST && !hs_str_eq(field, HS_S("displayname")))
        return hs_err(a, 403, HS_M_GUEST_ACCESS_FORBIDDEN, "Guest access not allowed");
    return NULL;
}

hs_error *hs_profile_set(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id, hs_str field, hs_jv value)
{
    field_kind kind;
    hs_str checked;

    HS_TRY(check_guest(a, who, field));
    HS_TRY(parse_field(a, field, &kind));
    if (!hs_jv_is(value))
        return hs_err(a, 400, HS_M_MISSING_PARAM, "Missing key '%.*s'", HS_FMT(field));
    if (kind == OTHER)
        checked = hs_jv_raw(value);
    else
        HS_TRY(check_value(a, kind, value, &checked));
    return set(srv, a, who, user_id, kind, field, checked);
}

hs_error *hs_profile_clear(hs_server *srv, hs_arena *a, const hs_session *who, hs_str user_id, hs_str field)
{
    field_kind kind;

    HS_TRY(check_guest(a, who, field));
    HS_TRY(parse_field(a, field, &kind));
    return set(srv, a, who, user_id, kind, field, hs_str_make(NULL, 0));
}
