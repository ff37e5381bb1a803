-- When a session's user last showed the password again: ui_auth.session_timeout counts from there, on whichever worker.
-- works with: 1
ALTER TABLE access_token ADD COLUMN validated_ts bigint;
