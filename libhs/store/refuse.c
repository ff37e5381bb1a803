/* What is said when the database can not do what is asked: to the client that it may come again, to the log once, and
 * to the metrics each time. */
#include "store/handle.h"

#include <stdlib.h>

enum { SAID_AGAIN_MS = 60000 };

static const struct {
    const char *reason;
    int status;
    hs_errcode code;
    int64_t retry_ms;
    const char *text;
} REFUSALS[] = {
    [HS_REFUSED_AWAY] = { "database", 503, HS_M_UNKNOWN, 2000, "The database is not available at the moment" },
    [HS_REFUSED_QUEUE] = { "database_queue", 429, HS_M_LIMIT_EXCEEDED, 1000, "Too Many Requests" },
    [HS_REFUSED_LATE] = { "database_late", 503, HS_M_UNKNOWN, 5000,
                          "The database has not answered: whether this was done is not known yet" },
    [HS_REFUSED_SHORT] = { "database_short", 503, HS_M_UNKNOWN, 10000, "The database is short of space or memory" },
    [HS_REFUSED_BUSY] = { "database_busy", 503, HS_M_UNKNOWN, 2000, "The database is too busy at the moment" },
};

static bool in_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, 2) == 0;
}

bool hs_sqlstate_is_short(const char *sqlstate)
{
    /* insufficient resources; a file that could not be written */
    return in_class(sqlstate, "53") || strcmp(sqlstate, "58030") == 0;
}

bool hs_sqlstate_passes(const char *sqlstate)
{
    /* serialisation, deadlock; lock timeout; statement timeout or cancel; shutting down and starting; a standby */
    return hs_sqlstate_is_short(sqlstate) || in_class(sqlstate, "40") || strcmp(sqlstate, "55P03") == 0 ||
           in_class(sqlstate, "57") || strcmp(sqlstate, "25006") == 0;
}

static hs_error *refusal(hs_arena *a, hs_refusal why)
{
    return hs_err_later(a, REFUSALS[why].status, REFUSALS[why].code, REFUSALS[why].retry_ms, "%s", REFUSALS[why].text);
}

hs_error *hs_db_refuse(hs_db *db, hs_arena *a, hs_refusal why)
{
    hs_metric_add(db->refused, 1, REFUSALS[why].reason);
    return refusal(a, why);
}

hs_error *hs_group_error(hs_arena *a, const hs_group *g)
{
    const char *sqlstate = hs_group_sqlstate(g), *text;

    if (g->refused)
        return refusal(a, HS_REFUSED_QUEUE);
    if (g->away || g->lost)
        return refusal(a, HS_REFUSED_AWAY);
    if (!g->failed)
        return hs_err_internal(a, NULL, "a statement was not run");
    /* Text that is not UTF-8, or holds what PostgreSQL's text cannot. */
    if (strcmp(sqlstate, "22021") == 0)
        return hs_err(a, 400, HS_M_INVALID_PARAM, "Text is not valid UTF-8");
    if (hs_sqlstate_passes(sqlstate))
        return refusal(a, hs_sqlstate_is_short(sqlstate) ? HS_REFUSED_SHORT : HS_REFUSED_BUSY);
    text = PQresultErrorField(g->steps[g->at].res, PG_DIAG_MESSAGE_PRIMARY);
    return hs_err_internal(a, NULL, "statement %s: %s (%s)", g->steps[g->at].s->name, text ? text : "failed", sqlstate);
}

static void say_short(hs_db *db, const hs_group *g)
{
    const char *text = PQresultErrorField(g->steps[g->at].res, PG_DIAG_MESSAGE_PRIMARY);
    int64_t now = hs_loop_now(db->loop);

    if (!db->is_short && (!db->said_at || now - db->said_at >= SAID_AGAIN_MS)) {
        hs_log(db->log, HS_LOG_ERROR, "store.short", "sqlstate=%s reason=\"%s\" answers=503", hs_group_sqlstate(g),
               text ? text : "");
        db->said_at = now;
        db->said_short = true;
    }
    db->is_short = true;
}

void hs_db_note(hs_db *db, const hs_group *g, bool writes)
{
    const char *sqlstate = hs_group_sqlstate(g);

    if (g->failed || g->lost || g->away || g->refused)
        hs_metric_add(db->failures, 1);
    if (g->away || g->lost || g->refused) {
        hs_metric_add(db->refused, 1, REFUSALS[g->refused ? HS_REFUSED_QUEUE : HS_REFUSED_AWAY].reason);
    } else if (g->failed && hs_sqlstate_passes(sqlstate)) {
        hs_metric_add(db->refused, 1,
                      REFUSALS[hs_sqlstate_is_short(sqlstate) ? HS_REFUSED_SHORT : HS_REFUSED_BUSY].reason);
        if (hs_sqlstate_is_short(sqlstate))
            say_short(db, g);
    } else if (!g->failed && !g->aborted && writes && db->is_short) {
        if (db->said_short)
            hs_log(db->log, HS_LOG_INFO, "store.enough", "it writes again");
        db->is_short = db->said_short = false;
    }
}
