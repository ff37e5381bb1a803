/* Checks a room's events one by one as a homeserver does, with hs/core.h and nothing else: no database, the look-ups
 * are functions of this program.
 *
 *     embed_room VERSION <STREAM        what embed_stream writes
 *
 * Prints, for each event, its id and what became of it; in the end the state of the room. */
#include <hs/core.h>

#include <stdio.h>
#include <stdlib.h>

enum { MAX_EVENTS = 100, MAX_KEYS = 100, MAX_SERVERS = 10 };

typedef struct {
    const hs_core_event *event;
    hs_core_event_info info;
    bool rejected;
    int64_t auth[10];
    size_t auth_n;
    hs_core_state after; /* the room's state after it */
} known;

typedef struct {
    hs_arena *a;
    hs_str version;
    known events[MAX_EVENTS + 1]; /* an event's number is its index */
    int64_t n;
    hs_core_key keys[MAX_KEYS + 1]; /* a pair's number is its index */
    int64_t keys_n;
    struct {
        hs_str server, key_id;
        uint8_t key[32];
    } servers[MAX_SERVERS];
    int servers_n;
    const hs_core_state *asked; /* the state that state_at looks into */
} room;

/* ── what the library asks ── */

static const hs_core_event *event_of(void *ud, int64_t number)
{
    return ((room *)ud)->events[number].event;
}

static bool is_rejected(void *ud, int64_t number)
{
    return ((room *)ud)->events[number].rejected;
}

static size_t auth_of(void *ud, int64_t number, const int64_t **ret)
{
    const known *k = &((room *)ud)->events[number];

    *ret = k->auth;
    return k->auth_n;
}

static int64_t key_of(void *ud, hs_str type, hs_str state_key)
{
    room *r = ud;

    for (int64_t i = 1; i <= r->keys_n; i++)
        if (hs_str_eq(r->keys[i].type, type) && hs_str_eq(r->keys[i].state_key, state_key))
            return i;
    if (r->keys_n == MAX_KEYS)
        exit(1);
    r->keys[++r->keys_n] = (hs_core_key){ type, state_key };
    return r->keys_n;
}

static const hs_core_event *state_at(void *ud, hs_str type, hs_str state_key)
{
    room *r = ud;
    int64_t key = key_of(r, type, state_key);

    for (size_t i = 0; i < r->asked->n; i++)
        if (r->asked->at[i].key == key)
            return r->events[r->asked->at[i].event].event;
    return NULL;
}

static bool public_key(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32])
{
    const room *r = ud;
    (void)valid_at; /* these keys do not end */

    for (int i = 0; i < r->servers_n; i++) {
        if (!hs_str_eq(r->servers[i].server, server) || !hs_str_eq(r->servers[i].key_id, key_id))
            continue;
        memcpy(ret, r->servers[i].key, 32);
        return true;
    }
    return false;
}

/* ── the checks on receipt of a PDU, in the order of the Server-Server API ── */

static int64_t number_of(const room *r, hs_str id)
{
    for (int64_t i = 1; i <= r->n; i++)
        if (hs_str_eq(r->events[i].info.event_id, id))
            return i;
    return 0;
}

static hs_error *state_before(room *r, const hs_core_event_info *info, hs_core_state *ret)
{
    const hs_core_room questions = {
        .ud = r, .create = 1, .event = event_of, .rejected = is_rejected, .auth = auth_of, .key = key_of
    };
    hs_core_state states[20];

    for (size_t i = 0; i < info->prev_events_n; i++)
        states[i] = r->events[number_of(r, info->prev_events[i])].after;
    return hs_core_resolve(r->a, r->version, &questions, states, info->prev_events_n, ret);
}

static hs_error *state_after(room *r, const hs_core_state *before, int64_t number, hs_core_state *ret)
{
    const hs_core_event_info *info = &r->events[number].info;
    int64_t key = key_of(r, info->type, info->state_key);
    hs_core_entry *at;
    size_t n = 0, i = 0;

    HS_TRY(hs_alloc(r->a, before->n + 1, &at));
    while (i < before->n && before->at[i].key < key)
        at[n++] = before->at[i++];
    at[n++] = (hs_core_entry){ key, number };
    i += i < before->n && before->at[i].key == key;
    while (i < before->n)
        at[n++] = before->at[i++];
    *ret = (hs_core_state){ at, n };
    return NULL;
}

