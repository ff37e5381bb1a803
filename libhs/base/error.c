/* The one error type: making it, and its names. */
#include <hs/arena.h>
#include <hs/error.h>

#include <stdarg.h>
#include <stdio.h>

hs_error hs_error_nomem = {
    .status = 503,
    .code = HS_M_UNKNOWN,
    .message = HS_S_INIT("The server is out of memory for this request"),
    .where = "memory",
    .retry_ms = 1000,
};

hs_str hs_errcode_str(hs_errcode code)
{
    static const hs_str NAMES[] = {
#define HS_M(x)             HS_S_INIT("M_" #x),
#define HS_NAMED_M(x, name) HS_S_INIT(name),
        HS_ERRCODES(HS_M) HS_ERRCODES_NAMED(HS_NAMED_M)
#undef HS_M
#undef HS_NAMED_M
    };

    return code < HS_M_COUNT ? NAMES[code] : NAMES[HS_M_UNKNOWN];
}

HS_PRINTF(6, 0)
static hs_error *make(hs_arena *a, const char *where, int status, hs_errcode code, const hs_error *cause,
                      const char *fmt, va_list ap)
{
    char text[512];
    hs_error *e = hs_arena_alloc(a, sizeof *e);
    int n = vsnprintf(text, sizeof text, fmt, ap);

    if (!e || n < 0)
        return HS_ERR_NOMEM;
    *e = (hs_error){ .status = status, .code = code, .cause = cause, .where = where };
    size_t len = (size_t)n;
    if (len >= sizeof text) { /* cut, but not within a character: the text becomes JSON */
        len = sizeof text - 1;
        while (len && !hs_str_is_utf8(hs_str_make(text, len)) && len > sizeof text - 4)
            len--;
    }
    if (hs_str_dup(a, hs_str_make(text, len), &e->message))
        return HS_ERR_NOMEM;
    return e;
}

hs_error *hs_err_at(hs_arena *a, const char *where, int status, hs_errcode code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    hs_error *e = make(a, where, status, code, NULL, fmt, ap);
    va_end(ap);
    return e;
}

hs_error *hs_err_later_at(hs_arena *a, const char *where, int status, hs_errcode code, int64_t retry_ms,
                          const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    hs_error *e = make(a, where, status, code, NULL, fmt, ap);
    va_end(ap);
    if (e != HS_ERR_NOMEM)
        e->retry_ms = retry_ms;
    return e;
}

hs_error *hs_err_internal_at(hs_arena *a, const char *where, const hs_error *cause, const char *fmt, ...)
{
    static const hs_error SHOWN = { .message = HS_S_INIT("Internal server error") };
    va_list ap;

    /* The text is for the log: it becomes a cause, and the client reads the fixed sentence. */
    va_start(ap, fmt);
    hs_error *inner = make(a, where, 500, HS_M_UNKNOWN, cause, fmt, ap);
    va_end(ap);
    hs_error *e = hs_arena_alloc(a, sizeof *e);
    if (!e || inner == HS_ERR_NOMEM)
        return HS_ERR_NOMEM;
    *e = (hs_error){ .status = 500, .code = HS_M_UNKNOWN, .message = SHOWN.message, .cause = inner, .where = where };
    return e;
}
