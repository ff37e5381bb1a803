/* Ed25519 keys in Synapse's file format ("ed25519 a_AbCd <unpadded base64 seed>"), signatures over canonical JSON.
 * Spec: Appendices, "Signing JSON". */
#ifndef HS_CORE_SIGN_H
#define HS_CORE_SIGN_H

#include "base/tape.h"

typedef struct hs_signing_key hs_signing_key;

/* From 32 bytes of seed that the caller drew. version is the part after "ed25519:". */
HS_NODISCARD hs_error *hs_signing_key_open(hs_arena *a, hs_str version, const uint8_t seed[32], hs_signing_key **ret);
/* From a key file's bytes: the first line that is not a comment. M_UNKNOWN with a clear text when it is not one. */
HS_NODISCARD hs_error *hs_signing_key_read(hs_arena *a, hs_str file, hs_signing_key **ret);
/* The file's line, with newline. */
HS_NODISCARD hs_error *hs_signing_key_write(hs_arena *a, const hs_signing_key *k, hs_str *ret);
hs_str hs_signing_key_id(const hs_signing_key *k);             /* "ed25519:a_AbCd" */
const uint8_t *hs_signing_key_public(const hs_signing_key *k); /* 32 bytes */

/* Another secret for another purpose, which says nothing of the key: BLAKE2b of `purpose` under the seed. n: 16 to 64.
 */
void hs_signing_key_derive(const hs_signing_key *k, hs_str purpose, uint8_t *ret, size_t n);

/* Of the private one in a key file. */
void hs_public_key(const uint8_t seed[32], uint8_t ret[32]);

void hs_sign_bytes(const hs_signing_key *k, hs_str bytes, uint8_t ret[64]);
bool hs_verify_bytes(const uint8_t public_key[32], hs_str bytes, const uint8_t signature[64]);

/* Adds signatures.<server>.<key id> to a JSON object (signatures and unsigned are left out of what is signed);
 * canonical bytes. */
HS_NODISCARD hs_error *hs_sign_json(hs_arena *a, hs_str json, hs_str server, const hs_signing_key *k, hs_str *ret);
/* Whether the object carries a good signature of `server` with the key. */
HS_NODISCARD hs_error *hs_verify_json(hs_arena *a, hs_str json, hs_str server, hs_str key_id,
                                      const uint8_t public_key[32], bool *ret);

void hs_sha256(hs_str bytes, uint8_t ret[32]);
/* Unpadded base64. Decoding accepts padding and stray bits in the last character, as Synapse does;
 * nothing else: no blanks, no other alphabet. */
HS_NODISCARD hs_error *hs_base64_encode(hs_arena *a, hs_str bytes, bool url_safe, hs_str *ret);
HS_NODISCARD hs_error *hs_base64_decode(hs_arena *a, hs_str text, bool url_safe, hs_str *ret, bool *ok);
HS_NODISCARD hs_error *hs_hex_encode(hs_arena *a, hs_str bytes, hs_str *ret);

/* store-design §1: kind (3 bits) ‖ 60 bits of SipHash-2-4 of type \0 state_key under `key`. */
int64_t hs_slot(const uint8_t key[16], hs_str type, hs_str state_key);
/* All slots of one kind are a range: [hs_slot_low(kind), hs_slot_low(kind + 1)). */
enum { HS_SLOT_PLAIN, HS_SLOT_MEMBER, HS_SLOT_SPACE_CHILD, HS_SLOT_SPACE_PARENT, HS_SLOT_THIRD_PARTY, HS_SLOT_OTHER };
static inline int64_t hs_slot_low(int kind)
{
    return (int64_t)kind << 60;
}
static inline bool hs_slot_is_member(int64_t slot)
{
    return slot >> 60 == HS_SLOT_MEMBER;
}

#endif
