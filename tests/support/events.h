/* Events for tests, from values instead of pasted JSON. Quotes in contents are written as ' so that tables stay
 * readable. */
#ifndef HS_TESTS_SUPPORT_EVENTS_H
#define HS_TESTS_SUPPORT_EVENTS_H

#include "core/event.h"

typedef struct {
    const char *id, *type, *sender, *state_key; /* state_key NULL: not a state event */
    const char *content;                        /* {'membership':'join'}, members sorted */
    const char *redacts;
    const char *prev;        /* one event id; NULL: "$prev"; "": none */
    const char *const *auth; /* ids, ending with NULL; may be NULL */
    int64_t ts, depth;
    const char *room; /* NULL: see below */
} test_event_in;

/* In the room "!create" of version 12, "!r:x" of the others; signed, as far as anybody asks, by the server x. Fails the
 * test when the event cannot be read. */
hs_event *test_event(hs_arena *a, const hs_roomver *rv, const test_event_in *in);

#endif
