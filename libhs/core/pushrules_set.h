/* What a user has changed about the push rules, in memory: own rules by kind, and what is different about default ones.
 * Inside the core. */
#ifndef HS_CORE_PUSHRULES_SET_H
#define HS_CORE_PUSHRULES_SET_H

#include "base/vec.h"
#include "core/pushrules.h"

/* In the order in which they are asked. Nobody has rules of the kind postcontent (MSC4306). */
typedef enum {
    HS_PUSH_OVERRIDE,
    HS_PUSH_CONTENT,
    HS_PUSH_POSTCONTENT,
    HS_PUSH_ROOM,
    HS_PUSH_SENDER,
    HS_PUSH_UNDERRIDE,
    HS_PUSH_KINDS
} hs_push_kind;

extern const hs_str hs_push_kind_names[HS_PUSH_KINDS];
bool hs_push_kind_parse(hs_str s, hs_push_kind *ret);

typedef struct {
    hs_str rule_id;
    hs_str conditions; /* JSON; p NULL: of a kind without */
    hs_str pattern;    /* of a content rule, JSON */
    hs_str actions;    /* JSON */
    bool enabled;
} hs_push_own;

/* Of a default rule. */
typedef struct {
    hs_push_kind kind;
    hs_str rule_id;
    hs_str actions; /* JSON; p NULL: as they are by default */
    bool has_enabled, enabled;
} hs_push_changed;

typedef HS_VEC(hs_push_own) hs_push_owns;
typedef struct {
    hs_push_owns own[HS_PUSH_KINDS]; /* the first is asked first */
    HS_VEC(hs_push_changed) changed;
} hs_push_set;

/* `changes` as stored; empty: none. Borrowed. */
HS_NODISCARD hs_error *hs_push_set_read(hs_arena *a, hs_str changes, hs_push_set *ret);
HS_NODISCARD hs_error *hs_push_set_write(hs_arena *a, const hs_push_set *s, hs_str *ret);
hs_push_changed *hs_push_set_changed(const hs_push_set *s, hs_push_kind kind, hs_str rule_id);

/* Is there such a default rule? */
bool hs_push_is_default(hs_push_kind kind, hs_str rule_id);

#endif
