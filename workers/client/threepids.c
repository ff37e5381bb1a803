/* E-mail addresses and phone numbers of an account. Nothing is sent to any, so none can be validated: what would begin
 * that says so, as Synapse does without e-mail. Spec: Client-Server API, "Adding Account Administrative Contact
 * Information". */
#include "server/threepids.h"
#include "runtime/http.h"
#include "server/limiter.h"
#include "server/uia.h"

/* GET …/account/3pid */
static hs_error *get_threepids(hs_req *q, hs_res *r)
{
    hs_threepid_row *ids;
    size_t n;

    HS_TRY(hs_threepids_list(q->srv, q->a, q->who, &ids, &n));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_arr_at(j, "threepids");
    for (size_t i = 0; i < n; i++) {
        hs_json_obj(j);
        hs_json_str(j, "medium", ids[i].medium);
        hs_json_str(j, "address", ids[i].address);
        hs_json_int(j, "validated_at", ids[i].validated_ts);
        hs_json_int(j, "added_at", ids[i].added_ts);
        hs_json_end(j);
    }
    hs_json_end(j);
    hs_json_end(j);
    return NULL;
}

typedef struct {
    hs_str medium, address, id_server;
} address_body;

static const hs_field ADDRESS_BODY[] = {
    HS_NEED_STR(address_body, medium),
    HS_NEED_STR(address_body, address),
    HS_OPT_STR(address_body, id_server),
    { 0 },
};

/* No identity server is asked, so none supports it. */
static void write_unbound(hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_str(j, "id_server_unbind_result", HS_S("no-support"));
    hs_json_end(j);
}

/* POST …/account/3pid/delete */
static hs_error *post_delete(hs_req *q, hs_res *r)
{
    address_body body = { 0 };

    HS_TRY(hs_req_fields(q, ADDRESS_BODY, &body));

    HS_TRY(hs_threepid_remove(q->srv, q->a, q->who, body.medium, body.address));

    write_unbound(r);
    return NULL;
}

/* POST …/account/3pid/unbind */
static hs_error *post_unbind(hs_req *q, hs_res *r)
{
    address_body body = { 0 };

    HS_TRY(hs_req_fields(q, ADDRESS_BODY, &body));
    if (!hs_str_eq(body.medium, HS_S("email")) && !hs_str_eq(body.medium, HS_S("msisdn")))
        return hs_err(q->a, 400, HS_M_BAD_JSON, "medium must be email or msisdn");

    write_unbound(r);
    return NULL;
}

static hs_error *check_secret(hs_req *q, hs_str secret, hs_errcode wrong)
{
    bool good = secret.n > 0 && secret.n <= 255;

    for (size_t i = 0; i < secret.n && good; i++) {
        char c = secret.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(".=_-", c));
    }
    return good ? NULL : hs_err(q->a, 400, wrong, "Invalid client_secret parameter");
}

typedef struct {
    hs_str client_secret, sid;
} add_body;

static const hs_field ADD_BODY[] = {
    HS_NEED_STR(add_body, client_secret),
    HS_NEED_STR(add_body, sid),
    { 0 },
};

static hs_error *none_validated(hs_req *q)
{
    return hs_err(q->a, 400, HS_M_THREEPID_AUTH_FAILED, "No validated 3pid session found");
}

/* POST …/account/3pid/add */
static hs_error *post_add(hs_req *q, hs_res *r)
{
    hs_uia_in in = { .kind = HS_UIA_REAUTH, .method = HS_S("POST"), .path = q->path, .who = q->who };
    add_body body = { 0 };
    hs_uia uia;

    HS_TRY(hs_threepid_check_changes(q->srv, q->a));
    HS_TRY(hs_req_fields(q, ADD_BODY, &body));
    HS_TRY(check_secret(q, body.client_secret, HS_M_BAD_JSON));
    HS_TRY(hs_req_object(q, &in.body));

    HS_TRY(hs_uia_check(q->srv, q->a, &in, &uia));

    if (uia.complete)
        return none_validated(q);
    hs_res_bytes(r, 401, HS_S("application/json"), uia.answer);
    return NULL;
}

/* POST …/account/3pid: the deprecated form. */
static hs_error *post_threepid(hs_req *q, hs_res *r)
{
    hs_jv body, creds;
    add_body in = { 0 };

    (void)r;
    HS_TRY(hs_threepid_check_changes(q->srv, q->a));
    HS_TRY(hs_req_object(q, &body));
    creds = hs_jv_get(body, HS_S("threePidCreds"));
    if (!hs_jv_is(creds))
        creds = hs_jv_get(body, HS_S("three_pid_creds"));
    if (!hs_jv_is(creds))
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing param three_pid_creds");
    HS_TRY(hs_fields_read(q->a, creds, ADD_BODY, &in));
    HS_TRY(check_secret(q, in.client_secret, HS_M_INVALID_PARAM));

    return none_validated(q);
}

