#!/usr/bin/env python3
"""Several client workers: what a second one brings, how fast news cross from one to the other, and ten thousand clients that wait at one.

    tests/bench/workers.py [--only ratio,latency,parked] [--quick] [--no-synapse]

ratio    the same load at one worker and at two, over one PostgreSQL and one Redis. Two cores are not enough for two busy workers, PostgreSQL and a load
         generator. So each worker is given a share of a core (by cgroup, where this may be done) that the rest of the machine can easily keep up with; and
         the CPU of each part is told, from which follows what the ratio is where each worker has a core of its own.
latency  a message sent at one worker until it is received at the other, beside Synapse with two generic workers and Redis.
parked   10,000 /sync that wait at one worker: memory, CPU while nothing happens, and the time until 1,000 who are in one room have its message.

Wants root, as run.py does, and many open files (ulimit -n).
"""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import re
import resource
import select
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
from postgres import Postgres, precise_cpu  # noqa: E402
from redis_server import Redis  # noqa: E402
from run import Load, Target, in_parallel, quote, rss, synapse_python  # noqa: E402
from server import KEY, ROOT, free_port, program, wait_for  # noqa: E402

CGROUP = pathlib.Path("/sys/fs/cgroup/cpu")
PERIOD_US = 50000
LATEST = '{"room":{"timeline":{"limit":20}},"presence":{"types":[]}}'


# ── servers of several processes ─────────────────────────────────────────────────────────────────────────────────────────


