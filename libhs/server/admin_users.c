/* See admin_users.h; making and changing a user is admin_user_put.c. */
#include "server/admin_users.h"

#include "core/ids.h"
#include "server/names.h"
#include "store/account_data.h"
#include "store/members.h"
#include "store/names.h"
#include "store/users.h"

#include <stdlib.h>

enum { LIST_MAX = 10000 };

static hs_error *parse_local(hs_server *srv, hs_arena *a, hs_str user_id, const char *foreign, hs_id *ret)
{
    if (!hs_user_id_parse(user_id, ret) || !hs_str_is_utf8(user_id))
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Expected UserID string to start with '@'");
    return hs_str_eq(ret->server, srv->server_name) ? NULL : hs_err(a, 400, HS_M_UNKNOWN, "%s", foreign);
}

hs_error *hs_admin_local(hs_server *srv, hs_arena *a, hs_str user_id, const char *foreign)
{
    hs_id id;

    return parse_local(srv, a, user_id, foreign, &id);
}

hs_error *hs_admin_target(hs_server *srv, hs_arena *a, hs_str user_id, const char *foreign, const char *unknown,
                          hs_session *ret)
{
    hs_account_row *account;
    hs_id id;

    HS_TRY(parse_local(srv, a, user_id, foreign, &id));
    HS_TRY(hs_store_account_find(srv->db, a, id.local, &account));
    if (!account)
        return hs_err(a, 404, HS_M_NOT_FOUND, "%s", unknown);
    *ret = (hs_session){ .user = account->user, .user_id = user_id, .localpart = id.local, .flags = account->flags };
    return NULL;
}

hs_error *hs_admin_users(hs_server *srv, hs_arena *a, hs_user_list_query *q, hs_listed_user **ret, size_t *ret_n,
                         int64_t *ret_total)
{
    if (q->limit > LIST_MAX)
        q->limit = LIST_MAX;
    return hs_store_user_list(srv->db, a, q, ret, ret_n, ret_total);
}

hs_error *hs_admin_user(hs_server *srv, hs_arena *a, hs_str user_id, hs_admin_user_view *ret)
{
    hs_nid user;
    bool found;

    HS_TRY(hs_store_user_details(srv->db, a, user_id, &ret->details, &found));
    if (!found)
        return hs_err(a, 404, HS_M_NOT_FOUND, "User not found");
    user = ret->details.row.user;
    HS_TRY(hs_store_threepids_list(srv->db, a, user, &ret->threepids, &ret->threepids_n));
    return hs_store_external_ids(srv->db, a, user, &ret->external_ids, &ret->external_ids_n);
}

static hs_error *found(hs_arena *a, hs_str user_id)
{
    return user_id.p ? NULL : hs_err(a, 404, HS_M_NOT_FOUND, "User not found");
}

hs_error *hs_admin_user_by_threepid(hs_server *srv, hs_arena *a, hs_str medium, hs_str address, hs_str *ret_user_id)
{
    hs_str canonical = address;
    hs_nid user;

    if (hs_threepid_canonical(a, medium, address, &canonical))
        canonical = address; /* nobody has it, then */
    HS_TRY(hs_store_threepid_user(srv->db, a, medium, canonical, &user));
    if (!user)
        return found(a, (hs_str){ NULL, 0 });
    return hs_user_name(srv, a, user, ret_user_id);
}

hs_error *hs_admin_user_by_external_id(hs_server *srv, hs_arena *a, hs_str provider, hs_str id, hs_str *ret_user_id)
{
    HS_TRY(hs_store_external_id_find(srv->db, a, provider, id, ret_user_id));
    return found(a, *ret_user_id);
}

/* ── what a user has to do with ── */

/* 0 for a name that nobody has. */
static hs_error *find(hs_server *srv, hs_arena *a, hs_str user_id, hs_nid *ret)
{
    *ret = 0;
    return hs_str_is_utf8(user_id) && !memchr(user_id.p, 0, user_id.n) ? hs_user_nid_find(srv, a, user_id, ret) : NULL;
}

hs_error *hs_admin_user_rooms(hs_server *srv, hs_arena *a, hs_str user_id, hs_strs *ret)
{
    hs_nid user;

    HS_TRY(find(srv, a, user_id, &user));
    return hs_store_rooms_of_user(srv->db, a, user, HS_MEMBER_JOIN, ret);
}

static hs_str membership_name(hs_membership m)
{
    switch (m) {
    case HS_MEMBER_JOIN:
        return HS_S("join");
    case HS_MEMBER_INVITE:
        return HS_S("invite");
    case HS_MEMBER_KNOCK:
        return HS_S("knock");
    case HS_MEMBER_BAN:
        return HS_S("ban");
    default:
        return HS_S("leave");
    }
}

static hs_error *room_ids(hs_server *srv, hs_arena *a, const hs_nid *nids, size_t n, hs_str **ret)
{
    HS_TRY(hs_alloc(a, n + 1, ret));
    return hs_store_room_ids(srv->db, a, nids, n, *ret);
}

hs_error *hs_admin_user_memberships(hs_server *srv, hs_arena *a, hs_str user_id, hs_admin_membership **ret,
                                    size_t *ret_n)
{
    hs_admin_membership *out;
    hs_user_room *rows;
    hs_nid user, *nids;
    hs_str *ids;
    size_t n, kept = 0;

    HS_TRY(find(srv, a, user_id, &user));
    HS_TRY(hs_store_user_rooms(srv->db, a, user, ~0u >> 1, &rows, &n));
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].room;
    HS_TRY(room_ids(srv, a, nids, n, &ids));
    for (size_t i = 0; i < n; i++)
        if (ids[i].p)
            out[kept++] = (hs_admin_membership){ ids[i], membership_name(rows[i].membership) };
    *ret = out;
    *ret_n = kept;
    return NULL;
}

static int by_room(const void *x, const void *y)
{
    const hs_account_data_row *p = x, *q = y;

    return p->room != q->room ? (p->room > q->room) - (p->room < q->room) : hs_str_cmp(p->type, q->type);
}

hs_error *hs_admin_user_account_data(hs_server *srv, hs_arena *a, const hs_session *target, hs_admin_account_data **ret,
                                     size_t *ret_n)
{
    hs_admin_account_data *out;
    hs_account_data_row *rows;
    hs_nid *nids;
    hs_str *ids;
    size_t n, kept = 0;

    HS_TRY(hs_store_account_data_after(srv->db, a, target->user, 0, INT64_MAX, &rows, &n));
    qsort(rows, n, sizeof *rows, by_room);
    HS_TRY(hs_alloc(a, n, &nids));
    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        nids[i] = rows[i].room;
    HS_TRY(room_ids(srv, a, nids, n, &ids));
    for (size_t i = 0; i < n; i++)
        if (!rows[i].room || ids[i].p)
            out[kept++] =
                (hs_admin_account_data){ rows[i].room ? ids[i] : (hs_str){ 0 }, rows[i].type, rows[i].content };
    *ret = out;
    *ret_n = kept;
    return NULL;
}
