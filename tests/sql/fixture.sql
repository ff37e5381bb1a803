-- A large server for EXPLAIN: one room with 50,000 members and 200,000 events, 2,000 small rooms. Numbers: users 1 … 60,000, rooms
-- 1,000,000 (the large one) and up, events 10,000,000 and up.
INSERT INTO server(server_nid, name) SELECT 900000 + s, 's' || s || '.example' FROM generate_series(0, 3000) s;
INSERT INTO registration_token SELECT 't' || t, 1, 0, 0 FROM generate_series(1, 20000) t;
INSERT INTO uia_session(session_id, created_ts, method, uri) SELECT 's' || s, s, 'POST', '/' FROM generate_series(1, 20000) s;
INSERT INTO user_id SELECT u, '@u' || u || ':s' || u % 3001 || '.example', 900000 + u % 3001 FROM generate_series(1, 60000) u;
INSERT INTO account(user_nid, localpart, created_ts) SELECT u, 'u' || u, 0 FROM generate_series(1, 20000) u;
INSERT INTO external_id SELECT 'p', u::text, u FROM generate_series(1, 20000) u;
INSERT INTO report(report_nid, kind, ts, reporter_nid, target_nid) SELECT r, 'user', r, 1 + r % 20000, 1 FROM generate_series(1, 20000) r;
INSERT INTO profile_field SELECT u, 'm.tz', '"x"' FROM generate_series(1, 20000) u;
INSERT INTO profile(user_nid, displayname, pos) SELECT u, 'name ' || u, u FROM generate_series(1, 20000) u;
INSERT INTO device(user_nid, device_id) SELECT u, 'D' || d FROM generate_series(1, 20000) u, generate_series(1, 2) d;
INSERT INTO access_token(token_sha256, user_nid, device_id, created_ts)
  SELECT decode(md5(u::text || d) || md5(u::text), 'hex'), u, 'D' || d, 0 FROM generate_series(1, 20000) u, generate_series(1, 2) d;
INSERT INTO refresh_token(token_sha256, refresh_nid, user_nid, device_id)
  SELECT decode(md5('r' || u::text || d) || md5(u::text), 'hex'), u * 10 + d, u, 'D' || d FROM generate_series(1, 20000) u, generate_series(1, 2) d;
INSERT INTO short_token(kind, token_sha256, user_nid, expires_ts)
  SELECT CASE WHEN u % 2 = 0 THEN 'openid' ELSE 'login' END, decode(md5(u::text), 'hex'), u, u FROM generate_series(1, 20000) u;
INSERT INTO threepid SELECT 'email', 'a' || u || '@b', u, 0, 0 FROM generate_series(1, 20000) u;
INSERT INTO account_data SELECT u, r, 'm.t', '{}', u FROM generate_series(1, 20000) u, generate_series(0, 2) r;
INSERT INTO filter SELECT u, f, '{}' FROM generate_series(1, 20000) u, generate_series(0, 1) f;
INSERT INTO room(room_nid, room_id, version, created_ts) SELECT 1000000 + r, '!r' || r || ':x', '10', 0 FROM generate_series(0, 2000) r;
INSERT INTO alias(alias, room_nid) SELECT '#r' || r || ':x', 1000000 + r FROM generate_series(0, 2000) r;
INSERT INTO published SELECT 1000000 + r, '', '' FROM generate_series(0, 2000) r;
INSERT INTO room_summary(room_nid, name, joined, invited, knocked, banned, local_joined, state_events, bump_pos, pos)
  SELECT 1000000 + r, 'room ' || r, 60000 / (r + 1), 0, 0, 0, 1, 10, r, r FROM generate_series(0, 2000) r;
INSERT INTO room_member SELECT 1000000, u, 2, 10000000 + u, u FROM generate_series(1, 50000) u;
INSERT INTO room_member SELECT 1000000 + r, 1 + (r * 7 + m * 13) % 20000, 2, 12000000 + r * 100 + m, m FROM generate_series(1, 2000) r, generate_series(1, 20) m
  ON CONFLICT DO NOTHING;
INSERT INTO user_room(user_nid, room_nid, membership, event_nid, sender_nid, pos, flags)
  SELECT user_nid, room_nid, membership, event_nid, user_nid, pos, 0 FROM room_member WHERE user_nid <= 20000;
INSERT INTO event(room_nid, event_nid, depth, origin_ts, received_ts, sender_nid, slot, line, snap, flags, prev, auth, event_id, type, state_key, json)
  SELECT 1000000, 10000000 + e, e, e, e, 1 + e % 50000, CASE WHEN e <= 50000 THEN e::bigint END, 0, least(e, 50000), 0, array[10000000 + e - 1],
         array[10000001, 10000002, 10000003], '$e' || e, CASE WHEN e <= 50000 THEN 'm.room.member' ELSE 'm.room.message' END,
         CASE WHEN e <= 50000 THEN '@u' || e END, '{}' FROM generate_series(1, 200000) e;
INSERT INTO event(room_nid, event_nid, depth, origin_ts, received_ts, sender_nid, line, snap, flags, prev, auth, event_id, type, json)
  SELECT 1000000 + r, 12000000 + r * 100 + e, e, e, e, 1, 0, 1, 0, '{}', '{}', '$r' || r || 'e' || e, 'm.room.message', '{}'
    FROM generate_series(1, 2000) r, generate_series(1, 50) e;
INSERT INTO timeline SELECT room_nid, row_number() OVER (ORDER BY depth), event_nid, depth, line, snap, NULL, NULL, 0, 0 FROM event;
INSERT INTO state_line(room_nid, line, base_line, base_snap, flags) SELECT 1000000 + r, l, CASE WHEN l > 0 THEN 0 END, CASE WHEN l > 0 THEN 1 END, 0
  FROM generate_series(0, 2000) r, generate_series(0, 1) l;
