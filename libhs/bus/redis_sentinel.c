/* See redis_sentinel.h. One connection to one Sentinel at a time: the question first, then +switch-master. When it
 * fails or falls silent the next one has its turn. */
#include "bus/redis_sentinel.h"

#include "base/checked.h"
#include "runtime/random.h"

#include <stdlib.h>

#define TICK_MS    1000
#define SILENT_MAX 4 /* ticks without a word */
#define PAUSE_MS   1000
#define OUT_MAX    HS_KIB(64)

struct hs_redis_sentinel {
    hs_loop *loop;
    const hs_bus_redis_options *o;
    const hs_tls_client *tls;
    const hs_redis_sentinel_calls *calls;
    void *ud;
    hs_redis_link *link;
    size_t at;           /* of o->sentinels */
    bool answered, sure; /* sure: it has answered and nobody doubts it */
    unsigned silent;
    hs_timer tick, again;
};

static void next_one(hs_redis_sentinel *s)
{
    hs_redis_link_close(s->link);
    s->link = NULL;
    s->at = (s->at + 1) % s->o->sentinels_n;
    if (!s->again.heap_at)
        (void)!hs_timer_arm(s->loop, &s->again, PAUSE_MS / 2 + (int64_t)(hs_random_u64() % (PAUSE_MS / 2)));
}

static void give_up(hs_redis_sentinel *s, hs_str why)
{
    next_one(s);
    s->calls->failed(s->ud, why);
}

static void on_ready(void *ud)
{
    hs_redis_sentinel *s = ud;

    if (!hs_redis_link_send(s->link, (hs_str[]){ HS_S("SENTINEL"), HS_S("get-master-addr-by-name"), s->o->master },
                            3) ||
        !hs_redis_link_send(s->link, (hs_str[]){ HS_S("SUBSCRIBE"), HS_S("+switch-master") }, 2))
        give_up(s, HS_S("no memory"));
}

static void found(hs_redis_sentinel *s, hs_str host, hs_str port)
{
    int64_t n;

    if (host.n && hs_str_to_i64(port, &n) && n > 0 && n < 65536) {
        s->sure = true;
        s->calls->found(s->ud, host, (uint16_t)n);
    }
}

/* "name old-host old-port new-host new-port" */
static void switched(hs_redis_sentinel *s, hs_str text)
{
    hs_str words[5] = { 0 }, rest = text;

    for (size_t i = 0; i < 5; i++)
        words[i] = hs_str_split(&rest, ' ');
    if (hs_str_eq(words[0], s->o->master))
        found(s, words[3], words[4]);
}

static void on_reply(void *ud, const redisReply *r)
{
    hs_redis_sentinel *s = ud;
    bool list = r->type == REDIS_REPLY_ARRAY;

    s->silent = 0;
    if (!s->answered) {
        s->answered = true;
        if (r->type == REDIS_REPLY_ERROR)
            give_up(s, hs_redis_text(r));
        else if (!list || r->elements != 2)
            give_up(s, HS_S("it does not know a master of that name"));
        else
            found(s, hs_redis_text(r->element[0]), hs_redis_text(r->element[1]));
        return;
    }
    if (list && r->elements == 3 && hs_redis_is(r->element[0], HS_S("message")))
        switched(s, hs_redis_text(r->element[2]));
    else if (r->type == REDIS_REPLY_ERROR)
        give_up(s, hs_redis_text(r));
}

static void on_failed(void *ud, hs_str why)
{
    give_up(ud, why);
}

static void open_link(hs_timer *t)
{
    static const hs_redis_link_calls calls = { .ready = on_ready, .reply = on_reply, .failed = on_failed };
    hs_redis_sentinel *s = t->ud;

    s->answered = s->sure = false;
    s->silent = 0;
    s->link = hs_redis_link_open(s->loop, &(hs_redis_link_options){ .host = s->o->sentinels[s->at].host,
                                                                    .port = s->o->sentinels[s->at].port,
                                                                    .tls = s->tls,
                                                                    .username = s->o->sentinel_username,
                                                                    .password = s->o->sentinel_password,
                                                                    .name = s->o->client_name,
                                                                    .out_max = OUT_MAX,
                                                                    .calls = &calls,
                                                                    .ud = s });
    if (!s->link)
        next_one(s);
}

static void on_tick(hs_timer *t)
{
    hs_redis_sentinel *s = t->ud;

    (void)!hs_timer_arm(s->loop, t, TICK_MS);
    if (!s->link)
        return;
    if (++s->silent > SILENT_MAX)
        give_up(s, HS_S("no answer"));
    else if (s->answered)
        (void)!hs_redis_link_send(s->link, (hs_str[]){ HS_S("PING") }, 1);
}

hs_redis_sentinel *hs_redis_sentinel_open(hs_loop *loop, const hs_bus_redis_options *o, const hs_tls_client *tls,
                                          const hs_redis_sentinel_calls *calls, void *ud)
{
    hs_redis_sentinel *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    *s = (hs_redis_sentinel){ .loop = loop, .o = o, .tls = tls, .calls = calls, .ud = ud };
    s->at = (size_t)(hs_random_u64() % o->sentinels_n);
    s->tick = (hs_timer){ .fn = on_tick, .ud = s };
    s->again = (hs_timer){ .fn = open_link, .ud = s };
    if (hs_timer_arm(loop, &s->tick, TICK_MS) || hs_timer_arm(loop, &s->again, 0)) {
        hs_redis_sentinel_close(s);
        return NULL;
    }
    return s;
}

void hs_redis_sentinel_doubt(hs_redis_sentinel *s)
{
    if (s->link && s->sure)
        next_one(s);
}

void hs_redis_sentinel_close(hs_redis_sentinel *s)
{
    if (!s)
        return;
    hs_timer_disarm(s->loop, &s->tick);
    hs_timer_disarm(s->loop, &s->again);
    hs_redis_link_close(s->link);
    free(s);
}
