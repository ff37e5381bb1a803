/* The strict, iterative JSON reader for everything that comes from outside: events and request bodies.
 *
 * The bytes are read once into a tape of nodes over them; nothing is copied but strings that hold escapes. Values are
 * reached through hs_jv, a position on the tape: { NULL, 0 } is "absent", and every accessor accepts it.
 *
 * Always refused: bytes after the value, bad UTF-8, control characters in strings, lone surrogates,
 * duplicate keys (unless allowed), depth or size past the limits, NaN, leading zeros. Integers outside ±(2^53-1), -0
 * and anything with a fraction or exponent are kept as HS_JV_REAL, which HS_JSON_CANONICAL refuses. */
#ifndef HS_BASE_TAPE_H
#define HS_BASE_TAPE_H

#include <hs/arena.h>

typedef enum {
    HS_JV_ABSENT,
    HS_JV_NULL,
    HS_JV_FALSE,
    HS_JV_TRUE,
    HS_JV_INT,
    HS_JV_REAL,
    HS_JV_STR,
    HS_JV_ARR,
    HS_JV_OBJ,
} hs_jv_type;

typedef struct hs_tape hs_tape;
typedef struct {
    const hs_tape *t;
    uint32_t i;
} hs_jv;

/* Flags of hs_tape_parse. */
enum {
    HS_JSON_CANONICAL = 1,     /* refuse HS_JV_REAL anywhere (room versions 6 and later, and what local users send) */
    HS_JSON_OBJECT = 2,        /* the top must be an object */
    HS_JSON_DUP_KEYS_LAST = 4, /* a duplicate key is not an error, the last one counts (lenient room versions 1-5) */
    HS_JSON_DEEP = 8,          /* events: as deep as other servers read them */
};

/* The limits of every document: 100 levels deep, 990 with HS_JSON_DEEP (Synapse's Python ends between that and 1,000;
 * what we refused and others took would split rooms); 4 MiB of tape nodes. */
#define HS_JSON_MAX_DEPTH  100
#define HS_JSON_DEEP_DEPTH 990
#define HS_JSON_INT_MAX    ((INT64_C(1) << 53) - 1)

/* `bytes` are borrowed and must outlive the tape. M_NOT_JSON (400) for what is not JSON, M_BAD_JSON (400) for JSON that
 * is refused; the message says at which byte. */
HS_NODISCARD hs_error *hs_tape_parse(hs_arena *a, hs_str bytes, unsigned flags, hs_jv *ret_top);

static inline bool hs_jv_is(hs_jv v)
{
    return v.t != NULL;
}
hs_jv_type hs_jv_type_of(hs_jv v);
/* The value's own bytes in the document. */
hs_str hs_jv_raw(hs_jv v);
/* Whether those bytes are canonical JSON (core/canonical.h) already. */
bool hs_jv_is_canonical(hs_jv v);
/* Member of an object; absent for no such member and for what is not an object. Linear in the members of the object. */
hs_jv hs_jv_get(hs_jv obj, hs_str key);
/* hs_jv_get along "a", "b", NULL. */
hs_jv hs_jv_path(hs_jv v, ...);
/* Members or elements; 0 for scalars. */
size_t hs_jv_count(hs_jv v);

/* Typed reads: false (and *ret untouched) when v is absent or of another type. Strings are decoded and live as long as
 * the tape. */
bool hs_jv_str(hs_jv v, hs_str *ret);
bool hs_jv_int(hs_jv v, int64_t *ret);
bool hs_jv_bool(hs_jv v, bool *ret);
/* Convenience: the decoded string or { NULL, 0 }. */
hs_str hs_jv_str_or_null(hs_jv v);

/* Walks: `it` is the zeroed state. for (hs_jv_iter it = { 0 }; hs_jv_next(obj, &it);) use it.key, it.value */
typedef struct {
    hs_str key;     /* decoded; objects only */
    hs_str raw_key; /* with its quotes, as in the document */
    hs_jv value;
    uint32_t at, left;
    bool started;
} hs_jv_iter;
bool hs_jv_next(hs_jv container, hs_jv_iter *it);

#endif
