#!/usr/bin/env python3
"""Consistency under faults: several client workers, fifty people in twenty rooms, and processes that are killed, stopped and cut off at random.

    tests/fault/consistency.py [--seconds 300] [--workers 4] [--seed N] [--no-fault redis]...

People send, join, leave, invite, ban, read, write to devices and set receipts, each request at the next worker in turn, nobody stays at one. Meanwhile, at
random: kill -9 of a worker, SIGSTOP for 10 s, Redis killed and emptied, PostgreSQL restarted with -m immediate, connections reset by a proxy. All is checked
from outside (people.py: at once; judge.py: from the whole histories): nothing acknowledged is lost or there twice; each /sync stream shows each event once, in
one order for all; nobody who is banned gets a message in; what was acknowledged is readable at any other worker; to-device messages arrive once, in order.
"""

import argparse
import asyncio
import collections
import contextlib
import pathlib
import random
import resource
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE)]
import judge  # noqa: E402
from cluster import Cluster  # noqa: E402
from net import TROUBLE, Net, quote  # noqa: E402
from people import Room, User, World  # noqa: E402
from proxy import Proxy  # noqa: E402
from stream import Stream  # noqa: E402

FAULTS = ["kill", "pause", "postgres", "redis-kill", "redis-flush", "reset", "drip"]
PAUSE = 10.0  # seconds of a SIGSTOP
VERSIONS = ["11", "10", "12", "6"]


# ── setting up ──


async def several(n, jobs):
    """Runs coroutine functions, n at a time; their results in order."""
    gate = asyncio.Semaphore(n)

    async def one(job):
        async with gate:
            return await job()

    return await asyncio.gather(*(one(j) for j in jobs))


async def people_and_rooms(world, n_users, n_rooms, per_room):
    net, rnd = world.net, world.rnd

    async def register(i):
        body = {"username": f"u{i}", "password": "a good password 1", "auth": {"type": "m.login.dummy"}}
        return (await net.sure("POST", "/register", body=body)).body

    answers = await several(4, [lambda i=i: register(i) for i in range(n_users)])
    world.users = [User(world, i, a) for i, a in enumerate(answers)]

    async def make(i):
        owner, public = world.users[i % n_users], i % 4 != 3
        mods = rnd.sample([u for u in world.users if u is not owner], 2)
        version = VERSIONS[i % len(VERSIONS)]
        users = {u.id: 50 for u in mods} | ({} if version == "12" else {owner.id: 100})
        levels = {"users": users, "events": {"hs.own": 0, "hs.gate": 0, "m.room.topic": 50, "m.room.power_levels": 100}, "invite": 50}
        made = await owner.sure(
            "POST", "/createRoom",
            {"preset": "public_chat" if public else "private_chat", "room_version": version, "power_level_content_override": levels},
        )  # fmt: skip
        room = Room(made.body["room_id"], owner, mods, public)
        world.rooms[room.id] = room
        world.pair(room, owner).move("join")
        others = mods + rnd.sample([u for u in world.users if u is not owner and u not in mods], per_room - 3)
        for u in others:
            if not public:
                await owner.sure("POST", f"/rooms/{room.quoted}/invite", {"user_id": u.id})
            await u.sure("POST", f"/rooms/{room.quoted}/join", {})
            world.pair(room, u).move("join")

    await several(4, [lambda i=i: make(i) for i in range(n_rooms)])
    for u in world.users:
        owns = any(r.owner is u for r in world.rooms.values())
        u.stream = Stream(world, u, limit=1000 if owns else 50)
        u.stream.whole = {} if owns else None
    await several(8, [u.stream.begin for u in world.users])
    probe = await world.users[0].sure("PUT", "/sendToDevice/hs.note/probe", {"messages": {}})
    world.to_device = probe.ok
    if not world.to_device:
        print("to-device messages are not served: not tested", flush=True)


# ── faults ──


