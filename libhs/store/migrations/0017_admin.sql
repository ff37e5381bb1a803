-- What administrators did: a row for each of their requests that acts, written before it does.
-- works with: 1
CREATE TABLE admin_action(action_nid bigint PRIMARY KEY, ts bigint NOT NULL, by_nid bigint NOT NULL, action text NOT NULL, target text NOT NULL,
  ip text, request_id text NOT NULL);
CREATE INDEX admin_action_ts ON admin_action(ts);
-- Whom somebody has invited, which rooms somebody has joined, of late.
CREATE INDEX event_member_by ON event(sender_nid, received_ts) WHERE type = 'm.room.member';
-- Reports, by kind and in order of time.
CREATE INDEX report_ts ON report(kind, ts);
