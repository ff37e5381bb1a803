#!/usr/bin/env python3
"""Benchmarks of the server beside Synapse, in one run on one PostgreSQL.

    tests/bench/run.py [--quick] [--only send,sync] [--no-synapse] [--json out.json]

Prints CPU per operation of the server process and of PostgreSQL, and the ratio. CPU, not wall time: the load generator shares the
machine. Synapse is taken from SYNAPSE_PYTHON (a Python with matrix-synapse and psycopg2 installed) or installed into a virtual environment made with
/usr/bin/python3.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

import aiohttp

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
from postgres import Postgres, precise_cpu  # noqa: E402
from server import NO_LIMIT, ROOT, free_port, program, wait_for  # noqa: E402

PAGE = os.sysconf("SC_PAGE_SIZE")


def quote(s):
    return urllib.parse.quote(s, safe="")


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * PAGE


class Target:
    def __init__(self, label, pg):
        self.label = label
        self.pg = pg
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.dir = tempfile.mkdtemp(prefix=f"hs-bench-{label}-")
        os.chmod(self.dir, 0o777)
        self.database = f"bench_{label}"
        pg.create(self.database)
        self.process = None

    def config(self):
        return {
            "server_name": "bench",
            "listeners": [{
                "port": self.port, "type": "http", "bind_addresses": ["127.0.0.1"], "x_forwarded": True,
                "resources": [{"names": ["client", "health"]}],
            }],
            "database": {
                "name": "psycopg2",
                "args": {"host": self.pg.dir, "user": "hs", "dbname": self.database, "cp_min": 5, "cp_max": 10},
            },
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "registration_shared_secret": "bench",
            "macaroon_secret_key": "bench",
            "form_secret": "bench",
            "report_stats": False,
            "bcrypt_rounds": 4,
            "default_room_version": "11",
            "suppress_key_server_warning": True,
            "trusted_key_servers": [],
            "signing_key_path": f"{self.dir}/signing.key",
            "media_store_path": f"{self.dir}/media",
            "pid_file": f"{self.dir}/pid",
            "rc_message": NO_LIMIT,
            "rc_registration": NO_LIMIT,
            "rc_login": {"address": NO_LIMIT, "account": NO_LIMIT, "failed_attempts": NO_LIMIT},
            "rc_joins": {"local": NO_LIMIT, "remote": NO_LIMIT},
            "rc_joins_per_room": NO_LIMIT,
            "rc_invites": {"per_room": NO_LIMIT, "per_user": NO_LIMIT, "per_issuer": NO_LIMIT},
            "rc_room_creation": NO_LIMIT,
            "presence": {"enabled": False},
        }

    def write_config(self, extra=None):
        path = f"{self.dir}/homeserver.yaml"
        with open(path, "w") as f:
            json.dump({**self.config(), **(extra or {})}, f, indent=1)
        return path

    def start(self):
        begin = time.monotonic()
        self.log = open(f"{self.dir}/log", "ab")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=subprocess.STDOUT, cwd=self.dir, start_new_session=True)

        def up():
            if self.process.poll() is not None:
                raise RuntimeError(open(f"{self.dir}/log").read()[-3000:])
            with contextlib.suppress(OSError), contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as c:
                c.request("GET", "/_matrix/client/versions")
                return c.getresponse().status == 200

        wait_for(up, 90, 0.002)
        self.start_seconds = time.monotonic() - begin
        self.pid = self.find_pid()

    def find_pid(self):
        return self.process.pid

    def cpu(self):
        return precise_cpu(self.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()

    def close(self):
        with contextlib.suppress(Exception):
            self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Ours(Target):
    def command(self):
        self.write_config()  # logs each request, as it does by default; Synapse below logs none
        return [program(), "run", "--data-directory", self.dir]


class Synapse(Target):
    def __init__(self, label, pg, python):
        super().__init__(label, pg)
        self.python = python

    def command(self):
        with open(f"{self.dir}/log.yaml", "w") as f:
            f.write("version: 1\nroot: {level: WARNING}\n")
        path = self.write_config({"log_config": f"{self.dir}/log.yaml"})
        subprocess.run([self.python, "-m", "synapse.app.homeserver", "-c", path, "--generate-keys"], check=True, capture_output=True)
        return [self.python, "-m", "synapse.app.homeserver", "-c", path]


def synapse_python():
    given = os.environ.get("SYNAPSE_PYTHON")
    if given:
        return given
    venv = ROOT / "build" / "synapse-venv"
    python = venv / "bin" / "python"
    if not python.exists():
        print("installing Synapse for the comparison …", file=sys.stderr)
        subprocess.run(["/usr/bin/python3", "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "matrix-synapse", "psycopg2-binary"], check=True)
    return str(python)


# ── load ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Load:
    """Asynchronous users of one server."""

    def __init__(self, target):
        self.target = target
        self.http = aiohttp.ClientSession(
            base_url=target.base, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=300)
        )
        self.users = 0

    async def call(self, method, path, token=None, body=None, **query):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, "/_matrix/client/v3" + path, headers=headers, json=body, params=query) as r:
            text = await r.read()
            if r.status != 200:
                raise RuntimeError(f"{self.target.label}: {method} {path}: {r.status} {text[:300]}")
            return json.loads(text) if text else None

    async def raw_get(self, path, token, **query):
        async with self.http.get("/_matrix/client/v3" + path, headers={"Authorization": f"Bearer {token}"}, params=query) as r:
            if r.status != 200:
                raise RuntimeError(f"{self.target.label}: {path}: {r.status} {(await r.read())[:300]}")
            return len(await r.read())

    async def register(self, n):
        made = []
        for i in range(n):
            self.users += 1
            body = {"username": f"u{self.users}", "password": "a good password 1", "auth": {"type": "m.login.dummy"}}
            answer = await self.call("POST", "/register", body=body)
            made.append((answer["user_id"], answer["access_token"]))
        return made

    async def room_of(self, people, **options):
        options = {"preset": "public_chat", **options}
        room = (await self.call("POST", "/createRoom", people[0][1], options))["room_id"]
        for _, token in people[1:]:
            await self.call("POST", f"/join/{quote(room)}", token, {})
        return room

    async def send(self, token, room, txn):
        body = {"msgtype": "m.text", "body": f"message {txn}, of an ordinary length, as people write them in rooms"}
        return await self.call("PUT", f"/rooms/{quote(room)}/send/m.room.message/{txn}", token, body)

    @contextlib.asynccontextmanager
    async def metered(self, result, name, operations):
        """operations(): how many were done, asked at the end."""
        await asyncio.sleep(0.3)  # lets what the preparation left behind settle; not part of the figure
        t, c, p = time.monotonic(), self.target.cpu(), self.target.pg.cpu()
        yield
        t, c, p = time.monotonic() - t, self.target.cpu() - c, self.target.pg.cpu() - p
        n = operations()
        result[name] = {"server_us": c / n * 1e6, "postgres_us": p / n * 1e6, "per_second": n / t, "n": n}


async def in_parallel(n, jobs):
    """Runs the coroutine functions of `jobs`, n at a time."""
    queue = list(reversed(jobs))

    async def worker():
        while queue:
            await queue.pop()()

    await asyncio.gather(*(worker() for _ in range(n)))


async def bench_send(load, result, scale):
    people = await load.register(20)
    rooms = [await load.room_of(people) for _ in range(10)]
    count = int(1500 * scale)
    jobs = [lambda i=i: load.send(people[i % 20][1], rooms[i % 10], f"s{i}") for i in range(count)]
    await in_parallel(16, jobs[: count // 10])
    async with load.metered(result, "send one message, 10 rooms of 20", lambda: count - count // 10):
        await in_parallel(16, jobs[count // 10 :])


async def bench_sync(load, result, scale, members):
    people = await load.register(members)
    room = await load.room_of(people)
    rounds = max(3, int(2000 * scale / members))
    tokens = [(await load.call("GET", "/sync", t, timeout=0, filter='{"room":{"timeline":{"limit":1}}}'))["next_batch"] for _, t in people]
    delivered = 0

    async def listener(token, since):
        nonlocal delivered
        seen = 0
        while seen < rounds:
            answer = await load.call("GET", "/sync", token, since=since, timeout=30000)
            since = answer["next_batch"]
            events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
            if events:
                seen += len(events)
                delivered += 1

    async with load.metered(result, f"one /sync answer delivered, room of {members}", lambda: delivered):
        waiting = [asyncio.create_task(listener(t, s)) for (_, t), s in zip(people, tokens)]
        for i in range(rounds):
            await asyncio.sleep(0.5 if members > 200 else 0.25)  # lets every listener poll again: a full house each time
            await load.send(people[0][1], room, f"y{members}-{i}")
        await asyncio.gather(*waiting)


async def bench_idle(load, result, scale):
    people = await load.register(150)
    tokens = [(await load.call("GET", "/sync", t, timeout=0))["next_batch"] for _, t in people]
    n = 0

    async def poll(token, since):
        nonlocal n
        for _ in range(4):
            await load.raw_get("/sync", token, since=since, timeout=1000)
            n += 1

    async with load.metered(result, "idle long poll that times out", lambda: n):
        await asyncio.gather(*(poll(t, s) for (_, t), s in zip(people, tokens)))


async def bench_create(load, result, scale):
    (_, token), = await load.register(1)
    count = max(5, int(60 * scale))
    async with load.metered(result, "create a private room", lambda: count):
        for _ in range(count):
            await load.call("POST", "/createRoom", token, {"preset": "private_chat"})


async def bench_join(load, result, scale):
    size = max(50, int(1000 * scale))
    people = await load.register(size)
    room = await load.room_of(people)
    late = await load.register(20)
    async with load.metered(result, f"join a public room of {size}", lambda: len(late)):
        for _, token in late:
            await load.call("POST", f"/join/{quote(room)}", token, {})
    async with load.metered(result, f"/members of {size}", lambda: 50):
        for _ in range(50):
            await load.raw_get(f"/rooms/{quote(room)}/members", people[1][1])


async def bench_initial(load, result, scale):
    (alice, bob) = await load.register(2)
    count = max(20, int(200 * scale))
    for i in range(count):
        room = await load.room_of([alice, bob], name=f"room {i}")
        for k in range(3):
            await load.send(alice[1], room, f"i{i}-{k}")
    # A fresh device: no cache of an earlier answer may help.
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": bob[0]}, "password": "a good password 1"}
    fresh = [(await load.call("POST", "/login", body=login))["access_token"] for _ in range(4)]
    async with load.metered(result, f"first sync of {count} rooms", lambda: len(fresh)):
        for token in fresh:
            await load.raw_get("/sync", token, timeout=0)


async def bench_reads(load, result, scale):
    people = await load.register(5)
    room = await load.room_of(people)
    for i in range(120):
        await load.send(people[0][1], room, f"r{i}")
    count = int(1000 * scale)
    page = f"/rooms/{quote(room)}/messages"
    await in_parallel(8, [lambda: load.raw_get(page, people[1][1], dir="b", limit=100)] * 50)  # statements are prepared
    async with load.metered(result, "/messages, 100 events", lambda: count):
        await in_parallel(8, [lambda: load.raw_get(page, people[1][1], dir="b", limit=100)] * count)
    many = int(5000 * scale)
    async with load.metered(result, "whoami", lambda: many):
        await in_parallel(8, [lambda: load.raw_get("/account/whoami", people[1][1])] * many)


async def bench_parked(load, result, scale):
    people = await load.register(20)
    tokens = [(await load.call("GET", "/sync", t, timeout=0))["next_batch"] for _, t in people]
    count = int(2000 * scale) or 200
    before = rss(load.target.pid)
    polls = [asyncio.create_task(load.raw_get("/sync", people[i % 20][1], since=tokens[i % 20], timeout=20000)) for i in range(count)]
    await asyncio.sleep(4)  # all of them are parked by then; memory is read while they wait
    result["memory of one parked /sync"] = {"bytes": max(0, rss(load.target.pid) - before) / count, "n": count}
    await asyncio.gather(*polls)


BENCHES = {
    "send": bench_send,
    "sync100": lambda l, r, s: bench_sync(l, r, s, 100),
    "sync500": lambda l, r, s: bench_sync(l, r, s, 500),
    "idle": bench_idle,
    "create": bench_create,
    "join": bench_join,
    "initial": bench_initial,
    "reads": bench_reads,
    "parked": bench_parked,
}


async def measure(target, chosen, scale):
    result = {}
    target.start()
    target.stop()
    target.start()  # the second start: the database is there
    result["start to the first answer"] = {"ms": target.start_seconds * 1000}
    result["memory of the started server"] = {"bytes": rss(target.pid)}
    load = Load(target)
    try:
        for name in chosen:
            print(f"{target.label}: {name} …", file=sys.stderr)
            await BENCHES[name](load, result, scale)
    finally:
        await load.http.close()
        target.stop()
    return result


def show(ours, theirs):
    def cell(r, key):
        return f"{r[key]:>12,.1f}" if r and key in r else f"{'':>12}"

    def ratio(a, b, key):
        return f"{b[key] / a[key]:>9,.1f}×" if a and b and key in a and key in b and a[key] else f"{'':>10}"

    print(f"{'':38}{'ours':>12}{'Synapse':>12}{'ratio':>10}   PostgreSQL: {'ours':>8}{'Synapse':>12}{'ratio':>10}{'ops/s':>10}")
    for name, mine in ours.items():
        other = (theirs or {}).get(name)
        unit = next(k for k in ("server_us", "bytes", "ms") if k in mine)
        line = f"{name:36}{cell(mine, unit)}{cell(other, unit)}{ratio(mine, other, unit)} {unit.split('_')[-1]:>5}"
        if unit == "server_us":
            line += f"{cell(mine, 'postgres_us')}{cell(other, 'postgres_us')}{ratio(mine, other, 'postgres_us')}{mine['per_second']:>10,.0f}"
        print(line)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--quick", action="store_true", help="a fifth of the work")
    args.add_argument("--only", help="comma-separated: " + ",".join(BENCHES))
    args.add_argument("--no-synapse", action="store_true")
    args.add_argument("--json")
    opts = args.parse_args()
    chosen = opts.only.split(",") if opts.only else list(BENCHES)
    scale = 0.2 if opts.quick else 1.0
    pg = Postgres(shared_buffers="512MB", max_connections=100)
    results = {}
    targets = [Ours("hs", pg)] + ([] if opts.no_synapse else [Synapse("synapse", pg, synapse_python())])
    try:
        for t in targets:
            results[t.label] = asyncio.run(measure(t, chosen, scale))
    finally:
        for t in targets:
            t.close()
        pg.close()
    show(results["hs"], results.get("synapse"))
    if opts.json:
        pathlib.Path(opts.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
