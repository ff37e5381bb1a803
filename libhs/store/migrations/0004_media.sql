-- Ids that wait for their content: how many a user has, and which have waited too long.
-- works with: 1
CREATE INDEX media_unused ON media(unused_expires_ts) WHERE unused_expires_ts IS NOT NULL;