class Faults:
    def __init__(self, world, cluster, proxies, without):
        self.world, self.cluster, self.proxies, self.rnd = world, cluster, proxies, world.rnd
        self.counts = collections.Counter()
        names = [f for f in FAULTS if f not in without and (cluster.redis or not f.startswith("redis"))]
        self.bag = names + [f for f in ("kill", "postgres") if f in names]  # these twice as often
        self.tasks = []
        self.one_postgres, self.one_redis = asyncio.Lock(), asyncio.Lock()

    async def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self.rnd.uniform(0.3, 3.0))
            if not self.bag:
                continue
            name = self.rnd.choice(self.bag)
            task = asyncio.create_task(self.one(name))
            self.tasks.append(task)
            if self.rnd.random() < 0.7:  # else the next one comes on top of it
                await task
            if self.rnd.random() < 0.08:
                await asyncio.gather(*self.tasks)
                await asyncio.sleep(15.0)  # peace for once: whoever is not served now has been forgotten
        await asyncio.gather(*self.tasks)

    async def one(self, name):
        self.world.fault_active += 1
        self.counts[name] += 1
        try:
            await getattr(self, name.replace("-", "_"))()
        finally:
            self.world.fault_active -= 1
            self.world.fault_end = time.monotonic()

    def victim(self):
        up = [w for w in self.cluster.workers if w.wanted and not w.paused]
        return self.rnd.choice(up) if up else None

    async def kill(self):
        worker = self.victim()
        if worker:
            await asyncio.to_thread(worker.kill)
            await asyncio.sleep(self.rnd.choice([0, 0.2, 2.0]))
            await asyncio.to_thread(worker.start)
            await asyncio.to_thread(worker.await_ready)

    async def pause(self):
        worker = self.victim()
        if worker:
            worker.pause()
            await asyncio.sleep(PAUSE)
            if worker.paused:
                worker.resume()

    async def postgres(self):
        async with self.one_postgres:
            await asyncio.to_thread(self.cluster.pg.stop, "immediate")
            await asyncio.sleep(self.rnd.choice([0, 0, 3.0]))
            await asyncio.to_thread(self.cluster.pg.start)

    async def redis_kill(self):
        async with self.one_redis:
            await asyncio.to_thread(self.cluster.redis.kill)
            await asyncio.sleep(self.rnd.choice([0, 1.0, 6.0]))
            await asyncio.to_thread(self.cluster.redis.start)

    async def redis_flush(self):
        await asyncio.to_thread(self.cluster.redis.flush)

    async def reset(self):
        for p in self.proxies:
            p.reset_some(self.rnd.choice([0.3, 1.0]))

    async def drip(self):
        for p in self.proxies:
            p.chance = 0.03
        await asyncio.sleep(self.rnd.uniform(2.0, 6.0))
        for p in self.proxies:
            p.chance = 0.0


async def look_after(world, cluster):
    while not world.stop:
        await asyncio.to_thread(cluster.look_after)
        await asyncio.sleep(0.5)


# ── the end ──


async def until(what, seconds):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        await asyncio.sleep(0.2)
    return what()


async def settle(world):
    """A last message in each room; whoever is in it must be shown it. Gives room → event id."""
    last = {}
    for room in world.rooms.values():
        answer = await room.owner.put_event(room, "m.room.message", {"msgtype": "m.text", "body": f"the end of {room.id}"})
        last[room.id] = answer.body.get("event_id")

    def all_shown():
        return all(
            not s.joined or (s.stretches and s.stretches[-1].ids and s.stretches[-1].ids[-1] == last[room])
            for u in world.users for room, s in u.stream.rooms.items()
        )  # fmt: skip

    def all_delivered():
        got = {(u.id, sender, n) for u in world.users for sender, n in u.stream.to_device}
        return all((to, sender, n) in got for sender, to, n in world.to_device_sent)

    await until(all_shown, 60)
    await until(all_delivered, 20)
    for u in world.users:
        u.stream.done = True
    return last


async def walk_back(room):
    events, token = [], None
    while True:
        query = {"dir": "b", "limit": "500"} | ({"from": token} if token else {})
        page = (await room.owner.sure("GET", f"/rooms/{room.quoted}/messages", query=query)).body
        events += page["chunk"]
        token = page.get("end")
        if not token:
            return events[::-1]


async def depths(room):
    """Event id → depth, as the room's owner can see them in the form of the federation; of the newest thousand."""
    filter = '{"event_format":"federation","room":{"rooms":["%s"],"timeline":{"limit":1000}}}' % room.id
    body = (await room.owner.sure("GET", "/sync", query={"filter": filter})).body
    return {e["event_id"]: e["depth"] for e in body["rooms"]["join"][room.id]["timeline"]["events"] if "event_id" in e}


