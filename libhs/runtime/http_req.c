/* What handlers call on requests and answers; all of it without an HTTP engine but the headers, which are in
 * http_h2o.c. */
#include "runtime/http.h"

#include "runtime/http_router.h"

static hs_str find(const hs_pair *pairs, size_t n, const char *name)
{
    hs_str wanted = hs_str_c(name);

    for (size_t i = 0; i < n; i++)
        if (hs_str_eq(pairs[i].name, wanted))
            return pairs[i].value.p ? pairs[i].value : HS_S("");
    return hs_str_make(NULL, 0);
}

hs_str hs_path_param(const hs_req *q, const char *name)
{
    return find(q->params, q->params_n, name);
}

hs_str hs_query(const hs_req *q, const char *name)
{
    return find(q->query, q->query_n, name);
}

hs_error *hs_query_i64(hs_req *q, const char *name, bool *has, int64_t *ret)
{
    hs_str v = hs_query(q, name);

    *has = v.p != NULL;
    if (v.p && !hs_str_to_i64(v, ret))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter %s must be an integer", name);
    return NULL;
}

hs_error *hs_query_bool(hs_req *q, const char *name, bool *ret)
{
    hs_str v = hs_query(q, name);

    if (!v.p)
        return NULL;
    if (!hs_str_eq(v, HS_S("true")) && !hs_str_eq(v, HS_S("false")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Boolean query parameter '%s' must be one of ['true', 'false']",
                      name);
    *ret = v.n == 4;
    return NULL;
}

static hs_error *read_json(hs_req *q, unsigned flags, hs_jv *ret)
{
    if (!q->json_read) {
        if (!q->body.n)
            return hs_err(q->a, 400, HS_M_NOT_JSON, "Content not JSON.");
        HS_TRY(hs_tape_parse(q->a, q->body, flags, &q->json));
        q->json_read = true;
    }
    *ret = q->json;
    return NULL;
}

hs_error *hs_req_object(hs_req *q, hs_jv *ret)
{
    return read_json(q, HS_JSON_OBJECT, ret);
}

hs_error *hs_req_value(hs_req *q, hs_jv *ret)
{
    return read_json(q, 0, ret);
}

hs_error *hs_req_object_or_empty(hs_req *q, hs_jv *ret)
{
    if (!q->json_read && !q->body.n)
        q->body = HS_S("{}");
    return hs_req_object(q, ret);
}

hs_error *hs_req_fields(hs_req *q, const hs_field *fields, void *into)
{
    hs_jv obj;

    HS_TRY(hs_req_object(q, &obj));
    return hs_fields_read(q->a, obj, fields, into);
}

hs_error *hs_req_form(hs_req *q)
{
    const hs_pair *fields;
    hs_pair *all;
    size_t n;

    HS_TRY(hs_query_decode(q->a, q->body, &fields, &n));
    HS_TRY(hs_alloc(q->a, n + q->query_n, &all));
    if (n)
        memcpy(all, fields, n * sizeof *all);
    if (q->query_n)
        memcpy(all + n, q->query, q->query_n * sizeof *all);
    q->query = all;
    q->query_n += n;
    return NULL;
}

hs_json_out *hs_res_json(hs_res *r, int status)
{
    r->status = status;
    r->content_type = HS_S("application/json");
    hs_buf_init(&r->body, r->a);
    hs_json_out_init(&r->json, &r->body);
    return &r->json;
}

void hs_res_empty(hs_res *r)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_json_end(j);
}

void hs_res_bytes(hs_res *r, int status, hs_str content_type, hs_str bytes)
{
    r->status = status;
    r->content_type = content_type;
    hs_buf_init(&r->body, r->a);
    hs_buf_splice(&r->body, bytes);
}

void hs_res_file(hs_res *r, int status, hs_str content_type, int fd, int64_t at, int64_t n)
{
    hs_res_bytes(r, status, content_type, HS_S(""));
    r->has_file = true;
    r->file_fd = fd;
    r->file_at = at;
    r->file_n = n;
}

static bool fits_header(hs_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

hs_error *hs_res_header(hs_res *r, hs_str name, hs_str value)
{
    hs_pair *grown;

    if (!name.n || !fits_header(name) || !fits_header(value))
        return hs_err_internal(r->a, NULL, "a header with control characters: %.*s", HS_FMT(name));
    if (r->headers_n == r->headers_cap) {
        size_t cap = r->headers_cap ? r->headers_cap * 2 : 4;
        HS_TRY(hs_alloc(r->a, cap, &grown));
        if (r->headers_n)
            memcpy(grown, r->headers, r->headers_n * sizeof *grown);
        r->headers = grown;
        r->headers_cap = cap;
    }
    HS_TRY(hs_str_dup(r->a, name, &r->headers[r->headers_n].name));
    HS_TRY(hs_str_dup(r->a, value, &r->headers[r->headers_n].value));
    r->headers_n++;
    return NULL;
}
