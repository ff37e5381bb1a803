/* Jobs: what takes long or comes later (purges, redaction of all that somebody said, …), done in steps by the workers
 * with the role background.
 *
 * A job is a row: what it is of, what was asked, how far it has come. Its kind has one function, which does one step of
 * no more than about a second and says whether that was all. Between steps the row is saved, and the next job of the
 * shard has its turn, so nobody waits for a long one; after a crash the step that was under way runs again, so a step
 * must be one that may be repeated.
 *
 * Jobs with the same resource (a room, a user) are in the same shard: no two of their steps run at the same time. */
#ifndef HS_SERVER_JOBS_H
#define HS_SERVER_JOBS_H

#include "server/leases.h"
#include "store/jobs.h"

typedef struct hs_job {
    hs_server *srv;
    hs_lease *lease;
    const hs_job_row *row;
    hs_jv params, progress; /* as they were given and last saved; absent: none */
    /* what the step says at its end */
    bool done;
    int64_t wait_ms;      /* before the next step */
    hs_str saved, result; /* JSON objects for progress and result; p NULL: as they were */
} hs_job;

/* One step. An error of the moment (503, 429) is tried again, any other ends the job as failed, with its message. */
typedef hs_error *hs_job_step(hs_job *j, hs_arena *a, void *ud);

/* Is this a refusal that another try may not meet? A step that gives one is run again. */
static inline bool hs_job_tries_again(const hs_error *e)
{
    return e->status == 503 || e->status == 429;
}

HS_NODISCARD hs_error *hs_jobs_open(hs_server *srv, hs_arena *a);
/* Before hs_leases_start. `name` is a literal: it is in the database, and the admin API shows it. */
HS_NODISCARD hs_error *hs_jobs_kind(hs_server *srv, const char *name, hs_job_step *step, void *ud);
void hs_jobs_close(hs_server *srv);

typedef struct {
    const char *kind;
    hs_str resource; /* p NULL: none */
    hs_str params;   /* a JSON object; p NULL: none */
    int64_t delay_ms;
    bool single; /* not while there is one of this kind and resource that has not ended */
} hs_job_wish;
/* Durable when this returns, and begun soon by whoever has the shard. *ret_id p NULL: `single`, and there is one. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_job_add(hs_server *srv, hs_arena *a, const hs_job_wish *in, hs_str *ret_id);
/* The same in a unit, with what else it writes; for a job that has a resource, is due at once and not `single`. Once
 * the unit is written, hs_job_added has it begun soon. *ret_id (may be NULL): of the unit's arena. */
HS_NODISCARD hs_error *hs_job_add_with(hs_write *w, const hs_job_wish *in, hs_str *ret_id);
void hs_job_added(hs_server *srv, const hs_job_wish *in);
/* *ret NULL: there is none with this id and kind. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_job_get(hs_server *srv, hs_arena *a, const char *kind, hs_str id,
                                              hs_job_row **ret);
/* In order of time; no more than 10,000. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_jobs_list(hs_server *srv, hs_arena *a, const hs_job_filter *f, hs_job_row **ret,
                                                size_t *ret_n);
/* Returns when the job has ended. 504 when it has not within `ms`: it goes on. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_job_wait(hs_server *srv, hs_arena *a, hs_str id, int64_t ms, hs_job_row **ret);
/* How the admin API names a status. */
hs_str hs_job_status_name(hs_job_status s);

/* Inside a step. Each of its units and transactions begins with this: nothing is written by who has lost the shard. */
HS_NODISCARD hs_error *hs_job_fence(const hs_job *j, hs_write *w);
HS_NODISCARD HS_SUSPENDS hs_error *hs_job_begin(const hs_job *j, hs_arena *a, hs_tx **ret);
/* Whether the step should go on. */
bool hs_job_goes_on(const hs_job *j);

#endif
