-- Sessions of user-interactive authentication that have become too old.
-- works with: 1
CREATE INDEX uia_session_created ON uia_session(created_ts);
