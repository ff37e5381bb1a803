/* Pages for stages of user-interactive authentication that a client does not know. Spec: Client-Server API, "Fallback".
 * The session's id is what a visitor has to know; it stands in the page only. */
#include "server/uia.h"
#include "workers/http/html.h"

#define HEAD(title)                                                                                                    \
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"UTF-8\">"                                              \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>" title                            \
    "</title></head>\n<body>\n"
#define FORM                                                                                                           \
    "{% if error %}<p><strong>Error: {{ error }}</strong></p>{% endif %}\n<form method=\"post\" action=\"{{ here "     \
    "}}\">\n"                                                                                                          \
    "<input type=\"hidden\" name=\"session\" value=\"{{ session }}\">\n"
#define FOOT "</form>\n</body>\n</html>\n"

static const char TERMS[] =
    HEAD("Terms") FORM "<p>To go on, agree to the <a href=\"{{ terms }}\">terms of this server</a>.</p>\n"
                       "<input type=\"submit\" value=\"I agree\">\n" FOOT;

static const char TOKEN[] = HEAD("Registration token") FORM
    "<p><label>Registration token: <input type=\"text\" name=\"token\" autocomplete=\"off\"></label></p>\n"
    "<input type=\"submit\" value=\"Go on\">\n" FOOT;

/* The client that opened the page waits for this. */
#define DONE_SCRIPT                                                                                                    \
    "if (window.onAuthDone) window.onAuthDone();"                                                                      \
    "else if (window.opener && window.opener.postMessage) window.opener.postMessage(\"authDone\", \"*\");"
static const char DONE[] = HEAD("Done") "<p>Thank you. You may close this window and go back to your app.</p>\n"
                                        "<script>" DONE_SCRIPT "</script>\n</body>\n</html>\n";

static hs_error *read_stage(hs_req *q, hs_str *ret_stage, hs_str *ret_session)
{
    *ret_stage = hs_path_param(q, "stagetype");
    *ret_session = hs_query(q, "session");
    if (!ret_session->n)
        return hs_err(q->a, 400, HS_M_UNKNOWN, "No session supplied");
    if (!hs_str_eq(*ret_stage, HS_S("m.login.terms")) && !hs_str_eq(*ret_stage, HS_S("m.login.registration_token")))
        return hs_err(q->a, 404, HS_M_UNKNOWN, "Unknown auth stage type");
    return NULL;
}

static hs_error *show_form(hs_req *q, hs_res *r, hs_str stage, hs_str session, const hs_error *why)
{
    const hs_config *c = q->srv->config;
    bool terms = hs_str_eq(stage, HS_S("m.login.terms"));
    hs_str url, page;

    HS_TRY(hs_str_fmt(q->a, &url, "%.*s_matrix/consent?v=%.*s", HS_FMT(c->public_baseurl), HS_FMT(c->consent_version)));
    const hs_html_var vars[] = {
        { "error", why ? why->message : (hs_str){ 0 } },
        { "here", q->path },
        { "session", session },
        { "terms", url },
    };
    HS_TRY(hs_html_render(q->a, hs_str_c(terms ? TERMS : TOKEN), vars, sizeof vars / sizeof *vars, &page));
    return hs_html_answer(r, 200, page);
}

/* GET …/auth/{stagetype}/fallback/web */
static hs_error *get_page(hs_req *q, hs_res *r)
{
    hs_str stage, session;

    HS_TRY(read_stage(q, &stage, &session));

    return show_form(q, r, stage, session, NULL);
}

/* POST …/auth/{stagetype}/fallback/web */
static hs_error *post_page(hs_req *q, hs_res *r)
{
    hs_str stage, session, token;
    const hs_error *why;

    HS_TRY(hs_html_check_site(q));
    HS_TRY(hs_req_form(q));
    HS_TRY(read_stage(q, &stage, &session));
    token = hs_query(q, "token");
    if (hs_str_eq(stage, HS_S("m.login.registration_token")) && !token.p)
        return hs_err(q->a, 400, HS_M_MISSING_PARAM, "Missing required string query parameter 'token'");

    HS_TRY(hs_uia_page_done(q->srv, q->a, session, stage, token, &why));

    if (why)
        return show_form(q, r, stage, session, why);
    return hs_html_answer_script(r, 200, hs_str_c(DONE), HS_S(DONE_SCRIPT));
}

/* clang-format off */
const hs_route hs_routes_auth_pages[] = {
    { HS_GET, "r0 v3 unstable", "/auth/{stagetype}/fallback/web", get_page, .who = HS_AUTH_NONE, .servlet = "AuthRestServlet" },
    { HS_POST, "r0 v3 unstable", "/auth/{stagetype}/fallback/web", post_page, .who = HS_AUTH_NONE, .rate = HS_RC_REGISTRATION_TOKEN, .servlet = "AuthRestServlet" },
    { 0 },
};
/* clang-format on */
