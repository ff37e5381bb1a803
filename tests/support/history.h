/* A room's history played on a server that keeps nothing but numbers: it receives events, resolves at each fork, and
 * says what it rejects. For tests of state resolution and for the comparison with Synapse. Failures fail the test. */
#ifndef HS_TESTS_SUPPORT_HISTORY_H
#define HS_TESTS_SUPPORT_HISTORY_H

#include "core/stateres.h"
#include "support/events.h"

enum { TEST_EVENTS_MAX = 300, TEST_SLOTS_MAX = 64, TEST_PREV_MAX = 4 };

/* What a server knows of an event. Numbers are indexes + 1, so two servers number differently. */
typedef struct {
    const hs_event *ev;
    int64_t auth[HS_AUTH_TYPES_MAX];
    size_t auth_n;
    bool rejected;
    int64_t state[TEST_SLOTS_MAX]; /* after it, by slot */
} test_known;

typedef struct {
    hs_arena *a;
    const hs_roomver *rv;
    test_known events[TEST_EVENTS_MAX + 1];
    size_t n;
    hs_state_key_pair slots[TEST_SLOTS_MAX];
    size_t slots_n;
    const int64_t *looking; /* the state that view_get reads */
} test_server;

typedef struct {
    test_event_in in;
    const char *prev[TEST_PREV_MAX];
} test_step;

test_server *test_server_open(hs_arena *a, const char *version); /* free() it */
/* The number of an event; 0: not received. */
int64_t test_number(test_server *s, hs_str id);
/* The number of a key, given at the first question. */
int64_t test_slot(void *server, hs_str type, hs_str state_key);
hs_resolver test_resolver(test_server *s);
hs_state_set test_set(test_server *s, const int64_t *state);
void test_resolve(test_server *s, const hs_state_set *sets, size_t n, int64_t ret[TEST_SLOTS_MAX]);
void test_state_before(test_server *s, const hs_event *ev, int64_t ret[TEST_SLOTS_MAX]);

/* An event on top of `prev`, authorised as its sender's server would; not received yet. */
const hs_event *test_make(test_server *s, const test_event_in *in, const int64_t *prev, size_t prev_n);
/* Takes an event in: the state before it, whether the rules allow it there, the state after it. Returns its number. */
int64_t test_receive(test_server *s, const hs_event *ev);

/* Makes and receives; the last step has no id. */
void test_play(test_server *s, const test_step *steps);
/* A public room of @zed:x, joined by @alice:x (100), @bob:x and @charlie:x; ends with "$start". */
void test_play_start(test_server *s);
unsigned test_random(unsigned *seed);
/* More events by random people who do what they may and what they may not; forks often, merges now and then. */
void test_play_random(test_server *s, unsigned *seed, size_t events);

#endif
