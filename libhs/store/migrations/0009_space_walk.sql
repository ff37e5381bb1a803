-- Walks through spaces that have more pages: rooms still to come as (room, depth), rooms that have been.
-- works with: 1

CREATE TABLE space_walk(token_sha256 bytea PRIMARY KEY, user_nid bigint NOT NULL, params text NOT NULL, queue bigint[] NOT NULL,
  done bigint[] NOT NULL, expires_ts bigint NOT NULL);
CREATE INDEX space_walk_expires ON space_walk(expires_ts);
