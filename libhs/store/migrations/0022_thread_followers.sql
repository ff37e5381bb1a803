-- Who follows a thread, for the push rules that ask.
-- works with: 1
CREATE INDEX thread_sub_root ON thread_sub(room_nid, root_nid) INCLUDE (user_nid) WHERE subscribed;
