/* Sticky events (MSC4354): every member of a room is told of them within the time that they name, an hour at most, even
 * where the timeline leaves them out. Their order is that of the feed's positions, which a token of /sync names.
 *
 * Memory knows of each room with such events the position of the newest and when the last one expires, and the newest
 * ones themselves; PostgreSQL is asked about what is older than that. With experimental_features.msc4354_enabled off
 * there is nothing of all this. */
#ifndef HS_SERVER_STICKY_H
#define HS_SERVER_STICKY_H

#include "server/event_persist.h"
#include "store/sticky.h"

/* Registers itself with fanout and the persisting of events: before those who wait. */
HS_NODISCARD hs_error *hs_sticky_open(hs_server *srv, hs_arena *a);
void hs_sticky_close(hs_server *srv);
bool hs_sticky_enabled(const hs_server *srv);

/* With a soft-failed event: remembered for the time when it may count. It stays out of the timeline, and in the graph
 * it is what it was. */
HS_NODISCARD hs_error *hs_sticky_soft(hs_server *srv, hs_write *w, const hs_stored *e);

struct hs_room_write;
struct hs_event_rows_in;
/* The unit's newest event has changed the room's state: what had soft-failed and passes now counts from here on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sticky_recheck(struct hs_room_write *w, const struct hs_event_rows_in *in);

/* What the store has from before the start: once, before the first look. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sticky_ready(hs_server *srv, hs_arena *a);
/* Does the room have sticky events later than a position that have not expired? By memory alone. */
bool hs_sticky_later(const hs_server *srv, hs_nid room, int64_t after);
/* Those of the rooms in (after, upto], by position, at most `limit`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sticky_read(hs_server *srv, hs_arena *a, const hs_nid *rooms, size_t n,
                                                  int64_t after, int64_t upto, size_t limit, hs_sticky_row **ret,
                                                  size_t *ret_n);

#endif
