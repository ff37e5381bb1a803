/* Joining, leaving, inviting, kicking, banning, forgetting. Spec: Client-Server API, "Room membership". */
#include "runtime/http.h"
#include "server/limiter.h"
#include "server/room_member.h"

typedef struct {
    hs_str user_id, reason, medium, address;
    hs_jv whole;
} member_body;

static const hs_field MEMBER_BODY[] = {
    HS_OPT_STR(member_body, user_id),
    HS_OPT_STR(member_body, reason),
    HS_OPT_STR(member_body, medium),
    HS_OPT_STR(member_body, address),
    { 0 },
};

static hs_error *read_body(hs_req *q, member_body *ret)
{
    HS_TRY(hs_req_object_or_empty(q, &ret->whole));
    return hs_fields_read(q->a, ret->whole, MEMBER_BODY, ret);
}

static hs_error *join_answer(hs_res *r, hs_str room_id)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_str(j, "room_id", room_id);
    hs_json_end(j);
    return NULL;
}

/* POST …/join/{roomIdOrAlias}, and PUT with a transaction id behind it, as for all here but knocking: the body is the
 * event's content. Whom to ask for a room that is not here (via, server_name) is no matter for one that is. */
static hs_error *do_join_any(hs_req *q, hs_res *r)
{
    hs_member_change in = { .action = HS_CHANGE_JOIN, .txn_id = hs_path_param(q, "txnId") };
    member_body body = { 0 };

    HS_TRY(read_body(q, &body));
    in.content = body.whole;

    HS_TRY(hs_room_resolve(q->srv, q->a, hs_path_param(q, "roomIdOrAlias"), &in.room_id));
    HS_TRY(hs_room_member_change(q->srv, q->who, q->a, &in, NULL));

    return join_answer(r, in.room_id);
}

/* POST …/rooms/{roomId}/join */
static hs_error *do_join(hs_req *q, hs_res *r)
{
    hs_member_change in = { .action = HS_CHANGE_JOIN,
                            .room_id = hs_path_param(q, "roomId"),
                            .txn_id = hs_path_param(q, "txnId") };
    member_body body = { 0 };

    HS_TRY(read_body(q, &body));
    in.reason = body.reason;

    HS_TRY(hs_room_member_change(q->srv, q->who, q->a, &in, NULL));

    return join_answer(r, in.room_id);
}

/* POST …/rooms/{roomId}/leave */
static hs_error *do_leave(hs_req *q, hs_res *r)
{
    hs_member_change in = { .action = HS_CHANGE_LEAVE,
                            .room_id = hs_path_param(q, "roomId"),
                            .txn_id = hs_path_param(q, "txnId") };
    member_body body = { 0 };

    HS_TRY(read_body(q, &body));
    in.reason = body.reason;

    HS_TRY(hs_room_member_change(q->srv, q->who, q->a, &in, NULL));

    hs_res_empty(r);
    return NULL;
}

/* An invitation to an e-mail address or phone number, which nobody could look up. */
static hs_error *refuse_address(hs_req *q)
{
    if (q->srv->config->block_non_admin_invites && !(q->who->flags & HS_ACCOUNT_ADMIN))
        return hs_err(q->a, 403, HS_M_FORBIDDEN, "Invites have been disabled on this server");
    HS_TRY(hs_limit_use_as(q->srv, q->a, HS_LIMIT_THIRD_PARTY_INVITE, q->who, (hs_str){ 0 }, HS_LIMIT_TAKE));
    return hs_err(q->a, 403, HS_M_THREEPID_DENIED, "Third-party identifiers cannot be invited on this server");
}

