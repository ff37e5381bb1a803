/* The rules as a table: what is in the room, what is sent, what is said of it. */
#include "core/auth.h"

#include "core/sign.h"

#include "support/events.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    V1 = 1 << 1,
    V2 = 1 << 2,
    V3 = 1 << 3,
    V6 = 1 << 6,
    V7 = 1 << 7,
    V8 = 1 << 8,
    V9 = 1 << 9,
    V10 = 1 << 10,
    V11 = 1 << 11,
    V12 = 1 << 12,
    NEW = V10 | V11 | V12,
    ALL = V1 | V2 | V3 | V6 | V7 | V8 | V9 | NEW
};

#define MEMBER(user, m)                                                                                                \
    {                                                                                                                  \
        .type = "m.room.member", .sender = user, .state_key = user, .content = "{'membership':'" m "'}"                \
    }
#define JOIN_RULE(r)                                                                                                   \
    {                                                                                                                  \
        .type = "m.room.join_rules", .sender = "@c:x", .state_key = "", .content = "{'join_rule':'" r "'}"             \
    }
#define POWER(content_)                                                                                                \
    {                                                                                                                  \
        .type = "m.room.power_levels", .sender = "@admin:x", .state_key = "", .content = content_                      \
    }
#define SENDS(who, t, c)                                                                                               \
    {                                                                                                                  \
        .type = t, .sender = who, .content = c                                                                         \
    }
#define SETS(who, t, k, c)                                                                                             \
    {                                                                                                                  \
        .type = t, .sender = who, .state_key = k, .content = c                                                         \
    }
#define MAKES(who, user, m) SETS(who, "m.room.member", user, "{'membership':'" m "'}")
#define CREATE(c)                                                                                                      \
    {                                                                                                                  \
        .type = "m.room.create", .sender = "@c:x", .state_key = "", .content = c                                       \
    }
#define NOTHING                                                                                                        \
    {                                                                                                                  \
        .type = NULL                                                                                                   \
    }

typedef struct {
    unsigned versions;
    test_event_in state[5]; /* over the room below, ending with NOTHING */
    test_event_in event;
    bool ok;
    const char *rule;
} auth_case;

/* The room: created by @c:x, who is joined, as are @admin:x (100), @mod:x (50), @mod2:x (50), @u:x and @v:x (0).
 * @banned:x is banned, @invited:x invited, @knocks:x knocks, @gone:x has left. Join rule invite. */
static const test_event_in ROOM[] = {
    CREATE("{'creator':'@c:x','room_version':'10'}"),
    MEMBER("@c:x", "join"),
    MEMBER("@admin:x", "join"),
    MEMBER("@mod:x", "join"),
    MEMBER("@mod2:x", "join"),
    MEMBER("@u:x", "join"),
    MEMBER("@v:x", "join"),
    MEMBER("@banned:x", "ban"),
    MEMBER("@invited:x", "invite"),
    MEMBER("@knocks:x", "knock"),
    MEMBER("@gone:x", "leave"),
    JOIN_RULE("invite"),
    POWER("{'events':{'m.room.name':50,'m.room.power_levels':50},'notifications':{'room':50},"
          "'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':50}}"),
};
#define PL_BUT(part) "{'events':{'m.room.name':50,'m.room.power_levels':50},'notifications':{'room':50}," part "}"
#define PL_USERS     "'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':50}"

