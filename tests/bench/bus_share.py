#!/usr/bin/env python3
"""What a message costs in CPU where there are two workers: the one that takes it, the one that only hears of it, Redis.

    HS_BUILD_DIR=build/bench tests/bench/bus_share.py [seconds]

Sixteen connections send messages of 500 bytes into eight rooms, all to the first worker. What the bus itself costs is
bench_bus; the share is one by the other."""

import asyncio
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

import aiohttp  # noqa: E402

from mx import Client, quote  # noqa: E402
from pg import Cluster  # noqa: E402
from redis_server import Redis  # noqa: E402
from server import free_port  # noqa: E402
from workers import Site  # noqa: E402

CONNECTIONS, ROOMS = 16, 8
UNLIMITED = {"per_second": 1e6, "burst_count": 1000000}


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def send_messages(base, users, rooms, seconds):
    body = {"msgtype": "m.text", "body": "x" * 500}
    until = time.monotonic() + seconds
    sent = 0

    async def connection(http, i):
        nonlocal sent
        user, room = users[i % ROOMS], rooms[i % ROOMS]
        n = 0
        while time.monotonic() < until:
            n += 1
            url = f"{base}/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/t{i}.{n}"
            async with http.put(url, json=body, headers={"Authorization": f"Bearer {user.token}"}) as r:
                r.raise_for_status()
            sent += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as http:
        await asyncio.gather(*[connection(http, i) for i in range(CONNECTIONS)])
    return sent


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    postgres, redis = Cluster(), Redis()
    site = Site(postgres, redis, config={"rc_message": UNLIMITED, "rc_registration": UNLIMITED, "rc_room_creation": UNLIMITED})
    try:
        ports = [free_port(), free_port()]
        workers = [site.role("client", f"client{i}", port) for i, port in enumerate(ports)]
        base = f"http://127.0.0.1:{ports[0]}"
        users = [Client(base).register(f"u{i}") for i in range(ROOMS)]
        rooms = [u.create_room() for u in users]
        pids = [w.process.pid for w in workers] + [redis.process.pid]
        before = [cpu(p) for p in pids]
        sent = asyncio.run(send_messages(base, users, rooms, seconds))
        used = [(cpu(p) - b) / sent * 1e6 for p, b in zip(pids, before)]
        print(f"{sent / seconds:.0f} messages/s; µs of CPU for each: sender {used[0]:.1f}, other worker {used[1]:.1f}, Redis {used[2]:.1f}")
    finally:
        site.close()
        redis.close()
        postgres.close()


if __name__ == "__main__":
    main()
