/* The logger. Lines are formatted by who logs and written by a thread of the logger's, so that a slow disk or a full
 * pipe never holds the loop. Between them is a bounded buffer; what does not fit is counted and said later. */
#include "runtime/log.h"

#include "base/checked.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFER         HS_MIB(1)
#define LINE_MAX_BYTES 4096u
/* A write of at most this does not block on a pipe that poll calls writable. */
#define CHUNK         4096u
#define CLOSE_WAIT_MS 2000
/* Lines gather for so long, or up to so much, before they are written: waking the writer for each would cost a request
 * more than its answer does. Warnings and errors are written at once. */
#define GATHER_MS    50
#define GATHER_BYTES HS_KIB(64)

struct hs_logger {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    pthread_t thread;
    bool started, stop, writing, json;
    bool urgent; /* what is in `fill` does not wait for more */
    int fd;
    _Atomic hs_log_level least;
    char *fill, *out; /* swapped by the writer */
    size_t fill_n;
    uint64_t dropped;
    time_t second; /* whose text is cached */
    char second_text[32];
};

static const char *const LEVELS[] = { "DEBUG", "INFO", "WARNING", "ERROR" };

static int64_t mono_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ── the writer ─────────────────────────────────────────────────────────────────────────────────────────────────────
 */

static bool give_up(hs_logger *l, int64_t *since)
{
    bool stop;

    pthread_mutex_lock(&l->lock);
    stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    if (!stop)
        return false;
    if (!*since)
        *since = mono_ms();
    return mono_ms() - *since > CLOSE_WAIT_MS;
}

static void write_all(hs_logger *l, int fd, const char *p, size_t n)
{
    struct stat st;
    bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    int64_t stopping = 0;

    while (n) {
        if (!file) {
            struct pollfd pfd = { .fd = fd, .events = POLLOUT };
            int ready = poll(&pfd, 1, 100);
            if (ready <= 0) {
                if (give_up(l, &stopping))
                    return;
                continue;
            }
        }
        ssize_t w = write(fd, p, !file && n > CHUNK ? CHUNK : n);
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        } else if (errno != EINTR && errno != EAGAIN) {
            return; /* nobody is left to be told */
        }
    }
}

/* Until there is something to write, and then a little longer. */
static void gather(hs_logger *l)
{
    struct timespec until;

    while (!l->fill_n && !l->stop)
        pthread_cond_wait(&l->work, &l->lock);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (!l->urgent && !l->stop)
        if (pthread_cond_timedwait(&l->work, &l->lock, &until))
            return;
}

static void *writer(void *ud)
{
    hs_logger *l = ud;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        gather(l);
        if (!l->fill_n)
            break;
        char *full = l->fill;
        size_t n = l->fill_n;
        int fd = l->fd;
        l->fill = l->out;
        l->out = full;
        l->fill_n = 0;
        l->urgent = false;
        l->writing = true;
        pthread_mutex_unlock(&l->lock);
        write_all(l, fd, full, n);
        pthread_mutex_lock(&l->lock);
        l->writing = false;
        pthread_cond_broadcast(&l->idle);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void start(hs_logger *l)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->started = pthread_create(&l->thread, NULL, writer, l) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

hs_logger *hs_logger_open(int fd, hs_log_level least, bool json)
{
    hs_logger *l = calloc(1, sizeof *l);
    pthread_condattr_t clock;

    if (!l)
        return NULL;
    l->fd = fd;
    l->least = least;
    l->json = json;
    l->fill = malloc(BUFFER);
    l->out = malloc(BUFFER);
    if (!l->fill || !l->out) {
        free(l->fill);
        free(l->out);
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&l->work, &clock);
    pthread_condattr_destroy(&clock);
    pthread_cond_init(&l->idle, NULL);
    return l;
}

void hs_logger_close(hs_logger *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    if (l->started)
        pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->idle);
    pthread_mutex_destroy(&l->lock);
    free(l->fill);
    free(l->out);
    free(l);
}

void hs_logger_set_level(hs_logger *l, hs_log_level least)
{
    pthread_mutex_lock(&l->lock);
    l->least = least;
    pthread_mutex_unlock(&l->lock);
}