async def final_reads(world, room, order, state):
    """What each worker says about a room in the end."""
    wrong, said = [], {}
    for w in range(len(world.net.bases)):
        got = await room.owner.sure("GET", f"/rooms/{room.quoted}/state", only=w)
        said[w] = {(e["type"], e["state_key"]): e["event_id"] for e in got.body}
        if said[w] != state:
            key = next(k for k in said[w].keys() | state.keys() if said[w].get(k) != state.get(k))
            wrong.append(("state differs", f"{room.id} at worker {w}: {key} is {said[w].get(key)}, by the history {state.get(key)}"))
        members = set((await room.owner.sure("GET", f"/rooms/{room.quoted}/joined_members", only=w)).body["joined"])
        known = {u.id for u in world.users if world.pair(room, u).status == "join"}
        unknown = {u.id for u in world.users if world.pair(room, u).status is None}
        if members - unknown != known - unknown:
            wrong.append(("members differ", f"{room.id} at worker {w}: {sorted(members ^ known - unknown)[:5]}"))
    return wrong


async def judge_room(world, room, last):
    events = room.owner.stream.whole[room.id]
    order = [e["event_id"] for e in events]
    place = {e: i for i, e in enumerate(order)}
    joined, state = judge.joined_at(events), judge.last_state(events)
    wrong = list(judge.not_once(room.id, events))
    wrong += judge.not_allowed(room.id, events)
    wrong += await final_reads(world, room, order, state)
    walked = [e["event_id"] for e in await walk_back(room)]
    depth = await depths(room)
    whole = all(e in depth for e in order)
    wrong += judge.walk(room.id, order, depth if whole else None, walked) if whole or walked == order else []
    rank = {e: i for i, e in enumerate(walked)}
    for id, ids, worker in world.pages:
        if id == room.id:
            wrong += judge.page(room.id, ids, rank, worker)
    for id, event, ids, text in world.missed:
        if id == room.id:
            wrong += judge.not_in_page(room.id, event, ids, rank, text)
    topics = {e["content"].get("topic"): i for i, e in enumerate(events) if e["type"] == "m.room.topic"}
    for id, mine, read, who in world.topics:
        if id == room.id and topics.get(read, -1) < place.get(mine, 0):
            wrong.append(("stale state", f"topic of {room.id}: {read!r} (#{topics.get(read)}) was read after {mine} (#{place.get(mine)}), {who}"))
    for u in world.users:
        wrong += judge.out_of_order(place, world.order[(room.id, u.id)], f"{u.id} in {room.id}")
        shown = u.stream.rooms.get(room.id)
        if shown:
            wrong += judge.stretches(room.id, u.id, shown, order, place, joined)
            wrong += judge.unfinished(room.id, u.id, shown, last[room.id])
            if shown.joined:
                wrong += judge.state_as_shown(room.id, u.id, shown, state)
        status = world.pair(room, u).status
        if status and bool(shown and shown.joined) != (status == "join"):
            wrong.append(("membership as shown differs", f"{u.id} in {room.id} is {status}, the stream says {'joined' if shown and shown.joined else 'not joined'}"))
    return wrong, events, place, sum(a != b for a, b in zip(walked, order))


async def judge_unread(world, events, places):
    """A client that comes anew is told the counts that the history gives."""
    wrong, compared = [], 0

    async def counts(u, **kw):
        answer = await u.sure("GET", "/sync", query={"filter": '{"room":{"timeline":{"limit":1}}}'}, **kw)
        rooms = answer.body.get("rooms", {}).get("join", {})
        return answer.worker, {r: part.get("unread_notifications", {}).get("notification_count", 0) for r, part in rooms.items() if r in world.rooms}

    async def one(u):
        nonlocal compared
        worker, said = await counts(u)
        for room, n in said.items():
            compared += 1
            receipt = world.pair(world.rooms[room], u).receipt
            must = judge.unread(events[room], places[room], u.id, receipt)
            if n != must:
                all_say = [(await counts(u, only=w))[1].get(room) for w in range(len(world.net.bases))]
                text = f"{u.id} in {room} at worker {worker}: {n}, by the history {must} (read up to #{places[room].get(receipt)} of {len(places[room])}), all workers: {all_say}"
                wrong.append(("unread count", text))

    await several(4, [lambda u=u: one(u) for u in world.users])
    return wrong, compared


async def judge_all(world, last):
    places, events, forked = {}, {}, 0
    for room in world.rooms.values():
        wrong, events[room.id], places[room.id], n = await judge_room(world, room, last)
        forked += n
        for kind, text in wrong:
            world.complain(kind, text)
    for kind, text in judge.lost(places, world.acked):
        world.complain(kind, text)
    got = {u.id: u.stream.to_device for u in world.users}
    for kind, text in judge.to_device(world.to_device_sent, got, [u.id for u in world.users]):
        world.complain(kind, text)
    wrong, compared = await judge_unread(world, events, places)
    for kind, text in wrong:
        world.complain(kind, text)
    return sum(map(len, events.values())), forked, compared


