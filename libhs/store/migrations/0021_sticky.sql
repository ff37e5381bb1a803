-- Sticky events (MSC4354): those that every member is told of, in order of pos, until they expire. soft: it was soft-failed, and counts
-- once it is not any more; pos is 0 until then. They have a table of their own, since an event may be sticky and delete itself too.
-- works with: 1
CREATE TABLE sticky_event(room_nid bigint, event_nid bigint, pos bigint NOT NULL, sender_nid bigint NOT NULL, expires_ts bigint NOT NULL,
  soft boolean NOT NULL, PRIMARY KEY(room_nid, event_nid));
CREATE INDEX sticky_event_pos ON sticky_event(room_nid, pos) WHERE NOT soft;
CREATE INDEX sticky_event_soft ON sticky_event(room_nid, sender_nid) WHERE soft;
CREATE INDEX sticky_event_ts ON sticky_event(expires_ts);
ALTER TABLE event_expiry DROP COLUMN sticky_pos, DROP COLUMN sender_nid;
