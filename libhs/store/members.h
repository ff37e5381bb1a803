/* Who is in which room now. Owns: room_member (everybody), user_room (local users: the sync list).
 *
 * Both say the same for a local user, each led by the side it is asked from. They are written after the ticket, in the
 * transaction of the member event. Membership in the past is in the state. */
#ifndef HS_STORE_MEMBERS_H
#define HS_STORE_MEMBERS_H

#include "core/auth.h"
#include "store/write.h"

typedef struct {
    hs_nid room, user;
    hs_membership membership;
    hs_nid event;
    int64_t pos;
} hs_member_row;

HS_NODISCARD hs_error *hs_store_member_put(hs_write *w, uint32_t at, hs_nid room, hs_nid user, hs_membership membership,
                                           hs_nid event);
/* No row any more (a state resolution took the member event away). */
HS_NODISCARD hs_error *hs_store_member_remove(hs_write *w, hs_nid room, hs_nid user);

/* user_room.flags */
enum {
    HS_USER_ROOM_FORGOTTEN = 1,
    HS_USER_ROOM_PARTICIPANT = 2, /* has sent something */
    HS_USER_ROOM_OUT_OF_BAND = 4,
    HS_USER_ROOM_DIRECT = 8,
};

typedef struct {
    hs_nid user, room;
    hs_membership membership;
    hs_nid event, sender; /* the member event and who sent it (kicked or left) */
    int64_t pos;
    int32_t flags;
    hs_str stripped;  /* invite and knock: the stripped state, a JSON array; p NULL: none */
    int64_t left_pos; /* position of the leave or ban that ended the last stay; 0: none */
} hs_user_room;

/* A change of membership: sets membership, event, sender, stripped and pos; left_pos becomes the position for leave and
 * ban after a join and is cleared by a join; FORGOTTEN is as the row says, other flags stay. `pos` and `left_pos` of
 * the row are not read. */
HS_NODISCARD hs_error *hs_store_user_room_put(hs_write *w, uint32_t at, const hs_user_room *row);
/* Sets and clears flags; takes the position, so that syncs see it. */
HS_NODISCARD hs_error *hs_store_user_room_flags(hs_write *w, uint32_t at, hs_nid user, hs_nid room, int32_t set,
                                                int32_t clear);

/* Whether every local user who had to do with the room has forgotten it. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_is_forgotten(hs_db *db, hs_arena *a, hs_nid room, bool *ret);

/* The invited and knocking people of a room and what they were shown of it, the last 1,000: user, room and stripped are
 * filled in; and what they are shown from now on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_stripped_of(hs_db *db, hs_arena *a, hs_nid room, hs_user_room **ret,
                                                        size_t *ret_n);
HS_NODISCARD hs_error *hs_store_stripped_put(hs_write *w, hs_nid user, hs_nid room, hs_str stripped);

/* *ret_found false: never had to do with the room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_room(hs_db *db, hs_arena *a, hs_nid user, hs_nid room,
                                                      hs_user_room *ret, bool *ret_found);
/* The room that `maker` made and is in, and `user` was invited to, rather one that they have not left; 0: none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_room_made_for(hs_db *db, hs_arena *a, hs_nid user, hs_nid maker,
                                                          hs_nid *ret);
/* All rooms of a local user, in order of room number. `memberships`: bits 1 << hs_membership. Forgotten ones are left
 * out. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_rooms(hs_db *db, hs_arena *a, hs_nid user, unsigned memberships,
                                                       hs_user_room **ret, size_t *ret_n);
/* Rows of the user whose position is after `after`, forgotten ones too. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_user_rooms_after(hs_db *db, hs_arena *a, hs_nid user, int64_t after,
                                                             hs_user_room **ret, size_t *ret_n);

/* Current members of a room with one of the memberships (bits), in order of user number. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_members(hs_db *db, hs_arena *a, hs_nid room, unsigned memberships,
                                                    hs_member_row **ret, size_t *ret_n);
/* The first at most `most` of them in the order in which they came, invited ones last. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_members_first(hs_db *db, hs_arena *a, hs_nid room, unsigned memberships,
                                                          size_t most, hs_nid *ret, size_t *ret_n);
/* Membership of some users: ret[i] belongs to users[i], HS_MEMBER_NONE when there is no row. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_members_get(hs_db *db, hs_arena *a, hs_nid room, const hs_nid *users,
                                                        size_t n, hs_membership *ret);
typedef struct {
    int32_t joined, invited, knocked, banned, left, local_joined;
} hs_member_counts;
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_member_counts(hs_db *db, hs_arena *a, hs_nid room, hs_member_counts *ret);
/* Rooms in which both are joined. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_shared_rooms(hs_db *db, hs_arena *a, hs_nid user, hs_nid other,
                                                         hs_nids *ret);
/* Whether they share a room with both joined; ret[i] belongs to others[i]. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_users_share_room(hs_db *db, hs_arena *a, hs_nid user, const hs_nid *others,
                                                             size_t n, bool *ret);
/* Users of our own server, but not the user, joined in a room where the user is joined: whom a profile change is shown
 * to. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_local_neighbours(hs_db *db, hs_arena *a, hs_nid user, hs_nids *ret);

#endif
