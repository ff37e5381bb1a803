-- The whole schema as of the first release, and the function that every position goes through.
-- Conventions. Database: UTF8, locale C. *_nid: our numbers. *_ts: ms since 1970. pos: stream position. No foreign keys
-- (sharding, bulk delete); rows are tied by numbers. Room tables lead with room_nid, user tables with user_nid.
-- Which module owns which table: libhs/store/README.md.

CREATE SEQUENCE pos_seq;                                   -- taken only under the ticket lock
CREATE SEQUENCE nid_seq INCREMENT 1024;                    -- workers take blocks of 1024; holes are harmless
CREATE TABLE meta(key text PRIMARY KEY, value bytea NOT NULL);             -- server name, slot key, import floor, schema compat
CREATE TABLE migration(version int PRIMARY KEY, applied_ts bigint NOT NULL);
CREATE TABLE lease(name text PRIMARY KEY, holder text NOT NULL, epoch bigint NOT NULL, until_ts bigint NOT NULL);
CREATE TABLE job(job_id text PRIMARY KEY, kind text NOT NULL, run_ts bigint NOT NULL, status smallint NOT NULL, -- 0 due 1 active 2 done 3 failed
  resource text, params jsonb, progress jsonb, result jsonb, error text);  -- purges, media expiry, retention, user redaction, migrations
CREATE INDEX job_due ON job(run_ts) WHERE status < 2;
CREATE INDEX job_res ON job(resource, kind);
CREATE TABLE feed(pos bigint PRIMARY KEY, pos_from bigint NOT NULL, ts bigint NOT NULL,
  mark bigint NOT NULL,                                    -- the writer's number of this transaction: finds it again when the answer was lost
  msg bytea NOT NULL);                                     -- one per transaction: the bus message

-- ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE server(server_nid bigint PRIMARY KEY, name text NOT NULL UNIQUE,
  retry_ts bigint, retry_ms bigint, failing_ts bigint, last_ok_ts bigint,
  behind_pos bigint, behind_device_pos bigint);            -- null: the sender shard's own cursor holds for it
CREATE TABLE user_id(user_nid bigint PRIMARY KEY, mxid text NOT NULL UNIQUE, server_nid bigint NOT NULL);  -- every user known, local or not

-- ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE account(user_nid bigint PRIMARY KEY, localpart text NOT NULL UNIQUE, password_hash text, created_ts bigint NOT NULL,
  kind text, flags int NOT NULL DEFAULT 0,                 -- admin guest deactivated locked suspended shadow_banned approved erased
  appservice_id text, consent_version text, consent_ts bigint, valid_until_ts bigint, renewal_token text, active_ts bigint,
  ratelimit_mps int, ratelimit_burst int, features text[]);
CREATE INDEX account_active ON account(active_ts);         -- monthly active users
CREATE TABLE profile(user_nid bigint PRIMARY KEY, displayname text, avatar_url text, fields jsonb, pos bigint NOT NULL);
CREATE TABLE threepid(medium text, address text, user_nid bigint NOT NULL, validated_ts bigint NOT NULL, added_ts bigint NOT NULL,
  id_servers text[], PRIMARY KEY(medium, address));
CREATE INDEX threepid_user ON threepid(user_nid);
CREATE TABLE threepid_session(session_id text PRIMARY KEY, medium text NOT NULL, address text NOT NULL, client_secret text NOT NULL,
  attempt bigint NOT NULL, token text, next_link text, validated_ts bigint, expires_ts bigint NOT NULL);
CREATE TABLE external_id(provider text, external_id text, user_nid bigint NOT NULL, PRIMARY KEY(provider, external_id));
CREATE INDEX external_user ON external_id(user_nid);
CREATE TABLE device(user_nid bigint, device_id text, display_name text, seen_ts bigint, ip text, user_agent text,
  hidden bool NOT NULL DEFAULT false, dehydrated json, keys bytea, keys_pos bigint, auth_provider text, auth_session text,
  PRIMARY KEY(user_nid, device_id));
