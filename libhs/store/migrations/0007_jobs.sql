-- Jobs: what takes long or comes later, one row each, done in steps by whoever holds the job's shard of the duty "jobs".
-- run_ts: when it is due; of one that has ended: when it did. tries: steps that were begun and whose end nobody has written. single:
-- no second one of its kind and resource meanwhile. Texts are JSON as it came: jsonb refuses a NUL that a reason may hold.
-- works with: 1
ALTER TABLE job ALTER params TYPE text, ALTER progress TYPE text, ALTER result TYPE text,
  ADD COLUMN shard int NOT NULL DEFAULT 0, ADD COLUMN tries int NOT NULL DEFAULT 0, ADD COLUMN single bool NOT NULL DEFAULT false;
DROP INDEX job_due, job_res;
CREATE INDEX job_due ON job(shard, run_ts) WHERE status < 2;
CREATE UNIQUE INDEX job_single ON job(kind, resource) WHERE status < 2 AND single;
CREATE INDEX job_res ON job(resource, run_ts);
CREATE INDEX job_ts ON job(run_ts);
