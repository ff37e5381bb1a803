-- The event of a room that was closest to a time ("jump to date").
-- works with: 1

CREATE INDEX event_ts ON event(room_nid, origin_ts, depth) WHERE line IS NOT NULL;