CREATE TABLE access_token(token_sha256 bytea PRIMARY KEY, user_nid bigint NOT NULL, device_id text, expires_ts bigint,
  puppet_nid bigint, refresh_nid bigint, used bool NOT NULL DEFAULT false, created_ts bigint NOT NULL);
CREATE INDEX access_user ON access_token(user_nid, device_id);
CREATE TABLE refresh_token(token_sha256 bytea PRIMARY KEY, refresh_nid bigint NOT NULL UNIQUE, user_nid bigint NOT NULL, device_id text NOT NULL,
  next_nid bigint, expires_ts bigint, session_expires_ts bigint);
CREATE INDEX refresh_user ON refresh_token(user_nid, device_id);
CREATE TABLE short_token(kind text, token_sha256 bytea, user_nid bigint, data jsonb, used_ts bigint, expires_ts bigint NOT NULL,
  PRIMARY KEY(kind, token_sha256));                        -- login, openid, SSO state, password reset
CREATE TABLE uia_session(session_id text PRIMARY KEY, created_ts bigint NOT NULL, method text NOT NULL, uri text NOT NULL, description text,
  client jsonb, server jsonb, done jsonb NOT NULL DEFAULT '{}', ips jsonb);
CREATE TABLE user_ip(user_nid bigint, device_id text, ip text, user_agent text, seen_ts bigint NOT NULL, PRIMARY KEY(user_nid, device_id, ip));
CREATE TABLE registration_token(token text PRIMARY KEY, uses_allowed int, pending int NOT NULL, completed int NOT NULL, expires_ts bigint);
CREATE TABLE account_data(user_nid bigint, room_nid bigint, type text, content bytea NOT NULL, pos bigint NOT NULL,
  PRIMARY KEY(user_nid, room_nid, type));                  -- room 0: global. Tags, fully_read, ignored list, direct are types here
CREATE INDEX account_data_pos ON account_data(user_nid, pos);
CREATE TABLE ignored(user_nid bigint, ignored_nid bigint, PRIMARY KEY(user_nid, ignored_nid));
CREATE INDEX ignored_by ON ignored(ignored_nid);
CREATE TABLE filter(user_nid bigint, filter_id bigint, body bytea NOT NULL, PRIMARY KEY(user_nid, filter_id));
CREATE TABLE presence(user_nid bigint PRIMARY KEY, state smallint NOT NULL, status text, active_ts bigint NOT NULL);  -- lazily, for restarts

-- ── rooms and events ─────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE room(room_nid bigint PRIMARY KEY, room_id text NOT NULL UNIQUE, version text NOT NULL, creator_nid bigint,
  flags int NOT NULL DEFAULT 0,                            -- published, partial, being_deleted
  created_ts bigint NOT NULL);
CREATE TABLE event(room_nid bigint, event_nid bigint, depth bigint NOT NULL, origin_ts bigint NOT NULL, received_ts bigint NOT NULL,
  sender_nid bigint NOT NULL, slot bigint,                 -- slot: state only
  line int, snap int,                                      -- state after the event; null: outlier
  flags int NOT NULL,                                      -- outlier rejected soft_failed redacted stub partial censored referenced json_codec
  prev bigint[], auth bigint[], event_id text NOT NULL, type text NOT NULL, state_key text, json bytea,
  PRIMARY KEY(room_nid, event_nid));
DO $$ BEGIN ALTER TABLE event ALTER json SET COMPRESSION lz4; EXCEPTION WHEN feature_not_supported THEN NULL; END $$;
CREATE UNIQUE INDEX event_by_id ON event(event_id, room_nid);
CREATE INDEX event_auth ON event(room_nid, event_nid) INCLUDE (auth) WHERE slot IS NOT NULL;   -- the auth graph of a room in one clustered, index-only read
CREATE TABLE timeline(room_nid bigint, pos bigint, event_nid bigint NOT NULL, depth bigint NOT NULL,   -- pos < 0: backfilled; event 0: a marker
  line int NOT NULL, snap int NOT NULL,                    -- the room's resolved state once this row is in
  heads bigint[],                                          -- forward extremities after it; null: just this event
  delta bigint[],                                          -- state events this row made current besides itself (resolution, end of partial state)
  n_notify int NOT NULL, n_high int NOT NULL,              -- running totals, §3.5
  PRIMARY KEY(room_nid, pos));
