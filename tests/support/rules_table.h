/* Reads tests/vectors/auth_rules.md, whose head says how it is written. Failures fail the test. */
#ifndef HS_TESTS_SUPPORT_RULES_TABLE_H
#define HS_TESTS_SUPPORT_RULES_TABLE_H

#include "support/events.h"

typedef struct {
    const char *section;                 /* the heading without its versions */
    unsigned section_versions, versions; /* bit n: version n */
    hs_str cells[6];                     /* behind the versions */
    size_t line;
} rules_row;

typedef struct {
    rules_row *at;
    size_t n;
} rules_rows;

/* The rows under the top-level heading `chapter`. */
rules_rows rules_read(hs_arena *a, hs_str file, const char *chapter);

/* One auth event as a row names it. */
typedef struct {
    hs_str type, state_key;
    bool rejected, elsewhere;
} rules_auth;

typedef struct {
    test_event_in in;
    bool has_auth;
    rules_auth auth[8];
    size_t auth_n;
} rules_event;

/* "sender type/state_key attributes content". */
rules_event rules_event_read(hs_arena *a, hs_str text);
/* "first ; second …" */
size_t rules_events_read(hs_arena *a, hs_str text, rules_event *ret, size_t max);

#define RULES_POWER                                                                                                    \
    "{'events':{'m.room.name':50,'m.room.power_levels':50},'notifications':{'room':50},"                               \
    "'users':{'@admin:x':100,'@mod2:x':50,'@mod:x':50}}"

#endif
