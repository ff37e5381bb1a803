/* Matrix identifiers: parse and check. Spec: Appendices, "Identifier Grammar". */
#ifndef HS_CORE_IDS_H
#define HS_CORE_IDS_H

#include <hs/arena.h>

#define HS_ID_MAX 255 /* bytes of a whole identifier */

typedef struct {
    hs_str id, local, server; /* without sigil and colon */
} hs_id;

/* '@local:server'. Historical user ids (any bytes but NUL and ':') parse too; hs_user_id_is_strict says whether a new
 * one may look so. */
bool hs_user_id_parse(hs_str s, hs_id *ret);
bool hs_localpart_is_strict(hs_str local); /* a-z 0-9 . _ = - / + */
/* '!opaque:server', or '!hash' (room version 12) with server empty. */
bool hs_room_id_parse(hs_str s, hs_id *ret);
/* '#local:server' */
bool hs_alias_parse(hs_str s, hs_id *ret);
/* '$opaque:server' or '$hash' with server empty. */
bool hs_event_id_parse(hs_str s, hs_id *ret);
/* host, host:port, IPv4, [IPv6]:port */
bool hs_server_name_is_valid(hs_str s);
/* 'mxc://server/media_id' */
bool hs_mxc_parse(hs_str s, hs_str *server, hs_str *media_id);

#endif
