/* The bus through a Redis: one connection that publishes, one that is subscribed.
 *
 * Both live and die together. A beat of our own goes out on one and must come back on the other; that shows more than a
 * PING could: that both ends answer, that both are the same Redis, and how far behind it is. Time is counted in ticks
 * of our own timer, so that a process which was stopped for a while first reads what has come meanwhile.
 *
 * Who can write to the Redis is not therefore believed: behind each message stands a tag, made with a secret of the
 * server's workers over the message, under a key of its channel. Messages may be repeated, as by a bus they may. */
#include "bus/bus_redis.h"

#include "base/checked.h"
#include "bus/bus_impl.h"
#include "bus/redis_link.h"
#include "bus/redis_sentinel.h"
#include "runtime/random.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS     250
#define BEAT_TICKS  2  /* between beats */
#define SICK_TICKS  6  /* without a beat coming back: not healthy */
#define DEAD_TICKS  14 /* then the connections are made anew */
#define PAUSE_FIRST 50 /* ms before the first try again; doubled up to … */
#define PAUSE_MAX   1000
#define QUEUE_MAX   HS_MIB(8)   /* what waits to be published; the oldest goes */
#define PIPE_MAX    HS_KIB(256) /* handed to the connection before it has taken what is there */
#define ARENA_CAP   HS_MIB(1)

typedef struct queued {
    struct queued *next;
    size_t channel_n, n;
    char bytes[]; /* channel, then message */
} queued;

typedef struct {
    hs_bus bus;
    hs_arena *arena;
    hs_bus_redis_options o;
    hs_tls_client *tls;
    hs_str prefix, beat; /* beat: the channel of our own beats, prefix included */
    char where[320];     /* for the log */
    hs_str host;
    uint16_t port;
    char master_host[256];
    hs_redis_sentinel *sentinel;
    hs_redis_link *pub, *sub;
    bool pub_ready, sub_ready, flowing, role_asked, beat_came, away_told, ready_told;
    bool forged_told;
    unsigned unconfirmed, ticks, silent;
    hs_timer tick, again;
    int64_t pause_ms;
    queued *first, *last;
    size_t queued_size;
} redis;

static void connect_pair(hs_timer *t);

/* ── what waits while there is no connection, or a slow one ── */

static size_t size_of(const queued *q)
{
    return sizeof *q + q->channel_n + q->n;
}

static queued *dequeue(redis *r)
{
    queued *q = r->first;

    r->first = q->next;
    if (!r->first)
        r->last = NULL;
    r->queued_size -= size_of(q);
    return q;
}

static void enqueue(redis *r, hs_str channel, hs_str bytes)
{
    queued *q = bytes.n < QUEUE_MAX / 2 && channel.n < HS_KIB(1) ? malloc(sizeof *q + channel.n + bytes.n) : NULL;

    if (!q) {
        r->bus.stats.dropped++;
        return;
    }
    *q = (queued){ .channel_n = channel.n, .n = bytes.n };
    memcpy(q->bytes, channel.p, channel.n);
    if (bytes.n)
        memcpy(q->bytes + channel.n, bytes.p, bytes.n);
    if (r->last)
        r->last->next = q;
    else
        r->first = q;
    r->last = q;
    r->queued_size += size_of(q);
    while (r->queued_size > QUEUE_MAX) {
        free(dequeue(r));
        r->bus.stats.dropped++;
    }
}

_Static_assert(HS_BUS_SECRET_BYTES == crypto_shorthash_siphashx24_KEYBYTES, "the secret is a key");
enum { TAG = crypto_shorthash_siphashx24_BYTES };

static void make_tag(const redis *r, hs_str channel, hs_str bytes, uint8_t ret[TAG])
{
    uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];

    crypto_shorthash_siphashx24(key, (const uint8_t *)channel.p, channel.n, r->o.secret);
    crypto_shorthash_siphashx24(ret, (const uint8_t *)bytes.p, bytes.n, key);
}

static bool send_message(redis *r, hs_str channel, hs_str bytes)
{
    uint8_t tag[TAG];

    make_tag(r, channel, bytes, tag);
    return hs_redis_link_publish(r->pub, channel, bytes, hs_str_make((const char *)tag, TAG));
}

/* Takes the tag off. */
static bool is_ours(redis *r, hs_str channel, hs_str *bytes)
{
    uint8_t tag[TAG];

    if (bytes->n < TAG)
        return false;
    bytes->n -= TAG;
    make_tag(r, channel, *bytes, tag);
    return !sodium_memcmp(tag, bytes->p + bytes->n, TAG);
}

static bool pipe_full(const redis *r)
{
    return hs_redis_link_waiting(r->pub) > PIPE_MAX;
}

