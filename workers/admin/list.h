/* Lists in pages, as most of Synapse's admin API has them: ?from=&limit=&order_by=&dir= and an answer with the rows,
 * their total, and a token for the next page when there is one. */
#ifndef HS_WORKERS_ADMIN_LIST_H
#define HS_WORKERS_ADMIN_LIST_H

#include "workers/admin/query.h"

/* A value of order_by and what a list makes of it; the last of a table has no name. */
typedef struct {
    const char *name;
    int order;
    unsigned flag;
    bool down; /* the greatest first unless dir says otherwise */
} hs_admin_order;

typedef struct {
    int64_t from, limit;
    const hs_admin_order *order; /* NULL: the list has one order only */
    bool descending;
} hs_admin_page;

/* ?from=&limit=, 100 rows unless said, at most 10,000. 400 M_INVALID_PARAM, here and below. */
HS_NODISCARD hs_error *hs_admin_page_read(hs_req *q, hs_admin_page *ret);
/* ?order_by=&dir=, the order of this name unless said. dir=b turns an order round. */
HS_NODISCARD hs_error *hs_admin_page_order(hs_req *q, const hs_admin_order *orders, const char *by_default,
                                           hs_admin_page *io);

/* The list `name` of the open object: each of `n` rows of `size` bytes as `show` writes it. */
typedef void hs_admin_show(hs_json_out *j, const void *row);
void hs_admin_rows(hs_json_out *j, const char *name, const void *rows, size_t size, size_t n, hs_admin_show *show);
/* More after this page? */
bool hs_admin_page_more(const hs_admin_page *p, int64_t total);
/* The whole answer: rows, "total", and "next_token" as a number. */
void hs_admin_page_answer(hs_res *r, const hs_admin_page *p, const char *name, const void *rows, size_t size, size_t n,
                          int64_t total, hs_admin_show *show);

#endif
