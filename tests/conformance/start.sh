#!/bin/bash
# Entry point of the conformance image: certificate, configuration, server. Runs again over the same file system.
set -eu
data=/data
mkdir -p "$data"

configure() {
  local tls=
  if [ -e /complement/ca/ca.crt ]; then
    local leaf=$data/tls
    mkdir -p "$leaf"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$SERVER_NAME" \
      -keyout "$leaf/key.pem" -out "$leaf/csr.pem" 2>/dev/null
    openssl x509 -req -in "$leaf/csr.pem" -CA /complement/ca/ca.crt -CAkey /complement/ca/ca.key -set_serial "0x$(openssl rand -hex 8)" \
      -days 30 -extfile <(printf 'subjectAltName=DNS:%s' "$SERVER_NAME") -out "$leaf/cert.pem" 2>/dev/null
    chmod 644 "$leaf/key.pem"
    tls="tls_certificate_path: $leaf/cert.pem
tls_private_key_path: $leaf/key.pem"
  fi
  cat > "$data/homeserver.yaml" <<Y
server_name: "$SERVER_NAME"
public_baseurl: "http://$SERVER_NAME:8008/"
data_dir: $data
listeners:
  - {port: 8008, type: http, bind_addresses: ['0.0.0.0'], resources: [{names: [client, federation]}]}
$([ -z "$tls" ] || echo "  - {port: 8448, type: http, tls: true, bind_addresses: ['0.0.0.0'], resources: [{names: [federation]}]}")
$tls
media_store_path: $data/media_store
registration_shared_secret: complement
macaroon_secret_key: conformance
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
default_room_version: "11"
rc_message: &none {per_second: 100000, burst_count: 100000}
presence: {enabled: true}
experimental_features: {msc3381_polls_enabled: true, msc3391_enabled: true, msc3890_enabled: true, msc3874_enabled: true, msc4155_enabled: true, msc4222_enabled: true, msc4306_enabled: true, msc4354_enabled: true}
max_event_delay_duration: 24h
server_notices: {system_mxid_localpart: _server, system_mxid_display_name: "Server Alert", system_mxid_avatar_url: "", room_name: "Server Alert"}
rc_delayed_event_mgmt: *none
room_list_publication_rules: [{action: allow}]
trusted_key_servers: []
log: {level: info}
rc_registration: *none
rc_registration_token_validity: *none
rc_login: {address: *none, account: *none, failed_attempts: *none}
rc_admin_redaction: *none
rc_joins: {local: *none, remote: *none}
rc_joins_per_room: *none
rc_invites: {per_room: *none, per_user: *none, per_issuer: *none}
rc_presence: {per_user: *none}
rc_room_creation: *none
rc_reports: *none
rc_user_directory: *none
Y
  chmod 644 "$data/homeserver.yaml"
}

if [ "${1:-}" = --make-cluster ]; then
  # One start makes the cluster and the schema; the name of the server is given later, so what carries it is emptied again.
  configure
  /opt/hs/hs run --data-directory "$data" & pid=$!
  for _ in $(seq 600); do
    (exec 3<>/dev/tcp/127.0.0.1/8008) 2>/dev/null && break
    kill -0 $pid || exit 1
    sleep 0.1
  done
  runuser -u postgres -- psql -q -h "$data/postgres.run" -U hs hs \
    -c "DELETE FROM meta WHERE key = 'server_name'" -c 'DELETE FROM server'
  kill $pid
  wait $pid
  printf 'full_page_writes = off\nshared_buffers = 64MB\n' >> "$data/postgres/postgresql.conf"
  rm -f "$data"/*.signing.key "$data/homeserver.yaml"
  exit 0
fi

configure
exec /opt/hs/hs run --data-directory "$data"
