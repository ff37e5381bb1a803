/* A room that other servers write to: their events made with true signatures, given in any order, and what the room is
 * in the end. Failures fail the test. */
#ifndef HS_TESTS_SUPPORT_GRAPH_H
#define HS_TESTS_SUPPORT_GRAPH_H

#include "server/event_receive.h"
#include "support/rooms.h"

enum { GRAPH_EVENTS_MAX = 400, GRAPH_PEOPLE_N = 6, GRAPH_SERVERS_N = 3, GRAPH_STATE_MAX = 64 };

/* An event as it was made, and what it is to be in the end. */
typedef struct {
    hs_str id, json;
    hs_str prev[4];
    size_t prev_n;
    hs_str state[GRAPH_STATE_MAX]; /* after it: ids, sorted */
    size_t state_n;
    uint32_t flags;
    bool late; /* comes when all others have come: it will be soft-failed */
    bool is_ban;
    bool never_withheld; /* the ban, and what authorises it, and all of who is banned: there what comes later matters */
    bool withheld;       /* comes last of all: the others bridge the gap */
    int64_t depth;
} graph_event;

typedef struct {
    hs_arena *a; /* outlives the servers */
    const char *base, *db;
    test_rooms t;
    hs_signing_key *keys[GRAPH_SERVERS_N];
    hs_str room_id;
    graph_event events[GRAPH_EVENTS_MAX];
    size_t n;
    unsigned seed;
    bool joined[GRAPH_PEOPLE_N], banned[GRAPH_PEOPLE_N];
    /* what the first run ended in */
    hs_str current[GRAPH_STATE_MAX], heads[32], shown[GRAPH_EVENTS_MAX];
    size_t current_n, heads_n, shown_n;
    bool has_state;    /* the world knows states */
    bool has_events;   /* … and events */
    size_t asks;       /* for events */
    int round;         /* what comes late has not been heard of in round 0 */
    int64_t sticky_ms; /* of what is made, now; 0: not sticky. The servers serve sticky events then */
    hs_str asked;      /* what is withheld is given as a part of a state only */
} graph_world;

extern const char *const GRAPH_SERVERS[GRAPH_SERVERS_N];
extern const char *const GRAPH_PEOPLE[GRAPH_PEOPLE_N]; /* alice is ours */

unsigned graph_draw(graph_world *w, unsigned n);
hs_received graph_receive(graph_world *w, const graph_event *e);
hs_room *graph_room_of(graph_world *w);
graph_event *graph_find_made(graph_world *w, hs_str id);
bool graph_key_of(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32]);
size_t graph_all_heads(graph_world *w, hs_str *ret);
void graph_state_after(graph_world *w, hs_str id, hs_str *ret, size_t *ret_n, uint32_t *ret_flags);
/* An event on top of parents, authorised as its sender's server would. */
graph_event *graph_make(graph_world *w, const char *sender, const char *type, const char *state_key,
                        const char *content, const hs_str *prev, size_t prev_n);
/* Makes it and takes it in; what it then is, is what it must be in the end. */
graph_event *graph_play(graph_world *w, const char *sender, const char *type, const char *state_key,
                        const char *content, const hs_str *prev, size_t prev_n);
void graph_heads_now(graph_world *w, hs_str *ret, size_t *ret_n);
void graph_shown_now(graph_world *w, hs_str *ret, size_t *ret_n);
void graph_current_now(graph_world *w, hs_str *ret, size_t *ret_n);
void graph_assert_same(const char *what, const hs_str *x, size_t x_n, const hs_str *y, size_t y_n);
long long graph_rows_of_all_tables(graph_world *w);
void graph_assert_as_made(graph_world *w);
void graph_begin(void *ud);
void graph_on_server(graph_world *w, const char *conninfo, void (*fn)(void *ud));
graph_world *graph_world_open(unsigned seed, const char *base, const char *db);
void graph_world_close(graph_world *w);
/* Over a gap the ban may come before what it follows, which it would soft-fail. */
int graph_round_of(const graph_world *w, const graph_event *e);
void graph_by_itself(void (*fn)(void *ud));

#endif