static void send_queued(redis *r)
{
    while (r->first && !pipe_full(r)) {
        queued *q = dequeue(r);
        if (!send_message(r, hs_str_make(q->bytes, q->channel_n), hs_str_make(q->bytes + q->channel_n, q->n)))
            r->bus.stats.dropped++;
        free(q);
    }
}

static void publish(hs_bus *b, hs_str channel, hs_str bytes)
{
    redis *r = (redis *)b;
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s%.*s", HS_FMT(r->prefix), HS_FMT(channel));

    if (n < 0 || (size_t)n >= sizeof name) {
        b->stats.dropped++;
        return;
    }
    hs_str whole = hs_str_make(name, (size_t)n);
    if (r->flowing && !r->first && !pipe_full(r) && send_message(r, whole, bytes))
        return;
    enqueue(r, whole, bytes);
}

/* ── health ── */

static void judge(redis *r)
{
    bool well = r->flowing && r->beat_came && r->silent < SICK_TICKS;

    hs_bus_set_health(&r->bus, !well ? HS_BUS_DOWN : r->unconfirmed ? HS_BUS_JOINING : HS_BUS_UP);
    if (r->bus.health != HS_BUS_UP || r->ready_told)
        return;
    r->pause_ms = 0;
    r->ready_told = true;
    r->away_told = false;
    hs_log(r->o.log, HS_LOG_INFO, "bus.ready", "redis=%s", r->where);
}

static void say_away(redis *r, hs_str why)
{
    if (!r->away_told)
        hs_log(r->o.log, HS_LOG_WARN, "bus.away",
               "redis=%s reason=%.*s: the database is polled for news until it is back", r->where, HS_FMT(why));
    r->away_told = true;
    r->ready_told = false;
}

static void drop_pair(redis *r)
{
    hs_redis_link_close(r->pub);
    hs_redis_link_close(r->sub);
    r->pub = r->sub = NULL;
    r->pub_ready = r->sub_ready = r->flowing = r->role_asked = r->beat_came = false;
    r->unconfirmed = r->silent = 0;
    judge(r);
}

/* N workers that lost the same Redis do not come back at the same moment. */
static void lost(redis *r, hs_str why)
{
    say_away(r, why);
    drop_pair(r);
    r->pause_ms = r->pause_ms ? r->pause_ms * 2 : PAUSE_FIRST;
    if (r->pause_ms > PAUSE_MAX)
        r->pause_ms = PAUSE_MAX;
    int64_t half = r->pause_ms / 2;
    (void)!hs_timer_arm(r->bus.loop, &r->again, half + (int64_t)(hs_random_u64() % (uint64_t)(half + 1)));
    if (r->sentinel)
        hs_redis_sentinel_doubt(r->sentinel);
}

static void beat(redis *r)
{
    if (!send_message(r, r->beat, HS_S("")))
        lost(r, HS_S("no memory"));
}

static void on_tick(hs_timer *t)
{
    redis *r = t->ud;

    (void)!hs_timer_arm(r->bus.loop, t, TICK_MS);
    if (!r->pub)
        return;
    r->ticks++;
    r->silent++;
    judge(r);
    if (r->silent == SICK_TICKS && r->flowing)
        say_away(r, HS_S("it does not answer"));
    if (r->silent >= DEAD_TICKS)
        lost(r, HS_S("it does not answer"));
    else if (r->flowing && r->ticks % BEAT_TICKS == 0)
        beat(r);
}

/* ── the two connections ── */

static void flow(redis *r)
{
    if (r->flowing || !r->pub_ready || !r->sub_ready || r->unconfirmed || r->role_asked) {
        judge(r);
        return;
    }
    r->flowing = true;
    r->silent = 0;
    r->bus.stats.connects++;
    beat(r);
    if (r->flowing)
        send_queued(r);
}

static bool ask_channel(redis *r, hs_str command, hs_str prefix, hs_str channel)
{
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s%.*s", HS_FMT(prefix), HS_FMT(channel));

    return n >= 0 && (size_t)n < sizeof name &&
           hs_redis_link_send(r->sub, (hs_str[]){ command, hs_str_make(name, (size_t)n) }, 2);
}

static bool subscribe(redis *r, hs_str prefix, hs_str channel)
{
    r->unconfirmed++;
    return ask_channel(r, HS_S("SUBSCRIBE"), prefix, channel);
}

static void join(hs_bus *b, hs_str channel)
{
    redis *r = (redis *)b;

    if (!r->sub_ready)
        return;
    if (!subscribe(r, r->prefix, channel))
        lost(r, HS_S("no memory"));
    else
        judge(r);
}

static void leave(hs_bus *b, hs_str channel)
{
    redis *r = (redis *)b;

    if (r->sub_ready && !ask_channel(r, HS_S("UNSUBSCRIBE"), r->prefix, channel))
        lost(r, HS_S("no memory"));
}

