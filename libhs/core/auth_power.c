/* Power levels: what they are, and rule 10, "If type is m.room.power_levels". */
#include "core/auth_rules.h"

#include "core/ids.h"

#include <stdlib.h>

static const struct {
    hs_str key;
    int64_t by_default;
} LEVELS[] = {
    [HS_LEVEL_BAN] = { HS_S_INIT("ban"), 50 },
    [HS_LEVEL_KICK] = { HS_S_INIT("kick"), 50 },
    [HS_LEVEL_INVITE] = { HS_S_INIT("invite"), 0 },
    [HS_LEVEL_REDACT] = { HS_S_INIT("redact"), 50 },
    [HS_LEVEL_EVENTS_DEFAULT] = { HS_S_INIT("events_default"), 0 },
    [HS_LEVEL_STATE_DEFAULT] = { HS_S_INIT("state_default"), 50 },
    [HS_LEVEL_USERS_DEFAULT] = { HS_S_INIT("users_default"), 0 },
};
#define LEVELS_N (sizeof LEVELS / sizeof *LEVELS)

/* ── values: integers, in older versions also strings and fractions ── */

/* Blanks, one sign, digits, blanks. */
static bool string_level(hs_str s, int64_t *ret)
{
    s = hs_str_trim(s);
    if (hs_str_starts(s, HS_S("+"))) {
        s = hs_str_from(s, 1);
        if (hs_str_starts(s, HS_S("-")))
            return false;
    }
    return hs_str_to_i64(s, ret);
}

/* "the value is truncated at the decimal point"; the reader has checked that it is a JSON number. */
static bool real_level(hs_str s, int64_t *ret)
{
    char text[64];

    if (hs_str_to_i64(s, ret))
        return true;
    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double d = strtod(text, NULL);
    if (!(d > -9.2e18 && d < 9.2e18))
        return false;
    *ret = (int64_t)d;
    return true;
}

static bool read_level(const hs_roomver *rv, hs_jv v, int64_t *ret)
{
    if (hs_jv_int(v, ret))
        return true;
    if (rv->integer_power)
        return false;
    if (hs_jv_type_of(v) == HS_JV_STR)
        return string_level(hs_jv_str_or_null(v), ret);
    return hs_jv_type_of(v) == HS_JV_REAL && real_level(hs_jv_raw(v), ret);
}

/* ── questions ── */

static const hs_event *power_event(const hs_state_view *state)
{
    return state->get(state->ud, HS_S("m.room.power_levels"), HS_S(""));
}

bool hs_auth_is_privileged(const hs_event *create, hs_str user)
{
    if (!create->rv->privileged_creators)
        return false;
    if (hs_str_eq(create->sender, user))
        return true;
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(create->content, HS_S("additional_creators")), &it);)
        if (hs_str_eq(hs_jv_str_or_null(it.value), user))
            return true;
    return false;
}

int64_t hs_auth_power(const hs_roomver *rv, const hs_state_view *state, hs_str user)
{
    const hs_event *create = hs_auth_create(state);
    const hs_event *power = power_event(state);
    int64_t level;

    if (create && hs_auth_is_privileged(create, user))
        return HS_POWER_CREATOR;
    if (!power)
        return create && hs_str_eq(hs_auth_creator(create), user) ? 100 : 0;
    if (read_level(rv, hs_jv_get(hs_jv_get(power->content, HS_S("users")), user), &level))
        return level;
    return hs_auth_level(rv, state, HS_LEVEL_USERS_DEFAULT);
}

int64_t hs_auth_level(const hs_roomver *rv, const hs_state_view *state, hs_level level)
{
    const hs_event *power = power_event(state);
    int64_t value = LEVELS[level].by_default;

    if (power)
        (void)read_level(rv, hs_jv_get(power->content, LEVELS[level].key), &value);
    return value;
}

