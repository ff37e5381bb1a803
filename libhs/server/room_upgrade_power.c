/* See room_upgrade_power.h. Old rooms may have levels as strings, which newer versions refuse: they become integers,
 * and what is none goes. */
#include "server/room_upgrade_power.h"

#include "base/json_out.h"

#define DEFAULT_LEVEL 50
#define CREATOR_LEVEL 100

typedef struct {
    const hs_upgrade_power *in;
    bool raise;    /* who upgrades gets what is needed */
    int64_t floor; /* of invite and events_default; INT64_MIN: none */
    bool changed;  /* by the floor */
} rewrite;

static hs_str trimmed(hs_str s)
{
    while (s.n && strchr(" \t\n\r\v\f", s.p[0]))
        s = hs_str_from(s, 1);
    while (s.n && strchr(" \t\n\r\v\f", s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool level_of(hs_jv v, int64_t *ret)
{
    hs_str text = hs_jv_str_or_null(v);

    return hs_jv_int(v, ret) || (text.p && hs_str_to_i64(trimmed(text), ret));
}

static int64_t level_or(hs_jv content, const char *key, int64_t otherwise)
{
    int64_t v;

    return level_of(hs_jv_get(content, hs_str_c(key)), &v) ? v : otherwise;
}

static bool lists(const hs_strs *list, hs_str s)
{
    for (size_t i = 0; i < list->n; i++)
        if (hs_str_eq(list->at[i], s))
            return true;
    return false;
}

/* What setting everything that is copied takes. */
static int64_t needed(hs_jv old)
{
    int64_t most = level_or(old, "state_default", DEFAULT_LEVEL), ban = level_or(old, "ban", DEFAULT_LEVEL), v;

    most = ban > most ? ban : most;
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(old, HS_S("events")), &it);)
        if (level_of(it.value, &v) && v > most)
            most = v;
    return most;
}

static int64_t level_of_user(const hs_upgrade_power *in, hs_str user)
{
    int64_t v;

    if (level_of(hs_jv_get(hs_jv_get(in->old, HS_S("users")), user), &v))
        return v;
    if (lists(&in->old_creators, user)) { /* without bounds there, so above all here */
        v = needed(in->old);
        return v > CREATOR_LEVEL ? v : CREATOR_LEVEL;
    }
    return level_or(in->old, "users_default", 0);
}

static void write_user(hs_json_out *j, hs_str user, int64_t level)
{
    hs_json_key(j, user);
    hs_json_v_int(j, level);
}

static void write_users(hs_json_out *j, const rewrite *r)
{
    const hs_upgrade_power *in = r->in;
    int64_t own = level_of_user(in, in->user), v;

    if (r->raise && own < needed(in->old))
        own = needed(in->old);
    hs_json_obj_at(j, "users");
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(in->old, HS_S("users")), &it);)
        if (level_of(it.value, &v) && !lists(&in->new_creators, it.key) && !hs_str_eq(it.key, in->user))
            write_user(j, it.key, v);
    /* Where creators are above all again, those of the old room are not: whoever upgrades names them or does not. */
    for (size_t i = 0; !in->new_creators.n && i < in->old_creators.n; i++)
        if (!hs_str_eq(in->old_creators.at[i], in->user))
            write_user(j, in->old_creators.at[i], level_of_user(in, in->old_creators.at[i]));
    if (!lists(&in->new_creators, in->user) && own != level_or(in->old, "users_default", 0))
        write_user(j, in->user, own);
    hs_json_end(j);
}

static void write_map(hs_json_out *j, hs_str key, hs_jv map)
{
    int64_t v;

    hs_json_key(j, key);
    hs_json_obj(j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(map, &it);) {
        if (!level_of(it.value, &v))
            continue;
        hs_json_key(j, it.key);
        hs_json_v_int(j, v);
    }
    hs_json_end(j);
}

static bool has_floor(const rewrite *r, hs_str key)
{
    return r->floor != INT64_MIN && (hs_str_eq(key, HS_S("invite")) || hs_str_eq(key, HS_S("events_default")));
}

static void write_floor(hs_json_out *j, rewrite *r, const char *key)
{
    int64_t now = level_or(r->in->old, key, 0);

    if (r->floor == INT64_MIN)
        return;
    r->changed = r->changed || now < r->floor;
    hs_json_int(j, key, now < r->floor ? r->floor : now);
}

static hs_error *write(hs_arena *a, rewrite *r, hs_str *ret)
{
    bool old_room = r->floor != INT64_MIN;
    hs_json_out j;
    hs_buf b;
    int64_t v;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(r->in->old, &it);) {
        bool users = hs_str_eq(it.key, HS_S("users"));
        if ((users && !old_room) || has_floor(r, it.key))
            continue;
        if (hs_jv_type_of(it.value) == HS_JV_OBJ) {
            write_map(&j, it.key, it.value);
        } else if (!users && level_of(it.value, &v)) {
            hs_json_key(&j, it.key);
            hs_json_v_int(&j, v);
        }
    }
    if (!old_room)
        write_users(&j, r);
    write_floor(&j, r, "invite");
    write_floor(&j, r, "events_default");
    hs_json_end(&j);
    return hs_buf_flatten(&b, ret);
}

hs_error *hs_upgrade_power_first(hs_arena *a, const hs_upgrade_power *in, hs_str *ret)
{
    rewrite r = { .in = in, .raise = true, .floor = INT64_MIN };

    return write(a, &r, ret);
}

hs_error *hs_upgrade_power_last(hs_arena *a, const hs_upgrade_power *in, hs_str *ret)
{
    rewrite r = { .in = in, .floor = INT64_MIN };

    return write(a, &r, ret);
}

hs_error *hs_upgrade_power_old(hs_arena *a, const hs_upgrade_power *in, bool *ret_changed, hs_str *ret)
{
    int64_t above = level_or(in->old, "users_default", 0);
    rewrite r = { .in = in };

    r.floor = above >= DEFAULT_LEVEL && above < INT64_MAX ? above + 1 : DEFAULT_LEVEL;
    HS_TRY(write(a, &r, ret));
    *ret_changed = r.changed;
    return NULL;
}
