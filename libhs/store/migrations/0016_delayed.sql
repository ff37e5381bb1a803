-- Delayed events (MSC4140): found by their id alone, by the state that they would set, and those that were begun and not ended.
-- status 0: waits; 1: being sent, since claim_ts.
-- works with: 1

ALTER TABLE delayed_event ADD COLUMN claim_ts bigint;
CREATE UNIQUE INDEX delayed_event_id ON delayed_event(delay_id);
CREATE INDEX delayed_event_state ON delayed_event(room_nid, type, state_key) WHERE state_key IS NOT NULL;
CREATE INDEX delayed_event_claimed ON delayed_event(claim_ts) WHERE status = 1;
