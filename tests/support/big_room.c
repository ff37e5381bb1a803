/* See big_room.h. */
#include "support/big_room.h"

#include "core/sign.h"
#include "core/stateres_impl.h"

#include <stdio.h>
#include <stdlib.h>

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "big_room: %s\n", what);
    exit(1);
}

int64_t big_room_slot(void *room, hs_str type, hs_str state_key)
{
    static const uint8_t KEY[16] = { 7 };
    (void)room;

    return hs_slot(KEY, type, state_key);
}

static const hs_event *event_of(void *ud, int64_t nid)
{
    const big_room *r = ud;

    return nid > 0 && (size_t)nid <= r->n ? r->events[nid] : NULL;
}

static bool is_rejected(void *ud, int64_t nid)
{
    (void)ud;
    (void)nid;
    return false;
}

static size_t auth_of(void *ud, int64_t nid, const int64_t **ret)
{
    return big_room_auth(ud, nid, ret);
}

hs_resolver big_room_resolver(big_room *r)
{
    return (hs_resolver){ .rv = r->rv,
                          .event = event_of,
                          .rejected = is_rejected,
                          .auth = auth_of,
                          .slot = big_room_slot,
                          .create = 1,
                          .ud = r };
}

/* ── making it ── */

typedef struct {
    big_room *r;
    hs_num_map state; /* slot → number */
    int64_t last;
    unsigned seed;
    char name;      /* of the branch, in its users' ids */
    size_t members; /* who have joined on it */
    int64_t ts;
} branch;

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16 & 0x7fffu;
}

/* A hash, as ids are. */
static hs_str new_id(branch *b)
{
    char text[32];
    uint8_t hash[32];
    hs_str id, whole;

    int n = snprintf(text, sizeof text, "%zu %u", b->r->n, b->seed);
    hs_sha256(hs_str_make(text, (size_t)n), hash);
    must(!hs_base64_encode(b->r->scratch, hs_str_make((const char *)hash, 32), true, &id) &&
             !hs_str_cat(b->r->a, &whole, 2, HS_S("$"), id),
         "memory");
    return whole;
}

typedef struct {
    hs_str type, state_key, sender, content;
} change;

static size_t select_auth(branch *b, const change *c, int64_t ret[HS_AUTH_TYPES_MAX])
{
    hs_state_key_pair want[HS_AUTH_TYPES_MAX];
    size_t n = 0;
    hs_jv content;

    must(!hs_tape_parse(b->r->scratch, c->content, HS_JSON_OBJECT, &content), "content");
    size_t want_n = hs_auth_types(b->r->rv, c->type, c->sender, c->state_key, true, content, want);
    for (size_t i = 0; i < want_n; i++) {
        int64_t nid = hs_num_map_get(&b->state, big_room_slot(b->r, want[i].type, want[i].state_key));
        if (nid)
            ret[n++] = nid;
    }
    return n;
}

static hs_str quoted_list(big_room *r, const int64_t *nids, size_t n)
{
    hs_json_out j;
    hs_buf b;
    hs_str out;

    hs_buf_init(&b, r->scratch);
    hs_json_out_init(&j, &b);
    hs_json_arr(&j);
    for (size_t i = 0; i < n; i++)
        hs_json_v_str(&j, r->events[nids[i]]->event_id);
    hs_json_end(&j);
    must(!hs_buf_flatten(&b, &out), "memory");
    return out;
}

static void add(branch *b, const change *c)
{
    big_room *r = b->r;
    bool create = hs_str_eq(c->type, HS_S("m.room.create"));
    int64_t auth[HS_AUTH_TYPES_MAX];
    size_t n = select_auth(b, c, auth);
    hs_str json, room_id = { 0 };
    hs_event *e;

    must(r->n + 1 < r->cap, "too many events");
    if (!create || !r->rv->room_id_is_hash)
        must(!hs_str_fmt(r->scratch, &room_id, "\"room_id\":\"%.*s\",",
                         HS_FMT(r->rv->room_id_is_hash ? r->events[1]->room_id : HS_S("!r:x"))),
             "memory");
    must(!hs_str_fmt(
             r->a, &json,
             "{\"auth_events\":%.*s,\"content\":%.*s,\"depth\":%zu,\"origin_server_ts\":%lld,\"prev_events\":%.*s,"
             "%.*s\"sender\":\"%.*s\",\"state_key\":\"%.*s\",\"type\":\"%.*s\"}",
             HS_FMT(quoted_list(r, auth, n)), HS_FMT(c->content), r->n + 1, (long long)b->ts++,
             HS_FMT(quoted_list(r, &b->last, b->last != 0)), HS_FMT(room_id), HS_FMT(c->sender), HS_FMT(c->state_key),
             HS_FMT(c->type)),
         "memory");
    must(!hs_event_read(r->a, r->rv, json, new_id(b), &e), "event");
    int64_t nid = (int64_t)++r->n;
    r->events[nid] = e;
    if (n)
        memcpy(r->auth + r->auth_from[nid], auth, n * sizeof *auth);
    r->auth_from[nid + 1] = r->auth_from[nid] + n;
    must(!hs_num_map_put(r->a, &b->state, big_room_slot(r, c->type, c->state_key), nid), "memory");
    b->last = nid;
}

