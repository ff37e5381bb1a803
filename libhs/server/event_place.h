/* Where the states around a received event are kept: which snapshot of which line. store-design §1.2. */
#ifndef HS_SERVER_EVENT_PLACE_H
#define HS_SERVER_EVENT_PLACE_H

#include "server/event_state.h"
#include "server/event_write.h"

/* What may be written to a line that is there already. The ticket sees two writers of one only by the room's timeline,
 * so an event without a row there begins lines of its own. */
typedef enum {
    HS_PLACE_APART,  /* nothing: no timeline row */
    HS_PLACE_BRANCH, /* lines beside the main one */
    HS_PLACE_HEAD,   /* the main one too: the event is a head */
} hs_place_may;

typedef struct {
    hs_room_write *w;
    hs_place_may may;
    hs_snap main;              /* the main line's newest, as this unit leaves it */
    int32_t own, next;         /* lines own … next - 1 are begun by this unit; own -1: none */
    HS_VEC(hs_state_row) rows; /* of lines that were there: the ticket's to write */
} hs_placing;

typedef struct {
    hs_snap at;
    const hs_state_set *set;
} hs_place_near;

void hs_place_open(hs_placing *p, hs_room_write *w);
/* What the main line began as a copy of (state_rollover.h) is where it begins: who comes behind it goes on there. Any
 * other snapshot is itself. */
hs_snap hs_place_on_main(const hs_placing *p, hs_snap at);
/* A state that was resolved from several: one of the snapshots near it if it is that one's, else the nearest of them
 * and what tells the two apart. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_place_state(hs_placing *p, const hs_state_set *set, const hs_place_near *near,
                                                  size_t n, hs_snap *ret);
/* The snapshot that follows `before` (as hs_place_on_main has it) by one change; `after` is all of it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_place_next(hs_placing *p, hs_snap before, hs_state_entry change,
                                                 const hs_state_set *after, hs_snap *ret);
/* The room's state from now on: the next snapshot of the main line, unless nothing changes. `newest` is the state at
 * p->main. */
HS_NODISCARD hs_error *hs_place_current(hs_placing *p, const hs_state_set *newest, const hs_state_set *current);

#endif
