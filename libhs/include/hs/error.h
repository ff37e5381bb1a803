/* hs/error.h: the one error type.
 *
 * A function that can fail returns `hs_error *`; NULL is success. The error says at once what the client is told (HTTP
 * status, errcode, message) and what the log is told (the cause below it and where). It lives in the arena that was
 * passed to the failing function. */
#ifndef HS_ERROR_H
#define HS_ERROR_H

#include <hs/str.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hs_arena hs_arena;

/* The errcodes of the specification that this server sends, and Synapse's own. HS_M(x) lists each once. */
/* clang-format off */
#define HS_ERRCODES(M) \
    M(UNKNOWN) M(FORBIDDEN) M(UNKNOWN_TOKEN) M(MISSING_TOKEN) M(BAD_JSON) M(NOT_JSON) M(NOT_FOUND) M(LIMIT_EXCEEDED) \
    M(UNRECOGNIZED) M(UNAUTHORIZED) M(USER_DEACTIVATED) M(USER_IN_USE) M(INVALID_USERNAME) M(ROOM_IN_USE) \
    M(INVALID_ROOM_STATE) M(THREEPID_IN_USE) M(THREEPID_NOT_FOUND) M(THREEPID_AUTH_FAILED) M(THREEPID_DENIED) \
    M(THREEPID_MEDIUM_NOT_SUPPORTED) \
    M(SERVER_NOT_TRUSTED) M(UNSUPPORTED_ROOM_VERSION) M(INCOMPATIBLE_ROOM_VERSION) M(BAD_STATE) M(GUEST_ACCESS_FORBIDDEN) \
    M(CAPTCHA_NEEDED) M(CAPTCHA_INVALID) M(MISSING_PARAM) M(INVALID_PARAM) M(TOO_LARGE) M(EXCLUSIVE) \
    M(RESOURCE_LIMIT_EXCEEDED) M(CANNOT_LEAVE_SERVER_NOTICE_ROOM) M(WEAK_PASSWORD) M(PASSWORD_TOO_SHORT) M(PASSWORD_NO_DIGIT) \
    M(PASSWORD_NO_SYMBOL) M(PASSWORD_NO_UPPERCASE) M(PASSWORD_NO_LOWERCASE) M(BAD_ALIAS) M(DUPLICATE_ANNOTATION) \
    M(NOT_YET_UPLOADED) M(CANNOT_OVERWRITE_MEDIA) M(UNKNOWN_POS) M(USER_LOCKED) M(USER_SUSPENDED) M(USER_LIMIT_EXCEEDED) \
    M(UNABLE_TO_AUTHORISE_JOIN) M(UNABLE_TO_GRANT_JOIN) M(CONNECTION_FAILED) M(CONNECTION_TIMEOUT) M(APPSERVICE_LOGIN_UNSUPPORTED) \
    M(WRONG_ROOM_KEYS_VERSION) M(KEY_TOO_LARGE) M(PROFILE_TOO_LARGE) M(CONSENT_NOT_GIVEN) M(INVITE_BLOCKED)
/* Those that are not called M_ and what follows. */
#define HS_ERRCODES_NAMED(M) \
    M(MSC4306_NOT_IN_THREAD, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD") \
    M(MSC4306_CONFLICTING_UNSUBSCRIPTION, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION") \
    M(MSC4140_DELAY_TOO_LARGE, "ORG.MATRIX.MSC4140_DELAY_TOO_LARGE") \
    M(EXPIRED_ACCOUNT, "ORG_MATRIX_EXPIRED_ACCOUNT")
/* clang-format on */

typedef enum {
#define HS_M(x)             HS_M_##x,
#define HS_NAMED_M(x, name) HS_M_##x,
    HS_ERRCODES(HS_M) HS_ERRCODES_NAMED(HS_NAMED_M)
#undef HS_M
#undef HS_NAMED_M
        HS_M_COUNT
} hs_errcode;

typedef struct hs_error hs_error;
struct hs_error {
    int status; /* HTTP */
    hs_errcode code;
    hs_str message;        /* what the client reads */
    hs_str extra;          /* further JSON members as raw bytes, `"soft_logout":true`; empty for none */
    const hs_error *cause; /* for the log only */
    const char *where;     /* file:line of our own code, for the log only */
    int64_t retry_ms;      /* 429 and 503: when to come back; 0: not known */
};

/* "M_FORBIDDEN" and so on. */
HS_API hs_str hs_errcode_str(hs_errcode code);

/* An answer to the client. Never returns NULL: without memory it returns HS_ERR_NOMEM. */
#define hs_err(a, status, code, ...) hs_err_at((a), HS_HERE, (status), (code), __VA_ARGS__)
/* Our fault: the client reads 500 M_UNKNOWN "Internal server error", the log reads the text and the chain below it. */
#define hs_err_internal(a, cause, ...) hs_err_internal_at((a), HS_HERE, (cause), __VA_ARGS__)

/* The server can not do it now: 503 or 429, and after how many ms to ask again. Nothing is wrong with the request, so
 * the log is not told of each. */
#define hs_err_later(a, status, code, retry_ms, ...)                                                                   \
    hs_err_later_at((a), HS_HERE, (status), (code), (retry_ms), __VA_ARGS__)

HS_API hs_error *hs_err_later_at(hs_arena *a, const char *where, int status, hs_errcode code, int64_t retry_ms,
                                 const char *fmt, ...) HS_PRINTF(6, 7);
HS_API hs_error *hs_err_at(hs_arena *a, const char *where, int status, hs_errcode code, const char *fmt, ...)
    HS_PRINTF(5, 6);
HS_API hs_error *hs_err_internal_at(hs_arena *a, const char *where, const hs_error *cause, const char *fmt, ...)
    HS_PRINTF(4, 5);

#define HS_HERE           __FILE__ ":" HS_STRINGIFY_(__LINE__)
#define HS_STRINGIFY_(x)  HS_STRINGIFY2_(x)
#define HS_STRINGIFY2_(x) #x

/* Static, so that reporting the lack of memory allocates nothing: 503 M_UNKNOWN. */
extern HS_API hs_error hs_error_nomem;
#define HS_ERR_NOMEM (&hs_error_nomem)

#define HS_TRY(expr)                                                                                                   \
    do {                                                                                                               \
        hs_error *hs_try_ = (expr);                                                                                    \
        if (hs_try_)                                                                                                   \
            return hs_try_;                                                                                            \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
