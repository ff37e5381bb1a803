-- Purging a room looks for its rows in every table; these had no way to find them.
-- works with: 1
CREATE INDEX account_data_room ON account_data(room_nid, user_nid) WHERE room_nid <> 0;
CREATE INDEX delayed_event_room ON delayed_event(room_nid);
CREATE INDEX report_room ON report(room_nid) WHERE room_nid IS NOT NULL;