INSERT INTO state_tip SELECT 1000000, 0, s, s, 10000000 + s FROM generate_series(1, 50000) s;
INSERT INTO state_past SELECT 1000000, 0, s, 0, s, 0 FROM generate_series(1, 50000) s;
INSERT INTO state_past SELECT 1000000, 0, 50000 + s, s % 50000, 1 + s % 50000, 10000001 + s % 50000 FROM generate_series(1, 100000) s;
INSERT INTO state_tip SELECT 1000000 + r, 0, s, s, 12000000 + r * 100 + s FROM generate_series(1, 2000) r, generate_series(1, 10) s;
INSERT INTO feed SELECT p, p, p, p, '' FROM generate_series(1, 100000) p;
INSERT INTO txn_id(user_nid, device_id, scope, txn_id, room_nid, event_nid, ts)
  SELECT u, 'D1', 1000000, 'm' || k, 1000000, 10000000 + u * 5 + k, u FROM generate_series(1, 20000) u, generate_series(1, 5) k;
INSERT INTO redaction SELECT 1000000, 10000000 + e, 10100000 + e, CASE WHEN e % 100 = 0 THEN 1 ELSE 3 END, e FROM generate_series(50001, 70000) e;
INSERT INTO receipt(room_nid, user_nid, type, thread_nid, event_nid, ts, pos, event_pos, n_notify, n_high)
  SELECT room_nid, user_nid, 'm.read', -1, event_nid, 0, row_number() OVER (), pos, 0, 0 FROM room_member;
INSERT INTO relation SELECT 1000000, 10000000 + e / 5, 'm.annotation', 10000000 + e, 1, 'x', e, 0 FROM generate_series(100000, 150000) e;
INSERT INTO thread SELECT 1000000, 10000000 + e, 10000000 + e, e, e, 1, 0 FROM generate_series(100000, 120000) e;
INSERT INTO push_note SELECT 1 + e % 20000, 1000000, e, 10000000 + e, 0, 1, 0, 0 FROM generate_series(100000, 150000) e;
INSERT INTO note_mark SELECT m * 900000::bigint, m FROM generate_series(1, 4000) m;
INSERT INTO push_ruleset SELECT u, 1, '{}', u FROM generate_series(1, 5000) u;
INSERT INTO thread_sub SELECT 1 + e % 20000, 1000000, 10000000 + e, e % 3 > 0, false, NULL, e FROM generate_series(100000, 150000) e;
INSERT INTO presence SELECT u, 0, NULL, u FROM generate_series(1, 20000) u;
INSERT INTO ignored SELECT u, u + 1 FROM generate_series(1, 20000) u;
INSERT INTO to_device SELECT u, 'D' || d, u * 10 + k, '{}' FROM generate_series(1, 20000) u, generate_series(1, 2) d, generate_series(1, 5) k;
INSERT INTO media(server_nid, media_id, user_nid, type, length, created_ts, access_ts, sha256, flags, unused_expires_ts)
  SELECT 0, 'm' || m, 1 + m % 20000, 'image/png', CASE WHEN m % 100 > 0 THEN m END, m, m, decode(md5(m::text), 'hex'), 1,
         CASE WHEN m % 100 = 0 THEN m END FROM generate_series(1, 100000) m;
INSERT INTO media_thumb SELECT 0, 'm' || m, s, s, 'crop', 'image/png', 1 FROM generate_series(1, 20000) m, generate_series(32, 64, 32) s;
INSERT INTO job(job_id, kind, resource, run_ts, status, shard) SELECT 'j' || j, 'purge_history', '!r' || j % 2000 || ':x', j, CASE WHEN j % 1000 = 0 THEN 0 ELSE 2 END, j % 4
  FROM generate_series(1, 50000) j;
INSERT INTO space_walk SELECT decode(md5(w::text), 'hex'), w, 'q', array[w], array[w], w FROM generate_series(1, 20000) w;
INSERT INTO room_gap(room_nid, missing_nid, child_nid, depth)
  SELECT 1000000 + g % 2001, 10000000 + g, 10000001 + g, g FROM generate_series(1, 50000) g;
INSERT INTO fed_stage SELECT 1000000 + g % 200, g, 900001, '$stage' || g, convert_to('{"auth_events":["$a' || g || '"]}', 'UTF8'), g FROM generate_series(1, 20000) g;
INSERT INTO pusher SELECT u, 'app' || k, 'key' || u, 'http', 'D', NULL, '', 'a', 'd', 'en', '{}', true, u, u, NULL, NULL FROM generate_series(1, 20000) u, generate_series(1, 2) k;
INSERT INTO threepid SELECT 'email', 'u' || u || '@x', u, 1, 1, NULL FROM generate_series(1, 20000) u;
INSERT INTO delayed_event(user_nid, delay_id, room_nid, type, state_key, content, delay_ms, send_ts, status, claim_ts)
  SELECT 1 + d % 20000, 'd' || d, 1000000 + d % 2000, 't' || d % 50, CASE WHEN d % 2 = 0 THEN 'k' || d % 500 END, '{}', 1000, d, CASE WHEN d % 1000 = 0 THEN 1 ELSE 0 END, d
    FROM generate_series(1, 50000) d;
INSERT INTO sticky_event SELECT 1000000 + s % 2001, 10000000 + s, s, 1 + s % 20000, s, s % 100 = 0 FROM generate_series(1, 100000) s;
ANALYZE;
