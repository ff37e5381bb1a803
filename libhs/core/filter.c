/* See filter.h. */
#include "core/filter.h"

#include "core/glob.h"
#include "core/ids.h"

static hs_error *wrong(hs_arena *a, const char *name)
{
    return hs_err(a, 400, HS_M_BAD_JSON, "The filter's member '%s' has the wrong shape", name);
}

typedef bool acceptable(hs_str s);

static bool any_string(hs_str s)
{
    (void)s;
    return true;
}

static bool is_user(hs_str s)
{
    hs_id id;
    return hs_user_id_parse(s, &id);
}

static bool is_room(hs_str s)
{
    hs_id id;
    return hs_room_id_parse(s, &id);
}

/* A list of strings; *has says whether the member is there at all: an empty list means "none", not "all". */
static hs_error *read_list(hs_arena *a, hs_jv obj, const char *name, acceptable *ok, bool *has, hs_strs *ret)
{
    hs_jv v = hs_jv_get(obj, hs_str_c(name));
    hs_str *at;
    size_t n = 0;

    if (!hs_jv_is(v) || hs_jv_type_of(v) == HS_JV_NULL)
        return NULL;
    if (hs_jv_type_of(v) != HS_JV_ARR)
        return wrong(a, name);
    HS_TRY(hs_alloc(a, hs_jv_count(v), &at));
    for (hs_jv_iter it = { 0 }; hs_jv_next(v, &it); n++)
        if (!hs_jv_str(it.value, &at[n]) || !ok(at[n]))
            return wrong(a, name);

    if (has)
        *has = true;
    *ret = (hs_strs){ .at = at, .n = n };
    return NULL;
}

static hs_error *read_bool(hs_arena *a, hs_jv obj, const char *name, bool *has, bool *ret)
{
    hs_jv v = hs_jv_get(obj, hs_str_c(name));

    if (!hs_jv_is(v) || hs_jv_type_of(v) == HS_JV_NULL)
        return NULL;
    if (!hs_jv_bool(v, ret))
        return wrong(a, name);
    if (has)
        *has = true;
    return NULL;
}

static hs_event_filter event_filter_default(void)
{
    return (hs_event_filter){ .limit = -1 };
}

hs_error *hs_event_filter_read(hs_arena *a, hs_jv v, hs_event_filter *ret)
{
    hs_event_filter f = event_filter_default();
    hs_jv limit = hs_jv_get(v, HS_S("limit"));

    if (hs_jv_type_of(v) != HS_JV_OBJ)
        return wrong(a, "filter");
    HS_TRY(read_list(a, v, "types", any_string, &f.has_types, &f.types));
    HS_TRY(read_list(a, v, "not_types", any_string, NULL, &f.not_types));
    HS_TRY(read_list(a, v, "senders", is_user, &f.has_senders, &f.senders));
    HS_TRY(read_list(a, v, "not_senders", is_user, NULL, &f.not_senders));
    HS_TRY(read_list(a, v, "rooms", is_room, &f.has_rooms, &f.rooms));
    HS_TRY(read_list(a, v, "not_rooms", is_room, NULL, &f.not_rooms));
    HS_TRY(read_list(a, v, "related_by_senders", any_string, &f.has_related_by_senders, &f.related_by_senders));
    HS_TRY(read_list(a, v, "related_by_rel_types", any_string, &f.has_related_by_rel_types, &f.related_by_rel_types));
    HS_TRY(read_list(a, v, "org.matrix.msc3874.rel_types", any_string, &f.has_rel_types, &f.rel_types));
    HS_TRY(read_list(a, v, "org.matrix.msc3874.not_rel_types", any_string, NULL, &f.not_rel_types));
    HS_TRY(read_bool(a, v, "contains_url", &f.has_contains_url, &f.contains_url));
    HS_TRY(read_bool(a, v, "lazy_load_members", NULL, &f.lazy_load_members));
    HS_TRY(read_bool(a, v, "include_redundant_members", NULL, &f.include_redundant_members));
    HS_TRY(read_bool(a, v, "unread_thread_notifications", NULL, &f.unread_thread_notifications));
    if (hs_jv_is(limit) && (!hs_jv_int(limit, &f.limit) || f.limit < 0))
        return wrong(a, "limit");

    *ret = f;
    return NULL;
}