/* clang-format off */
static const auth_case CASES[] = {
    /* 1: m.room.create */
    { NEW, { NOTHING }, CREATE("{'creator':'@c:x'}"), true, "create" },
    { V10, { NOTHING }, CREATE("{}"), false, "create: no creator" },
    { V11 | V12, { NOTHING }, CREATE("{}"), true, "create" },
    { ALL, { NOTHING }, { .type = "m.room.create", .sender = "@c:x", .state_key = "", .prev = "$p", .content = "{'creator':'@c:x'}" },
      false, "create: has previous events" },
    { V1 | V10 | V11, { NOTHING }, { .type = "m.room.create", .sender = "@c:y", .state_key = "", .content = "{'creator':'@c:y'}" },
      false, "create: room_id is of another domain than the sender" },
    { NEW, { NOTHING }, CREATE("{'creator':'@c:x','room_version':'no such'}"), false, "create: unknown room_version" },
    { V12, { NOTHING }, CREATE("{'additional_creators':['@d:y']}"), true, "create" },
    { V12, { NOTHING }, CREATE("{'additional_creators':'@d:y'}"), false, "create: additional_creators is not a list of user ids" },
    { V12, { NOTHING }, CREATE("{'additional_creators':['d']}"), false, "create: additional_creators is not a list of user ids" },
    { V12, { NOTHING }, CREATE("{'additional_creators':[1]}"), false, "create: additional_creators is not a list of user ids" },
    { V11, { NOTHING }, CREATE("{'additional_creators':[1]}"), true, "create" },

    /* 4: m.federate */
    { NEW, { CREATE("{'creator':'@c:x','m.federate':false}"), MEMBER("@far:y", "join"), NOTHING }, SENDS("@far:y", "m.room.message", "{}"),
      false, "federate: sender of another server" },
    { NEW, { CREATE("{'creator':'@c:x','m.federate':true}"), MEMBER("@far:y", "join"), NOTHING }, SENDS("@far:y", "m.room.message", "{}"),
      true, "event" },
    { NEW, { CREATE("{'creator':'@c:x','m.federate':false}"), NOTHING }, MAKES("@admin:x", "@far:y", "invite"),
      false, "federate: target of another server" },

    /* versions 1 to 5: m.room.aliases */
    { V1 | V3, { NOTHING }, SETS("@stranger:y", "m.room.aliases", "y", "{}"), true, "aliases" },
    { V1 | V3, { NOTHING }, SETS("@stranger:y", "m.room.aliases", "x", "{}"), false, "aliases: state_key is not the sender's domain" },
    { V1 | V3, { NOTHING }, SENDS("@stranger:y", "m.room.aliases", "{}"), false, "aliases: no state_key" },
    { V6 | NEW, { NOTHING }, SETS("@stranger:y", "m.room.aliases", "y", "{}"), false, "sender: is not joined" },

    /* 5.1, 5.2 */
    { NEW, { NOTHING }, SENDS("@u:x", "m.room.member", "{'membership':'join'}"), false, "member: no state_key or membership" },
    { NEW, { NOTHING }, SETS("@u:x", "m.room.member", "@u:x", "{}"), false, "member: no state_key or membership" },
    { NEW, { JOIN_RULE("restricted"), NOTHING },
      SETS("@n:y", "m.room.member", "@n:y", "{'join_authorised_via_users_server':'@u:z','membership':'join'}"),
      false, "member: not signed by the authorising user's server" },
    { NEW, { NOTHING }, MAKES("@u:x", "@u:x", "dancing"), false, "member: unknown membership" },

    /* 5.3: join */
    { ALL, { MEMBER("@c:x", ""), NOTHING },
      { .type = "m.room.member", .sender = "@c:x", .state_key = "@c:x", .prev = "$create", .content = "{'membership':'join'}" },
      true, "member.join: of the creator" },
    { ALL, { NOTHING },
      { .type = "m.room.member", .sender = "@n:x", .state_key = "@n:x", .prev = "$create", .content = "{'membership':'join'}" },
      false, "member.join: not invited" },
    { ALL, { JOIN_RULE("public"), NOTHING }, MAKES("@u:x", "@n:x", "join"), false, "member.join: sender is not the target" },
    { ALL, { JOIN_RULE("public"), NOTHING }, MAKES("@n:x", "@n:x", "join"), true, "member.join: public" },
    { ALL, { JOIN_RULE("public"), NOTHING }, MAKES("@banned:x", "@banned:x", "join"), false, "member.join: banned" },
    { ALL, { NOTHING }, MAKES("@invited:x", "@invited:x", "join"), true, "member.join" },
    { ALL, { NOTHING }, MAKES("@u:x", "@u:x", "join"), true, "member.join" },
    { ALL, { NOTHING }, MAKES("@gone:x", "@gone:x", "join"), false, "member.join: not invited" },
    { V7 | NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@invited:x", "@invited:x", "join"), true, "member.join" },
    { V7 | NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@knocks:x", "@knocks:x", "join"), false, "member.join: not invited" },
    { V6, { JOIN_RULE("knock"), NOTHING }, MAKES("@invited:x", "@invited:x", "join"), false, "member.join: join rule allows nobody" },
    { ALL, { JOIN_RULE("private"), NOTHING }, MAKES("@invited:x", "@invited:x", "join"), false, "member.join: join rule allows nobody" },
    { V8 | V9 | NEW, { JOIN_RULE("restricted"), NOTHING }, MAKES("@n:x", "@n:x", "join"), false, "member.join: no join_authorised_via_users_server" },
    { V8 | V9 | NEW, { JOIN_RULE("restricted"), NOTHING }, MAKES("@invited:x", "@invited:x", "join"), true, "member.join" },
    { V8 | V9 | NEW, { JOIN_RULE("restricted"), NOTHING },
      SETS("@n:y", "m.room.member", "@n:y", "{'join_authorised_via_users_server':'@mod:x','membership':'join'}"), true, "member.join: authorised" },
    { V8 | V9 | NEW, { JOIN_RULE("restricted"), NOTHING },
      SETS("@n:y", "m.room.member", "@n:y", "{'join_authorised_via_users_server':'@gone:x','membership':'join'}"),
      false, "member.join: authorising user is not joined" },
    { V8 | V9 | NEW, { JOIN_RULE("restricted"), POWER("{'invite':50,'users':{'@mod:x':50}}"), NOTHING },
      SETS("@n:y", "m.room.member", "@n:y", "{'join_authorised_via_users_server':'@u:x','membership':'join'}"),
      false, "member.join: authorising user is below the invite level" },
    { V7, { JOIN_RULE("restricted"), NOTHING }, MAKES("@invited:x", "@invited:x", "join"), false, "member.join: join rule allows nobody" },
    { NEW, { JOIN_RULE("knock_restricted"), NOTHING },
      SETS("@n:y", "m.room.member", "@n:y", "{'join_authorised_via_users_server':'@mod:x','membership':'join'}"), true, "member.join: authorised" },
    { V9, { JOIN_RULE("knock_restricted"), NOTHING }, MAKES("@invited:x", "@invited:x", "join"), false, "member.join: join rule allows nobody" },

    /* 5.4: invite */
    { ALL, { NOTHING }, MAKES("@u:x", "@n:y", "invite"), true, "member.invite" },
    { ALL, { NOTHING }, MAKES("@gone:x", "@n:y", "invite"), false, "member.invite: sender is not joined" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@u:x", "invite"), false, "member.invite: target is joined" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@banned:x", "invite"), false, "member.invite: target is banned" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@invited:x", "invite"), true, "member.invite" },
    { ALL, { POWER("{'invite':50,'users':{'@mod:x':50}}"), NOTHING }, MAKES("@u:x", "@n:y", "invite"),
      false, "member.invite: sender is below the invite level" },
    { ALL, { POWER("{'invite':50,'users':{'@mod:x':50}}"), NOTHING }, MAKES("@mod:x", "@n:y", "invite"), true, "member.invite" },
    { NEW, { NOTHING }, SETS("@u:x", "m.room.member", "@banned:x", "{'membership':'invite','third_party_invite':{}}"),
      false, "member.invite.third_party: target is banned" },
    { NEW, { NOTHING }, SETS("@u:x", "m.room.member", "@n:x", "{'membership':'invite','third_party_invite':{}}"),
      false, "member.invite.third_party: no signed" },
    { NEW, { NOTHING }, SETS("@u:x", "m.room.member", "@n:x", "{'membership':'invite','third_party_invite':{'signed':{'mxid':'@n:x'}}}"),
      false, "member.invite.third_party: no mxid or token" },
    { NEW, { NOTHING }, SETS("@u:x", "m.room.member", "@n:x", "{'membership':'invite','third_party_invite':{'signed':{'mxid':'@o:x','token':'t'}}}"),
      false, "member.invite.third_party: mxid is not the target" },
    { NEW, { NOTHING }, SETS("@u:x", "m.room.member", "@n:x", "{'membership':'invite','third_party_invite':{'signed':{'mxid':'@n:x','token':'t'}}}"),
      false, "member.invite.third_party: no such token" },
    { NEW, { SETS("@mod:x", "m.room.third_party_invite", "t", "{}"), NOTHING },
      SETS("@u:x", "m.room.member", "@n:x", "{'membership':'invite','third_party_invite':{'signed':{'mxid':'@n:x','token':'t'}}}"),
      false, "member.invite.third_party: of another sender" },
    { NEW, { SETS("@u:x", "m.room.third_party_invite", "t", "{'public_key':'XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI'}"), NOTHING },
      SETS("@u:x", "m.room.member", "@n:x", "{'membership':'invite','third_party_invite':{'signed':{'mxid':'@n:x','token':'t'}}}"),
      false, "member.invite.third_party: no good signature" },

    /* 5.5: leave */
    { ALL, { NOTHING }, MAKES("@u:x", "@u:x", "leave"), true, "member.leave: own" },
    { ALL, { NOTHING }, MAKES("@invited:x", "@invited:x", "leave"), true, "member.leave: own" },
    { V7 | NEW, { NOTHING }, MAKES("@knocks:x", "@knocks:x", "leave"), true, "member.leave: own" },
    { V6, { NOTHING }, MAKES("@knocks:x", "@knocks:x", "leave"), false, "member.leave: not in the room" },
    { ALL, { NOTHING }, MAKES("@banned:x", "@banned:x", "leave"), false, "member.leave: not in the room" },
    { ALL, { NOTHING }, MAKES("@gone:x", "@gone:x", "leave"), false, "member.leave: not in the room" },
    { ALL, { NOTHING }, MAKES("@gone:x", "@u:x", "leave"), false, "member.leave: sender is not joined" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@u:x", "leave"), true, "member.leave" },
    { ALL, { NOTHING }, MAKES("@u:x", "@v:x", "leave"), false, "member.leave: sender is below the kick level" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@mod2:x", "leave"), false, "member.leave: target is not below the sender" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@banned:x", "leave"), true, "member.leave" },
    { ALL, { POWER("{'ban':60,'users':{'@mod:x':50}}"), NOTHING }, MAKES("@mod:x", "@banned:x", "leave"),
      false, "member.leave: sender is below the ban level" },
    { V10 | V11, { NOTHING }, MAKES("@admin:x", "@c:x", "leave"), true, "member.leave" },
    { V12, { NOTHING }, MAKES("@admin:x", "@c:x", "leave"), false, "member.leave: target is not below the sender" },

    /* 5.6: ban */
    { ALL, { NOTHING }, MAKES("@mod:x", "@u:x", "ban"), true, "member.ban" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@n:y", "ban"), true, "member.ban" },
    { ALL, { NOTHING }, MAKES("@gone:x", "@u:x", "ban"), false, "member.ban: sender is not joined" },
    { ALL, { NOTHING }, MAKES("@u:x", "@v:x", "ban"), false, "member.ban: sender is below the ban level" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@mod2:x", "ban"), false, "member.ban: target is not below the sender" },
    { ALL, { NOTHING }, MAKES("@mod:x", "@admin:x", "ban"), false, "member.ban: target is not below the sender" },
    { V12, { NOTHING }, MAKES("@c:x", "@admin:x", "ban"), true, "member.ban" },
    { V12, { CREATE("{'additional_creators':['@v:x']}"), NOTHING }, MAKES("@c:x", "@v:x", "ban"), false, "member.ban: target is not below the sender" },
    { V12, { CREATE("{'additional_creators':['@v:x']}"), NOTHING }, MAKES("@v:x", "@admin:x", "ban"), true, "member.ban" },
    { V11, { CREATE("{'additional_creators':['@v:x']}"), NOTHING }, MAKES("@v:x", "@u:x", "ban"), false, "member.ban: sender is below the ban level" },

    /* 5.7: knock */
    { V7 | NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@n:x", "@n:x", "knock"), true, "member.knock" },
    { NEW, { JOIN_RULE("knock_restricted"), NOTHING }, MAKES("@n:x", "@n:x", "knock"), true, "member.knock" },
    { V9, { JOIN_RULE("knock_restricted"), NOTHING }, MAKES("@n:x", "@n:x", "knock"), false, "member.knock: join rule is not knock" },
    { NEW, { NOTHING }, MAKES("@n:x", "@n:x", "knock"), false, "member.knock: join rule is not knock" },
    { NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@u:x", "@n:x", "knock"), false, "member.knock: sender is not the target" },
    { NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@u:x", "@u:x", "knock"), false, "member.knock: joined" },
    { NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@invited:x", "@invited:x", "knock"), false, "member.knock: invited" },
    { NEW, { JOIN_RULE("knock"), NOTHING }, MAKES("@banned:x", "@banned:x", "knock"), false, "member.knock: banned" },
    { V6, { JOIN_RULE("knock"), NOTHING }, MAKES("@n:x", "@n:x", "knock"), false, "member: unknown membership" },

    /* 6 to 9 */
    { ALL, { NOTHING }, SENDS("@u:x", "m.room.message", "{}"), true, "event" },
    { ALL, { NOTHING }, SENDS("@gone:x", "m.room.message", "{}"), false, "sender: is not joined" },
    { ALL, { NOTHING }, SENDS("@invited:x", "m.room.message", "{}"), false, "sender: is not joined" },
    { ALL, { NOTHING }, SETS("@u:x", "m.room.third_party_invite", "t", "{}"), true, "third_party_invite" },
    { ALL, { POWER("{'invite':50}"), NOTHING }, SETS("@u:x", "m.room.third_party_invite", "t", "{}"),
      false, "third_party_invite: sender is below the invite level" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.name", "", "{}"), true, "event" },
    { ALL, { NOTHING }, SETS("@u:x", "m.room.name", "", "{}"), false, "power: sender is below the required level" },
    { ALL, { NOTHING }, SETS("@u:x", "m.room.topic", "", "{}"), false, "power: sender is below the required level" },
    { ALL, { POWER("{'events_default':10}"), NOTHING }, SENDS("@u:x", "m.room.message", "{}"), false, "power: sender is below the required level" },
    { ALL, { POWER("{'events':{'m.room.message':0},'events_default':10}"), NOTHING }, SENDS("@u:x", "m.room.message", "{}"), true, "event" },
    { ALL, { NOTHING }, SETS("@mod:x", "x.own", "@mod:x", "{}"), true, "event" },
    { ALL, { NOTHING }, SETS("@mod:x", "x.own", "@u:x", "{}"), false, "state_key: of another user" },

    /* versions 1 and 2: m.room.redaction */
    { V1 | V2, { NOTHING }, { .id = "$1:x", .type = "m.room.redaction", .sender = "@u:x", .redacts = "$0:y", .content = "{}" },
      false, "redaction: sender is below the redact level" },
    { V1 | V2, { NOTHING }, { .id = "$1:x", .type = "m.room.redaction", .sender = "@u:x", .redacts = "$0:x", .content = "{}" },
      true, "redaction: of the same domain" },
    { V1 | V2, { NOTHING }, { .id = "$1:x", .type = "m.room.redaction", .sender = "@mod:x", .redacts = "$0:y", .content = "{}" },
      true, "redaction: by power" },
    { V3 | NEW, { NOTHING }, { .type = "m.room.redaction", .sender = "@u:x", .redacts = "$0:y", .content = "{}" }, true, "event" },

    /* 10.1 to 10.4: the shape of power levels */
    { NEW, { NOTHING }, POWER(PL_BUT("'ban':'50'," PL_USERS)), false, "power_levels: a level is not an integer" },
    { NEW, { NOTHING }, POWER(PL_BUT("'kick':null," PL_USERS)), false, "power_levels: a level is not an integer" },
    { V9, { NOTHING }, POWER(PL_BUT("'ban':' +050 '," PL_USERS)), true, "power_levels" },
    { NEW, { NOTHING }, POWER("{'events':[]}"), false, "power_levels: events or notifications are not integers" },
    { NEW, { NOTHING }, POWER("{'events':{'m.room.name':'50'}}"), false, "power_levels: events or notifications are not integers" },
    { NEW, { NOTHING }, POWER("{'notifications':{'room':true}}"), false, "power_levels: events or notifications are not integers" },
    { ALL, { NOTHING }, POWER("{'users':[]}"), false, "power_levels: users are not levels" },
    { NEW, { NOTHING }, POWER("{'users':{'@u:x':'0'}}"), false, "power_levels: users are not levels" },
    { ALL, { NOTHING }, POWER("{'users':{'nobody':0}}"), false, "power_levels: users has a key that is no user id" },
    { V12, { NOTHING }, POWER(PL_BUT("'users':{'@admin:x':100,'@c:x':100,'@mod2:x':50,'@mod:x':50}")), false, "power_levels: users names a creator" },
    { V12, { CREATE("{'additional_creators':['@v:x']}"), NOTHING },
      POWER(PL_BUT("'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':50,'@v:x':0}")), false, "power_levels: users names a creator" },
    { V10 | V11, { NOTHING }, POWER(PL_BUT("'users':{'@admin:x':100,'@c:x':100,'@mod2:x':50,'@mod:x':50}")), true, "power_levels" },

    /* 10.5 to 10.10: changes, here by somebody at 50 where the admin is at 100 */
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT(PL_USERS)), true, "power_levels" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'kick':50," PL_USERS)), true, "power_levels" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'kick':51," PL_USERS)), false, "power_levels: new value is above the sender" },
    { ALL, { POWER("{'ban':75,'events':{'m.room.power_levels':50},'users':{'@admin:x':100,'@mod:x':50}}"), NOTHING },
      SETS("@mod:x", "m.room.power_levels", "", "{'ban':50,'events':{'m.room.power_levels':50},'users':{'@admin:x':100,'@mod:x':50}}"),
      false, "power_levels: current value is above the sender" },
    { ALL, { POWER("{'ban':75,'events':{'m.room.power_levels':50},'users':{'@admin:x':100,'@mod:x':50}}"), NOTHING },
      SETS("@mod:x", "m.room.power_levels", "", "{'events':{'m.room.power_levels':50},'users':{'@admin:x':100,'@mod:x':50}}"),
      false, "power_levels: current value is above the sender" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "",
      "{'events':{'m.room.name':50,'m.room.power_levels':50,'x':51},'notifications':{'room':50}," PL_USERS "}"),
      false, "power_levels: new value is above the sender" },
    { ALL, { POWER("{'events':{'m.room.power_levels':50,'x':51},'users':{'@admin:x':100,'@mod:x':50}}"), NOTHING },
      SETS("@mod:x", "m.room.power_levels", "", "{'events':{'m.room.power_levels':50},'users':{'@admin:x':100,'@mod:x':50}}"),
      false, "power_levels: current value is above the sender" },
    { V6 | NEW, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "",
      "{'events':{'m.room.name':50,'m.room.power_levels':50},'notifications':{'room':60}," PL_USERS "}"),
      false, "power_levels: new value is above the sender" },
    { V3, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "",
      "{'events':{'m.room.name':50,'m.room.power_levels':50},'notifications':{'room':60}," PL_USERS "}"), true, "power_levels" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'users':{'@admin:x':100,'@mod:x':50}")),
      false, "power_levels: current value of a user is not below the sender" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'users':{'@mod2:x':50,'@mod:x':50}")),
      false, "power_levels: current value of a user is not below the sender" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':20}")), true, "power_levels" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':50,'@u:x':50}")), true, "power_levels" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':51}")),
      false, "power_levels: new value is above the sender" },
    { ALL, { NOTHING }, SETS("@mod:x", "m.room.power_levels", "", PL_BUT("'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':50,'@u:x':51}")),
      false, "power_levels: new value is above the sender" },
    { V12, { NOTHING }, SETS("@c:x", "m.room.power_levels", "", PL_BUT("'users':{'@admin:x':0,'@mod2:x':50,'@mod:x':50}")), true, "power_levels" },
};
/* clang-format on */

