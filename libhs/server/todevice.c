/* See todevice.h. What the process knows of a device's inbox says whether the store has to be asked: an idle /sync asks
 * nothing. */
#include "server/todevice.h"

#include "base/checked.h"
#include "base/json_out.h"
#include "base/vec.h"
#include "core/canonical.h"
#include "core/ids.h"
#include "core/sign.h"
#include "server/cache.h"
#include "server/limiter.h"
#include "server/names.h"
#include "store/events.h"
#include "store/todevice.h"

#include <stdlib.h>

#define CONTENT_MAX   65536
#define RECEIVERS_MAX 10000
#define STORED_MAX    HS_MIB(8) /* of one request, over all receivers: it is written while everybody's writing waits */
#define PAGE          100
#define TXN_SCOPE     (-1) /* of hs_txn_row: rooms have positive numbers */
#define TXN_TEXT_MAX  255
#define INBOXES_BYTES HS_MIB(16) /* at factor 1 */

/* ── what is known of inboxes ── */

typedef struct {
    int64_t known;   /* every message above it was told or read … */
    int64_t newest;  /* … and this is the position of the last one; 0: there is none */
    int64_t deleted; /* nothing is left at or below it; -1: not known */
    int64_t heard;   /* everything that the feed told since then is in `newest` */
} inbox;

struct hs_inboxes {
    hs_map *map; /* user and device → inbox */
    uint64_t seed;
    hs_cache cache;
};

typedef struct {
    char bytes[sizeof(hs_nid) + 512];
    size_t n;
} inbox_key;

/* False for a device id longer than a login accepts. */
static bool key_of(hs_nid user, hs_str device_id, inbox_key *ret)
{
    if (!device_id.n || device_id.n > sizeof ret->bytes - sizeof user)
        return false;
    memcpy(ret->bytes, &user, sizeof user);
    memcpy(ret->bytes + sizeof user, device_id.p, device_id.n);
    ret->n = sizeof user + device_id.n;
    return true;
}

static inbox *peek(hs_server *srv, hs_nid user, hs_str device_id)
{
    inbox_key k;

    return key_of(user, device_id, &k) ? hs_map_get(srv->inboxes->map, hs_str_make(k.bytes, k.n)) : NULL;
}

static size_t bytes_of(size_t key_n)
{
    return sizeof(inbox) + key_n + HS_CACHE_SLOT;
}

static void empty(struct hs_inboxes *x)
{
    size_t it = 0;
    hs_str key;
    void *v;

    while (hs_map_next(x->map, &it, &key, &v))
        free(v);
    hs_map_close(x->map);
}

/* All of them: they are small, and the store knows as well. */
static void trim(void *ud)
{
    struct hs_inboxes *x = ud;
    hs_map *fresh = hs_cache_over(&x->cache) ? hs_map_open(x->seed) : NULL;

    if (!fresh)
        return;
    empty(x);
    x->map = fresh;
    x->cache.evicted += x->cache.entries;
    x->cache.entries = x->cache.bytes = 0;
}

/* Made when it is not there; NULL without memory: then the store is asked. Valid until the next suspension. */
static inbox *inbox_of(hs_server *srv, const hs_session *who)
{
    struct hs_inboxes *x = srv->inboxes;
    inbox *b = peek(srv, who->user, who->device_id);
    inbox_key k;

    hs_cache_asked(&x->cache, b != NULL);
    if (b || !key_of(who->user, who->device_id, &k))
        return b;
    trim(x);
    b = calloc(1, sizeof *b);
    if (!b || !hs_map_put(x->map, hs_str_make(k.bytes, k.n), b, NULL)) {
        free(b);
        return NULL;
    }
    hs_cache_added(&x->cache, bytes_of(k.n));
    *b = (inbox){ .known = hs_fanout_position(srv), .deleted = -1, .heard = hs_fanout_position(srv) };
    return b;
}

/* Where the feed was not heard, what was known before it says nothing about what came since. */
static void check_feed(const hs_server *srv, inbox *b)
{
    int64_t floor = hs_fanout_floor(srv);

    if (floor > b->heard)
        b->known = b->heard = floor;
}

