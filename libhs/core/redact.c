/* See redact.h. A content list says from which algorithm on a member is kept, and until when. */
#include "core/redact.h"

#include "core/canonical.h"
#include "core/event.h"

typedef struct {
    hs_str key;
    hs_redact_kind since, until;
} kept;

typedef struct {
    hs_str type;
    const kept *keys;
} kept_content;

#define ALWAYS    HS_REDACT_R1, HS_REDACT_R11
#define BEFORE_11 HS_REDACT_R1, HS_REDACT_R9

/* clang-format off */
static const kept TOP[] = {
    { HS_S_INIT("auth_events"), ALWAYS }, { HS_S_INIT("content"), ALWAYS }, { HS_S_INIT("depth"), ALWAYS },
    { HS_S_INIT("event_id"), ALWAYS }, { HS_S_INIT("hashes"), ALWAYS }, { HS_S_INIT("membership"), BEFORE_11 },
    { HS_S_INIT("origin"), BEFORE_11 }, { HS_S_INIT("origin_server_ts"), ALWAYS },
    { HS_S_INIT("prev_events"), ALWAYS }, { HS_S_INIT("prev_state"), BEFORE_11 }, { HS_S_INIT("room_id"), ALWAYS },
    { HS_S_INIT("sender"), ALWAYS }, { HS_S_INIT("signatures"), ALWAYS }, { HS_S_INIT("state_key"), ALWAYS },
    { HS_S_INIT("type"), ALWAYS }, { { 0 }, ALWAYS },
};
static const kept MEMBER[] = {
    { HS_S_INIT("membership"), ALWAYS },
    { HS_S_INIT("join_authorised_via_users_server"), HS_REDACT_R9, HS_REDACT_R11 },
    { HS_S_INIT("third_party_invite"), HS_REDACT_R11, HS_REDACT_R11 }, /* only its `signed` */
    { { 0 }, ALWAYS },
};
static const kept CREATE[] = { { HS_S_INIT("creator"), BEFORE_11 }, { { 0 }, ALWAYS } }; /* R11 keeps all */
static const kept JOIN_RULES[] = {
    { HS_S_INIT("join_rule"), ALWAYS }, { HS_S_INIT("allow"), HS_REDACT_R8, HS_REDACT_R11 }, { { 0 }, ALWAYS },
};
static const kept POWER_LEVELS[] = {
    { HS_S_INIT("ban"), ALWAYS }, { HS_S_INIT("events"), ALWAYS }, { HS_S_INIT("events_default"), ALWAYS },
    { HS_S_INIT("invite"), HS_REDACT_R11, HS_REDACT_R11 }, { HS_S_INIT("kick"), ALWAYS },
    { HS_S_INIT("redact"), ALWAYS }, { HS_S_INIT("state_default"), ALWAYS }, { HS_S_INIT("users"), ALWAYS },
    { HS_S_INIT("users_default"), ALWAYS }, { { 0 }, ALWAYS },
};
static const kept ALIASES[] = { { HS_S_INIT("aliases"), HS_REDACT_R1, HS_REDACT_R1 }, { { 0 }, ALWAYS } };
static const kept VISIBILITY[] = { { HS_S_INIT("history_visibility"), ALWAYS }, { { 0 }, ALWAYS } };
static const kept REDACTION[] = { { HS_S_INIT("redacts"), HS_REDACT_R11, HS_REDACT_R11 }, { { 0 }, ALWAYS } };

static const kept_content CONTENT[] = {
    { HS_S_INIT("m.room.aliases"), ALIASES },
    { HS_S_INIT("m.room.create"), CREATE },
    { HS_S_INIT("m.room.history_visibility"), VISIBILITY },
    { HS_S_INIT("m.room.join_rules"), JOIN_RULES },
    { HS_S_INIT("m.room.member"), MEMBER },
    { HS_S_INIT("m.room.power_levels"), POWER_LEVELS },
    { HS_S_INIT("m.room.redaction"), REDACTION },
};
/* clang-format on */

static bool keeps(const kept *list, hs_redact_kind kind, hs_str key)
{
    for (; list->key.p; list++)
        if (hs_str_eq(list->key, key))
            return kind >= list->since && kind <= list->until;
    return false;
}

static const kept *content_list(hs_str type)
{
    for (size_t i = 0; i < sizeof CONTENT / sizeof *CONTENT; i++)
        if (hs_str_eq(CONTENT[i].type, type))
            return CONTENT[i].keys;
    return NULL;
}

