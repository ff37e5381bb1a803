#include "runtime/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int open_arena(void **state)
{
    hs_arena *a = hs_arena_open((size_t)8 << 20);

    *state = a;
    return a ? 0 : -1;
}

static int close_arena(void **state)
{
    hs_arena_close(*state);
    return 0;
}

static const hs_config *good(hs_arena *a, const char *yaml)
{
    const hs_config *c = NULL;
    hs_error *e = hs_config_load_text(a, HS_S("/etc/hs/homeserver.yaml"), hs_str_c(yaml), NULL, &c);

    if (e)
        print_error("%.*s\n", HS_FMT(e->message));
    assert_null(e);
    return c;
}

static void refused(hs_arena *a, const char *yaml, const char *part)
{
    const hs_config *c = NULL;
    hs_error *e = hs_config_load_text(a, HS_S("h.yaml"), hs_str_c(yaml), NULL, &c);
    const char *text;

    assert_non_null(e);
    assert_null(hs_cstr(a, e->message, &text));
    if (!strstr(text, part))
        print_error("\"%s\" lacks \"%s\"\n", text, part);
    assert_non_null(strstr(text, part));
    assert_null(strchr(text, '\n'));
}

#define same(s, lit) assert_true(hs_str_eq((s), HS_S(lit)))

static void defaults_are_synapses(void **state)
{
    const hs_config *c = good(*state, "server_name: example.org\n");

    same(c->server_name, "example.org");
    same(c->public_baseurl, "https://example.org/");
    same(c->data_dir, "/etc/hs");
    assert_int_equal(c->max_upload_size, 50 << 20);
    assert_int_equal(c->rc_message.burst, 10);
    assert_true(c->rc_message.per_second > 0.19 && c->rc_message.per_second < 0.21);
    assert_int_equal(c->rc_login_failed.burst, 3);
    assert_int_equal(c->rc_invites_per_user.burst, 5);
    assert_int_equal(c->rc_presence_per_user.burst, 1);
    assert_int_equal(c->bcrypt_rounds, 12);
    assert_int_equal(c->refreshable_access_token_lifetime_ms, 300000);
    assert_int_equal(c->nonrefreshable_access_token_lifetime_ms, 0);
    assert_int_equal(c->redaction_retention_ms, 7 * 86400000LL);
    assert_true(c->enable_set_displayname && c->password_enabled && c->password_localdb_enabled);
    assert_true(c->presence_enabled && c->private_postgres && c->refreshable_tokens);
    assert_false(c->enable_registration || c->allow_guest_access || c->has_rc_admin_redaction);
    assert_int_equal(c->listeners_n, 1);
    assert_int_equal(c->listeners[0].port, 8008);
    assert_true(c->alias_creation_rules.at[0].allow);
    assert_false(c->room_list_publication_rules.at[0].allow);
}

static void durations_and_sizes_have_units(void **state)
{
    const hs_config *c = good(*state, "server_name: a\n"
                                      "session_lifetime: 2h\n"
                                      "refreshable_access_token_lifetime: 90000\n"
                                      "refresh_token_lifetime: \"30m\"\n"
                                      "max_upload_size: 3G\n"
                                      "forgotten_room_retention_period: 1w\n");

    assert_int_equal(c->session_lifetime_ms, 7200000);
    assert_int_equal(c->nonrefreshable_access_token_lifetime_ms, 7200000);
    assert_int_equal(c->refreshable_access_token_lifetime_ms, 90000);
    assert_int_equal(c->refresh_token_lifetime_ms, 1800000);
    assert_int_equal(c->max_upload_size, 3LL << 30);
    assert_int_equal(c->forgotten_room_retention_ms, 7 * 86400000LL);
    refused(*state, "server_name: a\nmax_upload_size: 5Q\n", "h.yaml:2: max_upload_size: expected a size");
    refused(*state, "server_name: a\nsession_lifetime: soon\n", "h.yaml:2: session_lifetime: expected a duration");
    refused(*state, "server_name: a\nsession_lifetime: 99999999999y\n", "session_lifetime");
}