typedef struct {
    hs_arena *a;
    const hs_roomver *rv;
    const hs_event *events[32];
    size_t n;
} room;

static const hs_event *get(void *ud, hs_str type, hs_str state_key)
{
    const room *r = ud;

    for (size_t i = r->n; i-- > 0;)
        if (hs_str_eq(r->events[i]->type, type) && hs_str_eq(r->events[i]->state_key, state_key))
            return r->events[i];
    return NULL;
}

static void put(room *r, const test_event_in *in)
{
    test_event_in e = *in;

    if (!e.id)
        e.id = strcmp(e.type, "m.room.create") ? "$state" : "$create";
    r->events[r->n++] = test_event(r->a, r->rv, &e);
}

static hs_state_view view_of(room *r)
{
    return (hs_state_view){ .get = get, .ud = r, .create = get(r, HS_S("m.room.create"), HS_S("")) };
}

static void build(room *r, hs_arena *a, const hs_roomver *rv, const test_event_in *over)
{
    *r = (room){ .a = a, .rv = rv };
    for (size_t i = 0; i < sizeof ROOM / sizeof *ROOM; i++)
        put(r, &ROOM[i]);
    for (; over && over->type; over++)
        put(r, over);
}

static void each_rule_says_what_the_table_says(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 24);
    size_t checked = 0;
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        int64_t number;
        assert_true(hs_str_to_i64((*v)->name, &number));
        for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
            const auth_case *c = &CASES[i];
            if (!(c->versions & 1u << number))
                continue;
            room r;
            hs_arena_reset(a);
            build(&r, a, *v, c->state);
            test_event_in in = c->event;
            if (!in.id)
                in.id = "$event";
            hs_state_view view = view_of(&r);
            hs_verdict said = hs_auth_check(test_event(a, *v, &in), &view);
            if (said.ok != c->ok || strcmp(said.rule, c->rule) != 0)
                fail_msg("case %zu, version %.*s, %s by %s: \"%s\", expected \"%s\"", i, HS_FMT((*v)->name), in.type,
                         in.sender, said.rule, c->rule);
            checked++;
        }
    }
    assert_true(checked > 400);
    hs_arena_close(a);
}

