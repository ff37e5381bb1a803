-- The tokens with which an administrator acts as others.
-- works with: 1
CREATE INDEX access_puppet ON access_token(puppet_nid) WHERE puppet_nid IS NOT NULL;
