/* See auto_join.h. */
#include "server/auto_join.h"

#include "core/ids.h"
#include "server/names.h"
#include "server/room_create.h"

static hs_session session_of(hs_nid user, hs_str user_id)
{
    return (hs_session){
        .user = user,
        .user_id = user_id,
        .localpart = hs_str_first(hs_str_from(user_id, 1), hs_str_find(user_id, ':', 1) - 1),
    };
}

/* Who makes the rooms and invites into them: the configured user, or whoever comes first. */
static hs_error *find_host(hs_server *srv, hs_arena *a, const hs_session *newcomer, hs_session *ret)
{
    hs_str local = srv->config->auto_join_mxid_localpart, id;
    hs_nid user;

    *ret = *newcomer;
    if (!local.n)
        return NULL;
    HS_TRY(hs_str_fmt(a, &id, "@%.*s:%.*s", HS_FMT(local), HS_FMT(srv->server_name)));
    HS_TRY(hs_user_nid(srv, a, id, &user));
    *ret = session_of(user, id);
    return NULL;
}

static hs_error *create(hs_server *srv, hs_arena *a, const hs_session *host, hs_str alias)
{
    hs_room_wish wish = { .preset = srv->config->autocreate_auto_join_room_preset };
    hs_str room_id;
    hs_id id;

    if (!hs_alias_parse(alias, &id) || !hs_str_eq(id.server, srv->server_name))
        return hs_err(a, 404, HS_M_NOT_FOUND, "%.*s is not an alias of this server", HS_FMT(alias));
    wish.room_alias_name = id.local;
    if (!srv->config->autocreate_auto_join_rooms_federated)
        HS_TRY(hs_tape_parse(a, HS_S("{\"m.federate\":false}"), HS_JSON_OBJECT, &wish.creation_content));
    return hs_room_create(srv, host, a, &wish, &room_id);
}

static hs_error *join(hs_server *srv, hs_arena *a, const hs_session *host, const hs_session *newcomer, hs_str room)
{
    hs_member_change invite = { .action = HS_CHANGE_INVITE, .target = newcomer->user_id };
    hs_member_change change = { .action = HS_CHANGE_JOIN };

    HS_TRY(hs_room_resolve(srv, a, room, &change.room_id));
    invite.room_id = change.room_id;
    if (host->user != newcomer->user && !hs_str_eq(srv->config->autocreate_auto_join_room_preset, HS_S("public_chat")))
        HS_TRY(hs_room_member_change(srv, host, a, &invite, NULL));
    return hs_room_member_change(srv, newcomer, a, &change, NULL);
}

static hs_error *enter(hs_server *srv, hs_arena *a, const hs_session *newcomer, hs_str room)
{
    hs_session host;

    HS_TRY(find_host(srv, a, newcomer, &host));
    hs_error *e = join(srv, a, &host, newcomer, room);
    if (!e || e->status != 404 || !srv->config->autocreate_auto_join_rooms)
        return e;
    HS_TRY(create(srv, a, &host, room));
    return host.user == newcomer->user ? NULL : join(srv, a, &host, newcomer, room);
}

void hs_auto_join(hs_server *srv, hs_arena *a, const hs_identity *who)
{
    const hs_config *c = srv->config;
    hs_session newcomer = session_of(who->user, who->user_id);

    if (who->flags & HS_ACCOUNT_GUEST && !c->auto_join_rooms_for_guests)
        return;
    for (size_t i = 0; i < c->auto_join_rooms.n; i++) {
        hs_error *e = enter(srv, a, &newcomer, c->auto_join_rooms.at[i]);
        if (e)
            hs_log_error(srv->log, HS_LOG_WARN, HS_S("-"), "auto_join.failed", e);
    }
}
