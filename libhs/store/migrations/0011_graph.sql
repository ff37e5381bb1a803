-- An event may join the graph behind those that follow it already: it is then in the list of what it covers, and no head. A row that stands for
-- an event which had not been seen, or only been seen aside, is filled in by one writer.
-- works with: 1
CREATE OR REPLACE FUNCTION hs_commit(w bigint[], s bigint[], n int, ts bigint, mark bigint, msg bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  first bigint; k int := 1; last int := coalesce(array_length(w, 1), 0);
  h_pos bigint; h_line int; h_snap int; h_event bigint; h_heads bigint[]; h_notify int; h_high int;
  prev bigint[]; heads bigint[]; ev bigint; bad bool;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);    -- this transaction only; hs_flush() makes it durable
  PERFORM pg_advisory_xact_lock(1);                         -- from here to the commit: one at a time
  SELECT q.last_value + q.is_called::int INTO first FROM pos_seq q;
  WHILE k <= last LOOP
    SELECT t.pos, t.line, t.snap, t.event_nid, t.heads, t.n_notify, t.n_high
      INTO h_pos, h_line, h_snap, h_event, h_heads, h_notify, h_high
      FROM timeline t WHERE t.room_nid = w[k] AND t.pos > 0 ORDER BY t.pos DESC LIMIT 1;
    IF h_pos IS NULL THEN bad := w[k + 4] <> -1;            -- a new room has no head
    ELSE                                                    -- rows of this same transaction do not count as moved heads
      bad := h_line <> w[k + 4] OR h_snap <> w[k + 5] OR (w[k + 6] <> 0 AND h_pos <> w[k + 6] AND h_pos < first);
    END IF;
    IF bad THEN RAISE EXCEPTION USING ERRCODE = 'HS001', MESSAGE = 'the head of the room has moved', DETAIL = w[k + 1]::text; END IF;
    ev := w[k + 2];
    prev := w[k + 13 : k + 12 + w[k + 11]];                 -- what is no head once it is in: its parents, seldom others or itself
    IF h_pos IS NULL OR (h_heads IS NULL AND ev <> 0 AND h_event = ANY (prev) AND ev <> ALL (prev)) THEN heads := NULL;  -- the usual case: one head, followed
    ELSE
      heads := array(SELECT x FROM unnest(coalesce(h_heads, array[h_event])) x WHERE x <> ALL (prev));
      IF ev <> 0 AND (ev <> ALL (prev) OR heads = '{}') THEN heads := heads || ev; END IF;
      IF heads = array[ev] THEN heads := NULL; END IF;
    END IF;
    INSERT INTO timeline(room_nid, pos, event_nid, depth, line, snap, heads, delta, n_notify, n_high)
      VALUES (w[k], first + w[k + 1], ev, w[k + 3], w[k + 7]::int, w[k + 8]::int, heads,
              CASE WHEN w[k + 12] > 0 THEN w[k + 13 + w[k + 11] : k + 12 + w[k + 11] + w[k + 12]] END,
              coalesce(h_notify, 0) + w[k + 9]::int, coalesce(h_high, 0) + w[k + 10]::int);
    k := (k + 13 + w[k + 11] + w[k + 12])::int;
  END LOOP;
  FOR j IN 1 .. coalesce(array_length(s, 1), 0) BY 5 LOOP
    INSERT INTO state_past(room_nid, line, until, since, slot, event_nid)
      SELECT s[j], s[j + 1]::int, s[j + 2]::int, coalesce(o.since, 0), s[j + 3], coalesce(o.event_nid, 0)
        FROM (VALUES (1)) one LEFT JOIN state_tip o ON o.room_nid = s[j] AND o.line = s[j + 1]::int AND o.slot = s[j + 3];
    INSERT INTO state_tip(room_nid, line, since, slot, event_nid) VALUES (s[j], s[j + 1]::int, s[j + 2]::int, s[j + 3], s[j + 4])
      ON CONFLICT (room_nid, line, slot) DO UPDATE SET since = excluded.since, event_nid = excluded.event_nid;
  END LOOP;
  INSERT INTO feed(pos, pos_from, ts, mark, msg) VALUES (first + n - 1, first, ts, mark, msg);
  PERFORM setval('pos_seq', first + n - 1);
  RETURN first;
END $$;

-- The row of a stub (16) or an outlier (1) becomes that of the event. For all but the first writer it is as if the row were not new.
CREATE FUNCTION hs_event_fill(a_room bigint, a_event bigint, a_depth bigint, a_origin_ts bigint, a_received_ts bigint, a_sender bigint, a_slot bigint,
  a_line int, a_snap int, a_flags int, a_prev bigint[], a_auth bigint[], a_type text, a_state_key text, a_json bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE event SET depth = a_depth, origin_ts = a_origin_ts, received_ts = a_received_ts, sender_nid = a_sender, slot = a_slot,
      line = NULLIF(a_line, -1), snap = CASE WHEN a_line <> -1 THEN a_snap END, flags = a_flags, prev = a_prev, auth = a_auth,
      type = a_type, state_key = a_state_key, json = a_json
    WHERE room_nid = a_room AND event_nid = a_event AND flags & 17 <> 0;
  IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = 'the event is there already'; END IF;
  RETURN true;
END $$;