/* Those that are about somebody else. */
static hs_error *change_other(hs_req *q, hs_res *r, hs_member_action action)
{
    hs_member_change in = { .action = action,
                            .room_id = hs_path_param(q, "roomId"),
                            .txn_id = hs_path_param(q, "txnId") };
    member_body body = { 0 };

    HS_TRY(read_body(q, &body));
    if (action == HS_CHANGE_INVITE && body.medium.p && body.address.p &&
        !(hs_jv_is(hs_jv_get(body.whole, HS_S("id_server"))) &&
          hs_jv_is(hs_jv_get(body.whole, HS_S("id_access_token")))))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM,
                      "`id_server` and `id_access_token` are required when doing 3pid invite");
    if (action == HS_CHANGE_INVITE && body.medium.p && body.address.p)
        return refuse_address(q);
    if (!body.user_id.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing params: ['user_id']");
    in.target = body.user_id;
    in.reason = body.reason;

    HS_TRY(hs_room_member_change(q->srv, q->who, q->a, &in, NULL));

    hs_res_empty(r);
    return NULL;
}

/* POST …/rooms/{roomId}/invite */
static hs_error *do_invite(hs_req *q, hs_res *r)
{
    return change_other(q, r, HS_CHANGE_INVITE);
}

/* POST …/rooms/{roomId}/kick */
static hs_error *do_kick(hs_req *q, hs_res *r)
{
    return change_other(q, r, HS_CHANGE_KICK);
}

/* POST …/rooms/{roomId}/ban */
static hs_error *do_ban(hs_req *q, hs_res *r)
{
    return change_other(q, r, HS_CHANGE_BAN);
}

/* POST …/rooms/{roomId}/unban */
static hs_error *do_unban(hs_req *q, hs_res *r)
{
    return change_other(q, r, HS_CHANGE_UNBAN);
}

/* POST …/knock/{roomIdOrAlias} */
static hs_error *post_knock(hs_req *q, hs_res *r)
{
    hs_member_change in = { .action = HS_CHANGE_KNOCK };
    member_body body = { 0 };

    HS_TRY(read_body(q, &body));
    in.reason = body.reason;

    HS_TRY(hs_room_resolve(q->srv, q->a, hs_path_param(q, "roomIdOrAlias"), &in.room_id));
    HS_TRY(hs_room_member_change(q->srv, q->who, q->a, &in, NULL));

    return join_answer(r, in.room_id);
}

/* POST …/rooms/{roomId}/forget */
static hs_error *do_forget(hs_req *q, hs_res *r)
{
    HS_TRY(hs_room_forget(q->srv, q->who, q->a, hs_path_param(q, "roomId")));

    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
#define PREFIXES "api/v1 r0 v3 unstable"
const hs_route hs_routes_membership[] = {
    { HS_POST, PREFIXES, "/join/{roomIdOrAlias}", do_join_any,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "JoinRoomAliasServlet" },
    { HS_POST, PREFIXES, "/rooms/{roomId}/join", do_join,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_POST, PREFIXES, "/rooms/{roomId}/leave", do_leave,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_POST, PREFIXES, "/rooms/{roomId}/invite", do_invite,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_POST, PREFIXES, "/rooms/{roomId}/kick", do_kick,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_POST, PREFIXES, "/rooms/{roomId}/ban", do_ban,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_POST, PREFIXES, "/rooms/{roomId}/unban", do_unban,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_POST, "r0 v3 unstable", "/knock/{roomIdOrAlias}", post_knock,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "KnockRoomAliasServlet" },
    { HS_POST, "api/v1 r0 v3 unstable", "/rooms/{roomId}/forget", do_forget,
      .who = HS_AUTH_USER, .servlet = "RoomForgetRestServlet" },
    { HS_PUT, PREFIXES, "/join/{roomIdOrAlias}/{txnId}", do_join_any,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "JoinRoomAliasServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/join/{txnId}", do_join,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/leave/{txnId}", do_leave,
      .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/invite/{txnId}", do_invite,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/kick/{txnId}", do_kick,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/ban/{txnId}", do_ban,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/unban/{txnId}", do_unban,
      .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "RoomMembershipRestServlet" },
    { HS_PUT, PREFIXES, "/rooms/{roomId}/forget/{txnId}", do_forget,
      .who = HS_AUTH_USER, .servlet = "RoomForgetRestServlet" },
    { 0 },
};
/* clang-format on */