static void hear(void *ud, int64_t first, const hs_news *news)
{
    for (size_t i = 0; i < news->to_device_n; i++) {
        const hs_news_to_device *n = &news->to_device[i];
        inbox *b = peek(ud, n->user, n->device_id);

        if (b && first + n->at > b->newest)
            b->newest = first + n->at;
    }
}

hs_error *hs_todevice_open(hs_server *srv, hs_arena *a)
{
    struct hs_inboxes *x;

    HS_TRY(hs_alloc(a, 1, &x));
    x->seed = srv->hash_seed;
    x->map = hs_map_open(x->seed);
    if (!x->map)
        return HS_ERR_NOMEM;
    hs_cache_open(srv->caches, &x->cache, "inboxes", INBOXES_BYTES, trim, x);
    srv->inboxes = x;
    return hs_fanout_listen(srv, hear, srv);
}

void hs_todevice_close(hs_server *srv)
{
    if (!srv->inboxes)
        return;
    empty(srv->inboxes);
    srv->inboxes = NULL;
}

/* ── receiving ── */

/* The store has told all messages after `after` up to `upto`. */
static void note(hs_server *srv, const hs_session *who, int64_t after, int64_t upto, int64_t newest)
{
    inbox *b = peek(srv, who->user, who->device_id);

    if (!b)
        return;
    check_feed(srv, b);
    if (newest > b->newest)
        b->newest = newest;
    if (after < b->known && b->heard <= upto)
        b->known = after;
}

hs_error *hs_todevice_read(hs_server *srv, const hs_session *who, hs_arena *a, int64_t after, int64_t upto,
                           hs_todevice_page *ret)
{
    inbox *b = inbox_of(srv, who);
    hs_todevice_row *rows;
    size_t n;

    /* A token never goes back: what it acknowledged may be gone. */
    *ret = (hs_todevice_page){ .upto = upto > after ? upto : after };
    if (b)
        check_feed(srv, b);
    if (!who->device_id.n || upto <= after || (b && b->known <= after && b->newest <= after))
        return NULL;
    HS_TRY(hs_store_todevice_after(srv->db, a, who->user, who->device_id, after, upto, PAGE + 1, &rows, &n));
    /* More than a page: how much more is not known, so anything up to `upto` is asked for again. */
    note(srv, who, after, upto, n > PAGE ? upto : n ? rows[n - 1].pos : 0);
    if (n > PAGE) {
        n = PAGE;
        ret->upto = rows[n - 1].pos;
    }
    HS_TRY(hs_alloc(a, n, &ret->msgs.at));
    ret->msgs.n = n;
    for (size_t i = 0; i < n; i++)
        ret->msgs.at[i] = rows[i].msg;
    return NULL;
}

hs_error *hs_todevice_acknowledge(hs_server *srv, const hs_session *who, hs_arena *a, int64_t upto)
{
    inbox *b = inbox_of(srv, who);

    if (!who->device_id.n || upto <= 0)
        return NULL;
    if (b) {
        check_feed(srv, b);
        if (upto <= b->deleted || (b->known <= b->deleted && b->newest <= b->deleted))
            return NULL;
    }
    HS_TRY(hs_store_todevice_delete(srv->db, a, who->user, who->device_id, upto));
    b = peek(srv, who->user, who->device_id);
    if (b && upto > b->deleted)
        b->deleted = upto;
    return NULL;
}

/* ── sending ── */

/* What a request asks for, one entry a device named. */
typedef struct {
    HS_VEC(hs_str) user_ids;
    HS_VEC(hs_str) device_ids;
    HS_VEC(int32_t) everyone;
    HS_VEC(hs_str) msgs;
} letters;

static hs_error *bad_shape(hs_arena *a)
{
    return hs_err(a, 400, HS_M_BAD_JSON, "'messages' must map user IDs to device IDs to objects");
}

/* Blanks do not count, as they do not on the way to other servers. */
static hs_error *check_content(hs_arena *a, hs_str user_id, hs_str device_id, hs_jv content)
{
    hs_str text = hs_jv_raw(content);

    if (hs_jv_type_of(content) != HS_JV_OBJ)
        return bad_shape(a);
    if (text.n > CONTENT_MAX)
        HS_TRY(hs_canonical(a, content, NULL, 0, &text));
    if (text.n > CONTENT_MAX)
        return hs_err(a, 413, HS_M_TOO_LARGE, "To-device message for %.*s:%.*s is too large to send (%zu > %d)",
                      HS_FMT(user_id), HS_FMT(device_id), text.n, CONTENT_MAX);
    return NULL;
}

