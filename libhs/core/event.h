/* A PDU: parsed once, kept as its canonical bytes.
 *
 * Spec: Rooms, "Event format" of each room version; Server-Server API, "Checks performed on receipt of a PDU". */
#ifndef HS_CORE_EVENT_H
#define HS_CORE_EVENT_H

#include "base/json_out.h"
#include "base/tape.h"
#include "core/roomver.h"

/* The types that the rules know by name; with the empty state_key where it is said. */
typedef enum {
    HS_KIND_OTHER,
    HS_KIND_CREATE,       /* state_key "" */
    HS_KIND_POWER_LEVELS, /* state_key "" */
    HS_KIND_JOIN_RULES,   /* state_key "" */
    HS_KIND_MEMBER,       /* with and without state_key */
} hs_event_kind;

typedef enum {
    HS_MEMBER_NONE,
    HS_MEMBER_INVITE,
    HS_MEMBER_JOIN,
    HS_MEMBER_LEAVE,
    HS_MEMBER_BAN,
    HS_MEMBER_KNOCK
} hs_membership;

enum { HS_STICKY_MAX_MS = 3600 * 1000 }; /* MSC4354: an event that says more is sticky for an hour */

typedef struct hs_event {
    const hs_roomver *rv;
    hs_str json; /* canonical bytes of the whole PDU, with hashes and signatures, without unsigned and (v3+) event_id */
    hs_str event_id;
    hs_str room_id; /* v12 create events: '!' + the event id's hash */
    hs_str type;
    hs_str sender;
    hs_str state_key; /* with is_state */
    bool is_state;
    hs_event_kind kind;
    bool has_via;             /* a member's content has join_authorised_via_users_server */
    hs_membership membership; /* of HS_KIND_MEMBER; HS_MEMBER_NONE: none, or not one that there is */
    bool oversized; /* before v11: a field of at most 255 characters but more bytes; stored, and refused by the rules */
    hs_str redacts; /* of m.room.redaction, wherever the version keeps it; p NULL otherwise */
    int64_t depth, origin_ts;
    hs_jv sticky;        /* msc4354_sticky, whatever it is */
    int64_t sticky_ms;   /* how long it is sticky: at most HS_STICKY_MAX_MS; -1: it is not */
    hs_str *prev, *auth; /* event ids */
    size_t prev_n, auth_n;
    hs_jv top, content;
} hs_event;

hs_membership hs_membership_parse(hs_str s); /* HS_MEMBER_NONE: not one */
hs_str hs_membership_str(hs_membership m);

/* Reads the canonical bytes of a PDU that was checked when it was accepted (from the store). Bytes are borrowed.
 * event_id may be empty: computed. */
HS_NODISCARD hs_error *hs_event_read(hs_arena *a, const hs_roomver *rv, hs_str json, hs_str event_id, hs_event **ret);

/* From outside: any JSON object. Checks size (65,536 bytes canonical), field lengths (255), types, ids, depth range,
 * canonical JSON as the version asks; drops `unsigned` and what the version says; computes the event id. 400
 * M_BAD_JSON, 413 M_TOO_LARGE. */
HS_NODISCARD hs_error *hs_event_parse(hs_arena *a, const hs_roomver *rv, hs_str json, hs_event **ret);

/* What a local event is made from. */
typedef struct {
    hs_str room_id; /* empty for a v12 create event */
    hs_str type, sender;
    hs_str state_key;
    bool is_state;
    hs_event_kind kind;
    bool has_via;             /* a member's content has join_authorised_via_users_server */
    hs_membership membership; /* of HS_KIND_MEMBER; HS_MEMBER_NONE: none, or not one that there is */
    hs_str content;           /* canonical JSON object */
    hs_str redacts;           /* p NULL: none; versions before 11 put it at the top */
    int64_t depth, origin_ts;
    bool is_sticky; /* MSC4354 */
    int64_t sticky_ms;
    const hs_str *prev, *auth;
    size_t prev_n, auth_n;
} hs_event_draft;

struct hs_signing_key;
/* Canonical bytes with content hash and our signature; parsed and size-checked (413 M_TOO_LARGE). */
HS_NODISCARD hs_error *hs_event_build(hs_arena *a, const hs_roomver *rv, const hs_event_draft *d, hs_str server_name,
                                      const struct hs_signing_key *key, hs_event **ret);

/* SHA-256, per spec "Calculating the content hash / reference hash". */
HS_NODISCARD hs_error *hs_event_content_hash(hs_arena *a, const hs_event *e, uint8_t ret[32]);
HS_NODISCARD hs_error *hs_event_reference_hash(hs_arena *a, const hs_event *e, uint8_t ret[32]);
/* Whether hashes.sha256 is right. */
HS_NODISCARD hs_error *hs_event_hash_ok(hs_arena *a, const hs_event *e, bool *ret);
/* ── signatures (event_sign.c) ── */

/* The servers whose signature the version asks for: the sender's, unless it is a third party's invite; in versions 1
 * and 2 that of the event id; from version 8 on that of join_authorised_via_users_server. A name may be malformed, for
 * which there is no key then. */
#define HS_SIGNERS_MAX 3
size_t hs_event_signers(const hs_event *e, hs_str ret[HS_SIGNERS_MAX]);

/* The public key `key_id` ("ed25519:a_AbCd") of a server; false when there is none. `valid_at` (ms) is when the key
 * must have been valid; HS_KEY_ANY_TIME in versions that do not ask. */
#define HS_KEY_ANY_TIME INT64_MIN
typedef struct {
    bool (*get)(void *ud, hs_str server, hs_str key_id, int64_t valid_at, uint8_t ret[32]);
    void *ud;
} hs_key_view;
/* Whether each of these servers signed with a key that is known, and with none of those badly. ret_server: the first
 * that did not. */
HS_NODISCARD hs_error *hs_event_signatures_ok(hs_arena *a, const hs_event *e, const hs_key_view *keys, bool *ret,
                                              hs_str *ret_server);

/* The redacted form's canonical bytes (spec "Redactions" of the version). */
HS_NODISCARD hs_error *hs_event_redact(hs_arena *a, const hs_event *e, hs_str *ret);
HS_NODISCARD hs_error *hs_redact_json(hs_arena *a, const hs_roomver *rv, hs_str json, hs_str *ret);

#endif