int64_t hs_auth_level_for(const hs_roomver *rv, const hs_state_view *state, hs_str type, bool is_state)
{
    const hs_event *power = power_event(state);
    int64_t value;

    if (power && read_level(rv, hs_jv_get(hs_jv_get(power->content, HS_S("events")), type), &value))
        return value;
    return hs_auth_level(rv, state, is_state ? HS_LEVEL_STATE_DEFAULT : HS_LEVEL_EVENTS_DEFAULT);
}

int64_t hs_auth_notification_level(const hs_roomver *rv, const hs_state_view *state, hs_str key)
{
    const hs_event *power = power_event(state);
    int64_t value = 50;

    if (power)
        (void)read_level(rv, hs_jv_get(hs_jv_get(power->content, HS_S("notifications")), key), &value);
    return value;
}

/* ── rule 10 ── */

static bool all_levels(const hs_roomver *rv, hs_jv obj)
{
    int64_t level;

    if (hs_jv_type_of(obj) != HS_JV_OBJ)
        return false;
    for (hs_jv_iter it = { 0 }; hs_jv_next(obj, &it);)
        if (!read_level(rv, it.value, &level))
            return false;
    return true;
}

/* Rules 10.1 to 10.3. Before version 10 only `users` had a shape. */
static hs_verdict shape(const hs_roomver *rv, hs_jv content)
{
    hs_jv users = hs_jv_get(content, HS_S("users"));
    hs_id id;

    if (rv->integer_power) {
        for (size_t i = 0; i < LEVELS_N; i++) {
            hs_jv v = hs_jv_get(content, LEVELS[i].key);
            if (hs_jv_is(v) && hs_jv_type_of(v) != HS_JV_INT)
                return REJECT_SHAPE("power_levels: a level is not an integer", "Power levels must be integers");
        }
        hs_jv events = hs_jv_get(content, HS_S("events"));
        hs_jv notifications = hs_jv_get(content, HS_S("notifications"));
        if ((hs_jv_is(events) && !all_levels(rv, events)) ||
            (hs_jv_is(notifications) && !all_levels(rv, notifications)))
            return REJECT_SHAPE("power_levels: events or notifications are not integers",
                                "events and notifications must be objects with integers as values");
    }
    if (!hs_jv_is(users))
        return ALLOW("power_levels");
    if (!all_levels(rv, users))
        return REJECT_SHAPE("power_levels: users are not levels", "users must be an object with integers as values");
    for (hs_jv_iter it = { 0 }; hs_jv_next(users, &it);)
        if (!hs_user_id_parse(it.key, &id))
            return REJECT_SHAPE("power_levels: users has a key that is no user id", "Not a valid user_id in users");
    return ALLOW("power_levels");
}

/* Rule 10.4. */
static bool names_a_creator(const hs_event *create, hs_jv users)
{
    for (hs_jv_iter it = { 0 }; hs_jv_next(users, &it);)
        if (hs_auth_is_privileged(create, it.key))
            return true;
    return false;
}

typedef enum { UNCHANGED, CHANGED, NOT_A_LEVEL } change;

/* The level of a member on both sides of the change. */
typedef struct {
    bool was, is;
    int64_t old, new;
} side;

/* Older versions say nothing of null; to the field it is the same as absent. */
static bool is_said(const hs_roomver *rv, hs_jv v)
{
    return hs_jv_is(v) && (rv->integer_power || hs_jv_type_of(v) != HS_JV_NULL);
}

static change compare(const hs_roomver *rv, hs_jv old, hs_jv new, side *ret)
{
    *ret = (side){ .was = is_said(rv, old), .is = is_said(rv, new) };
    if ((ret->was && !read_level(rv, old, &ret->old)) || (ret->is && !read_level(rv, new, &ret->new)))
        return NOT_A_LEVEL;
    if (ret->was == ret->is && ret->old == ret->new)
        return UNCHANGED;
    return CHANGED;
}

