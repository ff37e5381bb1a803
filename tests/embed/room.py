#!/usr/bin/env python3
"""room.c in Python: checks a room's events through libhs.so with ctypes, and prints the same lines.

    room.py LIBHS VERSION <STREAM"""
import ctypes as c
import sys


class Str(c.Structure):
    _fields_ = [('p', c.c_void_p), ('n', c.c_size_t)]

    @classmethod
    def of(cls, data):
        s = cls(c.cast(c.c_char_p(data), c.c_void_p), len(data))
        s.keep = data  # the library borrows it
        return s

    def __bytes__(self):
        return c.string_at(self.p, self.n) if self.n else b''


class Error(c.Structure):
    pass


Error._fields_ = [('status', c.c_int), ('code', c.c_int), ('message', Str), ('extra', Str), ('cause', c.POINTER(Error))]


class Info(c.Structure):
    _fields_ = [(name, Str) for name in ('event_id', 'room_id', 'type', 'sender', 'state_key', 'redacts', 'content', 'json')] + [
        ('depth', c.c_int64), ('origin_server_ts', c.c_int64), ('prev_events', c.POINTER(Str)), ('auth_events', c.POINTER(Str)),
        ('prev_events_n', c.c_size_t), ('auth_events_n', c.c_size_t), ('reserved', c.c_void_p * 4)]


class Verdict(c.Structure):
    _fields_ = [('ok', c.c_bool), ('rule', c.c_char_p), ('reserved', c.c_void_p * 2)]


class Entry(c.Structure):
    _fields_ = [('key', c.c_int64), ('event', c.c_int64)]


class State(c.Structure):
    _fields_ = [('at', c.POINTER(Entry)), ('n', c.c_size_t)]


EVENT_FN = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_int64)
REJECTED_FN = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_int64)
AUTH_FN = c.CFUNCTYPE(c.c_size_t, c.c_void_p, c.c_int64, c.POINTER(c.POINTER(c.c_int64)))
NUMBER_FN = c.CFUNCTYPE(c.c_int64, c.c_void_p, Str, Str)
LOAD_FN = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.POINTER(c.c_int64), c.c_size_t)
STATE_FN = c.CFUNCTYPE(c.c_void_p, c.c_void_p, Str, Str)
KEY_FN = c.CFUNCTYPE(c.c_bool, c.c_void_p, Str, Str, c.c_int64, c.POINTER(c.c_uint8))


class Questions(c.Structure):
    _fields_ = [('ud', c.c_void_p), ('create', c.c_int64), ('event', EVENT_FN), ('rejected', REJECTED_FN), ('auth', AUTH_FN),
                ('key', NUMBER_FN), ('load', LOAD_FN), ('max_conflicted', c.c_size_t), ('max_graph', c.c_size_t),
                ('reserved', c.c_void_p * 4)]


def library(path):
    hs = c.CDLL(path)
    for name, *arguments in (
            ('hs_core_event_read', c.c_void_p, Str, Str, c.POINTER(c.c_void_p)),
            ('hs_core_event_hash_ok', c.c_void_p, Str, Str, c.POINTER(c.c_bool)),
            ('hs_core_event_redact', c.c_void_p, Str, Str, c.POINTER(Str)),
            ('hs_core_event_signatures_ok', c.c_void_p, c.c_void_p, KEY_FN, c.c_void_p, c.POINTER(c.c_bool), c.POINTER(Str)),
            ('hs_core_resolve', c.c_void_p, Str, c.POINTER(Questions), c.POINTER(State), c.c_size_t, c.POINTER(State))):
        function = getattr(hs, name)
        function.argtypes, function.restype = arguments, c.POINTER(Error)
    hs.hs_core_event_get.argtypes, hs.hs_core_event_get.restype = (c.c_void_p, c.POINTER(Info)), None
    hs.hs_core_auth_check.argtypes, hs.hs_core_auth_check.restype = (c.c_void_p, STATE_FN, c.c_void_p), Verdict
    hs.hs_core_auth_events_check.argtypes = (c.c_void_p, c.POINTER(c.c_void_p), c.POINTER(c.c_bool), c.c_size_t)
    hs.hs_core_auth_events_check.restype = Verdict
    hs.hs_arena_open.argtypes, hs.hs_arena_open.restype = (c.c_size_t,), c.c_void_p
    hs.hs_arena_close.argtypes, hs.hs_arena_close.restype = (c.c_void_p,), None
    return hs


class Refused(Exception):
    pass


def check(error):
    if error:
        shown = error.contents
        raise Refused(bytes((shown.cause.contents if shown.cause else shown).message).decode())


class Event:
    def __init__(self, pointer, info):
        self.pointer, self.info, self.rejected, self.auth, self.after = pointer, info, False, [], {}
        self.id, self.type, self.sender = (bytes(x) for x in (info.event_id, info.type, info.sender))
        self.state_key = bytes(info.state_key) if info.state_key.p else None
        self.prev_ids = [bytes(info.prev_events[i]) for i in range(info.prev_events_n)]
        self.auth_ids = [bytes(info.auth_events[i]) for i in range(info.auth_events_n)]


