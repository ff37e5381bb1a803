/* The inside of the fan-out, shared by fanout.c and fanout_follow.c. Everybody else uses news.h. */
#ifndef HS_SERVER_FANOUT_H
#define HS_SERVER_FANOUT_H

#include "base/map.h"
#include "bus/bus.h"
#include "server/news.h"

#define HS_NEWS_LISTENERS_MAX 24

/* A transaction that waits for its turn: one of ours, or a message of another worker. */
typedef struct hs_feed_item {
    struct hs_feed_item *next;
    int64_t pos_from, pos;
    hs_told_batch *own;
    hs_blob *bytes;
} hs_feed_item;

struct hs_feed {
    hs_server *srv;
    int64_t position, floor;
    hs_map *rooms; /* room → position of its newest row, as a pointer */
    hs_news_listener *listeners[HS_NEWS_LISTENERS_MAX];
    void *listener_ud[HS_NEWS_LISTENERS_MAX];
    size_t listeners_n;

    /* following the other workers; unused when there are none */
    hs_str self; /* what our messages are signed with: name and a number of this process */
    hs_bus_subscription *subscription;
    hs_bus_watch watch;
    hs_arena *scratch;
    hs_feed_item *first; /* in order of position */
    size_t bytes;        /* of messages in it */
    hs_fiber *fiber;     /* the follower; NULL: none */
    bool running, asleep, busy, closing;
    bool on_bus;          /* its health as it was told last */
    bool look;            /* read the table at the next turn */
    int64_t hole_since;   /* loop time; 0: there is none */
    int64_t looked_ms;    /* loop time of the last reading of the table */
    int64_t not_before;   /* loop time: after an error it is not read again earlier, whoever waits */
    hs_timer timer;       /* of the follower's nap */
    hs_fiber_queue moved; /* who waits for a position */
    /* hs_fanout_fresh: one question at a time, for all who wait */
    bool asking;
    uint64_t asked, answered;
    int64_t newest;
    hs_fiber_queue questions;

    hs_metric *holes, *applied;
};

/* Tells the listeners what the units' news are; each of them all of it before the next one hears any. `pos`: of the
 * transaction's last item. Does not suspend. */
void hs_fanout_tell(struct hs_feed *f, int64_t pos, const hs_told *units, size_t n);

HS_NODISCARD hs_error *hs_follow_open(struct hs_feed *f);
/* Ends the follower; whoever waits for a batch of ours resumes. */
void hs_follow_close(struct hs_feed *f);
/* A durable batch of ours: published, and told now (true) or in its turn (false: hs_write_told follows). */
bool hs_follow_own(struct hs_feed *f, hs_told_batch *batch);

#endif