static void an_event_of_another_room_is_refused(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    const hs_roomver *rv = hs_roomver_find(HS_S("12"));
    room r;
    (void)state;

    build(&r, a, rv, NULL);
    hs_event *e = test_event(a, rv, &(test_event_in)SENDS("@u:x", "m.room.message", "{}"));
    e->room_id = HS_S("!other");
    hs_state_view view = view_of(&r);
    assert_string_equal(hs_auth_check(e, &view).rule, "create: of another room");
    hs_arena_close(a);
}

static void a_create_event_of_version_12_has_no_room_id(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    const hs_roomver *rv = hs_roomver_find(HS_S("12"));
    hs_event *e;
    (void)state;

    assert_null(
        hs_event_read(a, rv,
                      HS_S("{\"auth_events\":[],\"content\":{},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[],"
                           "\"room_id\":\"!r:x\",\"sender\":\"@c:x\",\"state_key\":\"\",\"type\":\"m.room.create\"}"),
                      HS_S("$create"), &e));
    assert_string_equal(hs_auth_check(e, &(hs_state_view){ .get = get, .ud = &(room){ .rv = rv } }).rule,
                        "create: has a room_id");
    hs_arena_close(a);
}

static void auth_events_are_those_of_the_selection(void **state)
{
    static const char *const VERSIONS[] = { "10", "11", "12" };
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        const hs_roomver *rv = hs_roomver_find(hs_str_c(VERSIONS[i]));
        room r;
        build(&r, a, rv, NULL);
        const hs_event *create = get(&r, HS_S("m.room.create"), HS_S("")),
                       *power = get(&r, HS_S("m.room.power_levels"), HS_S("")),
                       *member = get(&r, HS_S("m.room.member"), HS_S("@u:x")),
                       *rules = get(&r, HS_S("m.room.join_rules"), HS_S(""));
        hs_event *e = test_event(a, rv, &(test_event_in)SENDS("@u:x", "m.room.message", "{}"));
        hs_event *foreign = test_event(a, rv, &(test_event_in)MEMBER("@u:x", "join"));
        foreign->room_id = HS_S("!other:x");
        const hs_event *all[4] = { power, member, create };
        size_t n = rv->create_not_in_auth ? 2 : 3;

        assert_string_equal(hs_auth_check_auth_events(e, all, NULL, n).rule, "auth_events");
        assert_string_equal(hs_auth_check_auth_events(e, all, (const bool[]){ false, true, false }, n).rule,
                            "auth_events: rejected entry");
        all[n] = member;
        assert_string_equal(hs_auth_check_auth_events(e, all, NULL, n + 1).rule,
                            "auth_events: duplicate type and state_key");
        all[n] = rules;
        assert_string_equal(hs_auth_check_auth_events(e, all, NULL, n + 1).rule,
                            "auth_events: entry that the selection does not name");
        all[1] = foreign;
        assert_string_equal(hs_auth_check_auth_events(e, all, NULL, n).rule, "auth_events: entry of another room");
        all[1] = member;
        all[2] = create;
        assert_string_equal(hs_auth_check_auth_events(e, all, NULL, rv->create_not_in_auth ? 3 : 2).rule,
                            rv->create_not_in_auth ? "auth_events: entry that the selection does not name"
                                                   : "auth_events: no create event");
    }
    hs_arena_close(a);
}

