/* Jobs: what takes long or comes later. Owns: job. Who runs them is server/jobs.c. Times are PostgreSQL's clock. */
#ifndef HS_STORE_JOBS_H
#define HS_STORE_JOBS_H

#include "store/write.h"

typedef enum { HS_JOB_DUE, HS_JOB_ACTIVE, HS_JOB_COMPLETE, HS_JOB_FAILED } hs_job_status;

typedef struct {
    hs_str id, kind;
    hs_str resource; /* p NULL: none */
    int64_t run_ts;
    hs_job_status status;
    hs_str params, progress, result; /* JSON objects; p NULL: none */
    hs_str error;                    /* p NULL: none */
    int32_t tries;
} hs_job_row;

/* Due in delay_ms. *ret_added false: `single`, and there is one of this kind and resource that has not ended. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_job_add(hs_db *db, hs_arena *a, const hs_job_row *row, int32_t shard,
                                                    int64_t delay_ms, bool single, bool *ret_added);
/* The same in a unit; not for `single` ones. */
HS_NODISCARD hs_error *hs_store_job_add_with(hs_write *w, const hs_job_row *row, int32_t shard);
/* The jobs of a shard that are due and of these kinds, longest due first; without their results. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_jobs_due(hs_db *db, hs_arena *a, int32_t shard, hs_strs kinds,
                                                     int32_t limit, hs_job_row **ret, size_t *ret_n);
/* A step begins. *ret_ok false: it has ended meanwhile. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_job_begin(hs_tx *tx, hs_arena *a, hs_str id, bool *ret_ok);
/* A step has ended: row's status, and its progress, result and error unless p is NULL; due again in delay_ms. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_job_save(hs_tx *tx, hs_arena *a, const hs_job_row *row, int64_t delay_ms);
/* *ret NULL: there is none. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_job_get(hs_db *db, hs_arena *a, hs_str id, hs_job_row **ret);

typedef struct {
    hs_strs kinds;    /* at NULL: any */
    hs_str resource;  /* p NULL: any */
    unsigned status;  /* bits 1 << hs_job_status; 0: any */
    int64_t until_ts; /* run_ts at most; INT64_MAX: any */
    int32_t limit;
} hs_job_filter;
/* In order of run_ts. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_jobs(hs_db *db, hs_arena *a, const hs_job_filter *f, hs_job_row **ret,
                                                 size_t *ret_n);
/* Forgets a slice of what ended before `before_ts`; *ret_n 0: that was all. */
HS_NODISCARD HS_SUSPENDS hs_error *hs_store_jobs_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n);

#endif