static void limits_may_give_one_half(void **state)
{
    const hs_config *c = good(*state, "server_name: a\n"
                                      "rc_message: {per_second: 1000}\n"
                                      "rc_joins: {local: {per_second: 9999, burst_count: 9999.0}}\n"
                                      "rc_admin_redaction: {per_second: 1, burst_count: 50}\n");

    assert_true(c->rc_message.per_second > 999);
    assert_int_equal(c->rc_message.burst, 10);
    assert_int_equal(c->rc_joins_local.burst, 9999);
    assert_int_equal(c->rc_joins_remote.burst, 10);
    assert_true(c->has_rc_admin_redaction);
    refused(*state, "server_name: a\nrc_message: 5\n", "rc_message: expected per_second and burst_count");
    refused(*state, "server_name: a\nrc_login:\n  account: {per_second: fast}\n", "h.yaml:3: rc_login.account");
}

static void listeners_are_as_in_synapse(void **state)
{
    const hs_config *c =
        good(*state, "server_name: a\n"
                     "tls_certificate_path: /c\n"
                     "tls_private_key_path: /k\n"
                     "listeners:\n"
                     "  - port: 8448\n"
                     "    tls: true\n"
                     "    type: http\n"
                     "    resources:\n"
                     "      - names: [client, federation]\n"
                     "        compress: false\n"
                     "      - names: [static]\n"
                     "  - {path: /run/s.sock, mode: 0o660, type: http, resources: [{names: [client]}]}\n"
                     "  - {port: 9000, type: metrics, bind_addresses: ['127.0.0.1']}\n"
                     "  - {port: 9001, type: manhole}\n");

    assert_int_equal(c->listeners_n, 3);
    assert_true(c->listeners[0].tls);
    assert_false(c->listeners[0].x_forwarded);
    assert_int_equal(c->listeners[0].bind_addresses.n, 2);
    assert_int_equal(c->listeners[0].resources.n, 3);
    same(c->listeners[1].unix_path, "/run/s.sock");
    assert_int_equal(c->listeners[1].unix_mode, 0660);
    assert_true(c->listeners[1].x_forwarded);
    assert_true(c->listeners[2].metrics);
    same(c->listeners[2].bind_addresses.at[0], "127.0.0.1");
    refused(*state, "server_name: a\nlisteners: [{port: 1, tls: true}]\n", "tls needs tls_certificate_path");
    refused(*state, "server_name: a\nlisteners: [{port: 99999}]\n", "port: expected");
    refused(*state, "server_name: a\nlisteners: [{port: 1, type: replication}]\n", "type: expected http or metrics");
}

static void redis_is_read_as_synapse_reads_it_and_with_sentinels(void **state)
{
    const hs_config *c = good(*state, "server_name: a\n");

    assert_false(c->redis.enabled);
    same(c->redis.host, "localhost");
    assert_int_equal(c->redis.port, 6379);
    c = good(*state,
             "server_name: a\n"
             "redis: {enabled: true, host: r.example, port: 6380, username: u, password: p, dbid: 4, use_tls: true, "
             "certificate_file: /c, private_key_file: /k, ca_file: /ca, ca_path: /cas}\n");
    assert_true(c->redis.enabled && c->redis.use_tls);
    same(c->redis.host, "r.example");
    same(c->redis.username, "u");
    same(c->redis.password, "p");
    same(c->redis.certificate_file, "/c");
    same(c->redis.private_key_file, "/k");
    same(c->redis.ca_file, "/ca");
    same(c->redis.ca_path, "/cas");
    assert_int_equal(c->redis.port, 6380);
    assert_int_equal(c->redis.dbid, 4);
    c = good(*state, "server_name: a\n"
                     "redis: {enabled: true, path: /run/redis.sock, dbid: null, sentinel_master: m,\n"
                     "  sentinels: ['s1.example:26380', s2.example, '[::1]:1']}\n");
    same(c->redis.path, "/run/redis.sock");
    assert_int_equal(c->redis.dbid, 0);
    assert_int_equal(c->redis.sentinels_n, 3);
    same(c->redis.sentinels[0].host, "s1.example");
    assert_int_equal(c->redis.sentinels[0].port, 26380);
    same(c->redis.sentinels[1].host, "s2.example");
    assert_int_equal(c->redis.sentinels[1].port, 26379);
    same(c->redis.sentinels[2].host, "::1");
    refused(*state, "server_name: a\nredis: {enabled: true, port: 70000}\n", "h.yaml:2: redis.port");
    refused(*state, "server_name: a\nredis: {enabled: true, sentinels: [a]}\n", "sentinel_master is missing");
    refused(*state, "server_name: a\nredis: {enabled: true, sentinel_master: m, sentinels: ['a:x']}\n", "host:port");
    refused(*state, "server_name: a\nredis: {enabled: true, password: x, password_path: /y}\n", "one of them must go");
}

