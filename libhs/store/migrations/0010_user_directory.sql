-- The user directory: a row for each user who can be found, kept by triggers, so that whatever writes an account or a profile keeps it too.
-- Who may find whom is asked when somebody searches; nothing of that is stored.
-- works with: 1
ALTER TABLE user_directory DROP COLUMN public_rooms;

-- Text as it is indexed and searched: lower case in all scripts, and one form of what looks the same.
CREATE FUNCTION hs_directory_text(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT normalize(lower(coalesce(t, '') COLLATE "und-x-icu"), NFKC)
$$;

-- The user's id counts most, then the name, then the server.
CREATE FUNCTION hs_directory_vector(mxid text, displayname text) RETURNS tsvector LANGUAGE sql IMMUTABLE AS $$
  SELECT setweight(to_tsvector('simple', split_part(substr(mxid, 2), ':', 1)), 'A')
      || setweight(to_tsvector('simple', substr(mxid, strpos(mxid, ':') + 1)), 'D')
      || setweight(to_tsvector('simple', hs_directory_text(displayname)), 'B')
$$;

-- What somebody typed as a query: its first ten words, all of which must be there; as they are, as beginnings, or either.
CREATE FUNCTION hs_directory_query(term text, form text) RETURNS tsquery LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(to_tsquery('simple', string_agg(
           CASE form WHEN 'exact' THEN w.q WHEN 'prefix' THEN w.q || ':*' ELSE '(' || w.q || ':* | ' || w.q || ')' END, ' & ')), ''::tsquery)
    FROM (SELECT '''' || replace(replace(word, '\', '\\'), '''', '''''') || '''' AS q
            FROM regexp_split_to_table(hs_directory_text(term), '[\s@:]+') word
           WHERE word COLLATE "und-x-icu" ~ '[[:alnum:]]' LIMIT 10) w
$$;

CREATE FUNCTION hs_directory_of_profile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO user_directory(user_nid, displayname, avatar_url, vec)
    SELECT new.user_nid, new.displayname, new.avatar_url, hs_directory_vector(u.mxid, new.displayname) FROM user_id u WHERE u.user_nid = new.user_nid
    ON CONFLICT (user_nid) DO UPDATE SET displayname = excluded.displayname, avatar_url = excluded.avatar_url, vec = excluded.vec;
  RETURN NULL;
END $$;
CREATE TRIGGER profile_directory AFTER INSERT OR UPDATE OF displayname, avatar_url ON profile
  FOR EACH ROW EXECUTE FUNCTION hs_directory_of_profile();
CREATE FUNCTION hs_directory_without_profile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE user_directory d SET displayname = NULL, avatar_url = NULL, vec = hs_directory_vector(u.mxid, NULL)
    FROM user_id u WHERE d.user_nid = old.user_nid AND u.user_nid = old.user_nid;
  RETURN NULL;
END $$;
CREATE TRIGGER profile_gone_directory AFTER DELETE ON profile FOR EACH ROW EXECUTE FUNCTION hs_directory_without_profile();
CREATE FUNCTION hs_directory_of_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO user_directory(user_nid, vec) SELECT new.user_nid, hs_directory_vector(u.mxid, NULL) FROM user_id u WHERE u.user_nid = new.user_nid
    ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER account_directory AFTER INSERT ON account FOR EACH ROW EXECUTE FUNCTION hs_directory_of_account();

INSERT INTO user_directory(user_nid, displayname, avatar_url, vec)
  SELECT a.user_nid, p.displayname, p.avatar_url, hs_directory_vector(u.mxid, p.displayname)
    FROM account a JOIN user_id u USING (user_nid) LEFT JOIN profile p USING (user_nid);
