/* The inside of typing, shared by typing.c (the state and what reads it) and typing_share.c (the same in all workers).
 * Everybody else uses typing.h. */
#ifndef HS_SERVER_TYPING_STATE_H
#define HS_SERVER_TYPING_STATE_H

#include "base/map.h"
#include "bus/live.h"
#include "server/typing.h"

enum { HS_TYPING_MAX_MS = 120000 };

typedef struct {
    char *user_id;
    size_t user_id_n;
    bool on;         /* false: has stopped, kept for a moment lest an old repetition bring it back */
    uint64_t owner;  /* the worker that was told so; peers.h: boot */
    int64_t until;   /* hs_loop_now's clock, as the next two */
    int64_t heard;   /* when its owner last spoke of it */
    int64_t asked;   /* when we last asked for its end */
    uint64_t serial; /* the owner's, of the message that last changed it */
    uint64_t round;  /* of apply, when something last spoke of it */
} hs_typist;

typedef struct hs_typing_room {
    struct hs_ephemeral *e;
    struct hs_typing_room *newer, *older; /* by when it was last spoken of */
    hs_nid room;
    uint64_t serial;  /* of its newest change */
    uint64_t changer; /* the worker that brought it */
    int64_t touched;
    hs_typist *at;
    size_t n, cap;
    hs_timer timer;
} hs_typing_room;

typedef struct hs_typing_echo hs_typing_echo;

struct hs_ephemeral {
    hs_server *srv;
    uint64_t boot, clock;
    hs_map *rooms; /* of hs_typing_room, by number */
    hs_typing_room *newest, *oldest;
    uint64_t round; /* of apply */
    /* typing_share.c */
    bool in_step;
    uint64_t sent, echoed; /* our own messages: published, and applied here */
    hs_typing_echo *echoes;
    hs_bus_subscription *sub;
    hs_bus_watch watch;
    hs_timer repeat, step;
    hs_arena *a; /* of one message */
};

/* ── typing.c ── */
/* A message as it came, applied; `ours` also before it has gone round. */
void hs_typing_apply(struct hs_ephemeral *e, const hs_ephemeral_msg *m);
/* Forgets what other workers own. */
void hs_typing_drop_others(struct hs_ephemeral *e);
/* Rooms that nobody has spoken of for a day. */
void hs_typing_sweep(struct hs_ephemeral *e);

/* ── typing_share.c ── */
HS_NODISCARD hs_error *hs_typing_share_open(struct hs_ephemeral *e);
void hs_typing_share_close(struct hs_ephemeral *e);
/* Tells all workers, this one included; while the bus is down this one only. Fills in the sender and the clock. */
void hs_typing_publish(struct hs_ephemeral *e, hs_ephemeral_msg *m);
/* The same, and returns once it is applied here. */
HS_SUSPENDS void hs_typing_publish_and_wait(struct hs_ephemeral *e, hs_ephemeral_msg *m);

#endif
