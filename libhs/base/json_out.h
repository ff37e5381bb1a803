/* Streaming JSON writer over an hs_buf: in order, straight into the output. Commas and quotes are its business; stored
 * JSON bytes go in as they are. Strings are escaped as canonical JSON does (only what must be, lower-case hex). */
#ifndef HS_BASE_JSON_OUT_H
#define HS_BASE_JSON_OUT_H

#include "base/buf.h"

#define HS_JSON_OUT_DEPTH 64

typedef struct {
    hs_buf *b;
    uint64_t used, array; /* one bit per level: has a member already; is an array */
    unsigned depth;
    bool after_key;
} hs_json_out;

void hs_json_out_init(hs_json_out *j, hs_buf *b);

/* Open a container as the next value … */
void hs_json_obj(hs_json_out *j);
void hs_json_arr(hs_json_out *j);
/* … or as the member `key` of the current object. */
void hs_json_obj_at(hs_json_out *j, const char *key);
void hs_json_arr_at(hs_json_out *j, const char *key);
/* Closes the innermost container, of either kind. */
void hs_json_end(hs_json_out *j);

/* A key from outside; the next call writes its value. */
void hs_json_key(hs_json_out *j, hs_str key);

/* Members: `key` is a literal of our own text without anything to escape. */
void hs_json_str(hs_json_out *j, const char *key, hs_str v);
void hs_json_int(hs_json_out *j, const char *key, int64_t v);
void hs_json_bool(hs_json_out *j, const char *key, bool v);
void hs_json_null(hs_json_out *j, const char *key);
/* v is JSON already; long bytes are referenced and must live as long as the buffer's arena. */
void hs_json_raw(hs_json_out *j, const char *key, hs_str v);
/* Like hs_json_str, but writes nothing when v.p is NULL. */
void hs_json_opt_str(hs_json_out *j, const char *key, hs_str v);
/* null when v.p is NULL, or v is 0. */
void hs_json_str_or_null(hs_json_out *j, const char *key, hs_str v);
void hs_json_int_or_null(hs_json_out *j, const char *key, int64_t v);

/* Values: array elements, or after hs_json_key. */
void hs_json_v_str(hs_json_out *j, hs_str v);
void hs_json_v_int(hs_json_out *j, int64_t v);
void hs_json_v_bool(hs_json_out *j, bool v);
void hs_json_v_null(hs_json_out *j);
void hs_json_v_raw(hs_json_out *j, hs_str v);

/* Just a quoted, escaped string into a buffer. */
void hs_json_quote(hs_buf *b, hs_str v);

#endif