CREATE INDEX timeline_depth ON timeline(room_nid, depth, pos) INCLUDE (event_nid);  -- also finds the row of an event whose depth is known
CREATE INDEX timeline_pos ON timeline USING brin(pos);
CREATE TABLE state_line(room_nid bigint, line int, base_line int, base_snap int, low int NOT NULL DEFAULT 0,  -- snapshots below low: purged
  flags int NOT NULL, PRIMARY KEY(room_nid, line));           -- flags: partial; born of fork | join | gap | rollover
CREATE TABLE state_tip(room_nid bigint, line int, since int NOT NULL, slot bigint, event_nid bigint NOT NULL,
  PRIMARY KEY(room_nid, line, slot)) WITH (fillfactor = 90);
CREATE TABLE state_past(room_nid bigint, line int, until int, since int NOT NULL, slot bigint, event_nid bigint NOT NULL,  -- 0: nothing in this line yet
  PRIMARY KEY(room_nid, line, slot, until));
CREATE INDEX state_past_until ON state_past(room_nid, line, until);
CREATE TABLE room_gap(room_nid bigint, missing_nid bigint, child_nid bigint NOT NULL, depth bigint NOT NULL, attempts int NOT NULL DEFAULT 0,
  last_ts bigint, cause text, PRIMARY KEY(room_nid, missing_nid, child_nid));    -- backward extremities, failed pulls, timeline gaps
CREATE TABLE partial_room(room_nid bigint PRIMARY KEY, join_nid bigint NOT NULL, via text NOT NULL, servers text[] NOT NULL, device_pos bigint NOT NULL);
CREATE TABLE txn_id(user_nid bigint, device_id text, scope bigint, txn_id text, room_nid bigint, event_nid bigint, result bytea, ts bigint NOT NULL,
  PRIMARY KEY(user_nid, device_id, scope, txn_id));        -- scope: room, or a constant per kind of request
CREATE INDEX txn_id_ts ON txn_id USING brin(ts);
CREATE INDEX txn_id_event ON txn_id(room_nid, event_nid);  -- unsigned.transaction_id
CREATE TABLE redaction(room_nid bigint, target_nid bigint, event_nid bigint, status smallint NOT NULL, ts bigint NOT NULL,  -- 0 unchecked 1 applied 2 refused 3 censored
  PRIMARY KEY(room_nid, target_nid, event_nid));
CREATE INDEX redaction_todo ON redaction(ts) WHERE status < 2;
CREATE TABLE ban_redaction(room_nid bigint, user_nid bigint, event_nid bigint NOT NULL, end_pos bigint, PRIMARY KEY(room_nid, user_nid));
CREATE TABLE relation(room_nid bigint, target_nid bigint, rel_type text, event_nid bigint, sender_nid bigint NOT NULL, key text, pos bigint NOT NULL,
  n_notify int NOT NULL,                                   -- running total inside a thread
  PRIMARY KEY(room_nid, target_nid, rel_type, event_nid));
CREATE TABLE thread(room_nid bigint, root_nid bigint, last_nid bigint NOT NULL, last_pos bigint NOT NULL, depth bigint NOT NULL,
  replies int NOT NULL, n_notify int NOT NULL, PRIMARY KEY(room_nid, root_nid));
CREATE INDEX thread_last ON thread(room_nid, last_pos);
CREATE TABLE thread_sub(user_nid bigint, room_nid bigint, root_nid bigint, subscribed bool NOT NULL, automatic bool NOT NULL, unsub_pos bigint,
  pos bigint NOT NULL, PRIMARY KEY(user_nid, room_nid, root_nid));
