/* Room aliases and the list of public rooms. */
#ifndef HS_SERVER_DIRECTORY_H
#define HS_SERVER_DIRECTORY_H

#include "server/room.h"
#include "server/session.h"

/* What Synapse's alias_creation_rules and room_list_publication_rules say: the first that matches decides, none is a
 * no. A rule about aliases matches when one of them does. */
bool hs_directory_allows(const hs_config_rules *rules, hs_str user_id, hs_str room_id, const hs_strs *aliases);

/* 404 M_NOT_FOUND when there is no such alias. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_alias_get(hs_server *srv, hs_arena *a, hs_str alias, hs_str *ret_room_id,
                                                hs_strs *ret_servers);
HS_NODISCARD HS_SUSPENDS hs_error *hs_alias_put(hs_server *srv, const hs_session *who, hs_arena *a, hs_str alias,
                                                hs_str room_id);
HS_NODISCARD HS_SUSPENDS hs_error *hs_alias_delete(hs_server *srv, const hs_session *who, hs_arena *a, hs_str alias);
HS_NODISCARD HS_SUSPENDS hs_error *hs_alias_list(hs_server *srv, const hs_session *who, hs_arena *a, hs_str room_id,
                                                 hs_strs *ret);

HS_NODISCARD HS_SUSPENDS hs_error *hs_directory_visibility_get(hs_server *srv, hs_arena *a, hs_str room_id,
                                                               bool *ret_public);
HS_NODISCARD HS_SUSPENDS hs_error *hs_directory_visibility_put(hs_server *srv, const hs_session *who, hs_arena *a,
                                                               hs_str room_id, bool is_public);

typedef struct {
    hs_str room_id, name, topic, canonical_alias, avatar_url, join_rule, room_type; /* p NULL: none */
    int64_t joined;
    bool world_readable, guest_can_join;
} hs_public_room;

typedef struct {
    hs_str server;    /* whose list; n 0: ours */
    int64_t limit;    /* 0: the server's cap, 100 */
    hs_str since;     /* p NULL: from the start */
    hs_str search;    /* p NULL: no search */
    hs_jv room_types; /* array of strings and null; absent: all */
    hs_str network;   /* third_party_instance_id; p NULL: the Matrix network */
    bool all_networks;
} hs_public_query;

typedef struct {
    const hs_public_room *at;
    size_t n;
    hs_str next_batch, prev_batch; /* p NULL: none */
    int64_t total;
} hs_public_page;
HS_NODISCARD HS_SUSPENDS hs_error *hs_public_rooms(hs_server *srv, hs_arena *a, const hs_public_query *in,
                                                   hs_public_page *ret);

#endif
