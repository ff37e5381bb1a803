/* What relates to an event; threads. Spec: Client-Server API, "Relationships API", "Querying threads in a room". */
#include "server/relations.h"

#include "runtime/http.h"

static hs_error *read_limit(hs_req *q, int64_t *limit)
{
    bool has;

    *limit = 5;
    HS_TRY(hs_query_i64(q, "limit", &has, limit));
    if (*limit < 0)
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter limit must be a positive integer.");
    return NULL;
}

static hs_error *answer_relations(hs_req *q, hs_res *r, hs_str rel_type, hs_str event_type)
{
    hs_str dir = hs_query(q, "dir");
    hs_relations_query in = { .room_id = hs_path_param(q, "roomId"),
                              .event_id = hs_path_param(q, "eventId"),
                              .rel_type = rel_type,
                              .event_type = event_type,
                              .from = hs_query(q, "from"),
                              .to = hs_query(q, "to") };
    hs_show how = { .flags = HS_SHOW_ROOM_ID, .now = hs_loop_wall(q->loop) };
    hs_relations_page page;
    hs_json_out *j;

    if (dir.p && !hs_str_eq(dir, HS_S("b")) && !hs_str_eq(dir, HS_S("f")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM, "Query parameter 'dir' must be one of ['b', 'f']");
    in.forwards = hs_str_eq(dir, HS_S("f"));
    HS_TRY(read_limit(q, &in.limit));
    HS_TRY(hs_query_bool(q, "recurse", &in.recurse));
    if (!in.recurse)
        HS_TRY(hs_query_bool(q, "org.matrix.msc3981.recurse", &in.recurse));

    HS_TRY(hs_relations_list(q->srv, q->who, q->a, &in, &page));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_key(j, HS_S("chunk"));
    hs_dressed_show(j, &how, page.events, page.n);
    if (in.recurse)
        hs_json_int(j, "recursion_depth", 3);
    if (hs_str_starts(q->path, HS_S("/_matrix/client/unstable/"))) {
        hs_json_key(j, HS_S("original_event"));
        hs_event_show(j, &how, &page.parent);
    }
    hs_json_opt_str(j, "next_batch", page.next_batch);
    hs_json_opt_str(j, "prev_batch", page.prev_batch);
    hs_json_end(j);
    return NULL;
}

/* GET …/rooms/{roomId}/relations/{eventId} */
static hs_error *get_relations(hs_req *q, hs_res *r)
{
    return answer_relations(q, r, hs_str_make(NULL, 0), hs_str_make(NULL, 0));
}

/* GET …/rooms/{roomId}/relations/{eventId}/{relType} */
static hs_error *get_relations_of_type(hs_req *q, hs_res *r)
{
    return answer_relations(q, r, hs_path_param(q, "relType"), hs_str_make(NULL, 0));
}

/* GET …/rooms/{roomId}/relations/{eventId}/{relType}/{eventType} */
static hs_error *get_relations_of_both(hs_req *q, hs_res *r)
{
    return answer_relations(q, r, hs_path_param(q, "relType"), hs_path_param(q, "eventType"));
}

/* GET …/rooms/{roomId}/threads */
static hs_error *get_threads(hs_req *q, hs_res *r)
{
    hs_str include = hs_query(q, "include");
    hs_threads_query in = { .room_id = hs_path_param(q, "roomId"), .from = hs_query(q, "from") };
    hs_show how = { .flags = HS_SHOW_ROOM_ID, .now = hs_loop_wall(q->loop) };
    hs_relations_page page;
    hs_json_out *j;

    if (include.p && !hs_str_eq(include, HS_S("all")) && !hs_str_eq(include, HS_S("participated")))
        return hs_err(q->a, 400, HS_M_INVALID_PARAM,
                      "Query parameter 'include' must be one of ['all', 'participated']");
    in.participated = hs_str_eq(include, HS_S("participated"));
    HS_TRY(read_limit(q, &in.limit));

    HS_TRY(hs_threads_list(q->srv, q->who, q->a, &in, &page));

    j = hs_res_json(r, 200);
    hs_json_obj(j);
    hs_json_key(j, HS_S("chunk"));
    hs_dressed_show(j, &how, page.events, page.n);
    hs_json_opt_str(j, "next_batch", page.next_batch);
    hs_json_end(j);
    return NULL;
}

/* clang-format off */
const hs_route hs_routes_relations[] = {
    { HS_GET, "v1 unstable", "/rooms/{roomId}/relations/{eventId}", get_relations,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RelationPaginationServlet" },
    { HS_GET, "v1 unstable", "/rooms/{roomId}/relations/{eventId}/{relType}", get_relations_of_type,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RelationPaginationServlet" },
    { HS_GET, "v1 unstable", "/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}", get_relations_of_both,
      .who = HS_AUTH_USER, .guest = true, .servlet = "RelationPaginationServlet" },
    { HS_GET, "v1", "/rooms/{roomId}/threads", get_threads, .who = HS_AUTH_USER, .servlet = "ThreadsServlet" },
    { 0 },
};
/* clang-format on */