void hs_logger_set_fd(hs_logger *l, int fd)
{
    pthread_mutex_lock(&l->lock);
    l->urgent = l->fill_n > 0;
    pthread_cond_signal(&l->work);
    while (l->started && (l->fill_n || l->writing))
        pthread_cond_wait(&l->idle, &l->lock);
    l->fd = fd;
    pthread_mutex_unlock(&l->lock);
}

/* ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

/* A line under construction. What does not fit is cut; a full line may be a cut one. */
typedef struct {
    char *p;
    size_t n, cap;
} line;

static void put(line *o, const char *s, size_t n)
{
    if (n > o->cap - o->n)
        n = o->cap - o->n;
    if (n)
        memcpy(o->p + o->n, s, n);
    o->n += n;
}

static void put_c(line *o, const char *s)
{
    put(o, s, strlen(s));
}

static bool is_plain(unsigned char c, bool json, bool utf8)
{
    return c >= 0x20 && c != 0x7f && (utf8 || c < 0x80) && !(json && (c == '"' || c == '\\'));
}

/* Control characters would forge lines or terminals, and what is not UTF-8 breaks readers: they are shown, in both
 * formats. */
static void put_escaped(line *o, hs_str s, bool json)
{
    static const char HEX[] = "0123456789abcdef";
    bool utf8 = hs_str_is_utf8(s);
    size_t run = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_plain(c, json, utf8))
            continue;
        put(o, s.p + run, i - run);
        run = i + 1;
        if (c == '"' || c == '\\') {
            put(o, (char[]){ '\\', (char)c }, 2);
        } else {
            put_c(o, json ? "\\u00" : "\\x");
            put(o, (char[]){ HEX[c >> 4], HEX[c & 15] }, 2);
        }
    }
    if (s.n)
        put(o, s.p + run, s.n - run);
}

static void put_time(hs_logger *l, line *o)
{
    struct timespec now;
    char ms[8];

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != l->second) {
        struct tm tm;
        localtime_r(&now.tv_sec, &tm);
        strftime(l->second_text, sizeof l->second_text, "%Y-%m-%d %H:%M:%S", &tm);
        l->second = now.tv_sec;
    }
    put_c(o, l->second_text);
    snprintf(ms, sizeof ms, ",%03u", (unsigned)(now.tv_nsec / 1000000) % 1000);
    put_c(o, ms);
}

static void put_text(hs_logger *l, line *o, hs_log_level level, hs_str id, const char *event, hs_str text)
{
    put_time(l, o);
    put_c(o, " - ");
    put_c(o, event);
    put_c(o, " - 1 - ");
    put_c(o, LEVELS[level]);
    put_c(o, " - ");
    put_escaped(o, id.n ? id : HS_S("-"), false);
    put_c(o, " - ");
    put_escaped(o, text, false);
    put_c(o, "\n");
}

static void put_json(line *o, hs_log_level level, hs_str id, const char *event, hs_str text)
{
    struct timespec now;
    char time_text[40];

    clock_gettime(CLOCK_REALTIME, &now);
    put_c(o, "{\"log\":\"");
    put_escaped(o, text, true);
    put_c(o, "\",\"namespace\":\"");
    put_escaped(o, hs_str_c(event), true);
    put_c(o, "\",\"level\":\"");
    put_c(o, LEVELS[level]);
    snprintf(time_text, sizeof time_text, "\",\"time\":%lld.%03u", (long long)now.tv_sec,
             (unsigned)(now.tv_nsec / 1000000) % 1000);
    put_c(o, time_text);
    if (id.n) {
        put_c(o, ",\"request\":\"");
        put_escaped(o, id, true);
        put_c(o, "\"");
    }
    put_c(o, "}\n");
}

static bool append(hs_logger *l, hs_log_level level, hs_str id, const char *event, hs_str text)
{
    line o = { .p = l->fill + l->fill_n, .cap = BUFFER - l->fill_n };

    if (l->json)
        put_json(&o, level, id, event, text);
    else
        put_text(l, &o, level, id, event, text);
    if (o.n == o.cap)
        return false;
    l->fill_n += o.n;
    return true;
}

