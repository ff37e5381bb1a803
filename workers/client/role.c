/* The route sets of the client role: a line for each file. */
#include "workers/client/role.h"

#include "workers/http/sets.h"

/* clang-format off */
#define CLIENT(X) \
    X(account) \
    X(account_data) \
    X(account_validity) \
    X(auth_pages) \
    X(capabilities) \
    X(delayed) \
    X(devices) \
    X(directory) \
    X(events) \
    X(filter) \
    X(initial_sync) \
    X(login) \
    X(membership) \
    X(messages) \
    X(mutual_rooms) \
    X(notifications) \
    X(openid) \
    X(presence) \
    X(profile) \
    X(push_rules) \
    X(pushers) \
    X(receipts) \
    X(register) \
    X(relations) \
    X(reports) \
    X(room_create) \
    X(room_send) \
    X(room_state) \
    X(room_upgrade) \
    X(spaces) \
    X(sync) \
    X(thread_subs) \
    X(threepids) \
    X(todevice) \
    X(typing) \
    X(user_directory)
/* Files of workers/admin. */
#define ADMIN(X) \
    X(devices) \
    X(messages) \
    X(purge_history) \
    X(registration_tokens) \
    X(reports) \
    X(room_delete) \
    X(rooms) \
    X(scheduled_tasks) \
    X(server_notices) \
    X(spaces) \
    X(statistics) \
    X(user_account) \
    X(user_info) \
    X(user_redact) \
    X(users) \
    X(version)
/* clang-format on */

#define DECLARE(name) extern const hs_route hs_routes_##name[];
CLIENT(DECLARE)
#define DECLARE_ADMIN(name) extern const hs_route hs_routes_admin_##name[];
ADMIN(DECLARE_ADMIN)
extern const hs_route hs_routes_account_validity_admin[];
extern const hs_route hs_routes_consent[];
extern const hs_route hs_routes_admin_moderation[];
extern const hs_route hs_routes_register_by_secret[];
extern const hs_route hs_routes_unsubscribe[];

#define CLIENT_SET(name) { "/_matrix/client/", hs_routes_##name },
#define ADMIN_SET(name)  { "/_synapse/admin/", hs_routes_admin_##name },

static const hs_route_set SETS[] = {
    CLIENT(CLIENT_SET) ADMIN(ADMIN_SET){ "/_synapse/admin/", hs_routes_register_by_secret },
    { "/_synapse/admin/", hs_routes_account_validity_admin },
    { "/_matrix/client/", hs_routes_admin_moderation },
    { "", hs_routes_unsubscribe },
};

static const hs_route_set CONSENT[] = { { "", hs_routes_consent } };

static const hs_route_group GROUPS[] = {
    { "client", SETS, sizeof SETS / sizeof *SETS },
    { "consent", CONSENT, 1 },
    { "well-known", &hs_http_well_known_routes, 1 },
};

const hs_role hs_role_client = {
    .bit = HS_ROLE_CLIENT,
    .name = "client",
    .groups = GROUPS,
    .groups_n = sizeof GROUPS / sizeof *GROUPS,
};