static void on_sub_ready(void *ud)
{
    redis *r = ud;
    bool ok = subscribe(r, r->beat, HS_S(""));

    for (const hs_bus_subscription *s = r->bus.subscriptions; s && ok; s = s->next)
        if (hs_bus_first_of_channel(s))
            ok = subscribe(r, r->prefix, hs_str_make(s->channel, s->channel_n));
    r->sub_ready = true;
    if (!ok)
        lost(r, HS_S("no memory"));
}

static void refuse(redis *r, hs_str channel)
{
    r->bus.stats.forged++;
    if (!r->forged_told)
        hs_log(
            r->o.log, HS_LOG_WARN, "bus.forged",
            "redis=%s channel=%.*s: a message that none of this server's workers has made, or one with another signing "
            "key; said once, hs_bus_forged_total counts on",
            r->where, HS_FMT(channel));
    r->forged_told = true;
}

static void on_message(redis *r, hs_str channel, hs_str bytes)
{
    if (!is_ours(r, channel, &bytes)) {
        refuse(r, channel);
    } else if (hs_str_eq(channel, r->beat)) {
        r->silent = 0;
        r->beat_came = true;
        judge(r);
    } else if (hs_str_starts(channel, r->prefix)) {
        r->bus.refs++;
        hs_bus_deliver(&r->bus, hs_str_from(channel, r->prefix.n), bytes);
        hs_bus_unref(&r->bus);
    }
}

static void on_sub_reply(void *ud, const redisReply *reply)
{
    redis *r = ud;

    if (reply->type == REDIS_REPLY_ERROR) {
        lost(r, hs_redis_text(reply));
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        return;
    if (hs_redis_is(reply->element[0], HS_S("message"))) {
        on_message(r, hs_redis_text(reply->element[1]), hs_redis_text(reply->element[2]));
    } else if (hs_redis_is(reply->element[0], HS_S("subscribe")) && r->unconfirmed) {
        r->unconfirmed--;
        flow(r);
    }
}

/* A master that lost its place still takes what is published, and nobody hears it. */
static void on_pub_ready(void *ud)
{
    redis *r = ud;

    r->pub_ready = true;
    r->role_asked = r->sentinel != NULL;
    if (r->role_asked && !hs_redis_link_send(r->pub, (hs_str[]){ HS_S("ROLE") }, 1))
        lost(r, HS_S("no memory"));
    else
        flow(r);
}

static void on_pub_reply(void *ud, const redisReply *reply)
{
    redis *r = ud;

    if (r->role_asked) { /* an error: this user may not ask */
        r->role_asked = false;
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements && !hs_redis_is(reply->element[0], HS_S("master")))
            lost(r, HS_S("it is not the master"));
        else
            flow(r);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        lost(r, hs_redis_text(reply));
    } else if (r->first && r->flowing) {
        send_queued(r);
    }
}

static void on_failed(void *ud, hs_str why)
{
    lost(ud, why);
}

static hs_redis_link *open_link(redis *r, const hs_redis_link_calls *calls)
{
    return hs_redis_link_open(r->bus.loop, &(hs_redis_link_options){ .host = r->host,
                                                                     .port = r->port,
                                                                     .path = r->o.path,
                                                                     .tls = r->tls,
                                                                     .username = r->o.username,
                                                                     .password = r->o.password,
                                                                     .name = r->o.client_name,
                                                                     .out_max = QUEUE_MAX,
                                                                     .calls = calls,
                                                                     .ud = r });
}

static void connect_pair(hs_timer *t)
{
    static const hs_redis_link_calls pub = { .ready = on_pub_ready, .reply = on_pub_reply, .failed = on_failed },
                                     sub = { .ready = on_sub_ready, .reply = on_sub_reply, .failed = on_failed };
    redis *r = t->ud;

    if (r->sentinel && !r->host.n)
        return; /* no Sentinel has answered yet; its answer brings us back */
    if (r->o.path.n)
        snprintf(r->where, sizeof r->where, "%.*s", HS_FMT(r->o.path));
    else
        snprintf(r->where, sizeof r->where, "%.*s:%u", HS_FMT(r->host), r->port);
    r->silent = 0;
    r->pub = open_link(r, &pub);
    r->sub = open_link(r, &sub);
    if (!r->pub || !r->sub)
        lost(r, HS_S("no memory"));
}

/* ── the master moves ── */

