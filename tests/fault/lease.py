#!/usr/bin/env python3
"""Leases under faults: holders are killed, paused for 10 s while they are about to write, and stopped.

    tests/fault/lease.py [--build build/release] [--rounds 3] [--workers 3] [--shards 16]

Each worker (lease_worker.c) writes a row for each of its shards every 50 ms. Prints for each fault how long a shard went without a holder (PostgreSQL's clock), and counts
what a paused holder tried to write after another had taken over. Fails when a takeover took 5 s, when such a write was not refused, or when the rows of a shard do not
come in the order of their epochs.
"""

import argparse
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_MS = 5000


class Cluster:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="hs-lease-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.pg("start")
        self.sql("CREATE DATABASE t TEMPLATE template0", db="postgres")
        self.conninfo = f"host={self.dir}/pg user=hs dbname=t"

    def pg(self, what):
        subprocess.run([ROOT / "tests/support/pg.sh", what, f"{self.dir}/pg"], check=True, stdout=subprocess.DEVNULL)

    def sql(self, text, db="t"):
        out = subprocess.run(["psql", "-h", f"{self.dir}/pg", "-U", "hs", "-d", db, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text],
                             check=True, capture_output=True, text=True).stdout
        return [line.split("|") for line in out.splitlines()]

    def number(self, text):
        return int(self.sql(text)[0][0])

    def close(self):
        self.pg("stop")


class Worker:
    count = 0

    def __init__(self, args, cluster):
        Worker.count += 1
        self.name = f"w{Worker.count}"
        self.process = subprocess.Popen([ROOT / args.build / "tests/fault/lease_worker", cluster.conninfo, self.name, str(args.shards)],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def send(self, what):
        self.process.send_signal(what)

    def stopped(self):
        return pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def until(what, done, seconds=30):
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.05)


class Trial:
    def __init__(self, args):
        self.args = args
        self.cluster = Cluster()
        self.workers = [Worker(args, self.cluster)]
        until("the schema", self.has_schema)
        self.cluster.sql("CREATE TABLE t_did(id bigserial PRIMARY KEY, worker text, shard int, epoch bigint, at bigint)")
        self.workers += [Worker(args, self.cluster) for _ in range(args.workers - 1)]
        self.took = {"killed": [], "paused": [], "stopped": [], "came": []}
        self.refused = self.other = 0

    def has_schema(self):
        try:
            return self.cluster.number("SELECT count(*) FROM migration WHERE version = 2") == 1
        except subprocess.CalledProcessError:
            return False

    def holders(self):
        return {int(s): h.split("/")[0] for s, h in self.cluster.sql("SELECT shard, holder FROM lease WHERE duty = 't'")}

    def balanced(self):
        held = list(self.holders().values())
        parts = [held.count(w.name) for w in self.workers]
        return sum(parts) == self.args.shards and max(parts) - min(parts) <= 1

    def working(self):
        """Every shard has had a row within the last half second, by its present holder."""
        return self.cluster.number(
            "SELECT count(*) FROM lease l WHERE duty = 't' AND EXISTS (SELECT FROM t_did d WHERE d.shard = l.shard AND d.epoch = l.epoch"
            " AND d.at > hs_now_ms() - 500)") == self.args.shards

    def settle(self):
        until("balance", self.balanced)
        until("work on every shard", self.working)

    def gap(self, worker, since):
        """Longest time from `since` until another worker wrote for a shard that `worker` held."""
        mine = [s for s, h in self.held_before.items() if h == worker.name]
        def done():
            return self.cluster.number(f"SELECT count(DISTINCT shard) FROM t_did WHERE shard = ANY('{{{','.join(map(str, mine))}}}')"
                                       f" AND worker <> '{worker.name}' AND at > {since}") == len(mine)
        until("takeover", done)
        return self.cluster.number(f"SELECT max(at) - {since} FROM (SELECT min(at) AS at FROM t_did WHERE worker <> '{worker.name}' AND at > {since}"
                                   f" AND shard = ANY('{{{','.join(map(str, mine))}}}') GROUP BY shard) x")

    def now(self):
        return self.cluster.number("SELECT hs_now_ms()")

    def leave(self, how, what):
        worker = random.choice(self.workers)
        self.held_before = self.holders()
        since = self.now()
        worker.send(what)
        self.took[how].append(self.gap(worker, since))
        worker.process.wait()
        self.workers.remove(worker)

    def come(self):
        before = self.now()
        self.workers.append(Worker(self.args, self.cluster))
        until("balance", self.balanced)
        self.took["came"].append(self.now() - before)
        self.settle()

    def pause(self):
        worker = random.choice(self.workers)
        self.held_before = self.holders()
        since = self.now()
        worker.send(signal.SIGUSR1)
        until("it stops before a commit", worker.stopped)
        self.took["paused"].append(self.gap(worker, since))
        time.sleep(max(0, 10 - (self.now() - since) / 1000))
        worker.send(signal.SIGCONT)
        said = worker.process.stdout.readline().strip()
        self.refused += said == "refused"
        self.other += said != "refused"
        self.settle()

    def out_of_order(self):
        return self.cluster.number(
            "SELECT count(*) FROM (SELECT epoch, max(epoch) OVER (PARTITION BY shard ORDER BY id) AS newest FROM t_did) x WHERE epoch < newest")

    def two_in_an_epoch(self):
        return self.cluster.number("SELECT count(*) FROM (SELECT FROM t_did GROUP BY shard, epoch HAVING count(DISTINCT worker) > 1) x")

    def close(self):
        for w in self.workers:
            w.send(signal.SIGTERM)
        for w in self.workers:
            w.process.wait()
        self.cluster.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build/release")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--workers", type=int, default=3)
    p.add_argument("--shards", type=int, default=16)
    args = p.parse_args()
    trial = Trial(args)
    trial.settle()
    for _ in range(args.rounds):
        trial.leave("killed", signal.SIGKILL)
        trial.come()
        trial.pause()
        trial.leave("stopped", signal.SIGTERM)
        trial.come()
    rows, stale, shared = trial.cluster.number("SELECT count(*) FROM t_did"), trial.out_of_order(), trial.two_in_an_epoch()
    trial.close()
    print(f"{args.workers} workers, {args.shards} shards, {args.rounds} rounds, {rows} writes")
    for how, text in (("killed", "SIGKILL: all its shards worked on by others after"), ("paused", "SIGSTOP: the same"), ("stopped", "SIGTERM: the same"),
                      ("came", "a new worker: evenly shared after")):
        print(f"  {text:52} ms: {' '.join(map(str, sorted(trial.took[how])))}")
    print(f"  writes of a holder that woke up after 10 s: {trial.refused} refused, {trial.other} otherwise")
    print(f"  rows under an epoch that had passed: {stale}; epochs with two workers: {shared}")
    bad = stale or shared or trial.other or max(trial.took["killed"] + trial.took["paused"] + trial.took["stopped"]) >= LIMIT_MS
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
