/* Open addressing with linear probing and backward-shift deletion, so that a table under churn keeps no tombstones. The
 * hash is SipHash-1-3 under the map's seed. */
#include "base/map.h"

#include "base/checked.h"

#include <stdlib.h>

typedef struct {
    uint64_t hash; /* 0: empty */
    hs_str key;    /* up to 8 bytes live in `small` instead */
    uint64_t small;
    void *v;
} slot;

struct hs_map {
    uint64_t k0, k1;
    slot *slots;
    size_t mask, count;
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTL(v[1], 13) ^ v[0];
    v[0] = ROTL(v[0], 32);
    v[2] += v[3];
    v[3] = ROTL(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTL(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTL(v[1], 17) ^ v[2];
    v[2] = ROTL(v[2], 32);
}

static uint64_t hash_key(const hs_map *m, hs_str s)
{
    uint64_t v[4] = { m->k0 ^ 0x736f6d6570736575u, m->k1 ^ 0x646f72616e646f6du, m->k0 ^ 0x6c7967656e657261u,
                      m->k1 ^ 0x7465646279746573u };
    uint64_t word = 0;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&word, s.p + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    if (s.n > i)
        memcpy(&word, s.p + i, s.n - i);
    word |= (uint64_t)s.n << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    word = v[0] ^ v[1] ^ v[2] ^ v[3];
    return word ? word : 1;
}

static hs_str slot_key(const slot *s)
{
    return s->key.n <= sizeof s->small ? hs_str_make((const char *)&s->small, s->key.n) : s->key;
}

static bool slot_set_key(slot *s, hs_str key)
{
    s->key = hs_str_make(NULL, key.n);
    s->small = 0;
    if (key.n <= sizeof s->small) {
        if (key.n)
            memcpy(&s->small, key.p, key.n);
        return true;
    }
    char *copy = malloc(key.n);
    if (!copy)
        return false;
    memcpy(copy, key.p, key.n);
    s->key.p = copy;
    return true;
}

static void slot_drop_key(slot *s)
{
    union {
        const char *c;
        void *v;
    } owned = { s->key.p };
    free(owned.v);
}

hs_map *hs_map_open(uint64_t seed)
{
    hs_map *m = calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->k0 = seed;
    m->k1 = ROTL(seed, 29) ^ 0x9e3779b97f4a7c15u;
    return m;
}

void hs_map_close(hs_map *m)
{
    if (!m)
        return;
    for (size_t i = 0; m->slots && i <= m->mask; i++)
        if (m->slots[i].hash)
            slot_drop_key(&m->slots[i]);
    free(m->slots);
    free(m);
}

size_t hs_map_count(const hs_map *m)
{
    return m->count;
}

/* The slot of `key`, or the empty one where it would go. */
static slot *find(const hs_map *m, uint64_t hash, hs_str key)
{
    size_t i = (size_t)hash & m->mask;
    uint64_t small = 0;

    if (key.n > sizeof small) {
        while (m->slots[i].hash && (m->slots[i].hash != hash || !hs_str_eq(m->slots[i].key, key)))
            i = (i + 1) & m->mask;
        return &m->slots[i];
    }
    if (key.n)
        memcpy(&small, key.p, key.n);
    while (m->slots[i].hash && (m->slots[i].hash != hash || m->slots[i].small != small || m->slots[i].key.n != key.n))
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

void *hs_map_get(const hs_map *m, hs_str key)
{
    return m->count ? find(m, hash_key(m, key), key)->v : NULL;
}

static bool grow(hs_map *m)
{
    size_t n = m->slots ? (m->mask + 1) * 2 : 16;
    slot *old = m->slots;
    size_t old_n = old ? m->mask + 1 : 0;
    slot *slots = calloc(n, sizeof *slots);

    if (!slots)
        return false;
    m->slots = slots;
    m->mask = n - 1;
    for (size_t i = 0; i < old_n; i++)
        if (old[i].hash)
            *find(m, old[i].hash, slot_key(&old[i])) = old[i];
    free(old);
    return true;
}

bool hs_map_put(hs_map *m, hs_str key, void *v, void **old)
{
    uint64_t hash = hash_key(m, key);

    if ((!m->slots || (m->count + 1) * 4 > (m->mask + 1) * 3) && !grow(m))
        return false;
    slot *s = find(m, hash, key);
    if (old)
        *old = s->hash ? s->v : NULL;
    if (!s->hash) {
        if (!slot_set_key(s, key))
            return false;
        s->hash = hash;
        m->count++;
    }
    s->v = v;
    return true;
}

void *hs_map_remove(hs_map *m, hs_str key)
{
    if (!m->count)
        return NULL;
    slot *s = find(m, hash_key(m, key), key);
    if (!s->hash)
        return NULL;

    void *v = s->v;
    slot_drop_key(s);
    size_t hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & m->mask; m->slots[i].hash; i = (i + 1) & m->mask) {
        size_t home = (size_t)m->slots[i].hash & m->mask;
        if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (slot){ 0 };
    m->count--;
    return v;
}

bool hs_map_next(const hs_map *m, size_t *it, hs_str *key, void **v)
{
    size_t n = m->slots ? m->mask + 1 : 0;

    while (*it < n) {
        const slot *s = &m->slots[(*it)++];
        if (s->hash) {
            *key = slot_key(s);
            *v = s->v;
            return true;
        }
    }
    return false;
}
