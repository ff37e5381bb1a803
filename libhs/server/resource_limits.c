/* See resource_limits.h. */
#include "server/resource_limits.h"

#include "base/json_out.h"
#include "server/resource_notices.h"
#include "server/threepids.h"
#include "store/monthly_active.h"
#include "store/threepids.h"

#define DAY_MS   (INT64_C(24) * 3600 * 1000)
#define MONTH_MS (30 * DAY_MS)
#define FINE_MS  (INT64_C(3600) * 1000) /* how exactly it is kept when somebody was active */

static bool is_limited(const hs_config *c)
{
    return c->hs_disabled || c->limit_usage_by_mau;
}

static hs_error *refuse(hs_server *srv, hs_arena *a, const char *type, hs_str text)
{
    hs_error *e = hs_err(a, 403, HS_M_RESOURCE_LIMIT_EXCEEDED, "%.*s", HS_FMT(text));
    hs_str contact = srv->config->admin_contact;
    hs_buf b;

    if (e == HS_ERR_NOMEM)
        return e;
    hs_buf_init(&b, a);
    hs_buf_add(&b, HS_S("\"limit_type\":"));
    hs_json_quote(&b, hs_str_c(type));
    hs_buf_add(&b, HS_S(",\"admin_contact\":"));
    if (contact.n)
        hs_json_quote(&b, contact);
    else
        hs_buf_add(&b, HS_S("null"));
    HS_TRY(hs_buf_flatten(&b, &e->extra));
    return e;
}

static hs_error *refuse_disabled(hs_server *srv, hs_arena *a)
{
    return refuse(srv, a, "hs_disabled", srv->config->hs_disabled_message);
}

static hs_error *is_full(hs_server *srv, hs_arena *a, bool *ret)
{
    int64_t n = -1;

    if (srv->config->limit_usage_by_mau)
        HS_TRY(hs_store_active_count(srv->db, a, hs_loop_wall(srv->loop) - MONTH_MS, &n));
    *ret = n >= srv->config->max_mau_value;
    return NULL;
}

static hs_error *check_room(hs_server *srv, hs_arena *a)
{
    bool full;

    HS_TRY(is_full(srv, a, &full));
    return full ? refuse(srv, a, "monthly_active_user", HS_S("Monthly Active User Limit Exceeded")) : NULL;
}

/* Does one of the user's addresses stand in mau_limit_reserved_threepids? */
static hs_error *is_reserved(hs_server *srv, hs_arena *a, hs_nid user, bool *ret)
{
    hs_jv list = srv->config->mau_reserved_threepids;
    hs_str medium, address;
    hs_threepid_row *has;
    size_t n;

    *ret = false;
    if (hs_jv_type_of(list) != HS_JV_ARR)
        return NULL;
    HS_TRY(hs_store_threepids_list(srv->db, a, user, &has, &n));
    for (hs_jv_iter it = { 0 }; !*ret && hs_jv_next(list, &it);) {
        if (!hs_jv_str(hs_jv_get(it.value, HS_S("medium")), &medium) ||
            !hs_jv_str(hs_jv_get(it.value, HS_S("address")), &address) ||
            hs_threepid_canonical(a, medium, address, &address))
            continue;
        for (size_t i = 0; i < n; i++)
            *ret = *ret || (hs_str_eq(has[i].medium, medium) && hs_str_eq(has[i].address, address));
    }
    return NULL;
}

/* *ret_counts: the user is one of those who are counted, so that the time is to be kept. */
static hs_error *check(hs_server *srv, hs_arena *a, hs_nid user, hs_activity *ret, bool *ret_counts)
{
    const hs_config *c = srv->config;
    int64_t now = hs_loop_wall(srv->loop);
    bool found, reserved;

    *ret_counts = false;
    HS_TRY(hs_store_activity(srv->db, a, user, ret, &found));
    if (!found || hs_str_eq(ret->kind, HS_S("support")))
        return NULL;
    if (c->hs_disabled)
        return refuse_disabled(srv, a);
    if (ret->active_ts <= now - MONTH_MS) {
        if (now - ret->created_ts < c->mau_trial_days * DAY_MS)
            return NULL;
        HS_TRY(is_reserved(srv, a, user, &reserved));
        if (!reserved)
            HS_TRY(check_room(srv, a));
    }
    *ret_counts = !(ret->flags & HS_ACCOUNT_GUEST);
    return NULL;
}

hs_error *hs_resource_check(hs_server *srv, hs_arena *a, hs_nid user)
{
    int64_t now = hs_loop_wall(srv->loop);
    bool counts, first, full;
    hs_activity is;

    if (!is_limited(srv->config))
        return NULL;
    HS_TRY(check(srv, a, user, &is, &counts));
    if (!counts || is.active_ts > now - FINE_MS)
        return NULL;
    HS_TRY(hs_store_active_set(srv->db, a, user, now, now - FINE_MS, &first));
    if (!first)
        return NULL;
    HS_TRY(is_full(srv, a, &full));
    hs_resource_tell(srv, a, user, full);
    return NULL;
}

hs_error *hs_resource_check_login(hs_server *srv, hs_arena *a, hs_nid user)
{
    hs_activity is;
    bool counts;

    return is_limited(srv->config) ? check(srv, a, user, &is, &counts) : NULL;
}

hs_error *hs_resource_check_new(hs_server *srv, hs_arena *a)
{
    return srv->config->hs_disabled ? refuse_disabled(srv, a) : check_room(srv, a);
}