bool hs_redact_keeps_content(const hs_roomver *rv, hs_str type)
{
    (void)rv; /* a list that keeps nothing in this version costs only time */
    return content_list(type) != NULL;
}

static void put(hs_redact_out *o, hs_str s)
{
    if (s.n)
        memcpy(o->p + o->n, s.p, s.n);
    o->n += s.n;
}

/* `first` starts as '{'. */
static void put_key(hs_redact_out *o, char *first, hs_str raw_key)
{
    o->p[o->n++] = *first;
    *first = ',';
    put(o, raw_key);
    o->p[o->n++] = ':';
}

static void put_end(hs_redact_out *o, char first)
{
    if (first == '{')
        o->p[o->n++] = '{';
    o->p[o->n++] = '}';
}

static void put_only_signed(hs_redact_out *o, hs_jv third_party_invite)
{
    char first = '{';

    for (hs_jv_iter it = { 0 }; hs_jv_next(third_party_invite, &it);) {
        if (!hs_str_eq(it.key, HS_S("signed")))
            continue;
        put_key(o, &first, it.raw_key);
        put(o, hs_jv_raw(it.value));
    }
    put_end(o, first);
}

void hs_redact_write_content(hs_redact_out *o, const hs_roomver *rv, hs_str type, hs_jv content)
{
    const kept *list = content_list(type);
    char first = '{';

    if (list == CREATE && rv->redaction >= HS_REDACT_R11 && hs_jv_type_of(content) == HS_JV_OBJ) {
        put(o, hs_jv_raw(content));
        return;
    }
    if (!list || hs_jv_type_of(content) != HS_JV_OBJ) {
        put_end(o, first);
        return;
    }
    for (hs_jv_iter it = { 0 }; hs_jv_next(content, &it);) {
        if (!keeps(list, rv->redaction, it.key))
            continue;
        bool third_party = list == MEMBER && hs_str_eq(it.key, HS_S("third_party_invite"));
        if (third_party && hs_jv_type_of(it.value) != HS_JV_OBJ)
            continue;
        put_key(o, &first, it.raw_key);
        if (third_party)
            put_only_signed(o, it.value);
        else
            put(o, hs_jv_raw(it.value));
    }
    put_end(o, first);
}

void hs_redact_write(hs_redact_out *o, const hs_roomver *rv, hs_jv top, hs_redact_use use)
{
    hs_str type = hs_jv_str_or_null(hs_jv_get(top, HS_S("type")));
    char first = '{';

    for (hs_jv_iter it = { 0 }; hs_jv_next(top, &it);) {
        if (!keeps(TOP, rv->redaction, it.key) || (use == HS_REDACT_FOR_HASH && hs_str_eq(it.key, HS_S("signatures"))))
            continue;
        put_key(o, &first, it.raw_key);
        if (hs_str_eq(it.key, HS_S("content")))
            hs_redact_write_content(o, rv, type, it.value);
        else
            put(o, hs_jv_raw(it.value));
    }
    put_end(o, first);
}

hs_error *hs_event_redact(hs_arena *a, const hs_event *e, hs_str *ret)
{
    hs_redact_out o = { 0 };

    HS_TRY(hs_alloc(a, e->json.n + HS_REDACT_SLACK, &o.p));
    hs_redact_write(&o, e->rv, e->top, HS_REDACT_WHOLE);
    *ret = hs_str_make(o.p, o.n);
    return NULL;
}

hs_error *hs_redact_json(hs_arena *a, const hs_roomver *rv, hs_str json, hs_str *ret)
{
    unsigned flags = rv->strict_json ? HS_JSON_CANONICAL : HS_JSON_DUP_KEYS_LAST;
    hs_redact_out o = { 0 };
    hs_str canonical;
    hs_jv top;

    HS_TRY(hs_tape_parse(a, json, flags | HS_JSON_OBJECT | HS_JSON_DEEP, &top));
    HS_TRY(hs_canonical(a, top, NULL, 0, &canonical));
    HS_TRY(hs_tape_parse(a, canonical, HS_JSON_OBJECT | HS_JSON_DEEP, &top));
    HS_TRY(hs_alloc(a, canonical.n + HS_REDACT_SLACK, &o.p));
    hs_redact_write(&o, rv, top, HS_REDACT_WHOLE);
    *ret = hs_str_make(o.p, o.n);
    return NULL;
}
