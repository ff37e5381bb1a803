/* hs/core.h: the pure part, for those who have a server of their own. No clock, no random, no I/O, no state between
 * calls.
 *
 * Every result lives in the arena that was passed, and what it was made from may be borrowed by it: keep both as long
 * as it. Errors are what a homeserver would answer (400 M_BAD_JSON, 413 M_TOO_LARGE, …); an unknown room version is 400
 * M_UNSUPPORTED_ROOM_VERSION. Any thread, one arena per thread at a time. docs/embed.md has two examples.
 *
 * Structs that end in `reserved` are zeroed by the caller before they are filled; later versions may use what is
 * reserved. */
#ifndef HS_CORE_H
#define HS_CORE_H

#include <hs/arena.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Canonical JSON of any JSON value that the specification allows in events. */
HS_API HS_NODISCARD hs_error *hs_core_canonical_json(hs_arena *a, hs_str json, hs_str *ret);

/* "1" to "12". */
HS_API bool hs_core_room_version_known(hs_str version);

/* ── a PDU as bytes ── */

/* Reads a PDU by the rules of its room version (size, types, identifiers, canonical JSON) and gives its event id. */
HS_API HS_NODISCARD hs_error *hs_core_event_id(hs_arena *a, hs_str version, hs_str pdu, hs_str *ret);
/* Whether hashes.sha256 of the PDU is right. */
HS_API HS_NODISCARD hs_error *hs_core_event_hash_ok(hs_arena *a, hs_str version, hs_str pdu, bool *ret);
/* What redaction leaves of a PDU, as canonical JSON. */
HS_API HS_NODISCARD hs_error *hs_core_event_redact(hs_arena *a, hs_str version, hs_str pdu, hs_str *ret);

/* ── a PDU that was read ── */

/* Immutable. It lives in the arena that it was read with, and borrows nothing. */
typedef struct hs_event hs_core_event;

/* From outside: as hs_core_event_id. `unsigned` is dropped, and so is event_id where the version computes it. */
HS_API HS_NODISCARD hs_error *hs_core_event_read(hs_arena *a, hs_str version, hs_str pdu, const hs_core_event **ret);

typedef struct {
    hs_str event_id;
    hs_str room_id; /* of a version 12 create event: made from its id */
    hs_str type, sender;
    hs_str state_key; /* p NULL: no state event */
    hs_str redacts;   /* of m.room.redaction, wherever the version keeps it; else p NULL */
    hs_str content;   /* canonical JSON */
    hs_str json;      /* canonical JSON of the whole; what to store */
    int64_t depth, origin_server_ts;
    const hs_str *prev_events, *auth_events;
    size_t prev_events_n, auth_events_n;
    void *reserved[4];
} hs_core_event_info;
HS_API void hs_core_event_get(const hs_core_event *e, hs_core_event_info *ret);

/* The public key `key_id` ("ed25519:a_AbCd") of a server, 32 bytes; false when there is none. valid_at is the time (ms)
 * at which it must have been valid; INT64_MIN where the room version does not ask. */
typedef bool (*hs_core_key_fn)(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32]);
/* Whether all servers that the room version asks for have signed, each with at least one key that is known and with
 * none of those badly. ret_server: the first that has not. */
HS_API HS_NODISCARD hs_error *hs_core_event_signatures_ok(hs_arena *a, const hs_core_event *e, hs_core_key_fn key,
                                                          void *ud, bool *ret, hs_str *ret_server);

/* An event of one's own. */
typedef struct {
    hs_str room_id; /* empty for a create event of version 12 */
    hs_str type, sender;
    hs_str state_key; /* p NULL: no state event */
    hs_str content;   /* canonical JSON object */
    hs_str
        redacts; /* p NULL: none. Put where the version wants it: before 11 at the top; in 11 write it into content */
    int64_t depth, origin_server_ts;
    const hs_str *prev_events, *auth_events;
    size_t prev_events_n, auth_events_n;
    void *reserved[4];
} hs_core_draft;
/* With content hash and a signature of `server`; `seed` is the private key (32 bytes), key_version what follows
 * "ed25519:". 413 M_TOO_LARGE. */
