/* Replacing a room by one of another version. Spec: Client-Server API, "Room Upgrades". */
#include "server/room_upgrade.h"
#include "runtime/http.h"

static const hs_field UPGRADE_BODY[] = {
    HS_NEED_STR(hs_upgrade, new_version),
    HS_OPT_ANY(hs_upgrade, additional_creators),
    { 0 },
};

/* POST …/rooms/{roomId}/upgrade */
static hs_error *post_upgrade(hs_req *q, hs_res *r)
{
    hs_upgrade in = { 0 };
    hs_str room_id;

    HS_TRY(hs_req_fields(q, UPGRADE_BODY, &in));
    in.room_id = hs_path_param(q, "roomId");

    HS_TRY(hs_room_upgrade(q->srv, q->who, q->a, &in, &room_id));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_str(j, "replacement_room", room_id);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_room_upgrade[] = {
    { HS_POST, "r0 v3 unstable", "/rooms/{roomId}/upgrade", post_upgrade,
      .who = HS_AUTH_USER, .rate = HS_RC_ROOM_CREATION, .servlet = "RoomUpgradeRestServlet" },
    { 0 },
};
/* clang-format on */