class Process:
    """One worker, with the face that run.py's Load wants."""

    def __init__(self, label, command, directory, port, env=None):
        self.label, self.port, self.base = label, port, f"http://127.0.0.1:{port}"
        self.log = open(f"{directory}/{label}.log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, cwd=directory, env=env, start_new_session=True)
        self.pid = self.process.pid

    def up(self):
        if self.process.poll() is not None:
            raise RuntimeError(open(self.log.name).read()[-3000:])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as s:
            s.settimeout(10)
            s.sendall(b"GET /_matrix/client/versions HTTP/1.0\r\n\r\n")
            return b" 200 " in s.recv(100)

    def cpu(self):
        return precise_cpu(self.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class OursMany(Target):
    def __init__(self, label, pg, redis, n):
        super().__init__(label, pg)
        self.redis, self.n, self.processes = redis, n, []

    def start(self):
        path = self.write_config({"redis": self.redis.section, "signing_key": KEY})
        for i in range(self.n):
            port = free_port()
            command = [program(), "worker", "client", "-c", path, "--name", f"client{i}", "--listen", str(port), "--drain", "2"]
            self.processes.append(Process(f"client{i}", command, self.dir, port))
        for p in self.processes:
            wait_for(p.up, 60)

    def stop(self):
        for p in self.processes:
            p.stop()
        self.processes = []


class SynapseMany(Target):
    """The main process and two generic workers; clients talk to the workers only."""

    def __init__(self, label, pg, redis, python, env):
        super().__init__(label, pg)
        self.redis, self.python, self.env, self.processes, self.main = redis, python, env, [], None

    def start(self):
        replication, names = free_port(), ["worker1", "worker2"]
        with open(f"{self.dir}/log.yaml", "w") as f:
            f.write("version: 1\nroot: {level: WARNING}\n")
        listeners = self.config()["listeners"] + [
            {"port": replication, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["replication"]}]}
        ]
        path = self.write_config({
            "log_config": f"{self.dir}/log.yaml", "redis": {"enabled": True, "path": self.redis.path}, "listeners": listeners,
            "instance_map": {"main": {"host": "127.0.0.1", "port": replication}}, "worker_replication_secret": "bench",
        })  # fmt: skip
        subprocess.run([self.python, "-m", "synapse.app.homeserver", "-c", path, "--generate-keys"], check=True, capture_output=True, env=self.env)
        self.main = Process("main", [self.python, "-m", "synapse.app.homeserver", "-c", path], self.dir, self.port, self.env)
        wait_for(self.main.up, 120, 0.1)
        for name in names:
            port = free_port()
            listener = {"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "x_forwarded": True, "resources": [{"names": ["client"]}]}
            with open(f"{self.dir}/{name}.yaml", "w") as f:
                json.dump({"worker_app": "synapse.app.generic_worker", "worker_name": name, "worker_listeners": [listener], "worker_log_config": f"{self.dir}/log.yaml"}, f)
            command = [self.python, "-m", "synapse.app.generic_worker", "-c", path, "-c", f.name]
            self.processes.append(Process(name, command, self.dir, port, self.env))
        for p in self.processes:
            wait_for(p.up, 120, 0.1)

    def stop(self):
        for p in [*self.processes, self.main]:
            if p:
                p.stop()
        self.processes = []


def synapse():
    """Its Python and an environment in which it finds what it needs for Redis."""
    python = synapse_python()
    if subprocess.run([python, "-c", "import txredisapi, hiredis"], capture_output=True).returncode == 0:
        return python, dict(os.environ)
    place = ROOT / "build" / "synapse-redis"
    if not place.exists():
        subprocess.run([python, "-m", "pip", "-q", "install", "--no-deps", "--target", place, "txredisapi<1.6", "hiredis"], check=True)
    return python, {**os.environ, "PYTHONPATH": str(place)}


# ── a share of a core ────────────────────────────────────────────────────────────────────────────────────────────────────


class Share:
    """Holds processes to a share of one core each, if cgroups of version 1 can be made."""

    def __init__(self, pids, share):
        self.groups = []
        if not share or not (CGROUP / "cpu.cfs_quota_us").exists() and not (CGROUP / "tasks").exists():
            return
        for pid in pids:
            group = CGROUP / f"hs-bench-{pid}"
            with contextlib.suppress(OSError):
                group.mkdir()
                (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(int(PERIOD_US * share)))
                (group / "cgroup.procs").write_text(str(pid))
                self.groups.append(group)

    def close(self):
        for group in self.groups:
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (CGROUP / "cgroup.procs").write_text(pid)
            with contextlib.suppress(OSError):
                group.rmdir()


# ── two against one ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Meter:
    def __init__(self, server, redis):
        self.server, self.redis = server, redis
        self.began, self.before = time.monotonic(), self.read()

    def read(self):
        me = resource.getrusage(resource.RUSAGE_SELF)
        workers = [p.cpu() for p in self.server.processes]
        return [*workers, self.server.pg.cpu(), precise_cpu(self.redis.process.pid), me.ru_utime + me.ru_stime]

    def done(self, n):
        seconds = time.monotonic() - self.began
        used = [b - a for a, b in zip(self.before, self.read())]
        return {
            "n": n, "per_second": n / seconds, "worker_us": sum(used[:-3]) / n * 1e6, "postgres_us": used[-3] / n * 1e6,
            "redis_us": used[-2] / n * 1e6, "load_share": used[-1] / seconds, "busy": [u / seconds for u in used[:-3]],
        }  # fmt: skip


async def prepared(server, people, rooms, per_room):
    """Loads, one a worker; users; rooms with their members."""
    loads = [Load(p) for p in server.processes]
    users = await loads[0].register(people)
    made = [await loads[0].room_of([users[(r * per_room + k) % people] for k in range(per_room)]) for r in range(rooms)]
    return loads, users, made


async def sends(server, redis, scale, share):
    loads, users, rooms = await prepared(server, 20, 10, 20)
    count = int(4000 * scale) * len(loads)

    def job(i):
        return lambda: loads[i % len(loads)].send(users[i % 20][1], rooms[i // len(loads) % 10], f"s{i}")

    await in_parallel(16, [job(i) for i in range(400)])
    held = Share([p.pid for p in server.processes], share)
    try:
        meter = Meter(server, redis)
        await in_parallel(64 * len(loads), [job(1000 + i) for i in range(count)])
        result = meter.done(count)
    finally:
        held.close()
        for load in loads:
            await load.http.close()
    return result, bool(held.groups)


async def deliveries(server, redis, scale, share):
    """Four rooms of fifty who wait, half of them at each worker; the next message goes out when all have the one before."""
    size, rounds = 50, int(40 * scale)
    loads, users, rooms = await prepared(server, 200, 4, size)
    delivered, done = 0, {}

    async def listener(load, token, room, since):
        nonlocal delivered
        while True:
            answer = await load.call("GET", "/sync", token, since=since, timeout=30000, filter=LATEST)
            since = answer["next_batch"]
            events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
            for e in events:
                if e["type"] == "m.room.message":
                    delivered += 1
                    done[room] -= 1

    async def talk(r):
        for i in range(rounds):
            done[rooms[r]] = size
            await loads[(i + r) % len(loads)].send(users[r * size][1], rooms[r], f"d{r}-{i}")
            while done[rooms[r]]:
                await asyncio.sleep(0.002)

    waiting = []
    for r, room in enumerate(rooms):
        for k in range(size):
            load, token = loads[k % len(loads)], users[r * size + k][1]
            since = (await load.call("GET", "/sync", token, timeout=0, filter=LATEST))["next_batch"]
            waiting.append(asyncio.create_task(listener(load, token, room, since)))
    await asyncio.sleep(0.5)
    held = Share([p.pid for p in server.processes], share)
    try:
        meter = Meter(server, redis)
        await asyncio.gather(*(talk(r) for r in range(4)))
        result = meter.done(delivered)
    finally:
        held.close()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for load in loads:
            await load.http.close()
    return result, bool(held.groups)


def ratio(pg, redis, scale):
    print("two client workers against one", flush=True)
    for what, bench, share in (("messages sent", sends, 0.06), ("/sync answers delivered", deliveries, 0.04)):
        for given in (share, 0):  # 0: where they cannot be held, their CPU still tells
            got = {}
            for n in (1, 2):
                server = OursMany(f"{bench.__name__}{n}{int(given * 100)}", pg, redis, n)
                server.start()
                try:
                    got[n], held = asyncio.run(bench(server, redis, scale, given))
                finally:
                    server.close()
            if given and not held:
                continue
            print(f"  {what}, {f'{given:.0%} of a core for each worker' if given else 'nothing held back'}:")
            for n, r in got.items():
                busy = " ".join(f"{b:.0%}" for b in r["busy"])
                print(
                    f"    {n}: {r['per_second']:8,.0f}/s   CPU of the workers {r['worker_us']:6.1f} µs each, PostgreSQL {r['postgres_us']:6.1f}, "
                    f"Redis {r['redis_us']:5.1f}; workers busy {busy}, load generator {r['load_share']:.0%}"
                )
            one, two = got[1], got[2]
            print(f"    throughput {two['per_second'] / one['per_second']:.2f}×; by CPU, each worker on a core of its own {2 * one['worker_us'] / two['worker_us']:.2f}×", flush=True)
            break


# ── from one worker to the other ─────────────────────────────────────────────────────────────────────────────────────────


async def crossing(server, scale):
    """Somebody sends twenty messages a second at the first worker; somebody else in the room listens at each."""
    first, second = (Load(p) for p in server.processes[:2])
    users = await first.register(3)
    room = await first.room_of(users)
    count = max(50, int(500 * scale))
    sent, acked, got = {}, {}, {0: {}, 1: {}}

    async def listener(k, load, token):
        since = (await load.call("GET", "/sync", token, timeout=0, filter=LATEST))["next_batch"]
        while len(got[k]) < count:
            answer = await load.call("GET", "/sync", token, since=since, timeout=30000, filter=LATEST)
            now = time.perf_counter()
            since = answer["next_batch"]
            for e in answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", []):
                m = re.match(r"message x(\d+),", e["content"].get("body", ""))
                if m:
                    got[k][int(m[1])] = now

    listeners = [asyncio.create_task(listener(0, first, users[1][1])), asyncio.create_task(listener(1, second, users[2][1]))]
    await asyncio.sleep(1)
    for i in range(count):
        sent[i] = time.perf_counter()
        await first.send(users[0][1], room, f"x{i}")
        acked[i] = time.perf_counter()
        await asyncio.sleep(max(0.0, 0.05 - (acked[i] - sent[i])))
    await asyncio.wait_for(asyncio.gather(*listeners), 60)
    for load in (first, second):
        await load.http.close()

    def two(times):
        ms = sorted(1000 * (times[i] - sent[i]) for i in range(count))
        return ms[len(ms) // 2], ms[int(len(ms) * 0.99)]

    return {"answered": two(acked), "received at the same worker": two(got[0]), "received at the other worker": two(got[1])}


def latency(pg, redis, scale, with_synapse):
    print("from the start of PUT …/send, in ms: p50 and p99", flush=True)
    servers = [OursMany("latency", pg, redis, 2)]
    if with_synapse:
        servers.append(SynapseMany("synapse", pg, redis, *synapse()))
    for server in servers:
        server.start()
        try:
            for what, (half, most) in asyncio.run(crossing(server, scale)).items():
                print(f"  {'Synapse' if server.label == 'synapse' else 'ours':8} {what:32} {half:8.2f} {most:8.2f}", flush=True)
        finally:
            server.close()


# ── ten thousand who wait ────────────────────────────────────────────────────────────────────────────────────────────────


class Polls:
    """Bare sockets, so that the clients cost nothing."""

    def __init__(self, port):
        self.port = port
        self.epoll = select.epoll()
        self.socks, self.data = {}, {}

    def ask(self, key, token, since, sock=None):
        s = sock or socket.create_connection(("127.0.0.1", self.port))
        path = f"/_matrix/client/v3/sync?since={since}&timeout=600000"
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        if not sock:
            s.setblocking(False)
            self.socks[s.fileno()] = (key, s)
            self.epoll.register(s.fileno(), select.EPOLLIN)
        self.data[s.fileno()] = b""

    def collect(self, n, seconds):
        """Whole answers: [(key, socket, body)], until there are n."""
        found, end = [], time.perf_counter() + seconds
        while len(found) < n and time.perf_counter() < end:
            for fd, _ in self.epoll.poll(0.2):
                key, s = self.socks[fd]
                self.data[fd] += s.recv(65536)
                head, _, body = self.data[fd].partition(b"\r\n\r\n")
                m = re.search(rb"content-length: *(\d+)", head.lower())
                if m and len(body) >= int(m[1]):
                    found.append((key, s, body))
        return found

    def close(self):
        for _, s in self.socks.values():
            s.close()
        self.epoll.close()


async def users_of(load, count, members, scale):
    """Users; the first `members` of them in one room."""
    users = []

    async def one(i):
        body = {"username": f"p{i}", "password": "a good password 1", "auth": {"type": "m.login.dummy"}}
        answer = await load.call("POST", "/register", body=body)
        users.append((answer["user_id"], answer["access_token"]))

    await in_parallel(8, [lambda i=i: one(i) for i in range(count)])
    room = (await load.call("POST", "/createRoom", users[0][1], {"preset": "public_chat"}))["room_id"]
    await in_parallel(8, [lambda t=t: load.call("POST", f"/join/{quote(room)}", t, {}) for _, t in users[1:members]])
    since = {}

    async def first_sync(i):
        since[i] = (await load.call("GET", "/sync", users[i][1], timeout=0))["next_batch"]

    await in_parallel(16, [lambda i=i: first_sync(i) for i in range(count)])
    return users, room, since


def parked(pg, redis, scale):
    count, members = int(10000 * scale), int(1000 * scale)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count + 200:
        count = hard - 200
    server = OursMany("parked", pg, redis, 1)
    server.start()
    worker = server.processes[0]
    polls = Polls(worker.port)
    try:
        fresh = rss(worker.pid)

        async def prepare():
            load = Load(worker)
            try:
                return await users_of(load, count, members, scale)
            finally:
                await load.http.close()

        users, room, since = asyncio.run(prepare())
        time.sleep(3)
        known = rss(worker.pid)
        for i in range(count):
            polls.ask(i, users[i][1], since[i])
        time.sleep(5)
        waiting = rss(worker.pid)
        before = worker.cpu()
        time.sleep(30)
        idle = worker.cpu() - before
        print(f"{count:,} parked /sync at one worker", flush=True)
        print(f"  memory: started {fresh / 2**20:.1f} MiB, all users known {known / 2**20:.1f}, all parked {waiting / 2**20:.1f}: {(waiting - known) / count / 1024:.1f} KiB for each")
        print(f"  CPU while nothing happens: {idle * 1000:.0f} ms in 30 s ({idle / 30:.2%} of a core)")
        walls, cpus = [], []
        sender = socket.create_connection(("127.0.0.1", worker.port))
        body = json.dumps({"msgtype": "m.text", "body": "to all of you"})
        for i in range(7):
            cpu, begun = worker.cpu(), time.perf_counter()
            sender.sendall(
                f"PUT /_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/w{i} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {users[0][1]}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            found = polls.collect(members, 30)
            walls.append(time.perf_counter() - begun)
            cpus.append(worker.cpu() - cpu)
            if len(found) != members:
                raise RuntimeError(f"{len(found)} of {members} were woken")
            sender.recv(65536)
            for key, s, text in found:
                polls.ask(key, users[key][1], json.loads(text)["next_batch"], s)
            time.sleep(1)
        middle = [sorted(x[1:])[len(x) // 2 - 1] * 1000 for x in (walls, cpus)]
        print(
            f"  a message to a room of {members:,} of them: all have it after {middle[0]:.1f} ms; "
            f"{middle[1]:.1f} ms of the worker's CPU, {middle[1] * 1000 / members:.0f} µs for each (median of 6)",
            flush=True,
        )
    finally:
        polls.close()
        server.close()


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--only", default="ratio,latency,parked")
    args.add_argument("--quick", action="store_true", help="a fifth of the work")
    args.add_argument("--no-synapse", action="store_true")
    opts = args.parse_args()
    scale, chosen = 0.2 if opts.quick else 1.0, opts.only.split(",")
    pg = Postgres(shared_buffers="512MB", max_connections=200)
    redis = Redis()
    try:
        if "ratio" in chosen:
            ratio(pg, redis, scale)
        if "latency" in chosen:
            latency(pg, redis, scale, not opts.no_synapse)
        if "parked" in chosen:
            parked(pg, redis, scale)
    finally:
        redis.close()
        pg.close()


if __name__ == "__main__":
    main()
