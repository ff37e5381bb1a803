/* GET and POST /_matrix/consent: the operator's terms, and agreeing to them. Served where a listener has the resource
 * consent. */
#include "server/consent.h"
#include "workers/http/html.h"

static hs_error *need(hs_req *q, const char *name, hs_str *ret)
{
    *ret = hs_query(q, name);
    return ret->p ? NULL : hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter '%s'", name);
}

static hs_error *check_configured(hs_req *q)
{
    return q->srv->config->consent_version.n ? NULL : hs_err(q->a, 404, HS_M_UNRECOGNIZED, "Unrecognized request");
}

static hs_error *get_consent(hs_req *q, hs_res *r)
{
    hs_str version = hs_query(q, "v"), user = hs_query(q, "u"), mac = { 0 }, agreed = { 0 }, tmpl, page;
    hs_nid nid;

    HS_TRY(check_configured(q));
    if (!version.p)
        version = q->srv->config->consent_version;
    if (user.n) {
        HS_TRY(need(q, "h", &mac));
        HS_TRY(hs_consent_visitor(q->srv, q->a, user, mac, &nid, &agreed));
    }
    HS_TRY(hs_consent_page(q->srv, q->a, version, &tmpl));

    const hs_html_var vars[] = {
        { "user", user.p ? user : HS_S("") },
        { "userhmac", mac },
        { "version", version },
        { "has_consented", agreed.p && hs_str_eq(agreed, version) ? HS_S("True") : (hs_str){ 0 } },
        { "public_version", user.n ? (hs_str){ 0 } : HS_S("True") },
    };
    HS_TRY(hs_html_render(q->a, tmpl, vars, sizeof vars / sizeof *vars, &page));

    return hs_html_answer_styled(r, 200, page);
}

static hs_error *post_consent(hs_req *q, hs_res *r)
{
    hs_str version, user, mac, agreed, tmpl, page;
    hs_nid nid;

    HS_TRY(check_configured(q));
    HS_TRY(hs_html_check_site(q));
    HS_TRY(hs_req_form(q));
    HS_TRY(need(q, "v", &version));
    HS_TRY(need(q, "u", &user));
    HS_TRY(need(q, "h", &mac));

    HS_TRY(hs_consent_visitor(q->srv, q->a, user, mac, &nid, &agreed));
    HS_TRY(hs_consent_give(q->srv, q->a, nid, version));
    HS_TRY(hs_consent_page(q->srv, q->a, HS_S("success"), &tmpl));
    HS_TRY(hs_html_render(q->a, tmpl, NULL, 0, &page));

    return hs_html_answer_styled(r, 200, page);
}

/* clang-format off */
const hs_route hs_routes_consent[] = {
    { HS_GET, NULL, "/_matrix/consent", get_consent, .who = HS_AUTH_NONE, .servlet = "ConsentResource" },
    { HS_POST, NULL, "/_matrix/consent", post_consent, .who = HS_AUTH_NONE, .servlet = "ConsentResource" },
    { 0 },
};
/* clang-format on */
