/* See redact_related.h. A step of the job redacts some of the related events of one type, oldest first; how far it has
 * come is the place of the last in the room, since those that may not be redacted stay where they are. */
#include "server/redact_related.h"

#include "server/cache.h"
#include "server/jobs.h"
#include "server/names.h"
#include "store/relations.h"

#define KIND      "redact_related"
#define WISH      "org.matrix.msc3912.with_relations"
#define AT_ONCE   50
#define TYPES_MAX 20

hs_error *hs_redact_related_read(const hs_server *srv, hs_arena *a, hs_jv *io_content, hs_jv *ret_types)
{
    hs_jv types = hs_jv_get(*io_content, HS_S(WISH));
    hs_json_out j;
    hs_buf b;
    hs_str text;

    *ret_types = (hs_jv){ 0 };
    if (!srv->config->msc3912_enabled || !hs_jv_is(types))
        return NULL;
    if (hs_jv_type_of(types) != HS_JV_ARR || hs_jv_count(types) > TYPES_MAX)
        return hs_err(a, 400, HS_M_BAD_JSON, "'" WISH "' must be a list of no more than %d", TYPES_MAX);
    for (hs_jv_iter it = { 0 }; hs_jv_next(types, &it);)
        if (!hs_jv_str_or_null(it.value).p)
            return hs_err(a, 400, HS_M_BAD_JSON, "'" WISH "' must be a list of strings");
    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    for (hs_jv_iter it = { 0 }; hs_jv_next(*io_content, &it);) {
        if (hs_str_eq(it.key, HS_S(WISH)))
            continue;
        hs_json_key(&j, it.key);
        hs_json_v_raw(&j, hs_jv_raw(it.value));
    }
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &text));
    *ret_types = types;
    return hs_content_parse(a, text, io_content);
}

hs_error *hs_redact_related(hs_server *srv, const hs_session *who, hs_arena *a, const hs_redact *in, hs_jv types)
{
    hs_job_wish wish = { .kind = KIND, .resource = in->room_id };
    hs_json_out j;
    hs_buf b;
    hs_str id;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "event", in->event_id);
    hs_json_str(&j, "user", who->user_id);
    hs_json_raw(&j, "types", hs_jv_raw(types));
    hs_json_raw(&j, "content", hs_jv_raw(in->content));
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &wish.params));
    return hs_job_add(srv, a, &wish, &id);
}

/* ── the job ── */

typedef struct {
    hs_server *srv;
    hs_session who;
    hs_room *room;
    hs_redact redact;
    hs_nid target;
    int64_t type; /* number of the one under way */
    hs_topo after;
} step;

static hs_error *read_step(hs_job *j, hs_arena *a, step *ret)
{
    hs_stored *target;
    hs_topo start = { INT64_MIN, INT64_MIN };

    *ret = (step){ .srv = j->srv, .after = start };
    ret->who.user_id = hs_jv_str_or_null(hs_jv_get(j->params, HS_S("user")));
    ret->redact =
        (hs_redact){ .room_id = j->row->resource, .content = hs_jv_get(j->params, HS_S("content")), .unlimited = true };
    (void)hs_jv_int(hs_jv_get(j->progress, HS_S("type")), &ret->type);
    if (hs_jv_int(hs_jv_get(j->progress, HS_S("depth")), &start.depth) &&
        hs_jv_int(hs_jv_get(j->progress, HS_S("pos")), &start.pos))
        ret->after = start;
    HS_TRY(hs_user_nid(j->srv, a, ret->who.user_id, &ret->who.user));
    HS_TRY(hs_room_find(j->srv, a, ret->redact.room_id, &ret->room));
    if (!ret->room)
        return NULL;
    HS_TRY(hs_event_find(j->srv, a, ret->room->nid, hs_jv_str_or_null(hs_jv_get(j->params, HS_S("event"))), &target));
    ret->target = target ? target->nid : 0;
    return NULL;
}

static hs_error *redact_one(step *s, hs_arena *a, hs_nid nid)
{
    hs_stored *e;
    hs_str id;

    HS_TRY(hs_events_load(s->srv, a, s->room->nid, &nid, 1, &e));
    if (!e || e->redacted_by)
        return NULL;
    s->redact.event_id = e->ev->event_id;
    hs_error *failed = hs_room_redact(s->srv, &s->who, a, &s->redact, &id);
    return failed && failed->status >= 400 && failed->status < 500 && failed->status != 429 ? NULL : failed;
}

static hs_error *save(hs_job *j, hs_arena *a, const step *s, bool new_type)
{
    if (new_type)
        return hs_str_fmt(a, &j->saved, "{\"type\":%lld}", (long long)s->type + 1);
    return hs_str_fmt(a, &j->saved, "{\"type\":%lld,\"depth\":%lld,\"pos\":%lld}", (long long)s->type,
                      (long long)s->after.depth, (long long)s->after.pos);
}

static hs_error *run(hs_job *j, hs_arena *a, void *ud)
{
    static const hs_topo END = { INT64_MAX, INT64_MAX };
    hs_jv type = { 0 };
    hs_related_row *rows;
    int64_t i = 0;
    size_t n;
    step s;

    (void)ud;
    HS_TRY(read_step(j, a, &s));
    for (hs_jv_iter it = { 0 }; hs_jv_next(hs_jv_get(j->params, HS_S("types")), &it); i++)
        if (i == s.type)
            type = it.value;
    if (!hs_jv_is(type) || !s.target) {
        j->done = true;
        return NULL;
    }
    hs_str name = hs_jv_str_or_null(type);
    hs_relation_range range = { .room = s.room->nid,
                                .target = s.target,
                                .rel_type = hs_str_eq(name, HS_S("*")) ? (hs_str){ 0 } : name,
                                .low = s.after,
                                .high = END,
                                .after = INT64_MIN,
                                .upto = INT64_MAX,
                                .dir = HS_FORWARD,
                                .limit = AT_ONCE };
    HS_TRY(hs_store_related(j->srv->db, a, &range, &rows, &n));
    for (size_t k = 0; k < n && hs_job_goes_on(j); k++) {
        HS_TRY(redact_one(&s, a, rows[k].event));
        s.after = rows[k].at;
    }
    return save(j, a, &s, n < AT_ONCE);
}

hs_error *hs_redact_related_open(hs_server *srv)
{
    return hs_jobs_kind(srv, KIND, run, NULL);
}
