/* Making rooms. Spec: Client-Server API, "Creation". */
#include "server/room_create.h"
#include "runtime/http.h"
#include "server/session.h"

static const hs_field CREATE_BODY[] = {
    HS_OPT_STR(hs_room_wish, visibility),
    HS_OPT_STR(hs_room_wish, room_alias_name),
    HS_OPT_STR(hs_room_wish, name),
    HS_OPT_STR(hs_room_wish, topic),
    HS_OPT_STR(hs_room_wish, preset),
    HS_OPT_STR(hs_room_wish, room_version),
    HS_OPT_STRS(hs_room_wish, invite),
    HS_OPT_ARR(hs_room_wish, invite_3pid),
    HS_OPT_ARR(hs_room_wish, initial_state),
    HS_OPT_OBJ(hs_room_wish, creation_content),
    HS_OPT_OBJ(hs_room_wish, power_level_content_override),
    HS_OPT_BOOL(hs_room_wish, is_direct),
    { 0 },
};

/* POST …/createRoom; PUT …/createRoom/{txnId} */
static hs_error *create_room(hs_req *q, hs_res *r)
{
    hs_room_wish in = { 0 };
    hs_str room_id;

    HS_TRY(hs_req_fields(q, CREATE_BODY, &in));
    in.txn_id = hs_path_param(q, "txnId");

    HS_TRY(hs_room_create(q->srv, q->who, q->a, &in, &room_id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "room_id", room_id);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_room_create[] = {
    { HS_POST, "api/v1 r0 v3 unstable", "/createRoom", create_room,
      .who = HS_AUTH_USER, .rate = HS_RC_ROOM_CREATION, .body = HS_KIB(512), .servlet = "RoomCreateRestServlet" },
    { HS_PUT, "api/v1 r0 v3 unstable", "/createRoom/{txnId}", create_room,
      .who = HS_AUTH_USER, .rate = HS_RC_ROOM_CREATION, .body = HS_KIB(512), .servlet = "RoomCreateRestServlet" },
    { 0 },
};
/* clang-format on */
