-- Once-only duties: who takes part, who holds which share, and the check that a holder's writes run into.
-- A worker that takes part has one row in lease_member and renews it every second, by this server's clock: workers' clocks are
-- never compared. A share is held as long as its holder's row is alive, so that renewing is one update however much is held.
-- `epoch` rises whenever a share changes hands, and never falls.
-- works with: 1

DROP TABLE lease;                                          -- of the first release, which never used it
CREATE TABLE lease(duty text, shard int, holder text NOT NULL, epoch bigint NOT NULL, taken_ts bigint NOT NULL,  -- holder '': nobody
  PRIMARY KEY(duty, shard));
CREATE TABLE lease_member(holder text PRIMARY KEY, until_ts bigint NOT NULL, duties text[] NOT NULL);

CREATE FUNCTION hs_now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- One turn of a worker, a second apart: it renews its row, takes what nobody alive holds up to its share, and learns what it holds.
-- keep = false: more than its share, to be given back when its work on it has ended. Shares differ by one at most; the larger ones
-- stay with those who hold most already, so that a steady set of workers moves nothing.
CREATE FUNCTION hs_lease_turn(me text, ttl bigint, names text[], sizes int[])
  RETURNS TABLE (duty text, shard int, epoch bigint, keep boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  t bigint; was bigint; d text; size int; mine int; quota int; took bigint; changed boolean := false;
BEGIN
  PERFORM pg_advisory_xact_lock(4);                        -- turns of all workers, one after the other
  t := hs_now_ms();
  SELECT m.until_ts INTO was FROM lease_member m WHERE m.holder = me;
  INSERT INTO lease_member(holder, until_ts, duties) VALUES (me, t + ttl, names)
    ON CONFLICT (holder) DO UPDATE SET until_ts = excluded.until_ts, duties = excluded.duties;
  DELETE FROM lease_member m WHERE m.until_ts < t - 3600000;
  FOR i IN 1 .. coalesce(array_length(names, 1), 0) LOOP
    d := names[i];
    size := sizes[i];
    INSERT INTO lease(duty, shard, holder, epoch, taken_ts)
      SELECT d, x.shard, '', 0, t FROM generate_series(0, size - 1) x(shard)
       WHERE NOT EXISTS (SELECT FROM lease l WHERE l.duty = d AND l.shard = x.shard)
      ON CONFLICT DO NOTHING;
    SELECT y.held, size / y.n + CASE WHEN y.rank <= size % y.n THEN 1 ELSE 0 END INTO mine, quota
      FROM (SELECT x.holder, x.held, count(*) OVER () AS n,
                   row_number() OVER (ORDER BY x.held DESC, hashtext(d || ' ' || x.holder), x.holder) AS rank
              FROM (SELECT m.holder, (SELECT count(*) FROM lease l WHERE l.duty = d AND l.shard < size AND l.holder = m.holder) AS held
                      FROM lease_member m WHERE m.until_ts >= t AND d = ANY (m.duties)) x) y
     WHERE y.holder = me;
    -- Who comes late itself leaves the others one turn to show that they live: after an outage of this server nobody does.
    IF mine < quota AND coalesce(was >= t, true) THEN
      UPDATE lease l SET holder = me, epoch = l.epoch + 1, taken_ts = t
        FROM (SELECT f.shard FROM lease f
               WHERE f.duty = d AND f.shard < size AND f.holder <> me
                 AND NOT EXISTS (SELECT FROM lease_member m WHERE m.holder = f.holder AND m.until_ts >= t AND d = ANY (m.duties))
               ORDER BY f.shard LIMIT quota - mine
               FOR NO KEY UPDATE SKIP LOCKED) free         -- locked: in use by hs_lease_holds in this moment
       WHERE l.duty = d AND l.shard = free.shard;
      GET DIAGNOSTICS took = ROW_COUNT;
      changed := changed OR took > 0;
    END IF;
    RETURN QUERY SELECT l.duty, l.shard, l.epoch, row_number() OVER (ORDER BY l.shard) <= quota
                   FROM lease l WHERE l.duty = d AND l.shard < size AND l.holder = me ORDER BY l.shard;
  END LOOP;
  IF NOT changed THEN PERFORM set_config('synchronous_commit', 'off', true); END IF;  -- a renewal that a crash undoes only ends sooner
END $$;

-- Whether the share is still the caller's. If so it stays so until the end of this transaction, which may not idle meanwhile.
CREATE FUNCTION hs_lease_holds(d text, s int, e bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('idle_in_transaction_session_timeout', '2000', true);
  PERFORM 1 FROM lease l WHERE l.duty = d AND l.shard = s AND l.epoch = e FOR SHARE;
  RETURN FOUND;
END $$;
CREATE FUNCTION hs_fence(d text, s int, e bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT hs_lease_holds(d, s, e) THEN
    RAISE EXCEPTION USING ERRCODE = 'HS002', MESSAGE = 'the lease has moved on', DETAIL = d || '/' || s || ' epoch ' || e;
  END IF;
  RETURN true;
END $$;
