/* What feed.c and live.c share: protobuf-c with an arena as its allocator. */
#ifndef HS_BUS_PROTO_H
#define HS_BUS_PROTO_H

#include <hs/arena.h>

#include <protobuf-c/protobuf-c.h>

/* Unpacks a message whose memory is `a`'s; 500 when the bytes are none. `what` for the log. */
HS_NODISCARD hs_error *hs_proto_unpack(hs_arena *a, const ProtobufCMessageDescriptor *d, hs_str bytes, const char *what,
                                       ProtobufCMessage **ret);
HS_NODISCARD hs_error *hs_proto_pack(hs_arena *a, const ProtobufCMessage *m, hs_str *ret);
/* protobuf-c wants NUL-terminated, writable strings. */
HS_NODISCARD hs_error *hs_proto_text(hs_arena *a, hs_str s, char **ret);
/* An empty text is an absent one: p NULL. */
hs_str hs_proto_str(const char *s);

#endif