static void log_line(hs_logger *l, hs_log_level level, hs_str id, const char *event, hs_str text)
{
    pthread_mutex_lock(&l->lock);
    if (level >= l->least) {
        bool first = !l->fill_n, urgent = l->urgent;
        if (!l->started)
            start(l);
        if (l->dropped) {
            char said[64];
            int n = snprintf(said, sizeof said, "lines=%llu", (unsigned long long)l->dropped);
            if (append(l, HS_LOG_WARN, HS_S("-"), "log.dropped", hs_str_make(said, (size_t)n)))
                l->dropped = 0;
        }
        if (l->dropped || !append(l, level, id, event, text))
            l->dropped++;
        l->urgent = urgent || level >= HS_LOG_WARN || l->fill_n >= GATHER_BYTES;
        if (first || l->urgent != urgent)
            pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
}

HS_PRINTF(5, 0)
static void log_va(hs_logger *l, hs_log_level level, hs_str id, const char *event, const char *fmt, va_list ap)
{
    char text[LINE_MAX_BYTES];
    int n;

    if (!l || level < l->least)
        return;
    n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0)
        return;
    log_line(l, level, id, event, hs_str_make(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1));
}

void hs_log(hs_logger *l, hs_log_level level, const char *event, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_va(l, level, hs_str_make(NULL, 0), event, fmt, ap);
    va_end(ap);
}

void hs_log_req(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_va(l, level, request_id, event, fmt, ap);
    va_end(ap);
}

void hs_log_text(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, hs_str text)
{
    if (l && level >= l->least)
        log_line(l, level, request_id, event, hs_str_first(text, LINE_MAX_BYTES));
}

void hs_log_error(hs_logger *l, hs_log_level level, hs_str request_id, const char *event, const hs_error *e)
{
    char text[LINE_MAX_BYTES];
    line o = { .p = text, .cap = sizeof text };
    char head[64];

    if (!l || level < l->least || !e)
        return;
    snprintf(head, sizeof head, "status=%d code=%.*s", e->status, HS_FMT(hs_errcode_str(e->code)));
    put_c(&o, head);
    /* The outermost message of an internal error says nothing; a chain is followed a few links far. */
    for (int depth = 0; e && depth < 16; depth++, e = e->cause) {
        put_c(&o, depth ? " <- \"" : " \"");
        put(&o, e->message.p, e->message.n);
        put_c(&o, "\"");
        if (e->where) {
            put_c(&o, " at ");
            put_c(&o, e->where);
        }
    }
    log_line(l, level, request_id, event, hs_str_make(text, o.n));
}

/* ── targets ────────────────────────────────────────────────────────────────────────────────────────────────────────
 */

/* Names may be percent-encoded too: access%5Ftoken is the same parameter. */
static bool is_secret(hs_str name)
{
    static const hs_str SECRETS[] = {
        HS_S_INIT("access_token"), HS_S_INIT("client_secret"), HS_S_INIT("loginToken"),
        HS_S_INIT("login_token"),  HS_S_INIT("password"),      HS_S_INIT("token"),
        HS_S_INIT("code"),         HS_S_INIT("ticket"),        HS_S_INIT("signature"),
    };
    char plain[32];
    size_t n = 0;

    for (size_t i = 0; i < name.n && n < sizeof plain; i++) {
        int hi = -1, lo = -1;
        if (name.p[i] == '%' && i + 2 < name.n) {
            hi = hs_hex_digit(name.p[i + 1]);
            lo = hs_hex_digit(name.p[i + 2]);
        }
        if (hi >= 0 && lo >= 0) {
            plain[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            plain[n++] = name.p[i];
        }
    }
    for (size_t i = 0; i < sizeof SECRETS / sizeof *SECRETS; i++)
        if (hs_str_eq_nocase(hs_str_make(plain, n), SECRETS[i]))
            return true;
    return false;
}

hs_str hs_log_target(hs_str target, char *room, size_t room_n)
{
    size_t at = hs_str_find(target, '?', 0);
    line o = { .p = room, .cap = room_n };
    hs_str rest = hs_str_from(target, at + 1);

    put(&o, target.p, at);
    if (at < target.n)
        put_c(&o, "?");
    while (rest.n) {
        hs_str pair = hs_str_split(&rest, '&');
        size_t eq = hs_str_find(pair, '=', 0);
        put(&o, pair.p, eq);
        if (eq < pair.n) {
            put_c(&o, "=");
            if (is_secret(hs_str_first(pair, eq)))
                put_c(&o, "<redacted>");
            else
                put(&o, pair.p + eq + 1, pair.n - eq - 1);
        }
        if (rest.p)
            put_c(&o, "&");
    }
    return hs_str_make(room, o.n);
}
