-- What users say of themselves besides name and avatar: a row a field, its value as JSON text.
-- works with: 1
ALTER TABLE profile DROP COLUMN fields;
CREATE TABLE profile_field(user_nid bigint, key text, value bytea NOT NULL, PRIMARY KEY(user_nid, key));
