/* Pages for people: made from templates, sent with headers that keep other pages out.
 *
 * A template is HTML with {{ name }}, {% if name %}, {% if not name %}, {% else %}, {% endif %} and {# remarks #}: as
 * much of Jinja as the pages of Synapse's documentation use. What a variable holds is escaped for where it stands: in
 * text, or in an attribute's value between quotes. In an address (href, src, action, formaction) it must begin with a
 * slash, http:// or https://, otherwise # is put in its place. Anywhere else (in a script or style, in a tag, in a
 * value without quotes) a variable is an error of the template. */
#ifndef HS_WORKERS_HTTP_HTML_H
#define HS_WORKERS_HTTP_HTML_H

#include "runtime/http.h"

typedef struct {
    const char *name;
    hs_str value; /* p NULL: not true, and nothing when written; true without a text: HS_S("") */
} hs_html_var;

/* An error of the template is internal, with its line. */
HS_NODISCARD hs_error *hs_html_render(hs_arena *a, hs_str tmpl, const hs_html_var *vars, size_t n, hs_str *ret);

/* Answers with a page of ours: it loads nothing, is framed by nobody, sends forms to this server only. */
HS_NODISCARD hs_error *hs_html_answer(hs_res *r, int status, hs_str page);
/* The same for a page with one script, whose text is given as it stands between its tags. */
HS_NODISCARD hs_error *hs_html_answer_script(hs_res *r, int status, hs_str page, hs_str script);
/* The same for an operator's page, which may have styles and pictures. */
HS_NODISCARD hs_error *hs_html_answer_styled(hs_res *r, int status, hs_str page);
/* A form that was sent from a page of another site. Browsers say so: 403. */
HS_NODISCARD hs_error *hs_html_check_site(hs_req *q);

#endif