static void the_selection_follows_the_event(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 20);
    const hs_roomver *v11 = hs_roomver_find(HS_S("11")), *v12 = hs_roomver_find(HS_S("12"));
    hs_state_key_pair got[HS_AUTH_TYPES_MAX];
    hs_jv content;
    (void)state;

    assert_int_equal(hs_auth_types(v11, HS_S("m.room.create"), HS_S("@a:x"), HS_S(""), true, (hs_jv){ 0 }, got), 0);
    assert_int_equal(hs_auth_types(v11, HS_S("m.room.message"), HS_S("@a:x"), HS_S(""), false, (hs_jv){ 0 }, got), 3);
    assert_true(hs_str_eq(got[0].type, HS_S("m.room.create")));
    assert_int_equal(hs_auth_types(v12, HS_S("m.room.message"), HS_S("@a:x"), HS_S(""), false, (hs_jv){ 0 }, got), 2);
    assert_true(hs_str_eq(got[0].type, HS_S("m.room.power_levels")));

    assert_null(hs_tape_parse(a, HS_S("{\"join_authorised_via_users_server\":\"@b:x\",\"membership\":\"join\"}"),
                              HS_JSON_OBJECT, &content));
    assert_int_equal(hs_auth_types(v11, HS_S("m.room.member"), HS_S("@a:x"), HS_S("@a:x"), true, content, got), 5);
    assert_true(hs_str_eq(got[3].type, HS_S("m.room.join_rules")));
    assert_true(hs_str_eq(got[4].state_key, HS_S("@b:x")));

    assert_null(hs_tape_parse(a,
                              HS_S("{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":{\"token\":\"t\"}}}"),
                              HS_JSON_OBJECT, &content));
    assert_int_equal(hs_auth_types(v11, HS_S("m.room.member"), HS_S("@a:x"), HS_S("@c:x"), true, content, got), 6);
    assert_true(hs_str_eq(got[5].type, HS_S("m.room.third_party_invite")));
    hs_arena_close(a);
}