static const char ABOVE[] = "You don't have permission to add ops level greater than your own";

/* Rules 10.6 to 10.8 and 10.10, which say the same of all levels. */
static hs_verdict alteration(change c, const side *s, int64_t power)
{
    if (c == NOT_A_LEVEL)
        return REJECT_SHAPE("power_levels: a changed value is not a level", "Not a valid power level");
    if (c == CHANGED && s->was && s->old > power)
        return REJECT("power_levels: current value is above the sender", ABOVE);
    if (c == CHANGED && s->is && s->new > power)
        return REJECT("power_levels: new value is above the sender", ABOVE);
    return ALLOW("power_levels");
}

typedef struct {
    const hs_auth_in *in;
    const hs_event *ev;
    int64_t power; /* of the sender, before the change */
    bool users;    /* the `users` map, which has rule 10.9 too */
} changer;

static hs_verdict entry(const changer *ch, hs_str key, hs_jv old, hs_jv new)
{
    side s;
    change c = compare(ch->in->rv, old, new, &s);

    if (c == CHANGED && ch->users && s.was && s.old >= ch->power && !hs_str_eq(key, ch->ev->sender))
        return REJECT("power_levels: current value of a user is not below the sender",
                      "You don't have permission to remove ops level equal to your own");
    return alteration(c, &s, ch->power);
}

/* Both maps are in canonical order, so one walk over the two meets every entry once. */
static hs_verdict entries(const changer *ch, hs_jv old, hs_jv new)
{
    hs_jv_iter o = { 0 }, n = { 0 };
    bool has_o = hs_jv_type_of(old) == HS_JV_OBJ && hs_jv_next(old, &o);
    bool has_n = hs_jv_type_of(new) == HS_JV_OBJ && hs_jv_next(new, &n);
    const hs_jv none = { 0 };

    while (has_o || has_n) {
        int order = !has_o ? 1 : !has_n ? -1 : hs_str_cmp(o.key, n.key);
        hs_verdict v = entry(ch, order <= 0 ? o.key : n.key, order <= 0 ? o.value : none, order >= 0 ? n.value : none);
        if (!v.ok)
            return v;
        if (order <= 0)
            has_o = hs_jv_next(old, &o);
        if (order >= 0)
            has_n = hs_jv_next(new, &n);
    }
    return ALLOW("power_levels");
}

hs_verdict hs_auth_power_levels(const hs_auth_in *in, const hs_event *ev)
{
    static const hs_str MAPS[] = { HS_S_INIT("users"), HS_S_INIT("events"), HS_S_INIT("notifications") };
    /* Only the one with the empty state_key has power; others of the type are held to the shape. */
    const hs_event *before = ev->is_state && !ev->state_key.n ? power_event(in->state) : NULL;
    changer ch = { .in = in, .ev = ev, .power = hs_auth_power(in->rv, in->state, ev->sender) };
    hs_verdict v = shape(in->rv, ev->content);

    if (!v.ok)
        return v;
    if (in->rv->privileged_creators && names_a_creator(in->create, hs_jv_get(ev->content, HS_S("users"))))
        return REJECT_SHAPE("power_levels: users names a creator", "Creators must not appear in content.users");
    if (!before)
        return ALLOW("power_levels: the first");

    for (size_t i = 0; i < LEVELS_N; i++) {
        side s;
        change c =
            compare(in->rv, hs_jv_get(before->content, LEVELS[i].key), hs_jv_get(ev->content, LEVELS[i].key), &s);
        v = alteration(c, &s, ch.power);
        if (!v.ok)
            return v;
    }
    for (size_t i = 0; i < (in->rv->notifications_power ? 3 : 2); i++) {
        ch.users = i == 0;
        v = entries(&ch, hs_jv_get(before->content, MAPS[i]), hs_jv_get(ev->content, MAPS[i]));
        if (!v.ok)
            return v;
    }
    return ALLOW("power_levels");
}
