/* Room aliases and the list of public rooms. Owns: alias. Reads published and room_summary for the list. */
#ifndef HS_STORE_DIRECTORY_H
#define HS_STORE_DIRECTORY_H

#include "store/write.h"

typedef struct {
    hs_nid room; /* 0: not found */
    hs_str room_id;
    hs_nid creator; /* 0: not known */
    hs_strs servers;
} hs_alias_row;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_alias_get(hs_db *db, hs_arena *a, hs_str alias, hs_alias_row *ret);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_aliases_of(hs_db *db, hs_arena *a, hs_nid room, hs_strs *ret);
typedef struct {
    hs_str alias;
    hs_nid room, creator;
    int32_t most; /* that a room may have */
} hs_alias_new;
/* *ret_full: the room has `most`. Otherwise *ret_added false: the alias is taken. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_alias_add(hs_db *db, hs_arena *a, const hs_alias_new *in, bool *ret_added,
                                                      bool *ret_full);
/* In a unit; HS_WRITE_CONFLICT when it is taken. */
HS_NODISCARD hs_error *hs_store_alias_insert(hs_write *w, hs_str alias, hs_nid room, hs_nid creator);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_alias_remove(hs_db *db, hs_arena *a, hs_str alias, bool *ret_removed);
/* All aliases of a room lead to another one. */
HS_NODISCARD hs_error *hs_store_aliases_move(hs_write *w, hs_nid from, hs_nid to);

/* One room of the list; strings p NULL: none. */
typedef struct {
    hs_nid room;
    hs_str room_id, name, topic, canonical_alias, avatar, join_rules, history_visibility, guest_access, room_type;
    int64_t joined;
} hs_public_row;

/* Where a page begins: after (or, going backwards, before) the room with this many members. */
typedef struct {
    int64_t joined;
    hs_nid room;
} hs_public_mark;

typedef struct {
    const hs_public_mark *from; /* NULL: the start */
    bool backwards;             /* the rows before `from`; in the order of the list all the same */
    hs_str search;              /* p NULL: none; plain text, found anywhere in name, topic or alias */
    bool by_type, untyped;      /* by_type: only rooms of `types`, and rooms without a type if `untyped` */
    hs_strs types;
    int32_t limit;
} hs_public_filter;
/* Published rooms that anybody can join, knock on or read, largest first; how many there are, whatever is searched. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_public_rooms(hs_db *db, hs_arena *a, const hs_public_filter *f,
                                                         hs_public_row **ret, size_t *ret_n);
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_public_count(hs_db *db, hs_arena *a, const hs_public_filter *f,
                                                         int64_t *ret);

#endif
