/* The bus of several processes: Redis' PUBLISH and SUBSCRIBE. */
#ifndef HS_BUS_BUS_REDIS_H
#define HS_BUS_BUS_REDIS_H

#include "bus/bus.h"
#include "runtime/log.h"

#define HS_BUS_SECRET_BYTES 16

typedef struct {
    hs_str host;
    uint16_t port;
} hs_bus_redis_address;

typedef struct {
    hs_str host, path; /* path: a Unix socket, instead of host and port */
    uint16_t port;
    hs_str username, password; /* empty: none */
    bool tls;
    hs_str ca_file, ca_path, cert_file, key_file; /* runtime/stream.h */
    /* Sentinels know where the master called `master` is; then host, port and path do not count. */
    const hs_bus_redis_address *sentinels;
    size_t sentinels_n;
    hs_str master, sentinel_username, sentinel_password;
    /* Whatever is published is read by all with the same two. PUBLISH knows no databases, so the number is part of the
     * channels' names as the server's name is: "example.com/0/hs:feed". */
    hs_str server_name;
    int64_t dbid;
    hs_str client_name; /* shown by CLIENT LIST; no blanks */
    /* What all workers of the server know and nobody else: a message that was not made with it is not heard. */
    uint8_t secret[HS_BUS_SECRET_BYTES];
    hs_logger *log;
} hs_bus_redis_options;

/* Connects in the background, again and again; healthy once messages get through. Texts are copied. Fails for files of
 * TLS that cannot be used, with a line for the operator. */
HS_NODISCARD hs_error *hs_bus_redis_open(hs_loop *loop, hs_arena *a, const hs_bus_redis_options *o, hs_bus **ret);

#endif
