/* A room's events as a server would send them, made with hs/core.h alone: input for room.c and room.py.
 *
 *     embed_stream VERSION
 *
 * First the servers' public keys ("key SERVER KEY_ID HEX"), then a PDU a line. Two branches fork and merge; one event
 * is not allowed, one is forged, one has lost its content on the way, one follows what nobody has. */
#include <hs/core.h>

#include <stdio.h>
#include <stdlib.h>

static hs_arena *arena;
static hs_str version;
static const uint8_t SEEDS[2][32] = { { 1 }, { 2 } };
static const char *const SERVERS[2] = { "a.example", "b.example" };

static void must(hs_error *e)
{
    if (!e)
        return;
    fprintf(stderr, "embed_stream: %.*s\n", HS_FMT(e->message));
    exit(1);
}

/* What has been sent: its auth events are looked up by type and state_key among all before it, newest first. */
static const hs_core_event *sent[64];
static size_t sent_n;
static hs_str room_id;

static const hs_core_event *newest(hs_core_key key, size_t unseen)
{
    for (size_t i = sent_n; i-- > 0;) {
        hs_core_event_info info;
        if (i + 1 == unseen)
            continue;
        hs_core_event_get(sent[i], &info);
        if (info.state_key.p && hs_str_eq(info.type, key.type) && hs_str_eq(info.state_key, key.state_key))
            return sent[i];
    }
    return NULL;
}

typedef struct {
    const char *sender, *type, *state_key, *content;
    int prev[3];   /* numbers of lines from 1 */
    size_t unseen; /* the line that its sender has not heard of */
} line;

/* The selection is asked of an event, so it is built twice: without auth events first. */
static const hs_core_event *build(const line *l)
{
    hs_core_event_info info;
    const hs_core_event *e;
    hs_core_key keys[HS_CORE_AUTH_MAX];
    hs_str prev[3], auth[HS_CORE_AUTH_MAX];
    int server = strstr(l->sender, ":b.") != NULL;
    hs_core_draft d = { .room_id = room_id,
                        .type = hs_str_c(l->type),
                        .sender = hs_str_c(l->sender),
                        .state_key = hs_str_c(l->state_key),
                        .content = hs_str_c(l->content),
                        .depth = (int64_t)sent_n + 1,
                        .origin_server_ts = 1700000000000 + (int64_t)sent_n,
                        .prev_events = prev,
                        .auth_events = auth };

    for (; d.prev_events_n < 3 && l->prev[d.prev_events_n]; d.prev_events_n++) {
        hs_core_event_get(sent[l->prev[d.prev_events_n] - 1], &info);
        prev[d.prev_events_n] = info.event_id;
    }
    for (int twice = 0; twice < 2; twice++) {
        must(hs_core_event_build(arena, version, &d, hs_str_c(SERVERS[server]), HS_S("1"), SEEDS[server], &e));
        if (twice)
            break;
        size_t n = hs_core_auth_selection(e, keys);
        for (size_t i = 0; i < n; i++) {
            const hs_core_event *found = newest(keys[i], l->unseen);
            if (!found)
                continue;
            hs_core_event_get(found, &info);
            auth[d.auth_events_n++] = info.event_id;
        }
    }
    return e;
}

static void send_as(const hs_core_event *e, const char *from, const char *to)
{
    hs_core_event_info info;
    hs_str shown;

    hs_core_event_get(e, &info);
    must(hs_str_dup(arena, info.json, &shown));
    if (from) { /* something happens to it on the way */
        char *at = (char *)memmem(shown.p, shown.n, from, strlen(from));
        if (!at || strlen(from) != strlen(to))
            exit(1);
        memcpy(at, to, strlen(to));
    }
    printf("%.*s\n", HS_FMT(shown));
    sent[sent_n++] = e;
    if (!room_id.n)
        room_id = info.room_id;
}

int main(int argc, char **argv)
{
    static const line LINES[] = {
        /* 1 */ { "@ann:a.example", "m.room.create", "", "{\"creator\":\"@ann:a.example\"}", { 0 }, 0 },
        /* 2 */ { "@ann:a.example", "m.room.member", "@ann:a.example", "{\"membership\":\"join\"}", { 1 }, 0 },
        /* 3 */ { "@ann:a.example", "m.room.join_rules", "", "{\"join_rule\":\"public\"}", { 2 }, 0 },
        /* 4: in version 12 nobody may name the creator here */
        { "@ann:a.example", "m.room.power_levels", "", "{\"users\":{\"@bea:b.example\":50}}", { 3 }, 0 },
        /* 5 */ { "@bea:b.example", "m.room.member", "@bea:b.example", "{\"membership\":\"join\"}", { 4 }, 0 },
        /* 6 */ { "@cid:b.example", "m.room.member", "@cid:b.example", "{\"membership\":\"join\"}", { 5 }, 0 },
        /* 7: one branch bans */
        { "@bea:b.example", "m.room.member", "@cid:b.example", "{\"membership\":\"ban\"}", { 6 }, 0 },
        /* 8: the other goes on */ { "@cid:b.example", "m.room.message", NULL, "{\"body\":\"still here\"}", { 6 }, 7 },
        /* 9 */ { "@bea:b.example", "m.room.topic", "", "{\"topic\":\"on the other branch\"}", { 8 }, 7 },
        /* 10: they merge */ { "@ann:a.example", "m.room.message", NULL, "{\"body\":\"merged\"}", { 7, 9 }, 0 },
        /* 11: not allowed */ { "@cid:b.example", "m.room.message", NULL, "{\"body\":\"let me in\"}", { 10 }, 0 },
        /* 12: forged */ { "@ann:a.example", "m.room.message", NULL, "{\"body\":\"depth was 12\"}", { 10 }, 0 },
        /* 13: content lost */ { "@ann:a.example", "m.room.message", NULL, "{\"body\":\"words\"}", { 10 }, 0 },
        /* 14 */ { "@bea:b.example", "m.room.message", NULL, "{\"body\":\"the end\"}", { 10, 13 }, 0 },
    };

    arena = hs_arena_open((size_t)1 << 24);
    version = hs_str_c(argc > 1 ? argv[1] : "11");
    if (!arena)
        return 1;
    if (!hs_str_eq(version, HS_S("12"))) /* there the create event names the room */
        room_id = HS_S("!room:a.example");
    for (int i = 0; i < 2; i++) {
        uint8_t key[32];
        hs_core_public_key(SEEDS[i], key);
        printf("key %s ed25519:1 ", SERVERS[i]);
        for (int k = 0; k < 32; k++)
            printf("%02x", key[k]);
        putchar('\n');
    }
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        const char *from = i == 11 ? "\"depth\":12" : i == 12 ? "words" : NULL;
        const char *to = i == 11 ? "\"depth\":99" : "sword";
        send_as(build(&LINES[i]), from, to);
    }
    hs_arena_close(arena);
    return 0;
}
