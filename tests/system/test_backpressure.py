"""A database that is slow, gone, full, behind a pooler or somewhere else: who asks is told to come again, memory stays bounded, nothing
acknowledged is lost, and all is well afterwards without a restart."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest
import requests

from mx import Client, Refused, quote
from postgres import Postgres, children
from server import OneProcess as Server
from server import free_port, wait_for

ANSWER_S = 20  # the longest that anything waits for PostgreSQL: 15 s and a little


def database(host, name="hs", **args):
    return {"name": "psycopg2", "args": {"host": host, "user": "hs", "dbname": name, **args}}


@contextlib.contextmanager
def running(section, **config):
    server = Server(config={"database": section, **config})
    try:
        server.start()
        yield server
    except BaseException:
        print(server.log()[-5000:])
        raise
    finally:
        server.close()


@pytest.fixture
def postgres():
    p = Postgres(shared_buffers="64MB")
    p.create("hs")
    yield p
    p.close()


def everybody(postgres):
    return [postgres.pid, *children(postgres.pid)]


def pause(postgres):
    for pid in everybody(postgres):
        os.kill(pid, signal.SIGSTOP)


def go_on(postgres):
    for pid in everybody(postgres):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) * 1024


def put_message(client, room, txn, **content):
    """Status, seconds, Retry-After, event id."""
    began = time.monotonic()
    r = client.raw("PUT", f"/rooms/{quote(room)}/send/m.room.message/{quote(txn)}", {"msgtype": "m.text", "body": txn, **content})
    return r.status_code, time.monotonic() - began, r.headers.get("Retry-After"), r.json().get("event_id")


def put_state(client, room, txn):
    began = time.monotonic()
    r = client.raw("PUT", f"/rooms/{quote(room)}/state/m.room.topic", {"topic": txn})
    return r.status_code, time.monotonic() - began, r.headers.get("Retry-After"), r.json().get("event_id")


def at_once(calls):
    """Runs them all in threads of their own; what they gave, in order."""
    results = [None] * len(calls)

    def run(i, fn, args):
        results[i] = fn(*args)

    threads = [threading.Thread(target=run, args=(i, fn, args)) for i, (fn, *args) in enumerate(calls)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def history(client, room):
    """Bodies of the room's messages → event ids, oldest first."""
    found, start = {}, None
    while True:
        page = client.messages(room, limit=500, **({"from": start} if start else {}))
        for e in page["chunk"]:
            if e["type"] == "m.room.message":
                found.setdefault(e["content"]["body"], []).append(e["event_id"])
        start = page.get("end")
        if not start:
            return found


def retry(call, *args, seconds=30):
    """Until it is answered with 200: what was refused with 503 or 429 may be asked again."""
    def ok():
        try:
            answer = call(*args)
        except requests.RequestException:
            return None
        assert answer[0] in (200, 429, 503), answer
        return answer if answer[0] == 200 else None

    return wait_for(ok, seconds, 0.1)


def metric(server, name):
    text = requests.get(server.base + "/_synapse/metrics", timeout=10).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def clients(server, user, n):
    """The same session over connections of their own."""
    made = []
    for _ in range(n):
        c = Client(server.base, user.token)
        c.user_id, c.device_id = user.user_id, user.device_id
        made.append(c)
    return made


def test_a_database_that_stands_still_costs_503_and_no_memory_and_then_all_is_well(postgres):
    with running(database(postgres.dir)) as server:
        alice, bob = (Client(server.base).register(n) for n in ("alice", "bob"))
        room, other = (alice.create_room(preset="public_chat") for _ in range(2))
        bob.join(room)
        bob.next_sync()
        senders = clients(server, alice, 200)
        for c in senders[:20]:
            c.text(other, "warm")
        before, pid = rss(server.process.pid), server.process.pid

        pause(postgres)
        try:
            calls = [(put_message, c, room, f"m{i}") for i, c in enumerate(senders[:180])]
            calls += [(put_state, c, room, f"s{i}") for i, c in enumerate(senders[180:])]
            answers = at_once(calls)
            assert {a[0] for a in answers} <= {503, 429}, answers
            assert all(int(a[2]) >= 1 for a in answers), "each says when to come again"
            assert max(a[1] for a in answers) < ANSWER_S
            # From now on nobody waits in vain.
            again = at_once([(put_message, c, room, f"m{i}") for i, c in enumerate(senders[:180])])
            assert {a[0] for a in again} == {503}
            assert sorted(a[1] for a in again)[170] < 2
            assert alice.raw("GET", "/health").status_code == 200
            assert rss(server.process.pid) - before < 64 << 20
            assert metric(server, "hs_refused_total") >= 380
            assert " - ERROR - " not in server.log(), "one line says that PostgreSQL is not there, not one for each request"
        finally:
            go_on(postgres)

        sent = at_once([(retry, put_message, c, room, f"m{i}") for i, c in enumerate(senders[:180])])
        found = history(bob, room)
        assert {f"m{i}": [a[3]] for i, a in enumerate(sent)} == found, "each once, and the first answer stands"
        seen = bob.next_sync()["rooms"]["join"][room]
        assert seen["timeline"]["limited"] or len(seen["timeline"]["events"]) >= 180
        retry(put_state, alice, room, "after")
        assert alice.state(room, "m.room.topic")["topic"] == "after"
        assert server.process.poll() is None and server.process.pid == pid