static void levels_have_their_defaults(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    (void)state;

    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        room r = { .a = a, .rv = *v };
        put(&r, &ROOM[0]);
        hs_state_view view = view_of(&r);
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@c:x")), (*v)->privileged_creators ? HS_POWER_CREATOR : 100);
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@u:x")), 0);
        assert_int_equal(hs_auth_level(*v, &view, HS_LEVEL_BAN), 50);
        assert_int_equal(hs_auth_level(*v, &view, HS_LEVEL_INVITE), 0);
        assert_int_equal(hs_auth_level_for(*v, &view, HS_S("m.room.name"), true), 50);
        assert_int_equal(hs_auth_level_for(*v, &view, HS_S("m.room.message"), false), 0);
        assert_int_equal(hs_auth_notification_level(*v, &view, HS_S("room")), 50);
        put(&r, &(test_event_in)POWER("{'notifications':{'room':20},'users':{'@u:x':7},'users_default':3}"));
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@c:x")), (*v)->privileged_creators ? HS_POWER_CREATOR : 3);
        assert_int_equal(hs_auth_power(*v, &view, HS_S("@u:x")), 7);
        assert_int_equal(hs_auth_notification_level(*v, &view, HS_S("room")), 20);
    }
    hs_arena_close(a);
}

static void old_rooms_have_levels_as_strings_and_fractions(void **state)
{
    static const struct {
        const char *value;
        int64_t level;
    } LEVELS[] = { { "'50'", 50 },  { "' 0050 '", 50 }, { "'+50'", 50 }, { "'-7'", -7 },
                   { "50.57", 50 }, { "5.1E1", 51 },    { "-0.5", 0 },   { "'+-5'", 3 },
                   { "'5.5'", 3 },  { "null", 3 },      { "1e400", 3 } };
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("5"));
    (void)state;

    for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++) {
        room r = { .a = a, .rv = rv };
        hs_str content;
        const char *c;
        assert_null(hs_str_fmt(a, &content, "{'users':{'@u:x':%s},'users_default':3}", LEVELS[i].value));
        assert_null(hs_cstr(a, content, &c));
        put(&r, &ROOM[0]);
        put(&r, &(test_event_in)POWER(c));
        hs_state_view view = view_of(&r);
        assert_int_equal(hs_auth_power(rv, &view, HS_S("@u:x")), LEVELS[i].level);
    }
    hs_arena_close(a);
}

