/* The rules that everybody has until they change them, as a table. Spec: Client-Server API, "Predefined Rules"; those
 * of proposals are there when their feature is. */
#include "base/json_out.h"
#include "core/pushrules_set.h"

const hs_str hs_push_anybody = HS_S_INIT("@\x01:\x01");

/* In the texts below, '~' stands for the user's id and '^' for its localpart, quoted. */
#define NOTIFY "[\"notify\",{\"set_tweak\":\"highlight\",\"value\":false}]"
#define NOTIFY_DEFAULT                                                                                                 \
    "[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"},{\"set_tweak\":\"highlight\",\"value\":false}]"
#define NOTIFY_RING                                                                                                    \
    "[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"ring\"},{\"set_tweak\":\"highlight\",\"value\":false}]"
#define NOTIFY_INVITE                                                                                                  \
    "[\"notify\",{\"set_tweak\":\"highlight\",\"value\":false},{\"set_tweak\":\"sound\",\"value\":\"default\"}]"
#define HIGHLIGHT       "[\"notify\",{\"set_tweak\":\"highlight\"}]"
#define HIGHLIGHT_SOUND "[\"notify\",{\"set_tweak\":\"highlight\"},{\"set_tweak\":\"sound\",\"value\":\"default\"}]"
#define NOTIFY_PLAIN    "[\"notify\"]"
#define NOTIFY_SOUND    "[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"}]"
#define NOTIFY_CALL     "[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"ring\"}]"
#define NOTHING         "[]"

#define MATCH(key, pattern) "{\"kind\":\"event_match\",\"key\":\"" key "\",\"pattern\":" pattern "}"
#define IS(key, value)      "{\"kind\":\"event_property_is\",\"key\":\"" key "\",\"value\":" value "}"
#define MAY_ROOM            "{\"kind\":\"sender_notification_permission\",\"key\":\"room\"}"
#define MENTIONS_ME         "{\"kind\":\"event_property_contains\",\"key\":\"content.m\\\\.mentions.user_ids\",\"value\":~}"
#define FOLLOWED(is)        "{\"kind\":\"io.element.msc4306.thread_subscription\",\"subscribed\":" is "}"
#define TWO                 "{\"kind\":\"room_member_count\",\"is\":\"2\"}"

typedef struct {
    const char *id;
    const char *conditions; /* of a content rule: its pattern */
    const char *actions;
    bool off;
    unsigned with, without; /* features */
} rule;

/* clang-format off */
static const rule OVERRIDE[] = {
    { .id = ".m.rule.master", .conditions = "", .actions = NOTHING, .off = true },
    { .id = ".org.matrix.msc4028.encrypted_event", .conditions = MATCH("type", "\"m.room.encrypted\""), .actions = NOTIFY_PLAIN,
      .with = HS_PUSH_ENCRYPTED },
    { .id = ".m.rule.suppress_notices", .conditions = MATCH("content.msgtype", "\"m.notice\""), .actions = NOTHING },
    { .id = ".m.rule.invite_for_me",
      .conditions = MATCH("type", "\"m.room.member\"") "," MATCH("content.membership", "\"invite\"") "," MATCH("state_key", "~"),
      .actions = NOTIFY_INVITE },
    { .id = ".m.rule.member_event", .conditions = MATCH("type", "\"m.room.member\""), .actions = NOTHING },
    { .id = ".org.matrix.msc4075.rule.rtc.invite_for_me", .conditions = MATCH("type", "\"org.matrix.msc4075.rtc.notification\"") "," MENTIONS_ME,
      .actions = NOTIFY_CALL, .with = HS_PUSH_CALLS },
    { .id = ".org.matrix.msc4075.rule.rtc.invite_for_room",
      .conditions = MATCH("type", "\"org.matrix.msc4075.rtc.notification\"") "," IS("content.m\\\\.mentions.room", "true") "," MAY_ROOM,
      .actions = NOTIFY_CALL, .with = HS_PUSH_CALLS },
    { .id = ".m.rule.is_user_mention", .conditions = MENTIONS_ME, .actions = HIGHLIGHT_SOUND },
    { .id = ".m.rule.contains_display_name", .conditions = "{\"kind\":\"contains_display_name\"}", .actions = HIGHLIGHT_SOUND,
      .without = HS_PUSH_ONLY_MENTIONS },
    { .id = ".m.rule.is_room_mention", .conditions = IS("content.m\\\\.mentions.room", "true") "," MAY_ROOM, .actions = HIGHLIGHT },
    { .id = ".m.rule.roomnotif", .conditions = MAY_ROOM "," MATCH("content.body", "\"@room\""), .actions = HIGHLIGHT,
      .without = HS_PUSH_ONLY_MENTIONS },
    { .id = ".m.rule.tombstone", .conditions = MATCH("type", "\"m.room.tombstone\"") "," MATCH("state_key", "\"\""), .actions = HIGHLIGHT },
    { .id = ".m.rule.reaction", .conditions = MATCH("type", "\"m.reaction\""), .actions = NOTHING },
    { .id = ".m.rule.room.server_acl", .conditions = MATCH("type", "\"m.room.server_acl\"") "," MATCH("state_key", "\"\""), .actions = NOTHING },
    { .id = ".m.rule.suppress_edits", .conditions = IS("content.m\\\\.relates_to.rel_type", "\"m.replace\""), .actions = NOTHING },
    { .id = ".org.matrix.msc3930.rule.poll_response", .conditions = MATCH("type", "\"org.matrix.msc3381.poll.response\""), .actions = NOTHING,
      .with = HS_PUSH_POLLS },
    { 0 },
};

static const rule CONTENT[] = {
    { .id = ".m.rule.contains_user_name", .conditions = "^", .actions = HIGHLIGHT_SOUND, .without = HS_PUSH_ONLY_MENTIONS },
    { 0 },
};

static const rule POSTCONTENT[] = {
    { .id = ".io.element.msc4306.rule.unsubscribed_thread", .conditions = FOLLOWED("false"), .actions = NOTHING, .with = HS_PUSH_THREADS },
    { .id = ".io.element.msc4306.rule.subscribed_thread", .conditions = FOLLOWED("true"), .actions = NOTIFY_SOUND, .with = HS_PUSH_THREADS },
    { 0 },
};

static const rule UNDERRIDE[] = {
    { .id = ".m.rule.call", .conditions = MATCH("type", "\"m.call.invite\""), .actions = NOTIFY_RING },
    { .id = ".m.rule.encrypted_room_one_to_one", .conditions = MATCH("type", "\"m.room.encrypted\"") "," TWO, .actions = NOTIFY_DEFAULT },
    { .id = ".m.rule.room_one_to_one", .conditions = MATCH("type", "\"m.room.message\"") "," TWO, .actions = NOTIFY_DEFAULT },
    { .id = ".m.rule.message", .conditions = MATCH("type", "\"m.room.message\""), .actions = NOTIFY },
    { .id = ".m.rule.encrypted", .conditions = MATCH("type", "\"m.room.encrypted\""), .actions = NOTIFY },
    { .id = ".im.vector.jitsi",
      .conditions = MATCH("type", "\"im.vector.modular.widgets\"") "," MATCH("content.type", "\"jitsi\"") "," MATCH("state_key", "\"*\""),
      .actions = NOTIFY },
    { .id = ".org.matrix.msc3930.rule.poll_start_one_to_one", .conditions = TWO "," MATCH("type", "\"org.matrix.msc3381.poll.start\""),
      .actions = NOTIFY_SOUND, .with = HS_PUSH_POLLS },
    { .id = ".org.matrix.msc3930.rule.poll_start", .conditions = MATCH("type", "\"org.matrix.msc3381.poll.start\""), .actions = NOTIFY_PLAIN,
      .with = HS_PUSH_POLLS },
    { .id = ".org.matrix.msc3930.rule.poll_end_one_to_one", .conditions = TWO "," MATCH("type", "\"org.matrix.msc3381.poll.end\""),
      .actions = NOTIFY_SOUND, .with = HS_PUSH_POLLS },
    { .id = ".org.matrix.msc3930.rule.poll_end", .conditions = MATCH("type", "\"org.matrix.msc3381.poll.end\""), .actions = NOTIFY_PLAIN,
      .with = HS_PUSH_POLLS },
    { 0 },
};
/* clang-format on */

static void add_filled(hs_buf *b, const char *text, hs_str user_id, hs_str localpart)
{
    hs_str rest = hs_str_c(text);

    while (rest.n) {
        size_t at = 0;
        while (at < rest.n && rest.p[at] != '~' && rest.p[at] != '^')
            at++;
        hs_buf_add(b, hs_str_first(rest, at));
        if (at < rest.n)
            hs_json_quote(b, rest.p[at] == '~' ? user_id : localpart);
        rest = hs_str_from(rest, at + 1);
    }
}

static const rule *defaults_of(hs_push_kind kind)
{
    static const rule NONE[] = { { 0 } };

    switch (kind) {
    case HS_PUSH_OVERRIDE:
        return OVERRIDE;
    case HS_PUSH_CONTENT:
        return CONTENT;
    case HS_PUSH_UNDERRIDE:
        return UNDERRIDE;
    case HS_PUSH_POSTCONTENT:
        return POSTCONTENT;
    case HS_PUSH_ROOM:
    case HS_PUSH_SENDER:
    case HS_PUSH_KINDS:
        break;
    }
    return NONE;
}

bool hs_push_is_default(hs_push_kind kind, hs_str rule_id)
{
    for (const rule *r = defaults_of(kind); r->id; r++) {
        if (hs_str_eq(hs_str_c(r->id), rule_id))
            return true;
    }
    return false;
}

static void add_default(hs_buf *b, const rule *r, const hs_push_changed *c, bool content, hs_str user_id,
                        hs_str localpart)
{
    bool on = c && c->has_enabled ? c->enabled : !r->off;

    hs_buf_add(b, HS_S("{\"actions\":"));
    hs_buf_add(b, c && c->actions.p ? c->actions : hs_str_c(r->actions));
    hs_buf_add(b, content ? HS_S(",\"pattern\":") : HS_S(",\"conditions\":["));
    add_filled(b, r->conditions, user_id, localpart);
    hs_buf_add(b, content ? HS_S("") : HS_S("]"));
    hs_buf_add(b, HS_S(",\"default\":true,\"enabled\":"));
    hs_buf_add(b, on ? HS_S("true") : HS_S("false"));
    hs_buf_add(b, HS_S(",\"rule_id\":"));
    hs_json_quote(b, hs_str_c(r->id));
    hs_buf_addc(b, '}');
}

static void add_own(hs_buf *b, const hs_push_own *own)
{
    hs_buf_add(b, HS_S("{\"actions\":"));
    hs_buf_add(b, own->actions);
    if (own->pattern.p) {
        hs_buf_add(b, HS_S(",\"pattern\":"));
        hs_buf_add(b, own->pattern);
    }
    if (own->conditions.p) {
        hs_buf_add(b, HS_S(",\"conditions\":"));
        hs_buf_add(b, own->conditions);
    }
    hs_buf_add(b, HS_S(",\"default\":false,\"enabled\":"));
    hs_buf_add(b, own->enabled ? HS_S("true") : HS_S("false"));
    hs_buf_add(b, HS_S(",\"rule_id\":"));
    hs_json_quote(b, own->rule_id);
    hs_buf_addc(b, '}');
}

/* The user's own rules come before the default ones of their kind, but after the one that turns all off. */
static void add_kind(hs_buf *b, hs_push_kind kind, const hs_push_set *set, unsigned features, hs_str user_id,
                     hs_str localpart)
{
    const rule *r = defaults_of(kind);
    bool content = kind == HS_PUSH_CONTENT, some = false;

    hs_json_quote(b, hs_push_kind_names[kind]);
    hs_buf_add(b, HS_S(":["));
    if (kind == HS_PUSH_OVERRIDE) {
        add_default(b, r, hs_push_set_changed(set, kind, hs_str_c(r->id)), content, user_id, localpart);
        some = true;
        r++;
    }
    for (size_t i = 0; i < set->own[kind].n; i++, some = true) {
        if (some)
            hs_buf_addc(b, ',');
        add_own(b, &set->own[kind].at[i]);
    }
    for (; r->id; r++) {
        if ((r->with & ~features) || (r->without & features))
            continue;
        if (some)
            hs_buf_addc(b, ',');
        add_default(b, r, hs_push_set_changed(set, kind, hs_str_c(r->id)), content, user_id, localpart);
        some = true;
    }
    hs_buf_addc(b, ']');
}

hs_error *hs_pushrules_json(hs_arena *a, hs_str user_id, hs_str changes, unsigned features, hs_str *ret)
{
    hs_str local = hs_str_make(user_id.p + 1, hs_str_find(user_id, ':', 0) - 1);
    hs_push_set set;
    hs_buf b;

    HS_TRY(hs_push_set_read(a, changes, &set));
    hs_buf_init(&b, a);
    hs_buf_add(&b, HS_S("{\"global\":{"));
    for (int k = 0; k < HS_PUSH_KINDS; k++) {
        if (k)
            hs_buf_addc(&b, ',');
        add_kind(&b, (hs_push_kind)k, &set, features, user_id, local);
    }
    hs_buf_add(&b, HS_S("}}"));
    return hs_buf_flatten(&b, ret);
}