# ── all of it ──


def share(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0


def report(world, faults, cluster, proxies, totals):
    events, forked, unread = totals
    done, cpu = world.done, resource.getrusage(resource.RUSAGE_SELF)
    streams = [u.stream for u in world.users]
    stretches = [t for s in streams for shown in s.rooms.values() for t in shown.stretches]
    print(f"faults: {dict(faults.counts)}, connections reset {sum(p.resets for p in proxies)}")
    print(f"requests {world.net.requests}, without an answer {dict(world.net.trouble.most_common())}")
    print(f"done: {dict(done.most_common())}")
    print(f"acknowledged {len(world.acked)}, in the histories {events}, places where /messages (by depth) and /sync differ: {forked}")
    print(
        f"streams {len(streams)}: answers {sum(s.answers for s in streams)}, events {sum(len(t.ids) for t in stretches)}, "
        f"stretches {len(stretches)}, of them after a gap {sum(t.why == 'gap' for t in stretches)}"
    )
    print(f"to-device sent {len(world.to_device_sent)}, received {sum(len(s.to_device) for s in streams)}; unread counts compared {unread}")
    ms = [1000 * share(world.latencies, p) for p in (0.5, 0.99, 1.0)]
    print(f"acknowledged to shown, faults included: p50 {ms[0]:.0f} ms, p99 {ms[1]:.0f} ms, longest {ms[2]:.0f} ms, of {len(world.latencies)}; late {world.late}")
    ends = {w.name: w.ends for w in cluster.workers if w.ends}
    false = sum(w.false_starts for w in cluster.workers)
    print(f"workers that ended by themselves: {ends or 'none'}, starts without a database {false}; CPU of this program {cpu.ru_utime + cpu.ru_stime:.0f} s")
    kinds = collections.Counter(k for k, _ in world.wrong)
    print(f"wrong: {dict(kinds) if kinds else 'nothing'}", flush=True)
    return bool(kinds or ends or not world.acked)


async def whole(opts, cluster, rnd):
    proxies = [await Proxy(w.port, rnd).start() for w in cluster.workers]
    net = Net([p.port for p in proxies], rnd)
    world = World(net, rnd)
    faults = Faults(world, cluster, proxies, opts.no_fault)
    try:
        await people_and_rooms(world, opts.users, opts.rooms, opts.per_room)
        print(f"{len(world.users)} people in {len(world.rooms)} rooms at {len(cluster.workers)} workers", flush=True)
        caring = asyncio.create_task(look_after(world, cluster))
        streams = [asyncio.create_task(u.stream.run()) for u in world.users]
        lives = [asyncio.create_task(u.live(opts.rate)) for u in world.users]
        breaking = asyncio.create_task(faults.run(opts.seconds))
        await breaking
        world.stop = True
        await asyncio.wait(lives, timeout=200)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(caring, 30)
        last = await settle(world)
        await asyncio.wait(streams, timeout=60)
        for task in [*streams, *lives]:
            if not task.done():
                world.complain("stuck", repr(task))
            elif task.exception():
                world.complain("unexpected", repr(task.exception()))
        totals = await judge_all(world, last)
        return report(world, faults, cluster, proxies, totals)
    finally:
        await net.close()
        for p in proxies:
            p.close()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=float, default=300, help="of faults; then everything is mended and judged")
    args.add_argument("--seed", type=int, default=int(time.time()))
    args.add_argument("--workers", type=int, default=4, help="1: hs run, without Redis")
    args.add_argument("--users", type=int, default=50)
    args.add_argument("--rooms", type=int, default=20)
    args.add_argument("--per-room", type=int, default=10, help="people in a room at the start")
    args.add_argument("--rate", type=float, default=0.8, help="things that each of them does in a second")
    args.add_argument("--no-fault", action="append", default=[], choices=FAULTS)
    args.add_argument("--keep", action="store_true", help="leaves the directory with the logs")
    opts = args.parse_args()
    print(f"seed {opts.seed}", flush=True)
    rnd = random.Random(opts.seed)
    cluster = Cluster(opts.workers, {"filter_timeline_limit": 1000})
    bad = True
    try:
        bad = asyncio.run(whole(opts, cluster, rnd))
    finally:
        keep = opts.keep or bad
        cluster.close(keep)
        if keep:
            print(f"logs: {cluster.dir}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