CREATE INDEX thread_sub_pos ON thread_sub(user_nid, pos);
CREATE TABLE event_search(room_nid bigint, event_nid bigint, key text, vec tsvector NOT NULL, PRIMARY KEY(room_nid, event_nid));
CREATE INDEX event_search_vec ON event_search USING gin(vec);
CREATE TABLE event_expiry(room_nid bigint, event_nid bigint, expires_ts bigint NOT NULL, sticky_pos bigint, sender_nid bigint,
  PRIMARY KEY(room_nid, event_nid));                       -- sticky events and self-destructing ones
CREATE INDEX event_expiry_ts ON event_expiry(expires_ts);
CREATE INDEX event_sticky ON event_expiry(room_nid, sticky_pos) WHERE sticky_pos IS NOT NULL;
CREATE TABLE delayed_event(user_nid bigint, delay_id text, device_id text, room_nid bigint NOT NULL, type text NOT NULL, state_key text,
  content bytea NOT NULL, delay_ms bigint NOT NULL, send_ts bigint, origin_ts bigint, sticky_ms bigint, status smallint NOT NULL,
  PRIMARY KEY(user_nid, delay_id));
CREATE INDEX delayed_due ON delayed_event(send_ts) WHERE status = 0;
CREATE TABLE room_member(room_nid bigint, user_nid bigint, membership smallint NOT NULL, event_nid bigint NOT NULL, pos bigint NOT NULL,
  PRIMARY KEY(room_nid, user_nid));                        -- every user, current
CREATE INDEX room_member_user ON room_member(user_nid, room_nid) INCLUDE (membership);
CREATE TABLE room_server(room_nid bigint, server_nid bigint, joined int NOT NULL, PRIMARY KEY(room_nid, server_nid));
CREATE INDEX room_server_rev ON room_server(server_nid, room_nid);
CREATE TABLE user_room(user_nid bigint, room_nid bigint, membership smallint NOT NULL, event_nid bigint NOT NULL, sender_nid bigint NOT NULL, pos bigint NOT NULL,
  flags int NOT NULL,                                      -- forgotten, participant, out_of_band, direct
  notify_base smallint NOT NULL DEFAULT 0,                 -- 0 server default, 1 explicit notes only (muted, mentions), 2 own rules
  stripped bytea, left_pos bigint, PRIMARY KEY(user_nid, room_nid));             -- local users: the sync list
CREATE INDEX user_room_pos ON user_room(user_nid, pos);
CREATE INDEX user_room_room ON user_room(room_nid, membership) INCLUDE (user_nid);   -- local members of a room
CREATE TABLE room_summary(room_nid bigint PRIMARY KEY, name text, canonical_alias text, topic text, avatar text, join_rules text, history_visibility text,
  guest_access text, encryption text, room_type text, successor text, federatable bool, heroes bigint[], joined int NOT NULL, invited int NOT NULL,
  knocked int NOT NULL, banned int NOT NULL, local_joined int NOT NULL, state_events int NOT NULL, retention_min bigint, retention_max bigint,
  bump_pos bigint NOT NULL, pos bigint NOT NULL);          -- bump_pos written lazily; newer ones come from timeline
CREATE INDEX room_summary_size ON room_summary(joined DESC, room_nid);
CREATE TABLE published(room_nid bigint, appservice_id text, network_id text, PRIMARY KEY(room_nid, appservice_id, network_id));
CREATE TABLE alias(alias text PRIMARY KEY, room_nid bigint NOT NULL, creator_nid bigint, servers text[]);
CREATE INDEX alias_room ON alias(room_nid);
CREATE TABLE user_directory(user_nid bigint PRIMARY KEY, displayname text, avatar_url text, public_rooms int NOT NULL, vec tsvector NOT NULL, stale_ts bigint);
CREATE INDEX user_directory_vec ON user_directory USING gin(vec);
CREATE TABLE block(kind text, name text, by_nid bigint NOT NULL, ts bigint NOT NULL, PRIMARY KEY(kind, name));     -- blocked rooms, servers
CREATE TABLE report(report_nid bigint PRIMARY KEY, kind text NOT NULL, ts bigint NOT NULL, reporter_nid bigint NOT NULL, room_nid bigint, event_nid bigint,
  target_nid bigint, reason text, content jsonb);

