/* See proto.h. */
#include "bus/proto.h"

static void *arena_alloc(void *ud, size_t n)
{
    return hs_arena_alloc(ud, n);
}

static void arena_free(void *ud, void *p)
{
    (void)ud;
    (void)p;
}

hs_error *hs_proto_unpack(hs_arena *a, const ProtobufCMessageDescriptor *d, hs_str bytes, const char *what,
                          ProtobufCMessage **ret)
{
    ProtobufCAllocator allocator = { arena_alloc, arena_free, a };

    *ret = protobuf_c_message_unpack(d, &allocator, bytes.n, (const uint8_t *)bytes.p);
    return *ret ? NULL : hs_err_internal(a, NULL, "%zu bytes that are not a %s message", bytes.n, what);
}

hs_error *hs_proto_pack(hs_arena *a, const ProtobufCMessage *m, hs_str *ret)
{
    size_t n = protobuf_c_message_get_packed_size(m);
    uint8_t *out;

    HS_TRY(hs_alloc(a, n, &out));
    protobuf_c_message_pack(m, out);
    *ret = hs_str_make((const char *)out, n);
    return NULL;
}

hs_error *hs_proto_text(hs_arena *a, hs_str s, char **ret)
{
    if (s.n && memchr(s.p, 0, s.n))
        return hs_err_internal(a, NULL, "NUL in a text of a bus message");
    HS_TRY(hs_alloc(a, s.n + 1, ret));
    if (s.n)
        memcpy(*ret, s.p, s.n);
    return NULL;
}

hs_str hs_proto_str(const char *s)
{
    return s && *s ? hs_str_c(s) : hs_str_make(NULL, 0);
}
