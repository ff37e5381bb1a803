/* See list.h. */
#include "workers/admin/list.h"

enum { ROWS_MAX = 10000 };

hs_error *hs_admin_page_read(hs_req *q, hs_admin_page *ret)
{
    hs_admin_page p = { .limit = 100 };

    HS_TRY(hs_admin_query_count(q, "from", &p.from));
    HS_TRY(hs_admin_query_count(q, "limit", &p.limit));
    if (p.limit > ROWS_MAX)
        p.limit = ROWS_MAX;
    *ret = p;
    return NULL;
}

static hs_error *bad_order(hs_req *q, const hs_admin_order *orders)
{
    hs_buf b;
    hs_str text;

    hs_buf_init(&b, q->a);
    for (size_t i = 0; orders[i].name; i++) {
        hs_buf_add(&b, i ? HS_S(", '") : HS_S("'"));
        hs_buf_add(&b, hs_str_c(orders[i].name));
        hs_buf_addc(&b, '\'');
    }
    HS_TRY(hs_buf_flatten(&b, &text));
    return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'order_by' must be one of [%.*s]", HS_FMT(text));
}

hs_error *hs_admin_page_order(hs_req *q, const hs_admin_order *orders, const char *by_default, hs_admin_page *io)
{
    hs_str by = hs_query(q, "order_by");
    bool back;

    if (!by.p)
        by = hs_str_c(by_default);
    for (size_t i = 0; orders[i].name; i++) {
        if (!hs_str_eq(by, hs_str_c(orders[i].name)))
            continue;
        HS_TRY(hs_admin_query_dir(q, false, &back));
        io->order = &orders[i];
        io->descending = orders[i].down != back;
        return NULL;
    }
    return bad_order(q, orders);
}

void hs_admin_rows(hs_json_out *j, const char *name, const void *rows, size_t size, size_t n, hs_admin_show *show)
{
    hs_json_arr_at(j, name);
    for (size_t i = 0; i < n; i++)
        show(j, (const char *)rows + i * size);
    hs_json_end(j);
}

bool hs_admin_page_more(const hs_admin_page *p, int64_t total)
{
    return p->from < total && total - p->from > p->limit;
}

void hs_admin_page_answer(hs_res *r, const hs_admin_page *p, const char *name, const void *rows, size_t size, size_t n,
                          int64_t total, hs_admin_show *show)
{
    hs_json_out *j = hs_res_json(r, 200);

    hs_json_obj(j);
    hs_admin_rows(j, name, rows, size, n, show);
    hs_json_int(j, "total", total);
    if (hs_admin_page_more(p, total))
        hs_json_int(j, "next_token", p->from + (int64_t)n);
    hs_json_end(j);
}
