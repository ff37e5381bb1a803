#!/usr/bin/env python3
"""How /sync, /members, joining, sending and unread counts grow with the members of a room and the rooms of an account, beside Synapse.

    tests/bench/sync_sizes.py [--members 10000] [--rooms 2000] [--only members,rooms] [--no-synapse]

Prints the CPU of the server and of PostgreSQL for an operation at an eighth, a quarter, half and the whole of the size, the ratio to Synapse's,
and how the cost grew from the eighth to the whole: 8 is linear. Synapse needs some 25 minutes for the sizes above."""

import argparse
import asyncio
import sys

from run import Load, Ours, Synapse, in_parallel, quote, synapse_python
from postgres import Postgres

LAZY = '{"room":{"state":{"lazy_load_members":true}}}'
PASSWORD = "a good password 1"  # that of Load.register
ROUNDS = 20


def steps(most):
    return [most // 8, most // 4, most // 2, most]


async def fresh_tokens(load, user, n):
    """Devices that have never been seen: no answer to an earlier sync may help."""
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": PASSWORD}
    return [(await load.call("POST", "/login", body=body))["access_token"] for _ in range(n)]


async def first_syncs(load, result, size, user):
    for name, query in (("first /sync", {}), ("first /sync, lazy", {"filter": LAZY})):
        tokens = await fresh_tokens(load, user, 4)
        async with load.metered(result, (name, size), lambda: len(tokens)):
            for token in tokens:
                await load.raw_get("/sync", token, timeout=0, **query)


async def next_syncs(load, result, size, token, sender, room):
    """A sync for each of the messages, from before it on; the tokens differ, so each answer is computed."""
    tokens = []
    for i in range(ROUNDS):
        since = {"since": tokens[-1]} if tokens else {}
        tokens.append((await load.call("GET", "/sync", token, timeout=0, filter=LAZY, **since))["next_batch"])
        await load.send(sender, room, f"n{size}-{i}")
    async with load.metered(result, ("next /sync, unread", size), lambda: len(tokens)):
        for since in tokens:
            answer = await load.call("GET", "/sync", token, timeout=0, filter=LAZY, since=since)
    return answer["rooms"]["join"][room]["unread_notifications"]["notification_count"]


def tell(load, result, size, what):
    """What there is so far: a run is long."""
    figures = ", ".join(f"{name} {r['server_us'] / 1000:.2f} + {r['postgres_us'] / 1000:.2f}" for (name, n), r in result.items() if n == size)
    print(f"{load.target.label}, {size} {what}: {figures}", file=sys.stderr, flush=True)


async def bench_members(load, result, most):
    owner, reader = await load.register(2)
    room = await load.room_of([owner, reader])
    made = 2

    async def grow(n):
        people = await load.register(n)
        await in_parallel(4, [lambda t=t: load.call("POST", f"/join/{quote(room)}", t, {}) for _, t in people])

    for size in steps(most):
        await grow(size - made - 100)
        late = await load.register(100)
        async with load.metered(result, ("join", size), lambda: len(late)):
            for _, token in late:
                await load.call("POST", f"/join/{quote(room)}", token, {})
        made = size
        last = (await load.send(owner[1], room, f"r{size}"))["event_id"]
        await load.call("POST", f"/rooms/{quote(room)}/receipt/m.read/{quote(last)}", reader[1], {})
        async with load.metered(result, ("send", size), lambda: ROUNDS):
            for i in range(ROUNDS):
                await load.send(owner[1], room, f"s{size}-{i}")
        unread = await next_syncs(load, result, size, reader[1], owner[1], room)
        if unread != 2 * ROUNDS:
            raise RuntimeError(f"{load.target.label}: {unread} unread of {2 * ROUNDS} at {size}")
        await first_syncs(load, result, size, owner[0])
        async with load.metered(result, ("/members", size), lambda: 5):
            for _ in range(5):
                await load.raw_get(f"/rooms/{quote(room)}/members", owner[1])
        tell(load, result, size, "members")


async def bench_rooms(load, result, most):
    owner, other = await load.register(2)
    rooms = []

    async def make():
        rooms.append(await load.room_of([owner, other]))

    for size in steps(most):
        await in_parallel(4, [make] * (size - len(rooms)))
        await next_syncs(load, result, size, owner[1], other[1], rooms[0])
        await first_syncs(load, result, size, owner[0])
        tell(load, result, size, "rooms")


BENCHES = {"members": bench_members, "rooms": bench_rooms}


async def measure(target, sizes):
    results = {name: {} for name in sizes}
    target.start()
    load = Load(target)
    try:
        for name, most in sizes.items():
            await BENCHES[name](load, results[name], most)
    finally:
        await load.http.close()
        target.stop()
    return results


def show(what, most, ours, theirs=None):
    print(f"\n{what:22}" + "".join(f"{n:>26,}" for n in steps(most)) + f"{'growth':>16}")
    for name in dict.fromkeys(name for name, _ in ours):
        for part, label in (("server_us", name), ("postgres_us", "  PostgreSQL")):
            mine = [ours[name, n][part] / 1000 for n in steps(most)]
            other = [theirs[name, n][part] / 1000 for n in steps(most)] if theirs else []
            cells = [f"{m:.2f}" + (f" | {o:.1f} | {o / m:.0f}×" if m else f" | {o:.1f}") for m, o in zip(mine, other)] if other else [f"{m:.2f}" for m in mine]
            growth = [f"{series[-1] / series[0]:.1f}" for series in (mine, other) if series and series[0]]
            print(f"{label:22}" + "".join(f"{c:>26}" for c in cells) + f"{' | '.join(growth):>16}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--members", type=int, default=10000)
    p.add_argument("--rooms", type=int, default=2000)
    p.add_argument("--only", default=",".join(BENCHES))
    p.add_argument("--no-synapse", action="store_true")
    args = p.parse_args()
    pg = Postgres(shared_buffers="512MB", max_connections=100)
    targets = [Ours("hs", pg)] + ([] if args.no_synapse else [Synapse("synapse", pg, synapse_python())])
    sizes = {name: vars(args)[name] for name in args.only.split(",")}
    try:
        results = [asyncio.run(measure(t, sizes)) for t in targets]
    finally:
        for t in targets:
            t.close()
        pg.close()
    print("ms of CPU: ours | Synapse's | ratio")
    for name, most in sizes.items():
        show(name, most, *(r[name] for r in results))


main()