/* ── what would send something ── */

/* Counts by who asks and by the address that would be written to. */
static hs_error *use_limit(hs_req *q, hs_str medium, hs_str member)
{
    hs_str key, address;
    hs_jv body;

    HS_TRY(hs_str_cat(q->a, &key, 3, medium, HS_S(" of "), q->client_ip));
    HS_TRY(hs_limit_use(q->srv, q->a, HS_LIMIT_3PID_VALIDATION, key, HS_LIMIT_TAKE));
    if (hs_req_object(q, &body) || !hs_jv_str(hs_jv_get(body, member), &address) || address.n > HS_ADDRESS_MAX)
        return NULL; /* the answer is the same */
    HS_TRY(hs_str_cat(q->a, &key, 3, medium, HS_S(" to "), address));
    return hs_limit_use(q->srv, q->a, HS_LIMIT_3PID_VALIDATION, key, HS_LIMIT_TAKE);
}

static hs_error *register_email(hs_req *q, hs_res *r)
{
    (void)r;
    HS_TRY(use_limit(q, HS_S("email"), HS_S("email")));
    return hs_err(q->a, 400, HS_M_UNKNOWN, "Email-based registration has been disabled on this server");
}

static hs_error *register_msisdn(hs_req *q, hs_res *r)
{
    (void)r;
    HS_TRY(use_limit(q, HS_S("msisdn"), HS_S("phone_number")));
    return hs_err(q->a, 400, HS_M_UNKNOWN, "Registration by phone number is not supported on this homeserver");
}

static hs_error *reset_email(hs_req *q, hs_res *r)
{
    (void)r;
    HS_TRY(use_limit(q, HS_S("email"), HS_S("email")));
    return hs_err(q->a, 400, HS_M_UNKNOWN, "Email-based password resets have been disabled on this server");
}

static hs_error *add_email(hs_req *q, hs_res *r)
{
    (void)r;
    HS_TRY(hs_threepid_check_changes(q->srv, q->a));
    HS_TRY(use_limit(q, HS_S("email"), HS_S("email")));
    return hs_err(q->a, 400, HS_M_THREEPID_MEDIUM_NOT_SUPPORTED,
                  "Adding an email to your account is disabled on this server");
}

static hs_error *add_msisdn(hs_req *q, hs_res *r)
{
    (void)r;
    HS_TRY(use_limit(q, HS_S("msisdn"), HS_S("phone_number")));
    return hs_err(q->a, 400, HS_M_THREEPID_MEDIUM_NOT_SUPPORTED,
                  "Adding phone numbers to user account is not supported by this homeserver");
}

/* clang-format off */
const hs_route hs_routes_threepids[] = {
    { HS_GET, "r0 v3 unstable", "/account/3pid", get_threepids, .who = HS_AUTH_USER, .servlet = "ThreepidRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/3pid", post_threepid, .who = HS_AUTH_USER, .servlet = "ThreepidRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/3pid/add", post_add, .who = HS_AUTH_USER, .rate = HS_RC_LOGIN, .servlet = "ThreepidAddRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/3pid/delete", post_delete, .who = HS_AUTH_USER, .servlet = "ThreepidDeleteRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/3pid/unbind", post_unbind, .who = HS_AUTH_USER, .servlet = "ThreepidUnbindRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/3pid/email/requestToken", add_email, .who = HS_AUTH_NONE, .servlet = "EmailThreepidRequestTokenRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/3pid/msisdn/requestToken", add_msisdn, .who = HS_AUTH_NONE, .servlet = "MsisdnThreepidRequestTokenRestServlet" },
    { HS_POST, "r0 v3 unstable", "/account/password/email/requestToken", reset_email, .who = HS_AUTH_NONE, .servlet = "EmailPasswordRequestTokenRestServlet" },
    { HS_POST, "r0 v3 unstable", "/register/email/requestToken", register_email, .who = HS_AUTH_NONE, .servlet = "EmailRegisterRequestTokenRestServlet" },
    { HS_POST, "r0 v3 unstable", "/register/msisdn/requestToken", register_msisdn, .who = HS_AUTH_NONE, .servlet = "MsisdnRegisterRequestTokenRestServlet" },
    { 0 },
};
/* clang-format on */