static void a_redaction_needs_power_or_the_same_server(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    room r;
    (void)state;

    build(&r, a, rv, NULL);
    hs_state_view view = view_of(&r);
    hs_event *near = test_event(a, rv, &(test_event_in)SENDS("@v:x", "m.room.message", "{}"));
    hs_event *far = test_event(a, rv, &(test_event_in)SENDS("@v:y", "m.room.message", "{}"));
    hs_event *by_user = test_event(a, rv, &(test_event_in)SENDS("@u:x", "m.room.redaction", "{'redacts':'$1'}"));
    hs_event *by_mod = test_event(a, rv, &(test_event_in)SENDS("@mod:x", "m.room.redaction", "{'redacts':'$1'}"));
    assert_true(hs_str_eq(by_user->redacts, HS_S("$1")));
    assert_true(hs_auth_redaction_ok(rv, &view, by_user, near));
    assert_false(hs_auth_redaction_ok(rv, &view, by_user, far));
    assert_true(hs_auth_redaction_ok(rv, &view, by_mod, far));
    hs_arena_close(a);
}

/* An identity server signed for @n:x with the key that the room's third-party invite names, in either form and
 * alphabet. */
static void an_invite_by_a_third_party_needs_its_signature(void **state)
{
    static const struct {
        const char *keys; /* content of the m.room.third_party_invite; KEY: the right one */
        const char *rule;
    } FORMS[] = {
        { "{\"public_key\":\"KEY\"}", "member.invite.third_party" },
        { "{\"public_keys\":[{\"public_key\":\"AAAA\"},{\"public_key\":\"KEY\"}]}", "member.invite.third_party" },
        { "{\"public_key\":\"AAKEY\"}", "member.invite.third_party: no good signature" },
        { "{\"public_keys\":\"KEY\"}", "member.invite.third_party: no good signature" },
    };
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    const uint8_t seed[32] = { 250, 1 };
    hs_signing_key *key;
    hs_str sig, keys[2], content;
    const char *c;
    (void)state;

    assert_null(hs_signing_key_open(a, HS_S("0"), seed, &key));
    assert_null(hs_sign_json(a, HS_S("{\"mxid\":\"@n:x\",\"token\":\"t\"}"), HS_S("id.example"), key, &sig));
    assert_null(
        hs_str_fmt(a, &content, "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":%.*s}}", HS_FMT(sig)));
    assert_null(hs_cstr(a, content, &c));
    hs_str public_key = hs_str_make((const char *)hs_signing_key_public(key), 32);
    assert_null(hs_base64_encode(a, public_key, false, &keys[0]));
    assert_null(hs_base64_encode(a, public_key, true, &keys[1]));

    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++) {
        for (size_t k = 0; k < 2; k++) {
            room r;
            hs_buf b;
            hs_str text;
            const char *invite;
            hs_str form = hs_str_c(FORMS[i].keys);
            size_t at = (size_t)(strstr(FORMS[i].keys, "KEY") - FORMS[i].keys);
            hs_buf_init(&b, a);
            hs_buf_add(&b, hs_str_first(form, at));
            hs_buf_add(&b, keys[k]);
            hs_buf_add(&b, hs_str_from(form, at + 3));
            assert_null(hs_buf_flatten(&b, &text));
            assert_null(hs_cstr(a, text, &invite));
            build(&r, a, rv, NULL);
            put(&r, &(test_event_in)SETS("@u:x", "m.room.third_party_invite", "t", invite));
            hs_state_view view = view_of(&r);
            hs_event *e = test_event(a, rv, &(test_event_in)SETS("@u:x", "m.room.member", "@n:x", c));
            assert_string_equal(hs_auth_check(e, &view).rule, FORMS[i].rule);
        }
    }
    hs_arena_close(a);
}

