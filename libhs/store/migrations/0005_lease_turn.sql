-- hs_lease_turn reads the members once a turn. Under an old snapshot (a backup) their rows have many dead versions, which each read
-- walks: 10 workers leave 36,000 an hour.
-- works with: 1

CREATE OR REPLACE FUNCTION hs_lease_turn(me text, ttl bigint, names text[], sizes int[])
  RETURNS TABLE (duty text, shard int, epoch bigint, keep boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  t bigint; was bigint; d text; size int; mine int; quota int; took bigint; changed boolean := false;
  members lease_member[]; takers text[];
BEGIN
  PERFORM pg_advisory_xact_lock(4);                        -- turns of all workers, one after the other
  t := hs_now_ms();
  SELECT array_agg(m) INTO members FROM lease_member m;
  SELECT m.until_ts INTO was FROM unnest(members) m WHERE m.holder = me;
  INSERT INTO lease_member(holder, until_ts, duties) VALUES (me, t + ttl, names)
    ON CONFLICT (holder) DO UPDATE SET until_ts = excluded.until_ts, duties = excluded.duties;
  IF EXISTS (SELECT FROM unnest(members) m WHERE m.until_ts < t - 3600000) THEN
    DELETE FROM lease_member m WHERE m.until_ts < t - 3600000 AND m.holder <> me;
  END IF;
  FOR i IN 1 .. coalesce(array_length(names, 1), 0) LOOP
    d := names[i];
    size := sizes[i];
    takers := array(SELECT m.holder FROM unnest(members) m WHERE m.until_ts >= t AND d = ANY (m.duties) AND m.holder <> me) || me;
    IF (SELECT count(*) FROM lease l WHERE l.duty = d AND l.shard < size) < size THEN
      INSERT INTO lease(duty, shard, holder, epoch, taken_ts) SELECT d, x.shard, '', 0, t FROM generate_series(0, size - 1) x(shard)
        ON CONFLICT DO NOTHING;
    END IF;
    SELECT y.held, size / y.n + CASE WHEN y.rank <= size % y.n THEN 1 ELSE 0 END INTO mine, quota
      FROM (SELECT x.holder, count(l.shard) AS held, count(*) OVER () AS n,
                   row_number() OVER (ORDER BY count(l.shard) DESC, hashtext(d || ' ' || x.holder), x.holder) AS rank
              FROM unnest(takers) x(holder) LEFT JOIN lease l ON l.duty = d AND l.shard < size AND l.holder = x.holder
             GROUP BY x.holder) y
     WHERE y.holder = me;
    -- Who comes late itself leaves the others one turn to show that they live: after an outage of this server nobody does.
    IF mine < quota AND coalesce(was >= t, true) THEN
      UPDATE lease l SET holder = me, epoch = l.epoch + 1, taken_ts = t
        FROM (SELECT f.shard FROM lease f WHERE f.duty = d AND f.shard < size AND f.holder <> ALL (takers)
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
