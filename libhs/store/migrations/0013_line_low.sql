-- Nothing begins at a snapshot that was purged: who has read it before the purge finds its line refused, as if its number were taken.
-- works with: 1
CREATE FUNCTION hs_line_insert(a_room bigint, a_line int, a_base int, a_snap int, a_flags int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE a_low int;
BEGIN
  IF a_base <> -1 THEN
    SELECT l.low INTO a_low FROM state_line l WHERE l.room_nid = a_room AND l.line = a_base FOR KEY SHARE;   -- a purge waits for us, or we for it
    IF NOT FOUND OR a_low > a_snap THEN RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'the snapshot is there no longer'; END IF;
  END IF;
  INSERT INTO state_line(room_nid, line, base_line, base_snap, flags)
    VALUES (a_room, a_line, NULLIF(a_base, -1), CASE WHEN a_base <> -1 THEN a_snap END, a_flags);
  RETURN true;
END $$;
