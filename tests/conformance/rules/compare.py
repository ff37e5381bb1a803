#!/usr/bin/env python3
"""Holds our auth rules and state resolution against Synapse's, on random histories of all room versions.

    compare.py DUMP_HISTORIES [ROUNDS [SEED]]      with a Python that has matrix-synapse; 240 rounds, seed 1

For each event Synapse resolves the states of its parents, which must give the state that we had before it, and checks
the event against that state, which must give our verdict; and it resolves states that no event brought together. Prints the
differences, and how many resolutions and verdicts of each room version there were."""
import asyncio
import json
import logging
import subprocess
import sys
import types

from synapse import event_auth
from synapse.api.errors import AuthError, SynapseError
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS, StateResolutionVersions
from synapse.state import v1, v2

CREATE = '$create'


class Event:
    """As much of Synapse's EventBase as the rules and the resolution look at."""

    def __init__(self, row, version, create=CREATE):
        self.event_id, self.room_id, self.type, self.sender = row['id'], row['room_id'], row['type'], row['sender']
        self.content, self.origin_server_ts, self.depth = row['content'], row['ts'], row['depth']
        self.room_version, self.format_version = version, version.event_format
        self.rejected_reason = 'rejected' if row['rejected'] else None
        self.signatures, self.unsigned, self.redacts = {'x': {}}, {}, row.get('redacts')
        self.user_id, self.internal_metadata = self.sender, types.SimpleNamespace()
        self.key, self.prev, self.auth = row.get('state_key'), row['prev'], list(row['auth'])
        if version.msc4291_room_ids_as_hashes and self.type != 'm.room.create':
            self.auth.append(create)  # implied by the room id

    @property
    def state_key(self):
        if self.key is None:
            raise AttributeError('state_key')
        return self.key

    @property
    def membership(self):
        return self.content['membership']

    def is_state(self):
        return self.key is not None

    def get_state_key(self):
        return self.key

    def auth_event_ids(self):
        return self.auth

    def prev_event_ids(self):
        return self.prev


class Clock:
    async def sleep(self, duration):
        pass


class Store:
    """All events are given as not yet persisted, so the store has nothing to add."""

    def __init__(self, events):
        self.events = events

    async def get_events(self, event_ids, allow_rejected=False):
        return {i: self.events[i] for i in event_ids if i in self.events}

    async def get_auth_chain_difference(self, *args, **kwargs):
        return v2.StateDifference(**{name: set() for name in v2.StateDifference.__annotations__})


async def resolve(version, room_id, states, events):
    if len(states) == 1:
        return states[0]
    if version.state_res == StateResolutionVersions.V1:
        async def fetch(event_ids):
            return {i: events[i] for i in event_ids}
        return dict(await v1.resolve_events_with_store(room_id, version, states, None, fetch))
    return dict(await v2.resolve_events_with_store(Clock(), room_id, version, states, dict(events), Store(events)))


def allowed(version, event, state, events):
    needed = event_auth.auth_types_for_event(version, event)
    try:
        event_auth.check_state_dependent_auth_rules(event, [events[state[k]] for k in needed if k in state])
        return 'allowed'
    except (AuthError, SynapseError) as e:
        return str(e)


async def compare(history):
    version = KNOWN_ROOM_VERSIONS[history['version']]
    events, after = {}, {}
    for row in history['events']:
        event = events[row['id']] = Event(row, version)
        before = {(t, k): i for t, k, i in row['before']}
        after[row['id']] = {(t, k): i for t, k, i in row['after']}
        where = 'version %s, %s' % (history['version'], row['id'])
        if len(row['prev']) > 1:
            theirs = await resolve(version, event.room_id, [dict(after[p]) for p in row['prev']], events)
            for key in sorted(set(theirs) | set(before)):
                if theirs.get(key) != before.get(key):
                    yield 'resolve', '%s %s: %s, Synapse %s' % (where, key, before.get(key), theirs.get(key))
            yield 'resolve', None
        if event.type != 'm.room.create':
            theirs = allowed(version, event, before, events)
            if (theirs == 'allowed') == row['rejected']:
                yield 'auth', '%s %s by %s: %s, Synapse %s' % (
                    where, row['type'], row['sender'], 'rejected' if row['rejected'] else 'allowed', theirs)
            yield 'auth', None


    for extra in history['extra']:
        theirs = await resolve(version, event.room_id, [dict(after[p]) for p in extra['of']], events)
        ours = {(t, k): i for t, k, i in extra['resolved']}
        if theirs != ours:
            yield 'resolve', 'version %s, states after %s: %s' % (
                history['version'], extra['of'], set(theirs.items()) ^ set(ours.items()))
        yield 'resolve', None


async def main():
    logging.disable(logging.CRITICAL)
    dump = subprocess.Popen(sys.argv[1:] if len(sys.argv) > 2 else [sys.argv[1], '240'], stdout=subprocess.PIPE, text=True)
    print('%s rounds, seed %s' % (sys.argv[2] if len(sys.argv) > 2 else '240', sys.argv[3] if len(sys.argv) > 3 else '1'), flush=True)
    done, different, versions = {'resolve': 0, 'auth': 0}, 0, {}
    for line in dump.stdout:
        history = json.loads(line)
        of = versions.setdefault(history['version'], {'resolve': 0, 'auth': 0, 'allowed': 0})
        of['allowed'] += sum(not row['rejected'] for row in history['events'])
        async for kind, difference in compare(history):
            if difference is None:
                done[kind] += 1
                of[kind] += 1
                continue
            different += 1
            if different <= 20:
                print(difference)
    for version, of in sorted(versions.items(), key=lambda x: int(x[0])):
        print('version %s: %d resolutions, %d verdicts (%d allowed)' % (version, of['resolve'], of['auth'], of['allowed']))
    print('%d resolutions, %d events judged: %d differences' % (done['resolve'], done['auth'], different))
    return 1 if different or dump.wait() or not done['resolve'] else 0


if __name__ == '__main__':
    sys.exit(asyncio.run(main()))
