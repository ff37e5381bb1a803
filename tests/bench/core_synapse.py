"""The work of bench_core done by Synapse's functions: reads what `bench_core dump` wrote, resolves, compares, prints JSON.
Run by core.py with a Python that has matrix-synapse."""
import asyncio
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'conformance/rules'))
from compare import Clock, Event  # noqa: E402

from canonicaljson import encode_canonical_json  # noqa: E402
from signedjson import key as keys, sign  # noqa: E402
from synapse import event_auth  # noqa: E402
from synapse.api.errors import AuthError  # noqa: E402
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS  # noqa: E402
from synapse.crypto import event_signing  # noqa: E402
from synapse.events import make_event_from_dict  # noqa: E402
from synapse.events.utils import prune_event  # noqa: E402
from synapse.state import v2  # noqa: E402


def chain(events, ids):
    seen, todo = set(), list(ids)
    while todo:
        for i in events[todo.pop()].auth:
            if i not in seen:
                seen.add(i)
                todo.append(i)
    return seen


class Store:
    """What Synapse's database would answer, computed before the clock runs."""

    def __init__(self, events, order, states, conflicted, version):
        self.events = events
        chains = [chain(events, s.values()) | set(s.values()) for s in states]
        self.difference = set.union(*chains) - set.intersection(*chains)
        below = chain(events, conflicted) | conflicted
        reaches = set()
        for i in order:
            if i in conflicted or any(a in reaches for a in events[i].auth):
                reaches.add(i)
        self.subgraph = below & reaches if version == '12' else set()

    async def get_events(self, event_ids, allow_rejected=False):
        return {i: self.events[i] for i in event_ids if i in self.events}

    async def get_auth_chain_difference(self, *args):
        return v2.StateDifference(auth_difference=set(self.difference), conflicted_subgraph=set(self.subgraph))


class Empty(Store):
    def __init__(self, events):
        self.events, self.difference, self.subgraph = events, set(), set()


async def best_of(room, version, states, given, store):
    best, spent, runs = 1e9, 0.0, 0
    while runs < 2 or (spent < 1 and runs < 200):
        start = time.process_time()
        out = await v2.resolve_events_with_store(Clock(), room['events'][0]['room_id'], version, states, given(), store)
        took = time.process_time() - start
        best, spent, runs = min(best, took), spent + took, runs + 1
    return best, set(out.values()) == set(room['resolved'])


async def resolve(room, version):
    """As Synapse does with events that are stored (the auth difference comes from the database: free here), and with those
    that are not (it finds the difference itself, as we do)."""
    events = {e['id']: Event(e, version, room['events'][0]['id']) for e in room['events']}
    states = [{(events[i].type, events[i].state_key): i for i in room[k]} for k in 'ab']
    conflicted = set(room['a']) ^ set(room['b'])
    store = Store(events, [e['id'] for e in room['events']], states, conflicted, room['version'])
    seconds, same = await best_of(room, version, states, lambda: None, store)
    whole, same_too = await best_of(room, version, states, lambda: dict(events), Empty(events))
    return {'seconds': seconds, 'whole': whole, 'same': same and same_too}, events


def auth(events):
    done, start = 0, time.process_time()
    while time.process_time() - start < 1:
        for e in list(events.values())[1:]:
            try:
                event_auth.check_state_dependent_auth_rules(e, [events[a] for a in e.auth])
            except AuthError:
                pass
            done += 1
    return done / (time.process_time() - start)


def verify(version):
    key = keys.decode_signing_key_base64('ed25519', 'a_AbCd', 'YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1')
    signed = []
    for n in range(100):
        event = {'auth_events': [], 'content': {'body': 'message number %d, about as long as messages are: a sentence or two, '
                 'rarely more' % n, 'msgtype': 'm.text'}, 'depth': n, 'origin_server_ts': 1700000000000, 'prev_events': [],
                 'room_id': '!r:example.org', 'sender': '@somebody:example.org', 'type': 'm.room.message'}
        event_signing.add_hashes_and_signatures(version, event, 'example.org', key)
        signed.append(encode_canonical_json(event))
    start = time.process_time()
    for text in signed:
        event = make_event_from_dict(json.loads(text), version)
        assert event_signing.check_event_content_hash(event) and event.event_id
        sign.verify_signed_json(prune_event(event).get_pdu_json(), 'example.org', keys.get_verify_key(key))
    return len(signed) / (time.process_time() - start)


async def main():
    room = json.load(sys.stdin)
    version = KNOWN_ROOM_VERSIONS[room['version']]
    out, events = await resolve(room, version)
    out['auth_per_second'] = auth(events)
    out['verify_per_second'] = verify(KNOWN_ROOM_VERSIONS['11'])
    print(json.dumps(out))


if __name__ == '__main__':
    asyncio.run(main())