def test_a_database_that_is_stopped_and_started_needs_no_restart_of_ours(postgres):
    with running(database(postgres.dir)) as server:
        alice = Client(server.base).register("alice")
        room = alice.create_room()
        waiting = {}
        since = alice.sync()["next_batch"]
        poll = threading.Thread(target=lambda: waiting.update(alice.sync(since, 60000)))
        poll.start()
        writer = clients(server, alice, 1)[0]
        for round in range(2):
            postgres.stop("immediate")
            status, seconds, later, _ = put_message(writer, room, f"gone{round}")
            assert status == 503 and int(later) >= 1 and seconds < ANSWER_S
            r = requests.post(server.base + "/_matrix/client/v3/login", timeout=60, json={
                "type": "m.login.password", "password": "a good password 1", "identifier": {"type": "m.id.user", "user": "alice"}})
            assert r.status_code == 503 and r.json()["errcode"] == "M_UNKNOWN" and int(r.headers["Retry-After"]) >= 1
            postgres.start()
            retry(put_message, writer, room, f"gone{round}")
        poll.join()
        assert waiting["rooms"]["join"][room], "who waited for news has heard them"
        assert {k: len(v) for k, v in history(alice, room).items()} == {"gone0": 1, "gone1": 1}
        assert "store.lost" in server.log() and "store.back" in server.log()