-- ── read state, notifications ────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE receipt(room_nid bigint, user_nid bigint, type text, thread_nid bigint,   -- thread -1: unthreaded, 0: main; type '': implicit (own event, join)
  event_nid bigint NOT NULL, ts bigint NOT NULL, pos bigint NOT NULL, event_pos bigint NOT NULL, n_notify int NOT NULL, n_high int NOT NULL, data bytea,
  PRIMARY KEY(room_nid, user_nid, type, thread_nid));
CREATE INDEX receipt_pos ON receipt(room_nid, pos);
CREATE TABLE push_ruleset(user_nid bigint PRIMARY KEY, shape bigint NOT NULL, rules bytea NOT NULL, pos bigint NOT NULL);   -- absent: defaults
CREATE TABLE push_note(user_nid bigint, room_nid bigint, pos bigint, event_nid bigint NOT NULL, thread_nid bigint NOT NULL,
  d_notify smallint NOT NULL, d_high smallint NOT NULL, actions smallint NOT NULL, PRIMARY KEY(user_nid, room_nid, pos));     -- user 0: applies to all
CREATE TABLE pusher(user_nid bigint, app_id text, pushkey text, kind text NOT NULL, device_id text, token_nid bigint, profile_tag text, app_name text,
  device_name text, lang text, data jsonb, enabled bool NOT NULL, created_ts bigint NOT NULL, last_pos bigint NOT NULL, last_ok_ts bigint, failing_ts bigint,
  PRIMARY KEY(app_id, pushkey, user_nid));
CREATE INDEX pusher_user ON pusher(user_nid);
CREATE TABLE sliding_conn(user_nid bigint, device_id text, conn_id text, gen bigint NOT NULL, state bytea NOT NULL, prev_state bytea, used_ts bigint NOT NULL,
  PRIMARY KEY(user_nid, device_id, conn_id));

-- ── devices and end-to-end keys ──────────────────────────────────────────────────────────────────────────────────
CREATE TABLE to_device(user_nid bigint, device_id text, pos bigint, msg bytea NOT NULL, PRIMARY KEY(user_nid, device_id, pos));
CREATE TABLE device_change(user_nid bigint PRIMARY KEY, pos bigint NOT NULL, sig_pos bigint NOT NULL DEFAULT 0);   -- one row a user: last change
CREATE INDEX device_change_pos ON device_change(pos);
CREATE TABLE remote_device(user_nid bigint, device_id text, body bytea NOT NULL, PRIMARY KEY(user_nid, device_id));
CREATE TABLE remote_device_list(user_nid bigint PRIMARY KEY, stream_id text, stale_ts bigint, pending bytea);
CREATE TABLE one_time_key(user_nid bigint, device_id text, algorithm text, key_id text, added_ts bigint NOT NULL, body bytea NOT NULL,
  PRIMARY KEY(user_nid, device_id, algorithm, key_id));
CREATE TABLE fallback_key(user_nid bigint, device_id text, algorithm text, key_id text NOT NULL, used bool NOT NULL, body bytea NOT NULL,
  PRIMARY KEY(user_nid, device_id, algorithm));
CREATE TABLE cross_key(user_nid bigint, usage text, body bytea NOT NULL, pos bigint NOT NULL, replace_until_ts bigint, PRIMARY KEY(user_nid, usage));
CREATE TABLE cross_sig(target_nid bigint, target_device text, signer_nid bigint, key_id text, signature text NOT NULL,
  PRIMARY KEY(target_nid, target_device, signer_nid, key_id));
CREATE TABLE backup_version(user_nid bigint, version bigint, algorithm text NOT NULL, auth_data bytea NOT NULL, etag bigint NOT NULL, n_keys bigint NOT NULL,
  deleted bool NOT NULL, PRIMARY KEY(user_nid, version));
CREATE TABLE backup_key(user_nid bigint, version bigint, room_id text, session_id text, first_index int NOT NULL, forwarded int NOT NULL, verified bool NOT NULL,
  body bytea NOT NULL, PRIMARY KEY(user_nid, version, room_id, session_id));