static void database_arguments_become_a_conninfo(void **state)
{
    const hs_config *c =
        good(*state, "server_name: a\n"
                     "database:\n"
                     "  name: psycopg2\n"
                     "  args: {user: u, password: \"it's \\\\ \", database: d, host: h, port: 5433, cp_max: 7, "
                     "cp_min: 5}\n");

    same(c->conninfo, "user='u' password='it\\'s \\\\ ' dbname='d' host='h' port='5433' ");
    assert_int_equal(c->cp_max, 7);
    assert_false(c->private_postgres);
    refused(*state, "server_name: a\ndatabase: {name: sqlite3}\n", "SQLite is not supported");
    refused(*state, "server_name: a\ndatabase: {args: {database: /x.db}}\n", "SQLite is not supported");
}

/* A17: or a token that somebody must have been given. */
static void open_registration_wants_a_confirmation(void **state)
{
    refused(*state, "server_name: a\nenable_registration: true\n", "`enable_registration_without_verification`");
    assert_true(
        good(*state, "server_name: a\nenable_registration: yes\nenable_registration_without_verification: true\n")
            ->enable_registration);
    assert_true(good(*state, "server_name: a\nenable_registration: true\nregistration_requires_token: true\n")
                    ->registration_requires_token);
}

static void unsafe_to_ignore_is_refused(void **state)
{
    refused(*state, "server_name: a\nmodules: [{module: x.Y}]\n", "h.yaml:2: modules: Python modules: not supported");
    refused(*state, "server_name: a\nregistrations_require_3pid: [email]\n", "registrations_require_3pid");
    refused(*state, "server_name: a\nexperimental_features: {msc3861: {enabled: true}}\n", "msc3861");
    refused(*state, "server_name: a\nmatrix_authentication_service: {enabled: true}\n",
            "matrix_authentication_service");
    good(*state, "server_name: a\nmodules: []\nenable_registration_captcha: false\nexperimental_features: {}\n");
}

static void mistakes_are_named_by_line(void **state)
{
    refused(*state, "", "Missing mandatory `server_name`");
    refused(*state, "server_name: a\n  bad: [\n", "h.yaml:2: this is not YAML");
    refused(*state, "- a\n- b\n", "expected options as");
    refused(*state, "server_name: a\n\nallow_guest_access: maybe\n",
            "h.yaml:3: allow_guest_access: expected true or false");
    refused(*state, "server_name: [a]\n", "server_name: expected a string");
    refused(*state, "server_name: a\nauto_join_rooms: '#x:a'\n", "auto_join_rooms: expected a list");
    refused(*state, "server_name: a\nbcrypt_rounds: 99\n", "bcrypt_rounds");
}

/* What the log says goes to a file here. */
static void load_logged(hs_arena *a, const char *yaml, char *text, size_t cap)
{
    FILE *f = tmpfile();
    hs_logger *log = hs_logger_open(fileno(f), HS_LOG_INFO, false);
    const hs_config *c;
    size_t n;

    assert_null(hs_config_load_text(a, HS_S("h.yaml"), hs_str_c(yaml), log, &c));
    hs_logger_close(log);
    rewind(f);
    n = fread(text, 1, cap - 1, f);
    text[n] = '\0';
    fclose(f);
}

static void unknown_options_are_warned_about_once(void **state)
{
    char text[4096];

    load_logged(*state,
                "server_name: a\nfrobnicate: 1\nreport_stats: no\npush: {include_content: false}\n"
                "url_preview_enabled: false\nserver_notices: {}\npassword_config: {peper: x}\n"
                "caches: {cache_autotuning: {max_cache_memory_usage: 1G}}\n",
                text, sizeof text);
    assert_non_null(strstr(text, "h.yaml:2: unknown option frobnicate"));
    assert_non_null(strstr(text, "unknown option password_config.peper"));
    assert_non_null(strstr(text, "option push is not supported yet"));
    assert_null(strstr(text, "report_stats"));
    assert_null(strstr(text, "url_preview_enabled"));
    assert_null(strstr(text, "server_notices"));
    assert_null(strstr(text, "cache"));
}