@contextlib.contextmanager
def mounted(megabytes):
    """A disk that can be full."""
    path = tempfile.mkdtemp(prefix="hs-disk-")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", path], capture_output=True)
    if done.returncode:
        os.rmdir(path)
        pytest.skip("no file system can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)
        os.rmdir(path)


def fill(path):
    with open(f"{path}/filler", "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 65536)


def test_a_full_disk_is_said_once_and_over_when_there_is_space(postgres):
    with mounted(80) as disk:
        os.mkdir(f"{disk}/space")
        shutil.chown(f"{disk}/space", "postgres", "postgres")
        postgres.sql("postgres", f"CREATE TABLESPACE small LOCATION '{disk}/space'")
        postgres.sql("postgres", "CREATE DATABASE small TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TABLESPACE small")
        with running(database(postgres.dir, "small")) as server:
            alice = Client(server.base).register("alice")
            room = alice.create_room()
            big = os.urandom(20000).hex()  # does not compress
            fill(disk)

            def refused():
                status, seconds, later, _ = put_message(alice, room, f"try{next(tries)}", padding=big)
                return status == 503 and (int(later), seconds)

            tries = iter(range(10000))
            later, seconds = wait_for(refused, 60)
            assert later >= 1 and seconds < 5
            for n in range(20):
                status, _, later, _ = put_message(alice, room, f"full{n}", padding=big)
                assert (status, later) == (503, "10")
            assert server.log().count("store.short") == 1
            assert "No space left on device" in server.log()
            assert alice.get("/account/whoami")["user_id"] == alice.user_id
            assert alice.messages(room)["chunk"], "what is there can be read"
            os.unlink(f"{disk}/filler")
            retry(put_message, alice, room, "full19")
            wait_for(lambda: "store.enough" in server.log())
            found = history(alice, room)
            assert len(found["full19"]) == 1 and "full18" not in found
        postgres.sql("postgres", "DROP DATABASE small WITH (FORCE)")


def test_a_private_database_whose_log_has_no_space_comes_back_when_there_is_some():
    with mounted(260) as disk:
        os.mkdir(f"{disk}/data")
        server = Server(directory=f"{disk}/data")
        server.log_path = f"{disk}.log"  # on another disk
        try:
            server.start()
            alice = Client(server.base).register("alice")
            room = alice.create_room()
            retry(put_message, alice, room, "before")
            fill(disk)
            owner = os.stat(server.dir).st_uid
            psql = ["psql", "-h", f"{server.dir}/postgres.run", "-U", "hs", "-d", "hs", "-Atc", "SELECT pg_switch_wal()"]

            def panics():
                subprocess.run(psql, capture_output=True, user=owner)
                with open(f"{server.dir}/postgres.log", errors="replace") as f:
                    return "PANIC" in f.read() or "store.lost" in server.log()

            wait_for(panics, 60, 0.2)
            status, seconds, later, _ = put_message(alice, room, "during")
            assert status == 503 and int(later) >= 1 and seconds < ANSWER_S
            os.unlink(f"{disk}/filler")
            retry(put_message, alice, room, "during", seconds=60)
            assert {k: len(v) for k, v in history(alice, room).items()} == {"before": 1, "during": 1}
            assert server.process.poll() is None
        finally:
            server.close()
            os.unlink(server.log_path)


class Bouncer:
    """PgBouncer in session mode before a cluster."""

    def __init__(self, postgres, **settings):
        self.dir = tempfile.mkdtemp(prefix="hs-bouncer-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.postgres = postgres
        self.process = None
        self.settings = {"pool_mode": "session", "auth_type": "any", "admin_users": "hs", "unix_socket_dir": self.dir,
                         "listen_addr": "127.0.0.1", "listen_port": self.port, "max_client_conn": 200, "default_pool_size": 50,
                         "logfile": f"{self.dir}/log", **settings}
        self.start()

    def write(self):
        with open(f"{self.dir}/ini", "w") as f:
            f.write(f"[databases]\nhs = host={self.postgres.dir} dbname=hs user=hs\n[pgbouncer]\n")
            f.writelines(f"{k} = {v}\n" for k, v in self.settings.items())

    def start(self):
        self.write()
        if os.getuid() == 0:
            for path in (self.dir, f"{self.dir}/ini"):
                shutil.chown(path, "postgres", "postgres")
        user = ["-u", "postgres"] if os.getuid() == 0 else []
        self.process = subprocess.Popen(["pgbouncer", *user, f"{self.dir}/ini"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        wait_for(lambda: os.path.exists(f"{self.dir}/.s.PGSQL.{self.port}"))

    def waiting(self):
        """Clients without a connection behind them."""
        done = subprocess.run(["psql", "-h", self.dir, "-p", str(self.port), "-U", "hs", "-d", "pgbouncer", "-Atc", "SHOW POOLS"],
                              capture_output=True, text=True, check=True)
        return max(int(line.split("|")[3]) for line in done.stdout.splitlines() if line.startswith("hs|"))

    def reload(self, **settings):
        self.settings.update(settings)
        self.write()
        self.process.send_signal(signal.SIGHUP)

    def kill(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.dir}/.s.PGSQL.{self.port}")

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture
def bouncer(postgres):
    made = []

    def make(**settings):
        made.append(Bouncer(postgres, **settings))
        return made[-1]

    yield make
    for b in made:
        b.close()


def test_a_pooler_in_session_mode_may_stand_between_and_may_die(bouncer):
    pooler = bouncer()
    with running(database("127.0.0.1", port=pooler.port)) as server:
        alice, bob = (Client(server.base).register(n) for n in ("alice", "bob"))
        room = alice.create_room(preset="public_chat")
        bob.join(room)
        bob.next_sync()
        senders = clients(server, alice, 8)
        assert {a[0] for a in at_once([(put_message, c, room, f"a{i}") for i, c in enumerate(senders)])} == {200}
        Client(server.base).login("alice")
        for round in range(3):
            stop, counts = threading.Event(), [0] * len(senders)

            def send(i, c, prefix):
                while not stop.is_set():
                    retry(put_message, c, room, f"{prefix}.{i}.{counts[i]}")
                    counts[i] += 1

            threads = [threading.Thread(target=send, args=(i, c, f"r{round}")) for i, c in enumerate(senders)]
            for t in threads:
                t.start()
            wait_for(lambda: min(counts) >= 20)
            pooler.kill()
            pooler.start()
            there = list(counts)
            wait_for(lambda: all(n >= t + 20 for n, t in zip(counts, there)), 60)
            stop.set()
            for t in threads:
                t.join()
            found = history(bob, room)
            for i, n in enumerate(counts):
                assert [len(found[f"r{round}.{i}.{k}"]) for k in range(n)] == [1] * n
        assert server.log().count("store.lost connection=writer") >= 3 or server.log().count("connection=writer reason") >= 3
        assert " - ERROR - " not in server.log()


def test_a_pool_that_is_exhausted_is_503_until_it_is_not(bouncer, postgres):
    # Some connections read, one executes, one writes; what reads and then writes needs another, which is not to be had.
    pooler = bouncer(default_pool_size=12, query_wait_timeout=120)
    hog = ["psql", "-h", "127.0.0.1", "-p", str(pooler.port), "-U", "hs", "-d", "hs", "-c", "SELECT pg_sleep(600)"]
    hogs = []
    with running(database("127.0.0.1", port=pooler.port)) as server:
        alice = Client(server.base).register("alice")
        room = alice.create_room()
        server.stop()
        server.start()
        try:
            hogs += [subprocess.Popen(hog, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(20)]
            wait_for(lambda: postgres.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'hs'") == "12")
            wait_for(lambda: pooler.waiting() >= 5)

            media = alice.post("/_matrix/media/v1/create")["content_uri"].removeprefix("mxc://")

            def upload():
                began = time.monotonic()
                r = alice.raw("PUT", f"/_matrix/media/v3/upload/{media}", data=b"bytes")
                return r.status_code, time.monotonic() - began, r.headers.get("Retry-After"), None

            status, seconds, later, _ = upload()
            assert status == 503 and int(later) >= 1 and seconds < ANSWER_S
            assert put_message(alice, room, "still")[0] == 200, "what has its connection goes on"
        finally:
            for h in hogs:
                h.kill()
                h.wait()
        pooler.reload(default_pool_size=20)
        retry(upload)


@contextlib.contextmanager
def standby_of(primary):
    """A synchronous standby: what is acknowledged is on its disk too."""
    p = Postgres.__new__(Postgres)
    p.dir = tempfile.mkdtemp(prefix="hs-pg-standby-")
    p.bin, p.user, p.settings = primary.bin, primary.user, primary.settings
    os.chmod(p.dir, 0o755)
    if os.getuid() == 0:
        shutil.chown(p.dir, "postgres", "postgres")
    p.run("pg_basebackup", "-h", primary.dir, "-U", "hs", "-D", f"{p.dir}/data", "-R", "-X", "stream", "-c", "fast")
    p.start()
    try:
        yield p
    finally:
        p.close()


def test_a_failover_to_a_synchronous_standby_loses_nothing_acknowledged(postgres):
    with standby_of(postgres) as standby:
        postgres.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
        postgres.sql("postgres", "SELECT pg_reload_conf()")
        hosts = f"{postgres.dir},{standby.dir}"
        with running(database(hosts, target_session_attrs="read-write")) as server:
            pid = server.process.pid
            alice, bob = (Client(server.base).register(n) for n in ("alice", "bob"))
            room = alice.create_room(preset="public_chat")
            bob.join(room)
            bob.next_sync()
            senders = clients(server, alice, 6)
            stop = threading.Event()
            acked = [[] for _ in senders]

            def send(i):
                while not stop.is_set():
                    body = f"{i}.{len(acked[i])}"
                    acked[i].append(retry(put_message, senders[i], room, body, seconds=60)[3])

            threads = [threading.Thread(target=send, args=(i,)) for i in range(len(senders))]
            for t in threads:
                t.start()
            wait_for(lambda: all(len(a) > 30 for a in acked), 60)
            postgres.stop("immediate")
            before = [len(a) for a in acked]
            standby.sql("postgres", "SELECT pg_promote()")
            wait_for(lambda: all(len(a) > n + 30 for a, n in zip(acked, before)), 60)
            stop.set()
            for t in threads:
                t.join()

            found = history(bob, room)
            for i, ids in enumerate(acked):
                assert [found.get(f"{i}.{k}") for k in range(len(ids))] == [[e] for e in ids]
            shown, answer = [], bob.next_sync(filter='{"room":{"timeline":{"limit":1000}}}')
            while answer.get("rooms"):
                shown += [e["event_id"] for e in answer["rooms"]["join"][room]["timeline"]["events"]]
                answer = bob.next_sync(filter='{"room":{"timeline":{"limit":1000}}}')
            assert len(shown) == len(set(shown))
            assert server.process.poll() is None and server.process.pid == pid
            Client(server.base).login("alice")