class Room:
    def __init__(self, hs, version):
        self.hs, self.version, self.a = hs, Str.of(version.encode()), hs.hs_arena_open(1 << 26)
        self.events, self.numbers, self.keys, self.public_keys = {}, {}, {}, {}  # number → Event, id → number, pair → number
        self.loads, self.auth_array = 0, None
        self.questions = Questions(None, 1, EVENT_FN(lambda _, n: self.events[n].pointer),
                                   REJECTED_FN(lambda _, n: self.events[n].rejected), AUTH_FN(self.auth_of),
                                   NUMBER_FN(lambda _, kind, key: self.key(bytes(kind), bytes(key))), LOAD_FN(self.load))
        self.public_key = KEY_FN(self.key_of_server)

    def key(self, kind, state_key):
        return self.keys.setdefault((kind, state_key), len(self.keys) + 1)

    def auth_of(self, _, number, ret):
        auth = self.events[number].auth
        self.auth_array = (c.c_int64 * max(1, len(auth)))(*auth)  # stays until the next call
        ret[0] = c.cast(self.auth_array, c.POINTER(c.c_int64))
        return len(auth)

    def load(self, _, numbers, n):
        self.loads += 1  # here one would fetch them all at once
        return None

    def key_of_server(self, _, server, key_id, valid_at, ret):
        key = self.public_keys.get((bytes(server), bytes(key_id)))
        if key:
            c.memmove(ret, key, 32)
        return key is not None

    def read(self, pdu):
        pointer, info = c.c_void_p(), Info()
        check(self.hs.hs_core_event_read(self.a, self.version, Str.of(pdu), c.byref(pointer)))
        self.hs.hs_core_event_get(pointer, c.byref(info))
        return Event(pointer.value, info)

    def resolve(self, states):
        if len(states) < 2:
            return dict(states[0]) if states else {}
        given = (State * len(states))()
        for at, state in zip(given, states):
            entries = (Entry * len(state))(*(Entry(k, n) for k, n in sorted(state.items())))
            at.at, at.n = entries, len(state)
        out = State()
        check(self.hs.hs_core_resolve(self.a, self.version, c.byref(self.questions), given, len(states), c.byref(out)))
        return {out.at[i].key: out.at[i].event for i in range(out.n)}

    def allowed(self, event, state):
        def get(_, kind, state_key):
            number = state.get(self.key(bytes(kind), bytes(state_key)))
            return self.events[number].pointer if number else None
        return self.hs.hs_core_auth_check(event.pointer, STATE_FN(get), None)

    def judge(self, event, before):
        by = [self.events[n] for n in event.auth]
        verdict = self.hs.hs_core_auth_events_check(
            event.pointer, (c.c_void_p * len(by))(*(x.pointer for x in by)), (c.c_bool * len(by))(*(x.rejected for x in by)), len(by))
        if verdict.ok:
            of_auth = {self.key(b'm.room.create', b''): 1} if self.events else {}
            of_auth.update({self.key(self.events[n].type, self.events[n].state_key): n for n in event.auth})
            verdict = self.allowed(event, of_auth)
        return self.allowed(event, before) if verdict.ok else verdict

    def receive(self, pdu):
        event = self.read(pdu)
        said = '%s %s by %s: ' % (event.id.decode(), event.type.decode(), event.sender.decode())
        ok, server = c.c_bool(), Str()
        check(self.hs.hs_core_event_signatures_ok(self.a, event.pointer, self.public_key, None, c.byref(ok), c.byref(server)))
        if not ok:
            return said + 'dropped, not signed by %s' % bytes(server).decode()
        check(self.hs.hs_core_event_hash_ok(self.a, self.version, event.info.json, c.byref(ok)))
        if not ok:
            redacted = Str()
            check(self.hs.hs_core_event_redact(self.a, self.version, event.info.json, c.byref(redacted)))
            event = self.read(bytes(redacted))
            said += 'redacted, '
        for i in event.prev_ids + event.auth_ids:
            if i not in self.numbers:
                return said + 'waits for %s' % i.decode()
        event.auth = [self.numbers[i] for i in event.auth_ids]
        before = self.resolve([self.events[self.numbers[i]].after for i in event.prev_ids])
        verdict = self.judge(event, before)
        number = len(self.events) + 1
        event.rejected, event.after = not verdict.ok, before
        self.events[number], self.numbers[event.id] = event, number
        if verdict.ok and event.state_key is not None:
            event.after = {**before, self.key(event.type, event.state_key): number}
        return said + ('accepted' if verdict.ok else 'rejected, %s' % verdict.rule.decode())


def main():
    room = Room(library(sys.argv[1]), sys.argv[2])
    try:
        for line in sys.stdin.buffer:
            if line.startswith(b'key '):
                _, server, key_id, key = line.split()
                room.public_keys[server, key_id] = bytes.fromhex(key.decode())
            else:
                print(room.receive(line.strip()))
    except Refused as e:
        print(e)
        return 1
    for _, number in sorted(room.events[len(room.events)].after.items()):
        event = room.events[number]
        print('state %s "%s" is %s' % (event.type.decode(), event.state_key.decode(), event.id.decode()))
    room.hs.hs_arena_close(room.a)
    return 0


if __name__ == '__main__':
    sys.exit(main())
