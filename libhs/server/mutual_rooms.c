/* See mutual_rooms.h. */
#include "server/mutual_rooms.h"

#include "core/ids.h"
#include "core/sign.h"
#include "server/names.h"
#include "store/members.h"
#include "store/names.h"

#include <stdlib.h>

enum { PAGE = 100 };

static int by_id(const void *l, const void *r)
{
    return hs_str_cmp(*(const hs_str *)l, *(const hs_str *)r);
}

/* What a user id may look like, old ones included. */
static bool is_printable(hs_str local)
{
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] < 0x21 || local.p[i] > 0x7e)
            return false;
    }
    return local.n > 0;
}

/* A token is the last room id of the page before, so that a page stays where it is whatever rooms come and go. */
static hs_error *read_token(hs_arena *a, hs_str from, hs_str *ret)
{
    bool ok;

    *ret = hs_str_make(NULL, 0);
    if (!from.n)
        return NULL;
    HS_TRY(hs_base64_decode(a, from, true, ret, &ok));
    if (!ok || !hs_str_is_utf8(*ret))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Malformed from token");
    return NULL;
}

hs_error *hs_mutual_rooms(hs_server *srv, const hs_session *who, hs_arena *a, hs_str user_id, hs_str from,
                          hs_mutual_page *ret)
{
    hs_mutual_page out = { 0 };
    hs_nid other = 0;
    hs_nids rooms = { 0 };
    hs_str *ids, after;
    size_t first = 0;
    hs_id id;

    if (!hs_user_id_parse(user_id, &id) || !is_printable(id.local) || !hs_server_name_is_valid(id.server))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Invalid user_id query parameter");
    if (hs_str_eq(user_id, who->user_id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "You cannot request a list of shared rooms with yourself");
    HS_TRY(read_token(a, from, &after));
    HS_TRY(hs_store_users_find(srv->db, a, &user_id, 1, &other));
    if (other)
        HS_TRY(hs_store_shared_rooms(srv->db, a, who->user, other, &rooms));
    HS_TRY(hs_alloc(a, rooms.n, &ids));
    if (rooms.n)
        HS_TRY(hs_store_room_ids(srv->db, a, rooms.at, rooms.n, ids));
    if (rooms.n)
        qsort(ids, rooms.n, sizeof *ids, by_id);
    while (first < rooms.n && after.n && hs_str_cmp(ids[first], after) <= 0)
        first++;
    out.total = rooms.n;
    out.rooms = (hs_strs){ ids + first, rooms.n - first };
    if (out.rooms.n > PAGE) {
        out.rooms.n = PAGE;
        HS_TRY(hs_base64_encode(a, out.rooms.at[PAGE - 1], true, &out.next_batch));
    }
    *ret = out;
    return NULL;
}