static hs_error *check_shape(hs_arena *a, hs_jv messages)
{
    size_t n = 0;

    for (hs_jv_iter u = { 0 }; hs_jv_next(messages, &u);) {
        if (hs_jv_type_of(u.value) != HS_JV_OBJ)
            return bad_shape(a);
        n += hs_jv_count(u.value);
        for (hs_jv_iter d = { 0 }; hs_jv_next(u.value, &d);)
            HS_TRY(check_content(a, u.key, d.key, d.value));
    }
    if (n > RECEIVERS_MAX)
        return hs_err(a, 413, HS_M_TOO_LARGE, "Too many devices at once (%zu > %d)", n, RECEIVERS_MAX);
    return NULL;
}

/* Asking everybody for keys is limited, and what is too much is dropped without a word, as in Synapse: the client asks
 * again by itself. */
static hs_error *may_ask(hs_server *srv, const hs_session *who, hs_arena *a, const hs_todevice_send *in, hs_str user_id,
                         bool *ret)
{
    hs_str key;
    hs_error *e;

    *ret = true;
    if (!hs_str_eq(in->type, HS_S("m.room_key_request")) || hs_str_eq(user_id, who->user_id))
        return NULL;
    HS_TRY(hs_str_cat(a, &key, 3, who->user_id, HS_S("\0"), who->device_id));
    e = hs_limit_use_as(srv, a, HS_LIMIT_KEY_REQUESTS, who, key, HS_LIMIT_TAKE);
    if (e && e->status != 429)
        return e;
    *ret = !e;
    return NULL;
}

/* What stands before the content in each of a request's messages. */
static hs_error *letter_head(const hs_session *who, hs_arena *a, hs_str type, hs_str *ret)
{
    hs_json_out j;
    hs_buf b;
    hs_str whole;

    hs_buf_init(&b, a);
    hs_json_out_init(&j, &b);
    hs_json_obj(&j);
    hs_json_str(&j, "type", type);
    hs_json_str(&j, "sender", who->user_id);
    hs_json_end(&j);
    HS_TRY(hs_buf_flatten(&b, &whole));
    return hs_str_cat(a, ret, 2, hs_str_first(whole, whole.n - 1), HS_S(",\"content\":"));
}

static hs_error *collect(hs_server *srv, const hs_session *who, hs_arena *a, const hs_todevice_send *in, letters *out)
{
    hs_id id;
    hs_str head, msg;
    bool may;

    HS_TRY(letter_head(who, a, in->type, &head));
    for (hs_jv_iter u = { 0 }; hs_jv_next(in->messages, &u);) {
        bool everyone = hs_jv_count(u.value) == 1;

        if (!hs_user_id_parse(u.key, &id) || !hs_str_is_utf8(u.key) || memchr(u.key.p, 0, u.key.n) ||
            !hs_user_is_local(srv, u.key))
            continue;
        HS_TRY(may_ask(srv, who, a, in, u.key, &may));
        if (!may)
            continue;
        for (hs_jv_iter d = { 0 }; hs_jv_next(u.value, &d);) {
            if (d.key.n && memchr(d.key.p, 0, d.key.n))
                continue; /* no device is called so */
            HS_TRY(hs_str_cat(a, &msg, 3, head, hs_jv_raw(d.value), HS_S("}")));
            HS_TRY(hs_vec_push(a, &out->user_ids, u.key));
            HS_TRY(hs_vec_push(a, &out->device_ids, d.key));
            HS_TRY(hs_vec_push(a, &out->everyone, everyone && hs_str_eq(d.key, HS_S("*"))));
            HS_TRY(hs_vec_push(a, &out->msgs, msg));
        }
    }
    return NULL;
}

static hs_error *check_amount(hs_arena *a, const letters *l, const hs_todevice_target *targets, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += l->msgs.at[targets[i].of].n; /* 10,000 times the size of a body at most */
    if (n > RECEIVERS_MAX || bytes > STORED_MAX)
        return hs_err(a, 413, HS_M_TOO_LARGE, "Too much for all devices together");
    return NULL;
}

