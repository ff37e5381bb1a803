/* proto/live.proto as plain structs: what workers tell each other about now. What a field means is written there. */
#ifndef HS_BUS_LIVE_H
#define HS_BUS_LIVE_H

#include <hs/arena.h>

#define HS_BUS_HELLO     "hs:hello"
#define HS_BUS_EPHEMERAL "hs:eph"
#define HS_BUS_LIMITS    "hs:limits"

typedef struct {
    hs_str worker;
    uint64_t boot;
    uint32_t roles;
    int64_t pos, sent_ms;
    bool bye;
} hs_hello_msg;

typedef struct {
    hs_str user;
    uint32_t for_ms;
} hs_typist_msg;

typedef struct {
    int64_t room;
    hs_typist_msg *users;
    size_t n;
} hs_typing_msg;

typedef struct {
    int64_t user;
    uint64_t device;
    uint32_t state;
    int64_t active_ms, sync_ms;
    bool has_status;
    hs_str status;
} hs_presence_msg;

typedef struct {
    hs_str worker;
    uint64_t boot, serial, seen;
    int64_t clock;
    bool ask, whole;
    hs_typing_msg *typing;
    size_t typing_n;
    hs_presence_msg *presence;
    size_t presence_n;
} hs_ephemeral_msg;

typedef struct {
    hs_str key;
    uint32_t n;
} hs_limit_use_msg;

typedef struct {
    uint64_t boot;
    hs_limit_use_msg *uses;
    size_t n;
} hs_limits_msg;

/* Everything lives in `a`. Decoding: 500 when the bytes are not such a message. Encoding: texts must not hold a NUL. */
HS_NODISCARD hs_error *hs_hello_decode(hs_arena *a, hs_str bytes, hs_hello_msg *ret);
HS_NODISCARD hs_error *hs_hello_encode(hs_arena *a, const hs_hello_msg *msg, hs_str *ret);
HS_NODISCARD hs_error *hs_ephemeral_decode(hs_arena *a, hs_str bytes, hs_ephemeral_msg *ret);
HS_NODISCARD hs_error *hs_ephemeral_encode(hs_arena *a, const hs_ephemeral_msg *msg, hs_str *ret);
HS_NODISCARD hs_error *hs_limits_decode(hs_arena *a, hs_str bytes, hs_limits_msg *ret);
HS_NODISCARD hs_error *hs_limits_encode(hs_arena *a, const hs_limits_msg *msg, hs_str *ret);

#endif