static hs_str write_file(hs_arena *a, const char *dir, const char *name, const char *text)
{
    hs_str path;
    const char *c;
    FILE *f;

    assert_null(hs_str_fmt(a, &path, "%s/%s", dir, name));
    assert_null(hs_cstr(a, path, &c));
    f = fopen(c, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void later_files_replace_whole_sections_and_secrets_come_from_files(void **state)
{
    char dir[] = "/tmp/hs-config-XXXXXX", yaml[512];
    hs_str paths[2], log_file;
    const hs_config *c;

    assert_non_null(mkdtemp(dir));
    write_file(*state, dir, "secret", "  s3cret\n");
    log_file = write_file(
        *state, dir, "log.config",
        "version: 1\nformatters: {j: {class: synapse.logging.TerseJsonFormatter}}\n"
        "handlers:\n  f: {class: logging.handlers.TimedRotatingFileHandler, filename: /var/log/h.log, formatter: j}\n"
        "  buffer: {class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler, target: f}\n"
        "root: {level: WARNING, handlers: [buffer]}\n");
    paths[0] = write_file(*state, dir, "a.yaml", "server_name: a\nrc_message: {per_second: 5, burst_count: 6}\n");
    snprintf(
        yaml, sizeof yaml,
        "rc_message: {burst_count: 9}\nmacaroon_secret_key_path: %s/secret\nregistration_shared_secret_path: %s/none\n"
        "log_config: %.*s\n",
        dir, dir, HS_FMT(log_file));
    paths[1] = write_file(*state, dir, "b.yaml", yaml);

    assert_null(hs_config_load(*state, paths, 2, NULL, &c));
    assert_int_equal(c->rc_message.burst, 9);
    assert_true(c->rc_message.per_second < 1);
    same(c->macaroon_secret_key, "s3cret");
    assert_true(hs_str_ends(c->registration_shared_secret_path, HS_S("/none")));
    assert_int_equal(c->log.level, HS_LOG_WARN);
    assert_true(c->log.json);
    same(c->log.file, "/var/log/h.log");

    hs_str folder = hs_str_c(dir);
    assert_null(hs_config_load(*state, &folder, 1, NULL, &c));
    assert_int_equal(c->rc_message.burst, 9);

    write_file(*state, dir, "c.yaml", "macaroon_secret_key: x\n");
    hs_error *e = hs_config_load(*state, &folder, 1, NULL, &c);
    assert_non_null(e);
    assert_true(hs_str_ends(e->message, HS_S("one of them must go")));

    char command[128];
    static const char *const MADE[] = { "secret", "log.config", "a.yaml", "b.yaml", "c.yaml" };
    for (size_t i = 0; i < sizeof MADE / sizeof *MADE; i++) {
        snprintf(command, sizeof command, "%s/%s", dir, MADE[i]);
        unlink(command);
    }
    rmdir(dir);
}

static void a_workers_file_of_synapse_is_read_beside_the_shared_one(void **state)
{
    const hs_config *c = good(*state, "server_name: a\n"
                                      "worker_app: synapse.app.generic_worker\n"
                                      "worker_name: w1\n"
                                      "worker_listeners:\n"
                                      "  - {type: http, port: 8083, resources: [{names: [client, federation]}]}\n"
                                      "  - {type: http, path: /run/w1.sock, resources: [{names: [replication]}]}\n"
                                      "worker_daemonize: true\n"
                                      "worker_pid_file: /run/w1.pid\n");

    same(c->worker_app, "synapse.app.generic_worker");
    same(c->worker_name, "w1");
    same(c->worker_pid_file, "/run/w1.pid");
    assert_true(c->worker_daemonize);
    assert_int_equal(c->worker_listeners_n, 2);
    assert_int_equal(c->worker_listeners[0].port, 8083);
    assert_int_equal(c->worker_listeners[1].resources.n, 0); /* replication is left out */
    assert_int_equal(c->listeners[0].port, 8008);
}

static void the_workers_log_is_that_of_the_server_unless_it_has_its_own(void **state)
{
    assert_true(good(*state, "server_name: a\nlog: {format: json}\n")->worker_log.json);

    char path[] = "/tmp/hs-config-XXXXXX", yaml[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "root: {level: ERROR}\n", 21) == 21);
    close(fd);
    snprintf(yaml, sizeof yaml, "server_name: a\nlog: {format: json}\nworker_log_config: %s\n", path);
    const hs_config *c = good(*state, yaml);
    assert_int_equal(c->worker_log.level, HS_LOG_ERROR);
    assert_true(!c->worker_log.json && c->log.json && c->log.level == HS_LOG_INFO);
    unlink(path);
}

static void what_workers_do_not_need_is_refused_or_said_with_the_reason(void **state)
{
    char text[4096] = { 0 };
    int fds[2];
    const hs_config *c;

    refused(*state, "server_name: a\nworker_replication_port: 9092\n", "by Redis");
    refused(*state, "server_name: a\nworker_replication_host: h\n", "h.yaml:2: worker_replication_host:");
    refused(*state, "server_name: a\nlisteners: [{port: 1, resources: [{names: [clients]}]}]\n",
            "there is no resource 'clients'");
    assert_int_equal(pipe(fds), 0);
    hs_logger *log = hs_logger_open(fds[1], HS_LOG_INFO, false);
    hs_str yaml = HS_S("server_name: a\ninstance_map: {main: {host: localhost, port: 1}}\n"
                       "stream_writers: {events: w1}\nsend_federation: true\nstart_pushers: false\n");
    assert_null(hs_config_load_text(*state, HS_S("h.yaml"), yaml, log, &c));
    hs_logger_close(log);
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    assert_non_null(strstr(text, "instance_map has no effect"));
    assert_non_null(strstr(text, "Any worker writes every stream"));
    assert_non_null(strstr(text, "start_pushers"));
    assert_null(strstr(text, "send_federation"));
}

static void old_signing_keys_are_kept_to_be_published(void **state)
{
    const hs_config *c = good(*state, "server_name: a\nkey_refresh_interval: 2h\n"
                                      "old_signing_keys: {'ed25519:x': {key: AAAA, expired_ts: 12}}\n");

    assert_int_equal(c->key_refresh_interval_ms, 7200000);
    assert_int_equal(hs_jv_count(c->old_signing_keys), 1);
    assert_int_equal(good(*state, "server_name: a\n")->key_refresh_interval_ms, 86400000);
}

static void nested_content_becomes_json(void **state)
{
    const hs_config *c =
        good(*state, "server_name: a\n"
                     "extra_well_known_client_content:\n"
                     "  a.b: {list: [1, true, 'no', no, ~, {x: y}], empty: {}, none: []}\n"
                     "default_power_level_content_override: {private_chat: {events: {m.room.name: 50}}}\n");

    same(hs_jv_raw(c->extra_well_known_client),
         "{\"a.b\":{\"list\":[1,true,\"no\",false,null,{\"x\":\"y\"}],\"empty\":{},\"none\":[]}}");
    assert_true(
        hs_jv_is(hs_jv_path(c->default_power_level_content_override, "private_chat", "events", "m.room.name", NULL)));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_arena, close_arena)
    const struct CMUnitTest tests[] = {
        T(defaults_are_synapses),
        T(durations_and_sizes_have_units),
        T(limits_may_give_one_half),
        T(listeners_are_as_in_synapse),
        T(database_arguments_become_a_conninfo),
        T(redis_is_read_as_synapse_reads_it_and_with_sentinels),
        T(open_registration_wants_a_confirmation),
        T(unsafe_to_ignore_is_refused),
        T(mistakes_are_named_by_line),
        T(unknown_options_are_warned_about_once),
        T(later_files_replace_whole_sections_and_secrets_come_from_files),
        T(nested_content_becomes_json),
        T(a_workers_file_of_synapse_is_read_beside_the_shared_one),
        T(the_workers_log_is_that_of_the_server_unless_it_has_its_own),
        T(what_workers_do_not_need_is_refused_or_said_with_the_reason),
        T(old_signing_keys_are_kept_to_be_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