static void on_found(void *ud, hs_str host, uint16_t port)
{
    redis *r = ud;
    bool moved = !hs_str_eq(host, r->host) || port != r->port;

    if (host.n >= sizeof r->master_host || (!moved && r->pub))
        return;
    if (moved && r->host.n)
        hs_log(r->o.log, HS_LOG_INFO, "bus.master", "redis=%.*s:%u", HS_FMT(host), port);
    memcpy(r->master_host, host.p, host.n);
    r->host = hs_str_make(r->master_host, host.n);
    r->port = port;
    if (!moved)
        return; /* the pause before the next try is kept */
    drop_pair(r);
    hs_timer_disarm(r->bus.loop, &r->again);
    connect_pair(&r->again);
}

static void on_sentinel_failed(void *ud, hs_str why)
{
    redis *r = ud;

    if (!r->pub)
        say_away(r, why);
}

/* ── opening ── */

static void close_redis(hs_bus *b)
{
    redis *r = (redis *)b;

    hs_timer_disarm(b->loop, &r->tick);
    hs_timer_disarm(b->loop, &r->again);
    hs_redis_sentinel_close(r->sentinel);
    r->sentinel = NULL;
    hs_redis_link_close(r->pub);
    hs_redis_link_close(r->sub);
    r->pub = r->sub = NULL;
    r->flowing = r->sub_ready = false;
}

static void free_redis(hs_bus *b)
{
    redis *r = (redis *)b;

    while (r->first)
        free(dequeue(r));
    hs_tls_client_close(r->tls);
    hs_arena_close(r->arena);
    free(r);
}

static hs_error *copy_options(redis *r, const hs_bus_redis_options *o)
{
    hs_bus_redis_address *sentinels;
    hs_str *texts[] = { &r->o.host,
                        &r->o.path,
                        &r->o.username,
                        &r->o.password,
                        &r->o.ca_file,
                        &r->o.ca_path,
                        &r->o.cert_file,
                        &r->o.key_file,
                        &r->o.master,
                        &r->o.server_name,
                        &r->o.client_name,
                        &r->o.sentinel_username,
                        &r->o.sentinel_password };

    r->o = *o;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        HS_TRY(hs_str_dup(r->arena, *texts[i], texts[i]));
    HS_TRY(hs_alloc(r->arena, o->sentinels_n, &sentinels));
    for (size_t i = 0; i < o->sentinels_n; i++) {
        sentinels[i] = o->sentinels[i];
        HS_TRY(hs_str_dup(r->arena, o->sentinels[i].host, &sentinels[i].host));
    }
    r->o.sentinels = sentinels;
    HS_TRY(hs_str_fmt(r->arena, &r->prefix, "%.*s/%lld/", HS_FMT(o->server_name), (long long)o->dbid));
    return hs_str_fmt(r->arena, &r->beat, "%.*shs:beat:%016llx", HS_FMT(r->prefix),
                      (unsigned long long)hs_random_u64());
}

static hs_error *open_redis(redis *r, hs_arena *a, const hs_bus_redis_options *o)
{
    static const hs_redis_sentinel_calls sentinel = { .found = on_found, .failed = on_sentinel_failed };
    hs_tls_client_options tls = {
        .ca_file = o->ca_file, .ca_path = o->ca_path, .cert_file = o->cert_file, .key_file = o->key_file
    };

    HS_TRY(copy_options(r, o));
    if (o->tls)
        HS_TRY(hs_tls_client_open(a, &tls, &r->tls));
    r->tick = (hs_timer){ .fn = on_tick, .ud = r };
    r->again = (hs_timer){ .fn = connect_pair, .ud = r };
    HS_TRY(hs_timer_arm(r->bus.loop, &r->tick, TICK_MS));
    if (!o->sentinels_n) {
        r->host = r->o.host;
        r->port = o->port;
        return hs_timer_arm(r->bus.loop, &r->again, 0);
    }
    snprintf(r->where, sizeof r->where, "%.*s", HS_FMT(r->o.master));
    r->o.path = hs_str_make(NULL, 0);
    r->sentinel = hs_redis_sentinel_open(r->bus.loop, &r->o, r->tls, &sentinel, r);
    return r->sentinel ? NULL : HS_ERR_NOMEM;
}

hs_error *hs_bus_redis_open(hs_loop *loop, hs_arena *a, const hs_bus_redis_options *o, hs_bus **ret)
{
    static const hs_bus_transport transport = {
        .publish = publish, .join = join, .leave = leave, .close = close_redis, .free = free_redis
    };
    redis *r = calloc(1, sizeof *r);

    if (!r)
        return HS_ERR_NOMEM;
    hs_bus_init(&r->bus, loop, &transport, HS_BUS_DOWN);
    r->arena = hs_arena_open(ARENA_CAP);
    hs_error *e = r->arena ? open_redis(r, a, o) : HS_ERR_NOMEM;
    if (e) {
        hs_bus_close(&r->bus);
        return e;
    }
    *ret = &r->bus;
    return NULL;
}