HS_API HS_NODISCARD hs_error *hs_core_event_build(hs_arena *a, hs_str version, const hs_core_draft *draft,
                                                  hs_str server, hs_str key_version, const uint8_t seed[32],
                                                  const hs_core_event **ret);
/* The public key of a private one. */
HS_API void hs_core_public_key(const uint8_t seed[32], uint8_t ret[32]);

/* ── the rules ── */

typedef struct {
    hs_str type, state_key;
} hs_core_key;
/* The state that authorises an event ("Auth events selection"), whether an event has it or not. */
#define HS_CORE_AUTH_MAX 8
HS_API size_t hs_core_auth_selection(const hs_core_event *e, hs_core_key ret[HS_CORE_AUTH_MAX]);

typedef struct {
    bool ok;
    const char *rule; /* static text: the rule and, of a refusal, the reason; "member.ban: sender is not joined" */
    void *reserved[2];
} hs_core_verdict;

/* The event at (type, state_key) of a state; NULL: none. */
typedef const hs_core_event *(*hs_core_state_fn)(void *ud, hs_str type, hs_str state_key);
/* Is the event allowed by a state? It asks for what hs_core_auth_selection names and, in version 12, for the create
 * event. Ask three times: with the state that its auth events are, with the state before it, and (to soft-fail) with
 * the current state. */
HS_API hs_core_verdict hs_core_auth_check(const hs_core_event *e, hs_core_state_fn get, void *ud);
/* Are these auth events what the version wants: of this room, of the selection, none twice, none rejected? `rejected`
 * may be NULL. */
HS_API hs_core_verdict hs_core_auth_events_check(const hs_core_event *e, const hs_core_event *const *auth,
                                                 const bool *rejected, size_t n);
/* May a redaction, which was itself allowed, take effect on `target` in that state? */
HS_API bool hs_core_redaction_ok(const hs_core_event *redaction, const hs_core_event *target, hs_core_state_fn get,
                                 void *ud);

/* ── state resolution ── */

/* Events and (type, state_key) pairs are numbers of the caller's own, greater than 0; nothing depends on which. */
typedef struct {
    int64_t key, event;
} hs_core_entry;
typedef struct {
    const hs_core_entry *at; /* sorted by key, each once */
    size_t n;
} hs_core_state;

typedef struct {
    void *ud;
    int64_t create; /* the room's create event */
    /* The event with that number; NULL: unknown, which ends the resolution with an error where it is needed. */
    const hs_core_event *(*event)(void *ud, int64_t number);
    bool (*rejected)(void *ud, int64_t number);
    /* Its auth events; they stay where they are until the next call. Circles are fine. */
    size_t (*auth)(void *ud, int64_t number, const int64_t **ret);
    /* The number of a pair; one that is in no state may get a new one. */
    int64_t (*key)(void *ud, hs_str type, hs_str state_key);
    /* May be NULL. Told in bulk, each number once, which events `event` and `rejected` will be asked for next: the
     * place for one query instead of many. Its error is that of the resolution. */
    hs_error *(*load)(void *ud, const int64_t *numbers, size_t n);
    size_t max_conflicted; /* events to be checked; 0: 200,000. More is an error. */
    size_t max_graph;      /* events of the auth graph to be walked; 0: 2,000,000. More is an error. */
    void *reserved[4];
} hs_core_room;

/* The state that several states resolve to, by the algorithm of the room version; sorted by key. With one state it is
 * that. */
HS_API HS_NODISCARD hs_error *hs_core_resolve(hs_arena *a, hs_str version, const hs_core_room *room,
                                              const hs_core_state *states, size_t n, hs_core_state *ret);

#ifdef __cplusplus
}
#endif
#endif
