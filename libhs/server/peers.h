/* Which other workers are alive: each says Hello every 2 s (proto/live.proto). For logs, metrics, and whoever wants to
 * know whom to ask; nothing that must be right hangs on it (once-only duties: leases.h). */
#ifndef HS_SERVER_PEERS_H
#define HS_SERVER_PEERS_H

#include "server/context.h"

typedef struct {
    hs_str worker;
    uint64_t boot; /* a new number with each start */
    unsigned roles;
    int64_t pos;     /* what it has told its clients up to, when it said Hello */
    double lag;      /* s that its newest Hello took, by both clocks */
    unsigned missed; /* Hellos that should have come since */
} hs_peer;

HS_NODISCARD hs_error *hs_peers_open(hs_server *srv, hs_arena *a);
/* Tells the others that this worker ends. */
void hs_peers_close(hs_server *srv);

/* How many have been heard within three Hellos, this worker not counted; and each of them, until the loop turns. */
size_t hs_peers_alive(const hs_server *srv);
const hs_peer *hs_peers_at(const hs_server *srv, size_t i);
/* Whether the worker that started with this number is among them, or is this one. */
bool hs_peers_has(const hs_server *srv, uint64_t boot);
/* This worker's own number. */
uint64_t hs_peers_boot(const hs_server *srv);

/* For tests: a Hello every so many ms instead of 2,000. */
void hs_peers_set_times(hs_server *srv, int64_t every_ms);

#endif
