-- Reports: what clients say of an event, a room or a user.
-- works with: 1
CREATE SEQUENCE report_seq;
ALTER TABLE report DROP COLUMN content, ADD COLUMN event_id text, ADD COLUMN score bigint;
CREATE INDEX report_by ON report(reporter_nid);