static void a_refusal_tells_the_client_who_and_where(void **state)
{
    hs_arena *a = hs_arena_open((size_t)1 << 22);
    const hs_roomver *rv = hs_roomver_find(HS_S("11"));
    room r;
    (void)state;

    build(&r, a, rv, NULL);
    hs_state_view view = view_of(&r);
    hs_event *e = test_event(a, rv, &(test_event_in)MAKES("@mod:x", "@banned:x", "invite"));
    hs_error *err = hs_auth_refusal(a, hs_auth_check(e, &view), e);
    assert_int_equal(err->status, 403);
    assert_int_equal(err->code, HS_M_FORBIDDEN);
    assert_true(hs_str_eq(err->message, HS_S("@banned:x is banned from the room")));
    e = test_event(a, rv, &(test_event_in)POWER("{'ban':'50'}"));
    err = hs_auth_refusal(a, hs_auth_check(e, &view), e);
    assert_int_equal(err->status, 400);
    assert_int_equal(err->code, HS_M_BAD_JSON);
    hs_arena_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_says_what_the_table_says),
        cmocka_unit_test(an_event_of_another_room_is_refused),
        cmocka_unit_test(a_create_event_of_version_12_has_no_room_id),
        cmocka_unit_test(auth_events_are_those_of_the_selection),
        cmocka_unit_test(the_selection_follows_the_event),
        cmocka_unit_test(levels_have_their_defaults),
        cmocka_unit_test(old_rooms_have_levels_as_strings_and_fractions),
        cmocka_unit_test(a_redaction_needs_power_or_the_same_server),
        cmocka_unit_test(an_invite_by_a_third_party_needs_its_signature),
        cmocka_unit_test(a_refusal_tells_the_client_who_and_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
