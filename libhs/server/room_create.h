/* Making rooms. */
#ifndef HS_SERVER_ROOM_CREATE_H
#define HS_SERVER_ROOM_CREATE_H

#include "server/event_persist.h"
#include "server/room_member.h"

typedef struct {
    hs_str visibility, room_alias_name, name, topic, preset, room_version; /* p NULL: not given */
    hs_strs invite;
    hs_jv invite_3pid, initial_state, creation_content, power_level_content_override;
    bool is_direct;
    hs_str txn_id;    /* p NULL: not idempotent */
    bool has_profile; /* how the creator is shown there, instead of the profile */
    hs_str displayname, avatar_url;
    bool never_encrypted;
} hs_room_wish;

/* All initial events are one durable unit. Spec: "Creation". The same (device, txn_id) always gives the same room. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_create(hs_server *srv, const hs_session *who, hs_arena *a,
                                                  const hs_room_wish *in, hs_str *ret_room_id);

/* A room that is not written yet, with a number and, before version 12, an id; then, inside its unit and behind its
 * create event, the rows that every room has. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_room_new(hs_server *srv, hs_arena *a, const hs_roomver *rv, hs_room **ret);
HS_NODISCARD hs_error *hs_room_new_rows(hs_room_write *w, hs_nid creator);

#endif