-- ── federation ───────────────────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE fed_shard(shard int PRIMARY KEY, pos bigint NOT NULL, device_pos bigint NOT NULL);          -- every destination not 'behind' has this much
CREATE TABLE fed_out(server_nid bigint, pos bigint, body bytea NOT NULL, PRIMARY KEY(server_nid, pos));  -- to-device EDUs: the only per-destination payload
CREATE TABLE fed_stage(room_nid bigint, seq bigint, origin_nid bigint NOT NULL, event_id text NOT NULL, body bytea NOT NULL, received_ts bigint NOT NULL,
  PRIMARY KEY(room_nid, seq), UNIQUE(room_nid, event_id));
CREATE TABLE fed_seen(server_nid bigint, kind smallint, id text, ts bigint NOT NULL, response bytea, PRIMARY KEY(server_nid, kind, id));  -- txns, to-device
CREATE INDEX fed_seen_ts ON fed_seen USING brin(ts);
CREATE TABLE server_key(server_nid bigint, key_id text, from_nid bigint, verify_key bytea NOT NULL, valid_until_ts bigint NOT NULL, added_ts bigint NOT NULL,
  response bytea, PRIMARY KEY(server_nid, key_id, from_nid));

-- ── media, application services ──────────────────────────────────────────────────────────────────────────────────
CREATE TABLE media(server_nid bigint, media_id text, user_nid bigint, type text, length bigint, upload_name text, created_ts bigint NOT NULL,
  access_ts bigint, file_id text, sha256 bytea, quarantined_by bigint, quarantine_pos bigint, flags int NOT NULL, unused_expires_ts bigint,
  PRIMARY KEY(server_nid, media_id));                      -- server 0: local; flags: authenticated, safe_from_quarantine, url_cache, pending
CREATE INDEX media_user ON media(user_nid, created_ts) WHERE server_nid = 0;
CREATE INDEX media_sha ON media(sha256);
CREATE INDEX media_access ON media(access_ts);
CREATE TABLE media_thumb(server_nid bigint, media_id text, width int, height int, method text, type text, length bigint NOT NULL, file_id text,
  PRIMARY KEY(server_nid, media_id, width, height, method, type));
CREATE TABLE url_preview(url text, fetched_ts bigint, status int NOT NULL, etag text, expires_ts bigint NOT NULL, og bytea, media_id text,
  PRIMARY KEY(url, fetched_ts));
CREATE TABLE appservice(as_id text PRIMARY KEY, up bool NOT NULL, pos bigint NOT NULL, next_txn bigint NOT NULL, failing_ts bigint);
CREATE TABLE appservice_txn(as_id text, txn bigint, from_pos bigint NOT NULL, to_pos bigint NOT NULL, body bytea, PRIMARY KEY(as_id, txn));

