/* See live.h. */
#include "bus/live.h"

#include "bus/proto.h"
#include "proto/live.pb-c.h"

/* ── hello ── */

hs_error *hs_hello_decode(hs_arena *a, hs_str bytes, hs_hello_msg *ret)
{
    ProtobufCMessage *m;

    HS_TRY(hs_proto_unpack(a, &hs__hello__descriptor, bytes, "hello", &m));
    const Hs__Hello *h = (const Hs__Hello *)m;
    *ret = (hs_hello_msg){ .worker = hs_proto_str(h->worker),
                           .boot = h->boot,
                           .roles = h->roles,
                           .pos = h->pos,
                           .sent_ms = h->sent_ms,
                           .bye = h->bye };
    return NULL;
}

hs_error *hs_hello_encode(hs_arena *a, const hs_hello_msg *msg, hs_str *ret)
{
    Hs__Hello h;

    hs__hello__init(&h);
    HS_TRY(hs_proto_text(a, msg->worker, &h.worker));
    h.boot = msg->boot;
    h.roles = msg->roles;
    h.pos = msg->pos;
    h.sent_ms = msg->sent_ms;
    h.bye = msg->bye;
    return hs_proto_pack(a, &h.base, ret);
}

/* ── typing and presence ── */

static hs_presence_msg read_presence(const Hs__Presence *in)
{
    return (hs_presence_msg){ .user = in->user,
                              .device = in->device,
                              .state = in->state,
                              .active_ms = in->active_ms,
                              .sync_ms = in->sync_ms,
                              .has_status = in->has_status,
                              .status = hs_proto_str(in->status) };
}

static hs_error *read_room(hs_arena *a, const Hs__Typing *in, hs_typing_msg *out)
{
    *out = (hs_typing_msg){ .room = in->room, .n = in->n_users };
    HS_TRY(hs_alloc(a, in->n_users, &out->users));
    for (size_t i = 0; i < in->n_users; i++)
        out->users[i] = (hs_typist_msg){ hs_proto_str(in->users[i]->user), in->users[i]->for_ms };
    return NULL;
}

hs_error *hs_ephemeral_decode(hs_arena *a, hs_str bytes, hs_ephemeral_msg *ret)
{
    ProtobufCMessage *m;

    HS_TRY(hs_proto_unpack(a, &hs__ephemeral__descriptor, bytes, "ephemeral", &m));
    const Hs__Ephemeral *e = (const Hs__Ephemeral *)m;
    *ret = (hs_ephemeral_msg){ .worker = hs_proto_str(e->worker),
                               .boot = e->boot,
                               .serial = e->serial,
                               .seen = e->seen,
                               .clock = e->clock,
                               .ask = e->ask,
                               .whole = e->whole,
                               .typing_n = e->n_typing,
                               .presence_n = e->n_presence };
    HS_TRY(hs_alloc(a, e->n_typing, &ret->typing));
    for (size_t i = 0; i < e->n_typing; i++)
        HS_TRY(read_room(a, e->typing[i], &ret->typing[i]));
    HS_TRY(hs_alloc(a, e->n_presence, &ret->presence));
    for (size_t i = 0; i < e->n_presence; i++)
        ret->presence[i] = read_presence(e->presence[i]);
    return NULL;
}

static hs_error *write_room(hs_arena *a, const hs_typing_msg *in, Hs__Typing **ret)
{
    Hs__Typing *t;
    Hs__Typist *users;

    HS_TRY(hs_alloc(a, 1, &t));
    HS_TRY(hs_alloc(a, in->n, &users));
    hs__typing__init(t);
    t->room = in->room;
    t->n_users = in->n;
    HS_TRY(hs_alloc(a, in->n, &t->users));
    for (size_t i = 0; i < in->n; i++) {
        hs__typist__init(&users[i]);
        HS_TRY(hs_proto_text(a, in->users[i].user, &users[i].user));
        users[i].for_ms = in->users[i].for_ms;
        t->users[i] = &users[i];
    }
    *ret = t;
    return NULL;
}

static hs_error *write_presence(hs_arena *a, const hs_presence_msg *in, Hs__Presence **ret)
{
    Hs__Presence *p;

    HS_TRY(hs_alloc(a, 1, &p));
    hs__presence__init(p);
    p->user = in->user;
    p->device = in->device;
    p->state = in->state;
    p->active_ms = in->active_ms;
    p->sync_ms = in->sync_ms;
    p->has_status = in->has_status;
    HS_TRY(hs_proto_text(a, in->status, &p->status));
    *ret = p;
    return NULL;
}

hs_error *hs_ephemeral_encode(hs_arena *a, const hs_ephemeral_msg *msg, hs_str *ret)
{
    Hs__Ephemeral e;

    hs__ephemeral__init(&e);
    HS_TRY(hs_proto_text(a, msg->worker, &e.worker));
    e.boot = msg->boot;
    e.serial = msg->serial;
    e.seen = msg->seen;
    e.clock = msg->clock;
    e.ask = msg->ask;
    e.whole = msg->whole;
    e.n_typing = msg->typing_n;
    HS_TRY(hs_alloc(a, msg->typing_n, &e.typing));
    for (size_t i = 0; i < msg->typing_n; i++)
        HS_TRY(write_room(a, &msg->typing[i], &e.typing[i]));
    e.n_presence = msg->presence_n;
    HS_TRY(hs_alloc(a, msg->presence_n, &e.presence));
    for (size_t i = 0; i < msg->presence_n; i++)
        HS_TRY(write_presence(a, &msg->presence[i], &e.presence[i]));
    return hs_proto_pack(a, &e.base, ret);
}

/* ── limits ── */

hs_error *hs_limits_decode(hs_arena *a, hs_str bytes, hs_limits_msg *ret)
{
    ProtobufCMessage *m;

    HS_TRY(hs_proto_unpack(a, &hs__limits__descriptor, bytes, "limits", &m));
    const Hs__Limits *l = (const Hs__Limits *)m;
    *ret = (hs_limits_msg){ .boot = l->boot, .n = l->n_uses };
    HS_TRY(hs_alloc(a, l->n_uses, &ret->uses));
    for (size_t i = 0; i < l->n_uses; i++)
        ret->uses[i] =
            (hs_limit_use_msg){ hs_str_make((const char *)l->uses[i]->key.data, l->uses[i]->key.len), l->uses[i]->n };
    return NULL;
}

hs_error *hs_limits_encode(hs_arena *a, const hs_limits_msg *msg, hs_str *ret)
{
    Hs__LimitUse *uses;
    Hs__Limits l;

    hs__limits__init(&l);
    l.boot = msg->boot;
    l.n_uses = msg->n;
    HS_TRY(hs_alloc(a, msg->n, &l.uses));
    HS_TRY(hs_alloc(a, msg->n, &uses));
    for (size_t i = 0; i < msg->n; i++) {
        uint8_t *key;

        HS_TRY(hs_alloc(a, msg->uses[i].key.n, &key)); /* protobuf-c wants it writable */
        memcpy(key, msg->uses[i].key.p, msg->uses[i].key.n);
        hs__limit_use__init(&uses[i]);
        uses[i].key = (ProtobufCBinaryData){ msg->uses[i].key.n, key };
        uses[i].n = msg->uses[i].n;
        l.uses[i] = &uses[i];
    }
    return hs_proto_pack(a, &l.base, ret);
}
