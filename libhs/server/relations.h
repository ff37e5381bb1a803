/* Relations between events: what an event relates to, what is bundled with it, the rows written for it.
 * Spec: Client-Server API, "Forming relationships between events"; modules "Threading", "Event replacements". */
#ifndef HS_SERVER_RELATIONS_H
#define HS_SERVER_RELATIONS_H

#include "core/filter.h"
#include "server/event_persist.h"
#include "server/room.h"
#include "server/session.h"
#include "server/timeline.h"

/* What content["m.relates_to"] says; rel_type.p NULL: no relation. Pure. */
typedef struct {
    hs_str rel_type, event_id, key;
} hs_relates_to;
hs_relates_to hs_relates_to_read(hs_jv content);

/* Registers the persist hook that writes relation and thread rows. */
HS_NODISCARD hs_error *hs_relations_open(hs_server *srv, hs_arena *a);

/* Before a local event is sent, as Synapse checks it: 400 M_UNKNOWN for a relation to an unknown event, a second thread
 * level, a bad key; 400 M_DUPLICATE_ANNOTATION for the same reaction twice. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_relations_check(hs_server *srv, hs_arena *a, hs_room *room, hs_nid sender,
                                                      hs_str type, hs_jv content);

/* Root of the thread that an event with this content is in; 0: the main timeline. Follows edits and reactions upwards.
 */
HS_NODISCARD HS_SUSPENDS hs_error *hs_thread_of(hs_server *srv, hs_arena *a, hs_room *room, hs_jv content,
                                                hs_nid *ret_root);

/* Which of some events of a room a filter's related_by_senders and related_by_rel_types let through; without them all.
 */
bool hs_relations_filters(const hs_event_filter *f);
HS_NODISCARD HS_SUSPENDS hs_error *hs_relations_filter(hs_server *srv, hs_arena *a, hs_nid room,
                                                       const hs_event_filter *f, hs_stored *const *events, size_t n,
                                                       bool *keep);

typedef struct {
    hs_str room_id, event_id;
    hs_str rel_type, event_type; /* p NULL: any */
    hs_str from, to;             /* tokens; p NULL: none */
    bool forwards, recurse;
    int64_t limit;
} hs_relations_query;

typedef struct {
    hs_room *room;
    hs_dressed parent;  /* of hs_relations_list; not dressed */
    hs_dressed *events; /* in the order asked */
    size_t n;
    hs_str next_batch, prev_batch; /* p NULL: none */
} hs_relations_page;
HS_NODISCARD HS_SUSPENDS hs_error *hs_relations_list(hs_server *srv, const hs_session *who, hs_arena *a,
                                                     const hs_relations_query *in, hs_relations_page *ret);

typedef struct {
    hs_str room_id;
    hs_str from; /* p NULL: newest */
    bool participated;
    int64_t limit;
} hs_threads_query;
HS_NODISCARD HS_SUSPENDS hs_error *hs_threads_list(hs_server *srv, const hs_session *who, hs_arena *a,
                                                   const hs_threads_query *in, hs_relations_page *ret);

#endif
