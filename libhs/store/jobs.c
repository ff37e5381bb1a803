/* See jobs.h. */
#include "store/jobs.h"

#include "store/statements.h"

/* clang-format off */
#define COLS " j.job_id, j.kind, j.resource, j.run_ts, j.status, j.params, j.progress, j.result, j.error, j.tries"
static const hs_stmt JOB_ADD = {
    .name = "job_add",
    .sql = "INSERT INTO job(job_id, kind, resource, params, shard, run_ts, status, single)"
           " VALUES ($1, $2, $3, $4, $5, hs_now_ms() + $6, 0, $7)"
           " ON CONFLICT (kind, resource) WHERE status < 2 AND single DO NOTHING",
    .params = "ttttinf",
};
static const hs_stmt JOBS_DUE = {
    .name = "jobs_due",
    .sql = "SELECT j.job_id, j.kind, j.resource, j.run_ts, j.status, j.params, j.progress, NULL::text, NULL::text, j.tries"
           " FROM job j WHERE j.shard = $1 AND j.status < 2 AND j.run_ts <= (SELECT hs_now_ms()) AND j.kind = ANY ($2)"
           " ORDER BY j.run_ts LIMIT $3",
    .params = "iTi", .cols = "tttnstttti", .big = "job",
};
static const hs_stmt JOB_BEGIN = {
    .name = "job_begin",
    .sql = "UPDATE job SET status = 1, tries = tries + 1 WHERE job_id = $1 AND status < 2",
    .params = "t", .big = "job",
};
static const hs_stmt JOB_SAVE = {
    .name = "job_save",
    .sql = "UPDATE job SET status = $2, progress = coalesce($3, progress), result = coalesce($4, result), error = $5,"
           " tries = 0, run_ts = hs_now_ms() + $6 WHERE job_id = $1",
    .params = "tstttn", .big = "job",
};
static const hs_stmt JOB_GET = {
    .name = "job_get",
    .sql = "SELECT" COLS " FROM job j WHERE j.job_id = $1",
    .params = "t", .cols = "tttnstttti", .big = "job",
};
#define WANTED " AND ($1 IS NULL OR j.kind = ANY ($1)) AND ($2 = 0 OR (1 << j.status) & $2 <> 0)" \
               " AND j.run_ts <= $3 ORDER BY j.run_ts, j.job_id LIMIT $4"
static const hs_stmt JOBS = {
    .name = "jobs",
    .sql = "SELECT" COLS " FROM job j WHERE true" WANTED,
    .params = "Tini", .cols = "tttnstttti", .big = "job",
};
static const hs_stmt JOBS_OF = {
    .name = "jobs_of_resource",
    .sql = "SELECT" COLS " FROM job j WHERE j.resource = $5" WANTED,
    .params = "Tinit", .cols = "tttnstttti", .big = "job",
};
static const hs_stmt JOBS_EXPIRE = {
    .name = "jobs_expire",
    .sql = "DELETE FROM job WHERE job_id = ANY (ARRAY(SELECT j.job_id FROM job j WHERE j.run_ts < $1 AND j.status >= 2"
           " ORDER BY j.run_ts LIMIT 500))",
    .params = "n", .big = "job",
};
/* clang-format on */

const hs_stmt *const hs_jobs_statements[] = {
    &JOB_ADD, &JOBS_DUE, &JOB_BEGIN, &JOB_SAVE, &JOB_GET, &JOBS, &JOBS_OF, &JOBS_EXPIRE, NULL,
};

hs_error *hs_store_job_add(hs_db *db, hs_arena *a, const hs_job_row *row, int32_t shard, int64_t delay_ms, bool single,
                           bool *ret_added)
{
    uint64_t n;

    HS_TRY(
        hs_db_exec(db, a, &JOB_ADD, &n, row->id, row->kind, row->resource, row->params, shard, delay_ms, (int)single));
    *ret_added = n > 0;
    return NULL;
}

hs_error *hs_store_job_add_with(hs_write *w, const hs_job_row *row, int32_t shard)
{
    return hs_write_before(w, &JOB_ADD, row->id, row->kind, row->resource, row->params, shard, (int64_t)0, 0);
}

static hs_error *read_jobs(const hs_rows *r, hs_arena *a, hs_job_row **ret, size_t *ret_n)
{
    size_t n = hs_rows_count(r);
    hs_job_row *out;

    HS_TRY(hs_alloc(a, n, &out));
    for (size_t i = 0; i < n; i++)
        out[i] = (hs_job_row){ .id = hs_rows_str(r, i, 0),
                               .kind = hs_rows_str(r, i, 1),
                               .resource = hs_rows_str(r, i, 2),
                               .run_ts = hs_rows_i64(r, i, 3),
                               .status = (hs_job_status)hs_rows_i64(r, i, 4),
                               .params = hs_rows_str(r, i, 5),
                               .progress = hs_rows_str(r, i, 6),
                               .result = hs_rows_str(r, i, 7),
                               .error = hs_rows_str(r, i, 8),
                               .tries = (int32_t)hs_rows_i64(r, i, 9) };
    *ret = out;
    *ret_n = n;
    return NULL;
}

hs_error *hs_store_jobs_due(hs_db *db, hs_arena *a, int32_t shard, hs_strs kinds, int32_t limit, hs_job_row **ret,
                            size_t *ret_n)
{
    hs_rows *r;

    HS_TRY(hs_db_query(db, a, &JOBS_DUE, &r, shard, kinds, limit));
    return read_jobs(r, a, ret, ret_n);
}

hs_error *hs_store_job_begin(hs_tx *tx, hs_arena *a, hs_str id, bool *ret_ok)
{
    uint64_t n;

    HS_TRY(hs_tx_exec(tx, a, &JOB_BEGIN, &n, id));
    *ret_ok = n > 0;
    return NULL;
}

hs_error *hs_store_job_save(hs_tx *tx, hs_arena *a, const hs_job_row *row, int64_t delay_ms)
{
    return hs_tx_exec(tx, a, &JOB_SAVE, NULL, row->id, (int32_t)row->status, row->progress, row->result, row->error,
                      delay_ms);
}

hs_error *hs_store_job_get(hs_db *db, hs_arena *a, hs_str id, hs_job_row **ret)
{
    hs_rows *r;
    size_t n;

    HS_TRY(hs_db_query(db, a, &JOB_GET, &r, id));
    HS_TRY(read_jobs(r, a, ret, &n));
    if (!n)
        *ret = NULL;
    return NULL;
}

hs_error *hs_store_jobs(hs_db *db, hs_arena *a, const hs_job_filter *f, hs_job_row **ret, size_t *ret_n)
{
    hs_rows *r;

    if (f->resource.p)
        HS_TRY(hs_db_query(db, a, &JOBS_OF, &r, f->kinds, (int32_t)f->status, f->until_ts, f->limit, f->resource));
    else
        HS_TRY(hs_db_query(db, a, &JOBS, &r, f->kinds, (int32_t)f->status, f->until_ts, f->limit));
    return read_jobs(r, a, ret, ret_n);
}

hs_error *hs_store_jobs_expire(hs_tx *tx, hs_arena *a, int64_t before_ts, uint64_t *ret_n)
{
    return hs_tx_exec(tx, a, &JOBS_EXPIRE, ret_n, before_ts);
}
