#include "support/rooms.h"

#include "store/names.h"

#include <stdlib.h>

static void open_server(test_rooms *t, hs_bus *bus, const char *name, bool sticky)
{
    static const hs_config_rule allow = { .allow = true };
    const uint8_t seed[32] = { 7 };
    hs_signing_key *key;

    t->config =
        (hs_config){ .default_room_version = HS_S("11"), .cache_factor = 0.5, .include_profile_data_on_invite = true };
    t->config.msc4354_enabled = sticky;
    t->config.alias_creation_rules = t->config.room_list_publication_rules = (hs_config_rules){ &allow, 1 };
    for (hs_rate_limit *r = &t->config.rc_message; r <= &t->config.rc_presence_per_user; r++)
        *r = (hs_rate_limit){ 1e6, 1000000 };
    test_ok(hs_alloc(t->db.a, 1, &t->srv));
    *t->srv = (hs_server){ .loop = t->db.loop,
                           .log = t->db.log,
                           .config = &t->config,
                           .db = t->db.db,
                           .bus = bus,
                           .shared = bus != NULL,
                           .worker_name = hs_str_c(name),
                           .roles = HS_ROLE_ALL,
                           .server_name = HS_S("test"),
                           .hash_seed = 5,
                           .arena = t->db.a };
    test_ok(hs_signing_key_open(t->db.a, HS_S("a"), seed, &key));
    t->srv->key = key;
    test_ok(hs_server_open_services(t->srv, t->db.a));
}

void test_rooms_open(test_rooms *t)
{
    test_db_open(&t->db);
    open_server(t, NULL, "main", false);
}

void test_rooms_open_sticky(test_rooms *t)
{
    test_db_open(&t->db);
    open_server(t, NULL, "main", true);
}

void test_rooms_restart(test_rooms *t)
{
    hs_server_close_services(t->srv);
    open_server(t, NULL, "main", t->config.msc4354_enabled);
}

void test_rooms_close(test_rooms *t)
{
    hs_server_close_services(t->srv);
    test_db_close(&t->db);
}

void test_workers_open(test_rooms *t, size_t n, hs_bus **ret_bus)
{
    test_db_open(&t[0].db);
    *ret_bus = hs_bus_local_open(t[0].db.loop);
    for (size_t i = 0; i < n; i++) {
        hs_str name;

        if (i) {
            t[i].db = t[0].db;
            test_ok(hs_db_open(t->db.loop, t->db.a, &(hs_db_options){ .conninfo = t->db.conninfo, .log = t->db.log },
                               &t[i].db.db));
        }
        test_ok(hs_str_fmt(t->db.a, &name, "worker%zu%c", i, 0));
        open_server(&t[i], *ret_bus, name.p, false);
    }
}

void test_workers_close(test_rooms *t, size_t n, hs_bus *bus)
{
    for (size_t i = n; i-- > 0;) {
        hs_server_close_services(t[i].srv);
        if (i)
            hs_db_close(t[i].db.db);
    }
    hs_bus_close(bus);
    test_db_close(&t[0].db);
}

int test_world_open(void **state)
{
    test_world *x = calloc(1, sizeof *x);

    test_workers_open(x->w, TEST_WORKERS, &x->bus);
    *state = x;
    return 0;
}

int test_world_close(void **state)
{
    test_world *x = *state;

    test_workers_close(x->w, TEST_WORKERS, x->bus);
    free(x);
    return 0;
}

hs_session *test_user(test_rooms *t, const char *name)
{
    hs_session *s;

    test_ok(hs_alloc(t->db.a, 1, &s));
    test_ok(hs_str_fmt(t->db.a, &s->user_id, "@%s:test", name));
    s->localpart = hs_str_c(name);
    s->device_id = HS_S("DEV");
    test_ok(hs_store_users_ensure(t->db.db, t->db.a, &s->user_id, 1, &s->user));
    return s;
}

hs_jv test_json(hs_arena *a, const char *text)
{
    hs_jv v;

    test_ok(hs_tape_parse(a, hs_str_c(text), HS_JSON_OBJECT, &v));
    return v;
}

hs_str test_create(test_rooms *t, const hs_session *who, const char *body)
{
    static const hs_field BODY[] = {
        HS_OPT_STR(hs_room_wish, visibility),
        HS_OPT_STR(hs_room_wish, room_alias_name),
        HS_OPT_STR(hs_room_wish, name),
        HS_OPT_STR(hs_room_wish, topic),
        HS_OPT_STR(hs_room_wish, preset),
        HS_OPT_STR(hs_room_wish, room_version),
        HS_OPT_STRS(hs_room_wish, invite),
        HS_OPT_ARR(hs_room_wish, initial_state),
        HS_OPT_OBJ(hs_room_wish, creation_content),
        HS_OPT_OBJ(hs_room_wish, power_level_content_override),
        { 0 },
    };
    hs_room_wish wish = { 0 };
    hs_str room_id;

    test_ok(hs_fields_read(t->db.a, test_json(t->db.a, body), BODY, &wish));
    test_ok(hs_room_create(t->srv, who, t->db.a, &wish, &room_id));
    return room_id;
}

hs_str test_send(test_rooms *t, const hs_session *who, hs_str room_id, const char *text, const char *txn_id)
{
    hs_send in = { .room_id = room_id, .type = HS_S("m.room.message"), .txn_id = hs_str_c(txn_id) };
    hs_arena *a = hs_arena_open(1 << 20); /* a request's own */
    hs_str body, id;

    test_ok(hs_str_fmt(a, &body, "{\"msgtype\":\"m.text\",\"body\":\"%s\"}", text));
    test_ok(hs_tape_parse(a, body, HS_JSON_OBJECT, &in.content));
    test_ok(hs_room_send(t->srv, who, a, &in, &id));
    test_ok(hs_str_dup(t->db.a, id, &id));
    hs_arena_close(a);
    return id;
}

int test_rooms_setup(void **state)
{
    static test_rooms t;

    test_rooms_open(&t);
    *state = &t;
    return 0;
}

int test_rooms_teardown(void **state)
{
    test_rooms_close(*state);
    return 0;
}
