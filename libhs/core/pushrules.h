/* Push rules: the default set, what a user makes of it, and its evaluation. Pure.
 * Spec: Client-Server API, "Push Notifications", "Push Rules". */
#ifndef HS_CORE_PUSHRULES_H
#define HS_CORE_PUSHRULES_H

#include "core/event.h"

typedef struct hs_pushrules hs_pushrules;

/* What the default rules are there for, beside the specification's. */
enum {
    HS_PUSH_POLLS = 1,         /* MSC3930 */
    HS_PUSH_ENCRYPTED = 2,     /* MSC4028 */
    HS_PUSH_CALLS = 4,         /* MSC4075 */
    HS_PUSH_ONLY_MENTIONS = 8, /* MSC4210: names in a text are nothing */
    HS_PUSH_THREADS = 16,      /* MSC4306 */
};

/* In the place of a user's id: the rule set of whoever they are evaluated for. */
extern const hs_str hs_push_anybody;

/* The rules of a user as a client reads them ({"global":{…}}). `changes`: what the functions below have made, empty
 * when the user has changed nothing. What they say of a default rule whose feature is off is kept and not shown. */
HS_NODISCARD hs_error *hs_pushrules_json(hs_arena *a, hs_str user_id, hs_str changes, unsigned features, hs_str *ret);
/* From that form. Unknown conditions never match; disabled rules are dropped. `rules_json` is borrowed. */
HS_NODISCARD hs_error *hs_pushrules_compile(hs_arena *a, hs_str rules_json, hs_pushrules **ret);
/* The same, with little memory of its own: default rules that are as in `base` are shared with it (it must outlive the
 * set), and what is needed in between is in `scratch`. `rules_json` need not last. */
HS_NODISCARD hs_error *hs_pushrules_compile_onto(hs_arena *a, hs_arena *scratch, const hs_pushrules *base,
                                                 hs_str rules_json, hs_pushrules **ret);
/* What a user's own rules ask about, besides the event. */
bool hs_pushrules_ask_name(const hs_pushrules *r);
bool hs_pushrules_ask_power(const hs_pushrules *r);

/* ── changes (pushrules_edit.c) ── the new text of a user's changes, or the error that the client reads ── */
typedef struct {
    int64_t rule_count;     /* of a user */
    int64_t rule_id_length; /* bytes of global/{kind}/{ruleId} */
    int64_t rule_size;      /* bytes of conditions or pattern and actions */
} hs_push_limits;

typedef struct {
    hs_str kind, rule_id;
    hs_jv body;
    hs_str before, after; /* rule ids of the same kind; empty: none */
} hs_push_put;

HS_NODISCARD hs_error *hs_pushrules_put(hs_arena *a, hs_str changes, const hs_push_put *in,
                                        const hs_push_limits *limits, hs_str *ret);
/* A default rule is not removed: it gets its own actions back, if they were others. */
HS_NODISCARD hs_error *hs_pushrules_remove(hs_arena *a, hs_str changes, hs_str kind, hs_str rule_id, hs_str *ret);
/* body: {"enabled":true}, or the bare value. */
HS_NODISCARD hs_error *hs_pushrules_enable(hs_arena *a, hs_str changes, hs_str kind, hs_str rule_id, hs_jv body,
                                           hs_str *ret);
/* body: {"actions":[…]}. */
HS_NODISCARD hs_error *hs_pushrules_set_actions(hs_arena *a, hs_str changes, hs_str kind, hs_str rule_id, hs_jv body,
                                                const hs_push_limits *limits, hs_str *ret);
/* Rules about a room, for the room that it became too. */
HS_NODISCARD hs_error *hs_pushrules_move_room(hs_arena *a, hs_str changes, hs_str from, hs_str to,
                                              const hs_push_limits *limits, bool *ret_changed, hs_str *ret);

/* ── evaluation ── */
/* Whether the user follows the thread that the event is in. */
typedef enum { HS_PUSH_NO_THREAD, HS_PUSH_NOT_FOLLOWED, HS_PUSH_FOLLOWED } hs_push_followed;

typedef struct {
    /* user_id.p NULL: somebody who is not meant by name. display_name.p NULL: none */
    hs_str user_id, localpart, display_name;
    int64_t room_members;
    size_t *steps; /* what judging the event may still cost, by whomever's rules; NULL: nobody counts */
    hs_push_followed followed;
    int64_t sender_power, room_notification_power; /* for sender_notification_permission of "room" */
} hs_push_ctx;

typedef struct {
    bool notify, highlight;
    hs_str actions; /* JSON, of the rule that decided; empty: none did */
} hs_push_result;

/* The first enabled rule that matches decides. An event never notifies its own sender: the caller sees to that. */
hs_push_result hs_push_eval(const hs_pushrules *r, const hs_event *e, const hs_push_ctx *ctx);

#endif
