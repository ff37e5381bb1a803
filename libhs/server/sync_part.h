/* One room of a sync answer, as the sync_*.c files fill it in turn: sync_choose.c says which rooms and why, sync_room.c
 * collects the timeline, sync_state.c the state before it, sync_write.c puts it into words. */
#ifndef HS_SERVER_SYNC_PART_H
#define HS_SERVER_SYNC_PART_H

#include "server/room_state.h"
#include "server/sync.h"
#include "server/timeline.h"
#include "server/unread.h"
#include "store/state.h"

/* A timeline row with its event held by the request. */
typedef struct {
    int64_t pos, depth;
    hs_stored *event; /* NULL: a marker */
    int32_t line, snap;
} hs_sync_row;

typedef struct {
    hs_room *room;
    hs_su_room me;
    bool archived;     /* the leave section */
    bool only_own;     /* nothing but the user's own member event */
    bool newly_joined; /* since the token */
    bool full;         /* the whole state */
    bool always;       /* included even when there is nothing in it */
    int64_t since;     /* events after it; INT64_MIN: from the start */
    int64_t upto;

    /* sync_room.c */
    hs_dressed *events; /* oldest first */
    size_t events_n;
    bool limited;
    hs_page_token prev;
    hs_sync_row *rows; /* what was looked at, newest first; the first event shown is rows[first] */
    size_t rows_n, first;
    bool has_base; /* rows[rows_n] is the row before them */
    hs_snap end;   /* the state at upto */
    bool empty_room;
    hs_str timeline_json;        /* written already, maybe for somebody else; p NULL: not */
    const hs_nid *senders;       /* of the events, once each … */
    const int64_t *sender_slots; /* … and where their member events are */
    size_t senders_n;
    bool plain;        /* without a gap, and the rows follow each other: their events tell how the state changed */
    bool same_for_all; /* everybody who was joined all the time is shown this timeline */
    bool has_state;    /* state events are among the rows, shown or not */
    bool member_events;

    /* sync_state.c */
    hs_stored **state;
    size_t state_n;
    hs_dressed *state_dressed; /* the same; NULL: too many to look up what they replaced */

    /* sync_sticky.c */
    hs_dressed *sticky;
    size_t sticky_n;

    /* sync.c */
    hs_str receipts, typing; /* contents; p NULL: none */
    hs_strs account_data;    /* whole events */
    hs_unread unread;
    const hs_str *thread_ids; /* of unread.threads */
    bool has_summary;
    int64_t joined, invited;
    bool has_heroes;
    hs_strs heroes;
} hs_sync_part;

typedef struct {
    hs_server *srv;
    const hs_session *who;
    hs_arena *a;
    const hs_sync_in *in;
    int64_t upto; /* the answer's position */
    hs_nids ignores;
    int64_t now;
    hs_sync_part *parts;
    size_t parts_n;
} hs_sync_job;

/* sync_room.c */
/* Brings to memory, in one round trip, what the recent state of rooms shown from the start has replaced: each room's
 * visibility and `unsigned` would ask for it otherwise. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_foresee(hs_sync_job *job, const hs_sync_part *parts, size_t n);
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_collect(hs_sync_job *job, hs_sync_part *p);
/* sync_state.c */
/* Is each of rows[newest … oldest) the plain successor of the row before it? Only then do the events in sight tell how
 * the state changed. */
bool hs_sync_linear(const hs_sync_row *rows, size_t newest, size_t oldest);
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_state(hs_sync_job *job, hs_sync_part *p);
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_summary(hs_sync_job *job, hs_sync_part *p);
/* The event that holds a slot in a sorted state; 0: none. */
hs_nid hs_state_find(const hs_state_entry *at, size_t n, int64_t slot);

/* sync_lazy.c: the member events that a device has been sent */
typedef struct hs_lazy hs_lazy;
/* NULL without memory; valid until the next suspension. */
hs_lazy *hs_lazy_of(hs_server *srv, hs_nid user, hs_str device_id);
/* What was sent in an answer that the client has not acknowledged by its token does not count; nothing does without
 * one. */
void hs_lazy_start(hs_lazy *l, bool has_since, int64_t since);
bool hs_lazy_sent(const hs_lazy *l, hs_nid event);
/* Nothing counts as sent any more. */
void hs_lazy_forget(hs_server *srv, hs_nid user, hs_str device_id);
void hs_lazy_mark(hs_lazy *l, hs_nid event, int64_t pos);

/* sync_write.c */
/* Takes the timeline that somebody else was shown, if there is one; *ret false: it has to be collected. */
HS_NODISCARD hs_error *hs_sync_reuse(hs_sync_job *job, hs_sync_part *p, bool *ret);
/* Writes the timeline now and keeps it for others, where it is the same for them. The events are dressed. */
HS_NODISCARD hs_error *hs_sync_keep(hs_sync_job *job, hs_sync_part *p);
void hs_sync_write_part(const hs_sync_job *job, hs_json_out *j, const hs_sync_part *p);

#endif
