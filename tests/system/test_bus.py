"""Workers that tell each other through a Redis, seen by clients that ask another worker each time."""

import itertools
import random
import socket
import time

import pytest

from mx import Client, quote
from prom import Scrape
from redis_server import Redis
from server import free_port, wait_for
from workers import Site


@pytest.fixture
def redis():
    r = Redis()
    yield r
    r.close()


@pytest.fixture
def site(postgres, redis):
    s = Site(postgres, redis)
    yield s
    s.close()


class Wanderer(Client):
    """Asks the workers in turn, over connections that stay."""

    def __init__(self, bases):
        super().__init__(bases[0])
        self.bases = itertools.cycle(bases)

    def raw(self, *args, **kw):
        self.base = next(self.bases)
        return super().raw(*args, **kw)

    def typists(self, room, timeout=0):
        """What one sync tells of typing: user ids, or None when it tells nothing."""
        answer = self.get("/sync", {"since": self.since, "timeout": timeout})
        self.since = answer["next_batch"]
        told = [e["content"]["user_ids"] for e in answer.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
                if e["type"] == "m.typing"]
        assert len(told) <= 1
        return told[0] if told else None

    def until_typists(self, room, users):
        end = time.monotonic() + 20
        while self.typists(room, 1000) != users:
            assert time.monotonic() < end


@pytest.fixture
def world(site):
    ports = [free_port(), free_port()]
    for i, port in enumerate(ports):
        site.role("client", f"client{i}", port)
    bases = [f"http://127.0.0.1:{port}" for port in ports]
    alice, bob = Wanderer(bases).register("alice"), Wanderer(bases).register("bob")
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    wait_for(lambda: all(metric(base, "hs_bus_healthy") == 1 and metric(base, "hs_peers_alive") == 1 for base in bases))
    bob.since = bob.get("/sync")["next_batch"]
    return bases, alice, bob, room


def metric(base, name):
    return Scrape(base).value(name)


def test_typing_at_one_worker_is_told_by_the_other_and_told_once(world):
    _, alice, bob, room = world
    for _ in range(3):
        alice.typing(room)
        bob.until_typists(room, [alice.user_id])
        for _ in range(2):  # the other one and again the first: nothing new, so they wait
            began = time.monotonic()
            assert bob.typists(room, 700) is None
            assert time.monotonic() - began > 0.6
        alice.typing(room, False)
        bob.until_typists(room, [])
        assert bob.typists(room) is None and bob.typists(room) is None


def test_without_redis_messages_arrive_and_typing_does_when_it_is_back(world, redis):
    bases, alice, bob, room = world
    redis.kill()
    wait_for(lambda: all(metric(base, "hs_bus_healthy") == 0 for base in bases))
    bob.sync_until_event(room, alice.text(room, "told by the database"))
    alice.typing(room)
    redis.start()
    bob.until_typists(room, [alice.user_id])
    wait_for(lambda: all(metric(base, "hs_bus_healthy") == 1 for base in bases))


def test_a_redis_that_is_not_there_at_the_start_is_used_once_it_is(site, redis):
    redis.kill()
    ports = [free_port(), free_port()]
    workers = [site.role("client", f"client{i}", port) for i, port in enumerate(ports)]
    bases = [f"http://127.0.0.1:{port}" for port in ports]
    alice = Wanderer(bases).register("alice")
    room = alice.create_room()
    alice.sync_until(lambda a: room in a.get("rooms", {}).get("join", {}))
    assert all(w.log().count("bus.away") == 1 for w in workers)
    redis.start()
    wait_for(lambda: all(metric(base, "hs_bus_healthy") == 1 and metric(base, "hs_peers_alive") == 1 for base in bases))
    assert all("bus.ready" in w.log() for w in workers)


def test_a_worker_that_ends_says_so_and_one_that_is_killed_is_missed(site):
    ports = [free_port() for _ in range(3)]
    workers = [site.role("client", f"client{i}", port) for i, port in enumerate(ports)]
    base = f"http://127.0.0.1:{ports[0]}"
    wait_for(lambda: metric(base, "hs_peers_alive") == 2)
    workers[1].stop()
    wait_for(lambda: "worker=client1 reason=ended" in workers[0].log())
    assert metric(base, "hs_peers_alive") == 1
    workers[2].kill()
    wait_for(lambda: "worker=client2 reason=silent" in workers[0].log(), 30)
    assert metric(base, "hs_peers_alive") == 0
    assert "peers.twin" not in workers[0].log()


class Eavesdropper:
    """Whoever can read and write the Redis: hears what the workers say and publishes what it likes."""

    def __init__(self, redis):
        self.ear, self.mouth = (self.connect(redis.path) for _ in range(2))
        self.ear[0].sendall(command(b"PSUBSCRIBE", b"*"))
        assert self.reply(self.ear[1])[0] == b"psubscribe"
        self.ear[0].settimeout(1)

    @staticmethod
    def connect(path):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        return s, s.makefile("rb")

    def reply(self, stream):
        kind, rest = (line := stream.readline())[:1], line[1:-2]
        if kind == b"*":
            return [self.reply(stream) for _ in range(int(rest))]
        if kind == b"$":
            return stream.read(int(rest) + 2)[:-2]
        return rest

    def hear(self, n):
        """The next n messages that are not beats: (channel, bytes)."""
        heard = []
        while len(heard) < n:
            _, _, channel, message = self.reply(self.ear[1])
            if b"hs:beat" not in channel:
                heard.append((channel, message))
        return heard

    def publish(self, messages):
        for i in range(0, len(messages), 1000):
            some = messages[i:i + 1000]
            self.mouth[0].sendall(b"".join(command(b"PUBLISH", *m) for m in some))
            for _ in some:
                self.reply(self.mouth[1])


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


# N04
def test_forged_messages_change_nothing(world, redis):
    bases, alice, bob, room = world
    spy = Eavesdropper(redis)
    for i in range(6):
        alice.text(room, f"heard {i}")
    heard = spy.hear(6)
    dice = random.Random(4)
    forged = []
    for k in range(20000):
        channel, message = dice.choice(heard)
        at = dice.randrange(len(message))
        bent = bytearray(message)
        bent[at] ^= 1 << dice.randrange(8)
        forged.append((channel, (bytes(bent), message[:at], message + message[at:], dice.randbytes(100))[k % 4]))
    before = [metric(base, "hs_bus_forged_total") for base in bases]
    spy.publish(forged)
    alice.text(room, "the end")
    wait_for(lambda: [metric(base, "hs_bus_forged_total") - b for base, b in zip(bases, before)] == [len(forged)] * 2)
    spy.publish(heard)  # again: a bus may do that
    end = bob.sync_until(lambda answer: [e["content"]["body"] for e in joined_events(answer, room)])
    while end[-1] != "the end":
        end += bob.sync_until(lambda answer: [e["content"]["body"] for e in joined_events(answer, room)])
    assert end == [f"heard {i}" for i in range(6)] + ["the end"]
    alice.put(f"/rooms/{quote(room)}/typing/{quote(alice.user_id)}", {"typing": True, "timeout": 30000})
    bob.until_typists(room, [alice.user_id])


def joined_events(answer, room):
    events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
    return [e for e in events if e["type"] == "m.room.message"]