static hs_error *read_part(hs_arena *a, hs_jv obj, const char *name, hs_event_filter *ret)
{
    hs_jv v = hs_jv_get(obj, hs_str_c(name));

    if (!hs_jv_is(v) || hs_jv_type_of(v) == HS_JV_NULL)
        return NULL;
    if (hs_jv_type_of(v) != HS_JV_OBJ)
        return wrong(a, name);
    return hs_event_filter_read(a, v, ret);
}

hs_filter hs_filter_default(void)
{
    hs_event_filter e = event_filter_default();
    return (hs_filter){
        .presence = e, .account_data = e, .timeline = e, .state = e, .ephemeral = e, .room_account_data = e
    };
}

hs_error *hs_filter_read(hs_arena *a, hs_jv v, hs_filter *ret)
{
    hs_filter f = hs_filter_default();
    hs_jv room = hs_jv_get(v, HS_S("room"));
    hs_jv format = hs_jv_get(v, HS_S("event_format"));
    hs_str name;

    if (hs_jv_type_of(v) != HS_JV_OBJ)
        return wrong(a, "filter");
    HS_TRY(read_part(a, v, "presence", &f.presence));
    HS_TRY(read_part(a, v, "account_data", &f.account_data));
    HS_TRY(read_list(a, v, "event_fields", any_string, &f.has_event_fields, &f.event_fields));
    if (hs_jv_is(format)) {
        if (!hs_jv_str(format, &name) || (!hs_str_eq(name, HS_S("client")) && !hs_str_eq(name, HS_S("federation"))))
            return wrong(a, "event_format");
        f.federation_format = hs_str_eq(name, HS_S("federation"));
    }
    if (hs_jv_is(room) && hs_jv_type_of(room) != HS_JV_NULL) {
        if (hs_jv_type_of(room) != HS_JV_OBJ)
            return wrong(a, "room");
        HS_TRY(read_part(a, room, "timeline", &f.timeline));
        HS_TRY(read_part(a, room, "state", &f.state));
        HS_TRY(read_part(a, room, "ephemeral", &f.ephemeral));
        HS_TRY(read_part(a, room, "account_data", &f.room_account_data));
        HS_TRY(read_bool(a, room, "include_leave", NULL, &f.include_leave));
        HS_TRY(read_list(a, room, "rooms", is_room, &f.has_rooms, &f.rooms));
        HS_TRY(read_list(a, room, "not_rooms", is_room, NULL, &f.not_rooms));
    }

    *ret = f;
    return NULL;
}

static bool in_list(hs_strs list, hs_str s)
{
    for (size_t i = 0; i < list.n; i++)
        if (hs_str_eq(list.at[i], s))
            return true;
    return false;
}

static bool in_globs(hs_strs list, hs_str s)
{
    for (size_t i = 0; i < list.n; i++)
        if (hs_glob_match(list.at[i], s, false))
            return true;
    return false;
}

bool hs_event_filter_type(const hs_event_filter *f, hs_str type)
{
    return !in_globs(f->not_types, type) && (!f->has_types || in_globs(f->types, type));
}

bool hs_event_filter_room(const hs_event_filter *f, hs_str room_id)
{
    return !in_list(f->not_rooms, room_id) && (!f->has_rooms || in_list(f->rooms, room_id));
}

static bool matches_relation(const hs_event_filter *f, hs_jv content)
{
    if (!f->has_rel_types && !f->not_rel_types.n)
        return true;
    hs_str type = hs_jv_str_or_null(hs_jv_get(hs_jv_get(content, HS_S("m.relates_to")), HS_S("rel_type")));
    return !(type.p && in_list(f->not_rel_types, type)) &&
           (!f->has_rel_types || (type.p && in_list(f->rel_types, type)));
}

bool hs_event_filter_match(const hs_event_filter *f, hs_str type, hs_str sender, hs_str room_id, hs_jv content)
{
    if (!hs_event_filter_type(f, type) || !hs_event_filter_room(f, room_id))
        return false;
    if (in_list(f->not_senders, sender) || (f->has_senders && !in_list(f->senders, sender)))
        return false;
    if (f->has_contains_url) {
        bool has = hs_jv_type_of(hs_jv_get(content, HS_S("url"))) == HS_JV_STR;
        if (has != f->contains_url)
            return false;
    }
    return matches_relation(f, content);
}

bool hs_filter_room(const hs_filter *f, hs_str room_id)
{
    return !in_list(f->not_rooms, room_id) && (!f->has_rooms || in_list(f->rooms, room_id));
}
