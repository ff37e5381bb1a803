/* GET /sync: what happened since a token, as one answer. Spec: Client-Server API, "Syncing". */
#ifndef HS_SERVER_SYNC_H
#define HS_SERVER_SYNC_H

#include "core/filter.h"
#include "server/session.h"
#include "server/sync_wait.h"

/* Position of a sync: one stream position, the ephemeral suffix, and how far messages to the device and sticky events
 * were shown, which is less than the position after an answer that could not hold them all. Synapse's tokens parse too.
 */
typedef struct {
    int64_t pos;
    uint64_t boot, serial; /* typing: hs_typing_view; 0: from the start */
    int64_t to_device, sticky;
} hs_sync_token;
HS_NODISCARD hs_error *hs_sync_token_read(hs_arena *a, hs_str s, hs_sync_token *ret);
HS_NODISCARD hs_error *hs_sync_token_write(hs_arena *a, const hs_sync_token *t, hs_str *ret);

/* ── filters ── compiled once, shared by equal requests */
typedef struct {
    uint32_t refs;
    uint64_t id; /* equal for equal filters */
    hs_filter filter;
    hs_arena *arena;
} hs_sync_filter;

/* `s` is the parameter: p NULL for none, JSON when it begins with a brace, else the id of a stored filter (400
 * M_INVALID_PARAM when there is no such). Held by `a`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_filter_get(hs_server *srv, const hs_session *who, hs_arena *a, hs_str s,
                                                      hs_sync_filter **ret);
hs_sync_filter *hs_sync_filter_ref(hs_sync_filter *f);
void hs_sync_filter_unref(hs_sync_filter *f);
void hs_sync_filters_close(hs_server *srv);

typedef struct {
    bool has_since;
    hs_sync_token since;
    bool full_state;
    const char *state_after; /* the name by which the state at the timeline's end is given; NULL: the state before it */
    const hs_filter *filter;
    uint64_t filter_id;
    const hs_waiter *woken; /* nothing but what it collected has happened since the token; NULL: look at everything */
} hs_sync_in;

typedef struct {
    hs_sync_token next; /* the token in the answer */
    bool empty;         /* nothing else is in it */
    /* Something is in it that changes without being told: messages to the device and sticky events, which are shown for
     * a time; what is shown of rooms where the user is not joined, which may be redacted there. */
    bool passing;
} hs_sync_made;

/* Writes the answer into b. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync(hs_server *srv, const hs_session *who, hs_arena *a, const hs_sync_in *in,
                                           hs_buf *b, hs_sync_made *ret);
/* The same for a first sync or one of the full state: no older than the moment of asking, but not made anew when it
 * was, or is being, made for the same device (sync_whole.c). The news of before the call are to be here. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_sync_whole(hs_server *srv, const hs_session *who, hs_arena *a,
                                                 const hs_sync_in *in, hs_buf *b);
/* The device goes on from a token: it needs no answer of before any more. */
void hs_sync_answers_taken(hs_server *srv, const hs_session *who, int64_t pos);

#endif