/* Why the event is rejected; NULL: it is not. */
static hs_error *judge(room *r, known *k, const hs_core_state *before, const char **ret)
{
    const hs_core_event *auth[10];
    bool rejected[10];
    hs_core_entry entries[10];
    hs_core_state of_auth = { entries, k->auth_n };

    for (size_t i = 0; i < k->auth_n; i++) {
        const known *by = &r->events[k->auth[i]];
        auth[i] = by->event;
        rejected[i] = by->rejected;
        entries[i] = (hs_core_entry){ key_of(r, by->info.type, by->info.state_key), k->auth[i] };
    }
    hs_core_verdict v = hs_core_auth_events_check(k->event, auth, rejected, k->auth_n);
    if (v.ok) {
        /* From version 12 on the create event is no auth event, as the room's id names it. */
        hs_core_entry with_create[11] = { { key_of(r, HS_S("m.room.create"), HS_S("")), 1 } };
        memcpy(with_create + 1, entries, sizeof entries);
        of_auth = (hs_core_state){ r->n ? with_create : entries, r->n ? of_auth.n + 1 : 0 };
        r->asked = &of_auth;
        v = hs_core_auth_check(k->event, state_at, r);
    }
    if (v.ok) {
        r->asked = before;
        v = hs_core_auth_check(k->event, state_at, r);
    }
    *ret = v.ok ? NULL : v.rule;
    return NULL;
}

static hs_error *receive(room *r, hs_str pdu)
{
    known k = { .event = NULL };
    hs_core_state before;
    hs_str server;
    const char *why;
    bool ok;

    HS_TRY(hs_core_event_read(r->a, r->version, pdu, &k.event));
    hs_core_event_get(k.event, &k.info);
    printf("%.*s %.*s by %.*s: ", HS_FMT(k.info.event_id), HS_FMT(k.info.type), HS_FMT(k.info.sender));
    HS_TRY(hs_core_event_signatures_ok(r->a, k.event, public_key, r, &ok, &server));
    if (!ok) {
        printf("dropped, not signed by %.*s\n", HS_FMT(server));
        return NULL;
    }
    HS_TRY(hs_core_event_hash_ok(r->a, r->version, k.info.json, &ok));
    if (!ok) { /* goes on without what is not protected */
        hs_str redacted;
        HS_TRY(hs_core_event_redact(r->a, r->version, k.info.json, &redacted));
        HS_TRY(hs_core_event_read(r->a, r->version, redacted, &k.event));
        hs_core_event_get(k.event, &k.info);
        printf("redacted, ");
    }
    for (size_t i = 0; i < k.info.prev_events_n; i++)
        if (!number_of(r, k.info.prev_events[i])) {
            printf("waits for %.*s\n", HS_FMT(k.info.prev_events[i]));
            return NULL;
        }
    for (size_t i = 0; i < k.info.auth_events_n; i++) {
        k.auth[k.auth_n] = number_of(r, k.info.auth_events[i]);
        if (!k.auth[k.auth_n++]) {
            printf("waits for %.*s\n", HS_FMT(k.info.auth_events[i]));
            return NULL;
        }
    }
    HS_TRY(state_before(r, &k.info, &before));
    HS_TRY(judge(r, &k, &before, &why));
    k.rejected = why != NULL;
    k.after = before;
    r->events[++r->n] = k;
    if (!why && k.info.state_key.p)
        HS_TRY(state_after(r, &before, r->n, &r->events[r->n].after));
    if (why)
        printf("rejected, %s\n", why);
    else
        puts("accepted");
    return NULL;
}

static void read_key(room *r, hs_str line)
{
    hs_str word = hs_str_split(&line, ' ');
    int at = r->servers_n++;

    (void)word;
    r->servers[at].server = hs_str_split(&line, ' ');
    r->servers[at].key_id = hs_str_split(&line, ' ');
    for (size_t i = 0; i < 32 && line.n == 64; i++)
        r->servers[at].key[i] = (uint8_t)(hs_hex_digit(line.p[2 * i]) * 16 + hs_hex_digit(line.p[2 * i + 1]));
}

int main(int argc, char **argv)
{
    static char text[1 << 17];
    static room r;
    hs_error *e = NULL;

    r.a = hs_arena_open((size_t)1 << 26);
    r.version = hs_str_c(argc > 1 ? argv[1] : "11");
    if (!r.a)
        return 1;
    while (!e && r.n < MAX_EVENTS && fgets(text, sizeof text, stdin)) {
        hs_str line;
        e = hs_str_dup(r.a, hs_str_trim(hs_str_c(text)), &line);
        if (!e && hs_str_starts(line, HS_S("key ")))
            read_key(&r, line);
        else if (!e)
            e = receive(&r, line);
    }
    if (e) {
        printf("%.*s\n", HS_FMT(e->cause ? e->cause->message : e->message));
        return 1;
    }
    for (size_t i = 0; i < r.events[r.n].after.n; i++) {
        const hs_core_event_info *info = &r.events[r.events[r.n].after.at[i].event].info;
        printf("state %.*s \"%.*s\" is %.*s\n", HS_FMT(info->type), HS_FMT(info->state_key), HS_FMT(info->event_id));
    }
    hs_arena_close(r.a);
    return 0;
}
