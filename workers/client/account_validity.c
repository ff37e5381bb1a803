/* Renewing an account before its day (account_validity). Synapse's. */
#include "server/account_validity.h"
#include "workers/http/html.h"

#include <time.h>

#define PAGE(title)                                                                                                    \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta "                                                                \
    "charset=\"UTF-8\"><title>Renewal</title></head>\n<body><p>" title "</p></body>\n</html>\n"

/* GET …/account_validity/renew */
static hs_error *get_renew(hs_req *q, hs_res *r)
{
    hs_str token = hs_query(q, "token"), date, page;
    int64_t until;
    char text[16];
    struct tm tm;
    time_t s;

    if (!token.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter 'token'");

    HS_TRY(hs_account_renew(q->srv, q->a, token, &until));

    if (!until)
        return hs_html_answer(r, 404, HS_S(PAGE("Invalid renewal token.")));
    s = (time_t)(until / 1000);
    date = hs_str_make(text, gmtime_r(&s, &tm) ? strftime(text, sizeof text, "%d-%m-%Y", &tm) : 0);
    const hs_html_var vars[] = { { "date", date } };
    HS_TRY(hs_html_render(q->a, HS_S(PAGE("Your account has been renewed and is valid until {{ date }}.")), vars, 1,
                          &page));
    return hs_html_answer(r, 200, page);
}

/* POST …/account_validity/send_mail */
static hs_error *post_send_mail(hs_req *q, hs_res *r)
{
    (void)r;
    return hs_err(q->a, 403, HS_M_FORBIDDEN, "Account renewal via email is disabled on this server.");
}

/* POST /_synapse/admin/v1/account_validity/validity */
static hs_error *post_validity(hs_req *q, hs_res *r)
{
    int64_t until;
    hs_jv body;

    HS_TRY(hs_req_object(q, &body));

    HS_TRY(hs_account_renew_for(q->srv, q->a, body, &until));

    hs_json_out *j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_int(j, "expiration_ts", until);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_account_validity[] = {
    { HS_GET, "r0 v3 unstable", "/account_validity/renew", get_renew, .who = HS_AUTH_NONE, .servlet = "AccountValidityRenewServlet" },
    { HS_POST, "r0 v3 unstable", "/account_validity/send_mail", post_send_mail, .who = HS_AUTH_USER, .servlet = "AccountValiditySendMailServlet" },
    { 0 },
};

const hs_route hs_routes_account_validity_admin[] = {
    { HS_POST, "v1", "/account_validity/validity", post_validity, .who = HS_AUTH_ADMIN, .servlet = "AccountValidityRenewServlet" },
    { 0 },
};
/* clang-format on */