-- ── housekeeping: what is updated is vacuumed early; what is inserted keeps its visibility map for index-only reads ──────────────────────
ALTER TABLE receipt SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
ALTER TABLE device_change SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
ALTER TABLE room_summary SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
ALTER TABLE sliding_conn SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
ALTER TABLE state_tip SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE account_data SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE event SET (autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE timeline SET (autovacuum_vacuum_insert_scale_factor = 0.05);

-- ── the ticket ───────────────────────────────────────────────────────────────────────────────────────────────────
-- w, one run of numbers for each timeline row: room, at (0 … n-1), event, depth, seen_line, seen_snap, seen_pos, line, snap, d_notify, d_high,
-- number of prev, number of delta, prev …, delta …   Runs of a room are in the order in which its rows follow each other.
-- s, five numbers for each change of state: room, line, snap, slot, event; in order of snap.
-- n positions are taken, without a gap: `at` k gets the returned one + k. Nobody else takes any meanwhile, and nobody sees a position
-- before all lower ones are visible: the lock goes with the commit, and the commit (asynchronous, only here) does not wait for the disk.
-- A row whose room has moved away from what was seen raises HS001 with its `at` as detail.
CREATE FUNCTION hs_commit(w bigint[], s bigint[], n int, ts bigint, mark bigint, msg bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  first bigint; p bigint; k int := 1; last int := coalesce(array_length(w, 1), 0);
  h_pos bigint; h_line int; h_snap int; h_event bigint; h_heads bigint[]; h_notify int; h_high int;
  prev bigint[]; heads bigint[]; ev bigint; bad bool;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);    -- this transaction only; hs_flush() makes it durable
  PERFORM pg_advisory_xact_lock(1);                         -- from here to the commit: one at a time
  first := nextval('pos_seq');
  FOR i IN 2 .. n LOOP p := nextval('pos_seq'); END LOOP;
  WHILE k <= last LOOP
    SELECT t.pos, t.line, t.snap, t.event_nid, t.heads, t.n_notify, t.n_high
      INTO h_pos, h_line, h_snap, h_event, h_heads, h_notify, h_high
      FROM timeline t WHERE t.room_nid = w[k] AND t.pos > 0 ORDER BY t.pos DESC LIMIT 1;
    IF h_pos IS NULL THEN bad := w[k + 4] <> -1;            -- a new room has no head
    ELSE                                                    -- rows of this same transaction do not count as moved heads
      bad := h_line <> w[k + 4] OR h_snap <> w[k + 5] OR (w[k + 6] <> 0 AND h_pos <> w[k + 6] AND h_pos < first);
    END IF;
    IF bad THEN RAISE EXCEPTION USING ERRCODE = 'HS001', MESSAGE = 'the head of the room has moved', DETAIL = w[k + 1]::text; END IF;
    ev := w[k + 2];
    prev := w[k + 13 : k + 12 + w[k + 11]];
    IF h_pos IS NULL OR (h_heads IS NULL AND ev <> 0 AND h_event = ANY (prev)) THEN heads := NULL;  -- the usual case: one head, followed
    ELSE
      heads := array(SELECT x FROM unnest(coalesce(h_heads, array[h_event])) x WHERE x <> ALL (prev));
      IF ev <> 0 THEN heads := heads || ev; END IF;
      IF heads = array[ev] THEN heads := NULL; END IF;
    END IF;
    INSERT INTO timeline(room_nid, pos, event_nid, depth, line, snap, heads, delta, n_notify, n_high)
      VALUES (w[k], first + w[k + 1], ev, w[k + 3], w[k + 7]::int, w[k + 8]::int, heads,
              CASE WHEN w[k + 12] > 0 THEN w[k + 13 + w[k + 11] : k + 12 + w[k + 11] + w[k + 12]] END,
              coalesce(h_notify, 0) + w[k + 9]::int, coalesce(h_high, 0) + w[k + 10]::int);
    k := (k + 13 + w[k + 11] + w[k + 12])::int;
  END LOOP;
  FOR j IN 1 .. coalesce(array_length(s, 1), 0) BY 5 LOOP
    INSERT INTO state_past(room_nid, line, until, since, slot, event_nid)
      SELECT s[j], s[j + 1]::int, s[j + 2]::int, coalesce(o.since, 0), s[j + 3], coalesce(o.event_nid, 0)
        FROM (VALUES (1)) one LEFT JOIN state_tip o ON o.room_nid = s[j] AND o.line = s[j + 1]::int AND o.slot = s[j + 3];
    INSERT INTO state_tip(room_nid, line, since, slot, event_nid) VALUES (s[j], s[j + 1]::int, s[j + 2]::int, s[j + 3], s[j + 4])
      ON CONFLICT (room_nid, line, slot) DO UPDATE SET since = excluded.since, event_nid = excluded.event_nid;
  END LOOP;
  INSERT INTO feed(pos, pos_from, ts, mark, msg) VALUES (first + n - 1, first, ts, mark, msg);
  RETURN first;
END $$;
-- Statements after hs_commit in its transaction give x = at - (n - 1): counted back from the last position taken.
CREATE FUNCTION hs_pos(x bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT currval('pos_seq') + x $$;
-- A synchronous commit of a log message: what was committed before it is on disk when it returns.
CREATE FUNCTION hs_flush() RETURNS void LANGUAGE sql AS $$ SELECT pg_logical_emit_message(true, 'hs', '') $$;
