/* What the content of a local event must be, as Synapse's validator has it. */
#include "server/event_content.h"

#include "core/glob.h"
#include "core/ids.h"

static hs_error *need_string(hs_arena *a, hs_jv content, const char *name)
{
    hs_jv v = hs_jv_get(content, hs_str_c(name));

    if (!hs_jv_is(v))
        return hs_err(a, 400, HS_M_UNKNOWN, "'%s' not in content", name);
    if (hs_jv_type_of(v) != HS_JV_STR)
        return hs_err(a, 400, HS_M_UNKNOWN, "'%s' not a string type", name);
    return NULL;
}

static hs_error *check_levels(hs_arena *a, hs_jv map, const char *name)
{
    int64_t level;

    if (hs_jv_is(map) && hs_jv_type_of(map) != HS_JV_OBJ)
        return hs_err(a, 400, HS_M_BAD_JSON, "'%s' must be an object", name);
    for (hs_jv_iter it = { 0 }; hs_jv_next(map, &it);)
        if (!hs_jv_int(it.value, &level))
            return hs_err(a, 400, HS_M_BAD_JSON, "'%s' must map to integers", name);
    return NULL;
}

/* Integers in every room version. */
static hs_error *check_power_levels(hs_arena *a, hs_jv content)
{
    static const char *const NAMES[] = { "ban",    "events_default", "invite",       "kick",
                                         "redact", "state_default",  "users_default" };
    static const char *const MAPS[] = { "events", "users", "notifications" };

    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        hs_jv v = hs_jv_get(content, hs_str_c(NAMES[i]));
        int64_t level;
        if (hs_jv_is(v) && !hs_jv_int(v, &level))
            return hs_err(a, 400, HS_M_BAD_JSON, "'%s' must be an integer", NAMES[i]);
    }
    for (size_t i = 0; i < sizeof MAPS / sizeof *MAPS; i++)
        HS_TRY(check_levels(a, hs_jv_get(content, hs_str_c(MAPS[i])), MAPS[i]));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(content, HS_S("users")), &it);) {
        hs_id id;
        if (!hs_user_id_parse(it.key, &id))
            return hs_err(a, 400, HS_M_UNKNOWN, "Not a valid user_id: %.*s", HS_FMT(it.key));
    }
    return NULL;
}

static hs_error *check_mentions(hs_arena *a, hs_jv mentions)
{
    hs_jv users = hs_jv_get(mentions, HS_S("user_ids")), room = hs_jv_get(mentions, HS_S("room"));
    bool b;

    if (!hs_jv_is(mentions))
        return NULL;
    if (hs_jv_type_of(mentions) != HS_JV_OBJ)
        return hs_err(a, 400, HS_M_BAD_JSON, "'m.mentions' must be an object");
    if (hs_jv_is(users) && hs_jv_type_of(users) != HS_JV_ARR)
        return hs_err(a, 400, HS_M_BAD_JSON, "'user_ids' of 'm.mentions' must be a list");
    for (hs_jv_iter it = { 0 }; hs_jv_next(users, &it);)
        if (hs_jv_type_of(it.value) != HS_JV_STR)
            return hs_err(a, 400, HS_M_BAD_JSON, "'user_ids' of 'm.mentions' must be strings");
    if (hs_jv_is(room) && !hs_jv_bool(room, &b))
        return hs_err(a, 400, HS_M_BAD_JSON, "'room' of 'm.mentions' must be a boolean");
    return NULL;
}

static bool matches_any(hs_jv globs, hs_str server)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(globs, &it);) {
        hs_str glob = hs_jv_str_or_null(it.value);
        if (glob.p && hs_glob_match(glob, server, true))
            return true;
    }
    return false;
}

static hs_error *check_acl(const hs_server *srv, hs_arena *a, hs_jv content)
{
    if (matches_any(hs_jv_get(content, HS_S("deny")), srv->server_name) ||
        !matches_any(hs_jv_get(content, HS_S("allow")), srv->server_name))
        return hs_err(a, 400, HS_M_UNKNOWN, "Can't create an ACL event that denies the local server");
    return NULL;
}

static hs_error *check_retention(hs_arena *a, hs_jv content)
{
    hs_jv min = hs_jv_get(content, HS_S("min_lifetime")), max = hs_jv_get(content, HS_S("max_lifetime"));
    int64_t low = 0, high = 0;

    if (hs_jv_is(min) && hs_jv_type_of(min) != HS_JV_NULL && !hs_jv_int(min, &low))
        return hs_err(a, 400, HS_M_BAD_JSON, "'min_lifetime' must be an integer");
    if (hs_jv_is(max) && hs_jv_type_of(max) != HS_JV_NULL && !hs_jv_int(max, &high))
        return hs_err(a, 400, HS_M_BAD_JSON, "'max_lifetime' must be an integer");
    if (hs_jv_int(min, &low) && hs_jv_int(max, &high) && low > high)
        return hs_err(a, 400, HS_M_BAD_JSON, "'min_lifetime' can't be greater than 'max_lifetime");
    return NULL;
}

static bool is_state_type(hs_str type)
{
    static const hs_str TYPES[] = { HS_S_INIT("m.room.topic"), HS_S_INIT("m.room.name"), HS_S_INIT("m.room.member"),
                                    HS_S_INIT("m.room.tombstone"), HS_S_INIT("m.room.retention") };

    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (hs_str_eq(type, TYPES[i]))
            return true;
    return false;
}

hs_error *hs_event_content_check(const hs_server *srv, hs_arena *a, hs_str type, bool is_state, hs_jv content)
{
    if (!is_state && is_state_type(type))
        return hs_err(a, 400, HS_M_UNKNOWN, "'%.*s' must be state events", HS_FMT(type));
    if (hs_str_eq(type, HS_S("m.room.create")))
        return is_state ? hs_err(a, 400, HS_M_INVALID_PARAM, "Cannot resend m.room.create event")
                        : hs_err(a, 403, HS_M_FORBIDDEN, "Create event has prev events");
    HS_TRY(check_mentions(a, hs_jv_get(content, HS_S("m.mentions"))));
    if (hs_str_eq(type, HS_S("m.room.message"))) {
        HS_TRY(need_string(a, content, "body"));
        return need_string(a, content, "msgtype");
    }
    if (hs_str_eq(type, HS_S("m.room.name")))
        return need_string(a, content, "name");
    if (hs_str_eq(type, HS_S("m.room.topic")))
        return need_string(a, content, "topic");
    if (hs_str_eq(type, HS_S("m.room.power_levels")))
        return check_power_levels(a, content);
    if (hs_str_eq(type, HS_S("m.room.server_acl")))
        return check_acl(srv, a, content);
    if (hs_str_eq(type, HS_S("m.room.retention")))
        return check_retention(a, content);
    if (hs_str_eq(type, HS_S("m.room.tombstone")) && !hs_jv_is(hs_jv_get(content, HS_S("replacement_room"))))
        return hs_err(a, 400, HS_M_UNKNOWN, "Content has no replacement_room key");
    return NULL;
}
