/* From a raw request target to a route row with decoded parameters: a trie over path segments. Knows nothing of
 * connections. */
#ifndef HS_RUNTIME_HTTP_ROUTER_H
#define HS_RUNTIME_HTTP_ROUTER_H

#include "runtime/http.h"

/* Limits of a target. */
#define HS_PATH_MAX_SEGMENTS 32
#define HS_QUERY_MAX_PAIRS   256

typedef struct hs_router hs_router;
typedef struct {
    const hs_route *route;
    const hs_pair *params; /* in the order of the row's path */
    size_t params_n;
} hs_match;

hs_router *hs_router_open(void); /* NULL without memory */
void hs_router_close(hs_router *r);
/* Adds a set's rows, each once per prefix, under the groups of the mask. Rows are borrowed. A row whose path is
 * malformed, or a second one for the same method, path and group, is an internal error. */
HS_NODISCARD hs_error *hs_router_add(hs_router *r, hs_arena *a, const hs_route_set *set, uint32_t groups);

/* The row for a raw path (no query) among the groups of the mask. Literal segments are compared as they came and win
 * over parameters; a parameter's segment is not empty. HEAD finds the row of GET. 404 M_UNRECOGNIZED: no such path; 405
 * M_UNRECOGNIZED: the path has other methods; 400 M_INVALID_PARAM: a parameter is badly encoded, not UTF-8 or has a
 * NUL. On 404 and 405 *ret is left alone. */
HS_NODISCARD hs_error *hs_router_find(const hs_router *r, hs_arena *a, uint32_t groups, hs_method method, hs_str path,
                                      hs_match *ret);

/* All groups' rows, for `hs routes` and its check: `it` starts at 0. */
bool hs_router_next(const hs_router *r, size_t *it, const hs_route_set **set, const hs_route **row);

/* "a=b&c" to pairs, decoded: '+' is a blank. Too many pairs, bad encoding, bad UTF-8 and NUL are 400 M_INVALID_PARAM.
 */
HS_NODISCARD hs_error *hs_query_decode(hs_arena *a, hs_str query, const hs_pair **ret, size_t *ret_n);
/* One path segment. The result may be `s` itself. */
HS_NODISCARD hs_error *hs_segment_decode(hs_arena *a, hs_str s, hs_str *ret);

#endif
