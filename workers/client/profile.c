/* Profiles. Spec: Client-Server API, "Profiles". */
#include "server/profile.h"
#include "runtime/http.h"

/* Looking needs a login only where the operator wants it. */
static hs_error *read_profile(hs_req *q, hs_profile *ret)
{
    if (!q->who && q->srv->config->require_auth_for_profile_requests)
        return hs_err(q->a, 401, HS_M_MISSING_TOKEN, "Missing access token");
    return hs_profile_read(q->srv, q->a, q->who, hs_path_param(q, "userId"), ret);
}

/* GET …/profile/{userId} */
static hs_error *get_profile(hs_req *q, hs_res *r)
{
    hs_profile profile;

    HS_TRY(read_profile(q, &profile));
    if (!profile.name.p && !profile.avatar.p && !profile.fields_n)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "Profile was not found");

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_opt_str(j, "displayname", profile.name);
    hs_json_opt_str(j, "avatar_url", profile.avatar);
    for (size_t i = 0; i < profile.fields_n; i++) {
        hs_json_key(j, profile.fields[i].key);
        hs_json_v_raw(j, profile.fields[i].value);
    }
    hs_json_end(j);
    return NULL;
}

/* GET …/profile/{userId}/{keyName}: an unset display name or avatar is {}, any other field is not found. */
static hs_error *get_field(hs_req *q, hs_res *r)
{
    hs_str field = hs_path_param(q, "keyName"), value = { NULL, 0 };
    bool name = hs_str_eq(field, HS_S("displayname")), avatar = hs_str_eq(field, HS_S("avatar_url"));
    hs_profile profile;

    HS_TRY(hs_profile_check_field(q->a, field));
    HS_TRY(read_profile(q, &profile));
    for (size_t i = 0; i < profile.fields_n; i++)
        if (hs_str_eq(profile.fields[i].key, field))
            value = profile.fields[i].value;
    if (!name && !avatar && !value.p)
        return hs_err(q->a, 404, HS_M_NOT_FOUND, "Profile was not found");

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    if (name)
        hs_json_opt_str(j, "displayname", profile.name);
    else if (avatar)
        hs_json_opt_str(j, "avatar_url", profile.avatar);
    else {
        hs_json_key(j, field);
        hs_json_v_raw(j, value);
    }
    hs_json_end(j);
    return NULL;
}

/* PUT …/profile/{userId}/{keyName} */
static hs_error *put_field(hs_req *q, hs_res *r)
{
    hs_str field = hs_path_param(q, "keyName");
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_profile_set(q->srv, q->a, q->who, hs_path_param(q, "userId"), field, hs_jv_get(body, field)));

    hs_res_empty(r);
    return NULL;
}

/* DELETE …/profile/{userId}/{keyName} */
static hs_error *delete_field(hs_req *q, hs_res *r)
{
    HS_TRY(hs_profile_clear(q->srv, q->a, q->who, hs_path_param(q, "userId"), hs_path_param(q, "keyName")));
    hs_res_empty(r);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_profile[] = {
    { HS_GET, "api/v1 r0 v3 unstable", "/profile/{userId}", get_profile, .who = HS_AUTH_OPTIONAL, .guest = true, .rate = HS_RC_PROFILE, .servlet = "ProfileRestServlet" },
    { HS_GET, "api/v1 r0 v3 unstable", "/profile/{userId}/{keyName}", get_field, .who = HS_AUTH_OPTIONAL, .guest = true, .rate = HS_RC_PROFILE, .servlet = "ProfileFieldRestServlet" },
    { HS_PUT, "api/v1 r0 v3 unstable", "/profile/{userId}/{keyName}", put_field, .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "ProfileFieldRestServlet" },
    { HS_DELETE, "api/v1 r0 v3 unstable", "/profile/{userId}/{keyName}", delete_field, .who = HS_AUTH_USER, .guest = true, .rate = HS_RC_MESSAGE, .servlet = "ProfileFieldRestServlet" },
    { HS_GET, "unstable/uk.tcpip.msc4133", "/profile/{userId}/{keyName}", get_field, .who = HS_AUTH_OPTIONAL, .guest = true, .rate = HS_RC_PROFILE, .servlet = "UnstableProfileFieldRestServlet" },
    { HS_PUT, "unstable/uk.tcpip.msc4133", "/profile/{userId}/{keyName}", put_field, .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "UnstableProfileFieldRestServlet" },
    { HS_DELETE, "unstable/uk.tcpip.msc4133", "/profile/{userId}/{keyName}", delete_field, .who = HS_AUTH_USER, .rate = HS_RC_MESSAGE, .servlet = "UnstableProfileFieldRestServlet" },
    { 0 },
};
/* clang-format on */