static hs_error *tell(hs_write *w, const hs_todevice_target *targets, size_t n, uint32_t at)
{
    hs_arena *a = hs_write_arena(w);
    hs_news_to_device *told;

    HS_TRY(hs_alloc(a, n, &told));
    for (size_t i = 0; i < n; i++)
        told[i] = (hs_news_to_device){ .user = targets[i].user, .device_id = targets[i].device_id, .at = at };
    return hs_news_give(w, &(hs_news){ .to_device = told, .to_device_n = n });
}

/* One position for all: no device gets two messages of one request. */
static hs_error *write(hs_server *srv, hs_arena *a, const hs_txn_row *txn, const letters *l,
                       const hs_todevice_target *targets, size_t n)
{
    hs_write_result result;
    hs_write *w;
    hs_nid *users;
    hs_str *devices;
    int32_t *which;
    uint32_t at;

    HS_TRY(hs_alloc(a, n, &users));
    HS_TRY(hs_alloc(a, n, &devices));
    HS_TRY(hs_alloc(a, n, &which));
    for (size_t i = 0; i < n; i++) {
        users[i] = targets[i].user;
        devices[i] = targets[i].device_id;
        which[i] = (int32_t)targets[i].of;
    }
    HS_TRY(hs_write_open(srv->db, a, &w));
    HS_TRY(hs_write_position(w, &at));
    HS_TRY(hs_store_txn_insert(w, txn));
    HS_TRY(hs_store_todevice_put(w, (hs_nids){ users, n }, (hs_strs){ devices, n }, (hs_ints){ which, n },
                                 (hs_strs){ l->msgs.at, l->msgs.n }, at));
    HS_TRY(tell(w, targets, n, at));
    /* HS_WRITE_CONFLICT: the transaction is in the store already, and so are its messages. */
    return hs_write_commit(w, &result);
}

static hs_error *deliver(hs_server *srv, const hs_session *who, hs_arena *a, const hs_todevice_send *in, hs_str txn_id)
{
    hs_txn_row txn = { .user = who->user,
                       .device_id = who->device_id,
                       .scope = TXN_SCOPE,
                       .txn_id = txn_id,
                       .ts = hs_loop_wall(srv->loop) };
    letters l = { 0 };
    hs_todevice_target *targets;
    size_t n;

    HS_TRY(check_shape(a, in->messages));
    HS_TRY(collect(srv, who, a, in, &l));
    if (!l.msgs.n)
        return NULL;
    HS_TRY(hs_store_todevice_targets(srv->db, a, (hs_strs){ l.user_ids.at, l.user_ids.n },
                                     (hs_strs){ l.device_ids.at, l.device_ids.n },
                                     (hs_ints){ l.everyone.at, l.everyone.n }, RECEIVERS_MAX + 1, &targets, &n));
    HS_TRY(check_amount(a, &l, targets, n));
    return n ? write(srv, a, &txn, &l, targets, n) : NULL;
}

/* The type counts: Synapse remembers requests by their path. Long ones by their hash, since an index has to hold them.
 */
static hs_error *txn_text(hs_arena *a, const hs_todevice_send *in, hs_str *ret)
{
    uint8_t sha256[32];

    HS_TRY(hs_str_fmt(a, ret, "%zu/%.*s/%.*s", in->type.n, HS_FMT(in->type), HS_FMT(in->txn_id)));
    if (ret->n <= TXN_TEXT_MAX)
        return NULL;
    hs_sha256(*ret, sha256);
    return hs_base64_encode(a, hs_str_make((const char *)sha256, sizeof sha256), false, ret);
}

hs_error *hs_todevice_send_all(hs_server *srv, const hs_session *who, hs_arena *a, const hs_todevice_send *in)
{
    hs_str text, known;
    hs_txn *txn;

    HS_TRY(txn_text(a, in, &text));
    HS_TRY(hs_txn_begin(srv, a, srv->rooms->txns, who, HS_S("sendToDevice"), text, &txn, &known));
    if (known.p)
        return NULL;
    HS_TRY(hs_txn_fail(txn, deliver(srv, who, a, in, text)));
    hs_txn_answer(txn, HS_S("{}"));
    return NULL;
}
