/* What this server can do: versions, capabilities; and what it has none of, for clients that ask at their start. */
#include "runtime/http.h"
#include "server/delayed.h"
#include "server/room.h"
#include "server/session.h"

/* Versions of the specification whose promises to clients hold here. */
static const char *const VERSIONS[] = {
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1",  "v1.2",
    "v1.3",   "v1.4",   "v1.5",   "v1.6",   "v1.7",   "v1.8",   "v1.9",   "v1.10",  "v1.11", "v1.12",
};

/* GET /_matrix/client/versions */
static hs_error *get_versions(hs_req *q, hs_res *r)
{
    const hs_config *c = q->srv->config;

    if (!q->who)
        HS_TRY(hs_res_header(r, HS_S("Cache-Control"),
                             HS_S("public, max-age=600, s-maxage=3600, stale-while-revalidate=600")));
    HS_TRY(hs_res_header(r, HS_S("Vary"), HS_S("Authorization")));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "versions");
    for (size_t i = 0; i < sizeof VERSIONS / sizeof *VERSIONS; i++)
        hs_json_v_str(j, hs_str_c(VERSIONS[i]));
    hs_json_end(j);
    hs_json_obj_at(j, "unstable_features");
    hs_json_bool(j, "io.element.e2ee_forced.private", c->encryption_default_invite);
    hs_json_bool(j, "io.element.e2ee_forced.public", c->encryption_default_all);
    hs_json_bool(j, "io.element.e2ee_forced.trusted_private", c->encryption_default_invite);
    hs_json_bool(j, "org.matrix.msc2285.stable", true);
    hs_json_bool(j, "org.matrix.msc2432", true);
    hs_json_bool(j, "org.matrix.msc3026.busy_presence", c->msc3026_enabled);
    hs_json_bool(j, "org.matrix.msc3440.stable", true);
    hs_json_bool(j, "org.matrix.msc3391", c->msc3391_enabled);
    hs_json_bool(j, "org.matrix.msc3771", true);
    hs_json_bool(j, "org.matrix.msc3773", true);
    hs_json_bool(j, "org.matrix.msc3827.stable", true);
    hs_json_bool(j, "org.matrix.msc3874", true);
    hs_json_bool(j, "org.matrix.msc3890", c->msc3890_enabled);
    hs_json_bool(j, "org.matrix.msc3912", c->msc3912_enabled);
    hs_json_bool(j, "org.matrix.msc3981", true);
    hs_json_bool(j, "org.matrix.msc4140", c->max_event_delay_ms > 0);
    hs_json_bool(j, "org.matrix.msc4306", c->msc4306_enabled);
    hs_json_bool(j, "org.matrix.msc4380.stable", true);
    hs_json_bool(j, "uk.half-shot.msc2666.query_mutual_rooms.stable", true);
    hs_json_bool(j, "uk.tcpip.msc4133", true);
    hs_json_bool(j, "uk.tcpip.msc4133.stable", true);
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

static void enabled(hs_json_out *j, const char *name, bool on)
{
    hs_json_obj_at(j, name);
    hs_json_bool(j, "enabled", on);
    hs_json_end(j);
}

static void profile_fields(hs_json_out *j, const hs_config *c)
{
    hs_json_obj_at(j, "m.profile_fields");
    hs_json_bool(j, "enabled", true);
    if (!c->enable_set_displayname || !c->enable_set_avatar_url) {
        hs_json_arr_at(j, "disallowed");
        if (!c->enable_set_displayname)
            hs_json_v_str(j, HS_S("displayname"));
        if (!c->enable_set_avatar_url)
            hs_json_v_str(j, HS_S("avatar_url"));
        hs_json_end(j);
    }
    hs_json_end(j);
}

/* GET …/capabilities */
static hs_error *get_capabilities(hs_req *q, hs_res *r)
{
    const hs_config *c = q->srv->config;

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_obj_at(j, "capabilities");
    hs_json_obj_at(j, "m.room_versions");
    hs_json_str(j, "default", c->default_room_version);
    hs_json_obj_at(j, "available");
    for (const hs_roomver *const *v = hs_roomver_all(); *v; v++) {
        hs_json_key(j, (*v)->name);
        hs_json_v_str(j, (*v)->stable ? HS_S("stable") : HS_S("unstable"));
    }
    hs_json_end(j);
    hs_json_end(j);
    enabled(j, "m.change_password", c->password_enabled && c->password_localdb_enabled);
    enabled(j, "m.set_displayname", c->enable_set_displayname);
    enabled(j, "m.set_avatar_url", c->enable_set_avatar_url);
    enabled(j, "m.3pid_changes", false);
    enabled(j, "m.get_login_token", c->login_via_existing_session);
    profile_fields(j, c);
    if (hs_delayed_enabled(q->srv)) {
        hs_json_obj_at(j, "org.matrix.msc4140.delayed_events");
        hs_json_int(j, "max_delay_ms", c->max_event_delay_ms);
        hs_json_int(j, "max_scheduled", c->max_delayed_events);
        hs_json_end(j);
    }
    if (q->who->flags & HS_ACCOUNT_ADMIN) {
        hs_json_obj_at(j, "m.account_moderation");
        hs_json_bool(j, "suspend", true);
        hs_json_bool(j, "lock", true);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

/* GET …/voip/turnServer: no TURN server is configured. */
static hs_error *get_turn_server(hs_req *q, hs_res *r)
{
    (void)q;
    hs_res_empty(r);
    return NULL;
}

/* GET …/thirdparty/protocols: bridges announce them; there are none. */
static hs_error *get_protocols(hs_req *q, hs_res *r)
{
    (void)q;
    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_capabilities[] = {
    { HS_GET, NULL, "versions", get_versions, .who = HS_AUTH_OPTIONAL, .guest = true, .locked = true, .servlet = "VersionsRestServlet" },
    { HS_GET, "r0 v3 unstable", "/capabilities", get_capabilities, .who = HS_AUTH_USER, .guest = true, .servlet = "CapabilitiesRestServlet" },
    { HS_GET, "r0 v3 unstable", "/thirdparty/protocols", get_protocols, .who = HS_AUTH_USER, .guest = true, .servlet = "ThirdPartyProtocolsServlet" },
    { HS_GET, "api/v1 r0 v3 unstable", "/voip/turnServer", get_turn_server, .who = HS_AUTH_USER, .servlet = "VoipRestServlet" },
    { 0 },
};
/* clang-format on */
