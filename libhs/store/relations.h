/* What relates to what. Owns: relation, thread.
 *
 * A row of relation is one event that relates to another (its target); redacting the event removes the row. A row of
 * thread exists while the thread has replies. */
#ifndef HS_STORE_RELATIONS_H
#define HS_STORE_RELATIONS_H

#include "store/timeline.h"

typedef struct {
    hs_nid room, target, event, sender;
    hs_str rel_type;
    hs_str key; /* of annotations; p NULL: none */
    int64_t pos, depth;
} hs_relation_row;

/* After the ticket; a thread reply moves its thread too. `pos` of the row is not read. */
HS_NODISCARD hs_error *hs_store_relation_insert(hs_write *w, uint32_t at, const hs_relation_row *row);
/* The relation's event was redacted. */
HS_NODISCARD hs_error *hs_store_relation_remove(hs_write *w, hs_nid room, hs_nid target, hs_str rel_type, hs_nid event);

/* Has the user annotated the target with that event type and key? */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_annotated(hs_db *db, hs_arena *a, hs_nid room, hs_nid target, hs_nid user,
                                                      hs_str type, hs_str key, bool *ret);

/* What is bundled with some events, by target. */
typedef struct {
    hs_nid target, event;
} hs_edit_row; /* the newest edit by the target's own sender and of its type */
typedef struct {
    hs_nid target, event;
    hs_str event_id;
} hs_reference_row; /* oldest first */
typedef struct {
    hs_nid root, last;
    int64_t replies;
    bool participated; /* the viewer has replied */
} hs_thread_row;
typedef struct {
    hs_edit_row *edits;
    hs_reference_row *references;
    hs_thread_row *threads;
    size_t edits_n, references_n, threads_n;
} hs_bundles;
/* rooms[i] is the room of targets[i]. One round trip. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_bundles(hs_db *db, hs_arena *a, hs_nid viewer, const hs_nid *rooms,
                                                    const hs_nid *targets, size_t n, hs_bundles *ret);

/* The newest replies in a thread, newest first, but for those of some users; `ret` has room for `limit`. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_thread_tail(hs_db *db, hs_arena *a, hs_nid room, hs_nid root,
                                                        hs_nids but_of, int32_t limit, hs_nid *ret, int64_t *ret_pos,
                                                        size_t *ret_n);
/* How many replies there are up to a position, but for those of some users. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_thread_count(hs_db *db, hs_arena *a, hs_nid room, hs_nid root,
                                                         hs_nids but_of, int64_t upto, int64_t *ret);

/* Events that relate to the target (recurse: also to those, three levels deep), in topological order: rows between the
 * two points, low exclusive, high exclusive, whose positions are after < pos <= upto. rel_type, type: p NULL: any. */
typedef struct {
    hs_nid room, target;
    hs_str rel_type, type;
    hs_topo low, high;
    int64_t after, upto;
    hs_direction dir;
    bool recurse;
    int32_t limit;
} hs_relation_range;
typedef struct {
    hs_nid event;
    hs_topo at;
} hs_related_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_related(hs_db *db, hs_arena *a, const hs_relation_range *r,
                                                    hs_related_row **ret, size_t *ret_n);

/* Those of the targets that something relates to: of one of these types, by one of these users (none given: any). */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_related_to(hs_db *db, hs_arena *a, hs_nid room, hs_nids targets,
                                                       hs_strs rel_types, hs_strs senders, hs_nids *ret);

/* Threads of a room, the one with the newest reply first: those whose last reply is before `before` (0: all). */
typedef struct {
    hs_nid root;
    int64_t last_pos;
} hs_thread_at;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_threads(hs_db *db, hs_arena *a, hs_nid room, int64_t before, int32_t limit,
                                                    hs_thread_at **ret, size_t *ret_n);

#endif
