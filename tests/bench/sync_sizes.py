#!/usr/bin/env python3
"""How /sync, /members, joining and sending grow with the members of a room and the rooms of an account.

    HS_BUILD_DIR=build/release tests/bench/sync_sizes.py [--members 10000] [--rooms 2000]

Medians over HTTP, four people joining at once, everything else one after the other. Figures of one run are to be compared with each other."""

import argparse
import concurrent.futures
import pathlib
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from mx import Client, quote  # noqa: E402
from server import OneProcess  # noqa: E402

LAZY = '{"room":{"state":{"lazy_load_members":true}}}'
mine = threading.local()


def timed(times, call):
    took = []
    for k in range(times):
        start = time.perf_counter()
        call(k)
        took.append(time.perf_counter() - start)
    return f"{statistics.median(took) * 1000:.2f}"


def several(call, numbers):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(call, numbers))


def steps(most):
    return [most // 8, most // 4, most // 2, most]


def sync_times(user, room):
    since = user.sync()["next_batch"]
    user.text(room, "news")
    return timed(3, lambda k: user.sync()), timed(3, lambda k: user.sync(filter=LAZY)), timed(15, lambda k: user.sync(since))


def members(server, most):
    owner = Client(server.base).register("owner")
    room, made = owner.create_room(preset="public_chat"), 0

    def join(i):
        user = Client(server.base).register(f"member{i}")
        start = time.perf_counter()
        user.join(room)
        return time.perf_counter() - start

    print("members: first /sync, lazy, next, send, join, /members (ms)")
    for n in steps(most):
        joins = several(join, range(made, n))
        made = n
        send = timed(15, lambda k: owner.text(room, str(k)))
        read = timed(3, lambda k: owner.get(f"/rooms/{quote(room)}/members"))
        print(n, *sync_times(owner, room), send, f"{statistics.median(joins[-200:]) * 1000:.2f}", read, flush=True)


def rooms(server, most):
    token, made = Client(server.base).register("collector").token, 0
    user = Client(server.base, token)

    def make(_):
        if not hasattr(mine, "user"):
            mine.user = Client(server.base, token)
        return mine.user.create_room()

    print("rooms: first /sync, lazy, next (ms)")
    for n in steps(most):
        some = several(make, range(made, n))
        made = n
        print(n, *sync_times(user, some[0]), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--members", type=int, default=10000)
    p.add_argument("--rooms", type=int, default=2000)
    args = p.parse_args()
    server = OneProcess()
    server.start()
    try:
        members(server, args.members)
        rooms(server, args.rooms)
    finally:
        server.close()


main()