static hs_str user(branch *b, size_t i)
{
    hs_str s;

    must(!hs_str_fmt(b->r->scratch, &s, "@%c%zu:x", b->name, i), "memory");
    return s;
}

static hs_str membership(branch *b, const char *m)
{
    hs_str s;

    must(!hs_str_fmt(b->r->scratch, &s, "{\"displayname\":\"somebody %c\",\"membership\":\"%s\"}", b->name, m),
         "memory");
    return s;
}

static hs_str power(branch *b)
{
    hs_str s;

    must(!hs_str_fmt(
             b->r->a, &s,
             "{\"ban\":50,\"events\":{\"m.room.avatar\":50,\"m.room.canonical_alias\":50,\"m.room.encryption\":100,"
             "\"m.room.history_visibility\":100,\"m.room.name\":50,\"m.room.power_levels\":100,"
             "\"m.room.server_acl\":100,\"m.room.tombstone\":100},\"events_default\":0,\"invite\":0,\"kick\":50,"
             "\"redact\":50,\"state_default\":50,\"users\":{\"@admin:x\":100,\"@mod1:x\":50,\"@mod2:x\":50,"
             "\"@mod3:x\":%u},\"users_default\":0}",
             draw(&b->seed) % 50),
         "memory");
    return s;
}

static void step(branch *b)
{
    unsigned what = draw(&b->seed) % 100;
    hs_str admin = HS_S("@admin:x"), someone = user(b, draw(&b->seed) % (b->members + 1));

    if (what < 80 || !b->members)
        add(b, &(change){ HS_S("m.room.member"), user(b, b->members), user(b, b->members), membership(b, "join") }),
            b->members++;
    else if (what < 90)
        add(b, &(change){ HS_S("m.room.member"), someone, someone, membership(b, "leave") });
    else if (what < 95)
        add(b, &(change){ HS_S("m.room.member"), someone, admin, membership(b, what < 93 ? "leave" : "ban") });
    else if (what < 98)
        add(b,
            &(change){ what < 97 ? HS_S("m.room.topic") : HS_S("m.room.name"), HS_S(""), HS_S("@mod1:x"), HS_S("{}") });
    else if (what < 99)
        add(b, &(change){ HS_S("m.room.power_levels"), HS_S(""), admin, power(b) });
    else
        add(b, &(change){ HS_S("m.room.join_rules"), HS_S(""), admin, HS_S("{\"join_rule\":\"public\"}") });
}

static void begin(branch *b)
{
    static const char *const JOIN[] = { "@admin:x", "@mod1:x", "@mod2:x", "@mod3:x" };
    hs_str creator = HS_S("@creator:x");

    add(b, &(change){ HS_S("m.room.create"), HS_S(""), creator,
                      HS_S("{\"creator\":\"@creator:x\",\"room_version\":\"11\"}") });
    add(b, &(change){ HS_S("m.room.member"), creator, creator, membership(b, "join") });
    add(b, &(change){ HS_S("m.room.join_rules"), HS_S(""), creator, HS_S("{\"join_rule\":\"public\"}") });
    for (size_t i = 0; i < sizeof JOIN / sizeof *JOIN; i++)
        add(b, &(change){ HS_S("m.room.member"), hs_str_c(JOIN[i]), hs_str_c(JOIN[i]), membership(b, "join") });
    add(b, &(change){ HS_S("m.room.power_levels"), HS_S(""), creator, power(b) });
    for (size_t i = 0; i < 50; i++)
        step(b);
}

static hs_num_map copy_of(big_room *r, const hs_num_map *m)
{
    hs_num_map out = { 0 };

    for (size_t i = 0; i < m->cap; i++)
        if (m->at[i].value)
            must(!hs_num_map_put(r->a, &out, m->at[i].key, m->at[i].value), "memory");
    return out;
}

big_room *big_room_make(hs_arena *a, const hs_roomver *rv, size_t conflicted, unsigned seed)
{
    big_room *r;

    must(!hs_alloc(a, 1, &r), "memory");
    *r = (big_room){ .a = a, .rv = rv, .cap = conflicted + 100, .scratch = hs_arena_open((size_t)1 << 24) };
    must(r->scratch != NULL, "memory");
    must(!hs_alloc(a, r->cap, &r->events) && !hs_alloc(a, r->cap * HS_AUTH_TYPES_MAX, &r->auth) &&
             !hs_alloc(a, r->cap + 1, &r->auth_from),
         "memory");
    branch trunk = { .r = r, .seed = seed, .name = 'c', .ts = 1700000000000 };
    begin(&trunk);
    for (int k = 0; k < 2; k++) {
        branch b = trunk;
        b.state = copy_of(r, &trunk.state);
        b.name = k ? 'b' : 'a';
        b.members = 0;
        b.seed = seed + 17u * (unsigned)k + 1;
        for (size_t i = (size_t)k; i < conflicted; i += 2) {
            hs_arena_reset(r->scratch);
            step(&b);
        }
        hs_state_entries sorted = { 0 };
        must(!hs_state_sorted(a, &b.state, &sorted), "memory");
        r->sets[k] = (hs_state_set){ sorted.at, sorted.n };
    }
    hs_arena_close(r->scratch);
    return r;
}
