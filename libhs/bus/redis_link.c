/* See redis_link.h. */
#include "bus/redis_link.h"

#include "base/checked.h"

#include <stdio.h>
#include <stdlib.h>

#define OPEN_MS    3000
#define WORDS_MAX  4
#define REPLY_MAX  HS_MIB(64)
#define REASON_MAX 120

struct hs_redis_link {
    hs_stream *stream;
    redisReader *reader;
    hs_redis_link_options o;
    unsigned refs;                   /* the owner's and that of a running callback */
    bool auth, name, failed, closed; /* auth, name: the answer is waited for */
};

bool hs_redis_is(const redisReply *r, hs_str text)
{
    return hs_str_eq(hs_redis_text(r), text);
}

hs_str hs_redis_text(const redisReply *r)
{
    bool has = r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS || r->type == REDIS_REPLY_ERROR;

    return has ? hs_str_make(r->str, r->len) : hs_str_make(NULL, 0);
}

bool hs_redis_link_send(hs_redis_link *l, const hs_str *words, size_t n)
{
    hs_str parts[1 + 3 * WORDS_MAX];
    char heads[1 + WORDS_MAX][32];

    if (n > WORDS_MAX || l->closed || l->failed)
        return false;
    parts[0] = hs_str_make(heads[0], (size_t)snprintf(heads[0], sizeof heads[0], "*%zu\r\n", n));
    for (size_t i = 0; i < n; i++) {
        hs_str *p = &parts[1 + 3 * i];
        char *head = heads[1 + i];
        p[0] = hs_str_make(head, (size_t)snprintf(head, sizeof heads[0], "$%zu\r\n", words[i].n));
        p[1] = words[i];
        p[2] = HS_S("\r\n");
    }
    return hs_stream_write(l->stream, parts, 1 + 3 * n);
}

bool hs_redis_link_publish(hs_redis_link *l, hs_str channel, hs_str bytes, hs_str tail)
{
    char heads[2][48];
    int first = snprintf(heads[0], sizeof heads[0], "*3\r\n$7\r\nPUBLISH\r\n$%zu\r\n", channel.n);
    int second = snprintf(heads[1], sizeof heads[1], "\r\n$%zu\r\n", bytes.n + tail.n);
    const hs_str parts[] = {
        hs_str_make(heads[0], (size_t)first), channel, hs_str_make(heads[1], (size_t)second), bytes, tail, HS_S("\r\n")
    };

    return !l->closed && !l->failed && hs_stream_write(l->stream, parts, sizeof parts / sizeof *parts);
}

size_t hs_redis_link_waiting(const hs_redis_link *l)
{
    return hs_stream_waiting(l->stream);
}

static void unref(hs_redis_link *l)
{
    if (--l->refs)
        return;
    redisReaderFree(l->reader);
    free(l);
}

static void fail(hs_redis_link *l, hs_str why)
{
    if (l->failed || l->closed)
        return;
    l->failed = true;
    l->o.calls->failed(l->o.ud, why);
}

static void on_opened(void *ud)
{
    hs_redis_link *l = ud;
    bool ok;

    l->refs++;
    if (l->o.password.n && l->o.username.n)
        ok = hs_redis_link_send(l, (hs_str[]){ HS_S("AUTH"), l->o.username, l->o.password }, 3);
    else
        ok = !l->o.password.n || hs_redis_link_send(l, (hs_str[]){ HS_S("AUTH"), l->o.password }, 2);
    l->auth = l->o.password.n > 0;
    l->name = true;
    if (!ok || !hs_redis_link_send(l, (hs_str[]){ HS_S("CLIENT"), HS_S("SETNAME"), l->o.name }, 3))
        fail(l, HS_S("no memory"));
    unref(l);
}

/* The answers to what on_opened sent. Redis may repeat the arguments of a command that it does not know, so of an error
 * after AUTH only the first word is shown. The name is a courtesy. */
static void greet(hs_redis_link *l, const redisReply *r)
{
    hs_str text = hs_redis_text(r);
    char why[REASON_MAX];
    bool bad = r->type == REDIS_REPLY_ERROR;

    if (l->auth) {
        l->auth = false;
        int n = snprintf(why, sizeof why, "AUTH: %.*s", HS_FMT(hs_str_first(text, hs_str_find(text, ' ', 0))));
        if (bad)
            fail(l, hs_str_first(hs_str_c(why), (size_t)n));
        return;
    }
    l->name = false;
    if (bad && hs_str_starts(text, HS_S("NOAUTH")))
        fail(l, HS_S("it wants a password"));
    else
        l->o.calls->ready(l->o.ud);
}

static void on_came(void *ud, hs_str bytes)
{
    hs_redis_link *l = ud;
    void *reply = NULL;

    if (redisReaderFeed(l->reader, bytes.p, bytes.n) != REDIS_OK) {
        fail(l, HS_S("what it sends makes no sense"));
        return;
    }
    l->refs++;
    while (!l->closed && !l->failed) {
        if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
            fail(l, HS_S("what it sends makes no sense"));
            break;
        }
        if (!reply)
            break;
        if (l->auth || l->name)
            greet(l, reply);
        else
            l->o.calls->reply(l->o.ud, reply);
        freeReplyObject(reply);
    }
    if (!l->closed && !l->failed && l->reader->len - l->reader->pos > REPLY_MAX)
        fail(l, HS_S("a reply is too long"));
    unref(l);
}

static void on_failed(void *ud, hs_str why)
{
    hs_redis_link *l = ud;

    l->refs++;
    fail(l, why);
    unref(l);
}

hs_redis_link *hs_redis_link_open(hs_loop *loop, const hs_redis_link_options *o)
{
    static const hs_stream_calls calls = { .opened = on_opened, .came = on_came, .failed = on_failed };
    hs_redis_link *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->refs = 1;
    l->o = *o;
    l->reader = redisReaderCreate();
    l->stream = hs_stream_open(loop, &(hs_stream_options){ .host = o->host,
                                                           .port = o->port,
                                                           .path = o->path,
                                                           .tls = o->tls,
                                                           .open_ms = OPEN_MS,
                                                           .out_max = o->out_max,
                                                           .calls = &calls,
                                                           .ud = l });
    if (l->reader && l->stream)
        return l;
    hs_redis_link_close(l);
    return NULL;
}

void hs_redis_link_close(hs_redis_link *l)
{
    if (!l || l->closed)
        return;
    l->closed = true;
    hs_stream_close(l->stream);
    unref(l);
}
