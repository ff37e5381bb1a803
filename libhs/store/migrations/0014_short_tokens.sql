-- Secrets that live for a while: which have expired, and whose they are.
-- works with: 1
CREATE INDEX short_token_expires ON short_token(kind, expires_ts);
CREATE INDEX short_token_user ON short_token(user_nid, kind, expires_ts) WHERE user_nid IS NOT NULL;
